// ONNX Runtime's operators on numbers stored as codes: dequantized, computed and quantized in one.
#include "base/format.h"
#include "onnx/codes.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

// Input i, or 0 of the type of the codes.
Value* zero_of(NodeView& n, OpBuilder& b, int i, const Value* codes) {
  if (n.has(i)) return one_as_scalar(b, n.in(i));
  return b.ok() ? b.constant(ir::Constant::int_scalar(codes->dtype(), 0)) : n.refused();
}

// f of the numbers that input 0 to 2 stand for, as codes with the scale and zero point that inputs 3 and 4 are.
template <class F>
Values through_numbers(NodeView& n, OpBuilder& b, F&& f) {
  Coded x = coded(n, b, 0);
  Value* scale = one_as_scalar(b, n.in(3));
  Value* zero = n.has(4) ? one_as_scalar(b, n.in(4)) : nullptr;
  Value* y = f(numbers_of(b, x));
  return {codes_of(b, y, scale, zero, 0, x.codes->dtype())};
}

Values qlinear_sigmoid(NodeView& n, OpBuilder& b) {
  return through_numbers(n, b, [&](Value* x) { return b.unary("sigmoid", x); });
}
Values qlinear_leaky_relu(NodeView& n, OpBuilder& b) {
  return through_numbers(n, b, [&](Value* x) {
    return b.emit("leaky_relu", {{"x", x}, {"alpha", n.f("alpha", 0.01f)}});
  });
}
Values qlinear_softmax(NodeView& n, OpBuilder& b) {
  return through_numbers(n, b, [&](Value* x) {
    const int axis = n.axis("axis", -1, x->rank());
    if (n.i("opset", 0) >= 13 || axis == x->rank() - 1) return b.emit("softmax", {{"x", x}, {"axis", axis}});
    Dims flat{ir::product(Dims(x->dims().begin(), x->dims().begin() + axis)),
              ir::product(Dims(x->dims().begin() + axis, x->dims().end()))};
    Value* hints[] = {n.in(0)};
    Value* y = b.emit("softmax", {{"x", b.reshape(x, flat, hints)}, {"axis", 1}});
    return b.reshape(y, x->dims(), hints);
  });
}

// Channels go to the second dim for f, and back behind the others.
template <class F>
Value* channels_first(OpBuilder& b, Value* x, bool last, F&& f) {
  if (!last || x->rank() < 3) return f(x);
  Ints there{0, x->rank() - 1}, back{0};
  for (int d = 1; d < x->rank() - 1; ++d) there.push_back(d);
  for (int d = 2; d < x->rank(); ++d) back.push_back(d);
  back.push_back(1);
  return b.transpose(f(b.transpose(x, there)), back);
}

Values qlinear_average_pool(NodeView& n, OpBuilder& b) {
  const bool last = n.flag("channels_last");
  return through_numbers(
      n, b, [&](Value* x) { return channels_first(b, x, last, [&](Value* v) { return average_pool_of(n, b, v); }); });
}

Values qlinear_conv(NodeView& n, OpBuilder& b) {
  const Coded x = coded(n, b, 0);
  if (!b.ok()) return {n.refused()};
  return {channels_first(b, x.codes, n.flag("channels_last"), [&](Value* codes) {
    return qlinear_conv_of(n, b, {codes, x.scale, x.zero});
  })};
}

// The sum of the codes is exact; Core ML gets the mean of the numbers.
Values qlinear_global_average_pool(NodeView& n, OpBuilder& b) {
  Coded x = coded(n, b, 0);
  Value *scale = one_as_scalar(b, n.in(3)), *zero = one_as_scalar(b, n.in(4));
  const int rank = x.codes->rank();
  if (!b.ok()) return {n.refused()};
  if (rank < 3)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 3 or more", x.codes->type.to_string()))};
  Ints axes;
  Dim count = 1;
  const int first = n.flag("channels_last") ? 1 : 2;
  for (int d = first; d < first + rank - 2; ++d) {
    axes.push_back(d);
    count = count * x.codes->dim(d);
  }
  const auto of_codes = [&] {
    Value* moved = b.cast(x.codes, DType::i32);
    if (x.zero != nullptr) moved = b.sub(moved, b.cast(x.zero, DType::i32));
    Value* sums = b.reduce("reduce_sum", moved, axes, true);
    Value* factor = b.div(x.scale, b.mul(scale, b.cast(size(n, b, count), DType::f32)));
    return requantized(b, sums, factor, zero, 0);
  };
  return {b.first_of(of_codes, [&] {
    Value* mean = b.reduce("reduce_mean", numbers_of(b, x), axes, true);
    return codes_of(b, mean, scale, zero, 0, zero->dtype());
  })};
}

// ONNX Runtime adds the zero point before it rounds, and takes each scale over the result's.
Values qlinear_add(NodeView& n, OpBuilder& b) {
  const Coded x = coded(n, b, 0), y = coded(n, b, 3);
  Value *scale = one_as_scalar(b, n.in(6)), *zero = zero_of(n, b, 7, x.codes);
  if (!b.ok()) return {n.refused()};
  const DType t = x.codes->dtype();
  const auto part = [&](const Coded& c) { return b.div(c.scale, scale); };
  const auto single = [&](Value* v) { return v == nullptr ? b.scalar(DType::f32, 0) : b.cast(v, DType::f32); };
  Value *of_x = part(x), *of_y = part(y);
  Value* shift = b.add(b.mul(of_x, single(x.zero)), b.mul(of_y, single(y.zero)));
  Value* sum = b.add(b.sub(single(zero), shift), b.mul(b.cast(x.codes, DType::f32), of_x));
  sum = b.add(sum, b.mul(b.cast(y.codes, DType::f32), of_y));
  return {codes_of(b, sum, b.like(sum, 1), nullptr, 0, t)};
}

Values qlinear_mul(NodeView& n, OpBuilder& b) {
  const Coded x = coded(n, b, 0), y = coded(n, b, 3);
  Value *scale = one_as_scalar(b, n.in(6)), *zero = zero_of(n, b, 7, x.codes);
  if (!b.ok()) return {n.refused()};
  const auto moved = [&](const Coded& c) {
    Value* v = b.cast(c.codes, DType::i32);
    return c.zero == nullptr ? v : b.sub(v, b.cast(c.zero, DType::i32));
  };
  Value* left = moved(x);
  return {of_sums(b, b.mul(left, moved(y)), b.div(b.mul(x.scale, y.scale), scale), zero, 0)};
}

Values qlinear_concat(NodeView& n, OpBuilder& b) {
  Value *scale = one_as_scalar(b, n.in(0)), *zero = one_as_scalar(b, n.in(1));
  if (n.inputs() < 5 || n.inputs() % 3 != 2)
    return {n.refuse(Code::invalid_model, format("{} inputs, takes 2 and three for each tensor", n.inputs()))};
  Values parts;
  for (int i = 2; i + 2 < n.inputs(); i += 3) {
    const Coded x = coded(n, b, i);
    parts.push_back(codes_of(b, numbers_of(b, x), scale, zero, 0, zero->dtype()));
  }
  if (!b.ok()) return {n.refused()};
  n.required_i("axis");
  return {b.concat(parts, n.axis("axis", 0, parts[0]->rank()))};
}

Values qlinear_where(NodeView& n, OpBuilder& b) {
  Value* cond = n.in(0);
  const Coded x = coded(n, b, 1), y = coded(n, b, 4);
  Value *scale = one_as_scalar(b, n.in(7)), *zero = one_as_scalar(b, n.in(8));
  Value* left = numbers_of(b, x);
  Value* chosen = b.select(cond, left, numbers_of(b, y));
  return {codes_of(b, chosen, scale, zero, 0, zero->dtype())};
}

// ---- products -----------------------------------------------------------------------------------------------------

// sums * (scale of x * scale of y) + bias; the second scale may be one for each column.
Value* scaled_sums(OpBuilder& b, Value* sums, Value* x_scale, Value* y_scale, Value* bias) {
  Value* y = b.mul(b.cast(sums, DType::f32), b.mul(x_scale, y_scale));
  return bias == nullptr ? y : b.add(y, bias);
}

// Of int16 in int32.
Values matmul_integer16(NodeView& n, OpBuilder& b) {
  Value* x = b.cast(n.in(0), DType::i32);
  return {b.matmul(x, b.cast(n.in(1), DType::i32))};
}

Values matmul_integer_to_float(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1), *x_scale = one_as_scalar(b, n.in(2)), *y_scale = one_as_scalar(b, n.in(3));
  Value *x_zero = one_as_scalar(b, n.optional_in(4)), *y_zero = one_as_scalar(b, n.optional_in(5)),
        *bias = n.optional_in(6);
  return {scaled_sums(b, integer_product(b, x, x_zero, y, y_zero), x_scale, y_scale, bias)};
}

Values dynamic_quantize_matmul(NodeView& n, OpBuilder& b) {
  Value *y = n.in(1), *y_scale = one_as_scalar(b, n.in(2)), *y_zero = one_as_scalar(b, n.optional_in(3)),
        *bias = n.optional_in(4);
  const Coded x = dynamic_codes(b, n.in(0));
  return {scaled_sums(b, integer_product(b, x.codes, x.zero, y, y_zero), x.scale, y_scale, bias)};
}

Values qgemm(NodeView& n, OpBuilder& b) {
  Coded x = coded(n, b, 0), y = coded(n, b, 3);
  if (!b.ok()) return {n.refused()};
  if (x.codes->rank() != 2 || y.codes->rank() != 2)
    return {n.refuse(Code::rank_mismatch, format("got {} and {}, takes two matrices", x.codes->type.to_string(),
                                                 y.codes->type.to_string()))};
  if (n.flag("transA")) x.codes = b.transpose(x.codes, {1, 0});
  if (n.flag("transB")) y.codes = b.transpose(y.codes, {1, 0});
  Value* sums = integer_product(b, x.codes, x.zero, y.codes, y.zero);
  if (n.has(6)) sums = b.add(sums, n.in(6));
  Value* factor = b.mul(b.scale(x.scale, n.f("alpha", 1)), y.scale);
  if (!n.has(7)) return {b.mul(b.cast(sums, DType::f32), factor)};
  factor = b.div(factor, one_as_scalar(b, n.in(7)));
  Value* zero = zero_of(n, b, 8, x.codes);
  return {of_sums(b, sums, factor, zero, 1)};
}

// The weights' zero point may be one for each column.
Values qattention(NodeView& n, OpBuilder& b) {
  Value *x = takes_rank(n, n.in(0), 3, "input"), *w = takes_rank(n, n.in(1), 2, "weight"), *bias = n.in(2);
  Value *x_scale = one_as_scalar(b, n.in(3)), *w_scale = one_as_scalar(b, n.in(4));
  Value *x_zero = one_as_scalar(b, n.optional_in(6)), *w_zero = one_as_scalar(b, n.optional_in(7));
  without(n, {}, {"do_rotary", "past_present_share_buffer"});
  Value* y = scaled_sums(b, integer_product(b, x, x_zero, w, w_zero), x_scale, w_scale, bias);
  return attention_of_products(n, b, y, {}, n.optional_in(5), n.optional_in(8), nullptr);
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "QuantizeLinear", kSince<1>, "x y_scale y_zero_point? -> y; axis", quantize_linear},
    {"com.microsoft", "DequantizeLinear", kSince<1>, "x x_scale x_zero_point? -> y; axis", dequantize_linear},
    {"com.microsoft", "QLinearSigmoid", kSince<1>, "X X_scale X_zero_point? Y_scale Y_zero_point? -> Y",
     qlinear_sigmoid},
    {"com.microsoft", "QLinearLeakyRelu", kSince<1>, "X X_scale X_zero_point? Y_scale Y_zero_point? -> Y; alpha",
     qlinear_leaky_relu},
    {"com.microsoft", "QLinearSoftmax", kSince<1>, "X X_scale x_zero_point? y_scale y_zero_point -> Y; axis opset",
     qlinear_softmax},
    {"com.microsoft", "QLinearAveragePool", kSince<1>,
     "X x_scale x_zero_point? y_scale y_zero_point? -> Y; auto_pad ceil_mode channels_last count_include_pad "
     "kernel_shape pads strides",
     qlinear_average_pool},
    {"com.microsoft", "QLinearGlobalAveragePool", kSince<1>,
     "X x_scale x_zero_point y_scale y_zero_point -> Y; channels_last", qlinear_global_average_pool},
    {"com.microsoft", "QLinearAdd", kSince<1>,
     "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point? -> C", qlinear_add},
    {"com.microsoft", "QLinearMul", kSince<1>,
     "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point? -> C", qlinear_mul},
    {"com.microsoft", "QLinearConv", kSince<1>,
     "x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B? -> y; auto_pad channels_last dilations "
     "group kernel_shape pads strides",
     qlinear_conv},
    {"com.microsoft", "QLinearConcat", kSince<1>, "Y_scale Y_zero_point inputs+ -> Y; axis", qlinear_concat},
    {"com.microsoft", "QLinearWhere", kSince<1>,
     "condition X x_scale x_zero_point Y y_scale y_zero_point z_scale z_zero_point -> Z", qlinear_where},
    {"com.microsoft", "MatMulInteger16", kSince<1>, "A B -> Y", matmul_integer16},
    {"com.microsoft", "MatMulIntegerToFloat", kSince<1>, "A B a_scale b_scale a_zero_point? b_zero_point? bias? -> Y",
     matmul_integer_to_float},
    {"com.microsoft", "DynamicQuantizeMatMul", kSince<1>, "A B b_scale b_zero_point? bias? -> Y",
     dynamic_quantize_matmul},
    {"com.microsoft", "QGemm", kSince<1>,
     "A a_scale a_zero_point B b_scale b_zero_point C? y_scale? y_zero_point? -> Y; alpha transA transB", qgemm},
    {"com.microsoft", "QAttention", kSince<1>,
     "input weight bias input_scale weight_scale mask_index? input_zero_point? weight_zero_point? past? -> output "
     "present?; do_rotary mask_filter_value num_heads past_present_share_buffer scale unidirectional",
     qattention, "without do_rotary, a shared buffer"},
};

}  // namespace

LoweringRows microsoft_codes_lowerings() { return kRows; }

}  // namespace graft::onnx
