// Compiled once for each instruction set by Highway.

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#define HWY_WANT_AVX3_DL  // has an instruction for these products
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/native/code_kernels.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
// clang-format off
#include <hwy/highway.h>
// clang-format on

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/native/code_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace graft::engine::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D32 = hn::CappedTag<int32_t, 16>;
using DF = hn::Rebind<float, D32>;
using V32 = hn::Vec<D32>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D32()));

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
constexpr int64_t kWidth = 2 * kLanes;
constexpr int kRows = kLanes == 16 ? 8 : 6;  // their sums stay in registers

#if HWY_TARGET == HWY_AVX3_DL
HWY_INLINE V32 add_products(V32 unsigned_bytes, V32 signed_bytes, V32 sum) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(unsigned_bytes.raw), "v"(signed_bytes.raw));
  return sum;
}
#else
HWY_INLINE V32 add_pairs(V32 x, V32 y) {
#if HWY_TARGET == HWY_AVX3
  return V32{_mm512_madd_epi16(x.raw, y.raw)};
#else
  return V32{_mm256_madd_epi16(x.raw, y.raw)};
#endif
}
// Bytes become words: the even ones, then the odd ones. The instruction for bytes would saturate.
HWY_INLINE V32 add_products(V32 unsigned_bytes, V32 signed_bytes, V32 sum) {
  const hn::Repartition<int16_t, D32> words;
  const hn::Repartition<uint16_t, D32> unsigned_words;
  const auto u = hn::BitCast(unsigned_words, unsigned_bytes);
  const auto s = hn::BitCast(words, signed_bytes);
  const V32 even_u = hn::BitCast(D32(), hn::And(u, hn::Set(unsigned_words, 255)));
  const V32 odd_u = hn::BitCast(D32(), hn::ShiftRight<8>(u));
  const V32 even_s = hn::BitCast(D32(), hn::ShiftRight<8>(hn::ShiftLeft<8>(s)));
  const V32 odd_s = hn::BitCast(D32(), hn::ShiftRight<8>(s));
  return hn::Add(sum, hn::Add(add_pairs(even_u, even_s), add_pairs(odd_u, odd_s)));
}
#endif

template <bool unsigned_rows, int n>
void product_of(const uint8_t* rows, int64_t stride, const uint8_t* panel, int64_t fours, int32_t* out) {
  const D32 d;
  V32 low[n], high[n];
  for (int r = 0; r < n; ++r) low[r] = high[r] = hn::Zero(d);
  for (int64_t k = 0; k < fours; ++k, panel += 4 * kWidth) {
    const auto* columns = reinterpret_cast<const int32_t*>(panel);
    const V32 a = hn::LoadU(d, columns), c = hn::LoadU(d, columns + kLanes);
    for (int r = 0; r < n; ++r) {
      int32_t four;
      std::memcpy(&four, rows + r * stride + 4 * k, 4);
      const V32 row = hn::Set(d, four);
      low[r] = unsigned_rows ? add_products(row, a, low[r]) : add_products(a, row, low[r]);
      high[r] = unsigned_rows ? add_products(row, c, high[r]) : add_products(c, row, high[r]);
    }
  }
  for (int r = 0; r < n; ++r) {
    hn::StoreU(low[r], d, out + r * kWidth);
    hn::StoreU(high[r], d, out + r * kWidth + kLanes);
  }
}
#else
constexpr int64_t kWidth = 16;
constexpr int kRows = 4;

template <bool unsigned_rows, int n>
void product_of(const uint8_t* rows, int64_t stride, const uint8_t* panel, int64_t fours, int32_t* out) {
  const auto wide = [](uint8_t v, bool is_unsigned) { return is_unsigned ? int{v} : int{static_cast<int8_t>(v)}; };
  std::memset(out, 0, n * kWidth * sizeof(int32_t));
  for (int64_t k = 0; k < fours; ++k, panel += 4 * kWidth) {
    for (int r = 0; r < n; ++r) {
      for (int j = 0; j < 4; ++j) {
        const int row = wide(rows[r * stride + 4 * k + j], unsigned_rows);
        for (int64_t c = 0; c < kWidth; ++c) out[r * kWidth + c] += row * wide(panel[4 * c + j], !unsigned_rows);
      }
    }
  }
}
#endif

template <bool unsigned_rows>
void product(const uint8_t* rows, int64_t stride, const uint8_t* panel, int64_t fours, int64_t count, int32_t* out) {
  switch (count) {
    case 1: return product_of<unsigned_rows, 1>(rows, stride, panel, fours, out);
    case 2: return product_of<unsigned_rows, 2>(rows, stride, panel, fours, out);
    case 3: return product_of<unsigned_rows, 3>(rows, stride, panel, fours, out);
    case 4: return product_of<unsigned_rows, 4>(rows, stride, panel, fours, out);
    case 5: return product_of<unsigned_rows, 5>(rows, stride, panel, fours, out);
    case 6: return product_of<unsigned_rows, 6>(rows, stride, panel, fours, out);
    case 7: return product_of<unsigned_rows, 7>(rows, stride, panel, fours, out);
    default: return product_of<unsigned_rows, 8>(rows, stride, panel, fours, out);
  }
}

void interleave(const uint8_t* const* from, uint8_t* to) {
  const hn::CappedTag<uint8_t, kWidth> d;
  for (int64_t i = 0; i < kWidth; i += static_cast<int64_t>(hn::MaxLanes(d))) {
    hn::StoreInterleaved4(hn::LoadU(d, from[0] + i), hn::LoadU(d, from[1] + i), hn::LoadU(d, from[2] + i),
                          hn::LoadU(d, from[3] + i), d, to + 4 * i);
  }
}

// x[i..n), at most one vector; what is missing repeats the last.
template <class T, class D>
HWY_INLINE auto load_some(D d, const T* x, int64_t i, int64_t n) {
  if (i + kLanes <= n) return hn::LoadU(d, x + i);
  T some[kLanes];
  for (int64_t k = 0; k < kLanes; ++k) some[k] = x[i + k < n ? i + k : n - 1];
  return hn::LoadU(d, some);
}

// v as codes: first kept within what leaves the range once the zero point is added, which is a small integer.
HWY_INLINE V32 to_codes(hn::Vec<DF> v, hn::Vec<DF> least, hn::Vec<DF> most, V32 zero) {
  v = hn::IfThenElse(hn::IsNaN(v), least, hn::Min(hn::Max(v, least), most));
  return hn::Add(hn::NearestInt(v), zero);
}

template <class Load, class T>
HWY_INLINE void to_codes(const Load& load, int64_t n, float zero, float lo, float hi, T* y) {
  const D32 d;
  const hn::Rebind<T, D32> narrow;
  const auto least = hn::Set(DF(), lo - zero), most = hn::Set(DF(), hi - zero);
  const V32 z = hn::Set(d, static_cast<int32_t>(zero));
  const auto at = [&](int64_t i) {
    const V32 q = to_codes(load(i), least, most, z);
    return hn::DemoteTo(narrow, hn::And(q, hn::Set(d, std::numeric_limits<T>::max())));  // of either sign
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(at(i), narrow, y + i);
  if (i < n) {
    T last[kLanes];
    hn::StoreU(at(i), narrow, last);
    std::memcpy(y + i, last, static_cast<size_t>(n - i) * sizeof(T));
  }
}

void requantize(const int32_t* x, int64_t n, float scale, float zero, float lo, float hi, uint8_t* y) {
  const D32 d;
  const auto s = hn::Set(DF(), scale);
  to_codes([&](int64_t i) { return hn::Mul(hn::ConvertTo(DF(), load_some(d, x, i, n)), s); }, n, zero, lo, hi, y);
}

template <class T>
void quantize_to(const float* x, int64_t n, float scale, float zero, float lo, float hi, T* y) {
  const DF d;
  const auto s = hn::Set(d, scale);
  to_codes([&](int64_t i) { return hn::Div(load_some(d, x, i, n), s); }, n, zero, lo, hi, y);
}
void quantize(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint8_t* y) {
  quantize_to(x, n, scale, zero, lo, hi, y);
}
void quantize_wide(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint16_t* y) {
  quantize_to(x, n, scale, zero, lo, hi, y);
}

float dot_of_nibbles(const float* x, const float* x_sums, const uint8_t* codes, const float* scales, const float* zeros,
                     int64_t blocks, int64_t block) {
  const D32 d;
  const DF f;
  const hn::Rebind<uint8_t, D32> bytes;
  auto total = hn::Zero(f);
  float shift = 0;
  for (int64_t i = 0; i < blocks; ++i) {
    auto even = hn::Zero(f), odd = hn::Zero(f);
    for (int64_t k = 0; k < block; k += 32, codes += 16, x += 32) {
      for (int h = 0; h < 16; h += kLanes) {
        const V32 q = hn::PromoteTo(d, hn::LoadU(bytes, codes + h));
        const V32 low = hn::And(q, hn::Set(d, 15)), high = hn::ShiftRight<4>(q);
        even = hn::MulAdd(hn::ConvertTo(f, low), hn::LoadU(f, x + h), even);
        odd = hn::MulAdd(hn::ConvertTo(f, high), hn::LoadU(f, x + 16 + h), odd);
      }
    }
    total = hn::MulAdd(hn::Add(even, odd), hn::Set(f, scales[i]), total);
    shift += scales[i] * zeros[i] * x_sums[i];
  }
  return hn::GetLane(hn::SumOfLanes(f, total)) - shift;
}

}  // namespace

const CodeKernels* code_table() {
  static constexpr CodeKernels kTable = {kWidth,     kRows,    product<true>, product<false>, interleave,
                                         requantize, quantize, quantize_wide, dot_of_nibbles};
  return &kTable;
}

}  // namespace graft::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::engine {

HWY_EXPORT(code_table);

const CodeKernels& code_kernels() { return *HWY_DYNAMIC_DISPATCH(code_table)(); }

}  // namespace graft::engine
#endif
