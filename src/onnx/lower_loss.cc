// Losses of classes: the negative logarithm of what the right class got.
#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// input [n, classes, d...], target [n, d...], weight of each class.
Value* class_loss(NodeView& n, OpBuilder& b, Value* x, Value* target, Value* weight) {
  const std::string reduction = n.s("reduction", "mean");
  if (reduction != "mean" && reduction != "sum" && reduction != "none")
    return n.refuse(Code::invalid_attribute, format("reduction '{}', takes mean, sum or none", reduction));
  if (x->rank() < 2 || target->rank() != x->rank() - 1)
    return n.refuse(Code::rank_mismatch, format("takes [n, classes, ...] and [n, ...], got {} and {}",
                                                x->type.to_string(), target->type.to_string()));
  Value* counts = nullptr;  // of each target; null: all
  if (n.has_attr("ignore_index")) {
    counts = b.binary("not_equal", target, b.like(target, static_cast<double>(n.i("ignore_index", 0))));
    target = b.select(counts, target, b.like(target, 0));
  }
  Value* found = with_indices(n, b, b.expand_dims(target, {1}), x, 1, [&](Value* at) {
    return b.emit("gather_along_axis", {{"x", x}, {"indices", at}, {"axis", 1}});
  });
  Value* loss = b.scale(b.squeeze(found, {1}), -1);
  Value* shares = nullptr;  // of each loss in the mean; null: the same
  if (weight != nullptr) {
    shares = with_indices(n, b, target, weight, 0, [&](Value* at) { return b.gather(weight, at, 0); });
    loss = b.mul(loss, shares);
  }
  if (counts != nullptr) {
    loss = b.select(counts, loss, b.like(loss, 0));
    shares = shares == nullptr ? b.cast(counts, loss->dtype()) : b.select(counts, shares, b.like(shares, 0));
  }
  if (reduction == "none" || !b.ok()) return loss;
  Ints axes;
  for (int d = 0; d < loss->rank(); ++d) axes.push_back(d);
  if (reduction == "mean" && shares == nullptr) return b.reduce("reduce_mean", loss, axes, false);
  Value* sum = b.reduce("reduce_sum", loss, axes, false);
  return reduction == "sum" ? sum : b.div(sum, b.reduce("reduce_sum", shares, axes, false));
}

Values negative_log_likelihood(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *target = n.in(1), *weight = n.optional_in(2);
  return {class_loss(n, b, x, target, weight)};
}

Values softmax_cross_entropy(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *target = n.in(1), *weight = n.optional_in(2);
  if (x->rank() < 2)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 2 or more", x->type.to_string()))};
  Value* logarithms = log_softmax_at(b, x, 1);
  return {class_loss(n, b, logarithms, target, weight), logarithms};
}

constexpr Lowering kRows[] = {
    {"", "NegativeLogLikelihoodLoss", kSince<12, 13, 22>, "input target weight? -> loss; ignore_index reduction",
     negative_log_likelihood},
    {"", "SoftmaxCrossEntropyLoss", kSince<12, 13>,
     "scores labels weights? -> output log_prob?; ignore_index reduction", softmax_cross_entropy},
};

}  // namespace

LoweringRows loss_lowerings() { return kRows; }

}  // namespace graft::onnx
