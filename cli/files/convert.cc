#include "files/convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace cli {
namespace {

struct Bool {
  uint8_t bits = 0;
  double number() const { return bits; }
};
struct Half {
  uint16_t bits = 0;
  double number() const {
    const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
    double v = NAN;
    if (exponent < 31)
      v = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    else if (fraction == 0)
      v = HUGE_VAL;
    return (bits & 0x8000) != 0 ? -v : v;
  }
};
struct BFloat {
  uint16_t bits = 0;
  double number() const { return static_cast<double>(std::bit_cast<float>(uint32_t{bits} << 16)); }
};

template <class T>
concept Plain = std::is_arithmetic_v<T>;

// Calls f with a value of the element type.
template <class F>
bool visit(graft_dtype t, F&& f) {
  switch (t) {
    case GRAFT_DTYPE_BOOL: return f(Bool());
    case GRAFT_DTYPE_INT8: return f(int8_t());
    case GRAFT_DTYPE_INT16: return f(int16_t());
    case GRAFT_DTYPE_INT32: return f(int32_t());
    case GRAFT_DTYPE_INT64: return f(int64_t());
    case GRAFT_DTYPE_UINT8: return f(uint8_t());
    case GRAFT_DTYPE_UINT16: return f(uint16_t());
    case GRAFT_DTYPE_UINT32: return f(uint32_t());
    case GRAFT_DTYPE_UINT64: return f(uint64_t());
    case GRAFT_DTYPE_FLOAT16: return f(Half());
    case GRAFT_DTYPE_BFLOAT16: return f(BFloat());
    case GRAFT_DTYPE_FLOAT32: return f(float());
    case GRAFT_DTYPE_FLOAT64: return f(double());
    default: return false;
  }
}

// Whether `to` became the number v.
template <class V, class T>
bool becomes(V v, T& to) {
  if constexpr (std::is_same_v<T, Bool>) {
    to.bits = v == V{1} ? 1 : 0;
    return v == V{0} || v == V{1};
  } else if constexpr (std::is_integral_v<T> && std::is_integral_v<V>) {
    to = static_cast<T>(v);
    return static_cast<V>(to) == v && (v < V{0}) == (to < T{0});
  } else if constexpr (std::is_integral_v<T>) {
    // 2^n and -2^n are floating-point numbers, the largest integer may not be.
    const double end = std::ldexp(1, std::numeric_limits<T>::digits);
    const auto d = static_cast<double>(v);
    if (!(d < end && d >= (std::is_signed_v<T> ? -end : 0)) || d != std::trunc(d)) return false;
    to = static_cast<T>(d);
    return true;
  } else if constexpr (std::is_integral_v<V>) {
    const auto d = static_cast<double>(v);
    V back{};
    return becomes(d, to) && becomes(d, back) && back == v;
  } else if constexpr (std::is_same_v<T, Half>) {
    const auto d = static_cast<double>(v);
    to.bits = half_bits(d);
    return std::isnan(d) || to.number() == d;
  } else if constexpr (std::is_same_v<T, BFloat>) {
    float single = 0;
    if (!becomes(v, single)) return false;
    const auto bits = std::bit_cast<uint32_t>(single);
    to.bits = static_cast<uint16_t>((bits >> 16) | (std::isnan(single) ? 0x40 : 0));
    return std::isnan(single) || to.number() == static_cast<double>(single);
  } else {
    to = static_cast<T>(v);
    return std::isnan(v) || static_cast<V>(to) == v;
  }
}

template <class From, class To>
bool convert(const std::byte* from, std::byte* to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    From v;
    To y;
    std::memcpy(&v, from + i * sizeof v, sizeof v);
    bool ok = false;
    if constexpr (!Plain<From>) {
      ok = becomes(v.number(), y);
    } else if constexpr (std::is_same_v<From, double> && std::is_same_v<To, float>) {
      y = static_cast<float>(v);
      ok = !std::isfinite(v) || std::isfinite(y);
    } else {
      ok = becomes(v, y);
    }
    if (!ok) return false;
    std::memcpy(to + i * sizeof y, &y, sizeof y);
  }
  return true;
}

}  // namespace

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
  std::optional<Array> made;
  const bool ok = visit(array.dtype, [&](auto from) {
    return visit(to, [&](auto into) {
      const size_t count = array.bytes / sizeof from;
      made = Array::make(to, array.shape, count * sizeof into);
      return convert<decltype(from), decltype(into)>(array.data.get(), made->data.get(), count);
    });
  });
  return ok ? std::move(made) : std::nullopt;
}

}  // namespace cli
