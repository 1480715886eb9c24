// Normalisations and softmax.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// x * factor[c] + shift[c], c along dim 1: the parameters are shaped to [C, 1, ...].
Value* scaled_by_channel(OpBuilder& b, Value* x, Value* factor, Value* shift) {
  Ints axes;
  for (int d = 1; d < x->rank() - 1; ++d) axes.push_back(d);
  Value* y = b.mul(x, b.expand_dims(factor, axes));
  return b.add(y, b.expand_dims(shift, axes));
}

// Mean and variance of each channel of what is there.
std::array<Value*, 2> over_all_but_channels(OpBuilder& b, Value* x) {
  Ints axes;
  for (int d = 0; d < x->rank(); ++d) {
    if (d != 1) axes.push_back(d);
  }
  Value* mean = b.reduce("reduce_mean", x, axes, true);
  Value* variance = b.reduce("reduce_mean", b.unary("square", b.sub(x, mean)), axes, false);
  return {b.squeeze(mean, axes), variance};
}

Values batch_norm(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  Values p = n.all(1);
  const bool training = n.version() >= 14 && n.flag("training_mode");
  const bool by_channel = n.version() >= 9 || n.flag("spatial", true);
  // Before version 7 is_test says no more than that there is one output.
  for (int i = 1; i < n.outputs() && !training; ++i) {
    if (n.wants(i))
      return {n.refuse(Code::unsupported_attribute, "outputs of training are asked for; only Y is given")};
  }
  if (x->rank() < 2)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 2 or more", x->type.to_string()))};
  const DType stored = p[2]->dtype();
  for (Value*& v : p) {
    bool fits = by_channel || v->rank() == x->rank() - 1;
    for (int d = 0; !by_channel && fits && d < v->rank(); ++d) fits = !ir::never_equal(v->dim(d), x->dim(d + 1));
    if (!fits) {
      return {n.refuse(Code::shape_mismatch,
                       format("got a parameter {} for {}", v->type.to_string(), x->type.to_string()))};
    }
    if (by_channel && (v->rank() != 1 || ir::never_equal(v->dim(0), x->dim(1)))) {
      return {n.refuse(Code::shape_mismatch, format("got a parameter {}, takes one number for each of the {} channels",
                                                    v->type.to_string(), x->dim(1).to_string()))};
    }
    v = b.cast(v, x->dtype());
  }
  const double epsilon = n.f("epsilon", 1e-5f);
  Value *gamma = p[0], *beta = p[1], *mean = p[2], *variance = p[3];
  Values running;
  if (training) {
    const auto [m, v] = over_all_but_channels(b, x);
    const double momentum = n.f("momentum", 0.9f);
    for (const auto& [before, now] : {std::pair(mean, m), std::pair(variance, v)}) {
      Value* kept = b.scale(before, momentum);
      running.push_back(b.cast(b.add(kept, b.scale(now, 1 - momentum)), stored));
    }
    mean = m;
    variance = v;
  }
  const auto affine = [&] {
    Value* factor = b.mul(gamma, b.emit("rsqrt", {{"x", variance}, {"epsilon", epsilon}}));
    Value* shift = b.sub(beta, b.mul(mean, factor));
    return by_channel ? scaled_by_channel(b, x, factor, shift) : b.add(b.mul(x, factor), shift);
  };
  if (!by_channel) return {affine()};
  const auto direct = [&] {
    return b.emit(
        "batch_norm",
        {{"x", x}, {"mean", mean}, {"variance", variance}, {"gamma", gamma}, {"beta", beta}, {"epsilon", epsilon}});
  };
  Values all{b.first_of(direct, affine)};
  all.insert(all.end(), running.begin(), running.end());
  return all;
}

// The dims from `axis` on.
Ints last_axes(const Value* x, int axis) {
  Ints axes;
  for (int d = axis; d < x->rank(); ++d) axes.push_back(d);
  return axes;
}

bool has_dims(const Value* v, const Value* x, int axis) {
  return axis >= 0 && axis <= x->rank() && v->dims() == Dims(x->dims().begin() + axis, x->dims().end());
}

Values layer_norm(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = n.in(1), *bias = n.optional_in(2);
  if (x->rank() < 1) return {n.refuse(Code::rank_mismatch, "got a scalar, takes rank 1 or more")};
  const int axis = n.axis("axis", -1, x->rank());
  const double epsilon = n.f("epsilon", 1e-5f);
  Value* y = layer_norm_of(b, x, axis, scale, bias, epsilon);
  if (!n.wants(1) && !n.wants(2)) return {y};
  const Statistics s = statistics(b, x, axis, epsilon);
  return {y, b.cast(s.mean, DType::f32), b.cast(s.factor, DType::f32)};  // whatever x is
}

// ONNX Runtime's form gives the factor too.
Values rms_norm(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = n.in(1);
  if (x->rank() < 1) return {n.refuse(Code::rank_mismatch, "got a scalar, takes rank 1 or more")};
  const auto [y, factor] = rms_norm_of(b, x, n.axis("axis", -1, x->rank()), scale, n.f("epsilon", 1e-5f));
  return {y, n.wants(1) ? b.cast(factor, DType::f32) : factor};
}

Values instance_norm(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = n.in(1), *bias = n.in(2);
  if (x->rank() < 3)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 3 or more", x->type.to_string()))};
  const double epsilon = n.f("epsilon", 1e-5f);
  const auto direct = [&] {
    return b.emit("instance_norm", {{"x", x}, {"gamma", scale}, {"beta", bias}, {"epsilon", epsilon}});
  };
  return {b.first_of(direct, [&] {
    Value* y = b.emit("layer_norm", {{"x", x}, {"axes", last_axes(x, 2)}, {"epsilon", epsilon}});
    return scaled_by_channel(b, y, scale, bias);
  })};
}

// Scale and bias are per group in version 18, per channel from 21 on.
Values group_norm(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = n.in(1), *bias = n.in(2);
  const int64_t groups = n.required_i("num_groups");
  if (groups < 1) return {n.refuse(Code::invalid_attribute, format("num_groups is {}, takes 1 or more", groups))};
  if (x->rank() < 2)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 2 or more", x->type.to_string()))};
  const Dim channels = x->dim(1), each = ir::floor_div(channels, Dim(groups));
  if (ir::never_equal(each * Dim(groups), channels)) {
    return {n.refuse(Code::shape_mismatch,
                     format("{} does not split into {} groups of channels", x->type.to_string(), groups))};
  }
  Dims grouped{x->dim(0), Dim(groups), each};
  for (int d = 2; d < x->rank(); ++d) grouped[2] = grouped[2] * x->dim(d);
  Value* hint = x;
  const std::span<Value* const> hints(&hint, 1);
  Value* y = b.emit("layer_norm",
                    {{"x", b.reshape(x, grouped, hints)}, {"axes", Ints{2}}, {"epsilon", n.f("epsilon", 1e-5f)}});
  const auto whole = [&] { return b.reshape(y, x->dims(), hints); };
  if (n.version() >= 21) {
    y = whole();
    return {scaled_by_channel(b, y, scale, bias)};
  }
  y = b.mul(y, b.expand_dims(scale, {1}));
  y = b.add(y, b.expand_dims(bias, {1}));
  return {whole()};
}

// x / |x|, of whole rows of zeros x.
Values lp_norm(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int64_t p = n.i("p", 2);
  if (p != 1 && p != 2) return {n.refuse(Code::invalid_attribute, format("p is {}, takes 1 or 2", p))};
  const int axis = n.axis("axis", -1, x->rank());
  Value* norm = b.reduce(p == 1 ? "reduce_l1_norm" : "reduce_l2_norm", x, {axis}, true);
  Value* zero = b.binary("equal", norm, b.like(norm, 0));
  return {b.div(x, b.select(zero, b.like(norm, 1), norm))};
}

Values mean_variance_norm(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  std::vector<int64_t> axes = n.ints("axes", {0, 2, 3});
  for (int64_t& a : axes) a = normal_axis(n, a, x->rank());
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  Value* v = x->dtype() == DType::f64 ? x : b.cast(x, DType::f32);
  Value* centred = b.sub(v, b.reduce("reduce_mean", v, Ints(axes), true));
  Value* deviation = b.unary("sqrt", b.reduce("reduce_mean", b.unary("square", centred), Ints(axes), true));
  return {b.cast(b.div(centred, b.add(deviation, b.like(deviation, 1e-9))), x->dtype())};
}

// MIL's neighbours lie along the third dim from the end.
Values local_response_norm(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() < 2)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 2 or more", x->type.to_string()))};
  const Dims flat{x->dim(0), x->dim(1), ir::product(Dims(x->dims().begin() + 2, x->dims().end())), Dim(1)};
  Value* hints[] = {x};
  Value* y = b.emit("local_response_norm", {{"x", x->rank() == 4 ? x : b.reshape(x, flat, hints)},
                                            {"size", n.required_i("size")},
                                            {"alpha", n.f("alpha", 1e-4f)},
                                            {"beta", n.f("beta", 0.75)},
                                            {"k", n.f("bias", 1)}});
  return {x->rank() == 4 ? y : b.reshape(y, x->dims(), hints)};
}

// ---- softmax ------------------------------------------------------------------------------------------------------

Value* softmax_at(OpBuilder& b, Value* x, int axis) { return b.emit("softmax", {{"x", x}, {"axis", axis}}); }
// One at the first of the largest, zeros elsewhere.
Value* hardmax_at(OpBuilder& b, Value* x, int axis) {
  if (x->dim(axis) == Dim(0)) return x;
  Value* at = b.emit("reduce_argmax", {{"x", x}, {"axis", axis}, {"keep_dims", false}});
  return b.emit("one_hot", {{"indices", at},
                            {"one_hot_vector_size", size_along(b, x, axis)},
                            {"axis", axis},
                            {"on_value", b.like(x, 1)},
                            {"off_value", b.like(x, 0)}});
}

// Before version 13 all dims from `axis` on are one.
template <Value* (*at)(OpBuilder&, Value*, int)>
Values softmax(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int axis = n.axis("axis", n.version() < 13 ? 1 : -1, x->rank(), n.version() < 13);
  if (x->rank() == 0) {
    Value* y = at(b, b.expand_dims(x, {0}), 0);
    return {b.squeeze(y, {0})};
  }
  if (n.version() >= 13 || axis == x->rank() - 1) return {at(b, x, axis)};
  Dims flat(x->dims().begin(), x->dims().begin() + axis);
  flat.push_back(ir::product(Dims(x->dims().begin() + axis, x->dims().end())));
  Value* hint = x;
  const std::span<Value* const> hints(&hint, 1);
  Value* y = at(b, b.reshape(x, flat, hints), axis);
  return {b.reshape(y, x->dims(), hints)};
}

constexpr Lowering kRows[] = {
    {"", "BatchNormalization", kSince<1, 6, 7, 9, 14, 15>,
     "X scale B input_mean input_var -> Y running_mean? running_var? saved_mean?<14 saved_var?<14; epsilon is_test<7 "
     "momentum spatial<9 training_mode@14",
     batch_norm, "training before version 14"},
    {"", "LayerNormalization", kSince<17>, "X Scale B? -> Y Mean? InvStdDev?; axis epsilon stash_type", layer_norm},
    {"", "RMSNormalization", kSince<23>, "X scale -> Y; axis epsilon stash_type", rms_norm},
    {"", "SimplifiedLayerNormalization", kSince<1>, "X scale -> Y inv_std_var?; axis epsilon stash_type", rms_norm,
     "ONNX Runtime's"},
    {"", "InstanceNormalization", kSince<1, 6, 22>, "input scale B -> output; epsilon", instance_norm},
    {"", "GroupNormalization", kSince<18, 21>, "X scale bias -> Y; epsilon num_groups stash_type@21", group_norm},
    {"", "Softmax", kSince<1, 11, 13>, "input -> output; axis", softmax<softmax_at>},
    {"", "LogSoftmax", kSince<1, 11, 13>, "input -> output; axis", softmax<log_softmax_at>},
    {"", "Hardmax", kSince<1, 11, 13>, "input -> output; axis", softmax<hardmax_at>},
    {"", "LpNormalization", kSince<1, 22>, "input -> output; axis p", lp_norm},
    {"", "MeanVarianceNormalization", kSince<9, 13>, "X -> Y; axes", mean_variance_norm},
    {"", "LRN", kSince<1, 13>, "X -> Y; alpha beta bias size", local_response_norm},
};

}  // namespace

Statistics statistics(OpBuilder& b, Value* x, int axis, double epsilon) {
  const Ints axes = last_axes(x, axis);
  if (x->dtype() != DType::f64) x = b.cast(x, DType::f32);
  Value* mean = b.reduce("reduce_mean", x, axes, true);
  Value* variance = b.reduce("reduce_mean", b.unary("square", b.sub(x, mean)), axes, true);
  return {mean, b.emit("rsqrt", {{"x", variance}, {"epsilon", epsilon}})};
}

Value* layer_norm_of(OpBuilder& b, Value* x, int axis, Value* scale, Value* bias, double epsilon) {
  const Ints axes = last_axes(x, axis);
  const auto normalised = [&](Value* gamma, Value* beta) {
    return b.emit("layer_norm", {{"x", x}, {"axes", axes}, {"gamma", gamma}, {"beta", beta}, {"epsilon", epsilon}});
  };
  const auto apart = [&] {
    Value* y = b.mul(normalised(nullptr, nullptr), scale);
    return bias == nullptr ? y : b.add(y, bias);
  };
  // MIL's parameters have exactly the normalised dims.
  const bool fits = has_dims(scale, x, axis) && (bias == nullptr || has_dims(bias, x, axis));
  return fits ? b.first_of([&] { return normalised(scale, bias); }, apart) : apart();
}

std::array<Value*, 2> rms_norm_of(OpBuilder& b, Value* x, int axis, Value* scale, double epsilon) {
  Value* v = b.cast(x, x->dtype() == DType::f64 ? DType::f64 : DType::f32);
  Value* mean = b.reduce("reduce_mean", b.unary("square", v), last_axes(x, axis), true);
  Value* factor = b.emit("rsqrt", {{"x", mean}, {"epsilon", epsilon}});
  Value* y = b.mul(v, factor);
  return {b.mul(b.cast(y, scale->dtype()), scale), factor};
}

// Moved to a maximum of 0 first: the sum's logarithm would else be rounded as coarsely as x is large.
Value* log_softmax_at(OpBuilder& b, Value* x, int axis) {
  Value* moved = b.sub(x, b.reduce("reduce_max", x, {axis}, true));
  return b.sub(moved, b.reduce("reduce_log_sum_exp", moved, {axis}, true));
}
LoweringRows normalization_lowerings() { return kRows; }

}  // namespace graft::onnx
