// MIL's tensor_transformation family, the part that changes only the order of dims: reshapes, transpose, reverse,
// windows. Slices are in slicing.cc, blocks (depth, space, batch) in space_depth.cc.
#include <algorithm>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "tensor_transformation";

#define GRAFT_ANY15 "T={fp16,fp32,int32,bool}"
#define GRAFT_ANY17 "T={fp16,fp32,int8,int16,int32,uint8,uint16,bool}"
#define GRAFT_INDEX17 "; U={int8,int16,int32}"

constexpr OpDef moves(OpDef row, Status (*how)(const Call&, Moves&) = nullptr) {
  row.host = row.reference == copy_reference ? kOrdered : kMovable;
  row.symbolic = symbolic_by_moving;
  row.range = range_of_inputs;
  return how != nullptr ? moved(row, how) : row;
}

// ---- reshape ------------------------------------------------------------------------------------------------------

bool has_zero(const Dims& dims) {
  return std::any_of(dims.begin(), dims.end(), [](const Dim& d) { return d == Dim(0); });
}

// Zeros copy the dim of x at the same place counted from the right (1 where x has none). Core ML has no tensors without
// elements; here they have no other way to a size of zero, so that a zero is that.
Result<Dims> reshaped(const Dims& x, const Dims& shape) {
  if (has_zero(x)) return with_sizes(x, shape);
  Dims sizes = shape;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const size_t from_right = sizes.size() - i;
    if (sizes[i] == Dim(0)) sizes[i] = from_right > x.size() ? Dim(1) : x[x.size() - from_right];
  }
  return with_sizes(x, sizes);
}

Status reshape_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_CHECK(check_index_list(call, "shape"));
  if (const std::optional<Dims> want = call.dims("shape")) {
    GRAFT_TRY(Dims dims, reshaped(x.dims(), *want));
    out.push_back(Type::tensor(x.dtype(), std::move(dims)));
    return {};
  }
  GRAFT_TRY(const int rank, entries(call, "shape"));
  return infer_any_sizes(call, rank, out);
}

// Before iOS17 a zero copies the dim at the same index.
Status reshape_check15(const Call& call) {
  const std::optional<Dims> shape = call.dims("shape");
  if (!shape || !has_zero(*shape) || shape->size() == call.in("x").dims().size()) return {};
  return fail(Code::unsupported_attribute, "a 0 in shape needs equal ranks before iOS17");
}

constexpr Variant kReshape[] = {
    {Opset::ios15, "x:T; shape:int32", GRAFT_ANY15, reshape_check15},
    {Opset::ios17, "x:T; shape:U", "T={fp16,fp32,int8,uint8,int16,uint16,int32,bool}" GRAFT_INDEX17}};
constexpr OpDef reshape = moves({.name = "reshape",
                                 .family = kFamily,
                                 .doc = "same elements, new shape; one -1 is computed, 0 copies the dim of x at that "
                                        "place counted from the right",
                                 .variants = kReshape,
                                 .infer = reshape_type,
                                 .reference = copy_reference,
                                 .lazy = lazy_reshape,
                                 .kind = ir::Kind::view});

Status reshape_like_type(const Call& call, Types& out) {
  const auto refs = call.all("ref_tensors"), begins = call.all("begins"), ends = call.all("ends"),
             masks = call.all("end_masks");
  if (refs.size() != begins.size() || refs.size() != ends.size() || refs.size() != masks.size())
    return fail(Code::invalid_model, "ref_tensors, begins, ends and end_masks must be equally many");
  Dims dims;
  for (size_t k = 0; k < refs.size(); ++k) {
    for (const Operand* o : {&begins[k], &ends[k], &masks[k]}) {
      if (!o->known() || o->elements().count() != 1)
        return fail(Code::needs_constant, "begins, ends and end_masks must be constant scalars");
    }
    const Dims& ref = refs[k].dims();
    const auto rank = static_cast<int64_t>(ref.size());
    const auto place = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
    const int64_t begin = place(element_as_int(begins[k].elements(), 0));
    const int64_t end =
        element_as_int(masks[k].elements(), 0) != 0 ? rank : place(element_as_int(ends[k].elements(), 0));
    for (int64_t d = begin; d < end; ++d) dims.push_back(ref[static_cast<size_t>(d)]);
  }
  const Operand& x = call.in("x");
  GRAFT_CHECK(with_sizes(x.dims(), dims));
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

constexpr Variant kReshapeLike[] = {
    {Opset::ios16, "x:T; ref_tensors:tuple; begins:tuple; ends:tuple; end_masks:tuple", GRAFT_ANY15},
    {Opset::ios17, "x:T; ref_tensors:tuple; begins:tuple; ends:tuple; end_masks:tuple", GRAFT_ANY17}};
constexpr OpDef reshape_like = {.name = "reshape_like",
                                .family = "tensor_transformation",
                                .doc = "same elements; the shape is assembled from dim ranges of reference tensors",
                                .variants = kReshapeLike,
                                .host = kMovable,
                                .infer = reshape_like_type,
                                .reference = copy_reference,
                                .kind = ir::Kind::view};

Status expand_dims_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  if (!call.known("axes")) {
    GRAFT_TRY(const int count, entries(call, "axes"));
    return infer_any_sizes(call, x.rank() + count, out);
  }
  const Ints axes = call.ints("axes");
  const int rank = x.rank() + axes.size();
  if (rank > kMaxRank) return fail(Code::limit_exceeded, format("the result would have rank {}", rank));
  GRAFT_TRY(const Ints at, normal_axes(axes, rank));
  Dims dims = x.dims();
  for (int64_t a : at) dims.insert(dims.begin() + a, Dim(1));
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}
constexpr Variant kExpandDims[] = {{Opset::ios15, "x:T; axes:const int32", GRAFT_ANY15},
                                   {Opset::ios17, "x:T; axes:const int32", GRAFT_ANY17}};
constexpr OpDef expand_dims = moves({.name = "expand_dims",
                                     .family = kFamily,
                                     .doc = "insert dims of size 1; axes are those of the result",
                                     .variants = kExpandDims,
                                     .infer = expand_dims_type,
                                     .reference = copy_reference,
                                     .lazy = lazy_reshape,
                                     .kind = ir::Kind::view});

Status squeeze_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  const bool all = !call.has("axes");
  if (!call.known("axes")) {
    GRAFT_TRY(const int count, entries(call, "axes"));
    return infer_any_sizes(call, x.rank() - count, out);
  }
  GRAFT_TRY(const Ints axes, normal_axes(call.ints("axes"), x.rank()));
  Dims dims;
  for (int i = 0; i < x.rank(); ++i) {
    const Dim& d = x.dims()[static_cast<size_t>(i)];
    const bool listed = std::find(axes.begin(), axes.end(), i) != axes.end();
    // A listed symbolic dim must be 1 in every run; the kernel counts the elements.
    if (!(all ? d == Dim(1) : listed && (d == Dim(1) || !d.known()))) dims.push_back(d);
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}
constexpr Variant kSqueeze[] = {{Opset::ios15, "x:T; axes?:const int32=none", GRAFT_ANY15},
                                {Opset::ios17, "x:T; axes?:const int32=none", GRAFT_ANY17}};
constexpr OpDef squeeze = moves({.name = "squeeze",
                                 .family = kFamily,
                                 .doc = "drop dims of size 1: all, or those listed (listed dims of another size stay)",
                                 .variants = kSqueeze,
                                 .infer = squeeze_type,
                                 .reference = copy_reference,
                                 .lazy = lazy_reshape,
                                 .kind = ir::Kind::view});

// ---- transpose, reverse -------------------------------------------------------------------------------------------

Result<Ints> permutation(const Call& call) {
  const Ints perm = call.ints("perm");
  const int rank = call.in("x").rank();
  if (call.error()) return fail(*call.error());
  if (perm.size() != rank)
    return fail(Code::rank_mismatch,
                format("perm {} does not fit {}", to_string(perm), call.in("x").type->to_string()));
  GRAFT_CHECK(normal_axes(perm, rank));
  Ints v;
  for (int64_t p : perm) v.push_back(p < 0 ? p + rank : p);
  return v;
}

Status transpose_type(const Call& call, Types& out) {
  GRAFT_TRY(const Ints perm, permutation(call));
  Dims dims;
  for (int64_t p : perm) dims.push_back(call.in("x").dims()[static_cast<size_t>(p)]);
  out.push_back(Type::tensor(call.in("x").dtype(), std::move(dims)));
  return {};
}

Status transpose_moves(const Call& call, Moves& moves) {
  GRAFT_TRY(const Ints perm, permutation(call));
  const Shape x = shape_of(call.in("x"));
  const Ints strides = row_strides(x);
  Strided from;
  Shape shape;
  for (int64_t p : perm) {
    from.steps.push_back(strides[static_cast<int>(p)]);
    shape.push_back(x[static_cast<int>(p)]);
  }
  GRAFT_CHECK(check_result(call, moves.shape(0), shape));
  moves.copy("x", 0, to_ints(shape), from, 0, dense(shape));
  return {};
}

std::vector<ir::ConstantPtr> transpose_lazy(const Call& call, const Types&) {
  const ir::ConstantPtr x = call.in("x").shared();
  const Result<Ints> perm = permutation(call);
  if (!perm || x->dtype() == DType::string) return {};
  return {ir::Constant::transpose(x, *perm)};
}

constexpr Variant kTranspose[] = {{Opset::ios15, "x:T; perm:const int32", GRAFT_ANY15},
                                  {Opset::ios17, "x:T; perm:const int32", GRAFT_ANY17}};
constexpr OpDef transpose = moves({.name = "transpose",
                                   .family = kFamily,
                                   .doc = "permute dims: dim i of the result is dim perm[i] of x",
                                   .variants = kTranspose,
                                   .infer = transpose_type,
                                   .lazy = transpose_lazy,
                                   .kind = ir::Kind::transpose},
                                  transpose_moves);

Status reverse_type(const Call& call, Types& out) {
  GRAFT_CHECK(normal_axes(call.ints("axes"), call.in("x").rank()));
  return infer_like_x(call, out);
}

Status reverse_moves(const Call& call, Moves& moves) {
  const Shape x = shape_of(call.in("x"));
  GRAFT_TRY(const Ints axes, normal_axes(call.ints("axes"), x.size()));
  GRAFT_CHECK(check_result(call, moves.shape(0), x));
  if (x.product() == 0) return {};
  Strided from = dense(x);
  for (int d = 0; d < x.size(); ++d) {
    if (call.has("axes") && std::find(axes.begin(), axes.end(), d) == axes.end()) continue;
    from.offset += (x[d] - 1) * from.steps[d];
    from.steps[d] = -from.steps[d];
  }
  moves.copy("x", 0, to_ints(x), from, 0, dense(x));
  return {};
}
constexpr Variant kReverse[] = {{Opset::ios15, "x:T; axes?:const int32=none", GRAFT_ANY15},
                                {Opset::ios17, "x:T; axes?:const int32=none", GRAFT_ANY17}};
constexpr OpDef reverse = moves({.name = "reverse",
                                 .family = kFamily,
                                 .doc = "flip along axes, along all when absent",
                                 .variants = kReverse,
                                 .infer = reverse_type},
                                reverse_moves);

Status reverse_sequence_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &lengths = call.in("lengths");
  GRAFT_TRY(const int seq, normal_axis(call.i("seq_axis"), x.rank()));
  GRAFT_TRY(const int batch, normal_axis(call.i("batch_axis"), x.rank()));
  if (seq == batch) return fail(Code::value_out_of_range, format("seq_axis and batch_axis are both {}", seq));
  if (lengths.rank() != 1 || ir::never_equal(lengths.dims()[0], x.dims()[static_cast<size_t>(batch)])) {
    return fail(Code::shape_mismatch,
                format("lengths is {}, takes one for each of the {} entries of axis {}", lengths.type->to_string(),
                       x.dims()[static_cast<size_t>(batch)].to_string(), batch));
  }
  return infer_like_x(call, out);
}

Status reverse_sequence_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, lengths = call.in("lengths").value;
  GRAFT_TRY(const int seq, normal_axis(call.i("seq_axis"), x.rank()));
  GRAFT_TRY(const int batch, normal_axis(call.i("batch_axis"), x.rank()));
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  if (lengths.count() != x.shape[batch])
    return fail(Code::shape_mismatch, format("{} lengths for {} entries", lengths.count(), x.shape[batch]));
  const Ints strides = row_strides(x.shape);
  Pace pace = call.pace();
  copy_elements(x.dtype, x.data, 0, out[0].data, 0, x.count(), pace);
  for (int64_t b = 0; b < x.shape[batch]; ++b) {
    const int64_t n = element_as_int(lengths, b);
    if (n < 0 || n > x.shape[seq])
      return fail(Code::value_out_of_range, format("length {} is outside 0..{}", n, x.shape[seq]));
    if (n == 0) continue;
    Ints part = to_ints(x.shape);
    part[batch] = 1;
    part[seq] = n;
    Strided from{b * strides[batch] + (n - 1) * strides[seq], strides}, to{b * strides[batch], strides};
    from.steps[seq] = -from.steps[seq];
    copy_strided(x.dtype, part, x.data, from, out[0].data, to, pace);
  }
  return {};
}
constexpr Variant kReverseSequence[] = {
    {Opset::ios15, "x:T; lengths:int32; seq_axis?:const int32=0; batch_axis?:const int32=0", GRAFT_ANY15},
    {Opset::ios17, "x:T; lengths:U; seq_axis?:const int32=0; batch_axis?:const int32=0", GRAFT_ANY17 GRAFT_INDEX17}};
constexpr OpDef reverse_sequence =
    moves({.name = "reverse_sequence",
           .family = kFamily,
           .doc = "flip the first lengths[i] elements along seq_axis for entry i of batch_axis",
           .variants = kReverseSequence,
           .infer = reverse_sequence_type,
           .reference = reverse_sequence_reference});

// ---- sliding_windows ----------------------------------------------------------------------------------------------

Status sliding_windows_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  const int64_t size = call.i("size"), stride = call.i("stride");
  const Dim& n = x.dims()[static_cast<size_t>(axis)];
  if (size < 1 || stride < 1 || n.range().hi < size) {
    return fail(Code::value_out_of_range,
                format("windows of size {} and stride {} do not fit axis {} of {}", size, stride, axis, n.to_string()));
  }
  Dims dims = x.dims();
  dims[static_cast<size_t>(axis)] = Dim(size);
  dims.insert(dims.begin() + axis, ir::floor_div(n - Dim(size), Dim(stride)) + Dim(1));
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

Status sliding_windows_moves(const Call& call, Moves& moves) {
  const Shape x = shape_of(call.in("x"));
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.size()));
  const int64_t size = call.i("size"), stride = call.i("stride");
  if (x[axis] < size)
    return fail(Code::value_out_of_range, format("windows of size {} do not fit {}", size, to_string(x)));
  Shape shape = x;
  shape[axis] = size;
  shape.insert(axis, (x[axis] - size) / stride + 1);
  GRAFT_CHECK(check_result(call, moves.shape(0), shape));
  Strided from = dense(x);
  from.steps.insert(axis, from.steps[axis] * stride);
  moves.copy("x", 0, to_ints(shape), from, 0, dense(shape));
  return {};
}
constexpr Variant kSlidingWindows[] = {
    {Opset::ios15, "x:T; axis:const int32; size:const int32; stride?:const int32=1", "T={fp16,fp32,int32}"},
    {Opset::ios17, "x:T; axis:const int32; size:const int32; stride?:const int32=1", GRAFT_ANY17}};
constexpr OpDef sliding_windows = moves({.name = "sliding_windows",
                                         .family = kFamily,
                                         .doc = "all windows of a size along an axis, stride apart; one more dim",
                                         .variants = kSlidingWindows,
                                         .infer = sliding_windows_type},
                                        sliding_windows_moves);

constexpr const OpDef* kRows[] = {&reshape,   &reshape_like, &expand_dims,      &squeeze,
                                  &transpose, &reverse,      &reverse_sequence, &sliding_windows};

}  // namespace

Rows tensor_transformation_rows() { return kRows; }

}  // namespace graft::ops
