#include "files/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "files/failure.h"
#include "files/file.h"
#include "files/utf.h"

namespace cli {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicSize = 6;
constexpr size_t kMaxHeader = size_t{1} << 20;

constexpr size_t kMaxRank = 8;  // as tensors have

struct NpyType {
  std::string_view code;  // without the byte order
  std::string_view name;  // Graft's
  graft_dtype dtype;
  size_t size, word;  // of an element; what a byte swap turns round: it, or its real part
};
constexpr NpyType kTypes[] = {
    {"b1", "bool", GRAFT_DTYPE_BOOL, 1, 1},           {"i1", "int8", GRAFT_DTYPE_INT8, 1, 1},
    {"i2", "int16", GRAFT_DTYPE_INT16, 2, 2},         {"i4", "int32", GRAFT_DTYPE_INT32, 4, 4},
    {"i8", "int64", GRAFT_DTYPE_INT64, 8, 8},         {"u1", "uint8", GRAFT_DTYPE_UINT8, 1, 1},
    {"u2", "uint16", GRAFT_DTYPE_UINT16, 2, 2},       {"u4", "uint32", GRAFT_DTYPE_UINT32, 4, 4},
    {"u8", "uint64", GRAFT_DTYPE_UINT64, 8, 8},       {"f2", "fp16", GRAFT_DTYPE_FLOAT16, 2, 2},
    {"f4", "fp32", GRAFT_DTYPE_FLOAT32, 4, 4},        {"f8", "fp64", GRAFT_DTYPE_FLOAT64, 8, 8},
    {"c8", "complex64", GRAFT_DTYPE_COMPLEX64, 8, 4}, {"c16", "complex128", GRAFT_DTYPE_COMPLEX128, 16, 8}};

// The header is a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }. Only what NumPy itself
// writes is taken; keys may come in any order.
class Header {
 public:
  explicit Header(std::string_view text) : text_(text) {}

  std::string descr;
  bool fortran = false;
  std::vector<int64_t> shape;
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
void from_fortran(const std::byte* from, std::byte* to, const std::vector<int64_t>& shape, size_t count, size_t item) {
  std::vector<int64_t> step(shape.size(), 1), at(shape.size(), 0);
  for (size_t d = 1; d < shape.size(); ++d) step[d] = step[d - 1] * shape[d - 1];
  int64_t offset = 0;
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(to + i * item, from + static_cast<size_t>(offset) * item, item);
    for (size_t d = shape.size(); d-- > 0;) {
      offset += step[d];
      if (++at[d] < shape[d]) break;
      offset -= step[d] * shape[d];
      at[d] = 0;
    }
  }
}

// How many elements of that size the shape has, when they fit into `most` bytes.
std::optional<size_t> count_within(const std::vector<int64_t>& shape, size_t item, uint64_t most) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  uint64_t count = 1;
  for (const int64_t d : shape) {
    if (static_cast<uint64_t>(d) > most / item / count) return {};
    count *= static_cast<uint64_t>(d);
  }
  return count <= most / item ? std::optional<size_t>(count) : std::nullopt;
}

// "U12" is 12 code points, of which those at the end that are 0 do not count.
std::optional<size_t> letters_of(std::string_view code) {
  size_t n = 0;
  if (!code.starts_with('U')) return std::nullopt;
  const auto [end, error] = std::from_chars(code.data() + 1, code.data() + code.size(), n);
  const bool number = error == std::errc() && end == code.data() + code.size() && n > 0 && n < (size_t{1} << 40);
  return number ? std::optional(n) : std::nullopt;
}

Array strings_of(const Array& points, size_t letters) {
  std::vector<std::string> list;
  std::vector<char32_t> one(letters);
  for (size_t at = 0; at < points.bytes; at += letters * sizeof(char32_t)) {
    std::memcpy(one.data(), points.data.get() + at, letters * sizeof(char32_t));
    const auto end = std::find_if(one.rbegin(), one.rend(), [](char32_t v) { return v != 0; });
    list.push_back(utf8(std::span(one.begin(), end.base())));
  }
  return Array::of_strings(std::move(list), points.shape);
}

}  // namespace

Array read_npy(const std::string& path) {
  const InputFile file(path);
  const auto wrong = [&](graft_code code, const std::string& message) -> Failure { return {code, message, path}; };
  const uint64_t end = file.size();
  uint8_t start[12] = {};
  file.read(0, start, static_cast<size_t>(std::min<uint64_t>(end, sizeof start)));
  const auto byte = [&](size_t i) { return size_t{start[i]}; };
  if (end < 10 || std::memcmp(start, kMagic, kMagicSize) != 0) throw wrong(GRAFT_CODE_MALFORMED, "not an .npy file");
  const size_t version = byte(6), prefix = version == 1 ? 10 : 12;
  if (version < 1 || version > 3)
    throw wrong(GRAFT_CODE_UNSUPPORTED_FORMAT, fmt::format(".npy version {}, 1 to 3 are read", version));
  if (end < prefix) throw wrong(GRAFT_CODE_MALFORMED, "the .npy header is cut off");
  const size_t length =
      version == 1 ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > end - prefix) throw wrong(GRAFT_CODE_MALFORMED, "the .npy header is cut off");
  if (length > kMaxHeader)
    throw wrong(GRAFT_CODE_LIMIT_EXCEEDED,
                fmt::format("a header of {} bytes, at most {} are read", length, kMaxHeader));
  std::string text(length, '\0');
  file.read(prefix, text.data(), length);
  Header header(text);
  if (!header.parse()) {
    if (header.too_many_dims) throw wrong(GRAFT_CODE_LIMIT_EXCEEDED, fmt::format("more than {} dims", kMaxRank));
    if (header.what == nullptr || header.descr.empty() || header.descr.size() > 16)
      throw wrong(GRAFT_CODE_UNSUPPORTED_FORMAT, "only plain arrays are read, not objects or structures");
    throw wrong(GRAFT_CODE_MALFORMED, fmt::format("the .npy header: {}", header.what));
  }
  const char order = header.descr[0];  // 0 where there is none
  const std::string_view code = std::string_view(header.descr).substr(std::min<size_t>(header.descr.size(), 1));
  const std::optional<size_t> letters = letters_of(code);
  const NpyType string{code, "string", GRAFT_DTYPE_STRING, letters.value_or(0) * sizeof(char32_t), sizeof(char32_t)};
  const auto* type =
      letters ? &string
              : std::find_if(std::begin(kTypes), std::end(kTypes), [&](const NpyType& t) { return t.code == code; });
  if (type == std::end(kTypes) || std::string_view("<>|=").find(order) == std::string_view::npos)
    throw wrong(GRAFT_CODE_UNSUPPORTED_FORMAT, fmt::format("arrays of type '{}' are not read", header.descr));
  const uint64_t data = end - prefix - length;
  const std::optional<size_t> count = count_within(header.shape, type->size, data);
  if (!count)
    throw wrong(GRAFT_CODE_MALFORMED, fmt::format("{}[{}] needs more than the {} bytes that follow", type->name,
                                                  fmt::join(header.shape, ", "), data));
  const size_t size = *count * type->size;
  Array array = Array::make(type->dtype, header.shape, size);
  std::byte* to = array.data.get();
  if (header.fortran && header.shape.size() > 1) {
    const std::unique_ptr<std::byte[]> from(new std::byte[size]);
    file.read(prefix + length, from.get(), size);
    from_fortran(from.get(), to, header.shape, *count, type->size);
  } else {
    file.read(prefix + length, to, size);
  }
  if (order == '>') swap_bytes(to, size, type->word);
  if (letters) return strings_of(array, *letters);
  if (type->dtype == GRAFT_DTYPE_BOOL) {  // a bool in memory is 0 or 1, whatever the file says
    for (size_t i = 0; i < size; ++i) to[i] = to[i] == std::byte{0} ? std::byte{0} : std::byte{1};
  }
  return array;
}

namespace {

std::string header_of(std::string_view descr, std::span<const int64_t> shape) {
  // A tuple of one keeps its comma.
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                                   fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  constexpr size_t kPrefix = 10, kAlign = 64;
  header.resize((header.size() + 1 + kPrefix + kAlign - 1) / kAlign * kAlign - kPrefix - 1, ' ');
  const char numbers[] = {1, 0, static_cast<char>((header.size() + 1) & 0xff),
                          static_cast<char>((header.size() + 1) >> 8)};
  return std::string(kMagic, kMagicSize) + std::string(numbers, sizeof numbers) + header + "\n";
}

}  // namespace

std::optional<std::string> npy_header(graft_dtype dtype, std::span<const int64_t> shape) {
  const auto* type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const NpyType& t) { return t.dtype == dtype; });
  if (type == std::end(kTypes)) return {};
  return header_of(fmt::format("{}{}", type->size == 1 ? '|' : '<', type->code), shape);
}

std::string npy_strings(std::span<const char* const> strings, std::span<const int64_t> shape) {
  std::vector<std::vector<char32_t>> all;
  size_t longest = 1;
  for (const char* s : strings) longest = std::max(longest, all.emplace_back(code_points(s)).size());
  std::string file = header_of(fmt::format("<U{}", longest), shape);
  for (std::vector<char32_t>& s : all) {
    s.resize(longest);
    file.append(reinterpret_cast<const char*>(s.data()), longest * sizeof(char32_t));
  }
  return file;
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

}  // namespace cli
