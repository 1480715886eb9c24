#include "npy.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/format.h"

namespace graft::test {
namespace {

constexpr std::array<std::pair<DType, const char*>, 12> kTypes{{{DType::f16, "<f2"},
                                                                {DType::f32, "<f4"},
                                                                {DType::f64, "<f8"},
                                                                {DType::i8, "|i1"},
                                                                {DType::i16, "<i2"},
                                                                {DType::i32, "<i4"},
                                                                {DType::i64, "<i8"},
                                                                {DType::u8, "|u1"},
                                                                {DType::u16, "<u2"},
                                                                {DType::u32, "<u4"},
                                                                {DType::u64, "<u8"},
                                                                {DType::boolean, "|b1"}}};

}  // namespace

Result<Tensor> read_npy(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  if (!f) return fail(Code::file_not_found, path);
  const std::string all((std::istreambuf_iterator<char>(f)), {});
  if (all.size() < 10 || all.compare(0, 6, "\x93NUMPY") != 0) return fail(Code::malformed, path);
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(all[i])); };
  const bool first = all[6] == 1;
  const size_t start = first ? 10 : 12;
  const size_t length = byte(8) | byte(9) << 8 | (first ? 0 : byte(10) << 16 | byte(11) << 24);
  if (start + length > all.size()) return fail(Code::malformed, path);
  const std::string header = all.substr(start, length);
  if (header.find("'fortran_order': False") == std::string::npos) return fail(Code::unsupported_format, path);
  DType dtype = DType::invalid;
  for (const auto& [t, descr] : kTypes) {
    if (header.find(format("'{}'", descr)) != std::string::npos) dtype = t;
  }
  if (dtype == DType::invalid) return fail(Code::unsupported_dtype, header);
  Shape shape;
  const char* at = header.c_str() + header.find('(') + 1;
  while (*at != ')' && shape.size() < kMaxRank) {
    char* end = nullptr;
    const long long v = std::strtoll(at, &end, 10);
    if (end == at) break;
    shape.push_back(v);
    at = end;
    while (*at == ',' || *at == ' ') ++at;
  }
  GRAFT_TRY(Tensor t, Tensor::allocate(dtype, shape));
  if (all.size() - start - length < t.view().bytes()) return fail(Code::malformed, path);
  if (t.view().bytes() != 0) std::memcpy(t.mutable_view().data, all.data() + start + length, t.view().bytes());
  return t;
}

Status write_npy(const std::string& path, const TensorView& t) {
  const char* descr = nullptr;
  for (const auto& [dtype, d] : kTypes) {
    if (dtype == t.dtype) descr = d;
  }
  if (descr == nullptr) return fail(Code::unsupported_dtype, std::string(name(t.dtype)));
  std::string dims;
  for (int64_t d : t.shape) dims += format("{},", d);
  std::string header = format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, dims);
  while ((header.size() + 11) % 64 != 0) header += ' ';
  header += '\n';
  std::ofstream f(path, std::ios::binary);
  f << "\x93NUMPY" << '\1' << '\0' << static_cast<char>(header.size() & 255) << static_cast<char>(header.size() >> 8)
    << header;
  f.write(static_cast<const char*>(t.data), static_cast<std::streamsize>(t.bytes()));
  return f ? Status{} : fail(Code::io_error, path);
}

}  // namespace graft::test
