// ONNX Runtime's small operators on tensors: most are older names of what ai.onnx has now.
#include <limits>

#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

Values expand_dims(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const std::optional<int64_t> axis = n.const_int(1, "axis");
  if (!axis) return {n.refuse(Code::invalid_model, "the axis is missing")};
  return {b.expand_dims(x, {normal_axis(n, *axis, x->rank() + 1)})};
}

// In the order of their first places; the second output is each element's place among them.
Values unique(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() != 1) return {n.refuse(Code::rank_mismatch, format("got {}, takes a list", x->type.to_string()))};
  const Values found = b.emit_all("host_unique", {{"x", x}, {"sorted", false}});
  if (!b.ok()) return {n.refused()};
  return {found[0], found[2], found[3]};
}

// The windows along a dim; their elements are the last one.
Values unfold(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int axis = normal_axis(n, n.i("dim", -1), x->rank());
  Value* y =
      b.emit("sliding_windows", {{"x", x}, {"axis", axis}, {"size", n.required_i("size")}, {"stride", n.i("step", 1)}});
  Ints perm;
  for (int d = 0; d <= x->rank(); ++d) {
    if (d != axis + 1) perm.push_back(d);
  }
  perm.push_back(axis + 1);
  return {b.ok() ? b.transpose(y, perm) : y};
}

// Distances between the rows of two matrices: |a|^2 + |b|^2 - 2 a b.
Values cdist(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1);
  const std::string metric = n.s("metric", "sqeuclidean");
  if (metric != "sqeuclidean" && metric != "euclidean")
    return {n.refuse(Code::invalid_attribute, format("metric '{}', takes sqeuclidean or euclidean", metric))};
  if (x->rank() != 2 || y->rank() != 2)
    return {n.refuse(Code::rank_mismatch,
                     format("got {} and {}, takes matrices", x->type.to_string(), y->type.to_string()))};
  Value* of_x = b.reduce("reduce_sum_square", x, {1}, true);
  Value* of_y = b.expand_dims(b.reduce("reduce_sum_square", y, {1}, false), {0});
  Value* both = b.scale(b.matmul(x, y, true), -2);
  Value* d = b.add(b.add(both, of_x), of_y);
  d = b.maximum(d, b.like(d, 0));
  return {metric == "euclidean" ? b.unary("sqrt", d) : d};
}

// The dims of x are [n, spatial..., channels].
Values nhwc_max_pool(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() < 3 || x->rank() > 5)
    return {n.refuse(Code::unsupported_rank, format("got {}, windows are taken on rank 3 to 5", x->type.to_string()))};
  Ints first{0, x->rank() - 1}, last{0};
  for (int d = 1; d < x->rank() - 1; ++d) first.push_back(d);
  for (int d = 2; d < x->rank(); ++d) last.push_back(d);
  last.push_back(1);
  Value* y = max_pool_of(n, b, b.transpose(x, first));
  return {b.ok() ? b.transpose(y, last) : y};
}

// scores [B, V] without the words that would make the last n - 1 of a text [B, S] a run of n that it has already.
Values ngram_repeat_block(NodeView& n, OpBuilder& b) {
  Value *ids = takes_rank(n, n.in(0), 2, "input_ids"), *scores = takes_rank(n, n.in(1), 2, "scores");
  const int64_t size = positive(n, "ngram_size");
  if (!b.ok()) return {n.refused()};
  constexpr int64_t kMost = 1024;  // comparisons
  if (size > kMost) return {n.refuse(Code::limit_exceeded, format("ngram_size is {}, takes 1..{}", size, kMost))};
  const Dim length = ids->dim(1);
  if (length.known() && length.value() < size) return {b.identity(scores)};
  const auto places = [&](int64_t from, int64_t to) {  // a slice of the text, counted from its end where negative
    return b.emit("slice_by_index", {{"x", ids},
                                     {"begin", std::vector<int64_t>{0, from}},
                                     {"end", std::vector<int64_t>{0, to}},
                                     {"begin_mask", std::vector<bool>{true, from == 0}},
                                     {"end_mask", std::vector<bool>{true, to == 0}}});
  };
  Value* follows = places(size - 1, 0);  // [B, S - n + 1]: what came behind each run of n - 1
  Value* same = nullptr;
  for (int64_t i = 0; i < size - 1; ++i) {
    Value* each = b.binary("equal", places(i, i - size + 1), places(i - size + 1, i - size + 2));
    same = same == nullptr ? each : b.binary("logical_and", same, each);
  }
  Value* never = b.like(scores, -std::numeric_limits<double>::infinity());
  Value* keep = b.like(scores, std::numeric_limits<double>::infinity());
  Value* bound = b.cast(b.mul(follows, b.like(follows, 0)), scores->dtype());
  bound = same == nullptr ? b.add(bound, never) : b.select(same, b.add(bound, never), b.add(bound, keep));
  return {with_indices(n, b, follows, scores, 1, [&](Value* at) {
    return b.emit("scatter_along_axis",
                  {{"data", scores}, {"indices", at}, {"updates", bound}, {"axis", 1}, {"mode", "min"}});
  })};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "ExpandDims", kSince<1>, "X axis -> Y", expand_dims, "axis known"},
    {"com.microsoft", "Inverse", kSince<1>, "X -> Y", same_unary<"host_inverse">, "on the host only"},
    {"com.microsoft", "Pad", kSince<1>, "data pads value? -> output; mode", pad, "pads known"},
    {"com.microsoft", "Range", kSince<1>, "start limit delta? -> Y", range},
    {"com.microsoft", "Trilu", kSince<1>, "X k? -> Y; upper", trilu},
    {"com.microsoft", "Unique", kSince<1>, "x -> y idx counts", unique, "on the host only"},
    {"com.microsoft", "UnfoldTensor", kSince<1>, "input -> output; dim size step", unfold},
    {"com.microsoft", "CDist", kSince<1>, "A B -> C; metric", cdist},
    {"com.microsoft", "GatherND", kSince<1>, "data indices -> output", gather_nd},
    {"com.microsoft", "NGramRepeatBlock", kSince<1>, "input_ids scores -> scores_out; ngram_size", ngram_repeat_block},
    {"com.microsoft", "NhwcMaxPool", kSince<1>, "x -> y; auto_pad ceil_mode dilations kernel_shape pads strides",
     nhwc_max_pool},
};

}  // namespace

LoweringRows microsoft_tensor_lowerings() { return kRows; }

}  // namespace graft::onnx
