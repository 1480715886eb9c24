// Element-by-element operators beyond those of lower_elementwise.cc: functions, comparisons, variadic ones,
// activations.
#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

template <const char* const& op>
Values same_unary(NodeView& n, Build& b) {
  return {b.unary(op, n.in(0))};
}
template <const char* const& op>
Values same_binary(NodeView& n, Build& b) {
  Value *x = n.in(0), *y = n.in(1);  // one after the other: arguments of one call have no order
  return {b.binary(op, x, y)};
}

constexpr const char* kAbs = "abs";
constexpr const char* kAcos = "acos";
constexpr const char* kAsin = "asin";
constexpr const char* kAtan = "atan";
constexpr const char* kAtanh = "atanh";
constexpr const char* kCeil = "ceil";
constexpr const char* kCos = "cos";
constexpr const char* kCosh = "cosh";
constexpr const char* kFloor = "floor";
constexpr const char* kRound = "round";
constexpr const char* kSign = "sign";
constexpr const char* kSin = "sin";
constexpr const char* kSinh = "sinh";
constexpr const char* kSoftplus = "softplus";
constexpr const char* kSoftsign = "softsign";
constexpr const char* kTan = "tan";
constexpr const char* kLess = "less";
constexpr const char* kLessEqual = "less_equal";
constexpr const char* kGreater = "greater";
constexpr const char* kGreaterEqual = "greater_equal";
constexpr const char* kAnd = "logical_and";
constexpr const char* kOr = "logical_or";
constexpr const char* kXor = "logical_xor";
constexpr const char* kAdd = "add";
constexpr const char* kMaximum = "maximum";
constexpr const char* kMinimum = "minimum";

Values neg(NodeView& n, Build& b) { return {b.scale(n.in(0), -1)}; }
// MIL's inverse and log add an epsilon of their own to x.
Values reciprocal(NodeView& n, Build& b) {
  Value* x = n.in(0);
  return {b.div(b.like(x, 1), x)};
}
Values log(NodeView& n, Build& b) { return {b.emit("log", {{"x", n.in(0)}, {"epsilon", 0.0}})}; }
Values is_nan(NodeView& n, Build& b) {
  Value* x = n.in(0);
  return {b.binary("not_equal", x, x)};
}

template <const char* const& op>
Values variadic(NodeView& n, Build& b) {
  const Values all = n.all();
  if (all.empty()) return {n.refuse(Code::invalid_model, "takes one input or more")};
  Value* y = all[0];
  for (size_t i = 1; i < all.size(); ++i) y = b.binary(op, y, all[i]);
  return {y};
}
Values mean(NodeView& n, Build& b) {
  Value* sum = variadic<kAdd>(n, b)[0];
  return {sum->poison || n.inputs() == 1 ? sum : b.div(sum, b.like(sum, n.inputs()))};
}

// The sign of the divisor, or of the dividend with fmod.
Values mod(NodeView& n, Build& b) {
  Value *x = n.in(0), *y = n.in(1);
  if (!n.flag("fmod")) return {b.binary("mod", x, y)};
  Value *dividend = b.unary("abs", x), *divisor = b.unary("abs", y);
  Value* magnitude = b.binary("mod", dividend, divisor);
  return {b.mul(b.unary("sign", x), magnitude)};
}

// ---- activations --------------------------------------------------------------------------------------------------

Values leaky_relu(NodeView& n, Build& b) {
  return {b.emit("leaky_relu", {{"x", n.in(0)}, {"alpha", n.f("alpha", 0.01f)}})};
}
Values elu(NodeView& n, Build& b) { return {b.emit("elu", {{"x", n.in(0)}, {"alpha", n.f("alpha", 1)}})}; }
Values selu(NodeView& n, Build& b) {
  Value* y = b.emit("elu", {{"x", n.in(0)}, {"alpha", n.f("alpha", 1.67326319217681884765625)}});
  return {y->poison ? y : b.scale(y, n.f("gamma", 1.05070102214813232421875))};
}
// alpha * (e^(x / alpha) - 1) below zero
Values celu(NodeView& n, Build& b) {
  const double alpha = n.f("alpha", 1);
  Value* x = n.in(0);
  if (x->poison || alpha == 1) return {b.emit("elu", {{"x", x}, {"alpha", 1.0}})};
  // Large x divided by a small alpha would be infinite: what is above zero goes its own way then.
  const bool apart = alpha < 1;
  Value* low = apart ? b.minimum(x, b.like(x, 0)) : x;
  Value* y = b.emit("elu", {{"x", b.div(low, b.like(x, alpha))}, {"alpha", 1.0}});
  if (y->poison) return {y};
  y = b.scale(y, alpha);
  return {apart ? b.add(b.unary("relu", x), y) : y};
}
// MIL's thresholded_relu keeps x where it equals alpha, ONNX's does not.
Values thresholded_relu(NodeView& n, Build& b) {
  Value* x = n.in(0);
  Value* above = b.binary("greater", x, b.like(x, n.f("alpha", 1)));
  return {b.select(above, x, b.like(x, 0))};
}
Values prelu(NodeView& n, Build& b) {
  Value *x = n.in(0), *slope = n.in(1);
  if (x->poison || slope->poison) return {b.function().poison()};
  Value* above = b.maximum(x, b.like(x, 0));
  return {b.add(above, b.mul(b.minimum(x, b.like(x, 0)), slope))};
}
Values mish(NodeView& n, Build& b) {
  Value* x = n.in(0);
  return {b.mul(x, b.unary("tanh", b.unary("softplus", x)))};
}
Value* gelu_of(Build& b, Value* x, const char* mode) { return b.emit("gelu", {{"x", x}, {"mode", mode}}); }
Values gelu(NodeView& n, Build& b) {
  const std::string approximate = n.s("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    return {n.refuse(Code::invalid_attribute, format("approximate '{}', takes none or tanh", approximate))};
  return {gelu_of(b, n.in(0), approximate == "none" ? "EXACT" : "TANH_APPROXIMATION")};
}
// ONNX Runtime's.
Values fast_gelu(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (n.has(1)) x = b.add(x, n.in(1));
  return {gelu_of(b, x, "TANH_APPROXIMATION")};
}
Values quick_gelu(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (x->poison) return {x};
  return {b.mul(x, b.unary("sigmoid", b.scale(x, n.f("alpha", 1.702f))))};
}

constexpr Lowering kRows[] = {
    {"", "Abs", kSince<6, 13>, same_unary<kAbs>},
    {"", "Acos", kSince<7, 22>, same_unary<kAcos>},
    {"", "Asin", kSince<7, 22>, same_unary<kAsin>},
    {"", "Atan", kSince<7, 22>, same_unary<kAtan>},
    {"", "Atanh", kSince<9, 22>, same_unary<kAtanh>},
    {"", "Ceil", kSince<6, 13>, same_unary<kCeil>},
    {"", "Cos", kSince<7, 22>, same_unary<kCos>},
    {"", "Cosh", kSince<9, 22>, same_unary<kCosh>},
    {"", "Floor", kSince<6, 13>, same_unary<kFloor>},
    {"", "Round", kSince<11, 22>, same_unary<kRound>},
    {"", "Sign", kSince<9, 13>, same_unary<kSign>},
    {"", "Sin", kSince<7, 22>, same_unary<kSin>},
    {"", "Sinh", kSince<9, 22>, same_unary<kSinh>},
    {"", "Softplus", kSince<1, 22>, same_unary<kSoftplus>},
    {"", "Softsign", kSince<1, 22>, same_unary<kSoftsign>},
    {"", "Tan", kSince<7, 22>, same_unary<kTan>},
    {"", "Neg", kSince<6, 13>, neg},
    {"", "Reciprocal", kSince<6, 13>, reciprocal},
    {"", "Log", kSince<6, 13>, log},
    {"", "IsNaN", kSince<9, 13, 20>, is_nan},
    {"", "Less", kSince<7, 9, 13>, same_binary<kLess>},
    {"", "LessOrEqual", kSince<12, 16>, same_binary<kLessEqual>},
    {"", "Greater", kSince<7, 9, 13>, same_binary<kGreater>},
    {"", "GreaterOrEqual", kSince<12, 16>, same_binary<kGreaterEqual>},
    {"", "And", kSince<7>, same_binary<kAnd>},
    {"", "Or", kSince<7>, same_binary<kOr>},
    {"", "Xor", kSince<7>, same_binary<kXor>},
    {"", "Max", kSince<6, 8, 12, 13>, variadic<kMaximum>},
    {"", "Min", kSince<6, 8, 12, 13>, variadic<kMinimum>},
    {"", "Sum", kSince<6, 8, 13>, variadic<kAdd>},
    {"", "Mean", kSince<6, 8, 13>, mean},
    {"", "Mod", kSince<10, 13>, mod},
    {"", "LeakyRelu", kSince<6, 16>, leaky_relu},
    {"", "Elu", kSince<6, 22>, elu},
    {"", "Selu", kSince<6, 22>, selu},
    {"", "Celu", kSince<12>, celu},
    {"", "ThresholdedRelu", kSince<10, 22>, thresholded_relu},
    {"", "PRelu", kSince<7, 9, 16>, prelu},
    {"", "Mish", kSince<18, 22>, mish},
    {"", "Gelu", kSince<20>, gelu},
    {"com.microsoft", "FastGelu", kSince<1>, fast_gelu},
    {"com.microsoft", "QuickGelu", kSince<1>, quick_gelu},
};

}  // namespace

LoweringRows math_lowerings() { return kRows; }

}  // namespace graft::onnx
