#include "onnx/block_weights.h"

#include <algorithm>
#include <cstring>

#include "base/format.h"

namespace graft::onnx {

ir::ConstantPtr reinterpreted(const ir::ConstantPtr& c, DType t, const Shape& shape) {
  return ir::Constant::borrow({t, shape, c->view().data}, c);
}

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

void needs_constants(NodeView& n, std::initializer_list<std::pair<int, std::string_view>> inputs) {
  for (const auto& [i, what] : inputs) {
    if (n.has(i) && !n.in(i)->is_constant())
      n.refuse(Code::needs_constant, format("{} is made by a run; a constant is supported", what));
  }
}

Shape Blocks::by_block() const {
  Shape s = rows;
  s.push_back(blocks);
  return s;
}

namespace {

Shape with_columns(const Blocks& w) {
  Shape s = w.rows;
  s.push_back(w.columns);
  return s;
}

// Codes that name entries of a palette each block has: level(q, block).
template <class Level>
Value* palettes(OpBuilder& b, const Blocks& w, int64_t levels, const ir::ConstantPtr& codes, Level&& level) {
  Shape shape = w.by_block();
  const int64_t count = shape.product();
  shape.push_back(levels);
  shape.push_back(1);
  Result<Tensor> lut = Tensor::allocate(DType::f32, shape, b.bounds().memory);
  if (!lut) return b.refuse(lut.error());
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t q = 0; q < levels; ++q)
      lut->span<float>()[static_cast<size_t>(levels * i + q)] = static_cast<float>(level(q, i));
  }
  Value* entries = b.cast(b.constant(ir::Constant::of(*lut)), w.scales->dtype());
  return b.emit("constexpr_lut_to_dense", {{"indices", b.constant(codes)}, {"lut", entries}});
}

}  // namespace

Value* dense(OpBuilder& b, const Blocks& w) {
  const DType t = code_type(w.bits);
  const ir::ConstantPtr codes = reinterpreted(w.codes->constant, t, with_columns(w));
  const double middle = static_cast<double>(int64_t{1} << (w.bits - 1));
  const TensorView scales = w.scales->constant->view();
  if (w.bits == 2) {
    return palettes(b, w, 4, codes, [&](int64_t q, int64_t i) {
      const double z = w.zeros == nullptr ? middle : element_as_double(w.zeros->constant->view(), i);
      return (static_cast<double>(q) - z) * element_as_double(scales, i);
    });
  }
  Value* zeros = w.zeros;
  if (zeros == nullptr) {
    const Tensor each(t, w.by_block());
    const int fill = w.bits == 4 ? 0x88 : 0x80;
    std::memset(each.storage().get(), fill, byte_size(t, w.by_block().product()));
    zeros = b.constant(ir::Constant::of(each));
  }
  return b.emit("constexpr_blockwise_shift_scale",
                {{"data", b.constant(codes)}, {"scale", w.scales}, {"offset", zeros}});
}

Value* dense_of_levels(OpBuilder& b, const Blocks& w, std::span<const float> levels) {
  const Shape shape = with_columns(w);
  Result<Tensor> codes = Tensor::allocate(DType::u4, shape, b.bounds().memory);
  if (!codes) return b.refuse(codes.error());
  const auto* from = static_cast<const uint8_t*>(w.codes->constant->view().data);
  auto* to = static_cast<uint8_t*>(codes->mutable_view().data);
  for (size_t i = 0; i < byte_size(DType::u4, shape.product()); ++i)
    to[i] = static_cast<uint8_t>(from[i] >> 4 | from[i] << 4);
  const TensorView scales = w.scales->constant->view();
  return palettes(b, w, 16, ir::Constant::of(*codes), [&](int64_t q, int64_t i) {
    return static_cast<double>(levels[static_cast<size_t>(q)]) * element_as_double(scales, i);
  });
}

}  // namespace graft::onnx
