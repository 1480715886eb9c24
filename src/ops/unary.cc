// Element-by-element operators of one operand, and of one operand and scalar parameters. A row a line is the aim; what
// makes several lines alike is in pointwise.h.
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr Variant kFloat1[] = {{Opset::ios15, "x:T", "T={fp16,fp32}"}};
constexpr Variant kNumeric1[] = {{Opset::ios15, "x:T", "T={fp16,fp32,int32}"}};

using ir::Domain;

using Range = IntRange (*)(const Call&);

constexpr OpDef unary(std::string_view name, std::string_view doc, std::span<const Variant> variants, DTypes host,
                      const Pointwise& function, Domain domain = {}, Range range = nullptr) {
  return pointwise({.name = name,
                    .family = "elementwise_unary",
                    .doc = doc,
                    .variants = variants,
                    .host = host,
                    .infer = infer_like_x,
                    .range = range,
                    .domain = domain},
                   function);
}
template <auto fn, Scalar name_of = Scalar::other>
constexpr OpDef function(std::string_view name, std::string_view doc, Domain domain = {}, Range range = nullptr) {
  return unary(name, doc, kFloat1, kFloats, of_one<fn, Takes::floats>(name_of), domain, range);
}
template <auto fn, Scalar name_of>
constexpr OpDef numeric(std::string_view name, std::string_view doc, Range range) {
  return unary(name, doc, kNumeric1, kNumbers, of_one<fn>(name_of), {}, range);
}

constexpr auto kAbs = []<class W>(W x) {
  if constexpr (is_double<W>)
    return std::fabs(x);
  else
    return x < W{0} ? static_cast<W>(wrap_sub(W{0}, x)) : x;
};
constexpr auto kSign = []<class W>(W x) {
  if constexpr (is_double<W>)
    return std::isnan(x) ? x : static_cast<W>((x > 0) - (x < 0));
  else
    return static_cast<W>(x > W{0}) - static_cast<W>(x < W{0});
};
constexpr auto kSquare = [](auto x) { return wrap_mul(x, x); };
constexpr auto kExp2 = []<class W>(W x) {
  if constexpr (is_double<W>)
    return std::exp2(x);
  else
    return x < W{0} || x > W{62} ? W{0} : static_cast<W>(W{1} << x);
};

// The lowest integer has no magnitude: it stays what it is.
IntRange range_abs(const Call& call) {
  if (is_float(call.in("x").dtype())) return range_at_corners(call);
  const IntRange x = call.in("x").range, whole = int_range(call.in("x").dtype());
  if (x.lo == whole.lo && x.lo < 0) return whole;
  return {x.lo >= 0 ? x.lo : x.hi <= 0 ? -x.hi : 0, std::max(x.hi, x.lo < 0 ? -x.lo : x.lo)};
}
IntRange range_sign(const Call& call) {
  const IntRange x = call.in("x").range;
  return {x.lo > 0 ? 1 : x.lo == 0 ? 0 : -1, x.hi > 0 ? 1 : x.hi == 0 ? 0 : -1};
}
// What may leave the dtype wraps.
IntRange range_square(const Call& call) {
  if (is_float(call.in("x").dtype())) return range_at_corners(call);
  const IntRange m = range_abs(call), whole = int_range(call.in("x").dtype());
  return m.hi > (int64_t{1} << 31) || m.lo < 0 || m.hi * m.hi > whole.hi ? whole : IntRange{m.lo * m.lo, m.hi * m.hi};
}

// Of what goes round.
IntRange range_of_turns(const Call&) { return {-1, 1}; }

constexpr OpDef abs_ = with_corners(numeric<kAbs, Scalar::abs>("abs", "|x|", range_abs));
constexpr OpDef sign = with_corners(numeric<kSign, Scalar::sign>("sign", "-1, 0 or 1", range_sign));
constexpr OpDef square =
    with_corners(with_fp16(numeric<kSquare, Scalar::square>("square", "x * x", range_square), {.magnifies = true}));
constexpr OpDef exp2_ =
    with_corners(with_fp16(numeric<kExp2, Scalar::exp2>("exp2", "2 to the power x", nullptr), {.magnifies = true}));
constexpr OpDef acos_ =
    with_corners(function<[](double x) { return std::acos(x); }>("acos", "arc cosine", {.lo = -1, .hi = 1}));
constexpr OpDef asin_ =
    with_corners(function<[](double x) { return std::asin(x); }>("asin", "arc sine", {.lo = -1, .hi = 1}));
constexpr OpDef atan_ = with_corners(function<[](double x) { return std::atan(x); }>("atan", "arc tangent"));
constexpr OpDef atanh_ = with_corners(
    function<[](double x) { return std::atanh(x); }>("atanh", "inverse hyperbolic tangent", {.lo = -0.9, .hi = 0.9}));
constexpr OpDef ceil_ = with_corners(
    with_fp16(function<[](double x) { return std::ceil(x); }, Scalar::ceil>("ceil", "round up"), {.steps = true}));
constexpr OpDef cos_ =
    with_fp16(function<[](double x) { return std::cos(x); }>("cos", "cosine", {}, range_of_turns), {.turns = true});
constexpr OpDef cosh_ = with_corners(
    with_fp16(function<[](double x) { return std::cosh(x); }>("cosh", "hyperbolic cosine"), {.magnifies = true}));
constexpr OpDef erf_ =
    with_corners(function<[](double x) { return std::erf(x); }, Scalar::erf>("erf", "Gauss error function"));
constexpr OpDef exp_ = with_corners(with_fp16(
    function<[](double x) { return std::exp(x); }, Scalar::exp>("exp", "e to the power x"), {.magnifies = true}));
constexpr OpDef floor_ = with_corners(
    with_fp16(function<[](double x) { return std::floor(x); }, Scalar::floor>("floor", "round down"), {.steps = true}));
constexpr OpDef round_ = with_corners(with_fp16(
    function<[](double x) { return std::nearbyint(x); }, Scalar::round>("round", "round to nearest, halves to even"),
    {.steps = true}));
constexpr OpDef sin_ =
    with_fp16(function<[](double x) { return std::sin(x); }>("sin", "sine", {}, range_of_turns), {.turns = true});
constexpr OpDef sinh_ = with_corners(
    with_fp16(function<[](double x) { return std::sinh(x); }>("sinh", "hyperbolic sine"), {.magnifies = true}));
constexpr OpDef sqrt_ = with_corners(
    function<[](double x) { return std::sqrt(x); }, Scalar::sqrt>("sqrt", "square root", {.lo = 0, .hi = 4}));
constexpr OpDef tan_ = with_fp16(
    function<[](double x) { return std::tan(x); }>("tan", "tangent", {.lo = -1.2, .hi = 1.2}), {.turns = true});
constexpr OpDef tanh_ =
    with_corners(function<[](double x) { return std::tanh(x); }, Scalar::tanh>("tanh", "hyperbolic tangent"));

constexpr Variant kNot[] = {{Opset::ios15, "x:bool", ""}};
constexpr OpDef logical_not =
    unary("logical_not", "not x", kNot, {}, of_one<[](bool x) { return !x; }, Takes::bools>(Scalar::logical_not));

// ---- one operand and scalar parameters ----------------------------------------------------------------------------

#define GRAFT_EPSILON_VARIANTS(fallback)                                                   \
  {                                                                                        \
    {Opset::ios15, "x:T; epsilon?:const T=" fallback, "T={fp16,fp32}"},                    \
        {Opset::ios17, "x:T; epsilon?:const U=" fallback, "T={fp16,fp32}; U={fp16,fp32}"}, \
  }
constexpr Variant kInverse[] = GRAFT_EPSILON_VARIANTS("1e-04");
constexpr Variant kLog[] = GRAFT_EPSILON_VARIANTS("1e-45");
constexpr Variant kRsqrt[] = GRAFT_EPSILON_VARIANTS("1e-12");
#undef GRAFT_EPSILON_VARIANTS

template <auto fn>
constexpr OpDef with_epsilon(Scalar function, std::string_view name, std::string_view doc,
                             std::span<const Variant> variants) {
  constexpr auto kMoved = [](double x, double epsilon, double) { return fn(x + epsilon); };
  return unary(name, doc, variants, kFloats, with_numbers<kMoved, Takes::floats>(function, "epsilon"),
               {.lo = 0.2, .hi = 4});
}
constexpr OpDef inverse = with_corners(
    with_fp16(with_epsilon<[](double x) { return 1 / x; }>(Scalar::inverse, "inverse", "1 / (x + epsilon)", kInverse),
              {.poles = true}));
constexpr OpDef log_ = with_corners(with_fp16(
    with_epsilon<[](double x) { return std::log(x); }>(Scalar::log, "log", "ln(x + epsilon)", kLog), {.poles = true}));
constexpr OpDef rsqrt = with_corners(with_fp16(
    with_epsilon<[](double x) { return 1 / std::sqrt(x); }>(Scalar::rsqrt, "rsqrt", "1 / sqrt(x + epsilon)", kRsqrt),
    {.poles = true}));

// iOS17 requires alpha < beta; written so that NaN stays NaN.
constexpr auto kClip = [](auto x, auto lo, auto hi) { return x < lo ? lo : x > hi ? hi : x; };
constexpr Variant kClipVariants[] = {
    {Opset::ios15, "x:T; alpha:const T; beta:const T", "T={fp16,fp32}"},
    {Opset::ios17, "x:T; alpha:const T; beta:const T", "T={fp16,fp32}",
     [](const Call& call) -> Status {
       if (call.f("alpha") < call.f("beta")) return {};
       return fail(Code::unsupported_attribute,
                   format("alpha {} must be below beta {} from iOS17 on", call.f("alpha"), call.f("beta")));
     }},
};
constexpr OpDef clip = with_corners(with_fp16(unary("clip", "min(max(x, alpha), beta)", kClipVariants, kFloats,
                                                    with_numbers<kClip>(Scalar::clip, "alpha", "beta")),
                                              {.saturates = true}));

constexpr Variant kThreshold[] = {{Opset::ios15, "x:T; alpha:const T", "T={fp16,fp32,int32}"}};
constexpr auto kAtLeast = [](auto x, auto alpha, auto) { return x < alpha ? alpha : x; };
constexpr OpDef threshold = with_corners(with_fp16(
    unary("threshold", "max(x, alpha)", kThreshold, kNumbers, with_numbers<kAtLeast>(Scalar::threshold, "alpha")),
    {.saturates = true}));

constexpr const OpDef* kRows[] = {
    &logical_not, &abs_, &sign,  &square,  &exp2_, &acos_,  &asin_,  &atan_,     &atanh_,
    &ceil_,       &cos_, &cosh_, &erf_,    &exp_,  &floor_, &round_, &sin_,      &sinh_,
    &sqrt_,       &tan_, &tanh_, &inverse, &log_,  &rsqrt,  &clip,   &threshold,
};

}  // namespace

Rows unary_rows() { return kRows; }

}  // namespace graft::ops
