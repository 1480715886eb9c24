// Emissions of more than one operator that several families share. Private to src/onnx.
//
// What is emitted first is written first: two emissions are never arguments of one call, whose order each compiler
// chooses for itself, because packages must come out the same everywhere.
#pragma once

#include <functional>

#include "onnx/node_view.h"

namespace graft::onnx {

// An integer list put together from numbers and from elements of run-time lists.
struct Part {
  int64_t number = 0;
  Value* list = nullptr;  // rank 1; null: the number
  int64_t at = 0;         // which element of the list
  static Part of(int64_t v) { return {v, nullptr, 0}; }
  static Part element(Value* list, int64_t at) { return {0, list, at}; }
};
// Rank 1; a constant when all parts are numbers. The dtype is that of the lists (int64 if any is), else int32.
Value* list_of(OpBuilder& b, const std::vector<Part>& parts);
// list[from..to) of a rank-1 value.
Value* sublist(OpBuilder& b, Value* list, int64_t from, int64_t to);

// A one-element value as rank 0.
Value* scalar_of(OpBuilder& b, Value* v);

// The size of dim d of x as a number (rank 0), and the places along it: 0, 1, ... (rank 1). int32.
Value* size_along(OpBuilder& b, Value* x, int d);
Value* places_along(OpBuilder& b, Value* x, int d);

// A rank-1 value that holds dims; the elements of `shape` (which holds the same dims) serve where they can't be
// computed from x.
Value* shape_value(OpBuilder& b, const Dims& dims, Value* x, Value* shape);

// x repeated to the dims of `shape`, numpy's rule in both directions; only as far as is needed.
Value* broadcast_to(OpBuilder& b, Value* x, Value* shape);

// indices + count where they are negative.
Value* wrapped(OpBuilder& b, Value* indices, Value* count);
// f of indices along a dim of x, of which -n..n-1 are legal; or of the same made non-negative, where the target does
// not take them as they are.
using WithIndices = std::function<Value*(Value* indices)>;
Value* with_indices(NodeView& n, OpBuilder& b, Value* indices, Value* x, int axis, const WithIndices& f);
// The same for lists of indices (the last dim), entry k along dim batch_dims + k of x.
Value* with_index_lists(NodeView& n, OpBuilder& b, Value* indices, Value* x, int batch_dims, const WithIndices& f);

// Lists of indices whose length is not known, when something else tells it: a run checks that it is `length`.
Value* of_length(OpBuilder& b, Value* lists, int64_t length);

// 0..rank-1 from -rank..rank-1; 0 after a refusal.
int normal_axis(NodeView& n, int64_t axis, int rank);

}  // namespace graft::onnx
