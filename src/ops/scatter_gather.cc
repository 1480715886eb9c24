// MIL's scatter_gather family. Indices are data: the kernels check every one (value_out_of_range), and negative ones
// count from the end.
#include <algorithm>

#include "ops/indexing.h"
#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

using ir::Indexing;

constexpr std::string_view kFamily = "scatter_gather";

// From iOS17 on Core ML does not count negative indices from the end.
Status indices_defined(const Call& call) {
  if (call.in("indices").never_negative()) return {};
  return fail(Code::unsupported_attribute, "an index may be negative, which not every target counts from the end");
}

constexpr OpDef row(OpDef def) {
  def.host = kMovable;
  def.defined = indices_defined;
  return def;
}

// at(place, k) for every point of the walk: the place in the indexed tensor, and the element of the other one.
template <class At>
Status each_place(const Indexing& how, const TensorView& indices, Pace pace, At&& at) {
  if (how.sizes.product() == 0) return {};
  Ints point(how.sizes.size(), 0);
  for (int64_t k = 0; pace.go_on(how.block); k += how.block) {
    int64_t place = 0, entry = 0;
    for (int d = 0; d < point.size(); ++d) {
      place += point[d] * how.data[d];
      entry += point[d] * how.entry[d];
    }
    for (int j = 0; j < how.picked.size(); ++j) {
      const int64_t given = element_as_int(indices, entry * how.picked.size() + j), n = how.picked[j],
                    i = normal_index(given, n);
      if (i < 0) return bad_index(given, n);
      place += i * how.steps[j];
    }
    at(place, k);
    int d = point.size() - 1;
    for (; d >= 0 && ++point[d] == how.sizes[d]; --d) point[d] = 0;
    if (d < 0) break;
  }
  return {};
}

// Along one axis, or in any of the first dims, of what the indices are into.
std::optional<IntRange> places_of_indices(const Call& call, size_t param) {
  const std::vector<ir::Param>& params = call.row().params();
  if (params[param].name != "indices") return std::nullopt;
  const Dims& data = call.in(params[0].name).dims();
  int64_t most = 0;
  if (call.row().param_index("axis") >= 0) {
    const Result<int> axis = normal_axis(call.i("axis"), static_cast<int>(data.size()));
    most = axis ? data[static_cast<size_t>(*axis)].range().hi : INT64_MAX;
  } else {
    for (const Dim& d : data) most = std::max(most, d.range().hi);
  }
  return IntRange{-most, most - 1};
}

constexpr OpDef gathers(OpDef def, Status (*indexing)(const Call&, Indexing&)) {
  def.kind = ir::Kind::gather;
  def.indexing = indexing;
  def.reference = [](const Call& call, Outputs& out) -> Status {
    const TensorView x = call.in("x").value;
    Indexing how;
    GRAFT_CHECK(call.row().def->indexing(call, how));
    if (out[0].count() != how.count()) return fail(Code::shape_mismatch, "x and indices do not fit the result");
    Pace pace = call.pace();
    return each_place(how, call.in("indices").value, pace, [&](int64_t place, int64_t k) {
      copy_elements(x.dtype, x.data, place, out[0].data, k, how.block, pace);
    });
  };
  def.symbolic = symbolic_by_moving;
  def.range = range_of_inputs;
  def.places = places_of_indices;
  return row(def);
}

Dims part(const Dims& d, int64_t from, int64_t to) { return Dims(d.begin() + from, d.begin() + to); }
Dims joined(Dims a, const Dims& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
// Ranks of results are checked before kernels build them in fixed-size shapes.
Status check_rank(int rank) {
  if (rank <= kMaxRank) return {};
  return fail(Code::limit_exceeded, format("the result has rank {}, at most {} are supported", rank, kMaxRank));
}
Status check_equal(std::string_view what, const Dims& got, const Dims& expected) {
  bool fits = got.size() == expected.size();
  for (size_t d = 0; fits && d < got.size(); ++d) fits = !ir::never_equal(got[d], expected[d]);
  if (fits) return {};
  return fail(Code::shape_mismatch, format("{} is {}, must be {}", what, ir::to_string(got), ir::to_string(expected)));
}

// ---- gather -------------------------------------------------------------------------------------------------------

struct GatherAxes {
  int axis, batch;
};
Result<GatherAxes> gather_axes(const Call& call) {
  const int rank = call.in("x").rank();
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), rank));
  const int64_t given = call.i("batch_dims"), indices = call.in("indices").rank();
  const int64_t batch = given < 0 ? given + indices : given;
  if (batch < 0 || batch > axis || batch > indices)
    return fail(Code::value_out_of_range,
                format("batch_dims {} with axis {} and indices of rank {}", given, axis, indices));
  return GatherAxes{axis, static_cast<int>(batch)};
}

Status gather_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_integers(call, "indices"));
  GRAFT_TRY(const GatherAxes at, gather_axes(call));
  const Dims &x = call.in("x").dims(), &indices = call.in("indices").dims();
  GRAFT_CHECK(check_equal("the batch part of indices", part(indices, 0, at.batch), part(x, 0, at.batch)));
  Dims dims = joined(part(x, 0, at.axis), part(indices, at.batch, static_cast<int64_t>(indices.size())));
  out.push_back(Type::tensor(call.in("x").dtype(),
                             joined(std::move(dims), part(x, at.axis + 1, static_cast<int64_t>(x.size())))));
  return {};
}

// The batch dims, of which x and indices have to have the same.
Result<int64_t> batches(const Shape& x, const Shape& indices, int count) {
  for (int d = 0; d < count; ++d) {
    if (x[d] != indices[d]) return fail(Code::shape_mismatch, "x and indices differ in a batch dim");
  }
  return x.product(0, count);
}

Status gather_indexing(const Call& call, Indexing& how) {
  const Shape x = shape_of(call.in("x")), indices = shape_of(call.in("indices"));
  GRAFT_TRY(const GatherAxes at, gather_axes(call));
  GRAFT_CHECK(check_rank(x.size() - 1 + indices.size() - at.batch));
  GRAFT_TRY(const int64_t batch, batches(x, indices, at.batch));
  const int64_t outer = x.product(at.batch, at.axis), n = x[at.axis];
  const int64_t count = indices.product(at.batch, indices.size());
  how.block = x.product(at.axis + 1, x.size());
  how.walk(batch, outer * n * how.block, count);
  how.walk(outer, n * how.block, 0);
  how.walk(count, 0, 1);
  how.pick(n, how.block);
  return {};
}

#define GRAFT_INDEX16 "; I={int32,uint16,int16}"
#define GRAFT_DATA17 "T={fp16,fp32,int32,int16,uint16,int8,uint8}; I={int32,int16,uint16,int8,uint8}"
constexpr std::string_view kData15 = "T={fp16,fp32,int32}";

constexpr Variant kGather[] = {
    {Opset::ios15, "x:T; indices:int32; axis?:const int32=0", kData15},
    {Opset::ios16, "x:T; indices:I; axis?:const int32=0; batch_dims?:const int32=0",
     "T={fp16,fp32,int32}" GRAFT_INDEX16},
    {Opset::ios17, "x:T; indices:I; axis?:const int32=0; batch_dims?:const int32=0; validate_indices?:const bool=false",
     GRAFT_DATA17}};
constexpr OpDef gather = gathers({.name = "gather",
                                  .family = kFamily,
                                  .doc = "slices of x along axis, one for each index",
                                  .variants = kGather,
                                  .infer = gather_type},
                                 gather_indexing);

// ---- gather_along_axis --------------------------------------------------------------------------------------------

// ONNX lets the other dims of indices be smaller than x's; Core ML does not.
Status check_along_axis(const Dims& x, const Dims& indices, int axis) {
  if (x.size() != indices.size())
    return fail(Code::rank_mismatch,
                format("indices {} need the rank of {}", ir::to_string(indices), ir::to_string(x)));
  for (size_t d = 0; d < x.size(); ++d) {
    if (static_cast<int>(d) != axis && (x[d] - indices[d]).range().hi < 0)
      return fail(Code::shape_mismatch, format("indices {} reach beyond {}", ir::to_string(indices), ir::to_string(x)));
  }
  return {};
}
Status check_along_axis_coreml(const Call& call, std::string_view data) {
  const Dims &x = call.in(data).dims(), &indices = call.in("indices").dims();
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), static_cast<int>(x.size())));
  for (size_t d = 0; d < x.size(); ++d) {
    if (static_cast<int>(d) == axis || x[d] == indices[d]) continue;
    return fail(Code::unsupported_attribute, format("indices {} must have the sizes of {} but along axis {}",
                                                    ir::to_string(indices), ir::to_string(x), axis));
  }
  return {};
}
bool inside(const Shape& small, const Shape& big, int axis) {
  if (small.size() != big.size()) return false;
  for (int d = 0; d < big.size(); ++d) {
    if (d != axis && small[d] > big[d]) return false;
  }
  return true;
}

Status gather_along_axis_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_integers(call, "indices"));
  const Dims &x = call.in("x").dims(), &indices = call.in("indices").dims();
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), static_cast<int>(x.size())));
  GRAFT_CHECK(check_along_axis(x, indices, axis));
  out.push_back(Type::tensor(call.in("x").dtype(), indices));
  return {};
}

Status along_axis_indexing(const Call& call, std::string_view data, Indexing& how) {
  const Shape x = shape_of(call.in(data)), indices = shape_of(call.in("indices"));
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.size()));
  if (!inside(indices, x, axis)) return fail(Code::shape_mismatch, format("indices reach beyond {}", data));
  const Shape steps = strides_of(x), entries = strides_of(indices);
  for (int d = 0; d < x.size(); ++d) how.walk(indices[d], d == axis ? 0 : steps[d], entries[d]);
  how.pick(x[axis], steps[axis]);
  return {};
}
constexpr auto kCheckGatherAlong = [](const Call& call) { return check_along_axis_coreml(call, "x"); };
constexpr Variant kGatherAlongAxis[] = {
    {Opset::ios15, "x:T; indices:int32; axis?:const int32=0", kData15, kCheckGatherAlong},
    {Opset::ios16, "x:T; indices:I; axis?:const int32=0", "T={fp16,fp32,int32}" GRAFT_INDEX16, kCheckGatherAlong},
    {Opset::ios17, "x:T; indices:I; axis?:const int32=0; validate_indices?:const bool=false", GRAFT_DATA17,
     kCheckGatherAlong}};
constexpr OpDef gather_along_axis =
    gathers({.name = "gather_along_axis",
             .family = kFamily,
             .doc = "numpy's take_along_axis; indices have the rank of x",
             .variants = kGatherAlongAxis,
             .infer = gather_along_axis_type},
            [](const Call& call, Indexing& how) { return along_axis_indexing(call, "x", how); });

// ---- gather_nd ----------------------------------------------------------------------------------------------------

// How the last dim of indices addresses `data`: `batch` dims are shared, then `depth` dims are picked.
struct NdAxes {
  int batch, depth;
};
Result<NdAxes> nd_axes(const Call& call, std::string_view data, int64_t batch) {
  GRAFT_CHECK(check_integers(call, "indices"));
  const int rank = call.in(data).rank();
  const Dims& indices = call.in("indices").dims();
  if (indices.empty()) return fail(Code::rank_mismatch, "indices must have at least one dim");
  if (!indices.back().known())
    return fail(Code::dynamic_shape,
                format("the last dim of indices must be known, it is {}", indices.back().to_string()));
  const int64_t depth = indices.back().value();
  if (batch < 0 || batch >= static_cast<int64_t>(indices.size()) || batch > rank || depth > rank - batch) {
    return fail(Code::value_out_of_range, format("indices {} with {} batch dims address {} of rank {}",
                                                 ir::to_string(indices), batch, data, rank));
  }
  return NdAxes{static_cast<int>(batch), static_cast<int>(depth)};
}

Status nd_indexing(const Call& call, std::string_view data, int64_t batch_dims, Indexing& how) {
  const Shape x = shape_of(call.in(data)), indices = shape_of(call.in("indices"));
  GRAFT_TRY(const NdAxes nd, nd_axes(call, data, batch_dims));
  const int end = nd.batch + nd.depth;
  GRAFT_CHECK(check_rank(indices.size() - 1 + x.size() - end));
  GRAFT_TRY(const int64_t batch, batches(x, indices, nd.batch));
  const int64_t count = indices.product(nd.batch, indices.size() - 1);
  how.block = x.product(end, x.size());
  how.walk(batch, x.product(nd.batch, x.size()), count);
  how.walk(count, 0, 1);
  for (int d = nd.batch; d < end; ++d) how.pick(x[d], x.product(d + 1, x.size()));
  return {};
}

Status gather_nd_type(const Call& call, Types& out) {
  GRAFT_TRY(const NdAxes nd, nd_axes(call, "x", call.i("batch_dims")));
  const Dims &x = call.in("x").dims(), &indices = call.in("indices").dims();
  GRAFT_CHECK(check_equal("the batch part of indices", part(indices, 0, nd.batch), part(x, 0, nd.batch)));
  out.push_back(
      Type::tensor(call.in("x").dtype(), joined(part(indices, 0, static_cast<int64_t>(indices.size()) - 1),
                                                part(x, nd.batch + nd.depth, static_cast<int64_t>(x.size())))));
  return {};
}

constexpr Variant kGatherNd[] = {
    {Opset::ios15, "x:T; indices:int32", kData15},
    {Opset::ios16, "x:T; indices:I; batch_dims?:const int32=0", "T={fp16,fp32,int32}" GRAFT_INDEX16},
    {Opset::ios17, "x:T; indices:I; batch_dims?:const int32=0; validate_indices?:const bool=false", GRAFT_DATA17}};
constexpr OpDef gather_nd =
    gathers({.name = "gather_nd",
             .family = kFamily,
             .doc = "the last dim of indices addresses the first dims of x after batch_dims",
             .variants = kGatherNd,
             .infer = gather_nd_type},
            [](const Call& call, Indexing& how) { return nd_indexing(call, "x", call.i("batch_dims"), how); });

// ---- scatter ------------------------------------------------------------------------------------------------------

template <class T, class Fn>
void combine_rows(void* y, std::span<const int64_t> places, const void* updates, int64_t step, int64_t n, Fn&& fn) {
  const T* s = static_cast<const T*>(updates);
  for (const int64_t place : places) {
    T* d = static_cast<T*>(y) + place;
    for (int64_t i = 0; i < n; ++i) d[i] = narrow<T>(fn(widen(d[i]), widen(s[i])));
    s += step;
  }
}
template <class W>
W safe_div(W a, W b) {
  if constexpr (std::is_same_v<W, double>) {
    return a / b;
  } else {
    if (b == 0) return W{0};
    if constexpr (std::is_signed_v<W>) {
      if (b == -1) return wrap_sub(W{0}, a);
    }
    return a / b;
  }
}

template <class T>
Combine combine_as(std::string_view mode) {
  using W = Wide<T>;
#define GRAFT_COMBINE(expression)                                                              \
  [](void* y, std::span<const int64_t> places, const void* updates, int64_t step, int64_t n) { \
    combine_rows<T>(y, places, updates, step, n, [](W a, W b) -> W { return (expression); });  \
  }
  if (mode == "add") return GRAFT_COMBINE(wrap_add(a, b));
  if (mode == "sub") return GRAFT_COMBINE(wrap_sub(a, b));
  if (mode == "mul") return GRAFT_COMBINE(wrap_mul(a, b));
  if (mode == "div") return GRAFT_COMBINE(safe_div(a, b));
  if (mode == "max") return GRAFT_COMBINE(b > a || b != b ? b : a);
  if (mode == "min") return GRAFT_COMBINE(b < a || b != b ? b : a);
#undef GRAFT_COMBINE
  return nullptr;
}

Status scatter_reference(const Call& call, Outputs& out) {
  const TensorView data = call.in("data").value, updates = call.in("updates").value;
  GRAFT_TRY(const Combine combine, combine_of(call));
  Indexing how;
  GRAFT_CHECK(call.row().def->indexing(call, how));
  GRAFT_CHECK(check_output(call, out[0], data.shape));
  if (updates.count() != how.count()) return fail(Code::shape_mismatch, "updates do not fit data and indices");
  Pace pace = call.pace();
  copy_elements(data.dtype, data.data, 0, out[0].data, 0, data.count(), pace);
  return each_place(how, call.in("indices").value, pace, [&](int64_t place, int64_t k) {
    if (combine == nullptr) return copy_elements(data.dtype, updates.data, k, out[0].data, place, how.block, pace);
    combine(out[0].data, {&place, 1}, static_cast<const std::byte*>(updates.data) + k * item_size(data.dtype), 0,
            how.block);
  });
}

Status infer_like_data(const Call& call, Types& out) {
  GRAFT_CHECK(combine_of(call));
  out.push_back(*call.in("data").type);
  return {};
}

bool scatter_symbolic(const Call& call, Dims& content) {
  return call.str("mode") == "update" && symbolic_by_moving(call, content);
}
IntRange scatter_range(const Call& call) { return call.str("mode") == "update" ? range_of_inputs(call) : IntRange{}; }

Status scatter_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_integers(call, "indices"));
  const Dims &data = call.in("data").dims(), &indices = call.in("indices").dims();
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), static_cast<int>(data.size())));
  const Dims expected =
      joined(joined(part(data, 0, axis), indices), part(data, axis + 1, static_cast<int64_t>(data.size())));
  GRAFT_CHECK(check_equal("updates", call.in("updates").dims(), expected));
  return infer_like_data(call, out);
}

Status scatter_indexing(const Call& call, Indexing& how) {
  const Shape data = shape_of(call.in("data"));
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), data.size()));
  how.block = data.product(axis + 1, data.size());
  how.walk(data.product(0, axis), data[axis] * how.block, 0);
  how.walk(shape_of(call.in("indices")).product(), 0, 1);
  how.pick(data[axis], how.block);
  return {};
}

Status scatter_along_axis_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_integers(call, "indices"));
  const Dims &data = call.in("data").dims(), &indices = call.in("indices").dims();
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), static_cast<int>(data.size())));
  GRAFT_CHECK(check_along_axis(data, indices, axis));
  GRAFT_CHECK(check_equal("updates", call.in("updates").dims(), indices));
  return infer_like_data(call, out);
}

Status scatter_nd_type(const Call& call, Types& out) {
  GRAFT_TRY(const NdAxes nd, nd_axes(call, "data", 0));
  const Dims &data = call.in("data").dims(), &indices = call.in("indices").dims();
  GRAFT_CHECK(check_equal("updates", call.in("updates").dims(),
                          joined(part(indices, 0, static_cast<int64_t>(indices.size()) - 1),
                                 part(data, nd.depth, static_cast<int64_t>(data.size())))));
  return infer_like_data(call, out);
}

#define GRAFT_SCATTER "data:T; indices:int32; updates:T; "
#define GRAFT_VALIDATE "; validate_indices?:const bool=false"
constexpr Variant kScatter[] = {
    {Opset::ios15, GRAFT_SCATTER "axis?:const int32=0; mode?:const string=\"add\"", kData15},
    {Opset::ios17, GRAFT_SCATTER "axis?:const int32=0; mode?:const string=\"add\"" GRAFT_VALIDATE, kData15}};
constexpr auto kCheckScatterAlong = [](const Call& call) { return check_along_axis_coreml(call, "data"); };
constexpr Variant kScatterAlongAxis[] = {
    {Opset::ios15, GRAFT_SCATTER "axis?:const int32=0; mode?:const string=\"add\"", kData15, kCheckScatterAlong},
    {Opset::ios17, GRAFT_SCATTER "axis?:const int32=0; mode?:const string=\"add\"" GRAFT_VALIDATE, kData15,
     kCheckScatterAlong}};
constexpr Variant kScatterNd[] = {{Opset::ios15, GRAFT_SCATTER "mode?:const string=\"add\"", kData15},
                                  {Opset::ios17, GRAFT_SCATTER "mode?:const string=\"add\"" GRAFT_VALIDATE, kData15}};

constexpr OpDef scatters(OpDef def, Status (*indexing)(const Call&, Indexing&)) {
  def.kind = ir::Kind::scatter;
  def.indexing = indexing;
  def.reference = scatter_reference;
  def.symbolic = scatter_symbolic;
  def.range = scatter_range;
  def.places = places_of_indices;
  return row(def);
}
constexpr OpDef scatter = scatters({.name = "scatter",
                                    .family = kFamily,
                                    .doc = "a copy of data whose slices along axis are combined with updates",
                                    .variants = kScatter,
                                    .infer = scatter_type},
                                   scatter_indexing);
constexpr OpDef scatter_along_axis =
    scatters({.name = "scatter_along_axis",
              .family = kFamily,
              .doc = "the inverse of gather_along_axis: updates are combined in",
              .variants = kScatterAlongAxis,
              .infer = scatter_along_axis_type},
             [](const Call& call, Indexing& how) { return along_axis_indexing(call, "data", how); });
constexpr OpDef scatter_nd =
    scatters({.name = "scatter_nd",
              .family = kFamily,
              .doc = "a copy of data whose places named by indices are combined with updates",
              .variants = kScatterNd,
              .infer = scatter_nd_type},
             [](const Call& call, Indexing& how) { return nd_indexing(call, "data", 0, how); });

constexpr const OpDef* kRows[] = {&gather, &gather_along_axis, &gather_nd, &scatter, &scatter_along_axis, &scatter_nd};

}  // namespace

Rows scatter_gather_rows() { return kRows; }

tl::unexpected<Diag> bad_index(int64_t i, int64_t n) {
  return fail(Code::value_out_of_range, format("index {} is outside a dim of {}", i, n));
}

Result<Combine> combine_of(const Call& call) {
  const std::string_view mode = call.str("mode");
  const DType dtype = call.in("data").dtype();
  Combine combine = nullptr;
  if (mode == "update") return combine;
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, bool>) combine = combine_as<T>(mode);
  });
  if (combine != nullptr) return combine;
  if (kNumbers.has(dtype))
    return fail(Code::invalid_attribute, format("mode '{}', takes update, add, sub, mul, div, max or min", mode));
  return fail(Code::dtype_mismatch, format("mode '{}' has no meaning for {}", mode, name(dtype)));
}

}  // namespace graft::ops
