#include "passes/fuse_linear.h"

#include "passes/match.h"
#include "passes/rewriter.h"

namespace graft::passes {
namespace {

// The value under a transpose that swaps the last two dims and nothing else, or null.
Value* under_swap(const Value* v) {
  const Op* t = made_by(v, Kind::transpose);
  if (t == nullptr) return nullptr;
  const std::optional<Ints> perm = ints_of(*t, "perm");
  const int rank = v->rank();
  if (!perm || rank < 2 || perm->size() != rank) return nullptr;
  for (int i = 0; i < rank; ++i) {
    const int64_t p = (*perm)[i] < 0 ? (*perm)[i] + rank : (*perm)[i];
    if (p != (i < rank - 2 ? i : 2 * rank - 3 - i)) return nullptr;
  }
  return t->arg("x");
}

std::optional<Values> use_flags(Rewriter& rewriter, const Op& op) {
  Value *x = op.arg("x"), *y = op.arg("y");
  Value *under_x = under_swap(x), *under_y = under_swap(y);
  if (under_x == nullptr && under_y == nullptr) return std::nullopt;
  const bool tx = flag_of(op, "transpose_x") != (under_x != nullptr);
  const bool ty = flag_of(op, "transpose_y") != (under_y != nullptr);
  return Values{rewriter.build().emit("matmul", {{"x", under_x != nullptr ? under_x : x},
                                                 {"y", under_y != nullptr ? under_y : y},
                                                 {"transpose_x", tx},
                                                 {"transpose_y", ty}})};
}

std::optional<Values> to_linear(Rewriter& rewriter, const Op& op) {
  Value *x = op.arg("x"), *y = op.arg("y");
  if (!y->is_constant() || x->is_constant() || y->rank() != 2 || x->rank() < 2 || x->rank() > 3) return std::nullopt;
  if (!is_float(x->dtype()) || flag_of(op, "transpose_x")) return std::nullopt;
  // linear wants [out, in].
  Value* weight = flag_of(op, "transpose_y")
                      ? y
                      : rewriter.build().constant(ir::Constant::transpose(y->constant, Ints{1, 0}), y->name);
  weight->origin.merge(y->origin);
  return Values{rewriter.build().emit("linear", {{"x", x}, {"weight", weight}})};
}

std::optional<Values> add_bias(Rewriter& rewriter, const Op& op) {
  const auto operands = with_constant(op);
  if (!operands) return std::nullopt;
  const Op* linear = made_by(operands->other, Kind::linear);
  Value* bias = operands->constant;
  if (linear == nullptr || !rewriter.used_once(operands->other) || op.result()->type != linear->result()->type)
    return std::nullopt;
  const int64_t n = linear->arg("weight")->constant->shape()[0];
  if (bias->constant->count() != n || bias->rank() == 0 || bias->constant->shape().back() != n) return std::nullopt;
  ops::OpBuilder& b = rewriter.build();
  Value* vector = b.constant(ir::Constant::reshape(bias->constant, Shape{n}), bias->name);
  vector->origin.merge(bias->origin);
  if (Value* had = linear->arg("bias")) vector = b.add(had, vector);
  return Values{b.emit("linear", {{"x", linear->arg("x")}, {"weight", linear->arg("weight")}, {"bias", vector}})};
}

}  // namespace

Result<int> transpose_into_matmul(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) { return op.is(Kind::matmul) ? use_flags(rewriter, op) : std::nullopt; });
}

Result<int> matmul_to_linear(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) -> std::optional<Values> {
    if (op.is(Kind::matmul)) return to_linear(rewriter, op);
    if (op.is(Scalar::add)) return add_bias(rewriter, op);
    return std::nullopt;
  });
}

}  // namespace graft::passes
