// One function a lower_*.cc file; lowerings.cc joins them. Private to src/onnx.
#pragma once

#include <array>

#include "onnx/node_view.h"

namespace graft::onnx {

#define GRAFT_FAMILY(name) LoweringRows name##_lowerings();
#include "onnx/families.def"
#undef GRAFT_FAMILY

// Versions in which a definition changed, for a row: kSince<7, 13>.
template <int... versions>
inline constexpr int kSince[] = {versions...};

// A list as a constant of rank 1.
template <class T>
ir::ConstantPtr list_constant(DType dtype, const std::vector<T>& v) {
  return ir::Constant::of(Tensor::of<T>(dtype, Shape{static_cast<int64_t>(v.size())}, v));
}

// A MIL operator's name as a template argument.
struct OpName {
  char text[32] = {};
  template <size_t n>
  constexpr OpName(const char (&name)[n]) {  // implicit: rows write same_unary<"exp">
    static_assert(n <= sizeof text);
    for (size_t i = 0; i < n; ++i) text[i] = name[i];
  }
};

// Operators that mean the same in both languages: the MIL operator's name is all there is.
template <OpName op>
Values same_unary(NodeView& n, OpBuilder& b) {
  return {b.unary(op.text, n.in(0))};
}
template <OpName op>
Values same_binary(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.second();  // one after the other: arguments of one call have no order
  return {b.binary(op.text, x, y)};
}

// Rows of ai.onnx that others are made of.
Values conv(NodeView& n, OpBuilder& b);
Values gemm(NodeView& n, OpBuilder& b);
Values pad(NodeView& n, OpBuilder& b);
Values range(NodeView& n, OpBuilder& b);
Values trilu(NodeView& n, OpBuilder& b);
Values gather_nd(NodeView& n, OpBuilder& b);
Value* max_pool_of(NodeView& n, OpBuilder& b, Value* x);  // without indices
Value* log_softmax_at(OpBuilder& b, Value* x, int axis);
// x as `to`, of any types that there are.
Value* cast_to(NodeView& n, OpBuilder& b, Value* x, DType to);
// `op`, which is a convolution of x with the weights w, as the node's attributes say; `more` are its other arguments.
Value* emit_conv(NodeView& n, OpBuilder& b, std::string_view op, Value* x, Value* w, ir::Args more);
// AveragePool of x, as the node's attributes say.
Value* average_pool_of(NodeView& n, OpBuilder& b, Value* x);
// x normalised over the dims from `axis` on, times scale, plus bias (null: without).
Value* layer_norm_of(OpBuilder& b, Value* x, int axis, Value* scale, Value* bias, double epsilon);
// Mean and 1 / sqrt(variance + epsilon) over the same dims, which stay as 1: fp32, or fp64 where x is.
struct Statistics {
  Value *mean, *factor;
};
Statistics statistics(OpBuilder& b, Value* x, int axis, double epsilon);
// x / sqrt(mean(x^2) + epsilon) * scale over the same dims, and the factor that x got.
std::array<Value*, 2> rms_norm_of(OpBuilder& b, Value* x, int axis, Value* scale, double epsilon);

}  // namespace graft::onnx
