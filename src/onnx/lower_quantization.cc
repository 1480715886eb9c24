// Numbers stored as integers with a scale. Constants stay in that form (ir/constant.h), so that quantized weights stay
// small.
#include "base/format.h"
#include "onnx/codes.h"
#include "onnx/lower_families.h"

namespace graft::onnx {

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
Value* one_as_scalar(OpBuilder& b, Value* v) { return v != nullptr && is_one(v) ? b.reshape(v, Dims{}) : v; }
Value* by_row(OpBuilder& b, Value* v, const Value* x) {
  return v != nullptr && v->rank() == 1 && !is_one(v) && x->rank() > 1 ? b.expand_dims(v, {1}) : v;
}

Coded coded(NodeView& n, OpBuilder& b, int i) {
  Value *codes = n.in(i), *scale = n.in(i + 1), *zero = n.optional_in(i + 2);
  scale = one_as_scalar(b, scale);
  return {codes, scale, one_as_scalar(b, zero)};
}

namespace {

bool fits_mil(const Value* scale) { return DTypes{DType::f16, DType::f32}.has(scale->dtype()); }
bool is_byte(DType t) { return t == DType::i8 || t == DType::u8; }

// ---- codes to numbers ---------------------------------------------------------------------------------------------

// MIL's quantize and dequantize take one only with a list of scales.
Value* axis_beside(OpBuilder& b, const Value* scale, int axis) {
  return scale->rank() == 0 ? nullptr : b.scalar(DType::i32, axis);
}

Value* scaled_integers(OpBuilder& b, const Coded& c, int axis) {
  const int rank = c.codes->rank();
  Value* q = b.cast(c.codes, DType::i32);
  if (c.zero != nullptr) q = b.sub(q, along(b, b.cast(c.zero, DType::i32), rank, axis));
  return b.mul(b.cast(q, DType::f32), along(b, b.cast(c.scale, DType::f32), rank, axis));
}

}  // namespace

Value* numbers_of(OpBuilder& b, const Coded& c, int axis) {
  const auto direct = [&] {
    return b.emit(
        "dequantize",
        {{"input", c.codes}, {"zero_point", c.zero}, {"scale", c.scale}, {"axis", axis_beside(b, c.scale, axis)}});
  };
  return b.first_of(direct, [&] { return b.cast(scaled_integers(b, c, axis), c.scale->dtype()); });
}

namespace {

// Weights in blocks, and integers of less than a byte: MIL has them for constants.
Value* stored_blocks(OpBuilder& b, Value* x, Value* scale, Value* zero, int axis, int64_t block) {
  if (block == 0) {
    scale = along(b, scale, x->rank(), axis);
    if (zero != nullptr) zero = along(b, zero, x->rank(), axis);
  }
  return b.emit("constexpr_blockwise_shift_scale", {{"data", x}, {"scale", scale}, {"offset", zero}});
}

bool has_whole_blocks(const Value* x, const Value* scale, int axis, int64_t block) {
  return block == 0 || (scale->rank() == x->rank() && scale->dim(axis) * Dim(block) == x->dim(axis));
}

}  // namespace

// (x - zero point) * scale, of one scale, one for each place along an axis, or one a block along it.
Values dequantize_linear(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = n.in(1), *zero = n.optional_in(2);
  const int64_t block = n.i("block_size", 0);
  const bool one = is_one(scale) && block == 0;
  const int axis = one ? 0 : n.axis("axis", 1, x->rank());
  const DType to = n.i("output_dtype", 0) != 0 ? n.dtype("output_dtype") : scale->dtype();
  if (!b.ok()) return {n.refused()};
  constexpr DTypes kStored{DType::i4, DType::u4, DType::i8, DType::u8};
  constexpr DTypes kIntegers{DType::i8, DType::u8, DType::i16, DType::u16, DType::i32};
  if (one) {
    scale = one_as_scalar(b, scale);
    zero = one_as_scalar(b, zero);
  }
  const bool in_parts = block != 0 || bits(x->dtype()) < 8;
  Value* y = nullptr;
  if (in_parts && fits_mil(scale) && kStored.has(x->dtype()) && x->is_constant() && scale->is_constant() &&
      (zero == nullptr || zero->is_constant()) && x->rank() > 0 && has_whole_blocks(x, scale, axis, block)) {
    y = stored_blocks(b, x, scale, zero, axis, block);
  } else if (!in_parts && fits_mil(scale) && is_byte(x->dtype())) {
    y = numbers_of(b, {x, scale, zero}, axis);
  } else if (!in_parts && fits_mil(scale) && kIntegers.has(x->dtype())) {
    y = scaled_integers(b, {x, scale, zero}, axis);
  } else {
    y = b.emit("host_dequantize",
               {{"input", x}, {"zero_point", zero}, {"scale", scale}, {"axis", axis}, {"block_size", block}});
  }
  return {b.cast(y, to)};
}

// ---- numbers to codes ---------------------------------------------------------------------------------------------

namespace {

// Integers of 8 and 16 bits without MIL's quantize. The zero point is added to integers: halves would lose it.
Value* rounded(OpBuilder& b, Value* x, Value* scale, Value* zero, int axis, DType to) {
  const IntRange range = int_range(to);
  Value* q = b.unary("round", b.div(x, along(b, scale, x->rank(), axis)));
  Value *lo = b.like(q, static_cast<double>(range.lo)), *hi = b.like(q, static_cast<double>(range.hi));
  if (zero != nullptr) {
    Value* z = along(b, b.cast(zero, q->dtype()), x->rank(), axis);
    lo = b.sub(lo, z);
    hi = b.sub(hi, z);
  }
  q = b.maximum(q, lo);
  q = b.cast(b.minimum(q, hi), DType::i32);
  if (zero != nullptr) q = b.add(q, along(b, b.cast(zero, DType::i32), x->rank(), axis));
  return b.cast(q, to);
}

}  // namespace

Value* codes_of(OpBuilder& b, Value* x, Value* scale, Value* zero, int axis, DType to) {
  const auto apart = [&] { return rounded(b, b.cast(x, DType::f32), b.cast(scale, DType::f32), zero, axis, to); };
  if (is_byte(to) && x->dtype() == scale->dtype() && fits_mil(scale)) {
    return b.first_of(
        [&] {
          return b.emit("quantize", {{"input", x},
                                     {"zero_point", zero},
                                     {"scale", scale},
                                     {"axis", axis_beside(b, scale, axis)},
                                     {"output_dtype", name(to)}});
        },
        apart);
  }
  const auto whole = [&] {
    return b.emit("host_quantize",
                  {{"input", x}, {"zero_point", zero}, {"scale", scale}, {"axis", axis}, {"output_dtype", name(to)}});
  };
  if (!is_int(to) || bits(to) < 8 || !is_float(x->dtype())) return whole();
  return b.first_of(whole, apart);
}

Values quantize_linear(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = n.in(1), *zero = n.optional_in(2);
  const int64_t block = n.i("block_size", 0);
  const bool one = is_one(scale) && block == 0;
  const int axis = one ? 0 : n.axis("axis", 1, x->rank());
  DType to = n.i("output_dtype", 0) != 0 ? n.dtype("output_dtype") : DType::u8;
  if (zero != nullptr) to = zero->dtype();
  if (!b.ok()) return {n.refused()};
  if (one) {
    scale = one_as_scalar(b, scale);
    zero = one_as_scalar(b, zero);
  }
  if (const DType precision = n.i("precision", 0) != 0 ? n.dtype("precision") : DType::f32; precision != DType::f32) {
    if (block != 0)
      return {n.refuse(Code::unsupported_attribute, "precision with block_size; one of them is supported")};
    Value* in = b.cast(x, precision);
    x = b.div(in, along(b, b.cast(scale, precision), x->rank(), axis));
    scale = b.like(x, 1);
    if (zero != nullptr && !is_one(zero)) scale = b.emit("fill_like", {{"ref_tensor", zero}, {"value", scale}});
  }
  const bool saturate = n.flag("saturate", true);
  if (block == 0 && saturate) return {codes_of(b, x, scale, zero, axis, to)};
  return {b.emit("host_quantize", {{"input", x},
                                   {"zero_point", zero},
                                   {"scale", scale},
                                   {"axis", axis},
                                   {"block_size", block},
                                   {"output_dtype", name(to)},
                                   {"saturate", saturate}})};
}

Coded dynamic_codes(OpBuilder& b, Value* x) {
  Ints axes;
  for (int d = 0; d < x->rank(); ++d) axes.push_back(d);
  const auto extreme = [&](std::string_view op, Value* (OpBuilder::*with)(Value*, Value*)) {
    Value* v = axes.empty() ? x : b.reduce(op, x, axes, false);
    return (b.*with)(v, b.like(v, 0));
  };
  Value* hi = extreme("reduce_max", &OpBuilder::maximum);
  Value* lo = extreme("reduce_min", &OpBuilder::minimum);
  Value* range = b.sub(hi, lo);
  Value* scale = b.div(range, b.like(range, 255));
  scale = b.select(b.binary("equal", range, b.like(range, 0)), b.like(scale, 1), scale);
  Value* zero = b.div(b.sub(b.like(lo, 0), lo), scale);
  zero = b.minimum(b.maximum(zero, b.like(zero, 0)), b.like(zero, 255));
  zero = b.cast(b.unary("round", zero), DType::u8);
  return {codes_of(b, x, scale, zero, 0, DType::u8), scale, zero};
}

// ---- products of codes --------------------------------------------------------------------------------------------

Value* integer_product(OpBuilder& b, Value* x, Value* x_zero, Value* y, Value* y_zero) {
  const auto moved = [&](Value* v, Value* zero) {
    v = b.cast(v, DType::i32);
    return zero == nullptr ? v : b.sub(v, b.cast(zero, DType::i32));
  };
  const auto codes = [&] {
    return b.emit("host_integer_matmul", {{"x", x}, {"x_zero_point", x_zero}, {"y", y}, {"y_zero_point", y_zero}});
  };
  return b.first_of(codes, [&] {
    Value* left = moved(x, by_row(b, x_zero, x));
    return b.matmul(left, moved(y, y_zero));
  });
}

Value* requantized(OpBuilder& b, Value* sums, Value* factor, Value* zero, int axis) {
  return b.emit("host_requantize", {{"input", sums},
                                    {"zero_point", zero},
                                    {"scale", factor},
                                    {"axis", axis},
                                    {"output_dtype", name(zero->dtype())}});
}

Value* of_sums(OpBuilder& b, Value* sums, Value* factor, Value* zero, int axis) {
  if (!b.ok()) return sums;
  return b.first_of([&] { return requantized(b, sums, factor, zero, axis); },
                    [&] {
                      const int rank = sums->rank();
                      Value* product =
                          b.mul(b.cast(sums, DType::f32), along(b, factor, rank, axis < 0 ? axis + rank : axis));
                      return codes_of(b, product, b.like(product, 1), zero, 0, zero->dtype());
                    });
}

namespace {

Values dynamic_quantize_linear(NodeView& n, OpBuilder& b) {
  const Coded y = dynamic_codes(b, n.in(0));
  return {y.codes, y.scale, y.zero};
}

Values matmul_integer(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1), *x_zero = n.optional_in(2), *y_zero = n.optional_in(3);
  return {integer_product(b, x, one_as_scalar(b, x_zero), y, one_as_scalar(b, y_zero))};
}

Values conv_integer(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *w = n.in(1), *x_zero = n.optional_in(2), *w_zero = n.optional_in(3);
  return {emit_conv(n, b, "host_integer_conv", x, w,
                    {{"x_zero_point", one_as_scalar(b, x_zero)}, {"weight_zero_point", one_as_scalar(b, w_zero)}})};
}

Value* ratio(OpBuilder& b, Value* x, Value* y, Value* result) { return b.div(b.mul(x, y), result); }

Values qlinear_matmul(NodeView& n, OpBuilder& b) {
  const Coded x = coded(n, b, 0), y = coded(n, b, 3);
  Value *scale = one_as_scalar(b, n.in(6)), *zero = one_as_scalar(b, n.in(7));
  if (!b.ok()) return {n.refused()};
  if (!is_one(scale))
    return {n.refuse(Code::unsupported_attribute, format("y_scale is {}, takes one number", scale->type.to_string()))};
  Value* sums = integer_product(b, x.codes, x.zero, y.codes, y.zero);
  Value* rows = by_row(b, x.scale, x.codes);
  Value* factor = ratio(b, b.cast(rows, DType::f32), b.cast(y.scale, DType::f32), b.cast(scale, DType::f32));
  if (!b.ok() || factor->rank() < 2) return {of_sums(b, sums, one_as_scalar(b, factor), zero, -1)};
  Value* product = b.mul(b.cast(sums, DType::f32), factor);
  return {codes_of(b, product, b.like(product, 1), zero, 0, zero->dtype())};
}

Values qlinear_conv(NodeView& n, OpBuilder& b) { return {qlinear_conv_of(n, b, coded(n, b, 0))}; }

constexpr Lowering kRows[] = {
    {"", "DequantizeLinear", kSince<10, 13, 19, 21, 23, 24, 25, 28>,
     "x x_scale x_zero_point? -> y; axis@13 block_size@21 output_dtype@23", dequantize_linear},
    {"", "QuantizeLinear", kSince<10, 13, 19, 21, 23, 24, 25, 28>,
     "x y_scale y_zero_point? -> y; axis@13 block_size@21 output_dtype@21 precision@23 saturate@19", quantize_linear},
    {"", "DynamicQuantizeLinear", kSince<11>, "x -> y y_scale y_zero_point", dynamic_quantize_linear},
    {"", "MatMulInteger", kSince<10>, "A B a_zero_point? b_zero_point? -> Y", matmul_integer},
    {"", "ConvInteger", kSince<10>,
     "x w x_zero_point? w_zero_point? -> y; auto_pad dilations group kernel_shape pads strides", conv_integer,
     "on the host only"},
    {"", "QLinearMatMul", kSince<10, 21>, "a a_scale a_zero_point b b_scale b_zero_point y_scale y_zero_point -> y",
     qlinear_matmul, "int8 and uint8"},
    {"", "QLinearConv", kSince<10>,
     "x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B? -> y; auto_pad dilations group "
     "kernel_shape pads strides",
     qlinear_conv},
};

}  // namespace

// Of codes with a bias in the products' own scale; Core ML gets the convolution of the numbers that they stand for.
Value* qlinear_conv_of(NodeView& n, OpBuilder& b, const Coded& x) {
  const Coded w = coded(n, b, 3);
  Value *scale = one_as_scalar(b, n.in(6)), *zero = one_as_scalar(b, n.in(7)), *bias = n.optional_in(8);
  const auto of_codes = [&] {
    Value* sums = emit_conv(n, b, "host_integer_conv", x.codes, w.codes,
                            {{"x_zero_point", x.zero}, {"weight_zero_point", w.zero}, {"bias", bias}});
    return b.ok() ? requantized(b, sums, ratio(b, x.scale, w.scale, scale), zero, 1) : sums;
  };
  const auto of_numbers = [&] {
    Value* numbers = numbers_of(b, x);
    Value* weights = numbers_of(b, w);
    Value* offset = bias == nullptr ? nullptr : b.mul(b.cast(bias, DType::f32), b.mul(x.scale, w.scale));
    Value* y = emit_conv(n, b, "conv", numbers, weights, {});
    if (offset != nullptr) y = b.add(y, along(b, offset, y->rank(), 1));
    return b.ok() ? codes_of(b, y, scale, zero, 0, zero->dtype()) : y;
  };
  return b.first_of(of_codes, of_numbers);
}

LoweringRows quantization_lowerings() { return kRows; }

}  // namespace graft::onnx
