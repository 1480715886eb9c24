// Numbers that are stored as integers with a scale and a zero point: what the operators on them share. Private to
// src/onnx.
#pragma once

#include "onnx/node_view.h"

namespace graft::onnx {

bool is_one(const Value* v);                   // a scalar, or a list of one
Value* one_as_scalar(OpBuilder& b, Value* v);  // of rank 0 if it is one; may be null
// One entry, or one for each place along an axis, as what broadcasts to a tensor of `rank` dims.
Value* along(OpBuilder& b, Value* entries, int rank, int axis);
// As entries along the rows of x, which lists are.
Value* by_row(OpBuilder& b, Value* v, const Value* x);

// Codes and what they mean. `zero` may be null.
struct Coded {
  Value *codes, *scale, *zero;
};
// Inputs i to i + 2.
Coded coded(NodeView& n, OpBuilder& b, int i);
Value* numbers_of(OpBuilder& b, const Coded& c, int axis = 0);
// x as codes of the type `to`.
Value* codes_of(OpBuilder& b, Value* x, Value* scale, Value* zero, int axis, DType to);
// uint8 codes with the scale and zero point that the range of x, and 0, gives.
Coded dynamic_codes(OpBuilder& b, Value* x);

// The matrix product in int32. Core ML has that product too, of numbers that are as wide.
Value* integer_product(OpBuilder& b, Value* x, Value* x_zero, Value* y, Value* y_zero);
// Sums of products as codes again, clip(round(sums * factor) + zero): one factor, or one for each place along an axis.
Value* requantized(OpBuilder& b, Value* sums, Value* factor, Value* zero, int axis);

// The same in fp32 everywhere, where a target does not have that row.
Value* of_sums(OpBuilder& b, Value* sums, Value* factor, Value* zero, int axis);

// The convolution of codes that are input 0 of QLinearConv, as its other inputs say.
Value* qlinear_conv_of(NodeView& n, OpBuilder& b, const Coded& x);

Values quantize_linear(NodeView& n, OpBuilder& b);
Values dequantize_linear(NodeView& n, OpBuilder& b);

}  // namespace graft::onnx
