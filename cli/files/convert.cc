#include "files/convert.h"

#include <algorithm>
#include <cmath>

#include <graft/graft.hpp>

namespace cli {
namespace {

struct Kind {
  graft_dtype dtype, numpy;
  size_t bits;
};
constexpr Kind kKinds[] = {{GRAFT_DTYPE_BOOL, GRAFT_DTYPE_BOOL, 8},
                           {GRAFT_DTYPE_INT8, GRAFT_DTYPE_INT8, 8},
                           {GRAFT_DTYPE_INT16, GRAFT_DTYPE_INT16, 16},
                           {GRAFT_DTYPE_INT32, GRAFT_DTYPE_INT32, 32},
                           {GRAFT_DTYPE_INT64, GRAFT_DTYPE_INT64, 64},
                           {GRAFT_DTYPE_UINT8, GRAFT_DTYPE_UINT8, 8},
                           {GRAFT_DTYPE_UINT16, GRAFT_DTYPE_UINT16, 16},
                           {GRAFT_DTYPE_UINT32, GRAFT_DTYPE_UINT32, 32},
                           {GRAFT_DTYPE_UINT64, GRAFT_DTYPE_UINT64, 64},
                           {GRAFT_DTYPE_FLOAT16, GRAFT_DTYPE_FLOAT16, 16},
                           {GRAFT_DTYPE_FLOAT32, GRAFT_DTYPE_FLOAT32, 32},
                           {GRAFT_DTYPE_FLOAT64, GRAFT_DTYPE_FLOAT64, 64},
                           {GRAFT_DTYPE_BFLOAT16, GRAFT_DTYPE_FLOAT32, 16},
                           {GRAFT_DTYPE_FLOAT8E4M3FN, GRAFT_DTYPE_FLOAT32, 8},
                           {GRAFT_DTYPE_FLOAT8E4M3FNUZ, GRAFT_DTYPE_FLOAT32, 8},
                           {GRAFT_DTYPE_FLOAT8E5M2, GRAFT_DTYPE_FLOAT32, 8},
                           {GRAFT_DTYPE_FLOAT8E5M2FNUZ, GRAFT_DTYPE_FLOAT32, 8},
                           {GRAFT_DTYPE_FLOAT8E8M0, GRAFT_DTYPE_FLOAT32, 8},
                           {GRAFT_DTYPE_FLOAT4E2M1, GRAFT_DTYPE_FLOAT32, 4},
                           {GRAFT_DTYPE_INT4, GRAFT_DTYPE_INT8, 4},
                           {GRAFT_DTYPE_UINT4, GRAFT_DTYPE_UINT8, 4},
                           {GRAFT_DTYPE_INT2, GRAFT_DTYPE_INT8, 2},
                           {GRAFT_DTYPE_UINT2, GRAFT_DTYPE_UINT8, 2}};

const Kind* kind_of(graft_dtype t) {
  const auto* at = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return k.dtype == t; });
  return at == std::end(kKinds) ? nullptr : at;
}

}  // namespace

graft_dtype numpy_type(graft_dtype dtype) {
  const Kind* kind = kind_of(dtype);
  return kind == nullptr ? dtype : kind->numpy;
}

uint16_t half_bits(double v) {
  const auto sign = static_cast<uint16_t>(std::signbit(v) ? 0x8000 : 0);
  const double a = std::abs(v);
  if (std::isnan(a)) return 0x7e00;
  if (a >= 65520) return static_cast<uint16_t>(sign | 0x7c00);
  const int exponent = a == 0 ? -14 : std::max(std::ilogb(a), -14);
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(a, 10 - exponent)));  // 1024 up, or subnormal
  return static_cast<uint16_t>(sign | (((exponent + 14) << 10) + units));
}

std::optional<Array> converted(const Array& array, graft_dtype to) {
  const Kind *was = kind_of(array.dtype), *is = kind_of(to);
  if (was == nullptr || is == nullptr) return std::nullopt;
  size_t count = 1;
  for (const int64_t d : array.shape) count *= static_cast<size_t>(d);
  Array made = Array::make(to, array.shape, (count * is->bits + 7) / 8);
  if (made.bytes != 0) made.data[made.bytes - 1] = {};  // beyond the last element too
  auto from = graft::detail::sized<graft_input>();
  auto into = graft::detail::sized<graft_output>();
  from.dtype = array.dtype;
  into.dtype = to;
  from.rank = into.rank = static_cast<int32_t>(array.shape.size());
  from.shape = into.shape = array.shape.data();
  from.data = array.data.get();
  from.bytes = array.bytes;
  into.data = made.data.get();
  into.bytes = made.bytes;
  int32_t exact = 0;
  graft::check(graft_convert(&from, &into, &exact));
  return exact != 0 ? std::optional(std::move(made)) : std::nullopt;
}

}  // namespace cli
