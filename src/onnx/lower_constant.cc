// Values made from attributes and shapes.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// The one attribute of the node; null if there is none of a kind that Constant knows.
ir::ConstantPtr attribute_value(const Node& node) {
  for (const Attribute& a : node.attributes) {
    using T = Attribute::Type;
    if (a.name == "value" && a.type == T::tensor) return a.t;
    if (a.name == "sparse_value" && a.type == T::tensor) return a.t;
    if (a.name == "value_float" && a.type == T::float_)
      return ir::Constant::scalar(DType::f32, static_cast<double>(a.f));
    if (a.name == "value_floats" && a.type == T::floats) return list_constant(DType::f32, a.floats);
    if (a.name == "value_int" && a.type == T::int_) return ir::Constant::int_scalar(DType::i64, a.i);
    if (a.name == "value_ints" && a.type == T::ints) return ir::Constant::ints(DType::i64, a.ints);
    if (a.name == "value_string" && a.type == T::string) return ir::Constant::text(a.s);
    if (a.name == "value_strings" && a.type == T::strings) return list_constant(DType::string, a.strings);
  }
  return nullptr;
}

// An int64 constant that int32 cannot hold stays as it is also in a Core ML build: a consumer that gives saturation the
// same meaning reads it, any other one refuses the dtype.
Values constant(NodeView& n, OpBuilder& b) {
  const ir::ConstantPtr c = attribute_value(n.node());
  if (c == nullptr) {
    return {n.refuse(Code::invalid_attribute,
                     "takes one of value, sparse_value, value_float(s), value_int(s), value_string(s)")};
  }
  return {b.first_of([&] { return n.constant(c); }, [&] { return b.constant(c); })};
}

Values constant_of_shape(NodeView& n, OpBuilder& b) {
  Value* shape = n.in(0);
  if (const std::optional<int> rank = n.stated_rank(0)) shape = of_length(b, shape, *rank);
  Value* value = b.scalar(DType::f32, 0);
  if (n.has_attr("value")) {
    const Attribute* a = n.attr("value");
    if (a->type != Attribute::Type::tensor || a->t->count() != 1)
      return {n.refuse(Code::invalid_attribute, "attribute 'value' must be a tensor of one element")};
    value = n.constant(ir::Constant::reshape(a->t, Shape{}));
  }
  if (std::optional<Values> later = n.put_off_for(shape, value->dtype())) return *later;
  return {b.emit("fill", {{"shape", shape}, {"value", value}})};
}

Values expand(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *shape = n.in(1);
  // A result of more dims than x has those of the shape.
  if (const std::optional<int> rank = n.stated_rank(0); rank && *rank > x->rank()) shape = of_length(b, shape, *rank);
  if (std::optional<Values> later = n.put_off_for(shape, x->dtype())) return *later;
  return {broadcast_to(b, x, shape)};
}

Values tile(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *reps = n.in(1);
  if (x->rank() == 0) return {x};
  return {b.emit("tile", {{"x", x}, {"reps", of_length(b, reps, x->rank())}})};
}

constexpr Lowering kRows[] = {
    {"", "Constant", kSince<1, 9, 11, 12, 13, 19, 21, 23>,
     "-> output; sparse_value@11 value value_float@12 value_floats@12 value_int@12 value_ints@12 value_string@12 "
     "value_strings@12",
     constant},
    {"", "ConstantOfShape", kSince<9, 20, 21, 23>, "input -> output; value", constant_of_shape},
    {"", "Expand", kSince<8, 13>, "input shape -> output", expand},
    {"", "Tile", kSince<6, 13>, "input repeats -> output", tile},
    {"", "Range", kSince<11>, "start limit delta -> output; stash_type@27", range},
};

}  // namespace

// end - start by step, all run-time values where need be.
Values range(NodeView& n, OpBuilder& b) {
  Value *start = n.in(0), *limit = n.in(1), *step = n.has(2) ? n.in(2) : b.like(start, 1);
  const auto scalar = [&](Value* v) {
    if (v->rank() == 0) return v;
    return b.reshape(v, Dims{});
  };
  return {b.emit("range_1d", {{"end", scalar(limit)}, {"start", scalar(start)}, {"step", scalar(step)}})};
}

LoweringRows constant_lowerings() { return kRows; }

}  // namespace graft::onnx
