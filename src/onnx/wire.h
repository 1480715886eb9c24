// A cursor over one protobuf message in memory. It stands on protozero's varint decoder and wire types but not on its
// pbf_reader, whose lengths are 32 bits and wrap without a word: a model with more than 4 GB of weights inside would be
// misread. Nothing is copied, every length is checked against the message, and the first mistake sticks: from then on
// next() is false, getters give zero, and status() says what broke at which byte.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/diag.h"
#include "base/file.h"

namespace graft::onnx {

class Wire {
 public:
  enum class Kind : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  Wire() = default;
  // `start` is the first byte of the file, for offsets in messages. The memory must outlive the cursor.
  Wire(Bytes message, const std::byte* start) : at_(message.data()), end_(at_ + message.size()), start_(start) {}

  // Steps to the next field; one that nobody has read is skipped. False at the end and after a mistake.
  bool next();
  uint32_t field() const { return field_; }
  Kind kind() const { return kind_; }

  // The current field's value; each may be asked for once a field. A field of another wire type is a mistake.
  uint64_t varint();
  int64_t int64() { return static_cast<int64_t>(varint()); }
  float float32() { return fixed<float>(Kind::fixed32); }
  double float64() { return fixed<double>(Kind::fixed64); }
  Bytes bytes();
  std::string_view view();  // bytes as characters
  Wire message();           // a message inside this one; takes a mistake along, so that whoever reads it sees it

  // Repeated numbers, packed or one by one: calls visit(value) for each one in this field.
  template <class F>
  void each_varint(const F& visit) {
    if (kind_ == Kind::varint) return visit_ok(visit, varint());
    for (Wire packed = message(); packed.at_ != packed.end_ && ok();) {
      const uint64_t value = packed.decode();
      if (!packed.ok()) return adopt(packed);
      visit(value);
    }
  }
  template <class T, class F>
  void each_fixed(const F& visit) {
    constexpr Kind kind = sizeof(T) == 4 ? Kind::fixed32 : Kind::fixed64;
    if (kind_ == kind) return visit_ok(visit, fixed<T>(kind));
    const Bytes packed = bytes();
    if (packed.size() % sizeof(T) != 0) return mistake("a packed field's length is no multiple of its element");
    for (size_t i = 0; i < packed.size(); i += sizeof(T)) visit(load<T>(packed.data() + i));
  }
  // How many numbers the current field holds, without taking it. At most one for each byte.
  size_t count_varints() const;
  template <class T>
  size_t count_fixed() const {
    return kind_ == Kind::bytes ? peek().size() / sizeof(T) : 1;
  }

  bool ok() const { return what_ == nullptr; }
  Status status() const;
  size_t offset() const { return static_cast<size_t>(at_ - start_); }

 private:
  template <class T>
  static T load(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
  template <class T>
  T fixed(Kind kind) {
    if (!take(kind)) return T{};
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) {
      mistake("the data ends inside a number");
      return T{};
    }
    at_ += sizeof(T);
    return load<T>(at_ - sizeof(T));
  }
  template <class F, class T>
  void visit_ok(const F& visit, T value) {
    if (ok()) visit(value);
  }
  uint64_t decode();
  bool take(Kind kind);
  Bytes peek() const;
  void skip();
  void mistake(const char* what);
  void adopt(const Wire& inner);

  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  const std::byte* start_ = nullptr;
  const char* what_ = nullptr;  // the mistake, once there is one
  uint32_t field_ = 0;
  Kind kind_ = Kind::varint;
  bool pending_ = false;  // the current field's value is not read yet
};

// True for well-formed UTF-8 without NUL, which is what a name must be.
bool is_plain_text(std::string_view s);
// The same text with everything that is not UTF-8 replaced by U+FFFD and NULs too.
std::string cleaned_text(std::string_view s);

}  // namespace graft::onnx
