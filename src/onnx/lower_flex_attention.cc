// FlexAttention, of which the model says what becomes of scores and shares.
#include <cmath>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// What the body makes of a value, which keeps its dtype; the value itself without a body.
Value* modified(NodeView& n, OpBuilder& b, std::string_view body, Value* x) {
  if (!n.has_attr(body)) return x;
  const Graph* graph = n.body(body);
  if (graph == nullptr) return n.refused();
  if (graph->inputs.size() != 1 || graph->outputs.size() != 1)
    return n.refuse(Code::invalid_model, format("'{}' has {} inputs and {} outputs, takes one of each", body,
                                                graph->inputs.size(), graph->outputs.size()));
  const Values out = n.inline_body(*graph, std::array{x});
  if (!b.ok()) return n.refused();
  if (out[0]->dtype() != x->dtype() || out[0]->rank() != x->rank())
    return n.refuse(Code::invalid_model,
                    format("'{}' makes {} of {}", body, out[0]->type.to_string(), x->type.to_string()));
  return out[0];
}

// [B, heads, ...] of fewer heads, each of which `shared` neighbours use.
Value* repeated(OpBuilder& b, Value* x, int64_t shared) {
  if (shared == 1) return x;
  Value* hints[] = {x};
  Value* apart = b.emit("tile", {{"x", b.expand_dims(x, {2})}, {"reps", Ints{1, 1, shared, 1, 1}}});
  return b.reshape(apart, {x->dim(0), x->dim(1) * Dim(shared), x->dim(2), x->dim(3)}, hints);
}

Values flex_attention(NodeView& n, OpBuilder& b) {
  Value *q = n.in(0), *k = n.in(1), *v = n.in(2);
  for (const Value* x : {q, k, v}) {
    if (x->rank() != 4 || !x->dim(1).known() || !x->dim(3).known())
      return {n.refuse(Code::shape_mismatch,
                       format("got {}, takes [B, heads, length, size], heads and size known", x->type.to_string()))};
  }
  const int64_t heads = q->dim(1).value(), groups = k->dim(1).value();
  if (groups < 1 || heads % groups != 0 || v->dim(1).value() != groups)
    return {n.refuse(Code::shape_mismatch,
                     format("{} heads of queries, {} of keys, {} of values", heads, groups, v->dim(1).value()))};
  const DType own = q->dtype();
  const DType inside = n.has_attr("softmax_precision") ? n.dtype("softmax_precision")
                       : own == DType::f64             ? own
                                                       : DType::f32;
  const double size = static_cast<double>(q->dim(3).value());
  const double scale = n.f("scale", size > 0 ? 1 / std::sqrt(size) : 1);
  k = repeated(b, k, heads / groups);
  v = repeated(b, v, heads / groups);
  Value* scores = b.scale(b.cast(b.matmul(q, k, true), inside), scale);
  scores = modified(n, b, "score_mod", scores);
  Value* shares = modified(n, b, "prob_mod", b.emit("softmax", {{"x", scores}, {"axis", -1}}));
  return {b.matmul(b.cast(shares, own), v)};
}

constexpr Lowering kRows[] = {
    {"ai.onnx.preview", "FlexAttention", kSince<1>, "Q K V -> Y; prob_mod scale score_mod softmax_precision",
     flex_attention},
};

}  // namespace

LoweringRows flex_attention_lowerings() { return kRows; }

}  // namespace graft::onnx
