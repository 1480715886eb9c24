// ONNX Runtime's operators with weights of 2, 4 or 8 bits in blocks. The weights become constants that are stored so.
#include <algorithm>

#include "base/format.h"
#include "onnx/codes.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

DType code_type(int64_t bits) { return bits == 2 ? DType::u2 : bits == 4 ? DType::u4 : DType::u8; }

// The bytes of a constant as codes of this type and shape, which must take as many.
ir::ConstantPtr reinterpreted(const ir::ConstantPtr& c, DType t, const Shape& shape) {
  return ir::Constant::borrow({t, shape, c->view().data}, c);
}

// Codes [rows, columns] of rows that are padded to whole bytes, without the padding.
ir::ConstantPtr unpadded(const ir::ConstantPtr& c, DType t, int64_t rows, int64_t columns) {
  const int64_t each = static_cast<int64_t>(byte_size(t, columns)), per_byte = 8 / bits(t);
  if (columns % per_byte == 0) return reinterpreted(c, t, {rows, columns});
  Tensor made(t, {rows, columns});
  const TensorView from{t, {rows * each * per_byte}, c->view().data};
  auto* to = static_cast<uint8_t*>(made.mutable_view().data);
  std::fill_n(to, byte_size(t, rows * columns), uint8_t{0});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t at = (r * columns + k) * bits(t);
      const auto v = static_cast<unsigned>(element_as_int(from, r * each * per_byte + k));
      to[at / 8] = static_cast<uint8_t>(to[at / 8] | v << (at % 8));
    }
  }
  return ir::Constant::of(made);
}

// Weights [N, K] of codes with a scale, and maybe a zero point, for each block of a row: [N, blocks].
struct Blocks {
  int64_t bits, rows, columns, blocks;
  Value *codes, *scales, *zeros;
};

// Where `bits` are 2 no operator scales codes: each block is a palette of four.
Value* palettes(OpBuilder& b, const Blocks& w, const ir::ConstantPtr& codes) {
  const TensorView scales = w.scales->constant->view();
  const TensorView zeros = w.zeros->constant->view();
  const int64_t count = w.rows * w.blocks;
  Tensor lut(DType::f32, {w.rows, w.blocks, 4, 1});
  for (int64_t i = 0; i < count; ++i) {
    const double z = element_as_double(zeros, zeros.count() == 1 ? 0 : i), s = element_as_double(scales, i);
    for (int64_t q = 0; q < 4; ++q)
      lut.span<float>()[static_cast<size_t>(4 * i + q)] = static_cast<float>((static_cast<double>(q) - z) * s);
  }
  Value* entries = b.cast(b.constant(ir::Constant::of(lut)), w.scales->dtype());
  return b.emit("constexpr_lut_to_dense", {{"indices", b.constant(codes)}, {"lut", entries}});
}

Value* dense(OpBuilder& b, const Blocks& w) {
  const ir::ConstantPtr codes = reinterpreted(w.codes->constant, code_type(w.bits), {w.rows, w.columns});
  if (w.bits == 2) return palettes(b, w, codes);
  return b.emit("constexpr_blockwise_shift_scale",
                {{"data", b.constant(codes)}, {"scale", w.scales}, {"offset", w.zeros}});
}

void needs_constants(NodeView& n, std::initializer_list<std::pair<int, std::string_view>> inputs) {
  for (const auto& [i, what] : inputs) {
    if (n.has(i) && !n.in(i)->is_constant())
      n.refuse(Code::needs_constant, format("{} is made by a run; a constant is supported", what));
  }
}

bool is_block_size(int64_t v) { return v >= 16 && v <= INT32_MAX && (v & (v - 1)) == 0; }

// x times rows of weights that stay in their codes.
Values matmul_nbits(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *codes = n.in(1), *scales = n.in(2), *zeros = n.optional_in(3), *bias = n.optional_in(5);
  without(n, {{4, "g_idx"}}, {"weight_prepacked"});
  needs_constants(n, {{1, "B"}, {2, "scales"}, {3, "zero_points"}});
  const int64_t k = positive(n, "K"), rows = positive(n, "N"), width = n.i("bits", 4),
                block = n.required_i("block_size");
  if (!b.ok()) return {n.refused()};
  if (width != 2 && width != 4 && width != 8)
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
  if (zeros == nullptr) {
    zeros = b.scalar(DType::f32, static_cast<double>(int64_t{1} << (width - 1)));
    if (width != 2) {
      const Tensor each(t, by_block);
      const int fill = width == 4 ? 0x88 : 0x80;
      std::memset(each.storage().get(), fill, byte_size(t, rows * blocks));
      zeros = b.constant(ir::Constant::of(each));
    }
  } else if (zeros->dtype() == DType::u8) {
    const int64_t want = rows * static_cast<int64_t>(byte_size(t, blocks));
    if (count(zeros) != want)
      return {
          n.refuse(Code::shape_mismatch, format("zero_points is {}, takes {} bytes", zeros->type.to_string(), want))};
    zeros = b.constant(unpadded(zeros->constant, t, rows, blocks));
  } else {
    if (count(zeros) != rows * blocks)
      return {n.refuse(Code::shape_mismatch,
                       format("zero_points is {}, takes [{}, {}]", zeros->type.to_string(), rows, blocks))};
    zeros = b.constant(ir::Constant::reshape(zeros->constant, by_block));
  }
  Value* w = dense(b, {width, rows, columns, blocks, codes, scales, zeros});
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
  if (!kTables.has(t) || (width != 2 && width != 4 && width != 8))
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

constexpr Lowering kRows[] = {
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
