// Pad and CenterCropPad.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

using IntList = NodeView::IntList;

// What is cut (a negative pad) and added at both ends of each dim.
struct Pads {
  std::vector<int64_t> before, after;
};

// `list`: the pads of `axes`, all that start first. No axes: of all dims.
Pads known_pads(NodeView& n, const Value* x, const std::vector<int64_t>& list, const std::optional<IntList>& some) {
  const auto rank = static_cast<size_t>(x->rank());
  std::vector<int64_t> axes;
  if (some) axes = some->numbers;
  for (size_t d = 0; !some && d < rank; ++d) axes.push_back(static_cast<int64_t>(d));
  Pads p{std::vector<int64_t>(rank, 0), std::vector<int64_t>(rank, 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<size_t>(normal_axis(n, axes[i], x->rank()));
    p.before[d] = list[i];
    p.after[d] = list[axes.size() + i];
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

// x with its own elements around it, over and over, along dim d.
Value* wrapped_around(OpBuilder& b, Value* x, int d, Value* before, Value* after) {
  Value* size = b.cast(size_along(b, x, d), before->dtype());
  Value *start = b.scale(before, -1), *end = b.add(size, after);
  Value* places = b.emit("range_1d", {{"end", end}, {"start", start}, {"step", b.like(start, 1)}});
  return b.gather(x, b.binary("mod", places, size), d);
}

// Pads that only a run knows. Those below 0 cut, which comes first.
Value* pad_anywhere(OpBuilder& b, Value* x, Value* pads, const std::optional<IntList>& axes, const std::string& mode,
                    Value* fill) {
  const int64_t rank = x->rank();
  const DType dtype = pads->dtype();
  if (axes) {
    Value* at = axes->list != nullptr ? b.cast(axes->list, DType::i32) : b.ints(axes->numbers);
    at = wrapped(b, at, b.like(at, static_cast<double>(rank)));
    Value* behind = b.add(at, b.like(at, static_cast<double>(rank)));
    Value* none = b.ints(std::vector<int64_t>(static_cast<size_t>(2 * rank), 0), dtype);
    pads = b.emit(
        "scatter",
        {{"data", none}, {"indices", b.concat({at, behind}, 0)}, {"updates", pads}, {"axis", 0}, {"mode", "update"}});
  }
  Value *before = sublist(b, pads, 0, rank), *after = sublist(b, pads, rank, 2 * rank), *zero = b.like(pads, 0);
  Value* begin = b.maximum(b.scale(before, -1), zero);
  Value* end = b.add(b.cast(b.shape(x), dtype), b.minimum(after, zero));
  x = b.emit("slice_by_index", {{"x", x}, {"begin", begin}, {"end", b.maximum(end, zero)}});
  before = b.maximum(before, zero);
  after = b.maximum(after, zero);
  if (mode == "wrap") {
    const auto one = [&](Value* list, int d) { return b.squeeze(sublist(b, list, d, d + 1), {0}); };
    for (int d = 0; d < x->rank() && b.ok(); ++d) {
      Value *left = one(before, d), *right = one(after, d);
      x = wrapped_around(b, x, d, left, right);
    }
    return x;
  }
  Value* ends = b.reshape(b.emit("stack", {{"values", Values{before, after}}, {"axis", 1}}), Dims{Dim(2 * rank)});
  return b.emit("pad",
                {{"x", x}, {"pad", ends}, {"mode", mode == "edge" ? "replicate" : mode}, {"constant_val", fill}});
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

constexpr Lowering kRows[] = {
    {"", "Pad", kSince<2, 11, 13, 18, 19, 21, 23>,
     "data pads@11 constant_value?@11 axes?@18 -> output; mode pads<11 value<11", pad},
    {"", "CenterCropPad", kSince<18>, "input_data shape -> output_data; axes", center_crop_pad},
};

}  // namespace

Values pad(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const std::string mode = n.s("mode", "constant");
  std::optional<IntList> axes;
  if (n.version() >= 18 && n.has(3)) {
    std::optional<int64_t> entries = n.length(3);
    if (const std::optional<int64_t> pads = n.length(1); !entries && pads) entries = *pads / 2;
    if (!entries) {
      if (std::optional<Values> later = n.put_off_sizes(x->dtype(), {x->rank()})) return *later;
    }
    axes = n.int_list(3, "axes", entries);
  }
  const size_t count = axes ? axes->size() : x->dims().size();
  const std::optional<IntList> list =
      n.has_attr("pads") ? IntList{n.ints("pads")} : n.int_list(1, "pads", 2 * static_cast<int64_t>(count));
  if (!b.ok()) return {n.refused()};
  if (!list || list->size() != 2 * count)
    return {n.refuse(Code::shape_mismatch, format("{} pads for {} axes", list ? list->size() : 0, count))};
  if (mode != "constant" && mode != "reflect" && mode != "edge" && mode != "wrap")
    return {n.refuse(Code::invalid_attribute, format("mode '{}', takes constant, reflect, edge or wrap", mode))};
  Value* fill = nullptr;
  if (mode == "constant") fill = n.has(2) ? scalar_of(b, n.in(2)) : b.like(x, n.f("value", 0));
  if (list->list != nullptr || (axes && axes->list != nullptr)) {
    Value* pads = list->list != nullptr ? list->list : b.ints(list->numbers, n.inside(DType::i64));
    return {pad_anywhere(b, x, pads, axes, mode, fill)};
  }
  Pads p = known_pads(n, x, list->numbers, axes);
  if (!b.ok()) return {n.refused()};
  x = cropped(b, x, p);
  if (none(p.before) && none(p.after)) return {x};
  if (mode == "wrap") return {padded_by_joining(n, b, x, p, nullptr)};
  if (mode == "constant") return {padded_with(n, b, x, p, fill)};
  return {b.emit("pad", {{"x", x}, {"pad", pairs(p)}, {"mode", mode == "edge" ? "replicate" : "reflect"}})};
}

LoweringRows padding_lowerings() { return kRows; }

}  // namespace graft::onnx
