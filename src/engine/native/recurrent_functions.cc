// Compiled once for each instruction set by Highway.

// Vectors of a size that only the run knows cannot be held in arrays.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/native/recurrent_functions.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
// clang-format off
#include <hwy/highway.h>
#include "engine/native/vector_math-inl.h"
// clang-format on

#include "engine/native/recurrent_functions.h"

HWY_BEFORE_NAMESPACE();
namespace graft::engine::HWY_NAMESPACE {
namespace {

int64_t lanes() { return static_cast<int64_t>(hn::Lanes(D())); }

// kRows rows by 2 * kPanels vectors of columns, held in registers.
template <int kRows, int kPanels>
HWY_INLINE void block(const float* x, int64_t x_step, int64_t inner, const float* packed, const float* start,
                      int64_t start_step, float* y, int64_t y_step) {
  const D d;
  const int64_t n = lanes(), panel = 2 * n;
  V acc[kRows][2 * kPanels];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (int v = 0; v < 2 * kPanels; ++v) acc[r][v] = hn::LoadU(d, start + r * start_step + v * n);
  }
  for (int64_t k = 0; k < inner; ++k) {
    V w[2 * kPanels];
    HWY_UNROLL(8)
    for (int v = 0; v < 2 * kPanels; ++v) w[v] = hn::LoadU(d, packed + (v / 2 * inner + k) * panel + v % 2 * n);
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      const V a = hn::Set(d, x[r * x_step + k]);
      HWY_UNROLL(8)
      for (int v = 0; v < 2 * kPanels; ++v) acc[r][v] = hn::MulAdd(a, w[v], acc[r][v]);
    }
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (int v = 0; v < 2 * kPanels; ++v) hn::StoreU(acc[r][v], d, y + r * y_step + v * n);
  }
}

// All rows by kPanels panels of columns.
template <int kPanels, int kMost>
HWY_INLINE void rows_of(const float* x, int64_t x_step, int64_t rows, int64_t inner, const float* packed,
                        const float* start, int64_t start_step, float* y, int64_t y_step) {
  int64_t r = 0;
  const auto at = [&](auto f, int64_t count) {
    f(x + r * x_step, x_step, inner, packed, start + r * start_step, start_step, y + r * y_step, y_step);
    r += count;
  };
  if constexpr (kMost >= 6) {
    while (rows - r >= 6) at(block<6, kPanels>, 6);
    if (rows - r >= 4) at(block<4, kPanels>, 4);
    if (rows - r == 3) at(block<3, kPanels>, 3);
  }
  if constexpr (kMost >= 2) {
    while (rows - r >= 2) at(block<2, kPanels>, 2);
  }
  while (rows - r >= 1) at(block<1, kPanels>, 1);
}

void product(const float* x, int64_t x_step, int64_t rows, int64_t inner, const float* packed, int64_t columns,
             const float* start, int64_t start_step, float* y, int64_t y_step) {
  const int64_t panel = 2 * lanes(), panels = columns / panel;
  int64_t p = 0;
  // Few rows: more columns at once, so that enough sums are under way.
  if (rows == 1) {
    for (; p + 4 <= panels; p += 4)
      rows_of<4, 1>(x, x_step, rows, inner, packed + p * inner * panel, start + p * panel, start_step, y + p * panel,
                    y_step);
  } else if (rows == 2) {
    for (; p + 2 <= panels; p += 2)
      rows_of<2, 2>(x, x_step, rows, inner, packed + p * inner * panel, start + p * panel, start_step, y + p * panel,
                    y_step);
  }
  for (; p < panels; ++p)
    rows_of<1, 6>(x, x_step, rows, inner, packed + p * inner * panel, start + p * panel, start_step, y + p * panel,
                  y_step);
}

template <class F>
HWY_INLINE void each(int64_t n, const F& f) {
  const int64_t step = lanes();
  for (int64_t i = 0; i < n; i += step) f(i);
}
HWY_INLINE V at(const float* x, int64_t i) { return hn::LoadU(D(), x + i); }

void sigmoid(float* v, int64_t n) {
  each(n, [&](int64_t i) HWY_ATTR { hn::StoreU(sigmoid_of(at(v, i)), D(), v + i); });
}
void tanh(float* v, int64_t n) {
  each(n, [&](int64_t i) HWY_ATTR { hn::StoreU(tanh_of(at(v, i)), D(), v + i); });
}
void clip(float* v, float limit, int64_t n) {
  const V hi = set(limit), lo = set(-limit);
  each(n, [&](int64_t i) HWY_ATTR {  // NaN stays
    const V x = at(v, i), below = hn::IfThenElse(hn::Gt(x, hi), hi, x);
    hn::StoreU(hn::IfThenElse(hn::Lt(below, lo), lo, below), D(), v + i);
  });
}
void multiply(const float* a, const float* b, float* y, int64_t n) {
  each(n, [&](int64_t i) HWY_ATTR { hn::StoreU(hn::Mul(at(a, i), at(b, i)), D(), y + i); });
}
void multiply_add(const float* a, const float* b, const float* c, float* y, int64_t n) {
  each(n, [&](int64_t i) HWY_ATTR { hn::StoreU(hn::MulAdd(at(a, i), at(b, i), at(c, i)), D(), y + i); });
}
void two_products(const float* a, const float* b, const float* c, const float* d, float* y, int64_t n) {
  each(n, [&](int64_t i)
              HWY_ATTR { hn::StoreU(hn::MulAdd(at(a, i), at(b, i), hn::Mul(at(c, i), at(d, i))), D(), y + i); });
}
void between(const float* share, const float* a, const float* b, float* y, int64_t n) {
  each(n, [&](int64_t i) HWY_ATTR {
    const V s = at(share, i), one = set(1.0f);
    hn::StoreU(hn::MulAdd(s, at(b, i), hn::Mul(hn::Sub(one, s), at(a, i))), D(), y + i);
  });
}

}  // namespace

const RecurrentKernels* recurrent_table() {
  static const RecurrentKernels kTable = {2 * lanes(), product,      sigmoid,      tanh,   clip,
                                          multiply,    multiply_add, two_products, between};
  return &kTable;
}

}  // namespace graft::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::engine {

HWY_EXPORT(recurrent_table);

const RecurrentKernels& recurrent_kernels() { return *HWY_DYNAMIC_DISPATCH(recurrent_table)(); }

}  // namespace graft::engine
#endif
