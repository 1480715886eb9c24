// MIL's constexpr operators: compressed weights. They always fold, into constants that keep the storage
// (ir/constant.h); the rows check that the parts fit. The forms before iOS18 with packed bytes and a `shape` are
// rewritten when read.
#include <bit>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

using ir::Constant;
using ir::ConstantPtr;
using Constants = std::vector<ConstantPtr>;
namespace form = ir::form;

// An argument as a part of a form; null when left out.
ConstantPtr part(const Call& call, std::string_view param) {
  if (!call.has(param)) return nullptr;
  const Operand& o = call.in(param);
  return o.source != nullptr ? o.shared() : Constant::borrow(o.value, nullptr);
}

ConstantPtr stored(const Type& type, Constant::Form f) {
  return Constant::stored(type.dtype, type.shape(), std::move(f));
}

// The elements of the forms that folding gives.
template <Constants (*lazy)(const Call&, const Types&)>
Status elements(const Call& call, Outputs& out) {
  Types types;
  GRAFT_CHECK(ir::infer(call, types));
  const Constants made = lazy(call, types);
  Pace pace = call.pace();
  for (int i = 0; i < out.size(); ++i) {
    const Constant& c = *made[static_cast<size_t>(i)];
    GRAFT_CHECK(check_output(call, out[i], c.shape()));
    char* to = static_cast<char*>(out[i].data);
    for (int64_t at = 0, next; (next = pace.until(at, c.count())) > at; at = next) {
      c.read(at, next - at, [&](const void* data, size_t bytes) {
        std::memcpy(to, data, bytes);
        to += bytes;
      });
    }
  }
  return {};
}

Status need_static(const Call& call, std::initializer_list<std::string_view> params) {
  for (std::string_view p : params) {
    if (call.has(p) && !call.in(p).type->is_static())
      return fail(Code::needs_constant, format("'{}' must be a constant", p));
  }
  return {};
}

// ---- sparse -------------------------------------------------------------------------------------------------------

int64_t count_ones(const TensorView& mask) {
  const auto* bytes = mask.as<uint8_t>();
  const int64_t whole = mask.count() / 8;
  int64_t n = 0;
  for (int64_t i = 0; i < whole; ++i) n += std::popcount(bytes[i]);
  for (int64_t i = whole * 8; i < mask.count(); ++i) n += element_as_int(mask, i);
  return n;
}

// The mask and the list of what is under its ones.
Status check_sparse(const Call& call, std::string_view mask, std::string_view nonzero) {
  GRAFT_CHECK(need_static(call, {mask, nonzero}));
  const Operand &m = call.in(mask), &v = call.in(nonzero);
  if (v.rank() != 1)
    return fail(Code::rank_mismatch, format("'{}' must be a list, got {}", nonzero, v.type->to_string()));
  if (!m.known()) return fail(Code::needs_constant, format("'{}' must be a constant", mask));
  if (const int64_t ones = count_ones(m.elements()); ones != v.dims()[0].value())
    return fail(Code::shape_mismatch,
                format("{} ones in '{}', {} values in '{}'", ones, mask, v.dims()[0].value(), nonzero));
  return {};
}

Status sparse_to_dense_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_sparse(call, "mask", "nonzero_data"));
  out.push_back(Type::tensor(call.in("nonzero_data").dtype(), call.in("mask").dims()));
  return {};
}
Constants sparse_to_dense(const Call& call, const Types& out) {
  ConstantPtr values = part(call, "nonzero_data"), mask = part(call, "mask");
  if (const auto* list = values->as<form::Nonzero>()) {  // of one form, taken apart and put together again
    const ConstantPtr its_mask = Constant::mask_of(*list->of);
    if (mask == its_mask || mask->same_as(*its_mask)) return {list->of};
  }
  return {stored(out[0], form::Sparse{std::move(values), std::move(mask)})};
}

// ---- palettes -----------------------------------------------------------------------------------------------------

// The dense shape of a palette [groups..., 2^bits, vector] over indices [dims...], and the axis along which vectors
// lie. Each dim is cut into as many groups as the palette has.
struct Palette {
  Shape result;
  int64_t vector = 1;
  int axis = 0;
};

Result<Palette> palette_of(const Call& call, const Shape& indices, DType index_dtype) {
  const Shape lut = call.in("lut").type->shape();
  const int rank = indices.size();
  if (lut.size() != rank + 2)
    return fail(Code::rank_mismatch, format("lut {} for indices {}", to_string(lut), to_string(indices)));
  for (int d = 0; d < rank; ++d) {
    if (lut[d] < 1 || indices[d] % lut[d] != 0)
      return fail(Code::shape_mismatch,
                  format("lut {} does not divide indices {}", to_string(lut), to_string(indices)));
  }
  const int64_t vector = lut[rank + 1];
  if (vector < 1 || lut[rank] != int64_t{1} << bits(index_dtype))
    return fail(Code::shape_mismatch, format("lut {} with indices of {}", to_string(lut), name(index_dtype)));
  Palette p{indices, vector, 0};
  if (vector > 1) {
    if (!call.has("vector_axis")) return fail(Code::invalid_model, "a lut of vectors needs vector_axis");
    GRAFT_TRY(p.axis, normal_axis(call.i("vector_axis"), rank));
    if (__builtin_mul_overflow(p.result[p.axis], vector, &p.result[p.axis]))
      return fail(Code::limit_exceeded, format("vectors of {}", vector));
  }
  if (checked_count(p.result) < 0) return fail(Code::limit_exceeded, format("a weight {}", to_string(p.result)));
  return p;
}

Status lut_to_dense_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_static(call, {"indices", "lut"}));
  GRAFT_TRY(const Palette p, palette_of(call, call.in("indices").type->shape(), call.in("indices").dtype()));
  out.push_back(Type::tensor(call.in("lut").dtype(), p.result));
  return {};
}
Constants lut_to_dense(const Call& call, const Types& out) {
  const auto p = palette_of(call, call.in("indices").type->shape(), call.in("indices").dtype());
  return {stored(out[0], form::Palette{part(call, "indices"), part(call, "lut"), p->axis, nullptr})};
}

Status lut_to_sparse_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_sparse(call, "indices_mask", "indices_nonzero_data"));
  GRAFT_CHECK(need_static(call, {"lut"}));
  GRAFT_TRY(const Palette p,
            palette_of(call, call.in("indices_mask").type->shape(), call.in("indices_nonzero_data").dtype()));
  out.push_back(Type::tensor(DType::u1, p.result));
  out.push_back(Type::tensor(call.in("lut").dtype(), Dims{call.in("indices_nonzero_data").dims()[0] * Dim(p.vector)}));
  return {};
}
Constants lut_to_sparse(const Call& call, const Types& out) {
  const auto p = palette_of(call, call.in("indices_mask").type->shape(), call.in("indices_nonzero_data").dtype());
  const ConstantPtr dense = Constant::stored(
      out[1].dtype, out[0].shape(),
      form::Palette{part(call, "indices_nonzero_data"), part(call, "lut"), p->axis, part(call, "indices_mask")});
  return {Constant::mask_of(*dense), stored(out[1], form::Nonzero{dense})};
}

// ---- scales -------------------------------------------------------------------------------------------------------

// Each dim of the data is a multiple of the scale's.
Status check_blocks(const Call& call, const Shape& data) {
  const Shape scale = call.in("scale").type->shape();
  bool fits = scale.size() == data.size() && scale.size() > 0;
  for (int d = 0; fits && d < data.size(); ++d) fits = scale[d] > 0 && data[d] % scale[d] == 0;
  if (!fits)
    return fail(Code::shape_mismatch, format("scale {} does not divide {}", to_string(scale), to_string(data)));
  if (call.has("offset") && !(call.in("offset").type->shape() == scale))
    return fail(Code::shape_mismatch,
                format("offset is {}, scale {}", call.in("offset").type->to_string(), to_string(scale)));
  return {};
}

Status blockwise_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_static(call, {"data", "scale", "offset"}));
  GRAFT_CHECK(check_blocks(call, call.in("data").type->shape()));
  out.push_back(Type::tensor(call.in("scale").dtype(), call.in("data").dims()));
  return {};
}
Constants blockwise(const Call& call, const Types& out) {
  return {stored(out[0], form::Blockwise{part(call, "data"), part(call, "scale"), part(call, "offset"), nullptr})};
}

Status sparse_blockwise_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_sparse(call, "data_mask", "nonzero_data"));
  GRAFT_CHECK(need_static(call, {"scale", "offset"}));
  GRAFT_CHECK(check_blocks(call, call.in("data_mask").type->shape()));
  out.push_back(Type::tensor(DType::u1, call.in("data_mask").dims()));
  out.push_back(Type::tensor(call.in("scale").dtype(), call.in("nonzero_data").dims()));
  return {};
}
Constants sparse_blockwise(const Call& call, const Types& out) {
  const ConstantPtr mask = part(call, "data_mask");
  const ConstantPtr dense =
      Constant::stored(out[1].dtype, mask->shape(),
                       form::Blockwise{part(call, "nonzero_data"), part(call, "scale"), part(call, "offset"), mask});
  return {mask, stored(out[1], form::Nonzero{dense})};
}

Status affine_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_static(call, {"quantized_data", "scale", "zero_point"}));
  const Operand& q = call.in("quantized_data");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), q.rank()));
  for (std::string_view p : {"scale", "zero_point"}) {
    const Operand& o = call.in(p);
    if (o.rank() == 0 ||
        (o.rank() == 1 && (o.dims()[0] == Dim(1) || o.dims()[0] == q.dims()[static_cast<size_t>(axis)])))
      continue;
    return fail(Code::shape_mismatch,
                format("{} is {}, takes one value or one for each entry of axis {}", p, o.type->to_string(), axis));
  }
  out.push_back(Type::tensor(call.in("scale").dtype(), q.dims()));
  return {};
}
Constants affine(const Call& call, const Types& out) {
  const auto axis = normal_axis(call.i("axis"), call.in("quantized_data").rank());
  return {
      stored(out[0], form::Affine{part(call, "quantized_data"), part(call, "scale"), part(call, "zero_point"), *axis})};
}

// ---- cast ---------------------------------------------------------------------------------------------------------

Status cast_type(const Call& call, Types& out) {
  if (call.str("output_dtype") != "fp32")
    return fail(Code::invalid_attribute, format("output_dtype '{}', takes fp32", call.str("output_dtype")));
  out.push_back(Type::tensor(DType::f32, call.in("source_val").dims()));
  return {};
}
Constants widened(const Call& call, const Types& out) {
  return {Constant::cast(part(call, "source_val"), out[0].dtype)};
}

// ---- rows ---------------------------------------------------------------------------------------------------------

#define GRAFT_SCALE_DOMAINS                                    \
  "SrcT={int4,uint4,int8,uint8,fp16,fp32}; DstT={fp16,fp32}; " \
  "OffsetT={int4,uint4,int8,uint8,fp16,fp32}"
#define GRAFT_LUT_DOMAINS "IndicesT={uint1,uint2,uint3,uint4,uint6,uint8}; T={int8,uint8,fp16,fp32}"

constexpr Variant kAffine[] = {
    {Opset::ios16, "quantized_data:const SrcT; zero_point:const ZeroPointT; scale:const DstT; axis:const int32",
     "SrcT={uint8,int8}; ZeroPointT={uint8,int8,fp32}; DstT={fp16,fp32}"}};
constexpr OpDef affine_dequantize_row = {.name = "constexpr_affine_dequantize",
                                         .family = "constexpr_ops",
                                         .doc = "scale * (q - zero_point), for the whole weight or along axis",
                                         .variants = kAffine,
                                         .infer = affine_type,
                                         .reference = elements<affine>,
                                         .lazy = affine};
constexpr Variant kBlockwise[] = {
    {Opset::ios18, "data:const SrcT; scale:const DstT; offset?:const OffsetT=none", GRAFT_SCALE_DOMAINS}};
constexpr OpDef blockwise_row = {.name = "constexpr_blockwise_shift_scale",
                                 .family = "compression",
                                 .doc = "scale * (data - offset), block by block",
                                 .variants = kBlockwise,
                                 .infer = blockwise_type,
                                 .reference = elements<blockwise>,
                                 .lazy = blockwise};
constexpr Variant kCast[] = {{Opset::ios16, "source_val:const fp16; output_dtype:const string", ""},
                             {Opset::ios18, "source_val:const fp16; output_dtype:const string", ""}};
constexpr OpDef cast_row = {.name = "constexpr_cast",
                            .family = "compression",
                            .doc = "a constant stored as fp16, used as fp32",
                            .variants = kCast,
                            .infer = cast_type,
                            .reference = elements<widened>,
                            .lazy = widened};
constexpr Variant kLutToDense[] = {
    {.since = Opset::ios16,
     .inputs = "indices:const uint8; lut:const T; shape:const uint32",
     .domains = "T={int8,uint8,fp16,fp32}",
     .read_only = true},
    {Opset::ios18, "indices:const IndicesT; lut:const T; vector_axis?:const int32=none", GRAFT_LUT_DOMAINS}};
constexpr OpDef lut_to_dense_row = {.name = "constexpr_lut_to_dense",
                                    .family = "compression",
                                    .doc = "palette entries by index: lut [groups..., 2^bits, vector] over indices",
                                    .variants = kLutToDense,
                                    .infer = lut_to_dense_type,
                                    .reference = elements<lut_to_dense>,
                                    .lazy = lut_to_dense};
constexpr Variant kLutToSparse[] = {{Opset::ios18,
                                     "indices_mask:const uint1; indices_nonzero_data:const IndicesT; lut:const T; "
                                     "vector_axis?:const int32=none",
                                     GRAFT_LUT_DOMAINS}};
constexpr OpDef lut_to_sparse_row = {.name = "constexpr_lut_to_sparse",
                                     .family = "compression",
                                     .doc = "palette entries of the places under a mask's ones; gives mask and values",
                                     .variants = kLutToSparse,
                                     .infer = lut_to_sparse_type,
                                     .reference = elements<lut_to_sparse>,
                                     .lazy = lut_to_sparse};
constexpr Variant kSparseBlockwise[] = {
    {Opset::ios18, "data_mask:const uint1; nonzero_data:const SrcT; scale:const DstT; offset?:const OffsetT=none",
     GRAFT_SCALE_DOMAINS}};
constexpr OpDef sparse_blockwise_row = {.name = "constexpr_sparse_blockwise_shift_scale",
                                        .family = "compression",
                                        .doc =
                                            "scale * (data - offset) of the places under a mask's ones; gives mask and "
                                            "values",
                                        .variants = kSparseBlockwise,
                                        .infer = sparse_blockwise_type,
                                        .reference = elements<sparse_blockwise>,
                                        .lazy = sparse_blockwise};
constexpr Variant kSparseToDense[] = {
    {.since = Opset::ios16,
     .inputs = "nonzero_data:const T; mask:const uint8; shape:const uint32",
     .domains = "T={int8,uint8,fp16,fp32}",
     .read_only = true},
    {Opset::ios18, "nonzero_data:const T; mask:const uint1", "T={int4,uint4,int8,uint8,fp16,fp32}"}};
constexpr OpDef sparse_to_dense_row = {.name = "constexpr_sparse_to_dense",
                                       .family = "compression",
                                       .doc = "values under a mask's ones, 0 elsewhere",
                                       .variants = kSparseToDense,
                                       .infer = sparse_to_dense_type,
                                       .reference = elements<sparse_to_dense>,
                                       .lazy = sparse_to_dense};

constexpr const OpDef* kRows[] = {&affine_dequantize_row, &blockwise_row,        &cast_row,           &lut_to_dense_row,
                                  &lut_to_sparse_row,     &sparse_blockwise_row, &sparse_to_dense_row};

}  // namespace

Rows constexpr_rows() { return kRows; }

}  // namespace graft::ops
