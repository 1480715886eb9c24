// Element-by-element operators beyond those of lower_elementwise.cc: functions, comparisons, variadic ones,
// activations.
#include <cmath>

#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

Values neg(NodeView& n, OpBuilder& b) { return {b.scale(n.in(0), -1)}; }
// MIL's inverse and log add an epsilon of their own to x.
Values reciprocal(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.div(b.like(x, 1), x)};
}
Values log(NodeView& n, OpBuilder& b) { return {b.emit("log", {{"x", n.in(0)}, {"epsilon", 0.0}})}; }
Values is_nan(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.binary("not_equal", x, x)};
}

Values is_inf(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const bool negative = n.flag("detect_negative", true), positive = n.flag("detect_positive", true);
  if (!negative && !positive) return {b.emit("fill_like", {{"ref_tensor", x}, {"value", false}})};
  if (negative && positive) x = b.unary("abs", x);
  return {b.binary("equal", x, b.like(x, positive ? INFINITY : -INFINITY))};
}

// MIL has no inverses of sinh and cosh, but that of tanh, which is exact where the argument stays away from 1; beyond
// that logarithms of what does not overflow: ln(a) + ln(1 + sqrt(1 + t)), t = 1 / a^2 or -1 / a^2.
Value* log_of_twice(OpBuilder& b, Value* a, Value* root) {
  const auto log = [&](Value* v) { return b.emit("log", {{"x", v}, {"epsilon", 0.0}}); };
  Value* whole = log(a);
  return b.add(whole, log(b.add(root, b.like(root, 1))));
}
Values asinh(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *a = b.unary("abs", x), *one = b.like(x, 1);
  Value* hypotenuse = b.unary("sqrt", b.add(b.unary("square", x), one));
  Value* near = b.unary("atanh", b.div(x, hypotenuse));
  Value* root = b.unary("sqrt", b.add(b.unary("square", b.div(one, a)), one));
  Value* far = b.mul(b.unary("sign", x), log_of_twice(b, a, root));
  return {b.select(b.binary("less", a, one), near, far)};
}
Values acosh(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *one = b.like(x, 1);
  Value *below = b.unary("sqrt", b.sub(x, one)), *above = b.unary("sqrt", b.add(x, one));
  Value* near = b.unary("atanh", b.div(b.mul(below, above), x));
  Value* root = b.unary("sqrt", b.sub(one, b.unary("square", b.div(one, x))));
  Value* far = log_of_twice(b, x, root);
  return {b.select(b.binary("less", x, b.like(x, 2)), near, far)};
}

template <OpName op>
Values variadic(NodeView& n, OpBuilder& b) {
  const Values all = n.all();
  Value* y = all[0];
  for (size_t i = 1; i < all.size(); ++i) y = b.binary(op.text, y, all[i]);
  return {y};
}
Values mean(NodeView& n, OpBuilder& b) {
  Value* sum = variadic<"add">(n, b)[0];
  return {n.inputs() == 1 ? sum : b.div(sum, b.like(sum, n.inputs()))};
}

// The sign of the divisor, or of the dividend with fmod.
Values mod(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1);
  if (!n.flag("fmod")) return {b.binary("mod", x, y)};
  if (!is_float(x->dtype())) {
    // Not by magnitudes: the lowest integer has none.
    Value *m = b.binary("mod", x, y), *zero = b.like(x, 0);
    Value *below = b.binary("less", m, zero), *from_below = b.binary("less", x, zero);
    Value* other = b.binary("logical_xor", below, from_below);
    Value* wrong = b.binary("logical_and", b.binary("not_equal", m, zero), other);
    return {b.select(wrong, b.sub(m, y), m)};
  }
  Value *dividend = b.unary("abs", x), *divisor = b.unary("abs", y);
  Value* magnitude = b.binary("mod", dividend, divisor);
  return {b.mul(b.unary("sign", x), magnitude)};
}

Values bit_shift(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1);
  const std::string direction = n.s("direction", "");
  if (direction == "LEFT") return {b.binary("host_shift_left", x, y)};
  if (direction == "RIGHT") return {b.binary("host_shift_right", x, y)};
  return {n.refuse(Code::invalid_attribute, format("direction '{}', takes LEFT or RIGHT", direction))};
}

// ---- activations --------------------------------------------------------------------------------------------------

Values leaky_relu(NodeView& n, OpBuilder& b) {
  return {b.emit("leaky_relu", {{"x", n.in(0)}, {"alpha", n.f("alpha", 0.01f)}})};
}
Values elu(NodeView& n, OpBuilder& b) { return {b.emit("elu", {{"x", n.in(0)}, {"alpha", n.f("alpha", 1)}})}; }
Values selu(NodeView& n, OpBuilder& b) {
  Value* y = b.emit("elu", {{"x", n.in(0)}, {"alpha", n.f("alpha", 1.67326319217681884765625)}});
  return {b.scale(y, n.f("gamma", 1.05070102214813232421875))};
}
// alpha * (e^(x / alpha) - 1) below zero; with an alpha below zero that is no elu.
Values celu(NodeView& n, OpBuilder& b) {
  const double alpha = n.f("alpha", 1);
  Value* x = n.in(0);
  if (alpha == 1) return {b.emit("elu", {{"x", x}, {"alpha", 1.0}})};
  // Large x divided by a small alpha would be infinite: what is above zero goes its own way then.
  const bool apart = alpha < 1;
  Value* low = apart ? b.minimum(x, b.like(x, 0)) : x;
  Value* z = b.div(low, b.like(x, alpha));
  Value* y = alpha < 0 ? b.unary("exp", z) : b.emit("elu", {{"x", z}, {"alpha", 1.0}});
  if (alpha < 0) y = b.sub(y, b.like(y, 1));
  y = b.scale(y, alpha);
  return {apart ? b.add(b.unary("relu", x), y) : y};
}
// MIL's thresholded_relu keeps x where it equals alpha, ONNX's does not.
Values thresholded_relu(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  Value* above = b.binary("greater", x, b.like(x, n.f("alpha", 1)));
  return {b.select(above, x, b.like(x, 0))};
}
Values prelu(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *slope = n.in(1);
  // Before version 7 more than one slope is one for each channel.
  for (int d = 2; n.version() < 7 && !ir::always_equal(ir::product(slope->dims()), Dim(1)) && d < x->rank(); ++d)
    slope = b.expand_dims(slope, {slope->rank()});
  Value* above = b.maximum(x, b.like(x, 0));
  return {b.add(above, b.mul(b.minimum(x, b.like(x, 0)), slope))};
}
Values mish(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.mul(x, b.unary("tanh", b.unary("softplus", x)))};
}
// Bounds and bias are single numbers, whatever x is.
Values shrink(NodeView& n, OpBuilder& b) {
  const DType own = n.in(0)->dtype();
  Value* x = own == DType::f64 ? n.in(0) : b.cast(n.in(0), DType::f32);
  const double bias = n.f("bias", 0), limit = n.f("lambd", 0.5);
  Value *raised = b.add(x, b.like(x, bias)), *lowered = b.sub(x, b.like(x, bias));
  Value* high = b.select(b.binary("greater", x, b.like(x, limit)), lowered, b.like(x, 0));
  return {b.cast(b.select(b.binary("less", x, b.like(x, -limit)), raised, high), own)};
}
Values gelu(NodeView& n, OpBuilder& b) {
  const std::string approximate = n.s("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    return {n.refuse(Code::invalid_attribute, format("approximate '{}', takes none or tanh", approximate))};
  const char* mode = approximate == "none" ? "EXACT" : "TANH_APPROXIMATION";
  return {b.emit("gelu", {{"x", n.in(0)}, {"mode", mode}})};
}
// x * sigmoid(alpha * x)
Values swish(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.mul(x, b.unary("sigmoid", b.scale(x, n.f("alpha", 1))))};
}

// A gate, and what it lets through.
Values swiglu(NodeView& n, OpBuilder& b) {
  Value* gate = swish(n, b)[0];
  return {b.mul(gate, n.in(1))};
}

constexpr Lowering kRows[] = {
    {"", "Abs", kSince<1, 6, 13>, "X -> Y", same_unary<"abs">},
    {"", "Acos", kSince<7, 22>, "input -> output", same_unary<"acos">},
    {"", "Asin", kSince<7, 22>, "input -> output", same_unary<"asin">},
    {"", "Atan", kSince<7, 22>, "input -> output", same_unary<"atan">},
    {"", "Acosh", kSince<9, 22>, "input -> output", acosh},
    {"", "Asinh", kSince<9, 22>, "input -> output", asinh},
    {"", "Atanh", kSince<9, 22>, "input -> output", same_unary<"atanh">},
    {"", "Ceil", kSince<1, 6, 13>, "X -> Y", same_unary<"ceil">},
    {"", "Cos", kSince<7, 22>, "input -> output", same_unary<"cos">},
    {"", "Cosh", kSince<9, 22>, "input -> output", same_unary<"cosh">},
    {"", "Floor", kSince<1, 6, 13>, "X -> Y", same_unary<"floor">},
    {"", "Round", kSince<11, 22>, "X -> Y", same_unary<"round">},
    {"", "Sign", kSince<9, 13>, "input -> output", same_unary<"sign">},
    {"", "Sin", kSince<7, 22>, "input -> output", same_unary<"sin">},
    {"", "Sinh", kSince<9, 22>, "input -> output", same_unary<"sinh">},
    {"", "Softplus", kSince<1, 22>, "X -> Y", same_unary<"softplus">},
    {"", "Softsign", kSince<1, 22>, "input -> output", same_unary<"softsign">},
    {"", "Tan", kSince<7, 22>, "input -> output", same_unary<"tan">},
    {"", "Neg", kSince<1, 6, 13>, "X -> Y", neg},
    {"", "Reciprocal", kSince<1, 6, 13>, "X -> Y", reciprocal},
    {"", "Log", kSince<1, 6, 13>, "input -> output", log},
    {"", "IsNaN", kSince<9, 13, 20>, "X -> Y", is_nan},
    {"", "IsInf", kSince<10, 20>, "X -> Y; detect_negative detect_positive", is_inf},
    {"", "Less", kSince<1, 7, 9, 13>, "A B -> C; axis<7 broadcast<7", same_binary<"less">},
    {"", "LessOrEqual", kSince<12, 16>, "A B -> C", same_binary<"less_equal">},
    {"", "Greater", kSince<1, 7, 9, 13>, "A B -> C; axis<7 broadcast<7", same_binary<"greater">},
    {"", "GreaterOrEqual", kSince<12, 16>, "A B -> C", same_binary<"greater_equal">},
    {"", "And", kSince<1, 7>, "A B -> C; axis<7 broadcast<7", same_binary<"logical_and">},
    {"", "Or", kSince<1, 7>, "A B -> C; axis<7 broadcast<7", same_binary<"logical_or">},
    {"", "Xor", kSince<1, 7>, "A B -> C; axis<7 broadcast<7", same_binary<"logical_xor">},
    {"", "Max", kSince<1, 6, 8, 12, 13>, "data_0+ -> max", variadic<"maximum">},
    {"", "Min", kSince<1, 6, 8, 12, 13>, "data_0+ -> min", variadic<"minimum">},
    {"", "Sum", kSince<1, 6, 8, 13>, "data_0+ -> sum", variadic<"add">},
    {"", "Mean", kSince<1, 6, 8, 13>, "data_0+ -> mean", mean},
    {"", "Mod", kSince<10, 13>, "A B -> C; fmod", mod},
    {"", "BitwiseAnd", kSince<18>, "A B -> C", same_binary<"host_bitwise_and">},
    {"", "BitwiseOr", kSince<18>, "A B -> C", same_binary<"host_bitwise_or">},
    {"", "BitwiseXor", kSince<18>, "A B -> C", same_binary<"host_bitwise_xor">},
    {"", "BitwiseNot", kSince<18>, "X -> Y", same_unary<"host_bitwise_not">},
    {"", "BitShift", kSince<11, 28>, "X Y -> Z; direction", bit_shift},
    {"", "LeakyRelu", kSince<1, 6, 16>, "X -> Y; alpha", leaky_relu},
    {"", "Elu", kSince<1, 6, 22>, "X -> Y; alpha", elu},
    {"", "Selu", kSince<1, 6, 22>, "X -> Y; alpha gamma", selu},
    {"", "Celu", kSince<12>, "X -> Y; alpha", celu},
    {"", "ThresholdedRelu", kSince<10, 22>, "X -> Y; alpha", thresholded_relu},
    {"", "PRelu", kSince<1, 6, 7, 9, 16>, "X slope -> Y", prelu},
    {"", "Mish", kSince<18, 22>, "X -> Y", mish},
    {"", "Shrink", kSince<9>, "input -> output; bias lambd", shrink},
    {"", "Swish", kSince<24>, "X -> Y; alpha", swish},
    {"", "SwiGLU", kSince<28>, "A B -> Y; alpha", swiglu},
    {"", "Gelu", kSince<20>, "X -> Y; approximate", gelu},
};

}  // namespace

LoweringRows math_lowerings() { return kRows; }

}  // namespace graft::onnx
