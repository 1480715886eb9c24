// Elements picked by a condition or turned round, and the unit matrix.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// A condition may be shorter than the dim, and what it has beyond it does not count.
Values compress(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *condition = n.in(1);
  if (condition->rank() != 1)
    return {n.refuse(Code::rank_mismatch, format("the condition must be a list, got {}", condition->type.to_string()))};
  if (!n.has_attr("axis")) x = b.reshape(x, Dims{ir::product(x->dims())});
  const int axis = n.axis("axis", 0, x->rank());
  Value* hints[] = {x};
  const Dim size = x->dim(axis), given = condition->dim(0);
  if (!(size == given) && !(size.known() && given.known() && given.value() <= size.value()))
    condition =
        b.emit("slice_by_index",
               {{"x", condition}, {"begin", b.dims_value({Dim(0)}, hints)}, {"end", b.dims_value({size}, hints)}});
  Value* places = b.squeeze(b.unary("non_zero", condition), {1});
  const auto picked = [&](Value* v) { return b.gather(v, places, axis); };
  return {x->dtype() == DType::boolean ? b.through(DType::i32, picked, x) : picked(x)};
}

Values reverse_sequence(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *lengths = n.in(1);
  return {b.emit("reverse_sequence", {{"x", x},
                                      {"lengths", lengths},
                                      {"seq_axis", n.axis("time_axis", 0, x->rank())},
                                      {"batch_axis", n.axis("batch_axis", 1, x->rank())}})};
}

// True where the column is the row plus k.
Values eye_like(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() != 2) return {n.refuse(Code::rank_mismatch, format("got {}, takes a matrix", x->type.to_string()))};
  const int64_t k = std::clamp<int64_t>(n.i("k", 0), -INT32_MAX, INT32_MAX);
  const DType dtype = n.has_attr("dtype") ? n.dtype("dtype") : x->dtype();
  Value *rows = places_along(b, x, 0), *columns = places_along(b, x, 1);
  Value* moved = b.expand_dims(b.add(rows, b.like(rows, static_cast<double>(k))), {1});
  return {b.cast(b.binary("equal", moved, b.expand_dims(columns, {0})), dtype)};
}

constexpr Lowering kRows[] = {
    {"", "Compress", kSince<9, 11, 28>, "input condition -> output; axis", compress},
    {"", "ReverseSequence", kSince<10, 28>, "input sequence_lens -> Y; batch_axis time_axis", reverse_sequence},
    {"", "EyeLike", kSince<9, 22>, "input -> output; dtype k", eye_like},
};

}  // namespace

LoweringRows arranging_lowerings() { return kRows; }

}  // namespace graft::onnx
