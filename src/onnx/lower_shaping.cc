// The same elements under another shape or in another order, and shapes as values.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

bool is_zero(const Dim& d) { return d == Dim(0); }

// The size that -1 stands for, if dividing leaves a number or a dim; nullopt where symbols do not cancel.
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
  return ir::floor_div(a, c);
}

// A tensor without elements of exactly this shape.
Value* empty_tensor(Build& b, const Value* x, const Dims& dims) {
  std::vector<int64_t> shape;
  for (const Dim& d : dims) shape.push_back(d.value());
  return b.emit("fill", {{"shape", shape}, {"value", b.like(x, 0)}});
}

Value* reshape_known(NodeView& n, Build& b, Value* x, Value* shape, Dims to) {
  const bool literal_zero = n.version() >= 14 && n.flag("allowzero");
  bool copies = false;
  for (size_t i = 0; i < to.size(); ++i) {
    if (!is_zero(to[i]) || literal_zero) continue;
    if (i >= x->dims().size())
      return n.refuse(Code::shape_mismatch, format("0 at place {} of the shape, the input has rank {}", i, x->rank()));
    to[i] = x->dims()[i];
    copies = true;
  }
  const auto opens = std::count(to.begin(), to.end(), Dim(-1));
  if (opens > 1) return n.refuse(Code::value_out_of_range, format("shape {} has more than one -1", ir::to_string(to)));
  if (ir::all_known(to) && opens == 0 && std::any_of(to.begin(), to.end(), is_zero) &&
      is_zero(ir::product(x->dims())) && x->dtype() != DType::string) {
    return empty_tensor(b, x, to);
  }
  if (opens == 1) {
    if (std::optional<Dim> size = open_size(x->dims(), to); size && (size->known() || ir::all_known(to)))
      *std::find(to.begin(), to.end(), Dim(-1)) = *size;
  }
  const auto symbols = std::count_if(to.begin(), to.end(), [](const Dim& d) { return !d.known(); });
  const bool open = std::find(to.begin(), to.end(), Dim(-1)) != to.end();
  if (symbols + (open ? 1 : 0) <= 1) {
    if (x->dims() == to) return x;
    std::vector<int64_t> numbers;
    for (const Dim& d : to) numbers.push_back(d.known() ? d.value() : -1);
    return b.emit("reshape", {{"x", x}, {"shape", numbers}});
  }
  if (x->dims() == to) return x;
  const bool from_x = std::all_of(to.begin(), to.end(), [&](const Dim& d) {
    return d.known() || std::find(x->dims().begin(), x->dims().end(), d) != x->dims().end();
  });
  return b.reshape(x, copies || from_x ? shape_value(b, to, x, shape) : shape);
}

// A shape that only a run knows. MIL's 0 copies the dim counted from the right, ONNX's counted from the left.
Value* reshape_unknown(NodeView& n, Build& b, Value* x, Value* shape) {
  const Dim length = shape->dim(0);
  if (!length.known() || length.value() > kMaxRank)
    return n.refuse(Code::dynamic_shape, "the rank of the result cannot be told: the length of the shape is not known");
  const int64_t rank = length.value();
  // With allowzero a 0 is a size, which only a tensor without elements can have: MIL's reshape takes it so then.
  if (rank == x->rank() || rank == 0 || (n.version() >= 14 && n.flag("allowzero"))) return b.reshape(x, shape);
  std::vector<Part> own;
  Value* dims = b.shape(x);
  for (int64_t i = 0; i < rank; ++i) own.push_back(i < x->rank() ? Part::element(dims, i) : Part::of(0));
  Value* copied = b.cast(list_of(b, own), shape->dtype());
  return b.reshape(x, b.select(b.binary("equal", shape, b.like(shape, 0)), copied, shape));
}

Values reshape(NodeView& n, Build& b) {
  Value *x = n.in(0), *shape = n.in(1);
  if (x->poison || shape->poison) return {b.function().poison()};
  if (shape->rank() != 1)
    return {n.refuse(Code::rank_mismatch, format("the shape must be a list, got {}", shape->type.to_string()))};
  if (std::optional<Dims> to = n.dims(1)) return {reshape_known(n, b, x, shape, std::move(*to))};
  return {reshape_unknown(n, b, x, shape)};
}

Values flatten(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (x->poison) return {x};
  const int axis = n.axis("axis", 1, x->rank(), true);
  const Dims to{ir::product(Dims(x->dims().begin(), x->dims().begin() + axis)),
                ir::product(Dims(x->dims().begin() + axis, x->dims().end()))};
  if (std::any_of(to.begin(), to.end(), is_zero)) return {empty_tensor(b, x, to)};
  if (to[0].known() || to[1].known()) return {b.reshape(x, to)};
  return {b.emit("flatten2d", {{"x", x}, {"axis", axis}})};
}

Values squeeze(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (x->poison) return {x};
  std::optional<Ints> axes = n.axes("axes", 1, 13, x->rank());
  if (!axes) {
    axes.emplace();
    for (int d = 0; d < x->rank(); ++d) {
      const Dim& size = x->dims()[static_cast<size_t>(d)];
      if (size == Dim(1)) axes->push_back(d);
      if (size != Dim(1) && !ir::never_equal(size, Dim(1))) {
        return {n.refuse(Code::dynamic_shape,
                         format("without axes the rank of the result hangs on whether '{}' is 1", size.to_string()))};
      }
    }
  }
  for (int64_t a : *axes) {
    const Dim& size = x->dims()[static_cast<size_t>(a)];
    if (ir::never_equal(size, Dim(1)))
      return {n.refuse(Code::shape_mismatch, format("axis {} of {} is not 1", a, x->type.to_string()))};
  }
  return {b.squeeze(x, *axes)};
}

Values unsqueeze(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (x->poison) return {x};
  const std::optional<std::vector<int64_t>> list =
      n.version() >= 13 ? n.const_ints(1, "axes") : std::optional(n.ints("axes"));
  if (!list) return {n.refuse(Code::invalid_model, "axes are missing")};
  if (list->size() + x->dims().size() > static_cast<size_t>(kMaxRank))
    return {n.refuse(Code::limit_exceeded, format("the result would have rank {}", list->size() + x->dims().size()))};
  const int rank = x->rank() + static_cast<int>(list->size());
  Ints axes;
  for (int64_t a : *list) {
    const int axis = normal_axis(n, a, rank);
    if (std::find(axes.begin(), axes.end(), axis) != axes.end())
      return {n.refuse(Code::value_out_of_range, format("axis {} is given twice", a))};
    axes.push_back(axis);
  }
  std::sort(axes.begin(), axes.end());
  return {b.expand_dims(x, axes)};
}

Values transpose(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (x->poison) return {x};
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

Values shape(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (x->poison) return {x};
  const int64_t rank = x->rank();
  const auto place = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t from = n.version() < 15 ? 0 : place(n.i("start", 0));
  const int64_t to = n.version() < 15 || !n.has_attr("end") ? rank : std::max(from, place(n.i("end", rank)));
  const DType dtype = n.mapped(DType::i64);
  const Dims part(x->dims().begin() + from, x->dims().begin() + to);
  if (ir::all_known(part)) {
    std::vector<int64_t> numbers;
    for (const Dim& d : part) numbers.push_back(d.value());
    return {b.ints(numbers, dtype)};
  }
  return {b.cast(sublist(b, b.shape(x), from, to), dtype)};
}

Values size(NodeView& n, Build& b) {
  Value* x = n.in(0);
  if (x->poison) return {x};
  const DType dtype = n.mapped(DType::i64);
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
