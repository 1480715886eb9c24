// Element-by-element operators of two operands: arithmetic, comparison, logic. A row a line is the aim; what makes
// several lines alike is in pointwise.h.
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr Variant kNumeric2[] = {{Opset::ios15, "x:T; y:T", "T={fp16,fp32,int32}"}};
constexpr Variant kLogic2[] = {{Opset::ios15, "x:T; y:T", "T={bool}"}};

using Symbolic = bool (*)(const Call&, Dims&);
using Range = IntRange (*)(const Call&);
using ir::Domain;

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

// Integers that leave the dtype wrap, and can be anything then.
template <auto corner>
IntRange range_of_corners(const Call& call) {
  const IntRange a = call.in("x").range, b = call.in("y").range, whole = int_range(call.in("x").dtype());
  const Int128 v[] = {corner(a.lo, b.lo), corner(a.lo, b.hi), corner(a.hi, b.lo), corner(a.hi, b.hi)};
  const auto [lo, hi] = std::minmax_element(std::begin(v), std::end(v));
  if (is_int(call.in("x").dtype()) && (*lo < whole.lo || *hi > whole.hi)) return whole;
  return {saturated(*lo), saturated(*hi)};
}
constexpr auto kCornerAdd = [](Int128 a, Int128 b) { return a + b; };
constexpr auto kCornerSub = [](Int128 a, Int128 b) { return a - b; };
constexpr auto kCornerMul = [](Int128 a, Int128 b) { return a * b; };
constexpr auto kCornerMin = [](Int128 a, Int128 b) { return std::min(a, b); };
constexpr auto kCornerMax = [](Int128 a, Int128 b) { return std::max(a, b); };

// Both non-negative, divisor positive: the quotient is between 0 and the dividend. Otherwise its magnitude is at most
// the dividend's, unless it is divided by a fraction.
IntRange range_divide(const Call& call) {
  const IntRange a = call.in("x").range, b = call.in("y").range;
  const bool real = is_float(call.in("x").dtype());
  if (a.lo >= 0 && b.lo >= 1) return {a.lo / b.hi, a.hi == INT64_MAX ? a.hi : a.hi / b.lo + real};
  if (a.lo == INT64_MIN || (real && b.lo < 1)) return {};
  const int64_t m = std::max(a.hi, -a.lo);
  return {-m, m};
}
IntRange range_mod(const Call& call) {
  const IntRange b = call.in("y").range;
  const bool real = is_float(call.in("y").dtype());
  return {std::min<int64_t>(0, real || b.lo == INT64_MIN ? b.lo : b.lo + 1),
          std::max<int64_t>(0, real ? b.hi : b.hi - 1)};
}

// Integer division by zero gives 0; INT64_MIN / -1 wraps.
int64_t truncated_quotient(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? wrap_sub(int64_t{0}, a) : a / b; }
int64_t floored_quotient(int64_t a, int64_t b) {
  const int64_t q = truncated_quotient(a, b);
  return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

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

constexpr OpDef add = with_corners(
    with_fp16(arithmetic<kAdd, Scalar::add>("add", "x + y", symbolic_binary<kDimAdd>, range_of_corners<kCornerAdd>),
              {.offsets = true}));
constexpr OpDef sub = with_corners(
    with_fp16(arithmetic<kSub, Scalar::sub>("sub", "x - y", symbolic_binary<kDimSub>, range_of_corners<kCornerSub>),
              {.offsets = true}));
constexpr OpDef mul =
    with_corners(arithmetic<kMul, Scalar::mul>("mul", "x * y", symbolic_binary<kDimMul>, range_of_corners<kCornerMul>));
// What Core ML's gives for integers is not documented.
constexpr OpDef real_div = [] {
  OpDef def =
      arithmetic<kRealDiv, Scalar::real_div>("real_div", "x / y; on integers (host) truncated towards zero, x / 0 is 0",
                                             symbolic_binary<kDimTruncDiv>, range_divide, {.lo = 0.2, .hi = 3});
  def.defined = [](const Call& call) -> Status {
    if (is_float(call.in("x").dtype())) return {};
    return fail(Code::unsupported_dtype, format("got {}, takes fp16/fp32", name(call.in("x").dtype())));
  };
  def.pointwise.corners = true;
  def.fp16 = {.poles = true};
  return def;
}();
constexpr OpDef floor_div =
    with_corners(with_fp16(arithmetic<kFloorDiv>("floor_div", "floor(x / y); integer x / 0 is 0",
                                                 symbolic_binary<kDimFloorDiv>, range_divide, {.lo = 0.2, .hi = 3}),
                           {.steps = true}));
constexpr OpDef mod = with_fp16(arithmetic<kMod>("mod", "x - y * floor(x / y): the result has the sign of y",
                                                 symbolic_binary<kDimMod>, range_mod, {.lo = 0.2, .hi = 3}),
                                {.steps = true});
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
constexpr OpDef maximum = with_corners(
    with_fp16(arithmetic<kMaximum, Scalar::maximum>("maximum", "the larger of x and y; NaN wins",
                                                    symbolic_binary<kDimMax>, range_of_corners<kCornerMax>),
              {.saturates = true, .offsets = true}));
constexpr OpDef minimum = with_corners(
    with_fp16(arithmetic<kMinimum, Scalar::minimum>("minimum", "the smaller of x and y; NaN wins",
                                                    symbolic_binary<kDimMin>, range_of_corners<kCornerMin>),
              {.saturates = true}));
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

constexpr const OpDef* kRows[] = {
    &add,   &sub,       &mul,  &real_div,   &floor_div, &mod,           &pow_,        &maximum,    &minimum,
    &equal, &not_equal, &less, &less_equal, &greater,   &greater_equal, &logical_and, &logical_or, &logical_xor,
};

}  // namespace

Rows elementwise_rows() { return kRows; }

}  // namespace graft::ops
