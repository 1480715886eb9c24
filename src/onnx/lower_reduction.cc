// Reductions over axes, arguments of extremes.
#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// One ONNX reduction: its MIL operator, the version from which axes are an input, and whether it gives back the element
// where there is only one.
struct Reduction {
  const char* op;
  int axes_input_since;
  bool keeps_one;
};

Value* reduced(NodeView& n, OpBuilder& b, const Reduction& r, Value* x) {
  const bool keep = n.flag("keepdims", true);
  const auto given = n.axes(r.axes_input_since, x->rank(), keep ? std::nullopt : n.stated_loss(x->rank()));
  if (!b.ok()) return n.refused();
  if (given && given->list != nullptr) return b.emit(r.op, {{"x", x}, {"axes", given->list}, {"keep_dims", keep}});
  Ints axes = given ? given->known : Ints();
  if (axes.empty()) {
    if (n.version() >= r.axes_input_since && n.flag("noop_with_empty_axes")) {
      // Nothing is summed, but each element is still squared or the like: a reduction over a dim of one.
      if (r.keeps_one) return x;
      return b.reduce(r.op, b.expand_dims(x, {x->rank()}), {x->rank()}, false);
    }
    for (int d = 0; d < x->rank(); ++d) axes.push_back(d);
  }
  return b.reduce(r.op, x, axes, keep);
}

template <const Reduction& r>
Values reduce(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->dtype() != DType::boolean) return {reduced(n, b, r, x)};
  // Minimum and maximum, from version 20 on. Of nothing they are the ends of int32, which become true and false.
  Value* y = reduced(n, b, r, b.cast(x, DType::i32));
  return {b.binary("greater", y, b.like(y, 0))};
}

constexpr Reduction kMean{"reduce_mean", 18, true}, kSum{"reduce_sum", 13, true}, kMax{"reduce_max", 18, true},
    kMin{"reduce_min", 18, true}, kProd{"reduce_prod", 18, true}, kL1{"reduce_l1_norm", 18, false},
    kL2{"reduce_l2_norm", 18, false}, kLogSum{"reduce_log_sum", 18, false}, kLogSumExp{"reduce_log_sum_exp", 18, true},
    kSumSquare{"reduce_sum_square", 18, false};

// The first of equals; the last one is found from the other end.
template <const char* const& op>
Values arg(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int axis = n.axis("axis", 0, x->rank());
  const bool last = n.version() >= 12 && n.flag("select_last_index");
  if (last) x = b.emit("reverse", {{"x", x}, {"axes", Ints{axis}}});
  Value* i = b.emit(op, {{"x", x}, {"axis", axis}, {"keep_dims", n.flag("keepdims", true)}});
  if (last) {
    const Dim size = x->dim(axis);
    Value* count = size.known() ? b.like(i, static_cast<double>(size.value()))
                                : b.cast(b.squeeze(sublist(b, b.shape(x), axis, axis + 1), {0}), i->dtype());
    i = b.sub(b.sub(count, b.like(i, 1)), i);
  }
  return {b.cast(i, n.inside(DType::i64))};
}
constexpr const char* kArgMax = "reduce_argmax";
constexpr const char* kArgMin = "reduce_argmin";

// The axes became an input, for ReduceSum some versions before the others.
constexpr const char* kReduced = "data axes?@18 -> reduced; axes<18 keepdims noop_with_empty_axes@18";

constexpr Lowering kRows[] = {
    {"", "ReduceMean", kSince<1, 11, 13, 18>, kReduced, reduce<kMean>},
    {"", "ReduceSum", kSince<1, 11, 13>, "data axes?@13 -> reduced; axes<13 keepdims noop_with_empty_axes@13",
     reduce<kSum>},
    {"", "ReduceMax", kSince<1, 11, 12, 13, 18, 20>, kReduced, reduce<kMax>},
    {"", "ReduceMin", kSince<1, 11, 12, 13, 18, 20>, kReduced, reduce<kMin>},
    {"", "ReduceProd", kSince<1, 11, 13, 18>, kReduced, reduce<kProd>},
    {"", "ReduceL1", kSince<1, 11, 13, 18>, kReduced, reduce<kL1>},
    {"", "ReduceL2", kSince<1, 11, 13, 18>, kReduced, reduce<kL2>},
    {"", "ReduceLogSum", kSince<1, 11, 13, 18>, kReduced, reduce<kLogSum>},
    {"", "ReduceLogSumExp", kSince<1, 11, 13, 18>, kReduced, reduce<kLogSumExp>},
    {"", "ReduceSumSquare", kSince<1, 11, 13, 18>, kReduced, reduce<kSumSquare>},
    {"", "ArgMax", kSince<1, 11, 12, 13>, "data -> reduced; axis keepdims select_last_index@12", arg<kArgMax>},
    {"", "ArgMin", kSince<1, 11, 12, 13>, "data -> reduced; axis keepdims select_last_index@12", arg<kArgMin>},
};

}  // namespace

LoweringRows reduction_lowerings() { return kRows; }

}  // namespace graft::onnx
