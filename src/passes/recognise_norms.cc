#include <algorithm>

#include "passes/match.h"
#include "passes/recognise.h"
#include "passes/rewriter.h"

namespace graft::passes {
namespace {

// The axes of a reduction of x that keeps its dims; nullopt when it is not this one.
std::optional<Ints> reduced(const Value* v, Reduction how, const Value* x) {
  const Op* op = made_by(v, how);
  if (op == nullptr || op->arg("x") != x || !flag_of(*op, "keep_dims")) return std::nullopt;
  if (op->arg("axes") == nullptr) {
    Ints all;
    for (int i = 0; i < x->rank(); ++i) all.push_back(i);
    return all;
  }
  const auto axes = ints_of(*op, "axes");
  return axes ? sorted_axes(*axes, x->rank()) : std::nullopt;
}

// v = operand squared, or null.
Value* square_root_of(const Value* v) {
  const Op* op = v->producer;
  if (op == nullptr) return nullptr;
  if (op->is(Scalar::square)) return op->arg("x");
  if (op->is(Scalar::mul) && op->arg("x") == op->arg("y")) return op->arg("x");
  return op->is(Scalar::pow) && is_scalar(op->arg("y"), 2) ? op->arg("x") : nullptr;
}

std::optional<Values> to_softmax(Rewriter& rewriter, const Op& op) {
  Value* e = op.arg("x");
  const Op* exp = made_by(e, Scalar::exp);
  const auto summed = reduced(op.arg("y"), Reduction::sum, e);
  if (exp == nullptr || !summed || summed->size() != 1 || rewriter.uses(e) != 2) return std::nullopt;
  const Op* shifted = made_by(exp->arg("x"), Scalar::sub);
  if (shifted == nullptr) return std::nullopt;
  Value* x = shifted->arg("x");
  if (reduced(shifted->arg("y"), Reduction::max, x) != summed) return std::nullopt;
  return Values{rewriter.build().emit("softmax", {{"x", x}, {"axis", (*summed)[0]}})};
}

struct Centred {
  Value* x;
  Ints axes;
};
// v = x - mean(x).
std::optional<Centred> centred(const Value* v) {
  const Op* sub = made_by(v, Scalar::sub);
  if (sub == nullptr) return std::nullopt;
  const auto axes = reduced(sub->arg("y"), Reduction::mean, sub->arg("x"));
  return axes ? std::optional(Centred{sub->arg("x"), *axes}) : std::nullopt;
}

struct Guarded {
  Value* value;
  double epsilon;
};
// v = value + a small positive number.
std::optional<Guarded> guarded(const Value* v) {
  const Op* add = made_by(v, Scalar::add);
  if (add == nullptr) return std::nullopt;
  for (const auto& [value, number] :
       {std::pair(add->arg("x"), add->arg("y")), std::pair(add->arg("y"), add->arg("x"))}) {
    const auto eps = scalar_of(number);
    if (eps && *eps > 0 && *eps <= 1 && value->type == v->type) return Guarded{value, *eps};
  }
  return std::nullopt;
}

// The denominator sqrt(v + eps): as sqrt under a division, or as rsqrt or pow(-0.5) under a product.
std::optional<Guarded> deviation(const Op& op, Value*& numerator) {
  if (op.is(Scalar::real_div)) {
    numerator = op.arg("x");
    const Op* root = made_by(op.arg("y"), Scalar::sqrt);
    if (root != nullptr) return guarded(root->arg("x"));
    root = made_by(op.arg("y"), Scalar::pow);
    return root != nullptr && is_scalar(root->arg("y"), 0.5) ? guarded(root->arg("x")) : std::nullopt;
  }
  for (const auto& [a, b] : {std::pair(op.arg("x"), op.arg("y")), std::pair(op.arg("y"), op.arg("x"))}) {
    const Op* root = made_by(b, Scalar::rsqrt);
    if (root == nullptr) continue;
    numerator = a;
    return Guarded{root->arg("x"), float_of(*root, "epsilon")};
  }
  return std::nullopt;
}

bool are_last(const Ints& axes, int rank) {
  for (int i = 0; i < axes.size(); ++i) {
    if (axes[i] != rank - axes.size() + i) return false;
  }
  return !axes.empty();
}

std::optional<Values> to_layer_norm(Rewriter& rewriter, const Op& op) {
  Value* d = nullptr;
  const auto under_root = deviation(op, d);
  if (!under_root || d == nullptr || !is_float(d->dtype())) return std::nullopt;
  const auto c = centred(d);
  const Op* variance = made_by(under_root->value, Reduction::mean);
  if (!c || variance == nullptr || !are_last(c->axes, c->x->rank())) return std::nullopt;
  const Value* squared = square_root_of(variance->arg("x"));
  // The same difference, or one computed again.
  if (squared == nullptr) return std::nullopt;
  if (squared != d) {
    const auto again = centred(squared);
    if (!again || again->x != c->x || again->axes != c->axes) return std::nullopt;
  }
  if (reduced(under_root->value, Reduction::mean, variance->arg("x")) != std::optional(c->axes)) return std::nullopt;
  if (op.result()->type != c->x->type) return std::nullopt;
  return Values{
      rewriter.build().emit("layer_norm", {{"x", c->x}, {"axes", c->axes}, {"epsilon", under_root->epsilon}})};
}

// gamma or beta: a constant of the normalised dims, perhaps with leading ones.
std::optional<Values> into_layer_norm(Rewriter& rewriter, const Op& op) {
  const auto operands = with_constant(op);
  const Op* norm = operands ? made_by(operands->other, Kind::layer_norm) : nullptr;
  if (norm == nullptr || !rewriter.used_once(operands->other) || op.result()->type != operands->other->type)
    return std::nullopt;
  const std::string_view param = op.is(Scalar::mul) ? "gamma" : "beta";
  if (norm->arg(param) != nullptr || norm->arg("beta") != nullptr || norm->arg("axes") == nullptr) return std::nullopt;
  const auto given = ints_of(*norm, "axes");
  const auto axes = given ? sorted_axes(*given, operands->other->rank()) : std::nullopt;
  if (!axes || !are_last(*axes, operands->other->rank())) return std::nullopt;
  Shape shape;
  for (int64_t a : *axes) {
    const ir::Dim d = operands->other->dim(static_cast<int>(a));
    if (!d.known()) return std::nullopt;
    shape.push_back(d.value());
  }
  const ir::Constant& c = *operands->constant->constant;
  const int lead = c.rank() - shape.size();
  if (lead < 0 || c.count() != shape.product() || c.dtype() != operands->other->dtype()) return std::nullopt;
  for (int i = 0; i < shape.size(); ++i) {
    if (c.shape()[lead + i] != shape[i]) return std::nullopt;
  }
  ops::OpBuilder& b = rewriter.build();
  Value* v = b.constant(ir::Constant::reshape(operands->constant->constant, shape), operands->constant->name);
  v->origin.merge(operands->constant->origin);
  auto args = norm->args;
  args[static_cast<size_t>(norm->row->param_index(param))] = {v};
  return rewriter.emit_again(*norm, args);
}

std::optional<Values> to_rsqrt(Rewriter& rewriter, const Op& op) {
  if (!is_filled(op.arg("x"), 1) || op.result()->type != op.arg("y")->type) return std::nullopt;
  const Op* root = made_by(op.arg("y"), Scalar::sqrt);
  const auto g = root != nullptr && rewriter.used_once(op.arg("y")) ? guarded(root->arg("x")) : std::nullopt;
  if (!g) return std::nullopt;
  return Values{rewriter.build().emit("rsqrt", {{"x", g->value}, {"epsilon", g->epsilon}})};
}

}  // namespace

Result<int> recognise_softmax(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) { return op.is(Scalar::real_div) ? to_softmax(rewriter, op) : std::nullopt; });
}

Result<int> recognise_layer_norm(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) -> std::optional<Values> {
    if (!op.is(Scalar::real_div) && !op.is(Scalar::mul) && !op.is(Scalar::add)) return std::nullopt;
    if (!op.is(Scalar::add)) {
      if (auto norm = to_layer_norm(rewriter, op)) return norm;
    }
    return !op.is(Scalar::real_div) ? into_layer_norm(rewriter, op) : std::nullopt;
  });
}

Result<int> recognise_rsqrt(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) { return op.is(Scalar::real_div) ? to_rsqrt(rewriter, op) : std::nullopt; });
}

}  // namespace graft::passes
