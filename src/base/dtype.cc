#include "base/dtype.h"

#include <array>

namespace graft {
namespace {

constexpr std::array kInfo = {
    DTypeInfo{DType::invalid, "invalid", 0, 0, 0, DTypeKind::none},
#define GRAFT_DTYPE(id, name, onnx, mil, bits, kind) DTypeInfo{DType::id, name, onnx, mil, bits, DTypeKind::kind},
#include "base/dtype.def"
#undef GRAFT_DTYPE
    DTypeInfo{DType::list, "list", 0, 0, 0, DTypeKind::list},
};

template <class Match>
DType find(Match match) {
  for (const DTypeInfo& i : kInfo) {
    if (i.dtype != DType::invalid && match(i)) return i.dtype;
  }
  return DType::invalid;
}

}  // namespace

const DTypeInfo& info(DType dtype) {
  size_t i = static_cast<size_t>(dtype);
  return kInfo[i < kInfo.size() ? i : 0];
}

size_t item_size(DType dtype) {
  if (dtype == DType::string) return sizeof(std::string);
  return static_cast<size_t>(bits(dtype)) / 8;
}

size_t byte_size(DType dtype, int64_t count) {
  if (dtype == DType::string) return static_cast<size_t>(count) * sizeof(std::string);
  return (static_cast<size_t>(count) * static_cast<size_t>(bits(dtype)) + 7) / 8;
}

DType dtype_from_onnx(int code) {
  return code == 0 ? DType::invalid : find([&](const DTypeInfo& i) { return i.onnx_code == code; });
}
DType dtype_from_mil(int code) {
  return code == 0 ? DType::invalid : find([&](const DTypeInfo& i) { return i.mil_code == code; });
}
DType dtype_from_name(std::string_view mil_name) {
  return find([&](const DTypeInfo& i) { return i.name == mil_name && i.kind != DTypeKind::list; });
}

int significand_digits(DType t) {
  switch (t) {
    case DType::bf16: return 8;
    case DType::f16: return 11;
    case DType::f32: return 24;
    case DType::f64: return 53;
    default: return 0;
  }
}

IntRange int_range(DType t) {
  const DTypeInfo& i = info(t);
  if (i.kind == DTypeKind::boolean) return {0, 1};
  if (i.kind == DTypeKind::unsigned_int) {
    return {0, i.bits >= 63 ? INT64_MAX : (int64_t{1} << i.bits) - 1};
  }
  if (i.kind == DTypeKind::signed_int && i.bits < 64) {
    int64_t half = int64_t{1} << (i.bits - 1);
    return {-half, half - 1};
  }
  return {};
}

std::string DTypes::to_string() const {
  std::string s;
  for (const DTypeInfo& i : kInfo) {
    if (!has(i.dtype) || i.dtype == DType::invalid) continue;
    if (!s.empty()) s += '/';
    s += i.name;
  }
  return s;
}

}  // namespace graft
