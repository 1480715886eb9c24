// Compiled once for each instruction set by Highway.

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/native/code_kernels.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
// clang-format off
#include <hwy/highway.h>
// clang-format on

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "engine/native/code_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace graft::engine::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D32 = hn::CappedTag<int32_t, 16>;
using DF = hn::Rebind<float, D32>;
using V32 = hn::Vec<D32>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D32()));

#define GRAFT_INLINE __attribute__((always_inline))  // for lambdas, which must have their function's instruction set

// x[i..n), at most one vector: all of one (std::true_type), or what is missing repeats the last.
template <class Whole, class T, class D>
HWY_INLINE auto load_some(Whole, D d, const T* x, int64_t i, int64_t n) {
  if constexpr (Whole::value) {
    return hn::LoadU(d, x + i);
  } else {
    T some[kLanes];
    for (int64_t k = 0; k < kLanes; ++k) some[k] = x[i + k < n ? i + k : n - 1];
    return hn::LoadU(d, some);
  }
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
  const auto at = [&](auto whole, int64_t i) GRAFT_INLINE {
    const V32 q = to_codes(load(whole, i), least, most, z);
    return hn::DemoteTo(narrow, hn::And(q, hn::Set(d, std::numeric_limits<T>::max())));  // of either sign
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(at(std::true_type(), i), narrow, y + i);
  if (i < n) {
    T last[kLanes];
    hn::StoreU(at(std::false_type(), i), narrow, last);
    std::memcpy(y + i, last, static_cast<size_t>(n - i) * sizeof(T));
  }
}

template <class Whole>
HWY_INLINE V32 shifted(Whole whole, const int32_t* x, const Shift& s, int64_t i, int64_t n) {
  const D32 d;
  V32 v = hn::Add(load_some(whole, d, x, i, n), hn::Set(d, s.base));
  if (s.add != nullptr) v = hn::Add(v, load_some(whole, d, s.add, i, n));
  if (s.times != nullptr) v = hn::Sub(v, hn::Mul(hn::Set(d, s.factor), load_some(whole, d, s.times, i, n)));
  return v;
}

void shift(const int32_t* x, int64_t n, const Shift& shift, int32_t* y) {
  const D32 d;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(shifted(std::true_type(), x, shift, i, n), d, y + i);
  if (i < n) {
    int32_t last[kLanes];
    hn::StoreU(shifted(std::false_type(), x, shift, i, n), d, last);
    std::memcpy(y + i, last, static_cast<size_t>(n - i) * sizeof(int32_t));
  }
}

void requantize(const int32_t* x, int64_t n, const Shift& shift, const float* scale, int64_t scale_step, float zero,
                float lo, float hi, uint8_t* y) {
  const DF f;
  const auto number = [&](auto whole, int64_t i)
                          GRAFT_INLINE { return hn::ConvertTo(f, shifted(whole, x, shift, i, n)); };
  if (scale_step == 0) {
    const auto s = hn::Set(f, *scale);
    to_codes([&](auto whole, int64_t i) GRAFT_INLINE { return hn::Mul(number(whole, i), s); }, n, zero, lo, hi, y);
  } else {
    const auto scaled = [&](auto whole, int64_t i)
                            GRAFT_INLINE { return hn::Mul(number(whole, i), load_some(whole, f, scale, i, n)); };
    to_codes(scaled, n, zero, lo, hi, y);
  }
}

template <class T>
void quantize_to(const float* x, int64_t n, float scale, float zero, float lo, float hi, T* y) {
  const DF d;
  const auto s = hn::Set(d, scale);
  to_codes([&](auto whole, int64_t i) GRAFT_INLINE { return hn::Div(load_some(whole, d, x, i, n), s); }, n, zero, lo,
           hi, y);
}
void quantize(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint8_t* y) {
  quantize_to(x, n, scale, zero, lo, hi, y);
}
void quantize_wide(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint16_t* y) {
  quantize_to(x, n, scale, zero, lo, hi, y);
}

void dequantize(const uint8_t* x, int64_t n, bool is_signed, float scale, float zero, float* y) {
  const DF f;
  const hn::Rebind<uint8_t, D32> bytes;
  const hn::RebindToSigned<decltype(bytes)> signed_bytes;
  const auto s = hn::Set(f, scale), z = hn::Set(f, zero);
  const auto at = [&](auto whole, int64_t i) GRAFT_INLINE {
    const auto code = load_some(whole, bytes, x, i, n);
    const V32 wide = is_signed ? hn::PromoteTo(D32(), hn::BitCast(signed_bytes, code)) : hn::PromoteTo(D32(), code);
    return hn::Mul(hn::Sub(hn::ConvertTo(f, wide), z), s);
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(at(std::true_type(), i), f, y + i);
  if (i < n) {
    float last[kLanes];
    hn::StoreU(at(std::false_type(), i), f, last);
    std::memcpy(y + i, last, static_cast<size_t>(n - i) * sizeof(float));
  }
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
  static constexpr CodeKernels kTable = {requantize, shift, quantize, quantize_wide, dequantize, dot_of_nibbles};
  return &kTable;
}

}  // namespace graft::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::engine {

HWY_EXPORT(code_table);

const CodeKernels& code_kernels() {
  static const CodeKernels& chosen = *HWY_DYNAMIC_DISPATCH(code_table)();
  return chosen;
}

}  // namespace graft::engine
#endif
