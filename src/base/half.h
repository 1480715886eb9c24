// fp16 and bf16 as storage types. Arithmetic is done in fp32 or wider; a store rounds to nearest, ties to even.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace graft {

constexpr uint16_t f16_bits(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f);
  const uint16_t sign = static_cast<uint16_t>((x >> 16) & 0x8000u);
  const uint32_t a = x & 0x7fffffffu;
  if (a >= 0x47800000u) {  // 65536 and above, inf, nan
    if (a > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((a >> 13) & 0x1ffu));
    return static_cast<uint16_t>(sign | 0x7c00u);
  }
  if (a < 0x38800000u) {               // below 2^-14: subnormal or zero
    if (a < 0x33000000u) return sign;  // below 2^-25: half the smallest subnormal rounds to even, zero
    const int shift = 126 - static_cast<int>(a >> 23);
    const uint32_t m = (a & 0x7fffffu) | 0x800000u;
    uint32_t r = m >> shift;
    const uint32_t rest = m & ((1u << shift) - 1), half = 1u << (shift - 1);
    if (rest > half || (rest == half && (r & 1u))) ++r;
    return static_cast<uint16_t>(sign | r);
  }
  uint32_t r = (a - 0x38000000u) >> 13;
  const uint32_t rest = a & 0x1fffu;
  if (rest > 0x1000u || (rest == 0x1000u && (r & 1u))) ++r;  // may carry into inf, which is right
  return static_cast<uint16_t>(sign | r);
}

constexpr float f16_value(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t e = (h >> 10) & 0x1fu, m = h & 0x3ffu;
  if (e == 31) return std::bit_cast<float>(sign | 0x7f800000u | (m << 13));
  if (e != 0) return std::bit_cast<float>(sign | ((e + 112u) << 23) | (m << 13));
  const float v = static_cast<float>(m) * 0x1p-24f;
  return sign ? -v : v;
}

constexpr uint16_t bf16_bits(float f) {
  uint32_t x = std::bit_cast<uint32_t>(f);
  if ((x & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((x >> 16) | 0x40u);
  x += 0x7fffu + ((x >> 16) & 1u);
  return static_cast<uint16_t>(x >> 16);
}
constexpr float bf16_value(uint16_t b) { return std::bit_cast<float>(static_cast<uint32_t>(b) << 16); }

struct Half {
  uint16_t raw = 0;
  Half() = default;
  constexpr explicit Half(float f) : raw(f16_bits(f)) {}
  constexpr explicit Half(double d) : raw(f16_bits(round_to_odd(d))) {}
  template <class I>
  requires std::is_integral_v<I>
  constexpr explicit Half(I i) : Half(static_cast<double>(i)) {}
  constexpr operator float() const { return f16_value(raw); }

  // double -> float such that a second rounding to fp16 gives the correctly rounded result.
  static constexpr float round_to_odd(double d) {
    float f = static_cast<float>(d);
    if (static_cast<double>(f) == d || d != d || f - f != 0.0f) return f;
    uint32_t x = std::bit_cast<uint32_t>(f);
    const bool above = (d > 0) == (static_cast<double>(f) > d);  // |f| > |d|
    if (above) --x;
    return std::bit_cast<float>(x | 1u);
  }
};

struct BFloat16 {
  uint16_t raw = 0;
  BFloat16() = default;
  constexpr explicit BFloat16(float f) : raw(bf16_bits(f)) {}
  constexpr explicit BFloat16(double d) : raw(bf16_bits(Half::round_to_odd(d))) {}
  template <class I>
  requires std::is_integral_v<I>
  constexpr explicit BFloat16(I i) : BFloat16(static_cast<double>(i)) {}
  constexpr operator float() const { return bf16_value(raw); }
};

// Bulk conversions, `count` elements; pointers may be unaligned. Uses F16C or AVX-512 where the CPU has it;
// every path gives the bits of f16_bits / f16_value (NaN payloads aside).
void f32_to_f16(const void* src, void* dst, int64_t count);
void f16_to_f32(const void* src, void* dst, int64_t count);

}  // namespace graft
