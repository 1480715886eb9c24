// Joining, cutting and picking: Concat, Split, Slice, Gather and their kin.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

Values concat(NodeView& n, OpBuilder& b) {
  Values all = n.all(), some;
  const int rank = all[0]->rank();
  if (!n.has_attr("axis") && n.version() >= 4)
    return {n.refuse(Code::invalid_attribute, "attribute 'axis' is required")};
  const int axis = n.axis("axis", 1, rank);
  // Empty members change nothing, and Core ML has none.
  for (Value* v : all) {
    if (v->rank() != rank)
      return {n.refuse(Code::rank_mismatch,
                       format("got {} and {}, takes equal ranks", all[0]->type.to_string(), v->type.to_string()))};
    if (!(v->dim(axis) == Dim(0))) some.push_back(v);
  }
  return {b.concat(some.empty() ? Values{all[0]} : some, axis)};
}

// x[from..to) along an axis; `to` may be a number beyond the end.
Value* slice_axis(OpBuilder& b, Value* x, int axis, int64_t from, std::optional<int64_t> to) {
  const auto rank = static_cast<size_t>(x->rank()), at = static_cast<size_t>(axis);
  std::vector<int64_t> begin(rank, 0), end(rank, 0);
  std::vector<bool> all(rank, true);
  begin[at] = from;
  end[at] = to.value_or(0);
  all[at] = !to.has_value();
  return b.emit("slice_by_index", {{"x", x}, {"begin", begin}, {"end", end}, {"end_mask", all}});
}

using IntList = NodeView::IntList;

// The sizes that a node gives; nullopt: equal parts.
std::optional<IntList> given_sizes(NodeView& n) {
  if (n.version() >= 13) return n.int_list(1, "split", n.outputs());
  return n.has_attr("split") ? std::optional(IntList{n.ints("split")}) : std::nullopt;
}

Values split(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int axis = n.axis("axis", 0, x->rank());
  const Dim size = x->dim(axis);
  const auto parts = static_cast<size_t>(n.outputs());
  std::optional<IntList> sizes = given_sizes(n);
  if (!b.ok()) return {n.refused()};
  if (n.version() >= 18 && n.has_attr("num_outputs") && n.i("num_outputs", 0) != n.outputs()) {
    return {n.refuse(Code::invalid_attribute,
                     format("num_outputs is {}, the node has {} outputs", n.i("num_outputs", 0), parts))};
  }
  if (sizes && sizes->size() != parts)
    return {n.refuse(Code::shape_mismatch, format("{} sizes for {} outputs", sizes->size(), parts))};
  const auto count = static_cast<int64_t>(parts);
  if (!sizes && size.known()) {
    if (n.version() < 18 && size.value() % count != 0)
      return {n.refuse(Code::shape_mismatch,
                       format("axis {} of {} does not split into {} equal parts", axis, size.value(), count))};
    // From version 18 on the last part may be smaller.
    const int64_t each = (size.value() + count - 1) / count;
    sizes.emplace();
    for (int64_t i = 0; i < count; ++i) sizes->numbers.push_back(std::clamp<int64_t>(size.value() - i * each, 0, each));
  }
  if (parts == 1 && (!sizes || sizes->list == nullptr)) return {x};
  if (!sizes && n.version() >= 18) {
    // Where the last part is smaller cannot be told: each is cut at multiples of the size rounded up.
    Value* length = sublist(b, b.shape(x), axis, axis + 1);
    Value* above = b.add(length, b.like(length, static_cast<double>(count - 1)));
    Value* each = b.binary("floor_div", above, b.like(length, static_cast<double>(count)));
    Values out;
    for (int64_t i = 0; i < count; ++i) {
      std::vector<Part> begin(x->dims().size(), Part::of(0)), end = begin;
      Value* at = b.mul(each, b.like(each, static_cast<double>(i)));
      begin[static_cast<size_t>(axis)] = Part::element(at, 0);
      end[static_cast<size_t>(axis)] = Part::element(b.add(at, each), 0);
      std::vector<bool> all(x->dims().size(), true);
      all[static_cast<size_t>(axis)] = false;
      out.push_back(b.emit("slice_by_index",
                           {{"x", x}, {"begin", list_of(b, begin)}, {"end", list_of(b, end)}, {"end_mask", all}}));
    }
    return out;
  }
  if (sizes && sizes->list != nullptr)
    return b.emit_all("split", {{"x", x}, {"num_splits", count}, {"split_sizes", sizes->list}, {"axis", axis}});
  if (sizes) return b.emit_all("split", {{"x", x}, {"split_sizes", sizes->numbers}, {"axis", axis}});
  return b.emit_all("split", {{"x", x}, {"num_splits", count}, {"axis", axis}});
}

// ---- Slice --------------------------------------------------------------------------------------------------------

// One of Slice's bounds, an entry for each sliced axis: an attribute before version 10.
std::optional<IntList> read_bounds(NodeView& n, std::string_view attribute, int input, std::optional<int64_t> count) {
  return n.version() < 10 ? IntList{n.ints(attribute)} : n.int_list(input, attribute, count);
}

// How many axes are sliced, if one of the inputs tells.
std::optional<int64_t> sliced_axes(NodeView& n) {
  for (int i = 1; i < n.inputs() && n.version() >= 10; ++i) {
    if (const std::optional<int64_t> length = n.length(i)) return length;
  }
  return std::nullopt;
}

struct SliceArgs {
  std::vector<Part> begin, end;
  std::vector<int64_t> stride;
  std::vector<bool> begin_mask, end_mask;
  bool changes = false;
};

// Numbers are brought into 0..size where the size is known (not 0), and masks say "from the start" and "to the end".
void number_begin(SliceArgs& s, size_t d, const Dim& size, int64_t v) {
  const bool forward = s.stride[d] > 0;
  if (size.known()) {
    if (v < 0) v = std::max(v, -size.value()) + size.value();
    v = std::min(v, forward ? size.value() : size.value() - 1);
  }
  v = std::clamp<int64_t>(v, INT32_MIN, INT32_MAX);
  s.begin_mask[d] = (forward && v == 0) || (!forward && (v == INT32_MAX || (size.known() && v == size.value() - 1)));
  s.begin[d] = Part::of(v);
}

void number_end(SliceArgs& s, size_t d, const Dim& size, int64_t v) {
  const bool forward = s.stride[d] > 0;
  if (size.known()) {
    v = std::clamp<int64_t>(v < 0 ? (v < -size.value() ? -1 : v + size.value()) : v, forward ? 0 : -1, size.value());
    s.end_mask[d] = forward ? v == size.value() : v == -1;
  } else {
    v = std::clamp<int64_t>(v, INT32_MIN, INT32_MAX);
    s.end_mask[d] = forward ? v == INT32_MAX : v == INT32_MIN;
  }
  s.end[d] = Part::of(s.end_mask[d] ? 0 : v);
}

// A backward slice that starts in front of the first element starts at it: ONNX clamps there. For MIL, as for numpy,
// nothing is left then.
void keep_inside(SliceArgs& s, OpBuilder& b, Value* x, size_t d) {
  const Part& given = s.begin[d];
  const Dim& size = x->dims()[d];
  if (s.begin_mask[d] || s.stride[d] > 0 ||
      (given.list == nullptr && given.number >= -std::max<int64_t>(1, size.range().lo)))
    return;
  Value* begin = list_of(b, {given});
  Value* first = size.known()
                     ? b.ints(std::vector<int64_t>{-size.value()})
                     : b.scale(sublist(b, b.shape(x), static_cast<int64_t>(d), static_cast<int64_t>(d) + 1), -1);
  s.begin[d] = Part::element(b.maximum(begin, b.cast(first, begin->dtype())), 0);
}

// Of axes or steps that only a run knows: each list is spread over all dims.
Value* slice_anywhere(OpBuilder& b, Value* x, const IntList& starts, const IntList& ends, const IntList& axes,
                      const std::optional<IntList>& steps) {
  DType dtype = DType::i32;
  for (const IntList* l : {&starts, &ends, &axes, steps ? &*steps : nullptr}) {
    if (l != nullptr && l->list != nullptr && l->list->dtype() == DType::i64) dtype = DType::i64;
  }
  const auto value = [&](const IntList& l) {
    return l.list != nullptr ? b.cast(l.list, dtype) : b.ints(l.numbers, dtype);
  };
  Value* at = value(axes);
  const auto spread = [&](int64_t otherwise, const IntList& list) {
    Value* all = b.ints(std::vector<int64_t>(x->dims().size(), otherwise), dtype);
    return b.emit("scatter",
                  {{"data", all}, {"indices", at}, {"updates", value(list)}, {"axis", 0}, {"mode", "update"}});
  };
  Value *begin = spread(0, starts), *end = spread(INT32_MAX, ends), *stride = steps ? spread(1, *steps) : nullptr;
  // A backward slice that starts in front of the first element starts at it: see keep_inside().
  begin = b.maximum(begin, b.cast(b.scale(b.shape(x), -1), dtype));
  return b.emit("slice_by_index", {{"x", x}, {"begin", begin}, {"end", end}, {"stride", stride}});
}

Values slice(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const std::optional<int64_t> length = sliced_axes(n);
  if (!length && n.version() >= 10) {
    // Not even how many axes are sliced is known.
    Value *start = n.in(1), *end = n.in(2), *at = n.has(3) ? n.in(3) : places_along(b, start, 0);
    for (const Value* list : {start, end, at}) {
      if (b.ok() && list->rank() != 1)
        return {n.refuse(Code::rank_mismatch, format("got a list {}", list->type.to_string()))};
    }
    return {slice_anywhere(b, x, {{}, start}, {{}, end}, {{}, at},
                           n.has(4) ? std::optional(IntList{{}, n.in(4)}) : std::nullopt)};
  }
  const std::optional<IntList> starts = read_bounds(n, "starts", 1, length), ends = read_bounds(n, "ends", 2, length);
  if (!starts || !ends || !b.ok()) return {n.refused()};
  std::optional<IntList> axes, steps;
  if (n.version() < 10) {
    if (n.has_attr("axes")) axes = IntList{n.ints("axes")};
  } else {
    axes = n.int_list(3, "axes", length);
    steps = n.int_list(4, "steps", length);
  }
  if (!b.ok()) return {n.refused()};
  const size_t count = starts->size();
  if (ends->size() != count || (axes && axes->size() != count) || (steps && steps->size() != count) ||
      count > x->dims().size()) {
    return {
        n.refuse(Code::shape_mismatch,
                 format("starts, ends, axes and steps do not have one entry each for some of the {} dims", x->rank()))};
  }
  if ((axes && axes->list != nullptr) || (steps && steps->list != nullptr)) {
    if (!axes) {
      axes.emplace();
      for (size_t i = 0; i < count; ++i) axes->numbers.push_back(static_cast<int64_t>(i));
    }
    return {slice_anywhere(b, x, *starts, *ends, *axes, steps)};
  }
  const size_t rank = x->dims().size();
  SliceArgs s{std::vector<Part>(rank), std::vector<Part>(rank), std::vector<int64_t>(rank, 1),
              std::vector<bool>(rank, true), std::vector<bool>(rank, true)};
  std::vector<bool> seen(rank, false);
  for (size_t i = 0; i < count; ++i) {
    const auto d = static_cast<size_t>(normal_axis(n, axes ? axes->numbers[i] : static_cast<int64_t>(i), x->rank()));
    if (seen[d]) return {n.refuse(Code::value_out_of_range, format("axis {} is given twice", d))};
    seen[d] = true;
    const int64_t step = steps ? std::clamp<int64_t>(steps->numbers[i], -INT32_MAX, INT32_MAX) : 1;
    if (step == 0) return {n.refuse(Code::value_out_of_range, "a step is 0")};
    if (x->dims()[d] == Dim(0)) continue;
    s.stride[d] = step;
    s.begin_mask[d] = s.end_mask[d] = false;
    if (ends->list == nullptr)
      number_end(s, d, x->dims()[d], ends->numbers[i]);
    else
      s.end[d] = Part::element(ends->list, static_cast<int64_t>(i));
    if (starts->list == nullptr)
      number_begin(s, d, x->dims()[d], starts->numbers[i]);
    else
      s.begin[d] = Part::element(starts->list, static_cast<int64_t>(i));
    keep_inside(s, b, x, d);
    s.changes |= !(s.begin_mask[d] && s.end_mask[d] && s.stride[d] == 1);
  }
  if (!b.ok()) return {n.refused()};
  if (!s.changes) return {x};
  Value *begin = list_of(b, s.begin), *end = list_of(b, s.end);
  const DType dtype = begin->dtype() == DType::i64 || end->dtype() == DType::i64 ? DType::i64 : DType::i32;
  const bool steps_one = std::all_of(s.stride.begin(), s.stride.end(), [](int64_t v) { return v == 1; });
  return {b.emit("slice_by_index", {{"x", x},
                                    {"begin", b.cast(begin, dtype)},
                                    {"end", b.cast(end, dtype)},
                                    {"stride", steps_one ? nullptr : b.ints(s.stride, dtype)},
                                    {"begin_mask", s.begin_mask},
                                    {"end_mask", s.end_mask}})};
}

// ---- picking by index ---------------------------------------------------------------------------------------------

// MIL's gathers have no bool: it goes through as a number.
template <class Pick>
Value* picked(OpBuilder& b, Value* x, Pick&& pick) {
  if (x->dtype() != DType::boolean) return pick(x);
  return b.through(DType::i32, pick, x);
}

Values gather(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *indices = n.in(1);
  const int axis = n.axis("axis", 0, x->rank());
  return {with_indices(n, b, indices, x, axis,
                       [&](Value* at) { return picked(b, x, [&](Value* v) { return b.gather(v, at, axis); }); })};
}

Values gather_elements(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *indices = n.in(1);
  const int axis = n.axis("axis", 0, x->rank());
  const auto direct = [&](Value* data, Value* at) {
    return picked(b, data, [&](Value* v) {
      return b.emit("gather_along_axis", {{"x", v}, {"indices", at}, {"axis", axis}});
    });
  };
  // ONNX lets the indices have fewer in the other dims, Core ML wants them equal.
  const auto cut = [&](Value* at) {
    Value* data = x;
    for (int d = 0; d < x->rank() && d < at->rank(); ++d) {
      if (d == axis || at->dim(d) == x->dim(d)) continue;
      if (!at->dim(d).known())
        return n.refuse(Code::dynamic_shape, format("dim {} of the indices, {}, may differ from the data's, {}", d,
                                                    at->dim(d).to_string(), x->dim(d).to_string()));
      data = slice_axis(b, data, d, 0, at->dim(d).value());
    }
    return direct(data, at);
  };
  return {with_indices(n, b, indices, x, axis,
                       [&](Value* at) { return b.first_of([&] { return direct(x, at); }, [&] { return cut(at); }); })};
}

constexpr Lowering kRows[] = {
    {"", "Concat", kSince<1, 4, 11, 13>, "inputs+ -> concat_result; axis", concat},
    {"", "Split", kSince<2, 11, 13, 18>, "input split?@13 -> outputs+; axis num_outputs@18 split<13", split},
    {"", "Slice", kSince<1, 10, 11, 13>,
     "data starts@10 ends@10 axes?@10 steps?@10 -> output; axes<10 ends<10 starts<10", slice},
    {"", "Gather", kSince<1, 11, 13>, "data indices -> output; axis", gather},
    {"", "GatherElements", kSince<11, 13>, "data indices -> output; axis", gather_elements},
    {"", "GatherND", kSince<11, 12, 13>, "data indices -> output; batch_dims@12", gather_nd},
};

}  // namespace

Values gather_nd(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *indices = n.in(1);
  const int64_t batch_dims = n.version() >= 12 ? n.i("batch_dims", 0) : 0;
  if (batch_dims < 0 || batch_dims >= std::min(x->rank(), indices->rank()))
    return {n.refuse(Code::value_out_of_range, format("batch_dims is {}", batch_dims))};
  // What is not addressed is left, so that the rank of the result tells the length of the lists.
  const int most = x->rank() - static_cast<int>(batch_dims);
  const std::optional<int> rank = most == 1 ? std::optional(indices->rank() - 1) : n.stated_rank(0);
  if (rank) indices = of_length(b, indices, indices->rank() - 1 + most - *rank);
  if (indices->rank() > 0 && !indices->dim(-1).known()) {
    if (std::optional<Values> later = n.put_off({ir::Type::unranked(x->dtype())})) return *later;
  }
  return {with_index_lists(n, b, indices, x, static_cast<int>(batch_dims), [&](Value* at) {
    return picked(b, x, [&](Value* v) {
      return batch_dims == 0 ? b.emit("gather_nd", {{"x", v}, {"indices", at}})
                             : b.emit("gather_nd", {{"x", v}, {"indices", at}, {"batch_dims", batch_dims}});
    });
  })};
}

LoweringRows joining_lowerings() { return kRows; }

}  // namespace graft::onnx
