// MIL's scatter_gather family. Indices are data: the kernels check every one (value_out_of_range), and negative ones
// count from the end.
#include <algorithm>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "scatter_gather";

// From iOS17 on Core ML does not count negative indices from the end.
Status indices_defined(const Call& call) {
  if (call.in("indices").never_negative()) return {};
  return bad(Code::unsupported_attribute, "an index may be negative, which not every target counts from the end");
}

constexpr OpDef row(OpDef def) {
  def.host = kMovable;
  def.defined = indices_defined;
  return def;
}

// An index within 0..n-1, or -1.
int64_t normal_index(int64_t i, int64_t n) {
  if (i < 0) i += n;
  return i >= 0 && i < n ? i : -1;
}
tl::unexpected<Diag> bad_index(int64_t i, int64_t n) {
  return bad(Code::value_out_of_range, format("index {} is outside a dim of {}", i, n));
}

Dims part(const Dims& d, int64_t from, int64_t to) { return Dims(d.begin() + from, d.begin() + to); }
Dims joined(Dims a, const Dims& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
void append(Shape& s, const Shape& from, int begin, int end) {
  for (int d = begin; d < end; ++d) s.push_back(from[d]);
}
// Ranks of results are checked before kernels build them in fixed-size shapes.
Status check_rank(int rank) {
  if (rank <= kMaxRank) return {};
  return bad(Code::limit_exceeded, format("the result has rank {}, at most {} are supported", rank, kMaxRank));
}
Status check_equal(std::string_view what, const Dims& got, const Dims& expected) {
  bool fits = got.size() == expected.size();
  for (size_t d = 0; fits && d < got.size(); ++d) fits = !ir::never_equal(got[d], expected[d]);
  if (fits) return {};
  return bad(Code::shape_mismatch, format("{} is {}, must be {}", what, ir::to_string(got), ir::to_string(expected)));
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
    return bad(Code::value_out_of_range,
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

Status gather_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, indices = call.in("indices").value;
  GRAFT_TRY(const GatherAxes at, gather_axes(call));
  GRAFT_CHECK(check_rank(x.rank() - 1 + indices.rank() - at.batch));
  Shape shape;
  append(shape, x.shape, 0, at.axis);
  append(shape, indices.shape, at.batch, indices.rank());
  append(shape, x.shape, at.axis + 1, x.rank());
  GRAFT_CHECK(check_output(call, out[0], shape));
  for (int d = 0; d < at.batch; ++d) {
    if (x.shape[d] != indices.shape[d]) return bad(Code::shape_mismatch, "x and indices differ in a batch dim");
  }
  const int64_t batches = x.shape.product(0, at.batch), outer = x.shape.product(at.batch, at.axis);
  const int64_t n = x.shape[at.axis], inner = x.shape.product(at.axis + 1, x.rank());
  const int64_t count = indices.shape.product(at.batch, indices.rank());
  Pace pace = call.pace();
  int64_t to = 0;
  for (int64_t b = 0; b < batches; ++b) {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t k = 0; k < count && pace.go_on(); ++k, to += inner) {
        const int64_t i = element_as_int(indices, b * count + k), row = normal_index(i, n);
        if (row < 0) return bad_index(i, n);
        copy_elements(x.dtype, x.data, ((b * outer + o) * n + row) * inner, out[0].data, to, inner, pace);
      }
    }
  }
  return {};
}

// Known indices: evenly spaced ones are one copy, a few others one each.
Status gather_moves(const Call& call, Moves& moves) {
  constexpr int64_t kMostCopies = 64;
  GRAFT_TRY(const GatherAxes at, gather_axes(call));
  const Shape x = shape_of(call.in("x"));
  if (!call.known("indices") || at.batch != 0) return bad(Code::needs_constant, "indices of a run");
  const TensorView indices = call.in("indices").elements();
  const int64_t outer = x.product(0, at.axis), n = x[at.axis], inner = x.product(at.axis + 1, x.size());
  const int64_t count = indices.count();
  const auto row = [&](int64_t k) { return normal_index(element_as_int(indices, k), n); };
  int64_t even = count;  // how many are
  const int64_t step = count > 1 ? row(1) - row(0) : 0;
  for (int64_t k = 0; k < count; ++k) {
    if (row(k) < 0) return bad_index(element_as_int(indices, k), n);
    if (even == count && row(k) != row(0) + k * step) even = k;
  }
  if (even != count && count > kMostCopies) return bad(Code::limit_exceeded, "too many indices");
  const int64_t each = even == count ? count : 1;
  for (int64_t k = 0; k < count; k += each)
    moves.copy("x", 0, {outer, each, inner}, {row(k) * inner, {n * inner, step * inner, 1}}, 0,
               {k * inner, {count * inner, inner, 1}});
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
constexpr OpDef gather = moved(row({.name = "gather",
                                    .family = kFamily,
                                    .doc = "slices of x along axis, one for each index",
                                    .variants = kGather,
                                    .infer = gather_type,
                                    .reference = gather_reference,
                                    .symbolic = symbolic_by_moving,
                                    .range = range_of_inputs}),
                               gather_moves);

// ---- gather_along_axis --------------------------------------------------------------------------------------------

// ONNX lets the other dims of indices be smaller than x's; Core ML does not.
Status check_along_axis(const Dims& x, const Dims& indices, int axis) {
  if (x.size() != indices.size())
    return bad(Code::rank_mismatch, format("indices {} need the rank of {}", ir::to_string(indices), ir::to_string(x)));
  for (size_t d = 0; d < x.size(); ++d) {
    if (static_cast<int>(d) != axis && (x[d] - indices[d]).range().hi < 0)
      return bad(Code::shape_mismatch, format("indices {} reach beyond {}", ir::to_string(indices), ir::to_string(x)));
  }
  return {};
}
Status check_along_axis_coreml(const Call& call, std::string_view data) {
  const Dims &x = call.in(data).dims(), &indices = call.in("indices").dims();
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), static_cast<int>(x.size())));
  for (size_t d = 0; d < x.size(); ++d) {
    if (static_cast<int>(d) == axis || x[d] == indices[d]) continue;
    return bad(Code::unsupported_attribute, format("indices {} must have the sizes of {} but along axis {}",
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

// Offset in `data` of the element that walk's index and i name.
int64_t along_axis_offset(const Shape& index, const Ints& strides, int axis, int64_t i) {
  int64_t at = 0;
  for (int d = 0; d < index.size(); ++d) at += (d == axis ? i : index[d]) * strides[d];
  return at;
}

Status gather_along_axis_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, indices = call.in("indices").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  GRAFT_CHECK(check_output(call, out[0], indices.shape));
  if (!inside(indices.shape, x.shape, axis)) return bad(Code::shape_mismatch, "indices reach beyond x");
  const Ints strides = row_strides(x.shape);
  Pace pace = call.pace();
  Walk<1> walk(indices.shape, {indices.shape});
  for (int64_t k = 0, n = indices.count(); k < n && pace.go_on(); ++k, walk.next()) {
    const int64_t given = element_as_int(indices, k), i = normal_index(given, x.shape[axis]);
    if (i < 0) return bad_index(given, x.shape[axis]);
    copy_elements(x.dtype, x.data, along_axis_offset(walk.index(), strides, axis, i), out[0].data, k, 1, pace);
  }
  return {};
}
constexpr auto kCheckGatherAlong = [](const Call& call) { return check_along_axis_coreml(call, "x"); };
constexpr Variant kGatherAlongAxis[] = {
    {Opset::ios15, "x:T; indices:int32; axis?:const int32=0", kData15, kCheckGatherAlong},
    {Opset::ios16, "x:T; indices:I; axis?:const int32=0", "T={fp16,fp32,int32}" GRAFT_INDEX16, kCheckGatherAlong},
    {Opset::ios17, "x:T; indices:I; axis?:const int32=0; validate_indices?:const bool=false", GRAFT_DATA17,
     kCheckGatherAlong}};
constexpr OpDef gather_along_axis = row({.name = "gather_along_axis",
                                         .family = kFamily,
                                         .doc = "numpy's take_along_axis; indices have the rank of x",
                                         .variants = kGatherAlongAxis,
                                         .infer = gather_along_axis_type,
                                         .reference = gather_along_axis_reference,
                                         .symbolic = symbolic_by_moving,
                                         .range = range_of_inputs});

// ---- gather_nd ----------------------------------------------------------------------------------------------------

// How the last dim of indices addresses `data`: `batch` dims are shared, then `depth` dims are picked.
struct NdAxes {
  int batch, depth;
};
Result<NdAxes> nd_axes(const Call& call, std::string_view data, int64_t batch) {
  GRAFT_CHECK(check_integers(call, "indices"));
  const int rank = call.in(data).rank();
  const Dims& indices = call.in("indices").dims();
  if (indices.empty()) return bad(Code::rank_mismatch, "indices must have at least one dim");
  if (!indices.back().known())
    return bad(Code::dynamic_shape,
               format("the last dim of indices must be known, it is {}", indices.back().to_string()));
  const int64_t depth = indices.back().value();
  if (batch < 0 || batch >= static_cast<int64_t>(indices.size()) || batch > rank || depth > rank - batch) {
    return bad(Code::value_out_of_range, format("indices {} with {} batch dims address {} of rank {}",
                                                ir::to_string(indices), batch, data, rank));
  }
  return NdAxes{static_cast<int>(batch), static_cast<int>(depth)};
}

// The place that entry `at` of indices names in the `depth` dims of `shape` after `batch`; fails on a bad index.
Result<int64_t> nd_place(const TensorView& indices, int64_t at, const Shape& shape, NdAxes nd) {
  int64_t place = 0;
  for (int j = 0; j < nd.depth; ++j) {
    const int64_t n = shape[nd.batch + j], given = element_as_int(indices, at * nd.depth + j),
                  i = normal_index(given, n);
    if (i < 0) return bad_index(given, n);
    place = place * n + i;
  }
  return place;
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

Status gather_nd_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, indices = call.in("indices").value;
  GRAFT_TRY(const NdAxes nd, nd_axes(call, "x", call.i("batch_dims")));
  GRAFT_CHECK(check_rank(indices.rank() - 1 + x.rank() - nd.batch - nd.depth));
  Shape shape;
  append(shape, indices.shape, 0, indices.rank() - 1);
  append(shape, x.shape, nd.batch + nd.depth, x.rank());
  GRAFT_CHECK(check_output(call, out[0], shape));
  for (int d = 0; d < nd.batch; ++d) {
    if (x.shape[d] != indices.shape[d]) return bad(Code::shape_mismatch, "x and indices differ in a batch dim");
  }
  const int64_t batches = x.shape.product(0, nd.batch), rows = x.shape.product(nd.batch, nd.batch + nd.depth);
  const int64_t inner = x.shape.product(nd.batch + nd.depth, x.rank());
  const int64_t count = indices.shape.product(nd.batch, indices.rank() - 1);
  Pace pace = call.pace();
  for (int64_t b = 0, k = 0; b < batches; ++b) {
    for (int64_t j = 0; j < count && pace.go_on(); ++j, ++k) {
      GRAFT_TRY(const int64_t row, nd_place(indices, k, x.shape, nd));
      copy_elements(x.dtype, x.data, (b * rows + row) * inner, out[0].data, k * inner, inner, pace);
    }
  }
  return {};
}
constexpr Variant kGatherNd[] = {
    {Opset::ios15, "x:T; indices:int32", kData15},
    {Opset::ios16, "x:T; indices:I; batch_dims?:const int32=0", "T={fp16,fp32,int32}" GRAFT_INDEX16},
    {Opset::ios17, "x:T; indices:I; batch_dims?:const int32=0; validate_indices?:const bool=false", GRAFT_DATA17}};
constexpr OpDef gather_nd = row({.name = "gather_nd",
                                 .family = kFamily,
                                 .doc = "the last dim of indices addresses the first dims of x after batch_dims",
                                 .variants = kGatherNd,
                                 .infer = gather_nd_type,
                                 .reference = gather_nd_reference,
                                 .symbolic = symbolic_by_moving,
                                 .range = range_of_inputs});

// ---- scatter ------------------------------------------------------------------------------------------------------

// Combines n neighbours of the updates into the result.
using Combine = void (*)(void* y, int64_t to, const void* updates, int64_t from, int64_t n);

template <class T, class Fn>
void combine_rows(void* y, int64_t to, const void* updates, int64_t from, int64_t n, Fn&& fn) {
  T* d = static_cast<T*>(y) + to;
  const T* s = static_cast<const T*>(updates) + from;
  for (int64_t i = 0; i < n; ++i) d[i] = narrow<T>(fn(widen(d[i]), widen(s[i])));
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
Combine combine_of(std::string_view mode) {
  using W = Wide<T>;
#define GRAFT_COMBINE(expression)                                                   \
  [](void* y, int64_t to, const void* u, int64_t from, int64_t n) {                 \
    combine_rows<T>(y, to, u, from, n, [](W a, W b) -> W { return (expression); }); \
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

// How updates go into the result: `with` combines numbers, null copies (mode update).
struct Scatter {
  DType dtype;
  Combine with = nullptr;
  void put(void* y, int64_t to, const void* updates, int64_t from, int64_t n, Pace& pace) const {
    if (with != nullptr)
      with(y, to, updates, from, n);
    else
      copy_elements(dtype, updates, from, y, to, n, pace);
  }
};

Result<Scatter> scatter_mode(const Call& call) {
  const std::string_view mode = call.str("mode");
  Scatter s{call.in("data").dtype()};
  if (mode == "update") return s;
  visit_dtype(s.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, bool>) s.with = combine_of<T>(mode);
  });
  if (s.with != nullptr) return s;
  if (kNumbers.has(s.dtype))
    return bad(Code::invalid_attribute, format("mode '{}', takes update, add, sub, mul, div, max or min", mode));
  return bad(Code::dtype_mismatch, format("mode '{}' has no meaning for {}", mode, name(s.dtype)));
}

// The copy that updates go into.
Status copy_data(const Call& call, Outputs& out) {
  const TensorView data = call.in("data").value;
  GRAFT_CHECK(check_output(call, out[0], data.shape));
  Pace pace = call.pace();
  copy_elements(data.dtype, data.data, 0, out[0].data, 0, data.count(), pace);
  return {};
}

Status infer_like_data(const Call& call, Types& out) {
  GRAFT_CHECK(scatter_mode(call));
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

Status scatter_reference(const Call& call, Outputs& out) {
  const TensorView data = call.in("data").value, indices = call.in("indices").value, updates = call.in("updates").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), data.rank()));
  GRAFT_TRY(const Scatter mode, scatter_mode(call));
  GRAFT_CHECK(copy_data(call, out));
  const int64_t outer = data.shape.product(0, axis), n = data.shape[axis];
  const int64_t inner = data.shape.product(axis + 1, data.rank()), count = indices.count();
  if (updates.count() != outer * count * inner) return bad(Code::shape_mismatch, "updates do not fit data and indices");
  Pace pace = call.pace();
  for (int64_t o = 0, from = 0; o < outer; ++o) {
    for (int64_t k = 0; k < count && pace.go_on(inner); ++k, from += inner) {
      const int64_t given = element_as_int(indices, k), i = normal_index(given, n);
      if (i < 0) return bad_index(given, n);
      mode.put(out[0].data, (o * n + i) * inner, updates.data, from, inner, pace);
    }
  }
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

Status scatter_along_axis_reference(const Call& call, Outputs& out) {
  const TensorView data = call.in("data").value, indices = call.in("indices").value, updates = call.in("updates").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), data.rank()));
  GRAFT_TRY(const Scatter mode, scatter_mode(call));
  if (!inside(indices.shape, data.shape, axis) || !(updates.shape == indices.shape))
    return bad(Code::shape_mismatch, "data, indices and updates do not fit");
  GRAFT_CHECK(copy_data(call, out));
  const Ints strides = row_strides(data.shape);
  Pace pace = call.pace();
  Walk<1> walk(indices.shape, {indices.shape});
  for (int64_t k = 0, n = indices.count(); k < n && pace.go_on(); ++k, walk.next()) {
    const int64_t given = element_as_int(indices, k), i = normal_index(given, data.shape[axis]);
    if (i < 0) return bad_index(given, data.shape[axis]);
    mode.put(out[0].data, along_axis_offset(walk.index(), strides, axis, i), updates.data, k, 1, pace);
  }
  return {};
}

Status scatter_nd_type(const Call& call, Types& out) {
  GRAFT_TRY(const NdAxes nd, nd_axes(call, "data", 0));
  const Dims &data = call.in("data").dims(), &indices = call.in("indices").dims();
  GRAFT_CHECK(check_equal("updates", call.in("updates").dims(),
                          joined(part(indices, 0, static_cast<int64_t>(indices.size()) - 1),
                                 part(data, nd.depth, static_cast<int64_t>(data.size())))));
  return infer_like_data(call, out);
}

Status scatter_nd_reference(const Call& call, Outputs& out) {
  const TensorView data = call.in("data").value, indices = call.in("indices").value, updates = call.in("updates").value;
  GRAFT_TRY(const NdAxes nd, nd_axes(call, "data", 0));
  GRAFT_TRY(const Scatter mode, scatter_mode(call));
  const int64_t inner = data.shape.product(nd.depth, data.rank());
  const int64_t count = indices.shape.product(0, indices.rank() - 1);
  if (updates.count() != count * inner) return bad(Code::shape_mismatch, "updates do not fit data and indices");
  GRAFT_CHECK(copy_data(call, out));
  Pace pace = call.pace();
  for (int64_t k = 0; k < count && pace.go_on(inner); ++k) {
    GRAFT_TRY(const int64_t row, nd_place(indices, k, data.shape, nd));
    mode.put(out[0].data, row * inner, updates.data, k * inner, inner, pace);
  }
  return {};
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

constexpr OpDef scatters(OpDef def) {
  def.symbolic = scatter_symbolic;
  def.range = scatter_range;
  return row(def);
}
constexpr OpDef scatter = scatters({.name = "scatter",
                                    .family = kFamily,
                                    .doc = "a copy of data whose slices along axis are combined with updates",
                                    .variants = kScatter,
                                    .infer = scatter_type,
                                    .reference = scatter_reference});
constexpr OpDef scatter_along_axis = scatters({.name = "scatter_along_axis",
                                               .family = kFamily,
                                               .doc = "the inverse of gather_along_axis: updates are combined in",
                                               .variants = kScatterAlongAxis,
                                               .infer = scatter_along_axis_type,
                                               .reference = scatter_along_axis_reference});
constexpr OpDef scatter_nd = scatters({.name = "scatter_nd",
                                       .family = kFamily,
                                       .doc = "a copy of data whose places named by indices are combined with updates",
                                       .variants = kScatterNd,
                                       .infer = scatter_nd_type,
                                       .reference = scatter_nd_reference});

constexpr const OpDef* kRows[] = {&gather, &gather_along_axis, &gather_nd, &scatter, &scatter_along_axis, &scatter_nd};

}  // namespace

Rows scatter_gather_rows() { return kRows; }

}  // namespace graft::ops
