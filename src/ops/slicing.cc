// slice_by_index, slice_by_size, slice_update: numpy's basic slices, with sizes that may be symbolic while building and
// are checked against the real shapes in the kernels.
#include <algorithm>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

#define GRAFT_ANY15 "T={fp16,fp32,int32,bool}"
#define GRAFT_ANY17 "T={fp16,fp32,int8,int16,int32,uint8,uint16,bool}"
#define GRAFT_INDEX17 "; U={int8,int16,int32}"

// ---- inference ----------------------------------------------------------------------------------------------------

// A bound that is at least INT32_MAX (or at most INT32_MIN) is beyond every tensor this runs on: exporters write such
// numbers, and the largest integer of other widths, for "to the end".
enum class Sentinel : uint8_t { none, above, below };
Sentinel sentinel(const Dim& bound) {
  if (!bound.known()) return Sentinel::none;
  return bound.value() >= INT32_MAX       ? Sentinel::above
         : bound.value() <= INT32_MIN + 1 ? Sentinel::below
                                          : Sentinel::none;
}

// The bound as a place within lo..hi, where negative bounds count from the end n; nothing when its sign is not known.
std::optional<Dim> place(const Dim& bound, const Dim& n, const Dim& lo, const Dim& hi) {
  if (sentinel(bound) == Sentinel::above) return hi;
  if (sentinel(bound) == Sentinel::below) return lo;
  const IntRange r = bound.range();
  if (r.lo < 0 && r.hi >= 0) return std::nullopt;
  return ir::dim_max(lo, ir::dim_min(r.lo < 0 ? bound + n : bound, hi));
}

// The length of n[begin:end:stride]; an absent bound is masked. Nothing when it cannot be told.
std::optional<Dim> slice_length(const Dim& n, const Dim* begin, const Dim* end, int64_t stride) {
  const bool forward = stride > 0;
  const Dim lo = forward ? Dim(0) : Dim(-1), hi = forward ? n : n - Dim(1);
  const std::optional<Dim> b = begin == nullptr ? (forward ? lo : hi) : place(*begin, n, lo, hi);
  const std::optional<Dim> e = end == nullptr ? (forward ? hi : lo) : place(*end, n, lo, hi);
  if (!b || !e) return std::nullopt;
  const Dim span = forward ? *e - *b : *b - *e;
  return ir::dim_max(Dim(0), ir::ceil_div(span, Dim(forward ? stride : -stride)));
}

// A list argument must have one entry a dim of x.
Status check_per_dim(const Call& call, std::string_view param) {
  if (!call.has(param)) return {};
  const Operand& o = call.in(param);
  const int rank = call.in("x").rank();
  if (o.rank() == 1 && (!o.dims()[0].known() || o.dims()[0].value() == rank)) return {};
  return fail(Code::shape_mismatch,
              format("'{}' is {}, takes one entry for each of the {} dims of x", param, o.type->to_string(), rank));
}

bool mask_at(const Ints& mask, int d) { return d < mask.size() && mask[d] != 0; }

struct SliceDims {
  Dims all;   // with a 1 for each dim that takes one element
  Dims kept;  // without those
};

Result<SliceDims> slice_dims(const Call& call) {
  const Operand& x = call.in("x");
  for (std::string_view p : {"begin", "end", "stride"}) GRAFT_CHECK(check_index_list(call, p));
  for (std::string_view p : {"begin", "end", "stride", "begin_mask", "end_mask", "squeeze_mask"})
    GRAFT_CHECK(check_per_dim(call, p));
  const std::optional<Dims> begin = call.dims("begin"), end = call.dims("end");
  const bool steps_known = call.known("stride");
  const Ints stride = steps_known ? call.ints("stride") : Ints{}, begin_mask = call.ints("begin_mask"),
             end_mask = call.ints("end_mask"), squeeze_mask = call.ints("squeeze_mask");
  SliceDims out;
  for (int d = 0; d < x.rank(); ++d) {
    const auto at = static_cast<size_t>(d);
    const Dim& n = x.dims()[at];
    const Dim* b = begin ? &(*begin)[at] : nullptr;
    if (mask_at(squeeze_mask, d)) {
      const bool first = mask_at(begin_mask, d);
      if (!first && b != nullptr && b->known() && n.known() && (b->value() < -n.value() || b->value() >= n.value()))
        return fail(Code::value_out_of_range, format("index {} is outside a dim of {}", b->value(), n.value()));
      out.all.emplace_back(1);
      continue;
    }
    const int64_t step = d < stride.size() ? stride[d] : 1;
    if (step == 0) return fail(Code::value_out_of_range, format("the stride of dim {} is 0", d));
    const bool bounds_known = (begin || mask_at(begin_mask, d)) && (end || mask_at(end_mask, d)) && steps_known;
    std::optional<Dim> length;
    if (bounds_known) {
      length =
          slice_length(n, mask_at(begin_mask, d) ? nullptr : b, mask_at(end_mask, d) ? nullptr : &(*end)[at], step);
    }
    if (!length) length = call.fresh({0, n.range().hi});
    out.all.push_back(*length);
    out.kept.push_back(*length);
  }
  return out;
}

Status slice_type(const Call& call, Types& out) {
  GRAFT_TRY(SliceDims dims, slice_dims(call));
  out.push_back(Type::tensor(call.in("x").dtype(), std::move(dims.kept)));
  return {};
}

// ---- the slice of a real shape ------------------------------------------------------------------------------------

struct Slice {
  Ints shape;    // one entry a dim of x
  Strided from;  // into x
  Shape kept;    // the result's shape
};

int64_t clamp_bound(int64_t v, int64_t n, int64_t lo, int64_t hi) {
  if (v < 0) v = v < -n ? lo - 1 : v + n;
  return std::clamp(v, lo, hi);
}

Result<Slice> slice_of(const Call& call, const Shape& x) {
  const Ints begin = call.ints("begin"), end = call.ints("end"), stride = call.ints("stride"),
             begin_mask = call.ints("begin_mask"), end_mask = call.ints("end_mask"),
             squeeze_mask = call.ints("squeeze_mask");
  if (call.error()) return fail(*call.error());
  if (begin.size() != x.size() || end.size() != x.size() || (call.has("stride") && stride.size() != x.size()))
    return fail(Code::shape_mismatch, format("slice bounds do not fit {}", to_string(x)));
  Slice s{{}, {0, row_strides(x)}, {}};
  for (int d = 0; d < x.size(); ++d) {
    const int64_t n = x[d], step = stride.empty() ? 1 : stride[d];
    if (step == 0) return fail(Code::value_out_of_range, format("the stride of dim {} is 0", d));
    int64_t first, count;
    if (mask_at(squeeze_mask, d)) {
      first = mask_at(begin_mask, d) ? 0 : begin[d];
      if (first < -n || first >= n)
        return fail(Code::value_out_of_range, format("index {} is outside a dim of {}", first, n));
      if (first < 0) first += n;
      count = 1;
    } else if (step > 0) {
      first = mask_at(begin_mask, d) ? 0 : clamp_bound(begin[d], n, 0, n);
      const int64_t last = mask_at(end_mask, d) ? n : clamp_bound(end[d], n, 0, n);
      count = last <= first ? 0 : (last - first - 1) / step + 1;
    } else {
      first = mask_at(begin_mask, d) ? n - 1 : clamp_bound(begin[d], n, -1, n - 1);
      const int64_t last = mask_at(end_mask, d) ? -1 : clamp_bound(end[d], n, -1, n - 1);
      count =
          first <= last
              ? 0
              : static_cast<int64_t>(static_cast<uint64_t>(first - last - 1) / (0 - static_cast<uint64_t>(step))) + 1;
    }
    s.shape.push_back(count);
    if (!mask_at(squeeze_mask, d)) s.kept.push_back(count);
    if (count > 0) s.from.offset += first * s.from.steps[d];
    s.from.steps[d] = count > 1 ? s.from.steps[d] * step : 0;
  }
  return s;
}

Status slice_moves(const Call& call, Moves& moves) {
  GRAFT_TRY(const Slice s, slice_of(call, shape_of(call.in("x"))));
  GRAFT_CHECK(check_result(call, moves.shape(0), s.kept));
  moves.copy("x", 0, s.shape, s.from, 0, dense(s.shape));
  return {};
}

#define GRAFT_SLICE(I)                       \
  "begin:" I "; end:" I "; stride?:const " I \
  "=none; begin_mask?:const bool=none; end_mask?:const bool=none; squeeze_mask?:const bool=none"
constexpr Variant kSliceByIndex[] = {{Opset::ios15, "x:T; " GRAFT_SLICE("int32"), GRAFT_ANY15},
                                     {Opset::ios17, "x:T; " GRAFT_SLICE("U"), GRAFT_ANY17 GRAFT_INDEX17}};
constexpr OpDef slice_by_index = moved(
    {.name = "slice_by_index",
     .family = "tensor_transformation",
     .doc =
         "x[begin:end:stride] with numpy's rules; masks ignore a bound, squeeze_mask takes one element, drops the dim",
     .variants = kSliceByIndex,
     .host = kMovable,
     .infer = slice_type,
     .symbolic = symbolic_by_moving,
     .range = range_of_inputs,
     .kind = ir::Kind::slice},
    slice_moves);

// ---- slice_update -------------------------------------------------------------------------------------------------

Status slice_update_type(const Call& call, Types& out) {
  GRAFT_TRY(const SliceDims slice, slice_dims(call));
  const Dims& update = call.in("update").dims();
  bool fits = update.size() == slice.kept.size();
  for (size_t d = 0; fits && d < update.size(); ++d) fits = !ir::never_equal(update[d], slice.kept[d]);
  if (!fits) {
    return fail(Code::shape_mismatch,
                format("update is {}, the slice is {}", ir::to_string(update), ir::to_string(slice.kept)));
  }
  return infer_like_x(call, out);
}

Status slice_update_moves(const Call& call, Moves& moves) {
  const Shape x = shape_of(call.in("x")), update = shape_of(call.in("update"));
  GRAFT_TRY(const Slice s, slice_of(call, x));
  GRAFT_CHECK(check_result(call, moves.shape(0), x));
  if (!(update == s.kept))
    return fail(Code::shape_mismatch, format("update is {}, the slice is {}", to_string(update), to_string(s.kept)));
  moves.copy("x", 0, to_ints(x), dense(x), 0, dense(x));
  moves.copy("update", 0, s.shape, dense(s.shape), 0, s.from);
  return {};
}
constexpr Variant kSliceUpdate[] = {{Opset::ios18, "x:T; update:T; " GRAFT_SLICE("U"), GRAFT_ANY17 GRAFT_INDEX17}};
constexpr OpDef slice_update = moved({.name = "slice_update",
                                      .family = "tensor_transformation",
                                      .doc = "a copy of x in which the slice (as slice_by_index) is replaced by update",
                                      .variants = kSliceUpdate,
                                      .host = kMovable,
                                      .infer = slice_update_type,
                                      .symbolic = symbolic_by_moving,
                                      .range = range_of_inputs},
                                     slice_update_moves);

// ---- slice_by_size ------------------------------------------------------------------------------------------------

Status slice_by_size_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  for (std::string_view p : {"begin", "size"}) {
    GRAFT_CHECK(check_index_list(call, p));
    GRAFT_CHECK(check_per_dim(call, p));
  }
  const std::optional<Dims> begin = call.dims("begin"), size = call.dims("size");
  Dims dims;
  for (size_t d = 0; d < x.dims().size(); ++d) {
    const Dim& n = x.dims()[d];
    const IntRange rest{0, n.range().hi};
    std::optional<Dim> b;
    if (begin) b = place((*begin)[d], n, Dim(0), n);
    if (!size) {
      dims.push_back(call.fresh(rest));
      continue;
    }
    const Dim& s = (*size)[d];
    if (s.known() && s.value() < -1) return fail(Code::value_out_of_range, format("size {} of dim {}", s.value(), d));
    if (s == Dim(-1)) {
      dims.push_back(b ? n - *b : call.fresh(rest));
    } else if (b && (n - *b - s).range().hi < 0) {
      return fail(Code::value_out_of_range,
                  format("{} elements from {} do not fit a dim of {}", s.to_string(), b->to_string(), n.to_string()));
    } else {
      dims.push_back(s);
    }
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

Status slice_by_size_moves(const Call& call, Moves& moves) {
  const Shape x = shape_of(call.in("x"));
  const Ints begin = call.ints("begin"), size = call.ints("size");
  if (call.error()) return fail(*call.error());
  if (begin.size() != x.size() || size.size() != x.size())
    return fail(Code::shape_mismatch, format("begin and size do not fit {}", to_string(x)));
  Strided from = dense(x);
  Shape shape;
  for (int d = 0; d < x.size(); ++d) {
    const int64_t n = x[d], b = begin[d] < 0 ? wrap_add(begin[d], n) : begin[d];
    const int64_t s = size[d] == -1 ? wrap_sub(n, b) : size[d];
    if (b < 0 || b > n || s < 0 || s > n - b) {
      return fail(Code::value_out_of_range, format("{} elements from {} do not fit a dim of {}", size[d], begin[d], n));
    }
    from.offset += b * from.steps[d];
    shape.push_back(s);
  }
  GRAFT_CHECK(check_result(call, moves.shape(0), shape));
  moves.copy("x", 0, to_ints(shape), from, 0, dense(shape));
  return {};
}
constexpr Variant kSliceBySize[] = {{Opset::ios15, "x:T; begin:int32; size:int32", GRAFT_ANY15},
                                    {Opset::ios17, "x:T; begin:U; size:U", GRAFT_ANY17 GRAFT_INDEX17}};
constexpr OpDef slice_by_size = moved({.name = "slice_by_size",
                                       .family = "tensor_transformation",
                                       .doc = "the block of x that starts at begin; size -1 reaches to the end",
                                       .variants = kSliceBySize,
                                       .host = kMovable,
                                       .infer = slice_by_size_type,
                                       .symbolic = symbolic_by_moving,
                                       .range = range_of_inputs},
                                      slice_by_size_moves);

constexpr const OpDef* kRows[] = {&slice_by_index, &slice_by_size, &slice_update};

}  // namespace

Rows slicing_rows() { return kRows; }

}  // namespace graft::ops
