// Compiled once for each instruction set by Highway.

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#define HWY_WANT_AVX3_DL  // has an instruction for these products
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/native/code_products.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
// clang-format off
#include <hwy/highway.h>
// clang-format on

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/native/code_products.h"

HWY_BEFORE_NAMESPACE();
namespace graft::engine::HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL

namespace hn = hwy::HWY_NAMESPACE;
using D32 = hn::CappedTag<int32_t, 16>;
using D16 = hn::Repartition<int16_t, D32>;
using Bytes = hn::Rebind<uint8_t, D16>;  // as many as there are words
using V32 = hn::Vec<D32>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D32()));
constexpr int64_t kWidth = 2 * kLanes;
constexpr int kRows = kLanes == 16 ? 8 : 6;  // their sums stay in registers

// The sums of pairs of products of words.
HWY_INLINE V32 add_pairs(V32 x, V32 y) {
#if HWY_TARGET == HWY_AVX2
  return V32{_mm256_madd_epi16(x.raw, y.raw)};
#else
  return V32{_mm512_madd_epi16(x.raw, y.raw)};
#endif
}

// Four bytes of both sides at once where there is an instruction for it; else two words: that of two bytes saturates.
#if HWY_TARGET == HWY_AVX3_DL
using Item = uint8_t;
constexpr int64_t kTogether = 4;
HWY_INLINE V32 load_panel(const uint8_t* panel, bool) {
  return hn::LoadU(D32(), reinterpret_cast<const int32_t*>(panel));
}
template <bool unsigned_rows>
HWY_INLINE V32 add_products(V32 row, V32 panel, V32 sum) {
  const V32 u = unsigned_rows ? row : panel, s = unsigned_rows ? panel : row;
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(u.raw), "v"(s.raw));
  return sum;
}
#else
using Item = int16_t;
constexpr int64_t kTogether = 2;
HWY_INLINE V32 load_panel(const uint8_t* panel, bool is_signed) {
  const Bytes d;
  const hn::RebindToSigned<Bytes> s;
  return hn::BitCast(D32(), is_signed ? hn::PromoteTo(D16(), hn::BitCast(s, hn::LoadU(d, panel)))
                                      : hn::PromoteTo(D16(), hn::LoadU(d, panel)));
}
template <bool unsigned_rows>
HWY_INLINE V32 add_products(V32 row, V32 panel, V32 sum) {
  return hn::Add(sum, add_pairs(row, panel));
}
#endif

int32_t take_row(const uint8_t* codes, int64_t n, uint8_t mask, bool is_signed, std::byte* to) {
  const hn::Rebind<uint8_t, D32> some;
  const hn::RebindToSigned<decltype(some)> signed_some;
  auto* row = reinterpret_cast<Item*>(to);
  const auto flip = hn::Set(some, mask);
  V32 sum = hn::Zero(D32());
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto code = hn::Xor(hn::LoadU(some, codes + i), flip);
    const V32 wide = is_signed ? hn::PromoteTo(D32(), hn::BitCast(signed_some, code)) : hn::PromoteTo(D32(), code);
    sum = hn::Add(sum, wide);
#if HWY_TARGET == HWY_AVX3_DL
    hn::StoreU(code, some, row + i);
#else
    hn::StoreU(hn::DemoteTo(hn::Rebind<Item, D32>(), wide), hn::Rebind<Item, D32>(), row + i);
#endif
  }
  int32_t total = hn::GetLane(hn::SumOfLanes(D32(), sum));
  for (; i < n; ++i) {
    const auto code = static_cast<uint8_t>(codes[i] ^ mask);
    const int value = is_signed ? int{static_cast<int8_t>(code)} : int{code};
    total += value;
    row[i] = static_cast<Item>(value);
  }
  for (; i % kTogether != 0; ++i) row[i] = 0;
  return total;
}

void interleave(const uint8_t* from, const int64_t* at, int64_t steps, uint8_t mask, uint8_t* panel) {
  const hn::CappedTag<uint8_t, kWidth> d;
  static_assert(hn::MaxLanes(d) == kWidth);
  const auto flip = hn::Set(d, mask);
  for (int64_t s = 0; s < steps; ++s, at += kTogether, panel += kTogether * kWidth) {
    const auto line = [&](int j) HWY_ATTR { return hn::Xor(hn::LoadU(d, from + at[j]), flip); };
    if constexpr (kTogether == 4)
      hn::StoreInterleaved4(line(0), line(1), line(2), line(3), d, panel);
    else
      hn::StoreInterleaved2(line(0), line(1), d, panel);
  }
}

// The sums are named one by one, so that they stay in registers.
template <bool unsigned_rows, size_t... r>
HWY_INLINE void product_of(std::index_sequence<r...>, const std::byte* rows, int64_t stride, const uint8_t* panel,
                           int64_t steps, int32_t* out) {
  const D32 d;
  constexpr int64_t kHalf = kTogether * kLanes, kStep = kTogether * static_cast<int64_t>(sizeof(Item));
  static_assert(kStep == sizeof(int32_t));
  V32 low[] = {(static_cast<void>(r), hn::Zero(d))...}, high[] = {(static_cast<void>(r), hn::Zero(d))...};
  for (int64_t k = 0; k < steps; ++k, panel += 2 * kHalf, rows += kStep) {
    const V32 a = load_panel(panel, unsigned_rows), c = load_panel(panel + kHalf, unsigned_rows);
    const auto add = [&](int64_t i) HWY_ATTR {
      int32_t step;
      std::memcpy(&step, rows + i * stride, sizeof step);
      const V32 row = hn::Set(d, step);
      low[i] = add_products<unsigned_rows>(row, a, low[i]);
      high[i] = add_products<unsigned_rows>(row, c, high[i]);
    };
    (add(r), ...);
  }
  ((hn::StoreU(low[r], d, out + r * kWidth), hn::StoreU(high[r], d, out + r * kWidth + kLanes)), ...);
}

template <bool unsigned_rows>
void product(const std::byte* rows, int64_t stride, const uint8_t* panel, int64_t steps, int64_t count, int32_t* out) {
  switch (count) {
    case 1: return product_of<unsigned_rows>(std::make_index_sequence<1>(), rows, stride, panel, steps, out);
    case 2: return product_of<unsigned_rows>(std::make_index_sequence<2>(), rows, stride, panel, steps, out);
    case 3: return product_of<unsigned_rows>(std::make_index_sequence<3>(), rows, stride, panel, steps, out);
    case 4: return product_of<unsigned_rows>(std::make_index_sequence<4>(), rows, stride, panel, steps, out);
    case 5: return product_of<unsigned_rows>(std::make_index_sequence<5>(), rows, stride, panel, steps, out);
    case 6: return product_of<unsigned_rows>(std::make_index_sequence<6>(), rows, stride, panel, steps, out);
    case 7:
      return product_of<unsigned_rows>(std::make_index_sequence<std::min(7, kRows)>(), rows, stride, panel, steps, out);
    default:
      return product_of<unsigned_rows>(std::make_index_sequence<std::min(8, kRows)>(), rows, stride, panel, steps, out);
  }
}

// Pairs of words from two lines of bytes: for the first kLanes places, then for the others.
HWY_INLINE void pair_up(const uint8_t* a, const uint8_t* c, V32& low, V32& high) {
  const Bytes d;
  const auto words = [](hn::Vec<Bytes> bytes) { return hn::BitCast(D32(), hn::PromoteTo(D16(), bytes)); };
  if constexpr (kLanes == 16) {
    const hn::Half<Bytes> half;
    const auto pair = [&](int64_t from) {
      const auto x = hn::LoadU(half, a + from), y = hn::LoadU(half, c + from);
      return words(hn::Combine(d, hn::InterleaveUpper(half, x, y), hn::InterleaveLower(half, x, y)));
    };
    low = pair(0);
    high = pair(kLanes);
  } else {
    const auto x = hn::LoadU(d, a), y = hn::LoadU(d, c);
    low = words(hn::InterleaveLower(d, x, y));
    high = words(hn::InterleaveUpper(d, x, y));
  }
}

// Two taps side by side make pairs of words.
void correlate(const uint8_t* x, const int64_t* at, const int16_t* weights, int64_t taps, int64_t n, int32_t* sums) {
  const D32 d;
  for (int64_t i = 0; i < n; i += 2 * kLanes) {
    V32 low = hn::Zero(d), high = hn::Zero(d);
    for (int64_t t = 0; t < taps; t += 2) {
      int32_t both;
      std::memcpy(&both, weights + t, sizeof both);
      const V32 w = hn::Set(d, both);
      V32 first, second;
      pair_up(x + at[t] + i, x + at[t + 1] + i, first, second);
      low = hn::Add(low, add_pairs(first, w));
      high = hn::Add(high, add_pairs(second, w));
    }
    hn::StoreU(low, d, sums + i);
    hn::StoreU(high, d, sums + i + kLanes);
  }
}

// some(i) for stretches of `bytes` that cover [0, n), the last one perhaps not only for the first time, or nothing
// where there are not so many.
template <class Some>
HWY_INLINE bool cover(int64_t n, int64_t bytes, const Some& some) {
  if (n < bytes) return false;
  for (int64_t i = 0; i + bytes < n; i += bytes) some(i);
  some(n - bytes);
  return true;
}

void copy(const uint8_t* from, int64_t n, uint8_t mask, uint8_t* to) {
  const auto with = [&](auto d) HWY_ATTR {
    const auto flip = hn::Set(d, mask);
    return cover(n, static_cast<int64_t>(hn::MaxLanes(d)),
                 [&](int64_t i) HWY_ATTR { hn::StoreU(hn::Xor(hn::LoadU(d, from + i), flip), d, to + i); });
  };
  if (with(hn::CappedTag<uint8_t, 32>()) || with(hn::CappedTag<uint8_t, 8>())) return;
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<uint8_t>(from[i] ^ mask);
}

void every_second(const uint8_t* from, int64_t n, uint8_t mask, uint8_t* to) {
  const hn::CappedTag<uint8_t, 16> d;
  const auto flip = hn::Set(d, mask);
  // The last one has perhaps nothing behind it.
  const auto some = [&](int64_t i) HWY_ATTR {
    hn::Vec<decltype(d)> even, odd;
    hn::LoadInterleaved2(d, from + 2 * i, even, odd);
    hn::StoreU(hn::Xor(even, flip), d, to + i);
  };
  const int64_t done = cover(n - 1, 16, some) ? n - 1 : 0;
  for (int64_t i = done; i < n; ++i) to[i] = static_cast<uint8_t>(from[2 * i] ^ mask);
}

#else

using Item = int16_t;
constexpr int64_t kWidth = 16, kTogether = 2;
constexpr int kRows = 4;

int32_t take_row(const uint8_t* codes, int64_t n, uint8_t mask, bool is_signed, std::byte* to) {
  auto* row = reinterpret_cast<Item*>(to);
  int32_t total = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto code = static_cast<uint8_t>(codes[i] ^ mask);
    row[i] = static_cast<Item>(is_signed ? int{static_cast<int8_t>(code)} : int{code});
    total += row[i];
  }
  if (n % 2 != 0) row[n] = 0;
  return total;
}

void interleave(const uint8_t* from, const int64_t* at, int64_t steps, uint8_t mask, uint8_t* panel) {
  for (int64_t s = 0; s < steps; ++s, at += 2, panel += 2 * kWidth) {
    for (int64_t i = 0; i < 2 * kWidth; ++i) panel[i] = static_cast<uint8_t>(from[at[i % 2] + i / 2] ^ mask);
  }
}

template <bool unsigned_rows>
void product(const std::byte* rows, int64_t stride, const uint8_t* panel, int64_t steps, int64_t count, int32_t* out) {
  const auto wide = [](uint8_t v) { return unsigned_rows ? int{static_cast<int8_t>(v)} : int{v}; };
  std::fill_n(out, count * kWidth, 0);
  for (int64_t k = 0; k < steps; ++k, panel += 2 * kWidth) {
    for (int64_t r = 0; r < count; ++r) {
      const Item* row = reinterpret_cast<const Item*>(rows + r * stride) + 2 * k;
      int32_t* sums = out + r * kWidth;
      for (int64_t c = 0; c < kWidth; ++c) sums[c] += row[0] * wide(panel[2 * c]) + row[1] * wide(panel[2 * c + 1]);
    }
  }
}

void correlate(const uint8_t* x, const int64_t* at, const int16_t* weights, int64_t taps, int64_t n, int32_t* sums) {
  std::fill_n(sums, n, 0);
  for (int64_t t = 0; t < taps; ++t) {
    for (int64_t i = 0; i < n; ++i) sums[i] += weights[t] * x[at[t] + i];
  }
}

void copy(const uint8_t* from, int64_t n, uint8_t mask, uint8_t* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<uint8_t>(from[i] ^ mask);
}

void every_second(const uint8_t* from, int64_t n, uint8_t mask, uint8_t* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<uint8_t>(from[2 * i] ^ mask);
}

#endif

}  // namespace

const CodeProducts* product_table() {
  static constexpr CodeProducts kTable = {kWidth,    kRows,      kTogether,     sizeof(Item),
                                          take_row,  interleave, product<true>, product<false>,
                                          correlate, copy,       every_second};
  return &kTable;
}

}  // namespace graft::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::engine {

HWY_EXPORT(product_table);

const CodeProducts& code_products() {
  static const CodeProducts& chosen = *HWY_DYNAMIC_DISPATCH(product_table)();
  return chosen;
}

}  // namespace graft::engine
#endif
