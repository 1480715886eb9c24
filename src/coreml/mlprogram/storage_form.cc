#include "coreml/mlprogram/storage_form.h"

#include <algorithm>

#include "ops/table.h"

namespace graft::coreml {
namespace {

using ir::Constant;
using ir::ConstantPtr;
using ir::Opset;
using Found = std::optional<ConstexprOp>;
namespace form = ir::form;

// Packed elements as the bytes they lie in: how CoreML6 and CoreML7 state indices and masks.
ConstantPtr as_bytes(const ConstantPtr& packed) {
  const TensorView v = packed->view();
  return Constant::borrow({DType::u8, Shape{static_cast<int64_t>(v.bytes())}, v.data}, packed);
}

// The only axis along which entries differ, as long as the data's; 0 where there is one entry, -1 where blocks are
// needed.
int only_axis(const Shape& entries, const Shape& data) {
  int axis = 0;
  for (int d = 0; d < entries.size(); ++d) {
    if (entries[d] == 1) continue;
    if (entries[d] != data[d] || entries.product() != entries[d]) return -1;
    axis = d;
  }
  return axis;
}

// One entry, or one for each place along an axis, as a scalar or a list; and as blocks of a tensor of `rank` dims.
ConstantPtr as_list(const ConstantPtr& c) {
  return Constant::reshape(c, c->count() == 1 ? Shape{} : Shape{c->count()});
}
ConstantPtr as_blocks(const ConstantPtr& c, int rank, int axis) {
  Shape s(rank, 1);
  if (c->count() != 1) s[axis] = c->count();
  return Constant::reshape(c, s);
}

struct Translate {
  const ConstantPtr& constant;
  const Opset opset;

  bool packed() const { return opset < Opset::ios18; }
  ConstexprOp emit(std::string_view type) const {
    return {type, {}, {ir::Type::tensor(constant->dtype(), constant->shape())}};
  }
  ConstantPtr shape() const { return Constant::ints(DType::u32, constant->shape()); }

  Found operator()(const form::Direct&) const { return {}; }
  Found operator()(const form::Transpose&) const { return {}; }
  Found operator()(const form::Reshape&) const { return {}; }

  Found operator()(const form::Cast& f) const {
    if (f.base->dtype() != DType::f16 || constant->dtype() != DType::f32) return {};
    ConstexprOp made = emit("constexpr_cast");
    made.nests = false;  // Apple's tools want the value of what a cast takes
    made.args = {{"source_val", f.base}, {"output_dtype", Constant::text("fp32")}};
    return made;
  }

  // From iOS18 on as blocks, which is what Apple's tools make there; before, codes have whole bytes.
  Found operator()(const form::Affine& f) const {
    if (!packed() && (f.zero_point == nullptr || f.zero_point->count() == f.scale->count())) {
      const int rank = constant->rank();
      const ConstantPtr zero = f.zero_point == nullptr ? nullptr : as_blocks(f.zero_point, rank, f.axis);
      if (Found made = blocks({f.data, as_blocks(f.scale, rank, f.axis), zero, nullptr})) return made;
    }
    ConstexprOp made = emit("constexpr_affine_dequantize");
    made.args = {
        {"quantized_data", f.data},
        {"zero_point", f.zero_point == nullptr ? Constant::int_scalar(f.data->dtype(), 0) : as_list(f.zero_point)},
        {"scale", as_list(f.scale)},
        {"axis", Constant::int_scalar(DType::i32, f.axis)}};
    return made;
  }

  Found operator()(const form::Blockwise& f) const {
    if (f.mask != nullptr) return unsparse(f.data->count());
    if (!packed()) return blocks(f);
    const int axis = only_axis(f.scale->shape(), constant->shape());
    if (axis < 0) return {};
    return (*this)(form::Affine{f.data, as_list(f.scale), f.offset == nullptr ? nullptr : as_list(f.offset), axis});
  }
  Found blocks(const form::Blockwise& f) const {
    if (f.offset != nullptr && !is_float(f.offset->dtype()) && f.offset->dtype() != f.data->dtype()) return {};
    const bool masked = f.mask != nullptr;
    ConstexprOp made =
        masked ? emit("constexpr_sparse_blockwise_shift_scale") : emit("constexpr_blockwise_shift_scale");
    if (masked) made.args.emplace_back("data_mask", f.mask);
    made.args.emplace_back(masked ? "nonzero_data" : "data", f.data);
    made.args.emplace_back("scale", f.scale);
    if (f.offset != nullptr) made.args.emplace_back("offset", f.offset);
    return made;
  }

  Found operator()(const form::Palette& f) const {
    if (f.mask != nullptr) return unsparse(f.indices->count() * f.lut->shape()[f.lut->rank() - 1]);
    if (!packed()) return palette(f);
    ConstexprOp made = emit("constexpr_lut_to_dense");
    const int64_t entries = f.lut->count();
    if (entries != f.lut->shape()[constant->rank()] || entries == 8) return {};
    made.args = {
        {"indices", as_bytes(f.indices)}, {"lut", Constant::reshape(f.lut, Shape{entries})}, {"shape", shape()}};
    return made;
  }
  Found palette(const form::Palette& f) const {
    const bool masked = f.mask != nullptr;
    ConstexprOp made = masked ? emit("constexpr_lut_to_sparse") : emit("constexpr_lut_to_dense");
    if (masked) made.args.emplace_back("indices_mask", f.mask);
    made.args.emplace_back(masked ? "indices_nonzero_data" : "indices", f.indices);
    made.args.emplace_back("lut", f.lut);
    if (f.lut->shape()[f.lut->rank() - 1] > 1)
      made.args.emplace_back("vector_axis", Constant::int_scalar(DType::i32, f.axis));
    return made;
  }

  Found operator()(const form::Sparse& f) const {
    ConstexprOp made = emit("constexpr_sparse_to_dense");
    if (packed())
      made.args = {{"nonzero_data", f.values}, {"mask", as_bytes(f.mask)}, {"shape", shape()}};
    else
      made.args = {{"nonzero_data", f.values}, {"mask", f.mask}};
    return made;
  }
  // A masked form is two operators: one gives mask and list, and this one puts them together.
  Found unsparse(int64_t listed) const {
    const ConstantPtr list = Constant::stored(constant->dtype(), Shape{listed}, form::Nonzero{constant});
    if (!constexpr_of(list, opset)) return {};
    ConstexprOp made = emit("constexpr_sparse_to_dense");
    made.args = {{"nonzero_data", list}, {"mask", nullptr}};
    return made;
  }

  Found operator()(const form::Nonzero& f) const {
    if (packed()) return {};
    const auto* b = f.of->as<form::Blockwise>();
    const auto* p = f.of->as<form::Palette>();
    Found made = b != nullptr ? blocks(*b) : p != nullptr ? palette(*p) : Found();
    if (!made) return {};
    made->results.insert(made->results.begin(), ir::Type::tensor(DType::u1, f.of->shape()));
    made->result = 1;
    return made;
  }
};

// The opset's form of the operator, one that is else only read too (packed palettes); null when it has none, or not for
// arguments of these types.
const ir::Signature* signature_for(const ConstexprOp& op, Opset opset) {
  const ir::Signature* signature = nullptr;
  for (const ir::Signature& s : ops::table().find(op.type)->signatures) {
    if (s.variant->since <= opset) signature = &s;
  }
  const auto taken = [&](const auto& arg) {
    const ir::Param* p = signature->find(arg.first);
    return p != nullptr && (arg.second == nullptr || p->dtypes.has(arg.second->dtype()));
  };
  return signature != nullptr && std::all_of(op.args.begin(), op.args.end(), taken) ? signature : nullptr;
}

}  // namespace

Found constexpr_of(const ConstantPtr& constant, Opset opset) {
  if (constant->is_direct()) return {};
  Found op = std::visit(Translate{constant, opset}, constant->form());
  const ir::Signature* signature = op ? signature_for(*op, opset) : nullptr;
  if (signature == nullptr) return {};
  op->inputs = signature->variant->since >= Opset::ios18;
  return op;
}

}  // namespace graft::coreml
