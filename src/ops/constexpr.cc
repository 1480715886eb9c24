// MIL's constexpr operators: compressed weights. Readers make dense constants of them through these kernels, so that
// nothing else knows of compression. The forms before iOS18 with packed bytes and a `shape` are rewritten when read.
#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

// Element i of a packed sub-byte tensor that was cleared before.
void put_bits(void* packed, int bits, int64_t i, uint64_t value) {
  auto* bytes = static_cast<uint8_t*>(packed);
  for (int b = 0; b < bits; ++b) {
    const int64_t at = i * bits + b;
    bytes[at / 8] = static_cast<uint8_t>(bytes[at / 8] | ((value >> b & 1u) << (at % 8)));
  }
}

void clear(MutableTensorView y) {
  if (y.bytes() != 0) std::memset(y.data, 0, y.bytes());
}

// y[to] = x[from], for whole-byte and packed elements; a packed y was cleared before.
void put_element(const TensorView& x, int64_t from, MutableTensorView y, int64_t to, Pace& pace) {
  if (item_size(x.dtype) != 0)
    copy_elements(x.dtype, x.data, from, y.data, to, 1, pace);
  else
    put_bits(y.data, bits(x.dtype), to, static_cast<uint64_t>(element_as_int(x, from)) & ((1u << bits(x.dtype)) - 1));
}

Status need_static(const Call& call, std::initializer_list<std::string_view> params) {
  for (std::string_view p : params) {
    if (call.has(p) && !call.in(p).type->is_static())
      return bad(Code::needs_constant, format("'{}' must be a constant", p));
  }
  return {};
}

// ---- sparse -------------------------------------------------------------------------------------------------------

int64_t count_ones(const TensorView& mask) {
  int64_t n = 0;
  for (int64_t i = 0, count = mask.count(); i < count; ++i) n += element_as_int(mask, i);
  return n;
}

// The mask and the list of what is under its ones.
Status check_sparse(const Call& call, std::string_view mask, std::string_view nonzero) {
  GRAFT_CHECK(need_static(call, {mask, nonzero}));
  const Operand &m = call.in(mask), &v = call.in(nonzero);
  if (v.rank() != 1)
    return bad(Code::rank_mismatch, format("'{}' must be a list, got {}", nonzero, v.type->to_string()));
  if (!m.known()) return bad(Code::needs_constant, format("'{}' must be a constant", mask));
  if (const int64_t ones = count_ones(m.elements()); ones != v.dims()[0].value())
    return bad(Code::shape_mismatch,
               format("{} ones in '{}', {} values in '{}'", ones, mask, v.dims()[0].value(), nonzero));
  return {};
}

Status sparse_to_dense_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_sparse(call, "mask", "nonzero_data"));
  out.push_back(Type::tensor(call.in("nonzero_data").dtype(), call.in("mask").dims()));
  return {};
}
Status sparse_to_dense_reference(const Call& call, Outputs& out) {
  const TensorView mask = call.in("mask").value, data = call.in("nonzero_data").value;
  GRAFT_CHECK(check_output(call, out[0], mask.shape));
  clear(out[0]);
  Pace pace = call.pace();
  for (int64_t i = 0, k = 0, n = mask.count(); i < n && pace.go_on(); ++i) {
    if (element_as_int(mask, i) == 0) continue;
    if (k == data.count()) return bad(Code::shape_mismatch, "more ones in the mask than values");
    put_element(data, k++, out[0], i, pace);
  }
  return {};
}

// ---- palettes -----------------------------------------------------------------------------------------------------

// A palette [groups..., 2^bits, vector] over indices [dims...]: each dim is cut into as many groups as the palette has.
struct Palette {
  Shape indices, lut;
  Ints block;  // indices of a group along each dim
  int64_t entries, vector;
  int axis = 0;  // where vectors lie
  Shape result;
};

Result<Palette> palette_of(const Call& call, const Shape& indices, DType index_dtype) {
  Palette p;
  p.indices = indices;
  p.lut = call.in("lut").type->shape();
  const int rank = indices.size();
  if (p.lut.size() != rank + 2)
    return bad(Code::rank_mismatch, format("lut {} for indices {}", to_string(p.lut), to_string(indices)));
  for (int d = 0; d < rank; ++d) {
    if (p.lut[d] < 1 || indices[d] % p.lut[d] != 0)
      return bad(Code::shape_mismatch,
                 format("lut {} does not divide indices {}", to_string(p.lut), to_string(indices)));
    p.block.push_back(indices[d] / p.lut[d]);
  }
  p.entries = p.lut[rank];
  p.vector = p.lut[rank + 1];
  if (p.vector < 1 || p.entries != int64_t{1} << bits(index_dtype))
    return bad(Code::shape_mismatch, format("lut {} with indices of {}", to_string(p.lut), name(index_dtype)));
  p.result = indices;
  if (p.vector > 1) {
    if (!call.has("vector_axis")) return bad(Code::invalid_model, "a lut of vectors needs vector_axis");
    GRAFT_TRY(p.axis, normal_axis(call.i("vector_axis"), rank));
    if (__builtin_mul_overflow(p.result[p.axis], p.vector, &p.result[p.axis]))
      return bad(Code::limit_exceeded, format("vectors of {}", p.vector));
  }
  if (checked_count(p.result) < 0) return bad(Code::limit_exceeded, format("a weight {}", to_string(p.result)));
  return p;
}

// Where result element `at` finds its index, and its place in the palette but for that index.
struct PaletteRow {
  int64_t index, first;
};
PaletteRow palette_row(const Palette& p, const Shape& at) {
  PaletteRow r{0, 0};
  int64_t component = 0;
  for (int d = 0; d < p.indices.size(); ++d) {
    int64_t i = at[d];
    if (p.vector > 1 && d == p.axis) {
      component = i % p.vector;
      i /= p.vector;
    }
    r.index = r.index * p.indices[d] + i;
    r.first = r.first * p.lut[d] + i / p.block[d];
  }
  r.first = r.first * p.entries * p.vector + component;
  return r;
}

Status lut_to_dense_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_static(call, {"indices", "lut"}));
  GRAFT_TRY(const Palette p, palette_of(call, call.in("indices").type->shape(), call.in("indices").dtype()));
  out.push_back(Type::tensor(call.in("lut").dtype(), p.result));
  return {};
}
Status lut_to_dense_reference(const Call& call, Outputs& out) {
  const TensorView indices = call.in("indices").value, lut = call.in("lut").value;
  GRAFT_TRY(const Palette p, palette_of(call, indices.shape, indices.dtype));
  GRAFT_CHECK(check_output(call, out[0], p.result));
  Walk<1> walk(p.result, {p.result});
  Pace pace = call.pace();
  for (int64_t i = 0, n = out[0].count(); i < n && pace.go_on(); ++i, walk.next()) {
    const PaletteRow row = palette_row(p, walk.index());
    put_element(lut, row.first + element_as_int(indices, row.index) * p.vector, out[0], i, pace);
  }
  return {};
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
Status lut_to_sparse_reference(const Call& call, Outputs& out) {
  const TensorView mask = call.in("indices_mask").value, indices = call.in("indices_nonzero_data").value,
                   lut = call.in("lut").value;
  GRAFT_TRY(const Palette p, palette_of(call, mask.shape, indices.dtype));
  GRAFT_CHECK(check_output(call, out[0], p.result));
  clear(out[0]);
  clear(out[1]);
  // Results come in the order of the dense result. With vectors, that visits a run of indices once for each component:
  // `line` counts such runs, `first` is the place in the list of the run's first one, `next` of the next one.
  const int64_t run = p.vector > 1 ? p.indices.product(p.axis + 1, p.indices.size()) : mask.count();
  Walk<1> walk(p.result, {p.result});
  int64_t k = 0, line = 0, first = 0, next = 0;
  Pace pace = call.pace();
  for (int64_t i = 0, n = p.result.product(); i < n && pace.go_on(); ++i, walk.next()) {
    const PaletteRow row = palette_row(p, walk.index());
    if (row.index / run != line) {
      line = row.index / run;
      first = next;
    }
    if (row.index % run == 0) next = first;
    if (element_as_int(mask, row.index) == 0) continue;
    if (next >= indices.count() || k >= out[1].count())
      return bad(Code::shape_mismatch, "more ones in the mask than values");
    put_bits(out[0].data, 1, i, 1);
    put_element(lut, row.first + element_as_int(indices, next++) * p.vector, out[1], k++, pace);
  }
  return {};
}

// ---- scales -------------------------------------------------------------------------------------------------------

// Entry of a scale [s...] for element `at` of data [d...]; each dim of data is a multiple of the scale's.
int64_t block_of(const Shape& data, const Shape& scale, const Shape& at) {
  int64_t i = 0;
  for (int d = 0; d < data.size(); ++d) i = i * scale[d] + at[d] / (data[d] / scale[d]);
  return i;
}

Status check_blocks(const Call& call, const Shape& data) {
  const Shape scale = call.in("scale").type->shape();
  bool fits = scale.size() == data.size() && scale.size() > 0;
  for (int d = 0; fits && d < data.size(); ++d) fits = scale[d] > 0 && data[d] % scale[d] == 0;
  if (!fits) return bad(Code::shape_mismatch, format("scale {} does not divide {}", to_string(scale), to_string(data)));
  if (call.has("offset") && !(call.in("offset").type->shape() == scale))
    return bad(Code::shape_mismatch,
               format("offset is {}, scale {}", call.in("offset").type->to_string(), to_string(scale)));
  return {};
}

double shifted(const Call& call, double q, int64_t block) {
  const double offset = call.has("offset") ? element_as_double(call.in("offset").value, block) : 0;
  return (q - offset) * element_as_double(call.in("scale").value, block);
}

void put_float(MutableTensorView y, int64_t i, double v) {
  visit_dtype(y.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) y.as<T>()[i] = narrow<T>(v);
  });
}

Status blockwise_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_static(call, {"data", "scale", "offset"}));
  GRAFT_CHECK(check_blocks(call, call.in("data").type->shape()));
  out.push_back(Type::tensor(call.in("scale").dtype(), call.in("data").dims()));
  return {};
}
Status blockwise_reference(const Call& call, Outputs& out) {
  const TensorView data = call.in("data").value, scale = call.in("scale").value;
  GRAFT_CHECK(check_output(call, out[0], data.shape));
  Walk<1> walk(data.shape, {data.shape});
  Pace pace = call.pace();
  for (int64_t i = 0, n = data.count(); i < n && pace.go_on(); ++i, walk.next()) {
    put_float(out[0], i, shifted(call, element_as_double(data, i), block_of(data.shape, scale.shape, walk.index())));
  }
  return {};
}

Status sparse_blockwise_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_sparse(call, "data_mask", "nonzero_data"));
  GRAFT_CHECK(need_static(call, {"scale", "offset"}));
  GRAFT_CHECK(check_blocks(call, call.in("data_mask").type->shape()));
  out.push_back(Type::tensor(DType::u1, call.in("data_mask").dims()));
  out.push_back(Type::tensor(call.in("scale").dtype(), call.in("nonzero_data").dims()));
  return {};
}
Status sparse_blockwise_reference(const Call& call, Outputs& out) {
  const TensorView mask = call.in("data_mask").value, data = call.in("nonzero_data").value,
                   scale = call.in("scale").value;
  GRAFT_CHECK(check_output(call, out[0], mask.shape));
  if (mask.bytes() != 0) std::memcpy(out[0].data, mask.data, mask.bytes());
  Walk<1> walk(mask.shape, {mask.shape});
  Pace pace = call.pace();
  for (int64_t i = 0, k = 0, n = mask.count(); i < n && pace.go_on(); ++i, walk.next()) {
    if (element_as_int(mask, i) == 0) continue;
    if (k == data.count()) return bad(Code::shape_mismatch, "more ones in the mask than values");
    put_float(out[1], k, shifted(call, element_as_double(data, k), block_of(mask.shape, scale.shape, walk.index())));
    ++k;
  }
  return {};
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
    return bad(Code::shape_mismatch,
               format("{} is {}, takes one value or one for each entry of axis {}", p, o.type->to_string(), axis));
  }
  out.push_back(Type::tensor(call.in("scale").dtype(), q.dims()));
  return {};
}
Status affine_reference(const Call& call, Outputs& out) {
  const TensorView q = call.in("quantized_data").value, scale = call.in("scale").value,
                   zero = call.in("zero_point").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), q.rank()));
  GRAFT_CHECK(check_output(call, out[0], q.shape));
  const int64_t n = q.shape[axis], inner = q.shape.product(axis + 1, q.rank());
  Pace pace = call.pace();
  for (int64_t i = 0, count = q.count(); i < count && pace.go_on(); ++i) {
    const int64_t c = i / inner % n;
    const double z = element_as_double(zero, zero.count() == 1 ? 0 : c);
    put_float(out[0], i, (element_as_double(q, i) - z) * element_as_double(scale, scale.count() == 1 ? 0 : c));
  }
  return {};
}

// ---- cast ---------------------------------------------------------------------------------------------------------

Status cast_type(const Call& call, Types& out) {
  if (call.str("output_dtype") != "fp32")
    return bad(Code::invalid_attribute, format("output_dtype '{}', takes fp32", call.str("output_dtype")));
  out.push_back(Type::tensor(DType::f32, call.in("source_val").dims()));
  return {};
}
Status cast_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("source_val").value;
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  f16_to_f32(x.data, out[0].data, x.count());
  return {};
}

// ---- rows ---------------------------------------------------------------------------------------------------------

#define GRAFT_SCALE_DOMAINS                                    \
  "SrcT={int4,uint4,int8,uint8,fp16,fp32}; DstT={fp16,fp32}; " \
  "OffsetT={int4,uint4,int8,uint8,fp16,fp32}"
#define GRAFT_LUT_DOMAINS "IndicesT={uint1,uint2,uint3,uint4,uint6,uint8}; T={int8,uint8,fp16,fp32}"

constexpr Variant kAffine[] = {
    {Opset::ios16, "quantized_data:const SrcT; zero_point:const ZeroPointT; scale:const DstT; axis:const int32",
     "SrcT={uint8,int8}; ZeroPointT={uint8,int8,fp32}; DstT={fp16,fp32}"}};
constexpr OpDef affine_dequantize = {.name = "constexpr_affine_dequantize",
                                     .family = "constexpr_ops",
                                     .doc = "scale * (q - zero_point), for the whole weight or along axis",
                                     .variants = kAffine,
                                     .infer = affine_type,
                                     .reference = affine_reference};
constexpr Variant kBlockwise[] = {
    {Opset::ios18, "data:const SrcT; scale:const DstT; offset?:const OffsetT=none", GRAFT_SCALE_DOMAINS}};
constexpr OpDef blockwise = {.name = "constexpr_blockwise_shift_scale",
                             .family = "compression",
                             .doc = "scale * (data - offset), block by block",
                             .variants = kBlockwise,
                             .infer = blockwise_type,
                             .reference = blockwise_reference};
constexpr Variant kCast[] = {{Opset::ios16, "source_val:const fp16; output_dtype:const string", ""},
                             {Opset::ios18, "source_val:const fp16; output_dtype:const string", ""}};
constexpr OpDef cast = {.name = "constexpr_cast",
                        .family = "compression",
                        .doc = "a constant stored as fp16, used as fp32",
                        .variants = kCast,
                        .infer = cast_type,
                        .reference = cast_reference};
constexpr Variant kLutToDense[] = {
    {.since = Opset::ios16,
     .inputs = "indices:const uint8; lut:const T; shape:const uint32",
     .domains = "T={int8,uint8,fp16,fp32}",
     .read_only = true},
    {Opset::ios18, "indices:const IndicesT; lut:const T; vector_axis?:const int32=none", GRAFT_LUT_DOMAINS}};
constexpr OpDef lut_to_dense = {.name = "constexpr_lut_to_dense",
                                .family = "compression",
                                .doc = "palette entries by index: lut [groups..., 2^bits, vector] over indices",
                                .variants = kLutToDense,
                                .infer = lut_to_dense_type,
                                .reference = lut_to_dense_reference};
constexpr Variant kLutToSparse[] = {{Opset::ios18,
                                     "indices_mask:const uint1; indices_nonzero_data:const IndicesT; lut:const T; "
                                     "vector_axis?:const int32=none",
                                     GRAFT_LUT_DOMAINS}};
constexpr OpDef lut_to_sparse = {.name = "constexpr_lut_to_sparse",
                                 .family = "compression",
                                 .doc = "palette entries of the places under a mask's ones; gives mask and values",
                                 .variants = kLutToSparse,
                                 .infer = lut_to_sparse_type,
                                 .reference = lut_to_sparse_reference};
constexpr Variant kSparseBlockwise[] = {
    {Opset::ios18, "data_mask:const uint1; nonzero_data:const SrcT; scale:const DstT; offset?:const OffsetT=none",
     GRAFT_SCALE_DOMAINS}};
constexpr OpDef sparse_blockwise = {.name = "constexpr_sparse_blockwise_shift_scale",
                                    .family = "compression",
                                    .doc =
                                        "scale * (data - offset) of the places under a mask's ones; gives mask and "
                                        "values",
                                    .variants = kSparseBlockwise,
                                    .infer = sparse_blockwise_type,
                                    .reference = sparse_blockwise_reference};
constexpr Variant kSparseToDense[] = {
    {.since = Opset::ios16,
     .inputs = "nonzero_data:const T; mask:const uint8; shape:const uint32",
     .domains = "T={int8,uint8,fp16,fp32}",
     .read_only = true},
    {Opset::ios18, "nonzero_data:const T; mask:const uint1", "T={int4,uint4,int8,uint8,fp16,fp32}"}};
constexpr OpDef sparse_to_dense = {.name = "constexpr_sparse_to_dense",
                                   .family = "compression",
                                   .doc = "values under a mask's ones, 0 elsewhere",
                                   .variants = kSparseToDense,
                                   .infer = sparse_to_dense_type,
                                   .reference = sparse_to_dense_reference};

constexpr const OpDef* kRows[] = {&affine_dequantize, &blockwise,        &cast,           &lut_to_dense,
                                  &lut_to_sparse,     &sparse_blockwise, &sparse_to_dense};

}  // namespace

Rows constexpr_rows() { return kRows; }

}  // namespace graft::ops
