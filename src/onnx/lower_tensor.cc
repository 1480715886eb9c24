// Padding, sorting, filling by index, and the remaining operators that move elements.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// A one-element value as rank 0.
Value* scalar_of(OpBuilder& b, Value* v) { return v->rank() == 0 ? v : b.reshape(v, Dims{}); }

// ---- Pad ----------------------------------------------------------------------------------------------------------

// What is cut (a negative pad) and added at both ends of each dim.
struct Pads {
  std::vector<int64_t> before, after;
};

std::optional<Pads> read_pads(NodeView& n, const Value* x) {
  const auto rank = static_cast<size_t>(x->rank());
  const std::optional<std::vector<int64_t>> list =
      n.version() < 11 ? std::optional(n.ints("pads")) : n.const_ints(1, "pads");
  std::vector<int64_t> axes;
  if (n.version() >= 18) axes = n.const_ints(3, "axes").value_or(std::vector<int64_t>());
  if (!n.has(3) || n.version() < 18) {
    for (size_t d = 0; d < rank; ++d) axes.push_back(static_cast<int64_t>(d));
  }
  if (!list || list->size() != 2 * axes.size()) {
    n.refuse(Code::shape_mismatch, format("{} pads for {} axes", list ? list->size() : 0, axes.size()));
    return std::nullopt;
  }
  Pads p{std::vector<int64_t>(rank, 0), std::vector<int64_t>(rank, 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<size_t>(normal_axis(n, axes[i], x->rank()));
    p.before[d] = (*list)[i];
    p.after[d] = (*list)[axes.size() + i];
    if (std::min(p.before[d], p.after[d]) < -INT32_MAX || std::max(p.before[d], p.after[d]) > INT32_MAX)
      n.refuse(Code::value_out_of_range, format("pads {} and {}", p.before[d], p.after[d]));
  }
  return p;
}

Value* cropped(OpBuilder& b, Value* x, Pads& p) {
  std::vector<int64_t> begin, end;
  std::vector<bool> whole;
  bool cuts = false;
  for (size_t d = 0; d < p.before.size(); ++d) {
    begin.push_back(std::max<int64_t>(0, -p.before[d]));
    end.push_back(std::min<int64_t>(0, p.after[d]));
    whole.push_back(end.back() == 0);
    cuts |= begin.back() != 0 || end.back() != 0;
    p.before[d] = std::max<int64_t>(0, p.before[d]);
    p.after[d] = std::max<int64_t>(0, p.after[d]);
  }
  return cuts ? b.emit("slice_by_index", {{"x", x}, {"begin", begin}, {"end", end}, {"end_mask", whole}}) : x;
}

// x[from..to) of a dim of known size.
Value* part(OpBuilder& b, Value* x, size_t axis, int64_t from, int64_t to) {
  const size_t rank = x->dims().size();
  std::vector<int64_t> begin(rank, 0), end(rank, 0);
  std::vector<bool> whole(rank, true);
  begin[axis] = from;
  end[axis] = to;
  whole[axis] = false;
  return b.emit("slice_by_index", {{"x", x}, {"begin", begin}, {"end", end}, {"end_mask", whole}});
}

// One dim after the other, by joining blocks: for what MIL's pad does not do.
Value* padded_by_joining(NodeView& n, OpBuilder& b, Value* x, const Pads& p, Value* fill) {
  for (size_t d = 0; d < p.before.size() && b.ok(); ++d) {
    if (p.before[d] == 0 && p.after[d] == 0) continue;
    if (!(fill == nullptr ? x->dims()[d].known() : ir::all_known(x->dims())))
      return n.refuse(Code::dynamic_shape, format("padding {} in this way needs known sizes", x->type.to_string()));
    const int64_t size = x->dims()[d].value();
    if (fill == nullptr && (p.before[d] > size || p.after[d] > size))
      return n.refuse(Code::value_out_of_range,
                      format("mode wrap pads {} and {} of a dim of {}", p.before[d], p.after[d], size));
    const auto block = [&](int64_t count, int64_t from) {
      if (fill == nullptr) return part(b, x, d, from, from + count);
      std::vector<int64_t> shape;
      for (const Dim& v : x->dims()) shape.push_back(v.value());
      shape[d] = count;
      return b.emit("fill", {{"shape", shape}, {"value", fill}});
    };
    Values pieces{x};
    if (p.before[d] > 0) pieces.insert(pieces.begin(), block(p.before[d], size - p.before[d]));
    if (p.after[d] > 0) pieces.push_back(block(p.after[d], 0));
    x = b.concat(pieces, static_cast<int64_t>(d));
  }
  return x;
}

// As MIL wants them: start and end of each dim.
Ints pairs(const Pads& p) {
  Ints list;
  for (size_t d = 0; d < p.before.size(); ++d) {
    list.push_back(p.before[d]);
    list.push_back(p.after[d]);
  }
  return list;
}

Value* padded_with(NodeView& n, OpBuilder& b, Value* x, const Pads& p, Value* fill) {
  const auto direct = [&] {
    return b.emit("pad", {{"x", x}, {"pad", pairs(p)}, {"mode", "constant"}, {"constant_val", fill}});
  };
  if (is_float(x->dtype())) return direct();
  // MIL pads floats only.
  const auto joined = [&](Value* v, Value* with) { return padded_by_joining(n, b, v, p, with); };
  return b.first_of(direct, [&] { return b.through(DType::i32, joined, x, fill); });
}

bool none(const std::vector<int64_t>& v) {
  return std::all_of(v.begin(), v.end(), [](int64_t e) { return e == 0; });
}

Values pad(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const std::string mode = n.s("mode", "constant");
  std::optional<Pads> p = read_pads(n, x);
  if (!p || !b.ok()) return {n.refused()};
  x = cropped(b, x, *p);
  if (none(p->before) && none(p->after)) return {x};
  if (mode == "wrap") return {padded_by_joining(n, b, x, *p, nullptr)};
  if (mode == "constant") {
    Value* fill = n.version() < 11 ? b.like(x, n.f("value", 0)) : n.has(2) ? scalar_of(b, n.in(2)) : b.like(x, 0);
    return {padded_with(n, b, x, *p, fill)};
  }
  if (mode != "reflect" && mode != "edge")
    return {n.refuse(Code::invalid_attribute, format("mode '{}', takes constant, reflect, edge or wrap", mode))};
  return {b.emit("pad", {{"x", x}, {"pad", pairs(*p)}, {"mode", mode == "edge" ? "replicate" : "reflect"}})};
}

// One dim brought to a size that only a run knows: gathered from the places in the middle, zeros where there are none.
Value* centred(OpBuilder& b, Value* x, int d, Value* to) {
  Value* from = b.cast(size_along(b, x, d), to->dtype());
  const auto half_above_zero = [&](Value* v) {
    return b.binary("floor_div", b.maximum(v, b.like(v, 0)), b.like(v, 2));
  };
  Value *cut = half_above_zero(b.sub(from, to)), *added = half_above_zero(b.sub(to, from));
  Value* places = b.emit("range_1d", {{"end", to}, {"start", b.like(to, 0)}, {"step", b.like(to, 1)}});
  places = b.add(places, b.sub(cut, added));
  Value *last = b.sub(from, b.like(from, 1)), *zero = b.like(places, 0);
  Value *at_least = b.binary("greater_equal", places, zero), *at_most = b.binary("less_equal", places, last);
  Value* inside = b.binary("logical_and", at_least, at_most);
  Value* y = b.gather(x, b.minimum(b.maximum(places, zero), last), d);
  Ints behind;
  for (int k = 1; k < x->rank() - d; ++k) behind.push_back(k);
  return b.select(b.expand_dims(inside, behind), y, b.like(x, 0));
}

// As many elements from the middle, or zeros around it; the odd one goes to the end.
Values center_crop_pad(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *shape = n.in(1);
  std::vector<int64_t> axes = n.ints("axes");
  if (!n.has_attr("axes")) {
    for (int d = 0; d < x->rank(); ++d) axes.push_back(d);
  }
  if (!shape->is_constant() || !ir::all_known(x->dims())) {
    if (shape->rank() != 1 || ir::never_equal(shape->dim(0), Dim(static_cast<int64_t>(axes.size()))))
      return {n.refuse(Code::shape_mismatch, format("shape is {}, takes one size for each of {} axes",
                                                    shape->type.to_string(), axes.size()))};
    for (size_t i = 0; i < axes.size() && b.ok(); ++i) {
      const auto at = static_cast<int64_t>(i);
      const int d = normal_axis(n, axes[i], x->rank());
      x = centred(b, x, d, b.squeeze(sublist(b, shape, at, at + 1), {0}));
    }
    return {x};
  }
  const std::optional<std::vector<int64_t>> sizes = n.const_ints(1, "shape");
  if (!sizes) return {n.refused()};
  if (sizes->size() != axes.size())
    return {n.refuse(Code::shape_mismatch, format("{} sizes for {} axes", sizes->size(), axes.size()))};
  Pads p{std::vector<int64_t>(x->dims().size(), 0), std::vector<int64_t>(x->dims().size(), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<size_t>(normal_axis(n, axes[i], x->rank()));
    const int64_t to = (*sizes)[i];
    if (to < 0 || to > INT32_MAX) return {n.refuse(Code::value_out_of_range, format("a size of {}", to))};
    if (d >= x->dims().size()) return {n.refused()};
    const Dim& from = x->dims()[d];
    if (from == Dim(to)) continue;
    const int64_t more = to - from.value();
    p.before[d] = more / 2;
    p.after[d] = more - more / 2;
  }
  if (!b.ok()) return {n.refused()};
  x = cropped(b, x, p);
  return {none(p.before) && none(p.after) ? x : padded_with(n, b, x, p, b.like(x, 0))};
}

// ---- order and sums -----------------------------------------------------------------------------------------------

Values topk(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int axis = n.axis("axis", -1, x->rank());
  Value* k = n.version() < 10 ? b.ints(std::vector<int64_t>{n.required_i("k")}, n.inside(DType::i64)) : n.in(1);
  if (k->is_constant() && k->constant->count() == 1 && element_as_int(k->constant->view(), 0) < 0)
    return {n.refuse(Code::value_out_of_range, "k is negative")};
  const bool largest = n.version() < 11 || n.flag("largest", true);
  const auto [values, indices] = b.topk(x, scalar_of(b, k), axis, !largest);
  return {values, b.cast(indices, n.inside(DType::i64))};
}

Values cumsum(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const std::optional<int64_t> axis = n.const_int(1, "axis");
  if (!axis) return {n.refuse(Code::invalid_model, "the axis is missing")};
  return {b.emit("cumsum", {{"x", x},
                            {"axis", normal_axis(n, *axis, x->rank())},
                            {"exclusive", n.flag("exclusive")},
                            {"reverse", n.flag("reverse")}})};
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

Values depth_to_space(NodeView& n, OpBuilder& b) {
  const std::string mode = n.version() < 11 ? "DCR" : n.s("mode", "DCR");
  const int64_t block = n.required_i("blocksize");
  if (mode == "DCR") return {b.emit("depth_to_space", {{"x", n.in(0)}, {"block_size", block}})};
  if (mode == "CRD") return {b.emit("pixel_shuffle", {{"x", n.in(0)}, {"upscale_factor", block}})};
  return {n.refuse(Code::invalid_attribute, format("mode '{}', takes DCR or CRD", mode))};
}
Values space_to_depth(NodeView& n, OpBuilder& b) {
  if (n.s("mode", "DCR") != "DCR")
    return {n.refuse(Code::unsupported_attribute, format("mode '{}', takes DCR", n.s("mode", "DCR")))};
  return {b.emit("space_to_depth", {{"x", n.in(0)}, {"block_size", n.required_i("blocksize")}})};
}

Values cast_like(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *like = n.in(1);
  return {cast_to(n, b, x, like->dtype())};
}

constexpr Lowering kRows[] = {
    {"", "Pad", kSince<2, 11, 13, 18, 19, 21, 23>,
     "data pads@11 constant_value?@11 axes?@18 -> output; mode pads<11 value<11", pad, "pads known"},
    {"", "CenterCropPad", kSince<18>, "input_data shape -> output_data; axes", center_crop_pad},
    {"", "TopK", kSince<1, 10, 11>, "X K@10 -> Values Indices; axis k<10 largest@11 sorted@11", topk},
    {"", "CumSum", kSince<11, 14>, "x axis -> y; exclusive reverse", cumsum, "axis known"},
    {"", "OneHot", kSince<9, 11>, "indices depth values -> output; axis", one_hot},
    {"", "Scatter", kSince<9>, "data indices updates -> output; axis", scatter_elements},
    {"", "ScatterElements", kSince<11, 13, 16, 18>, "data indices updates -> output; axis reduction@16",
     scatter_elements},
    {"", "ScatterND", kSince<11, 13, 16, 18>, "data indices updates -> output; reduction@16", scatter_nd},
    {"", "NonZero", kSince<9, 13>, "X -> Y", non_zero},
    {"", "Trilu", kSince<14>, "input k? -> output; upper", trilu},
    {"", "DepthToSpace", kSince<1, 11, 13>, "input -> output; blocksize mode@11", depth_to_space},
    {"", "SpaceToDepth", kSince<1, 13>, "input -> output; blocksize mode@28", space_to_depth},
    {"", "CastLike", kSince<15, 19, 21, 23>, "input target_type -> output; round_mode@24 saturate@19", cast_like},
};

}  // namespace

Value* cast_to(NodeView& n, OpBuilder& b, Value* x, DType to) {
  const auto is_small = [](DType t) { return (is_int(t) && bits(t) < 8) || (is_float(t) && bits(t) <= 8); };
  if (!b.ok() || x->dtype() == to) return x;
  if (is_small(x->dtype())) {  // fp32 holds all of them
    x = b.emit("host_dequantize", {{"input", x}, {"scale", b.scalar(DType::f32, 1)}});
    return cast_to(n, b, x, to);
  }
  if (!is_small(to)) return b.cast(x, to);
  return b.emit(
      "host_cast",
      {{"x", x}, {"dtype", name(to)}, {"saturate", n.flag("saturate", true)}, {"round_mode", n.s("round_mode", "up")}});
}

LoweringRows tensor_lowerings() { return kRows; }

}  // namespace graft::onnx
