// Compiled once for each instruction set by Highway.

// Three levels are enough: what lies between them gains little here and costs compile time.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/native/vector_functions.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
// clang-format off
#include <hwy/highway.h>
#include "engine/native/vector_math-inl.h"
// clang-format on

#include <array>
#include <cmath>
#include <utility>

#include "engine/native/vector_functions.h"

HWY_BEFORE_NAMESPACE();
namespace graft::engine::HWY_NAMESPACE {
namespace {

// a where the condition holds and a is not NaN, b else: comparisons written so that NaN of x stays.
template <class F>
HWY_INLINE void map(float* y, const F& f) {
  const size_t lanes = hn::Lanes(D());
  for (size_t i = 0; i < static_cast<size_t>(kBlockSize); i += lanes) hn::StoreU(f(i), D(), y + i);
}
HWY_INLINE V at(const float* x, size_t i) { return hn::LoadU(D(), x + i); }
HWY_INLINE V one_if(hn::Mask<D> m) { return hn::IfThenElseZero(m, set(1.0f)); }
HWY_INLINE hn::Mask<D> is(V v) { return hn::Not(hn::Eq(v, set(0.0f))); }

template <ir::Scalar>
struct Kernel {
  static constexpr VectorKernel run = nullptr;
};
// The vector version of Scalar::name.
#define GRAFT_KERNEL(name, expression)                                                              \
  void name##_kernel(const float* pa, const float* pb, const float* pc, float* y, const float* p) { \
    (void)pb, (void)pc, (void)p;                                                                    \
    const float p0 = p[0], p1 = p[1];                                                               \
    (void)p0, (void)p1;                                                                             \
    map(y, [&](size_t i) HWY_ATTR {                                                                 \
      const V a = at(pa, i);                                                                        \
      return expression;                                                                            \
    });                                                                                             \
  }                                                                                                 \
  template <>                                                                                       \
  struct Kernel<ir::Scalar::name> {                                                                 \
    static constexpr VectorKernel run = name##_kernel;                                              \
  };
#define GRAFT_B at(pb, i)
#define GRAFT_C at(pc, i)

GRAFT_KERNEL(copy, a)
GRAFT_KERNEL(to_half, half_of(a))
GRAFT_KERNEL(truth, one_if(is(a)))
GRAFT_KERNEL(abs, hn::Abs(a))
GRAFT_KERNEL(sign, hn::IfThenElse(hn::IsNaN(a), a, hn::Sub(one_if(hn::Gt(a, set(0.0f))), one_if(hn::Lt(a, set(0.0f))))))
GRAFT_KERNEL(square, hn::Mul(a, a))
GRAFT_KERNEL(cube, hn::Mul(hn::Mul(a, a), a))
GRAFT_KERNEL(sqrt, hn::Sqrt(a))
GRAFT_KERNEL(rsqrt, hn::Div(set(1.0f), hn::Sqrt(hn::Add(a, set(p0)))))
GRAFT_KERNEL(inverse, hn::Div(set(1.0f), hn::Add(a, set(p0))))
GRAFT_KERNEL(exp, exp_of(a))
GRAFT_KERNEL(exp2, exp_of(hn::Mul(a, set(0.69314718055994531f))))
GRAFT_KERNEL(log, log_of(hn::Add(a, set(p0))))
GRAFT_KERNEL(tanh, tanh_of(a))
GRAFT_KERNEL(erf, erf_of(a))
GRAFT_KERNEL(floor, hn::Floor(a))
GRAFT_KERNEL(ceil, hn::Ceil(a))
GRAFT_KERNEL(round, hn::Round(a))
GRAFT_KERNEL(relu, hn::IfThenElse(hn::Lt(a, set(0.0f)), set(0.0f), a))
GRAFT_KERNEL(clip, hn::IfThenElse(hn::Lt(a, set(p0)), set(p0), hn::IfThenElse(hn::Gt(a, set(p1)), set(p1), a)))
GRAFT_KERNEL(sigmoid, sigmoid_of(a))
GRAFT_KERNEL(silu, hn::Mul(a, sigmoid_of(a)))
GRAFT_KERNEL(leaky_relu, hn::IfThenElse(hn::Lt(a, set(0.0f)), hn::Mul(a, set(p0)), a))
GRAFT_KERNEL(elu, hn::IfThenElse(hn::Le(a, set(0.0f)),
                                 hn::Mul(set(p0), hn::Expm1(D(), hn::Max(hn::Min(a, set(0.0f)), set(-88.0f)))), a))
GRAFT_KERNEL(softplus, log_one_plus_exp(a))
GRAFT_KERNEL(softsign, hn::Div(a, hn::Add(set(1.0f), hn::Abs(a))))
GRAFT_KERNEL(thresholded_relu, hn::IfThenElse(hn::Lt(a, set(p0)), set(0.0f), a))
GRAFT_KERNEL(clamped_relu, hn::IfThenElse(hn::Lt(a, set(0.0f)), hn::Min(hn::Mul(a, set(p0)), set(p1)),
                                          hn::IfThenElse(hn::Gt(a, set(p1)), set(p1), a)))
GRAFT_KERNEL(linear, hn::MulAdd(a, set(p0), set(p1)))
GRAFT_KERNEL(scaled_tanh, hn::Mul(set(p0), tanh_of(hn::Mul(a, set(p1)))))
GRAFT_KERNEL(sigmoid_hard, [&]() HWY_ATTR {
  const V v = hn::MulAdd(a, set(p0), set(p1));
  return hn::IfThenElse(hn::Lt(v, set(0.0f)), set(0.0f), hn::IfThenElse(hn::Gt(v, set(1.0f)), set(1.0f), v));
}())
GRAFT_KERNEL(gelu, gelu_of(a))
GRAFT_KERNEL(gelu_tanh, [&]() HWY_ATTR {  // 0.5 (1 + tanh(z)) is sigmoid(2 z)
  const V z = hn::Mul(set(1.5957691216057308f), hn::MulAdd(hn::Mul(set(0.044715f), hn::Mul(a, a)), a, a));
  return hn::Mul(a, sigmoid_of(z));
}())
GRAFT_KERNEL(gelu_sigmoid, hn::Mul(a, sigmoid_of(hn::Mul(set(1.702f), a))))
GRAFT_KERNEL(threshold, hn::IfThenElse(hn::Lt(a, set(p0)), set(p0), a))
GRAFT_KERNEL(logical_not, one_if(hn::Eq(a, set(0.0f))))
GRAFT_KERNEL(add, hn::Add(a, GRAFT_B))
GRAFT_KERNEL(sub, hn::Sub(a, GRAFT_B))
GRAFT_KERNEL(mul, hn::Mul(a, GRAFT_B))
GRAFT_KERNEL(real_div, hn::Div(a, GRAFT_B))
GRAFT_KERNEL(maximum, [&]() HWY_ATTR {
  const V b = GRAFT_B;
  return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::Gt(a, b), a, b));
}())
GRAFT_KERNEL(minimum, [&]() HWY_ATTR {
  const V b = GRAFT_B;
  return hn::IfThenElse(hn::IsNaN(a), a, hn::IfThenElse(hn::Lt(a, b), a, b));
}())
GRAFT_KERNEL(equal, one_if(hn::Eq(a, GRAFT_B)))
GRAFT_KERNEL(not_equal, one_if(hn::Not(hn::Eq(a, GRAFT_B))))  // hn::Ne is false for NaN
GRAFT_KERNEL(less, one_if(hn::Lt(a, GRAFT_B)))
GRAFT_KERNEL(less_equal, one_if(hn::Le(a, GRAFT_B)))
GRAFT_KERNEL(greater, one_if(hn::Gt(a, GRAFT_B)))
GRAFT_KERNEL(greater_equal, one_if(hn::Ge(a, GRAFT_B)))
GRAFT_KERNEL(logical_and, one_if(hn::And(is(a), is(GRAFT_B))))
GRAFT_KERNEL(logical_or, one_if(hn::Or(is(a), is(GRAFT_B))))
GRAFT_KERNEL(logical_xor, one_if(hn::Xor(is(a), is(GRAFT_B))))
GRAFT_KERNEL(prelu, hn::IfThenElse(hn::Le(a, set(0.0f)), hn::Mul(a, GRAFT_B), a))
GRAFT_KERNEL(multiply_add, hn::MulAdd(a, GRAFT_B, GRAFT_C))
GRAFT_KERNEL(select, hn::IfThenElse(is(a), GRAFT_B, GRAFT_C))

// ---- rows ----

float row_sum(const float* x, int64_t n) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V s0 = hn::Zero(d), s1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    s0 = hn::Add(s0, hn::LoadU(d, x + i));
    s1 = hn::Add(s1, hn::LoadU(d, x + i + lanes));
  }
  float s = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
  for (; i < n; ++i) s += x[i];
  return s;
}

float row_maximum(const float* x, int64_t n) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  float m = -INFINITY;
  int64_t i = 0;
  if (n >= lanes) {
    V v = hn::LoadU(d, x);
    hn::Mask<D> nan = hn::IsNaN(v);
    for (i = lanes; i + lanes <= n; i += lanes) {
      const V next = hn::LoadU(d, x + i);
      nan = hn::Or(nan, hn::IsNaN(next));
      v = hn::Max(v, next);
    }
    if (!hn::AllFalse(d, nan)) return NAN;
    m = hn::GetLane(hn::MaxOfLanes(d, v));
  }
  for (; i < n; ++i) m = std::isnan(x[i]) || x[i] > m ? x[i] : m;
  return m;
}

bool row_sum_rows(const float* x, int64_t rows, int64_t inner, float* acc) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  if (inner % lanes != 0 || inner > 64) return false;
  for (int64_t c = 0; c < inner; c += lanes) {
    V s0 = hn::LoadU(d, acc + c), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
    int64_t r = 0;
    for (const float* at = x + c; r + 4 <= rows; r += 4, at += 4 * inner) {
      s0 = hn::Add(s0, hn::LoadU(d, at));
      s1 = hn::Add(s1, hn::LoadU(d, at + inner));
      s2 = hn::Add(s2, hn::LoadU(d, at + 2 * inner));
      s3 = hn::Add(s3, hn::LoadU(d, at + 3 * inner));
    }
    for (; r < rows; ++r) s0 = hn::Add(s0, hn::LoadU(d, x + r * inner + c));
    hn::StoreU(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), d, acc + c);
  }
  return true;
}

void row_accumulate(const float* x, float* acc, int64_t n) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Add(hn::LoadU(d, acc + i), hn::LoadU(d, x + i)), d, acc + i);
  for (; i < n; ++i) acc[i] += x[i];
}

void row_softmax(const float* x, float* y, int64_t n) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float m = row_maximum(x, n);
  V sums = hn::Zero(d);
  float sum = 0;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V e = exp_of(hn::Sub(hn::LoadU(d, x + i), set(m)));
    sums = hn::Add(sums, e);
    hn::StoreU(e, d, y + i);
  }
  sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < n; ++i) {
    y[i] = hn::GetLane(exp_of(set(x[i] - m)));
    sum += y[i];
  }
  const float scale = 1.0f / sum;
  for (i = 0; i + lanes <= n; i += lanes) hn::StoreU(hn::Mul(hn::LoadU(d, y + i), set(scale)), d, y + i);
  for (; i < n; ++i) y[i] *= scale;
}

void row_normalize(const float* x, const float* gamma, const float* beta, float* y, int64_t n, float epsilon) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float mean = row_sum(x, n) / static_cast<float>(n);
  V s = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V c = hn::Sub(hn::LoadU(d, x + i), set(mean));
    s = hn::MulAdd(c, c, s);
  }
  float variance = hn::GetLane(hn::SumOfLanes(d, s));
  for (; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / std::sqrt(variance / static_cast<float>(n) + epsilon);
  for (i = 0; i + lanes <= n; i += lanes) {
    V v = hn::Mul(hn::Sub(hn::LoadU(d, x + i), set(mean)), set(scale));
    if (gamma != nullptr) v = hn::Mul(v, hn::LoadU(d, gamma + i));
    if (beta != nullptr) v = hn::Add(v, hn::LoadU(d, beta + i));
    hn::StoreU(v, d, y + i);
  }
  for (; i < n; ++i) {
    float v = (x[i] - mean) * scale;
    if (gamma != nullptr) v *= gamma[i];
    if (beta != nullptr) v += beta[i];
    y[i] = v;
  }
}

void row_add_up(const float* x, double* sums, float* y, int64_t n, bool with) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> f;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto before = hn::LoadU(d, sums + i), sum = hn::Add(before, hn::PromoteTo(d, hn::LoadU(f, x + i)));
    hn::StoreU(sum, d, sums + i);
    hn::StoreU(hn::DemoteTo(f, with ? sum : before), f, y + i);
  }
  for (; i < n; ++i) {
    const double before = sums[i];
    sums[i] += static_cast<double>(x[i]);
    y[i] = static_cast<float>(with ? sums[i] : before);
  }
}

}  // namespace

const VectorKernel* vector_table() {
  static constexpr auto kTable = []<size_t... i>(std::index_sequence<i...>) {
    return std::array{Kernel<static_cast<ir::Scalar>(i)>::run...};
  }
  (std::make_index_sequence<static_cast<size_t>(ir::Scalar::count)>());
  return kTable.data();
}

const RowKernels* row_table() {
  static constexpr RowKernels kTable = {row_softmax,  row_normalize,  row_sum,   row_maximum,
                                        row_sum_rows, row_accumulate, row_add_up};
  return &kTable;
}

}  // namespace graft::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::engine {

HWY_EXPORT(vector_table);
HWY_EXPORT(row_table);

VectorKernel vector_kernel(ir::Scalar f) { return HWY_DYNAMIC_DISPATCH(vector_table)()[static_cast<size_t>(f)]; }
const RowKernels& row_kernels() { return *HWY_DYNAMIC_DISPATCH(row_table)(); }

}  // namespace graft::engine
#endif
