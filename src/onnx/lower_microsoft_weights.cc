// ONNX Runtime's operators with weights of 2, 4 or 8 bits in blocks. The weights become constants that are stored so.
#include <algorithm>

#include "base/format.h"
#include "onnx/block_weights.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// x times rows of weights that stay in their codes.
Values matmul_nbits(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *codes = n.in(1), *scales = n.in(2), *zeros = n.optional_in(3), *bias = n.optional_in(5);
  without(n, {{4, "g_idx"}}, {"weight_prepacked"});
  needs_constants(n, {{1, "B"}, {2, "scales"}, {3, "zero_points"}});
  const int64_t k = positive(n, "K"), rows = positive(n, "N"), width = n.i("bits", 4),
                block = n.required_i("block_size");
  if (!b.ok()) return {n.refused()};
  if (!is_code_width(width))
    return {n.refuse(Code::unsupported_attribute, format("bits is {}; 2, 4 and 8 are supported", width))};
  if (!is_block_size(block))
    return {n.refuse(Code::invalid_attribute, format("block_size is {}, takes powers of two from 16 on", block))};
  const int64_t blocks = (k + block - 1) / block, bytes = block / (8 / width), columns = blocks * block;
  const DType t = code_type(width);
  const auto count = [](const Value* v) { return v->constant->count(); };
  if (codes->dtype() != DType::u8 || static_cast<double>(count(codes)) != static_cast<double>(rows) *
                                                                              static_cast<double>(blocks) *
                                                                              static_cast<double>(bytes))
    return {n.refuse(Code::shape_mismatch,
                     format("B is {}, takes uint8[{}, {}, {}]", codes->type.to_string(), rows, blocks, bytes))};
  if (count(scales) != rows * blocks)
    return {
        n.refuse(Code::shape_mismatch, format("scales is {}, takes [{}, {}]", scales->type.to_string(), rows, blocks))};
  if (x->rank() < 1 || ir::never_equal(x->dim(-1), Dim(k)))
    return {n.refuse(Code::shape_mismatch, format("A is {}, takes {} columns", x->type.to_string(), k))};
  const Shape by_block{rows, blocks};
  scales = b.constant(ir::Constant::reshape(scales->constant, by_block));
  if (zeros != nullptr && zeros->dtype() == DType::u8) {
    const int64_t want = rows * static_cast<int64_t>(byte_size(t, blocks));
    if (count(zeros) != want)
      return {
          n.refuse(Code::shape_mismatch, format("zero_points is {}, takes {} bytes", zeros->type.to_string(), want))};
    zeros = b.constant(unpadded(zeros->constant, t, rows, blocks));
  } else if (zeros != nullptr) {
    if (count(zeros) != rows * blocks)
      return {n.refuse(Code::shape_mismatch,
                       format("zero_points is {}, takes [{}, {}]", zeros->type.to_string(), rows, blocks))};
    zeros = b.constant(ir::Constant::reshape(zeros->constant, by_block));
  }
  Value* w = dense(b, {width, {rows}, columns, blocks, codes, scales, zeros});
  if (columns != k) {  // the last block's end counts for nothing
    Ints pad(2 * x->rank(), 0);
    pad[pad.size() - 1] = columns - k;
    x = b.emit("pad", {{"x", x}, {"pad", pad}, {"mode", "constant"}, {"constant_val", b.like(x, 0)}});
  }
  Value* y = b.matmul(x, b.cast(w, x->dtype()), true);
  return {bias == nullptr ? y : b.add(y, bias)};
}

// ---- GatherBlockQuantized -----------------------------------------------------------------------------------------

// Bytes as the codes that lie in them, lowest bits first, side by side in the last dim; int32.
Value* unpacked(NodeView& n, OpBuilder& b, Value* bytes, int64_t width) {
  Value* rest = b.cast(bytes, DType::i32);
  if (width == 8) return rest;
  const double base = static_cast<double>(int64_t{1} << width);
  Values parts;
  for (int64_t i = 8 / width; i > 0; --i) {
    Value* above = i == 1 ? nullptr : b.binary("floor_div", rest, b.like(rest, base));
    parts.push_back(b.expand_dims(above == nullptr ? rest : b.sub(rest, b.scale(above, base)), {rest->rank()}));
    rest = above;
  }
  Value* apart = b.concat(parts, -1);
  Dims dims = bytes->dims();
  dims.back() = dims.back() * Dim(8 / width);
  return shaped(n, b, apart, dims);
}

// Rows of a table of codes, unpacked and scaled block by block.
Values gather_block_quantized(NodeView& n, OpBuilder& b) {
  Value *table = n.in(0), *at = n.in(1), *scales = n.in(2), *zeros = n.optional_in(3);
  needs_constants(n, {{0, "data"}, {2, "scales"}, {3, "zero_points"}});
  if (!b.ok()) return {n.refused()};
  constexpr DTypes kTables{DType::u8, DType::u4, DType::i4};
  const DType t = table->dtype();
  const int64_t block = n.i("block_size", 128), width = t == DType::u8 ? n.i("bits", 4) : 4;
  const int rank = table->rank();
  if (!kTables.has(t) || !is_code_width(width))
    return {n.refuse(Code::unsupported_attribute, format("data is {} with bits {}; {} with 2, 4 or 8 are supported",
                                                         table->type.to_string(), width, kTables.to_string()))};
  if (!is_block_size(block))
    return {n.refuse(Code::invalid_attribute, format("block_size is {}, takes powers of two from 16 on", block))};
  if (rank < 2 || n.axis("gather_axis", 0, rank) != 0 || n.axis("quantize_axis", 1, rank) != rank - 1)
    return {n.refuse(Code::unsupported_attribute, "gather_axis 0 and quantize_axis of the last dim are supported")};
  const int64_t per_byte = 8 / width;
  Shape bytes = table->type.shape();
  int64_t columns = bytes.back();
  if (t == DType::u8) {
    if (__builtin_mul_overflow(columns, per_byte, &columns))
      return {n.refuse(Code::limit_exceeded, "data is too large")};
  } else {
    if (columns % 2 != 0)
      return {n.refuse(Code::unsupported_attribute, "data has an odd number of columns; even ones are supported")};
    bytes[rank - 1] = columns / 2;
    table = b.constant(reinterpreted(table->constant, DType::u8, bytes));
  }
  if (columns % block != 0)
    return {n.refuse(Code::unsupported_attribute,
                     format("{} columns in blocks of {}; whole blocks are supported", columns, block))};
  const int64_t blocks = columns / block;
  Shape by_block = bytes;
  by_block[rank - 1] = blocks;
  if (!(scales->type.shape() == by_block))
    return {n.refuse(Code::shape_mismatch,
                     format("scales is {}, takes {}", scales->type.to_string(), to_string(by_block)))};
  const int64_t rows = by_block.product(0, rank - 1);
  const auto taken = [&](Value* of) {
    Value* entries = with_indices(n, b, at, of, 0, [&](Value* i) { return b.gather(of, i, 0); });
    return b.expand_dims(entries, {entries->rank()});
  };
  Value* codes = with_indices(n, b, at, table, 0, [&](Value* i) { return b.gather(table, i, 0); });
  if (!b.ok()) return {n.refused()};
  codes = unpacked(n, b, codes, width);
  if (!b.ok()) return {n.refused()};
  Dims apart = codes->dims();
  apart.back() = Dim(blocks);
  apart.emplace_back(block);
  Value* y = shaped(n, b, codes, apart);
  if (t == DType::i4) {  // 8 to 15 mean -8 to -1
    Value* high = b.binary("greater", y, b.like(y, 7));
    y = b.sub(y, b.scale(b.cast(high, DType::i32), 16));
  }
  if (zeros != nullptr) {
    const DType z = t == DType::u8 ? code_type(width) : t;
    if (zeros->constant->bytes() != static_cast<size_t>(rows) * byte_size(z, blocks))
      return {n.refuse(Code::shape_mismatch, format("zero_points is {}, takes one for each of {} blocks a row",
                                                    zeros->type.to_string(), blocks))};
    const ir::ConstantPtr packed = unpadded(zeros->constant, z, rows, blocks);
    Result<Tensor> wide = Tensor::allocate(DType::i32, by_block, b.bounds().memory);
    if (!wide) return {b.refuse(wide.error())};
    for (int64_t i = 0; i < rows * blocks; ++i)
      wide->span<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(element_as_int(packed->view(), i));
    y = b.sub(y, taken(b.constant(ir::Constant::of(*wide))));
  } else if (t == DType::u8) {
    y = b.sub(y, b.like(y, static_cast<double>(int64_t{1} << (width - 1))));
  }
  y = b.mul(b.cast(y, scales->dtype()), taken(scales));
  Dims whole = apart;
  whole.pop_back();
  whole.back() = Dim(columns);
  return {shaped(n, b, y, whole)};
}

// ---- MatMulBnb4 ---------------------------------------------------------------------------------------------------

// What the codes of a block stand for, over its largest magnitude: bitsandbytes' fp4 (a sign, two bits of exponent and
// one of mantissa, in twelfths) and nf4 (quantiles of the normal distribution).
constexpr float kFp4[] = {0,     1.0f / 192,  8.0f / 12,  1,  4.0f / 12,  6.0f / 12,  2.0f / 12,  3.0f / 12,
                          -0.0f, -1.0f / 192, -8.0f / 12, -1, -4.0f / 12, -6.0f / 12, -2.0f / 12, -3.0f / 12};
constexpr float kNf4[] = {
    -1,          -0.69619280f, -0.52507305f, -0.39491749f, -0.28444138f, -0.18477343f, -0.09105004f, 0,
    0.07958030f, 0.16093020f,  0.24611230f,  0.33791524f,  0.44070983f,  0.56261700f,  0.72295684f,  1};

// x times weights [N, K]. The blocks run through all of B. (With transB 0 ONNX Runtime reads behind its weights.)
Values matmul_bnb4(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *codes = n.in(1), *scales = n.in(2);
  needs_constants(n, {{1, "B"}, {2, "absmax"}});
  const int64_t k = positive(n, "K"), rows = positive(n, "N"), block = n.required_i("block_size"),
                kind = n.required_i("quant_type");
  if (!b.ok()) return {n.refused()};
  if (!n.flag("transB", true)) return {n.refuse(Code::unsupported_attribute, "transB is 0; 1 is supported")};
  if (kind != 0 && kind != 1)
    return {n.refuse(Code::invalid_attribute, format("quant_type is {}, takes 0 (fp4) or 1 (nf4)", kind))};
  if (!is_block_size(block))
    return {n.refuse(Code::invalid_attribute, format("block_size is {}, takes powers of two from 16 on", block))};
  if (k % block != 0)
    return {
        n.refuse(Code::unsupported_attribute, format("K is {}; multiples of block_size {} are supported", k, block))};
  const int64_t blocks = k / block, all = rows * k;
  const auto count = [](const Value* v) { return v->constant->count(); };
  if (codes->dtype() != DType::u8 || count(codes) != all / 2)
    return {n.refuse(Code::shape_mismatch, format("B is {}, takes uint8[{}]", codes->type.to_string(), all / 2))};
  if (count(scales) != rows * blocks)
    return {
        n.refuse(Code::shape_mismatch, format("absmax is {}, takes [{}]", scales->type.to_string(), rows * blocks))};
  if (x->rank() < 1 || ir::never_equal(x->dim(-1), Dim(k)))
    return {n.refuse(Code::shape_mismatch, format("A is {}, takes {} columns", x->type.to_string(), k))};
  scales = b.constant(ir::Constant::reshape(scales->constant, {rows, blocks}));
  Value* w = dense_of_levels(b, {4, {rows}, k, blocks, codes, scales, nullptr}, kind == 0 ? kFp4 : kNf4);
  return {b.matmul(x, b.cast(w, x->dtype()), true)};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "MatMulBnb4", kSince<1>, "A B absmax -> Y; K N block_size quant_type training_mode transB",
     matmul_bnb4, "constant weights of whole blocks a row, transB 1"},
    {"com.microsoft", "GatherBlockQuantized", kSince<1>,
     "data indices scales zero_points? -> output; bits block_size gather_axis quantize_axis", gather_block_quantized,
     "constant data of 2, 4 and 8 bits, whole blocks along the last dim"},
    {"com.microsoft", "MatMulNBits", kSince<1>,
     "A B scales zero_points? g_idx? bias? -> Y; K N accuracy_level bits block_size weight_prepacked", matmul_nbits,
     "2, 4 and 8 bits, constant weights, without g_idx"},
};

}  // namespace

LoweringRows microsoft_weights_lowerings() { return kRows; }

}  // namespace graft::onnx
