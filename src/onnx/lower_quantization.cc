// Numbers stored as integers with a scale. Constants stay in that form (ir/constant.h), so that quantized weights stay
// small.
#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

// One entry, or one for each place along an axis, as what broadcasts to a tensor of `rank` dims.
Value* along(OpBuilder& b, Value* entries, int rank, int axis) {
  Dims dims(static_cast<size_t>(rank), Dim(1));
  if (rank > 0 && entries->rank() == 1) dims[static_cast<size_t>(axis)] = entries->dim(0);
  if (item_size(entries->dtype()) != 0 || !entries->is_constant()) return b.reshape(entries, dims);
  // No operator reshapes elements of less than a byte.
  Value* v = b.constant(ir::Constant::reshape(entries->constant, ir::Type::tensor(entries->dtype(), dims).shape()));
  v->origin.merge(entries->origin);
  return v;
}

bool is_one(const Value* v) { return v->rank() == 0 || (v->rank() == 1 && v->dim(0) == Dim(1)); }

// Blocks, and integers of less than a byte. MIL has them for weights only.
Value* blocks(NodeView& n, OpBuilder& b, Value* x, Value* scale, Value* zero, int axis) {
  if (const int64_t size = n.i("block_size", 0); size != 0) {
    if (scale->rank() != x->rank() || !(scale->dim(axis) * Dim(size) == x->dim(axis)))
      return n.refuse(Code::unsupported_attribute, format("blocks of {} along axis {} of {} with a scale {}", size,
                                                          axis, x->type.to_string(), scale->type.to_string()));
  } else {
    scale = along(b, scale, x->rank(), axis);
    if (zero != nullptr) zero = along(b, zero, x->rank(), axis);
  }
  return b.emit("constexpr_blockwise_shift_scale", {{"data", x}, {"scale", scale}, {"offset", zero}});
}

// (x - zero point) * scale, of one scale, one for each place along an axis, or one a block along it.
Values dequantize_linear(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = n.in(1), *zero = n.optional_in(2);
  const bool one = is_one(scale) && n.i("block_size", 0) == 0;
  const int axis = one ? 0 : n.axis("axis", 1, x->rank());
  const DType to = n.i("output_dtype", 0) != 0 ? n.dtype("output_dtype") : scale->dtype();
  const bool narrow = DTypes{DType::f16, DType::f32}.has(scale->dtype());
  Value* y = nullptr;
  if (!b.ok()) return {n.refused()};
  if (narrow && (n.i("block_size", 0) != 0 || bits(x->dtype()) < 8)) {
    y = blocks(n, b, x, scale, zero, axis);
  } else if (narrow && bits(x->dtype()) == 8) {
    if (one) scale = b.reshape(scale, Dims{});
    if (one && zero != nullptr) zero = b.reshape(zero, Dims{});
    y = b.emit("dequantize", {{"input", x}, {"zero_point", zero}, {"scale", scale}, {"axis", axis}});
  } else {
    Value* q = b.cast(x, DType::i32);
    if (zero != nullptr) q = b.sub(q, along(b, b.cast(zero, DType::i32), x->rank(), axis));
    y = b.mul(b.cast(q, DType::f32), along(b, b.cast(scale, DType::f32), x->rank(), axis));
  }
  return {b.cast(y, to)};
}

constexpr Lowering kRows[] = {
    {"", "DequantizeLinear", kSince<10, 13, 19, 21, 23, 24, 25, 28>,
     "x x_scale x_zero_point? -> y; axis@13 block_size@21 output_dtype@23", dequantize_linear},
};

}  // namespace

LoweringRows quantization_lowerings() { return kRows; }

}  // namespace graft::onnx
