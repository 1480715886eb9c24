// The same elements under another shape or in another order, and shapes as values.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

bool is_zero(const Dim& d) { return d == Dim(0); }

// The size that -1 stands for in every run; nullopt where a run may have none, or symbols do not cancel.
std::optional<Dim> open_size(const Dims& x, const Dims& to) {
  Dims over = x, under;
  for (const Dim& d : to) {
    if (d == Dim(-1)) continue;
    const auto same = std::find(over.begin(), over.end(), d);
    if (same != over.end())
      over.erase(same);
    else
      under.push_back(d);
  }
  const Dim a = ir::product(over), c = ir::product(under);
  if (c == Dim(1)) return a;
  if (!c.known() || c.value() <= 0) return std::nullopt;
  const Dim size = ir::floor_div(a, c);
  return ir::always_equal(size * c, a) ? std::optional(size) : std::nullopt;
}

Value* host_reshape(OpBuilder& b, Value* x, Value* shape, bool literal_zero) {
  return b.emit("host_reshape", {{"x", x}, {"shape", shape}, {"allowzero", literal_zero}});
}

Value* reshape_known(NodeView& n, OpBuilder& b, Value* x, Value* shape, Dims to, bool literal_zero) {
  for (size_t i = 0; i < to.size(); ++i) {
    if (!is_zero(to[i])) continue;
    if (literal_zero) continue;
    if (i >= x->dims().size())
      return n.refuse(Code::shape_mismatch, format("0 at place {} of the shape, the input has rank {}", i, x->rank()));
    to[i] = x->dims()[i];
  }
  const auto opens = std::count(to.begin(), to.end(), Dim(-1));
  if (opens > 1) return n.refuse(Code::value_out_of_range, format("shape {} has more than one -1", ir::to_string(to)));
  if (opens == 1) {
    if (std::any_of(to.begin(), to.end(), is_zero))
      return n.refuse(Code::shape_mismatch,
                      format("-1 can be any size beside a 0: {} into {}", x->type.to_string(), ir::to_string(to)));
    if (std::optional<Dim> size = open_size(x->dims(), to); size && (size->known() || ir::all_known(to)))
      *std::find(to.begin(), to.end(), Dim(-1)) = *size;
  }
  if (x->dims() == to) return x;
  if (ir::all_known(to) && std::find(to.begin(), to.end(), Dim(-1)) == to.end()) return b.reshape(x, to);
  if (std::optional<std::vector<int64_t>> numbers = ops::constant_shape(x->dims(), to))
    return b.emit("reshape", {{"x", x}, {"shape", std::move(*numbers)}});
  // A size of zero that copies nothing is one of the host's.
  const bool empties = literal_zero && std::any_of(to.begin(), to.end(), is_zero);
  const auto of_any_size = [&] { return host_reshape(b, x, shape, literal_zero); };
  if (empties) return of_any_size();
  return b.first_of(of_any_size, [&] { return b.reshape(x, shape_value(b, to, x, shape)); });
}

// A shape that only a run knows. MIL's 0 copies the dim counted from the right, ONNX's counted from the left, and a
// tensor without elements takes it as a size.
Value* reshape_unknown(NodeView& n, OpBuilder& b, Value* x, Value* shape, bool literal_zero) {
  const Dim length = shape->dim(0);
  if (!length.known() || length.value() > kMaxRank)
    return n.refuse(Code::dynamic_shape, "the rank of the result cannot be told: the length of the shape is not known");
  const int64_t rank = length.value();
  const auto of_any_size = [&] { return host_reshape(b, x, shape, literal_zero); };
  if (literal_zero && shape->range.lo <= 0) return of_any_size();
  return b.first_of(of_any_size, [&] {
    if (shape->range.lo > 0) return b.reshape(x, shape);
    constexpr int64_t kNothingToCopy = -2;  // no size, so that the run fails
    Value* dims = b.shape(x);
    std::vector<Part> own;
    for (int64_t i = 0; i < rank; ++i) own.push_back(i < x->rank() ? Part::element(dims, i) : Part::of(kNothingToCopy));
    Value* copied = b.cast(list_of(b, own), shape->dtype());
    return b.reshape(x, b.select(b.binary("equal", shape, b.like(shape, 0)), copied, shape));
  });
}

Values reshape(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *shape = n.in(1);
  if (shape->rank() != 1)
    return {n.refuse(Code::rank_mismatch, format("the shape must be a list, got {}", shape->type.to_string()))};
  const bool literal_zero = n.version() >= 14 && n.flag("allowzero");
  if (const std::optional<int> rank = n.stated_rank(0)) shape = of_length(b, shape, *rank);
  if (std::optional<Dims> to = n.dims(1)) return {reshape_known(n, b, x, shape, std::move(*to), literal_zero)};
  if (std::optional<Values> later = n.put_off_for(shape, x->dtype())) return *later;
  return {reshape_unknown(n, b, x, shape, literal_zero)};
}

Values flatten(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int axis = n.axis("axis", 1, x->rank(), true);
  const Dims to{ir::product(Dims(x->dims().begin(), x->dims().begin() + axis)),
                ir::product(Dims(x->dims().begin() + axis, x->dims().end()))};
  if (to[0].known() || to[1].known()) return {b.reshape(x, to)};
  return {b.emit("flatten2d", {{"x", x}, {"axis", axis}})};
}

Values squeeze(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const auto given = n.axes(13, x->rank(), n.stated_loss(x->rank()));
  if (!b.ok()) return {n.refused()};
  if (given && given->list != nullptr) return {b.emit("squeeze", {{"x", x}, {"axes", given->list}})};
  Ints axes = given ? given->known : Ints();
  if (!given) {
    for (int d = 0; d < x->rank(); ++d) {
      const Dim& size = x->dims()[static_cast<size_t>(d)];
      if (size == Dim(1)) axes.push_back(d);
      if (size != Dim(1) && !ir::never_equal(size, Dim(1))) {
        if (std::optional<Values> later = n.put_off({ir::Type::unranked(x->dtype())})) return *later;
        return {n.refuse(Code::dynamic_shape,
                         format("without axes the rank of the result hangs on whether '{}' is 1", size.to_string()))};
      }
    }
  }
  for (int64_t a : axes) {
    const Dim& size = x->dims()[static_cast<size_t>(a)];
    if (ir::never_equal(size, Dim(1)))
      return {n.refuse(Code::shape_mismatch, format("axis {} of {} is not 1", a, x->type.to_string()))};
  }
  return {b.squeeze(x, axes)};
}

Values unsqueeze(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const std::optional<int64_t> loss = n.stated_loss(x->rank());
  const std::optional<NodeView::IntList> given =
      n.version() < 13 ? NodeView::IntList{n.ints("axes")}
                       : n.int_list(1, "axes", loss ? std::optional(-*loss) : std::nullopt);
  if (!given) return {n.refuse(Code::invalid_model, "axes are missing")};
  if (given->list != nullptr) return {b.emit("expand_dims", {{"x", x}, {"axes", given->list}})};
  const std::vector<int64_t>& list = given->numbers;
  if (list.size() + x->dims().size() > static_cast<size_t>(kMaxRank))
    return {n.refuse(Code::limit_exceeded, format("the result would have rank {}", list.size() + x->dims().size()))};
  const int rank = x->rank() + static_cast<int>(list.size());
  Ints axes;
  for (int64_t a : list) {
    const int axis = normal_axis(n, a, rank);
    if (std::find(axes.begin(), axes.end(), axis) != axes.end())
      return {n.refuse(Code::value_out_of_range, format("axis {} is given twice", a))};
    axes.push_back(axis);
  }
  std::sort(axes.begin(), axes.end());
  return {b.expand_dims(x, axes)};
}

Values transpose(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  Ints perm;
  if (n.has_attr("perm")) {
    const std::vector<int64_t> given = n.ints("perm");
    if (given.size() != x->dims().size()) {
      return {n.refuse(Code::rank_mismatch,
                       format("perm has {} entries, the input is {}", given.size(), x->type.to_string()))};
    }
    for (int64_t p : given) perm.push_back(normal_axis(n, p, x->rank()));
  } else {
    for (int d = x->rank() - 1; d >= 0; --d) perm.push_back(d);
  }
  return {b.transpose(x, perm)};
}

// ---- shapes as values ---------------------------------------------------------------------------------------------

Values shape(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int64_t rank = x->rank();
  const auto place = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t from = n.version() < 15 ? 0 : place(n.i("start", 0));
  const int64_t to = n.version() < 15 || !n.has_attr("end") ? rank : std::max(from, place(n.i("end", rank)));
  const DType dtype = n.inside(DType::i64);
  const Dims part(x->dims().begin() + from, x->dims().begin() + to);
  if (ir::all_known(part)) {
    std::vector<int64_t> numbers;
    for (const Dim& d : part) numbers.push_back(d.value());
    return {b.ints(numbers, dtype)};
  }
  return {b.cast(sublist(b, b.shape(x), from, to), dtype)};
}

Values size(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const DType dtype = n.inside(DType::i64);
  const Dim count = ir::product(x->dims());
  if (count.known()) return {b.constant(ir::Constant::int_scalar(dtype, count.value()))};
  return {b.reduce("reduce_prod", b.cast(b.shape(x), dtype), {0}, false)};
}

constexpr Lowering kRows[] = {
    {"", "Reshape", kSince<5, 13, 14, 19, 21, 23>, "data shape -> reshaped; allowzero@14", reshape},
    {"", "Flatten", kSince<1, 9, 11, 13, 21, 23>, "input -> output; axis", flatten},
    {"", "Squeeze", kSince<1, 11, 13, 21, 23>, "data axes?@13 -> squeezed; axes<13", squeeze},
    {"", "Unsqueeze", kSince<1, 11, 13, 21, 23>, "data axes@13 -> expanded; axes<13", unsqueeze},
    {"", "Transpose", kSince<1, 13, 21, 23>, "data -> transposed; perm", transpose},
    {"", "Shape", kSince<1, 13, 15, 19, 21, 23>, "data -> shape; end@15 start@15", shape},
    {"", "Size", kSince<1, 13, 19, 21, 23>, "data -> size", size},
};

}  // namespace

LoweringRows shaping_lowerings() { return kRows; }

}  // namespace graft::onnx
