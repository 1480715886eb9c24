// ONNX operators that work element by element.
#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"
#include "ops/kernel.h"

namespace graft::onnx {
namespace {

// Integers truncate towards zero in ONNX and are rounded down by floor_div: one less where the signs differ and
// something is left over.
Values div(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.second();
  const auto from_below = [&] {
    Value* q = b.binary("floor_div", x, y);
    const auto negative = [&](Value* v) { return b.binary("less", v, b.like(v, 0)); };
    const bool x_may = x->range.lo < 0, y_may = y->range.lo < 0;
    if (!x_may && !y_may) return q;
    Value* differ = x_may && y_may ? b.binary("logical_xor", negative(x), negative(y)) : negative(x_may ? x : y);
    Value* left_over = b.binary("not_equal", b.mul(q, y), x);
    return b.add(q, b.cast(b.binary("logical_and", differ, left_over), q->dtype()));
  };
  if (is_float(x->dtype())) return {b.div(x, y)};
  return {b.first_of([&] { return b.div(x, y); }, from_below)};
}

// The exponent may have another dtype: it is converted to the base's, or both to a wide float when the base is an
// integer.
Values pow(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.second();
  if (x->dtype() == y->dtype()) return {b.binary("pow", x, y)};
  if (is_float(x->dtype())) return {b.binary("pow", x, b.cast(y, x->dtype()))};
  const auto in = [&](DType wide) {
    Value *base = b.cast(x, wide), *exponent = b.cast(y, wide);
    return b.cast(b.binary("pow", base, exponent), x->dtype());
  };
  return {b.first_of([&] { return in(DType::f64); }, [&] { return in(DType::f32); })};
}

// MIL compares numbers only: bools as such.
Values equal(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.second();
  if (x->dtype() == DType::string) return {b.binary("host_string_equal", x, y)};
  const auto direct = [&] { return b.binary("equal", x, y); };
  if (x->dtype() != DType::boolean) return {direct()};
  return {b.first_of(direct, [&] {
    Value *a = b.cast(x, DType::i32), *c = b.cast(y, DType::i32);
    return b.binary("equal", a, c);
  })};
}

// Bounds are attributes before version 11, inputs after; either may be missing, and they may be run-time values.
Values clip(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  Value *lo = nullptr, *hi = nullptr;
  if (n.version() < 11) {
    if (n.has_attr("min")) lo = b.like(x, n.f("min", 0));
    if (n.has_attr("max")) hi = b.like(x, n.f("max", 0));
  } else {
    if (n.has(1)) lo = n.in_saturated(1);
    if (n.has(2)) hi = n.in_saturated(2);
  }
  return {b.clamp(x, lo, hi)};
}

Values hard_sigmoid(NodeView& n, OpBuilder& b) {
  return {b.emit("sigmoid_hard", {{"x", n.in(0)}, {"alpha", n.f("alpha", 0.2f)}, {"beta", n.f("beta", 0.5)}})};
}

Values hard_swish(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.mul(x, b.emit("sigmoid_hard", {{"x", x}, {"alpha", 1.0 / 6}, {"beta", 0.5}}))};
}

// Core ML takes the result's shape from x and y alone: where only the condition has it, x is expanded first.
Values where(NodeView& n, OpBuilder& b) {
  Value *cond = n.in(0), *x = n.in(1), *y = n.in(2);
  const auto expanded = [&] {
    const Result<Dims> both = ops::broadcast(x->dims(), y->dims());
    const Result<Dims> all = both ? ops::broadcast(*both, cond->dims()) : both;
    if (!all || *both == *all) return b.select(cond, x, y);
    Value* hints[] = {cond, x, y};
    return b.select(cond, broadcast_to(b, x, b.dims_value(*all, hints)), y);
  };
  return {b.first_of([&] { return b.select(cond, x, y); }, expanded)};
}

Values cast(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (!n.has_attr("to")) return {n.refuse(Code::invalid_attribute, "attribute 'to' is required")};
  const DType to = n.version() < 6 ? n.dtype_by_name("to") : n.dtype("to");
  if (const IntRange* limit = n.limit(0); limit != nullptr && is_float(x->dtype()) && is_int(to)) {
    x = b.emit("clip", {{"x", x},
                        {"alpha", b.scalar(x->dtype(), static_cast<double>(limit->lo))},
                        {"beta", b.scalar(x->dtype(), static_cast<double>(limit->hi))}});
  }
  return {cast_to(n, b, x, to)};
}

Values identity(NodeView& n, OpBuilder&) { return {n.in(0)}; }

constexpr Lowering kRows[] = {
    {"", "Add", kSince<1, 6, 7, 13, 14>, "A B -> C; axis<7 broadcast<7", same_binary<"add">},
    {"", "Sub", kSince<1, 6, 7, 13, 14>, "A B -> C; axis<7 broadcast<7", same_binary<"sub">},
    {"", "Mul", kSince<1, 6, 7, 13, 14>, "A B -> C; axis<7 broadcast<7", same_binary<"mul">},
    {"", "Div", kSince<1, 6, 7, 13, 14>, "A B -> C; axis<7 broadcast<7", div},
    {"", "Pow", kSince<1, 7, 12, 13, 15>, "X Y -> Z; axis<7 broadcast<7", pow},
    {"", "Sqrt", kSince<1, 6, 13>, "X -> Y", same_unary<"sqrt">},
    {"", "Exp", kSince<1, 6, 13>, "input -> output", same_unary<"exp">},
    {"", "Erf", kSince<9, 13>, "input -> output", same_unary<"erf">},
    {"", "Relu", kSince<1, 6, 13, 14>, "X -> Y", same_unary<"relu">},
    {"", "Sigmoid", kSince<1, 6, 13>, "X -> Y", same_unary<"sigmoid">},
    {"", "Tanh", kSince<1, 6, 13>, "input -> output", same_unary<"tanh">},
    {"", "HardSigmoid", kSince<1, 6, 22>, "X -> Y; alpha beta", hard_sigmoid},
    {"", "HardSwish", kSince<14, 22>, "X -> Y", hard_swish},
    {"", "Clip", kSince<1, 6, 11, 12, 13>, "input min?@11 max?@11 -> output; max<11 min<11", clip},
    {"", "Equal", kSince<1, 7, 11, 13, 19>, "A B -> C; axis<7 broadcast<7", equal},
    {"", "Not", kSince<1>, "X -> Y", same_unary<"logical_not">},
    {"", "Where", kSince<9, 16>, "condition X Y -> output", where},
    {"", "Cast", kSince<1, 6, 9, 13, 19, 21, 23>, "input -> output; round_mode@24 saturate@19 to", cast},
    {.domain = "",
     .op_type = "Identity",
     .versions = kSince<1, 13, 14, 16, 19, 21, 23, 24, 25>,
     .signature = "input -> output",
     .lower = identity,
     .any_rank = true},
};

}  // namespace

LoweringRows elementwise_lowerings() { return kRows; }

}  // namespace graft::onnx
