#include "passes/fuse_conv.h"

#include <cmath>

#include "passes/match.h"
#include "passes/rewriter.h"

namespace graft::passes {
namespace {

// y = scale * x + shift per channel; empty: 1 and 0.
struct Affine {
  std::vector<double> scale, shift;
};

// The elements of a constant that has one value, or one per channel of a tensor of `rank` dims with channels at dim 1.
std::optional<std::vector<double>> per_channel(const Value* c, int rank, int64_t channels, double factor = 1) {
  if (!c->is_constant() || c->dtype() != DType::f32) return std::nullopt;
  if (c->constant->count() != 1) {
    const int axis = c->rank() - rank + 1;
    if (c->constant->count() != channels || axis < 0 || c->constant->shape()[axis] != channels) return std::nullopt;
  }
  const TensorView v = c->constant->view();
  std::vector<double> list(static_cast<size_t>(channels));
  for (int64_t i = 0; i < channels; ++i) {
    list[static_cast<size_t>(i)] = factor * element_as_double(v, v.count() == 1 ? 0 : i);
  }
  return list;
}

std::optional<std::vector<double>> parameter(const Op& op, std::string_view name, int64_t channels, double fallback) {
  const Value* v = op.arg(name);
  if (v == nullptr) return std::vector<double>(static_cast<size_t>(channels), fallback);
  if (v->rank() != 1) return std::nullopt;
  return per_channel(v, 2, channels);
}

std::optional<Affine> of_batch_norm(const Op& op, int64_t channels) {
  const auto mean = parameter(op, "mean", channels, 0), variance = parameter(op, "variance", channels, 1);
  const auto gamma = parameter(op, "gamma", channels, 1), beta = parameter(op, "beta", channels, 0);
  if (!mean || !variance || !gamma || !beta) return std::nullopt;
  const double epsilon = float_of(op, "epsilon");
  Affine a;
  for (size_t i = 0; i < mean->size(); ++i) {
    a.scale.push_back((*gamma)[i] / std::sqrt((*variance)[i] + epsilon));
    a.shift.push_back((*beta)[i] - (*mean)[i] * a.scale[i]);
  }
  return a;
}

std::optional<Affine> of_binary(const Op& op, int64_t channels) {
  const auto operands = with_constant(op);
  if (!operands) return std::nullopt;
  const bool constant_first = operands->constant == op.arg("x");
  const auto c = per_channel(operands->constant, op.result()->rank(), channels);
  if (!c) return std::nullopt;
  Affine a;
  if (op.is(Scalar::mul)) {
    a.scale = *c;
  } else if (op.is(Scalar::add)) {
    a.shift = *c;
  } else if (op.is(Scalar::sub)) {
    a.shift = *c;
    if (constant_first) {
      a.scale.assign(c->size(), -1);
    } else {
      for (double& v : a.shift) v = -v;
    }
  } else if (op.is(Scalar::real_div) && !constant_first) {
    for (double v : *c) a.scale.push_back(1 / v);
  } else {
    return std::nullopt;
  }
  return a;
}

bool all_finite(const std::vector<double>& v) {
  for (double x : v) {
    if (!std::isfinite(static_cast<float>(x))) return false;
  }
  return true;
}

Value* rounded(ops::OpBuilder& b, const std::vector<double>& v) {
  Tensor t(DType::f32, Shape{static_cast<int64_t>(v.size())});
  for (size_t i = 0; i < v.size(); ++i) t.span<float>()[i] = static_cast<float>(v[i]);
  return b.constant(ir::Constant::of(std::move(t)));
}

// conv: [out, in / groups, ...]; conv_transpose: [in, out / groups, ...].
Value* scaled_weight(ops::OpBuilder& b, const Op& conv, const std::vector<double>& scale) {
  const Value* w = conv.arg("weight");
  const Result<TensorView> elements = w->constant->aligned_view(b.bounds());
  if (!elements) return b.refuse(elements.error());
  const TensorView& view = *elements;
  Result<Tensor> t = Tensor::allocate(DType::f32, view.shape, b.bounds().memory);
  if (!t) return b.refuse(std::move(t).error());
  const bool transposed = conv.is(Kind::transposed_convolution);
  const int64_t inner = view.shape.product(transposed ? 2 : 1, view.rank());
  const int64_t out_per_group = view.shape[1];
  const int64_t in_per_group = view.shape[0] / std::max<int64_t>(int_of(conv, "groups"), 1);
  float* dst = t->span<float>().data();
  const char* src = static_cast<const char*>(view.data);
  for (int64_t row = 0, rows = view.count() / std::max<int64_t>(inner, 1); row < rows; ++row) {
    int64_t channel = row;
    if (transposed) channel = (row / out_per_group / in_per_group) * out_per_group + row % out_per_group;
    const double s = scale[static_cast<size_t>(channel)];
    for (int64_t i = row * inner; i < (row + 1) * inner; ++i) {
      float v;
      std::memcpy(&v, src + 4 * i, 4);
      dst[i] = static_cast<float>(s * v);
    }
  }
  Value* made = b.constant(ir::Constant::of(std::move(*t)), w->name);
  made->origin.merge(w->origin);
  return made;
}

std::optional<Values> absorb(Rewriter& rewriter, const Op& op) {
  const Value* y = op.arg("x");
  if (!op.is(Scalar::multiply_add)) {
    const auto operands = with_constant(op);
    if (!operands) return std::nullopt;
    y = operands->other;
  }
  const Op* conv = y->producer;
  if (conv == nullptr || (!conv->is(Kind::convolution) && !conv->is(Kind::transposed_convolution))) return std::nullopt;
  const Value *weight = conv->arg("weight"), *bias = conv->arg("bias");
  if (!weight->is_constant() || weight->dtype() != DType::f32 || (bias != nullptr && !bias->is_constant()))
    return std::nullopt;
  if (!rewriter.used_once(y) || op.result()->type != y->type || !y->dim(1).known()) return std::nullopt;
  const int64_t channels = y->dim(1).value();
  const std::optional<Affine> a = op.is(Scalar::multiply_add) ? of_batch_norm(op, channels) : of_binary(op, channels);
  auto shift = parameter(*conv, "bias", channels, 0);
  if (!a || !shift) return std::nullopt;
  for (size_t i = 0; i < shift->size(); ++i) {
    (*shift)[i] = (*shift)[i] * (a->scale.empty() ? 1 : a->scale[i]) + (a->shift.empty() ? 0 : a->shift[i]);
  }
  if (!all_finite(a->scale) || !all_finite(*shift)) return std::nullopt;
  ops::OpBuilder& b = rewriter.build();
  auto args = conv->args;
  if (!a->scale.empty())
    args[static_cast<size_t>(conv->row->param_index("weight"))] = {scaled_weight(b, *conv, a->scale)};
  if (bias != nullptr || !a->shift.empty())
    args[static_cast<size_t>(conv->row->param_index("bias"))] = {rounded(b, *shift)};
  return rewriter.emit_again(*conv, args);
}

std::optional<Values> take_padding(Rewriter& rewriter, const Op& op) {
  const Op* pad = made_by(op.arg("x"), Kind::pad);
  const int spatial = op.result()->rank() - 2;
  if (pad == nullptr || spatial < 1) return std::nullopt;
  const Value* fill = pad->arg("constant_val");
  if (text_of(*pad, "mode") != "constant" || (fill != nullptr && !is_scalar(fill, 0))) return std::nullopt;
  const std::string_view type = text_of(op, "pad_type");
  if (type != "valid" && type != "custom") return std::nullopt;
  const std::optional<Ints> amounts = ints_of(*pad, "pad");
  Ints own(2 * spatial, 0);
  if (type == "custom") {
    const std::optional<Ints> p = ints_of(op, "pad");
    if (!p || p->size() != 2 * spatial) return std::nullopt;
    own = *p;
  }
  if (!amounts || amounts->size() % 2 != 0) return std::nullopt;
  if (op.is(Kind::average_pool)) {
    // Zeros of the pad operator count in the mean; those of the pool must too, and rounding up sees other sizes.
    const bool pads = own != Ints(2 * spatial, 0);
    if (flag_of(op, "ceil_mode") || (pads && flag_of(op, "exclude_padding_from_average"))) return std::nullopt;
  }
  for (int i = 0; i < amounts->size(); ++i) {
    const int at = i - (amounts->size() - 2 * spatial);
    if ((*amounts)[i] < 0 || (at < 0 && (*amounts)[i] != 0)) return std::nullopt;
    if (at >= 0) own[at] += (*amounts)[i];
  }
  ops::OpBuilder& b = rewriter.build();
  auto args = op.args;
  const auto set = [&](std::string_view name, Value* v) { args[static_cast<size_t>(op.row->param_index(name))] = {v}; };
  set("x", pad->arg("x"));
  set("pad_type", b.constant(ir::Constant::text("custom")));
  set("pad", b.ints(own));
  if (op.is(Kind::average_pool))
    set("exclude_padding_from_average", b.constant(ir::Constant::int_scalar(DType::boolean, 0)));
  return rewriter.emit_again(op, args);
}

}  // namespace

Result<int> affine_into_conv(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) -> std::optional<Values> {
    for (const Scalar f : {Scalar::multiply_add, Scalar::mul, Scalar::add, Scalar::sub, Scalar::real_div}) {
      if (op.is(f)) return absorb(rewriter, op);
    }
    return std::nullopt;
  });
}

Result<int> pad_into_window(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) -> std::optional<Values> {
    return op.is(Kind::convolution) || op.is(Kind::average_pool) ? take_padding(rewriter, op) : std::nullopt;
  });
}

}  // namespace graft::passes
