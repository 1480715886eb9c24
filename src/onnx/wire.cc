#include "onnx/wire.h"

#include <algorithm>
#include <protozero/varint.hpp>

#include "base/format.h"

namespace graft::onnx {

// The one place where protozero can throw; its exceptions end here.
uint64_t Wire::decode() {
  const char* p = reinterpret_cast<const char*>(at_);
  try {
    const uint64_t value = protozero::decode_varint(&p, reinterpret_cast<const char*>(end_));
    at_ = reinterpret_cast<const std::byte*>(p);
    return value;
  } catch (const protozero::end_of_buffer_exception&) {
    mistake("the data ends inside a number");
  } catch (const protozero::exception&) {
    mistake("a number takes more than 10 bytes");
  }
  return 0;
}

bool Wire::next() {
  if (pending_) skip();
  if (!ok() || at_ == end_) return false;
  const uint64_t key = decode();
  if (!ok()) return false;
  const uint64_t kind = key & 7;
  field_ = static_cast<uint32_t>(key >> 3);
  if (key > UINT32_MAX || field_ == 0) return mistake("not a field number"), false;
  if (kind == 3 || kind == 4 || kind > 5) return mistake("not a wire type"), false;
  kind_ = static_cast<Kind>(kind);
  pending_ = true;
  return true;
}

bool Wire::take(Kind kind) {
  if (!ok()) return false;
  if (!pending_ || kind_ != kind) return mistake("a field has another wire type than its meaning asks for"), false;
  pending_ = false;
  return true;
}

uint64_t Wire::varint() { return take(Kind::varint) ? decode() : 0; }

Bytes Wire::bytes() {
  if (!take(Kind::bytes)) return {};
  const uint64_t size = decode();
  if (!ok()) return {};
  if (size > static_cast<size_t>(end_ - at_)) return mistake("a length reaches past the end of what it is in"), Bytes{};
  at_ += size;
  return {at_ - size, static_cast<size_t>(size)};
}

Wire Wire::message() {
  Wire inner(bytes(), start_);
  if (!ok()) inner.adopt(*this);
  return inner;
}

std::string_view Wire::view() {
  const Bytes b = bytes();
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

void Wire::skip() {
  switch (kind_) {
    case Kind::varint: varint(); break;
    case Kind::fixed64: fixed<uint64_t>(Kind::fixed64); break;
    case Kind::fixed32: fixed<uint32_t>(Kind::fixed32); break;
    case Kind::bytes: bytes(); break;
  }
}

Bytes Wire::peek() const {
  Wire copy = *this;
  return copy.bytes();
}

size_t Wire::count_varints() const {
  if (kind_ != Kind::bytes) return 1;
  const Bytes packed = peek();
  return static_cast<size_t>(
      std::count_if(packed.begin(), packed.end(), [](std::byte b) { return std::to_integer<int>(b) < 128; }));
}

void Wire::mistake(const char* what) {
  if (what_ == nullptr) what_ = what;
  pending_ = false;
}

void Wire::adopt(const Wire& inner) {
  at_ = inner.at_;
  mistake(inner.what_);
}

Status Wire::status() const {
  if (ok()) return {};
  return fail(Code::malformed, format("{} (byte {})", what_, offset()));
}

namespace {

// The length of the well-formed UTF-8 character that `s` begins with, 0 when there is none. Overlong forms, surrogates
// and anything above U+10FFFF are not well-formed.
size_t character_length(std::string_view s) {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : uint8_t{0}; };
  const auto follows = [&](size_t i, int lo = 0x80, int hi = 0xbf) { return byte(i) >= lo && byte(i) <= hi; };
  const int b = byte(0);
  if (b < 0x80) return 1;
  if (b >= 0xc2 && b <= 0xdf) return follows(1) ? 2 : 0;
  if (b >= 0xe0 && b <= 0xef) {
    return follows(1, b == 0xe0 ? 0xa0 : 0x80, b == 0xed ? 0x9f : 0xbf) && follows(2) ? 3 : 0;
  }
  if (b >= 0xf0 && b <= 0xf4) {
    return follows(1, b == 0xf0 ? 0x90 : 0x80, b == 0xf4 ? 0x8f : 0xbf) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool is_plain_text(std::string_view s) {
  for (size_t n = 0; !s.empty(); s.remove_prefix(n)) {
    n = character_length(s);
    if (n == 0 || s[0] == '\0') return false;
  }
  return true;
}

std::string cleaned_text(std::string_view s) {
  if (is_plain_text(s)) return std::string(s);
  std::string out;
  while (!s.empty()) {
    const size_t n = character_length(s);
    if (n == 0 || s[0] == '\0') {
      out += "\xef\xbf\xbd";
    } else {
      out += s.substr(0, n);
    }
    s.remove_prefix(std::max<size_t>(n, 1));
  }
  return out;
}

}  // namespace graft::onnx
