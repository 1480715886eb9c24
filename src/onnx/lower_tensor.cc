// Sorting, running sums, filling by index, and the remaining operators that move elements.
#include <algorithm>
#include <limits>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// ---- order and sums -----------------------------------------------------------------------------------------------

// As many as k may be at most, and of those the first k: of x with so many elements behind its own that there are as
// many in every run, none of which comes before one of its own.
Values topk_at_most(NodeView& n, OpBuilder& b, Value* x, Value* k, int axis, bool largest) {
  constexpr int64_t kMost = 1 << 16;
  int64_t most = std::min(k->range.hi, x->dim(axis).range().hi);
  if (k->content && k->content->size() == 1) most = std::min(most, (*k->content)[0].range().hi);
  if (most < 1 || most > kMost)
    return {n.refuse(Code::needs_constant, format("k must be a constant, or known to be {} at most", kMost))};
  const auto rank = static_cast<size_t>(x->rank()), at = static_cast<size_t>(axis);
  if (const int64_t lack = most - x->dim(axis).range().lo; lack > 0) {
    std::vector<int64_t> pads(2 * rank, 0);
    pads[2 * at + 1] = lack;
    const double infinity = std::numeric_limits<double>::infinity();
    const IntRange numbers = is_float(x->dtype()) ? IntRange{} : int_range(x->dtype());
    Value* worst = is_float(x->dtype())
                       ? b.like(x, largest ? -infinity : infinity)
                       : b.constant(ir::Constant::int_scalar(x->dtype(), largest ? numbers.lo : numbers.hi));
    x = b.emit("pad", {{"x", x}, {"pad", pads}, {"mode", "constant"}, {"constant_val", worst}});
  }
  Value* count = b.constant(ir::Constant::int_scalar(k->dtype(), most));
  const auto [values, indices] = b.topk(x, count, axis, !largest);
  std::vector<Part> ends(rank, Part::of(0));
  ends[at] = Part::element(b.expand_dims(k, {0}), 0);
  Value* end = list_of(b, ends);
  std::vector<bool> whole(rank, true);
  whole[at] = false;
  const auto first_k = [&](Value* v) {
    return b.emit("slice_by_index", {{"x", v},
                                     {"begin", std::vector<int64_t>(rank, 0)},
                                     {"end", end},
                                     {"begin_mask", std::vector<bool>(rank, true)},
                                     {"end_mask", whole}});
  };
  Value* best = first_k(values);
  return {best, first_k(indices)};
}

Values topk(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int axis = n.axis("axis", -1, x->rank());
  Value* k = n.version() < 10 ? b.ints(std::vector<int64_t>{n.required_i("k")}, n.inside(DType::i64)) : n.in(1);
  if (k->is_constant() && k->constant->count() == 1 && element_as_int(k->constant->view(), 0) < 0)
    return {n.refuse(Code::value_out_of_range, "k is negative")};
  const bool largest = n.version() < 11 || n.flag("largest", true);
  k = scalar_of(b, k);
  const auto direct = [&]() -> Values {
    const auto [values, indices] = b.topk(x, k, axis, !largest);
    return {values, indices};
  };
  const Values found =
      k->is_constant() ? direct() : b.first_of(direct, [&] { return topk_at_most(n, b, x, k, axis, largest); });
  if (!b.ok() || found.size() != 2) return {n.refused()};
  Value* indices = b.cast(found[1], n.inside(DType::i64));
  return {found[0], indices};
}

template <OpName op>
Values running(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  Value* axis = n.in(1);
  if (axis->is_constant()) {
    const std::optional<int64_t> number = n.const_int(1, "axis");
    axis = number ? b.constant(ir::Constant::int_scalar(DType::i32, normal_axis(n, *number, x->rank()))) : n.refused();
  } else {
    axis = scalar_of(b, axis);
  }
  return {
      b.emit(op.text, {{"x", x}, {"axis", axis}, {"exclusive", n.flag("exclusive")}, {"reverse", n.flag("reverse")}})};
}

// ---- by index -----------------------------------------------------------------------------------------------------

Values one_hot(NodeView& n, OpBuilder& b) {
  Value *indices = n.in(0), *depth = n.in(1), *values = n.in(2);
  depth = scalar_of(b, b.cast(depth, n.inside(DType::i64)));
  // Negative indices count from the end; what is outside on either side gives a row of off values.
  const bool counts_up = info(indices->dtype()).kind == DTypeKind::unsigned_int;
  if (indices->dtype() != DType::u64) indices = b.cast(indices, n.inside(DType::i64));  // which may not hold it
  if (!counts_up && !b.proven_within(indices, {0, INT64_MAX})) indices = wrapped(b, indices, depth);
  return {b.emit("one_hot", {{"indices", indices},
                             {"one_hot_vector_size", depth},
                             {"axis", n.i("axis", -1)},
                             {"on_value", scalar_of(b, sublist(b, values, 1, 2))},
                             {"off_value", scalar_of(b, sublist(b, values, 0, 1))}})};
}

std::string scatter_mode(NodeView& n) {
  const std::string r = n.version() >= 16 ? n.s("reduction", "none") : "none";
  if (r != "none" && r != "add" && r != "mul" && r != "max" && r != "min")
    n.refuse(Code::invalid_attribute, format("reduction '{}', takes none, add, mul, max or min", r));
  return r == "none" ? "update" : r;
}

// Bools go through as numbers where Core ML has none, and where they are combined: a sum or product of 0 and 1 is an or
// or an and.
template <class Emit>
Value* scattered(OpBuilder& b, Value* x, Value* updates, std::string_view mode, Emit&& emit) {
  if (x->dtype() != DType::boolean) return emit(x, updates);
  if (mode == "update") return b.through(DType::i32, emit, x, updates);
  Value *number = b.cast(x, DType::i32), *with = b.cast(updates, DType::i32);
  return b.cast(emit(number, with), DType::boolean);
}

Values scatter_elements(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *indices = n.in(1), *updates = n.in(2);
  const int axis = n.axis("axis", 0, x->rank());
  const std::string mode = scatter_mode(n);
  return {with_indices(n, b, indices, x, axis, [&](Value* at) {
    return scattered(b, x, updates, mode, [&](Value* d, Value* u) {
      return b.emit("scatter_along_axis",
                    {{"data", d}, {"indices", at}, {"updates", u}, {"axis", axis}, {"mode", mode}});
    });
  })};
}

Values scatter_nd(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *indices = n.in(1), *updates = n.in(2);
  // Updates have the dims of indices but the last, and those of x that are not addressed.
  indices = of_length(b, indices, indices->rank() - 1 + x->rank() - updates->rank());
  const std::string mode = scatter_mode(n);
  return {with_index_lists(n, b, indices, x, 0, [&](Value* at) {
    return scattered(b, x, updates, mode, [&](Value* d, Value* u) {
      return b.emit("scatter_nd", {{"data", d}, {"indices", at}, {"updates", u}, {"mode", mode}});
    });
  })};
}

Values non_zero(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  Value* places = b.transpose(b.unary("non_zero", x), {1, 0});
  return {b.cast(places, n.inside(DType::i64))};
}

// ---- triangles, blocks --------------------------------------------------------------------------------------------

// Of a k that only a run knows: what lies on the other side of it becomes zero.
Value* trilu_at(OpBuilder& b, Value* x, Value* k, bool upper) {
  constexpr double kFar = 1 << 30;  // beyond any matrix, and no sum with a place overflows
  k = b.minimum(k, b.like(k, kFar));
  k = b.cast(b.maximum(k, b.like(k, -kFar)), DType::i32);
  Value *rows = b.expand_dims(places_along(b, x, x->rank() - 2), {1}), *columns = places_along(b, x, x->rank() - 1);
  Value* outside = b.binary(upper ? "less" : "greater", columns, b.add(rows, scalar_of(b, k)));
  return b.select(outside, b.like(x, 0), x);
}

Values depth_to_space(NodeView& n, OpBuilder& b) {
  const std::string mode = n.version() < 11 ? "DCR" : n.s("mode", "DCR");
  const int64_t block = n.required_i("blocksize");
  if (mode == "DCR") return {b.emit("depth_to_space", {{"x", n.in(0)}, {"block_size", block}})};
  if (mode == "CRD") return {b.emit("pixel_shuffle", {{"x", n.in(0)}, {"upscale_factor", block}})};
  return {n.refuse(Code::invalid_attribute, format("mode '{}', takes DCR or CRD", mode))};
}
Values space_to_depth(NodeView& n, OpBuilder& b) {
  const std::string mode = n.s("mode", "DCR");
  const int64_t block = n.required_i("blocksize");
  if (mode == "DCR") return {b.emit("space_to_depth", {{"x", n.in(0)}, {"block_size", block}})};
  if (mode == "CRD") return {b.emit("pixel_unshuffle", {{"x", n.in(0)}, {"downscale_factor", block}})};
  return {n.refuse(Code::invalid_attribute, format("mode '{}', takes DCR or CRD", mode))};
}

Values bit_cast(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.emit("host_bit_cast", {{"x", x}, {"dtype", name(n.dtype("to"))}})};
}

Values cast_like(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *like = n.in(1);
  return {cast_to(n, b, x, like->dtype())};
}

constexpr Lowering kRows[] = {
    {"", "TopK", kSince<1, 10, 11>, "X K@10 -> Values Indices; axis k<10 largest@11 sorted@11", topk},
    {"", "CumSum", kSince<11, 14>, "x axis -> y; exclusive reverse", running<"cumsum">},
    {"", "CumProd", kSince<26>, "x axis -> y; exclusive reverse", running<"host_cum_prod">, "on the host only"},
    {"", "OneHot", kSince<9, 11>, "indices depth values -> output; axis", one_hot},
    {"", "Scatter", kSince<9>, "data indices updates -> output; axis", scatter_elements},
    {"", "ScatterElements", kSince<11, 13, 16, 18>, "data indices updates -> output; axis reduction@16",
     scatter_elements},
    {"", "ScatterND", kSince<11, 13, 16, 18>, "data indices updates -> output; reduction@16", scatter_nd},
    {"", "NonZero", kSince<9, 13>, "X -> Y", non_zero},
    {"", "Trilu", kSince<14>, "input k? -> output; upper", trilu},
    {"", "DepthToSpace", kSince<1, 11, 13>, "input -> output; blocksize mode@11", depth_to_space},
    {"", "SpaceToDepth", kSince<1, 13>, "input -> output; blocksize mode@28", space_to_depth},
    {"", "BitCast", kSince<26>, "input -> output; to", bit_cast, "on the host only"},
    {"", "CastLike", kSince<15, 19, 21, 23>, "input target_type -> output; round_mode@24 saturate@19", cast_like},
};

}  // namespace

// Diagonals from the k-th on (upper) or up to it. MIL's band always holds the main one: a triangle beside it is what
// the opposite band leaves.
Values trilu(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() < 2)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 2 or more", x->type.to_string()))};
  const bool upper = n.flag("upper", true);
  if (n.has(1)) {
    Value* given = n.in_saturated(1);
    if (!given->is_constant()) return {trilu_at(b, x, given, upper)};
  }
  const int64_t k = std::clamp<int64_t>(n.const_int(1, "k").value_or(0), -INT32_MAX, INT32_MAX);
  const auto band = [&](Value* v, int64_t lower, int64_t higher) {
    return b.emit("band_part", {{"x", v}, {"lower", lower}, {"upper", higher}});
  };
  if (upper && k <= 0) return {band(x, -k, -1)};
  if (!upper && k >= 0) return {band(x, -1, k)};
  Value* hints[] = {x};
  Value* ones = b.emit("fill", {{"shape", b.dims_value(x->dims(), hints)}, {"value", b.scalar(DType::boolean, 1)}});
  Value* rest = upper ? band(ones, -1, k - 1) : band(ones, -k - 1, -1);
  return {b.select(rest, b.like(x, 0), x)};
}

Value* cast_to(NodeView& n, OpBuilder& b, Value* x, DType to) {
  const auto is_small = [](DType t) { return (is_int(t) && bits(t) < 8) || (is_float(t) && bits(t) <= 8); };
  if (!b.ok() || x->dtype() == to) return x;
  if (is_small(x->dtype())) {  // fp32 holds all of them
    x = b.emit("host_dequantize", {{"input", x}, {"scale", b.scalar(DType::f32, 1)}});
    return cast_to(n, b, x, to);
  }
  if (to == DType::string) return b.unary("host_to_string", x);
  if (x->dtype() == DType::string) {
    x = b.emit("host_from_string", {{"x", x}, {"dtype", name(is_small(to) ? DType::f32 : to)}});
    return is_small(to) ? cast_to(n, b, x, to) : x;
  }
  if (!is_small(to)) return b.cast(x, to);
  return b.emit(
      "host_cast",
      {{"x", x}, {"dtype", name(to)}, {"saturate", n.flag("saturate", true)}, {"round_mode", n.s("round_mode", "up")}});
}

LoweringRows tensor_lowerings() { return kRows; }

}  // namespace graft::onnx
