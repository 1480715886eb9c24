// What the attention operators share. Letters of shapes: B batch, N heads, S queries, P keys of the past,
// L new keys, T = P + L, H a head's size. Heads are [B, N, S, H]. Private to src/onnx.
#pragma once

#include "onnx/node_view.h"

namespace graft::onnx {

// Refuses inputs that must be left out, and attributes that must be 0.
void without(NodeView& n, std::initializer_list<std::pair<int, std::string_view>> inputs,
             std::initializer_list<std::string_view> flags);
// A required attribute of 1 or more, within int32; 1 after a refusal.
int64_t positive(NodeView& n, std::string_view attribute);
// x, which is refused unless it has this rank.
Value* takes_rank(NodeView& n, Value* x, int rank, std::string_view what);

// x cut along a dim into parts of these sizes.
Values cut(NodeView& n, OpBuilder& b, Value* x, const Ints& sizes, int axis);
// x[from..from + count) of the last dim.
Value* part(NodeView& n, OpBuilder& b, Value* x, const Dim& from, const Dim& count);

// The inputs that are there. They have all the symbols that these compute with: a dim as a scalar, a reshape.
Values given(NodeView& n);
Value* size(NodeView& n, OpBuilder& b, const Dim& dim);
Value* shaped(NodeView& n, OpBuilder& b, Value* x, const Dims& dims);
// 0..count-1
Value* upto(OpBuilder& b, Value* count);

// [B, S, N * H] to heads, and back.
Value* to_heads(NodeView& n, OpBuilder& b, Value* x, int64_t heads);
Value* from_heads(NodeView& n, OpBuilder& b, Value* x);

// q times the attribute scale, or 1 / sqrt(H).
Value* scaled_queries(NodeView& n, OpBuilder& b, Value* q);
// Scores where `allowed`, elsewhere what no softmax sees.
Value* only_where(OpBuilder& b, Value* allowed, Value* scores);

// Turns pairs of the first 2 * R entries of heads x by angles whose cos and sin are rows of [M, R]; `places` [B, S] or
// [1, S] names the rows. A pair is two neighbours, or entries that are R apart.
Value* rotated(NodeView& n, OpBuilder& b, Value* x, Value* places, Value* cos, Value* sin, bool interleaved);
// By the rows themselves, which broadcast to [B, N, S, R].
Value* rotated_by(NodeView& n, OpBuilder& b, Value* x, Value* cos, Value* sin, bool interleaved);

// ONNX Runtime's Attention of y, the product of input and weights [B, S, sizes of queries, keys and values]; no sizes:
// three equal ones. mask, past and bias may be null.
Values attention_of_products(NodeView& n, OpBuilder& b, Value* y, const std::vector<int64_t>& sizes, Value* mask,
                             Value* past, Value* bias);

}  // namespace graft::onnx
