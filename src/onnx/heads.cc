#include "onnx/heads.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/format.h"
#include "onnx/patterns.h"

namespace graft::onnx {

void without(NodeView& n, std::initializer_list<std::pair<int, std::string_view>> inputs,
             std::initializer_list<std::string_view> flags) {
  for (const auto& [i, name] : inputs) {
    if (n.has(i))
      n.refuse(Code::unsupported_attribute, format("the input {} is given; only nodes without it are supported", name));
  }
  for (const std::string_view flag : flags) {
    if (const int64_t v = n.i(flag, 0); v > 0)
      n.refuse(Code::unsupported_attribute, format("{} is {}; 0 is supported", flag, v));
  }
}

int64_t positive(NodeView& n, std::string_view attribute) {
  const int64_t v = n.required_i(attribute);
  if (v >= 1 && v <= INT32_MAX) return v;
  n.refuse(Code::invalid_attribute, format("{} is {}, takes 1..{}", attribute, v, INT32_MAX));
  return 1;
}

Value* takes_rank(NodeView& n, Value* x, int rank, std::string_view what) {
  if (x->rank() != rank)
    n.refuse(Code::rank_mismatch, format("{} is {}, takes rank {}", what, x->type.to_string(), rank));
  return x;
}

Values cut(NodeView& n, OpBuilder& b, Value* x, const Ints& sizes, int axis) {
  Values parts = b.emit_all("split", {{"x", x}, {"split_sizes", sizes}, {"axis", axis}});
  parts.resize(static_cast<size_t>(sizes.size()), n.refused());
  return parts;
}

Values given(NodeView& n) {
  Values all;
  for (int i = 0; i < n.inputs(); ++i) {
    if (n.has(i)) all.push_back(n.in(i));
  }
  return all;
}
static Value* sizes(NodeView& n, OpBuilder& b, const Dims& dims) { return b.dims_value(dims, given(n)); }
Value* size(NodeView& n, OpBuilder& b, const Dim& dim) { return b.squeeze(sizes(n, b, {dim}), {0}); }
Value* shaped(NodeView& n, OpBuilder& b, Value* x, const Dims& dims) { return b.reshape(x, dims, given(n)); }

Value* part(NodeView& n, OpBuilder& b, Value* x, const Dim& from, const Dim& count) {
  Dims begin(x->dims().size(), Dim(0)), taken = x->dims();
  if (x->rank() == 0 || (from == Dim(0) && count == x->dim(-1))) return x;
  begin.back() = from;
  taken.back() = count;
  Value* at = sizes(n, b, begin);
  return b.emit("slice_by_size", {{"x", x}, {"begin", at}, {"size", sizes(n, b, taken)}});
}

Value* upto(OpBuilder& b, Value* count) {
  return b.emit("range_1d", {{"end", count}, {"start", b.like(count, 0)}, {"step", b.like(count, 1)}});
}

Value* to_heads(NodeView& n, OpBuilder& b, Value* x, int64_t heads) {
  const Dims apart{x->dim(0), x->dim(1), Dim(heads), ir::floor_div(x->dim(2), Dim(heads))};
  return b.transpose(shaped(n, b, x, apart), {0, 2, 1, 3});
}
Value* from_heads(NodeView& n, OpBuilder& b, Value* x) {
  Value* y = b.transpose(x, {0, 2, 1, 3});
  return shaped(n, b, y, Dims{y->dim(0), y->dim(1), y->dim(2) * y->dim(3)});
}

Value* scaled_queries(NodeView& n, OpBuilder& b, Value* q) {
  const double given = n.f("scale", 0);
  const Dim h = q->dim(-1);
  if (given != 0) return b.scale(q, given);
  if (h.known()) return b.scale(q, 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, h.value()))));
  Value* entries = b.cast(sizes(n, b, {h}), q->dtype());
  return b.mul(q, b.emit("rsqrt", {{"x", entries}, {"epsilon", 0.0}}));
}

Value* only_where(OpBuilder& b, Value* allowed, Value* scores) {
  return b.select(allowed, scores, b.like(scores, std::numeric_limits<float>::lowest()));
}

Value* rotated_by(NodeView& n, OpBuilder& b, Value* x, Value* cos, Value* sin, bool interleaved) {
  const Dim half = cos->dim(-1), turned = half * Dim(2);
  const int pair = interleaved ? 4 : 3;
  Dims apart{x->dim(0), x->dim(1), x->dim(2), Dim(2), half};
  if (interleaved) std::swap(apart[3], apart[4]);
  Value *c = b.expand_dims(cos, {pair}), *s = b.expand_dims(sin, {pair});
  Value* first = part(n, b, x, Dim(0), turned);
  const Dims whole = first->dims();
  const Values p = cut(n, b, shaped(n, b, first, apart), {1, 1}, pair);
  Value* left = b.mul(p[0], c);
  left = b.sub(left, b.mul(p[1], s));
  Value* right = b.mul(p[1], c);
  right = b.add(right, b.mul(p[0], s));
  Value* y = shaped(n, b, b.concat({left, right}, pair), whole);
  if (turned == x->dim(-1)) return y;
  return b.concat({y, part(n, b, x, turned, x->dim(-1) - turned)}, -1);
}

Value* rotated(NodeView& n, OpBuilder& b, Value* x, Value* places, Value* cos, Value* sin, bool interleaved) {
  const auto row = [&](Value* table) {
    Value* r = with_indices(n, b, places, table, 0, [&](Value* at) { return b.gather(table, at, 0); });
    return b.expand_dims(r, {1});
  };
  Value *c = row(cos), *s = row(sin);
  return rotated_by(n, b, x, c, s, interleaved);
}

}  // namespace graft::onnx
