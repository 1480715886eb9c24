// Weights of 2, 4 or 8 bits in blocks, as ONNX Runtime's operators have them. They become constants that are stored so.
// Private to src/onnx.
#pragma once

#include "onnx/node_view.h"

namespace graft::onnx {

// What codes of so many bits are: 2, 4 or 8.
inline bool is_code_width(int64_t bits) { return bits == 2 || bits == 4 || bits == 8; }
inline DType code_type(int64_t bits) { return bits == 2 ? DType::u2 : bits == 4 ? DType::u4 : DType::u8; }
inline bool is_block_size(int64_t v) { return v >= 16 && v <= INT32_MAX && (v & (v - 1)) == 0; }

// The bytes of a constant as codes of this type and shape, which must take as many.
ir::ConstantPtr reinterpreted(const ir::ConstantPtr& c, DType t, const Shape& shape);
// Codes [rows, columns] of rows that are padded to whole bytes, without the padding.
ir::ConstantPtr unpadded(const ir::ConstantPtr& c, DType t, int64_t rows, int64_t columns);

// Refuses these inputs where they are no constants.
void needs_constants(NodeView& n, std::initializer_list<std::pair<int, std::string_view>> inputs);

// Codes [rows..., columns] with a scale, and maybe a zero point, for each block of a row: [rows..., blocks].
struct Blocks {
  int64_t bits;
  Shape rows;
  int64_t columns, blocks;
  Value *codes, *scales, *zeros;  // no zeros: the middle of the codes
  Shape by_block() const;
};
// A constant of these numbers. Where `bits` are 2 no operator scales codes: each block is a palette of four.
Value* dense(OpBuilder& b, const Blocks& w);
// Codes of 4 bits [rows..., columns], the higher of each byte first, that name one of 16 levels times their block's
// scale: [rows..., blocks].
Value* dense_of_levels(OpBuilder& b, const Blocks& w, std::span<const float> levels);

}  // namespace graft::onnx
