#include "onnx/patterns.h"

#include <algorithm>

#include "base/format.h"

namespace graft::onnx {

Value* sublist(OpBuilder& b, Value* list, int64_t from, int64_t to) {
  if (from == 0 && list->dim(0) == Dim(to)) return list;
  return b.emit("slice_by_index",
                {{"x", list}, {"begin", std::vector<int64_t>{from}}, {"end", std::vector<int64_t>{to}}});
}

Value* list_of(OpBuilder& b, const std::vector<Part>& parts) {
  DType dtype = DType::i32;
  for (const Part& p : parts) {
    if (p.list != nullptr && p.list->dtype() == DType::i64) dtype = DType::i64;
    const IntRange i32 = int_range(DType::i32);
    if (p.list == nullptr && (p.number < i32.lo || p.number > i32.hi)) dtype = DType::i64;
  }
  // Neighbours of one list are taken in one slice.
  Values pieces;
  for (size_t i = 0; i < parts.size();) {
    size_t j = i + 1;
    if (parts[i].list == nullptr) {
      std::vector<int64_t> numbers;
      for (j = i; j < parts.size() && parts[j].list == nullptr; ++j) numbers.push_back(parts[j].number);
      pieces.push_back(b.ints(numbers, dtype));
    } else {
      while (j < parts.size() && parts[j].list == parts[i].list && parts[j].at == parts[j - 1].at + 1) ++j;
      pieces.push_back(b.cast(sublist(b, parts[i].list, parts[i].at, parts[j - 1].at + 1), dtype));
    }
    i = j;
  }
  if (pieces.empty()) return b.ints({}, dtype);
  return b.concat(pieces, 0);
}

Value* scalar_of(OpBuilder& b, Value* v) { return v->rank() == 0 ? v : b.reshape(v, Dims{}); }

Value* size_along(OpBuilder& b, Value* x, int d) {
  Value* hints[] = {x};
  return b.squeeze(b.dims_value({x->dim(d)}, hints), {0});
}

Value* places_along(OpBuilder& b, Value* x, int d) {
  Value* count = size_along(b, x, d);
  return b.emit("range_1d", {{"end", count}, {"start", b.like(count, 0)}, {"step", b.like(count, 1)}});
}

Value* shape_value(OpBuilder& b, const Dims& dims, Value* x, Value* shape) {
  Value* own = nullptr;
  std::vector<Part> parts;
  for (size_t i = 0; i < dims.size(); ++i) {
    const auto at = std::find(x->dims().begin(), x->dims().end(), dims[i]);
    if (dims[i].known()) {
      parts.push_back(Part::of(dims[i].value()));
    } else if (at != x->dims().end()) {
      if (own == nullptr) own = b.shape(x);
      parts.push_back(Part::element(own, at - x->dims().begin()));
    } else {
      parts.push_back(Part::element(shape, static_cast<int64_t>(i)));
    }
  }
  return list_of(b, parts);
}

Value* broadcast_to(OpBuilder& b, Value* x, Value* shape) {
  if (!shape->dim(0).known() || shape->dim(0).value() > kMaxRank) {
    return b.refuse(Code::dynamic_shape, "the rank of the result cannot be told: the length of the shape is not known");
  }
  const int wanted = static_cast<int>(shape->dim(0).value()), rank = std::max(wanted, x->rank());
  // An index in the sizes of a tensor that is there: Apple's tools see that those are the same.
  const ir::Op* made = shape->producer;
  const Value* sized = made != nullptr && made->is(ir::Kind::sizes) ? made->arg("x") : nullptr;
  if (sized != nullptr && sized->rank() >= x->rank() && is_int(x->dtype()) && x->is_constant() &&
      x->constant->count() == 1) {
    Value* value = b.constant(ir::Constant::reshape(x->constant, Shape{}));
    return b.emit("fill_like", {{"ref_tensor", made->arg("x")}, {"value", value}});
  }
  std::optional<Dims> to = shape->content;
  if (shape->is_constant()) {
    to.emplace();
    for (int64_t i = 0; i < wanted; ++i) to->emplace_back(element_as_int(shape->constant->view(), i));
  }
  Ints lead;
  for (int d = 0; d < rank - x->rank(); ++d) lead.push_back(d);
  Value* y = b.expand_dims(x, lead);
  // How often each dim repeats: only a dim of 1 does. One whose two sizes cannot be compared is left to arithmetic.
  std::vector<Part> reps(static_cast<size_t>(rank), Part::of(1));
  bool repeats = false, open = !to.has_value();
  for (int d = rank - wanted; to && d < rank; ++d) {
    const Dim &have = y->dim(d), &want = (*to)[static_cast<size_t>(d - (rank - wanted))];
    if (want.range().hi < 0)
      return b.refuse(Code::value_out_of_range, format("size {} in the shape", want.to_string()));
    if (want == Dim(1) || have == want) continue;
    if (have == Dim(1)) {
      reps[static_cast<size_t>(d)] = want.known() ? Part::of(want.value()) : Part::element(shape, d - (rank - wanted));
      repeats = true;
    } else if (ir::never_equal(have, want) && (have.range().lo > 1 || have == Dim(0)) &&
               (want.range().lo > 1 || want == Dim(0))) {
      return b.refuse(Code::shape_mismatch,
                      format("{} does not expand to {}", x->type.to_string(), ir::to_string(*to)));
    } else {
      open = true;
    }
  }
  if (!open) return repeats ? b.emit("tile", {{"x", y}, {"reps", list_of(b, reps)}}) : y;
  // Ones of the shape multiply every number unchanged; other types are chosen from twice the same.
  if (is_float(x->dtype()) || is_int(x->dtype()))
    return b.mul(y, b.emit("fill", {{"shape", shape}, {"value", b.like(x, 1)}}));
  return b.select(b.emit("fill", {{"shape", shape}, {"value", b.scalar(DType::boolean, 1)}}), y, y);
}

Value* wrapped(OpBuilder& b, Value* indices, Value* count) {
  Value* negative = b.binary("less", indices, b.like(indices, 0));
  return b.select(negative, b.add(indices, count), indices);
}

namespace {

// Indices of which -n..n-1 are legal, counted up. Others are wrong on every runtime, and nothing is promised of them.
Value* counted_up(OpBuilder& b, Value* indices, Value* count) {
  Value* v = wrapped(b, indices, count);
  if (b.ok() && !v->is_constant()) v->range.lo = std::max<int64_t>(v->range.lo, 0);
  return v;
}

// Refuses a constant index outside -n..n-1 of a dim known. `count` entries from `first` on, `step` apart.
bool inside(NodeView& n, const TensorView& indices, const Dim& size, int64_t first, int64_t step) {
  for (int64_t i = first; size.known() && i < indices.count(); i += step) {
    const int64_t at = element_as_int(indices, i);
    if (at >= -size.value() && at < size.value()) continue;
    n.refuse(Code::value_out_of_range, format("index {} is outside a dim of {}", at, size.value()));
    return false;
  }
  return true;
}

}  // namespace

Value* with_indices(NodeView& n, OpBuilder& b, Value* indices, Value* x, int axis, const WithIndices& f) {
  const Dim size = x->dim(axis);
  if (indices->is_constant() && !inside(n, indices->constant->view(), size, 0, 1)) return n.refused();
  const auto from_zero = [&] {
    if (ir::operand_of(*indices).never_negative()) return f(indices);  // refused for another reason
    Value* count = size.known() ? b.like(indices, static_cast<double>(size.value()))
                                : b.cast(b.squeeze(sublist(b, b.shape(x), axis, axis + 1), {0}), indices->dtype());
    return f(counted_up(b, indices, count));
  };
  return b.first_of([&] { return f(indices); }, from_zero);
}

Value* of_length(OpBuilder& b, Value* lists, int64_t length) {
  if (lists->rank() < 1 || lists->dim(-1).known() || length < 0) return lists;
  Dims dims = lists->dims();
  dims.back() = Dim(length);
  return b.reshape(lists, dims);
}

Value* with_index_lists(NodeView& n, OpBuilder& b, Value* indices, Value* x, int batch_dims, const WithIndices& f) {
  if (indices->rank() >= 1 && !indices->dim(-1).known()) {
    return n.refuse(Code::dynamic_shape,
                    format("the length of the lists of indices, {}, is not known", indices->dim(-1).to_string()));
  }
  if (indices->rank() < 1 || indices->dim(-1).value() + batch_dims > x->rank()) {
    return n.refuse(Code::shape_mismatch,
                    format("indices {} do not fit {}", indices->type.to_string(), x->type.to_string()));
  }
  const int64_t depth = indices->dim(-1).value();
  for (int64_t k = 0; k < depth && indices->is_constant(); ++k) {
    if (!inside(n, indices->constant->view(), x->dim(batch_dims + static_cast<int>(k)), k, depth)) return n.refused();
  }
  const auto from_zero = [&] {
    if (ir::operand_of(*indices).never_negative()) return f(indices);  // refused for another reason
    std::vector<Part> sizes;
    Value* shape = nullptr;
    for (int d = batch_dims; d < batch_dims + depth; ++d) {
      if (!x->dim(d).known() && shape == nullptr) shape = b.shape(x);
      sizes.push_back(x->dim(d).known() ? Part::of(x->dim(d).value()) : Part::element(shape, d));
    }
    return f(counted_up(b, indices, b.cast(list_of(b, sizes), indices->dtype())));
  };
  return b.first_of([&] { return f(indices); }, from_zero);
}

int normal_axis(NodeView& n, int64_t axis, int rank) {
  if (axis >= -rank && axis < rank) return static_cast<int>(axis < 0 ? axis + rank : axis);
  n.refuse(Code::value_out_of_range, format("axis {} is outside -{}..{}", axis, rank, rank - 1));
  return 0;
}

}  // namespace graft::onnx
