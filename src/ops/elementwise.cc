// Element-by-element operators of MIL: arithmetic, comparison, logic, unary functions, cast. A row a line is the aim;
// what makes several lines alike is in pointwise.h. Longer than most files because it is one list.
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr Variant kNumeric2[] = {{Opset::ios15, "x:T; y:T", "T={fp16,fp32,int32}"}};
constexpr Variant kLogic2[] = {{Opset::ios15, "x:T; y:T", "T={bool}"}};
constexpr Variant kFloat1[] = {{Opset::ios15, "x:T", "T={fp16,fp32}"}};
constexpr Variant kNumeric1[] = {{Opset::ios15, "x:T", "T={fp16,fp32,int32}"}};

using Symbolic = bool (*)(const Call&, Dims&);
using Range = IntRange (*)(const Call&);
using ir::Domain;

// ---- two operands -------------------------------------------------------------------------------------------------

template <auto fn, Scalar function = Scalar::other>
constexpr OpDef arithmetic(std::string_view name, std::string_view doc, Symbolic symbolic = nullptr,
                           Range range = nullptr, Domain domain = {}) {
  return pointwise({.name = name,
                    .family = "elementwise_binary",
                    .doc = doc,
                    .variants = kNumeric2,
                    .host = kNumbers,
                    .infer = infer_broadcast,
                    .symbolic = symbolic,
                    .range = range,
                    .domain = domain},
                   of_two<fn>(function));
}

template <auto fn, Scalar function>
constexpr OpDef comparison(std::string_view name, std::string_view doc) {
  return pointwise({.name = name,
                    .family = "elementwise_binary",
                    .doc = doc,
                    .variants = kNumeric2,
                    .host = kNumbers | DTypes{DType::boolean},
                    .infer = infer_compare},
                   of_two<fn, Takes::all>(function, true));
}

template <auto fn, Scalar function>
constexpr OpDef logic(std::string_view name, std::string_view doc) {
  return pointwise(
      {.name = name, .family = "elementwise_binary", .doc = doc, .variants = kLogic2, .infer = infer_broadcast},
      of_two<fn, Takes::bools>(function));
}

// Bounds of integer results. What may leave the dtype wraps, and can be anything then.
__extension__ using Int128 = __int128;

template <auto corner>
IntRange range_of_corners(const Call& call) {
  const IntRange a = call.in("x").range, b = call.in("y").range, whole = int_range(call.in("x").dtype());
  const Int128 v[] = {corner(a.lo, b.lo), corner(a.lo, b.hi), corner(a.hi, b.lo), corner(a.hi, b.hi)};
  const auto [lo, hi] = std::minmax_element(std::begin(v), std::end(v));
  if (*lo < whole.lo || *hi > whole.hi) return whole;
  return {static_cast<int64_t>(*lo), static_cast<int64_t>(*hi)};
}
constexpr auto kCornerAdd = [](Int128 a, Int128 b) { return a + b; };
constexpr auto kCornerSub = [](Int128 a, Int128 b) { return a - b; };
constexpr auto kCornerMul = [](Int128 a, Int128 b) { return a * b; };
constexpr auto kCornerMin = [](Int128 a, Int128 b) { return std::min(a, b); };
constexpr auto kCornerMax = [](Int128 a, Int128 b) { return std::max(a, b); };

// Both non-negative, divisor positive: the quotient is between 0 and the dividend. Otherwise its magnitude is at most
// the dividend's.
IntRange range_divide(const Call& call) {
  const IntRange a = call.in("x").range, b = call.in("y").range;
  if (a.lo >= 0 && b.lo >= 1) return {a.lo / b.hi, a.hi / b.lo};
  if (a.lo == INT64_MIN) return {};
  const int64_t m = std::max(a.hi, -a.lo);
  return {-m, m};
}
IntRange range_mod(const Call& call) {
  const IntRange b = call.in("y").range;
  return {std::min<int64_t>(0, b.lo == INT64_MIN ? b.lo : b.lo + 1), std::max<int64_t>(0, b.hi - 1)};
}

// Integer division by zero gives 0; INT64_MIN / -1 wraps.
int64_t truncated_quotient(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? wrap_sub(int64_t{0}, a) : a / b; }
int64_t floored_quotient(int64_t a, int64_t b) {
  const int64_t q = truncated_quotient(a, b);
  return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

template <class W>
constexpr bool is_double = std::is_same_v<W, double>;

constexpr auto kRealDiv = []<class W>(W a, W b) {
  if constexpr (is_double<W>)
    return a / b;
  else if constexpr (std::is_same_v<W, int64_t>)
    return truncated_quotient(a, b);
  else
    return b == 0 ? W{0} : a / b;
};
constexpr auto kFloorDiv = []<class W>(W a, W b) {
  if constexpr (is_double<W>)
    return std::floor(a / b);
  else if constexpr (std::is_same_v<W, int64_t>)
    return floored_quotient(a, b);
  else
    return b == 0 ? W{0} : a / b;
};
constexpr auto kMod = []<class W>(W a, W b) {
  if constexpr (is_double<W>) {
    const double r = std::fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  } else if constexpr (std::is_same_v<W, int64_t>) {
    return b == 0 ? W{0} : wrap_sub(a, wrap_mul(floored_quotient(a, b), b));
  } else {
    return b == 0 ? W{0} : a % b;
  }
};
constexpr auto kPow = []<class W>(W a, W b) {
  if constexpr (is_double<W>) {
    return std::pow(a, b);
  } else {
    if constexpr (std::is_signed_v<W>) {
      if (b < 0) return a == 1 ? W{1} : a == -1 ? (b % 2 != 0 ? W{-1} : W{1}) : W{0};
    }
    W r = 1;
    for (; b > 0; b /= 2, a = wrap_mul(a, a)) {
      if (b % 2 != 0) r = wrap_mul(r, a);
    }
    return r;
  }
};
// NaN wins, as in numpy and ONNX.
constexpr auto kMaximum = []<class W>(W a, W b) {
  if constexpr (is_double<W>)
    return std::isnan(a) || a > b ? a : b;
  else
    return a > b ? a : b;
};
constexpr auto kMinimum = []<class W>(W a, W b) {
  if constexpr (is_double<W>)
    return std::isnan(a) || a < b ? a : b;
  else
    return a < b ? a : b;
};
constexpr auto kAdd = [](auto a, auto b) { return wrap_add(a, b); };
constexpr auto kSub = [](auto a, auto b) { return wrap_sub(a, b); };
constexpr auto kMul = [](auto a, auto b) { return wrap_mul(a, b); };
constexpr auto kAnd = [](bool a, bool b) { return a && b; };
constexpr auto kOr = [](bool a, bool b) { return a || b; };
constexpr auto kXor = [](bool a, bool b) { return a != b; };

using MaybeDim = std::optional<Dim>;
constexpr auto kDimAdd = [](const Dim& a, const Dim& b) -> MaybeDim { return a + b; };
constexpr auto kDimSub = [](const Dim& a, const Dim& b) -> MaybeDim { return a - b; };
constexpr auto kDimMul = [](const Dim& a, const Dim& b) -> MaybeDim { return a * b; };
constexpr auto kDimMin = [](const Dim& a, const Dim& b) -> MaybeDim { return ir::dim_min(a, b); };
constexpr auto kDimMax = [](const Dim& a, const Dim& b) -> MaybeDim { return ir::dim_max(a, b); };
constexpr auto kDimFloorDiv = [](const Dim& a, const Dim& b) -> MaybeDim {
  return b.range().lo >= 1 ? MaybeDim(ir::floor_div(a, b)) : std::nullopt;
};
constexpr auto kDimTruncDiv = [](const Dim& a, const Dim& b) -> MaybeDim {
  return a.range().lo >= 0 && b.range().lo >= 1 ? MaybeDim(ir::floor_div(a, b)) : std::nullopt;
};
constexpr auto kDimMod = [](const Dim& a, const Dim& b) -> MaybeDim {
  return b.range().lo >= 1 ? MaybeDim(a - b * ir::floor_div(a, b)) : std::nullopt;
};

constexpr OpDef add =
    with_fp16(arithmetic<kAdd, Scalar::add>("add", "x + y", symbolic_binary<kDimAdd>, range_of_corners<kCornerAdd>),
              {.offsets = true});
constexpr OpDef sub =
    with_fp16(arithmetic<kSub, Scalar::sub>("sub", "x - y", symbolic_binary<kDimSub>, range_of_corners<kCornerSub>),
              {.offsets = true});
constexpr OpDef mul =
    arithmetic<kMul, Scalar::mul>("mul", "x * y", symbolic_binary<kDimMul>, range_of_corners<kCornerMul>);
// What Core ML's gives for integers is not documented.
constexpr OpDef real_div = [] {
  OpDef def =
      arithmetic<kRealDiv, Scalar::real_div>("real_div", "x / y; on integers (host) truncated towards zero, x / 0 is 0",
                                             symbolic_binary<kDimTruncDiv>, range_divide, {.lo = 0.2, .hi = 3});
  def.defined = [](const Call& call) -> Status {
    if (is_float(call.in("x").dtype())) return {};
    return fail(Code::unsupported_dtype, format("got {}, takes fp16/fp32", name(call.in("x").dtype())));
  };
  return def;
}();
constexpr OpDef floor_div = arithmetic<kFloorDiv>("floor_div", "floor(x / y); integer x / 0 is 0",
                                                  symbolic_binary<kDimFloorDiv>, range_divide, {.lo = 0.2, .hi = 3});
constexpr OpDef mod = arithmetic<kMod>("mod", "x - y * floor(x / y): the result has the sign of y",
                                       symbolic_binary<kDimMod>, range_mod, {.lo = 0.2, .hi = 3});
// A constant exponent that has a function of its own.
void choose_pow(const Call& call, Pointwise& f) {
  const Operand &x = call.in("x"), &y = call.in("y");
  if ((x.dtype() != DType::f32 && x.dtype() != DType::f16) || !y.constant || y.elements().count() != 1) return;
  constexpr std::pair<double, Scalar> kExponents[] = {
      {2, Scalar::square}, {0.5, Scalar::sqrt}, {1, Scalar::copy}, {-1, Scalar::inverse}, {3, Scalar::cube}};
  for (const auto& [exponent, function] : kExponents) {
    if (element_as_double(y.elements(), 0) == exponent) f.function = function;
  }
}
constexpr OpDef pow_ = [] {
  OpDef def = arithmetic<kPow, Scalar::pow>("pow", "x to the power y", nullptr, nullptr, {.lo = 0.2, .hi = 3});
  def.pointwise.choose = choose_pow;
  return def;
}();
constexpr OpDef maximum =
    with_fp16(arithmetic<kMaximum, Scalar::maximum>("maximum", "the larger of x and y; NaN wins",
                                                    symbolic_binary<kDimMax>, range_of_corners<kCornerMax>),
              {.saturates = true, .offsets = true});
constexpr OpDef minimum =
    with_fp16(arithmetic<kMinimum, Scalar::minimum>("minimum", "the smaller of x and y; NaN wins",
                                                    symbolic_binary<kDimMin>, range_of_corners<kCornerMin>),
              {.saturates = true});
constexpr OpDef equal = comparison<[](auto a, auto b) { return a == b; }, Scalar::equal>("equal", "x == y");
constexpr OpDef not_equal = comparison<[](auto a, auto b) { return a != b; }, Scalar::not_equal>("not_equal", "x != y");
constexpr OpDef less = comparison<[](auto a, auto b) { return a < b; }, Scalar::less>("less", "x < y");
constexpr OpDef less_equal =
    comparison<[](auto a, auto b) { return a <= b; }, Scalar::less_equal>("less_equal", "x <= y");
constexpr OpDef greater = comparison<[](auto a, auto b) { return (a > b); }, Scalar::greater>("greater", "x > y");
constexpr OpDef greater_equal =
    comparison<[](auto a, auto b) { return (a >= b); }, Scalar::greater_equal>("greater_equal", "x >= y");
constexpr OpDef logical_and = logic<kAnd, Scalar::logical_and>("logical_and", "x and y");
constexpr OpDef logical_or = logic<kOr, Scalar::logical_or>("logical_or", "x or y");
constexpr OpDef logical_xor = logic<kXor, Scalar::logical_xor>("logical_xor", "x xor y");

// ---- one operand --------------------------------------------------------------------------------------------------

constexpr OpDef unary(std::string_view name, std::string_view doc, std::span<const Variant> variants, DTypes host,
                      const Pointwise& function, Domain domain = {}) {
  return pointwise({.name = name,
                    .family = "elementwise_unary",
                    .doc = doc,
                    .variants = variants,
                    .host = host,
                    .infer = infer_like_x,
                    .domain = domain},
                   function);
}
template <auto fn, Scalar name_of = Scalar::other>
constexpr OpDef function(std::string_view name, std::string_view doc, Domain domain = {}) {
  return unary(name, doc, kFloat1, kFloats, of_one<fn, Takes::floats>(name_of), domain);
}
template <auto fn, Scalar name_of>
constexpr OpDef numeric(std::string_view name, std::string_view doc) {
  return unary(name, doc, kNumeric1, kNumbers, of_one<fn>(name_of));
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

constexpr OpDef abs_ = numeric<kAbs, Scalar::abs>("abs", "|x|");
constexpr OpDef sign = numeric<kSign, Scalar::sign>("sign", "-1, 0 or 1");
constexpr OpDef square = with_fp16(numeric<kSquare, Scalar::square>("square", "x * x"), {.magnifies = true});
constexpr OpDef exp2_ = with_fp16(numeric<kExp2, Scalar::exp2>("exp2", "2 to the power x"), {.magnifies = true});
constexpr OpDef acos_ = function<[](double x) { return std::acos(x); }>("acos", "arc cosine", {.lo = -1, .hi = 1});
constexpr OpDef asin_ = function<[](double x) { return std::asin(x); }>("asin", "arc sine", {.lo = -1, .hi = 1});
constexpr OpDef atan_ = function<[](double x) { return std::atan(x); }>("atan", "arc tangent");
constexpr OpDef atanh_ =
    function<[](double x) { return std::atanh(x); }>("atanh", "inverse hyperbolic tangent", {.lo = -0.9, .hi = 0.9});
constexpr OpDef ceil_ = function<[](double x) { return std::ceil(x); }, Scalar::ceil>("ceil", "round up");
constexpr OpDef cos_ = function<[](double x) { return std::cos(x); }>("cos", "cosine");
constexpr OpDef cosh_ =
    with_fp16(function<[](double x) { return std::cosh(x); }>("cosh", "hyperbolic cosine"), {.magnifies = true});
constexpr OpDef erf_ = function<[](double x) { return std::erf(x); }, Scalar::erf>("erf", "Gauss error function");
constexpr OpDef exp_ = with_fp16(function<[](double x) { return std::exp(x); }, Scalar::exp>("exp", "e to the power x"),
                                 {.magnifies = true});
constexpr OpDef floor_ = function<[](double x) { return std::floor(x); }, Scalar::floor>("floor", "round down");
constexpr OpDef round_ =
    function<[](double x) { return std::nearbyint(x); }, Scalar::round>("round", "round to nearest, halves to even");
constexpr OpDef sin_ = function<[](double x) { return std::sin(x); }>("sin", "sine");
constexpr OpDef sinh_ =
    with_fp16(function<[](double x) { return std::sinh(x); }>("sinh", "hyperbolic sine"), {.magnifies = true});
constexpr OpDef sqrt_ =
    function<[](double x) { return std::sqrt(x); }, Scalar::sqrt>("sqrt", "square root", {.lo = 0, .hi = 4});
constexpr OpDef tan_ = function<[](double x) { return std::tan(x); }>("tan", "tangent", {.lo = -1.2, .hi = 1.2});
constexpr OpDef tanh_ = function<[](double x) { return std::tanh(x); }, Scalar::tanh>("tanh", "hyperbolic tangent");

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
constexpr OpDef inverse =
    with_epsilon<[](double x) { return 1 / x; }>(Scalar::inverse, "inverse", "1 / (x + epsilon)", kInverse);
constexpr OpDef log_ = with_epsilon<[](double x) { return std::log(x); }>(Scalar::log, "log", "ln(x + epsilon)", kLog);
constexpr OpDef rsqrt =
    with_epsilon<[](double x) { return 1 / std::sqrt(x); }>(Scalar::rsqrt, "rsqrt", "1 / sqrt(x + epsilon)", kRsqrt);

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
constexpr OpDef clip = with_fp16(unary("clip", "min(max(x, alpha), beta)", kClipVariants, kFloats,
                                       with_numbers<kClip>(Scalar::clip, "alpha", "beta")),
                                 {.saturates = true});

constexpr Variant kThreshold[] = {{Opset::ios15, "x:T; alpha:const T", "T={fp16,fp32,int32}"}};
constexpr auto kAtLeast = [](auto x, auto alpha, auto) { return x < alpha ? alpha : x; };
constexpr OpDef threshold = with_fp16(
    unary("threshold", "max(x, alpha)", kThreshold, kNumbers, with_numbers<kAtLeast>(Scalar::threshold, "alpha")),
    {.saturates = true});

// ---- cast ---------------------------------------------------------------------------------------------------------

constexpr Variant kCast[] = {
    {Opset::ios15, "x:T; dtype:const string", "T={fp16,fp32,int32,bool}",
     [](const Call& call) -> Status {
       const DType t = dtype_from_name(call.str("dtype"));
       if (DTypes{DType::f16, DType::f32, DType::i32, DType::boolean}.has(t)) return {};
       return fail(Code::unsupported_dtype,
                   format("cast to {} needs iOS17 or does not exist in Core ML", call.str("dtype")));
     }},
    {Opset::ios17, "x:T; dtype:const string", "T={fp16,fp32,int8,uint8,int16,uint16,int32,bool}",
     [](const Call& call) -> Status {
       const DType t = dtype_from_name(call.str("dtype"));
       constexpr DTypes kAll{DType::f16, DType::f32, DType::i8,  DType::u8,
                             DType::i16, DType::u16, DType::i32, DType::boolean};
       if (kAll.has(t)) return {};
       return fail(Code::unsupported_dtype, format("cast to {}, Core ML has {}", call.str("dtype"), kAll.to_string()));
     }},
};

Status cast_type(const Call& call, Types& out) {
  const DType t = dtype_from_name(call.str("dtype"));
  if (!(kNumbers | DTypes{DType::boolean}).has(t))
    return fail(Code::dtype_mismatch, format("cannot cast to '{}'", call.str("dtype")));
  out.push_back(Type::tensor(t, call.in("x").dims()));
  return {};
}

void choose_cast(const Call& call, Pointwise& f) {
  const DType from = call.in("x").dtype(), to = dtype_from_name(call.str("dtype"));
  // A register may hold more than its fp16 tensor does, but a cast is asked to round.
  if (to == DType::f16 && from == DType::f32)
    f.function = Scalar::to_half;
  else
    f.function = to == DType::boolean ? Scalar::truth : Scalar::copy;
}

bool cast_symbolic(const Call& call, Dims& content) {
  const std::optional<Dims> d = call.dims("x");
  const IntRange fits = int_range(dtype_from_name(call.str("dtype")));
  if (!d || !is_int(call.in("x").dtype())) return false;
  for (const Dim& v : *d) {
    // A size beyond int32 exists in no tensor this runs on; a shape's element keeps its symbol through a cast to int32.
    if (v.known() && !IntRange{v.value(), v.value()}.inside(fits)) return false;
  }
  content = *d;
  return true;
}

IntRange cast_range(const Call& call) {
  const IntRange fits = int_range(dtype_from_name(call.str("dtype")));
  const Operand& x = call.in("x");
  // The range of uint64 ends at INT64_MAX, its values may not.
  if (is_float(x.dtype()) || (x.dtype() == DType::u64 && x.range.hi == INT64_MAX)) return fits;
  return x.range.inside(fits) ? x.range : fits;
}

std::vector<ir::ConstantPtr> cast_lazy(const Call& call, const Types& out) {
  const ir::ConstantPtr x = call.in("x").shared();
  // Float to float only: the values of the others are decided by the reference kernel.
  if (!is_float(x->dtype()) || !kFloats.has(x->dtype()) || !is_float(out[0].dtype)) return {};
  return {ir::Constant::cast(x, out[0].dtype)};
}

// The function does nothing: loads widen, stores round or wrap.
constexpr OpDef cast = [] {
  OpDef def = pointwise(
      {.name = "cast",
       .family = "elementwise_unary",
       .doc =
           "convert to the dtype named by the string; float to integer truncates towards zero, saturates, NaN gives 0",
       .variants = kCast,
       .host = kNumbers | DTypes{DType::boolean},
       .infer = cast_type,
       .symbolic = cast_symbolic,
       .range = cast_range,
       .lazy = cast_lazy},
      of_one<[](auto x) { return x; }, Takes::all>(Scalar::cast));
  def.flops = nullptr;
  def.pointwise.choose = choose_cast;
  return def;
}();

constexpr const OpDef* kRows[] = {
    &add,         &sub,       &mul,   &real_div,   &floor_div, &mod,           &pow_,        &maximum,    &minimum,
    &equal,       &not_equal, &less,  &less_equal, &greater,   &greater_equal, &logical_and, &logical_or, &logical_xor,
    &logical_not, &abs_,      &sign,  &square,     &exp2_,     &acos_,         &asin_,       &atan_,      &atanh_,
    &ceil_,       &cos_,      &cosh_, &erf_,       &exp_,      &floor_,        &round_,      &sin_,       &sinh_,
    &sqrt_,       &tan_,      &tanh_, &inverse,    &log_,      &rsqrt,         &clip,        &threshold,  &cast,
};

}  // namespace

Rows elementwise_rows() { return kRows; }

}  // namespace graft::ops
