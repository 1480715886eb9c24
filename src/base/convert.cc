#include "base/convert.h"

#include <cmath>
#include <cstring>

#include "base/store_element.h"

namespace graft {
namespace {

bool whole(DType t) { return is_int(t) || t == DType::boolean; }

// The integer v, negative ones in two's complement.
bool put_integer(const MutableTensorView& to, int64_t i, uint64_t v, bool negative) {
  const auto as_int = static_cast<int64_t>(v);
  if (!whole(to.dtype)) {
    const double d = negative ? static_cast<double>(as_int) : static_cast<double>(v);
    const bool exact = negative ? static_cast<int64_t>(d) == as_int : d < 0x1p64 && static_cast<uint64_t>(d) == v;
    store_element(to, i, d, false);
    return exact && element_as_double(to, i) == d;
  }
  if (to.dtype == DType::u64) {
    if (negative) return false;
  } else {
    const IntRange range = to.dtype == DType::boolean ? IntRange{0, 1} : int_range(to.dtype);
    if ((!negative && as_int < 0) || as_int < range.lo || as_int > range.hi) return false;
  }
  if (const size_t size = item_size(to.dtype); size != 0)
    std::memcpy(static_cast<std::byte*>(to.data) + static_cast<size_t>(i) * size, &v,
                size);  // its low bytes come first
  else
    store_element(to, i, static_cast<double>(as_int));
  return true;
}

bool put_real(const MutableTensorView& to, int64_t i, double d, bool may_round) {
  if (whole(to.dtype)) {
    if (!(d >= -0x1p63 && d < 0x1p64) || d != std::trunc(d)) return false;
    return put_integer(to, i, d < 0 ? static_cast<uint64_t>(static_cast<int64_t>(d)) : static_cast<uint64_t>(d), d < 0);
  }
  store_element(to, i, d, false);
  const double back = element_as_double(to, i);
  return back == d || (std::isnan(d) && std::isnan(back)) || (may_round && std::isfinite(back) && std::isfinite(d));
}

}  // namespace

bool convert_exactly(const TensorView& from, const MutableTensorView& to) {
  const bool may_round = from.dtype == DType::f64 && to.dtype == DType::f32;
  for (int64_t i = 0, n = from.count(); i < n; ++i) {
    bool same = false;
    if (whole(from.dtype)) {
      const uint64_t v = element_as_bits(from, i);
      same = put_integer(to, i, v, from.dtype != DType::u64 && static_cast<int64_t>(v) < 0);
    } else {
      same = put_real(to, i, element_as_double(from, i), may_round);
    }
    if (!same) return false;
  }
  return true;
}

}  // namespace graft
