#include "tools/npy.h"

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "base/format.h"
#include "base/half.h"

namespace graft::tools {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicSize = 6;
constexpr size_t kMaxHeader = size_t{1} << 20;

struct NpyType {
  std::string_view code;  // without the byte order
  DType dtype;
  size_t word;  // what a byte swap turns round: the element, or its real part
};
constexpr NpyType kTypes[] = {{"b1", DType::boolean, 1}, {"i1", DType::i8, 1},   {"i2", DType::i16, 2},
                              {"i4", DType::i32, 4},     {"i8", DType::i64, 8},  {"u1", DType::u8, 1},
                              {"u2", DType::u16, 2},     {"u4", DType::u32, 4},  {"u8", DType::u64, 8},
                              {"f2", DType::f16, 2},     {"f4", DType::f32, 4},  {"f8", DType::f64, 8},
                              {"c8", DType::c64, 4},     {"c16", DType::c128, 8}};

// The header is a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }. Only what NumPy itself
// writes is taken; keys may come in any order.
class Header {
 public:
  explicit Header(std::string_view text) : text_(text) {}

  std::string descr;
  bool fortran = false;
  Shape shape;
  const char* what = nullptr;  // the mistake
  bool too_many_dims = false;

  bool parse() {
    int seen = 0;
    if (!eat('{')) return mistake("does not start with '{'");
    while (!eat('}')) {
      std::string key;
      if (!string(key) || !eat(':')) return mistake("a key is missing");
      bool ok = false;
      if (key == "descr")
        ok = string(descr), seen |= 1;
      else if (key == "fortran_order")
        ok = boolean(fortran), seen |= 2;
      else if (key == "shape")
        ok = tuple(), seen |= 4;
      if (!ok) return what != nullptr ? false : mistake("a value cannot be read");
      eat(',');
    }
    return seen == 7 || mistake("descr, fortran_order or shape is missing");
  }

 private:
  bool mistake(const char* m) {
    what = m;
    return false;
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool eat(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view w) {
    skip();
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  bool string(std::string& out) {
    skip();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return false;
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return false;
    out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }
  bool boolean(bool& out) {
    out = word("True");
    return out || word("False");
  }
  bool tuple() {
    if (!eat('(')) return false;
    while (!eat(')')) {
      skip();
      int64_t v = 0;
      const auto [rest, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), v);
      if (error != std::errc() || v < 0) return false;
      at_ = static_cast<size_t>(rest - text_.data());
      if (shape.size() == kMaxRank) {
        too_many_dims = true;
        return false;
      }
      shape.push_back(v);
      eat('L');  // Python 2 wrote long integers so
      if (!eat(',') && (skip(), at_ >= text_.size() || text_[at_] != ')')) return false;
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

void swap_bytes(std::byte* data, size_t bytes, size_t word) {
  for (size_t i = 0; i + word <= bytes; i += word) std::reverse(data + i, data + i + word);
}

// Elements in Fortran order (the first index runs fastest) to C order.
void from_fortran(const std::byte* from, std::byte* to, const Shape& shape, size_t item) {
  Shape step(shape.size(), 1), at(shape.size(), 0);
  for (int d = 1; d < shape.size(); ++d) step[d] = step[d - 1] * shape[d - 1];
  int64_t offset = 0;
  for (int64_t i = 0, n = shape.product(); i < n; ++i) {
    std::memcpy(to + static_cast<size_t>(i) * item, from + static_cast<size_t>(offset) * item, item);
    for (int d = shape.size() - 1; d >= 0; --d) {
      offset += step[d];
      if (++at[d] < shape[d]) break;
      offset -= step[d] * shape[d];
      at[d] = 0;
    }
  }
}

}  // namespace

Result<Tensor> read_npy(const std::string& path) {
  GRAFT_TRY(const InputFile file, InputFile::open(path));
  const uint64_t end = file.size();
  uint8_t start[12] = {};
  GRAFT_CHECK(file.read(0, start, static_cast<size_t>(std::min<uint64_t>(end, sizeof start))));
  const auto byte = [&](size_t i) { return size_t{start[i]}; };
  if (end < 10 || std::memcmp(start, kMagic, kMagicSize) != 0)
    return fail_in(Code::malformed, path, "not an .npy file");
  const size_t version = byte(6), prefix = version == 1 ? 10 : 12;
  if (version < 1 || version > 3)
    return fail_in(Code::unsupported_format, path, format(".npy version {}, 1 to 3 are read", version));
  if (end < prefix) return fail_in(Code::malformed, path, "the .npy header is cut off");
  const size_t length =
      version == 1 ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > end - prefix) return fail_in(Code::malformed, path, "the .npy header is cut off");
  if (length > kMaxHeader)
    return fail_in(Code::limit_exceeded, path, format("a header of {} bytes, at most {} are read", length, kMaxHeader));
  std::string text(length, '\0');
  GRAFT_CHECK(file.read(prefix, text.data(), length));
  Header header(text);
  if (!header.parse()) {
    if (header.too_many_dims) return fail_in(Code::limit_exceeded, path, format("more than {} dims", kMaxRank));
    if (header.what == nullptr || header.descr.empty() || header.descr.size() > 16)
      return fail_in(Code::unsupported_format, path, "only plain arrays are read, not objects or structures");
    return fail_in(Code::malformed, path, format("the .npy header: {}", header.what));
  }
  const char order = header.descr[0];
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const NpyType& t) {
    return header.descr.size() > 1 && t.code == std::string_view(header.descr).substr(1);
  });
  if (type == std::end(kTypes) || std::string_view("<>|=").find(order) == std::string_view::npos)
    return fail_in(Code::unsupported_format, path, format("arrays of type '{}' are not read", header.descr));
  const int64_t count = checked_count(header.shape);
  const size_t item = item_size(type->dtype);
  const uint64_t data = end - prefix - length;
  if (count < 0 || static_cast<size_t>(count) > data / item)
    return fail_in(Code::malformed, path,
                   format("{} needs more than the {} bytes that follow", describe(type->dtype, header.shape), data));
  GRAFT_TRY(Tensor tensor, Tensor::allocate(type->dtype, header.shape));
  auto* to = static_cast<std::byte*>(tensor.mutable_view().data);
  const size_t size = static_cast<size_t>(count) * item;
  if (header.fortran && header.shape.size() > 1) {
    GRAFT_TRY(Tensor columns, Tensor::allocate(type->dtype, header.shape));
    auto* from = static_cast<std::byte*>(columns.mutable_view().data);
    GRAFT_CHECK(file.read(prefix + length, from, size));
    from_fortran(from, to, header.shape, item);
  } else {
    GRAFT_CHECK(file.read(prefix + length, to, size));
  }
  if (order == '>') swap_bytes(to, size, type->word);
  if (type->dtype == DType::boolean) {  // a bool in memory is 0 or 1, whatever the file says
    for (size_t i = 0; i < size; ++i) to[i] = to[i] == std::byte{0} ? std::byte{0} : std::byte{1};
  }
  return tensor;
}

Status write_npy(const std::string& path, const TensorView& tensor) {
  if (tensor.dtype == DType::bf16) {
    GRAFT_TRY(Tensor wide, Tensor::allocate(DType::f32, tensor.shape));
    for (int64_t i = 0; i < tensor.count(); ++i)
      wide.span<float>()[static_cast<size_t>(i)] = static_cast<float>(element_as_double(tensor, i));
    return write_npy(path, wide.view());
  }
  const auto* type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const NpyType& t) { return t.dtype == tensor.dtype; });
  if (type == std::end(kTypes))
    return fail_in(Code::unsupported_format, path, format("NumPy has no type for {}", graft::name(tensor.dtype)));
  std::string shape;
  for (const int64_t d : tensor.shape) shape += format("{}, ", d);
  // A tuple of one keeps its comma, longer ones lose comma and space.
  for (int drop = tensor.rank() == 0 ? 0 : tensor.rank() == 1 ? 1 : 2; drop > 0; --drop) shape.pop_back();
  std::string header = format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                              item_size(tensor.dtype) == 1 ? '|' : '<', type->code, shape);
  constexpr size_t kPrefix = 10, kAlign = 64;
  header.resize((header.size() + 1 + kPrefix + kAlign - 1) / kAlign * kAlign - kPrefix - 1, ' ');
  header += '\n';
  GRAFT_TRY(FileWriter file, FileWriter::create(path));
  file.write(std::string_view(kMagic, kMagicSize));
  const char numbers[] = {1, 0, static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  file.write(numbers, sizeof numbers);
  file.write(header);
  file.write(tensor.data, tensor.bytes());
  return file.close();
}

std::string file_name_of(std::string_view output) {
  std::string s(output);
  for (char& c : s) {
    const bool ok =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!ok) c = '_';
  }
  return s + ".npy";
}

}  // namespace graft::tools
