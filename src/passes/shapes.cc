#include "passes/shapes.h"

#include <algorithm>

#include "passes/match.h"
#include "passes/rewriter.h"

namespace graft::passes {
namespace {

// A view whose shape is one of its arguments: what a reshape can say too.
bool changes_shape_only(const Op& op) {
  return op.is(Kind::view) && (op.row->param_index("shape") >= 0 || op.row->param_index("axes") >= 0);
}

bool full_slice(const Op& op) {
  const Value* x = op.arg("x");
  const auto begin = ints_of(op, "begin"), stride = ints_of(op, "stride"), mask = ints_of(op, "begin_mask");
  if (op.result()->type != x->type || !stride || !mask) return false;
  if (std::any_of(stride->begin(), stride->end(), [](int64_t s) { return s != 1; })) return false;
  // Equal type and stride 1: it begins at 0. A dim of unknown size could still begin elsewhere.
  for (int i = 0; i < x->rank(); ++i) {
    const bool masked = i < mask->size() && (*mask)[i] != 0;
    const bool zero = begin && i < begin->size() && (*begin)[i] == 0;
    if (!masked && !zero && !x->dim(i).known()) return false;
  }
  return true;
}

bool neutral(const Op& op) {
  const auto operands = with_constant(op);
  if (!operands || op.result()->type != operands->other->type) return false;
  const bool second = operands->constant == op.arg("y");
  if (op.is(Scalar::mul)) return is_filled(operands->constant, 1);
  if (op.is(Scalar::real_div)) return second && is_filled(operands->constant, 1);
  return op.is(Scalar::sub) && second && is_filled(operands->constant, 0);
}

Value* unchanged(const Op& op) {
  if (op.is(Kind::view) && op.args.size() == 1) return op.arg("x");
  if (op.is(Kind::slice) && full_slice(op)) return op.arg("x");
  if (changes_shape_only(op) && op.result()->type == op.arg("x")->type) return op.arg("x");
  if (op.is(Kind::concat) && op.args[0].size() == 1) return op.args[0][0];
  if ((op.is(Scalar::mul) || op.is(Scalar::real_div) || op.is(Scalar::sub)) && neutral(op))
    return with_constant(op)->other;
  if (op.is(Kind::transpose)) {
    const auto perm = ints_of(op, "perm");
    for (int i = 0; perm && i < perm->size(); ++i) {
      if ((*perm)[i] != i && (*perm)[i] != i - perm->size()) return nullptr;
    }
    return perm ? op.arg("x") : nullptr;
  }
  return nullptr;
}

std::optional<Ints> perm_of(const Op& op) {
  std::optional<Ints> perm = ints_of(op, "perm");
  if (perm) {
    for (int64_t& p : *perm) p = p < 0 ? p + perm->size() : p;
  }
  return perm;
}

std::optional<Values> merge_transpose(Rewriter& rewriter, const Op& op) {
  const Op* inner = made_by(op.arg("x"), Kind::transpose);
  if (inner == nullptr) return std::nullopt;
  const auto outer_perm = perm_of(op), inner_perm = perm_of(*inner);
  if (!outer_perm || !inner_perm) return std::nullopt;
  Ints both;
  for (int64_t p : *outer_perm) both.push_back((*inner_perm)[static_cast<int>(p)]);
  return Values{rewriter.build().transpose(inner->arg("x"), both)};
}

std::optional<Values> reshape_to_type(Rewriter& rewriter, const Op& op, Value* source) {
  auto shape = ops::constant_shape(source->dims(), op.result()->dims());
  if (!shape) return std::nullopt;
  Value* y = rewriter.build().emit("reshape", {{"x", source}, {"shape", std::move(*shape)}});
  // The symbols of the old type are in use further on.
  if (!y->poison && !y->is_constant() && y->type != op.result()->type) y->type = op.result()->type;
  return Values{y};
}

std::optional<Values> merge_reshape(Rewriter& rewriter, const Op& op) {
  const Op* inner = op.arg("x")->producer;
  if (inner == nullptr || !changes_shape_only(*inner)) return std::nullopt;
  Value* source = inner->arg("x");
  // A run in which the first one is impossible has to fail.
  if (!ir::always_equal(ir::product(source->dims()), ir::product(op.arg("x")->dims()))) return std::nullopt;
  if (source->type == op.result()->type) return Values{source};
  return reshape_to_type(rewriter, op, source);
}

}  // namespace

Result<int> remove_noops(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) -> std::optional<Values> {
    Value* x = unchanged(op);
    return x == nullptr ? std::nullopt : std::optional(Values{x});
  });
}

Result<int> merge_transposes(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) { return op.is(Kind::transpose) ? merge_transpose(rewriter, op) : std::nullopt; });
}

Result<int> merge_reshapes(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) { return changes_shape_only(op) ? merge_reshape(rewriter, op) : std::nullopt; });
}

Result<int> constant_reshapes(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) -> std::optional<Values> {
    if (!op.is(Kind::view) || op.row->host_only()) return std::nullopt;
    const Value* shape = op.row->param_index("shape") >= 0 ? op.arg("shape") : nullptr;
    if (shape == nullptr || shape->is_constant()) return std::nullopt;
    return reshape_to_type(rewriter, op, op.arg("x"));
  });
}

}  // namespace graft::passes
