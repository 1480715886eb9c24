// Functions of vectors of floats, for files that Highway compiles once for each instruction set. Accuracy: a few units
// in the last place of fp32; NaN goes in and out, except where a comparison decides.

// Included once for each instruction set.
#if defined(GRAFT_VECTOR_MATH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_VECTOR_MATH_INL
#undef GRAFT_VECTOR_MATH_INL
#else
#define GRAFT_VECTOR_MATH_INL
#endif

#include <cmath>

// clang-format off
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace graft::engine::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE V set(float v) { return hn::Set(D(), v); }

// exp, exact at the ends: 0 below, infinity above, NaN kept.
HWY_INLINE V exp_of(V x) {
  const V lowest = set(-87.33655f), highest = set(88.72283f);  // beyond: below the smallest normal number, infinite
  const V inside = hn::Exp(D(), hn::Min(hn::Max(x, lowest), highest));
  const V low = hn::IfThenZeroElse(hn::Lt(x, lowest), inside);
  const V high = hn::IfThenElse(hn::Gt(x, highest), set(INFINITY), low);
  return hn::IfThenElse(hn::IsNaN(x), x, high);
}

HWY_INLINE V sigmoid_of(V x) {
  const V e = exp_of(hn::Neg(hn::Min(hn::Max(x, set(-88.0f)), set(88.0f))));
  const V y = hn::Div(set(1.0f), hn::Add(set(1.0f), e));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// 1 - 2 / (exp(2x) + 1) away from zero; near it, where that cancels, an odd polynomial.
HWY_INLINE V tanh_of(V x) {
  const V u = hn::Mul(x, x);
  const V e = exp_of(hn::Mul(set(2.0f), hn::Min(hn::Max(x, set(-10.0f)), set(10.0f))));
  const V far = hn::Sub(set(1.0f), hn::Div(set(2.0f), hn::Add(e, set(1.0f))));
  V p = set(-0.00886323552990220f);
  p = hn::MulAdd(p, u, set(0.0218694885361552f));
  p = hn::MulAdd(p, u, set(-0.0539682539682540f));
  p = hn::MulAdd(p, u, set(0.133333333333333f));
  p = hn::MulAdd(p, u, set(-0.333333333333333f));
  const V near = hn::MulAdd(hn::Mul(p, u), x, x);
  const V y = hn::IfThenElse(hn::Lt(hn::Abs(x), set(0.35f)), near, far);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// Below 1 an odd polynomial in x; above, 1 - exp(-x^2) times a polynomial in 1 / (1 + x / 2). Both fitted on Chebyshev
// nodes, relative error 2e-7 of erf and of erfc.
HWY_INLINE V erf_small(V x) {
  const V u = hn::Mul(x, x);
  V p = set(-0.0005654105916619301f);
  p = hn::MulAdd(p, u, set(0.004923277534544468f));
  p = hn::MulAdd(p, u, set(-0.026716385036706924f));
  p = hn::MulAdd(p, u, set(0.11280364543199539f));
  p = hn::MulAdd(p, u, set(-0.37612348794937134f));
  p = hn::MulAdd(p, u, set(1.1283791065216064f));
  return hn::Mul(p, x);
}
// erfc of |x| >= 1.
HWY_INLINE V erfc_large(V a) {
  const V t = hn::Div(set(1.0f), hn::MulAdd(a, set(0.5f), set(1.0f)));
  V q = set(-0.05796336382627487f);
  q = hn::MulAdd(q, t, set(-0.04376717656850815f));
  q = hn::MulAdd(q, t, set(0.3866577446460724f));
  q = hn::MulAdd(q, t, set(0.11274845153093338f));
  q = hn::MulAdd(q, t, set(0.3265717327594757f));
  q = hn::MulAdd(q, t, set(0.2744554579257965f));
  q = hn::MulAdd(q, t, set(0.0005387505516409874f));
  return hn::Mul(q, exp_of(hn::Neg(hn::Mul(a, a))));
}
HWY_INLINE V erf_of(V x) {
  const V a = hn::Min(hn::Abs(x), set(4.2f));
  const V far = hn::CopySign(hn::Sub(set(1.0f), erfc_large(hn::Max(a, set(1.0f)))), x);
  const V y = hn::IfThenElse(hn::Lt(a, set(1.0f)), erf_small(x), far);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}
// x times the normal distribution's cumulative probability, without cancellation on the left.
HWY_INLINE V gelu_of(V x) {
  const V z = hn::Mul(x, set(0.70710678118654752f)), a = hn::Abs(z);
  const V half = hn::Mul(set(0.5f), x);
  const V near = hn::MulAdd(half, erf_small(z), half);
  // Of |z|; beyond 9 it is 0 here, and what is right of it is x, infinity too.
  const hn::Mask<D> beyond = hn::Gt(a, set(9.0f));
  const V c = hn::IfThenZeroElse(beyond, erfc_large(hn::Min(hn::Max(a, set(1.0f)), set(9.0f))));
  const V right = hn::IfThenElse(beyond, x, hn::NegMulAdd(half, c, x));
  const V far = hn::IfThenElse(hn::Lt(x, set(0.0f)), hn::Mul(half, c), right);
  return hn::IfThenElse(hn::IsNaN(x), x, hn::IfThenElse(hn::Lt(a, set(1.0f)), near, far));
}

// Highway's own says nothing about zero, negative numbers and infinity.
HWY_INLINE V log_of(V x) {
  const V zero = hn::IfThenElse(hn::Eq(x, set(0.0f)), set(-INFINITY), hn::Log(D(), x));
  const V y = hn::IfThenElse(hn::Lt(x, set(0.0f)), set(NAN), zero);
  return hn::IfThenElse(hn::Or(hn::IsNaN(x), hn::Eq(x, set(INFINITY))), x, y);
}

HWY_INLINE V log_one_plus_exp(V x) {
  const D d;
  const V e = exp_of(hn::Neg(hn::Abs(x)));
  return hn::Add(hn::Max(x, set(0.0f)), hn::Log1p(d, e));
}

// Rounded to what fp16 holds.
HWY_INLINE V half_of(V x) {
  const D d;
  return hn::PromoteTo(d, hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), x));
}

}  // namespace
}  // namespace graft::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
