// What is done to a result before it is stored: activations, and additions of values that exist already.
#include "engine/onednn/common.h"

namespace graft::engine {
namespace {

using dnnl::algorithm;

constexpr std::pair<ir::Scalar, algorithm> kFunctions[] = {
    {ir::Scalar::relu, algorithm::eltwise_relu},
    {ir::Scalar::clip, algorithm::eltwise_clip},
    {ir::Scalar::sigmoid, algorithm::eltwise_logistic},
    {ir::Scalar::silu, algorithm::eltwise_swish},
    {ir::Scalar::tanh, algorithm::eltwise_tanh},
    {ir::Scalar::leaky_relu, algorithm::eltwise_relu},
    {ir::Scalar::sigmoid_hard, algorithm::eltwise_hardsigmoid},
    {ir::Scalar::gelu, algorithm::eltwise_gelu_erf},
    {ir::Scalar::gelu_tanh, algorithm::eltwise_gelu_tanh},
};

// The function that this operator applies to its `x`, if oneDNN has it.
std::optional<Activation> function_of(const Selection& s, int n) {
  if (s.node(n).op->kind() != ir::Kind::pointwise) return std::nullopt;
  const ir::Call call = s.call(n);
  const ir::Pointwise f = ir::pointwise_of(call);
  const auto at = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                               [&](const auto& entry) { return entry.first == f.function; });
  if (at == std::end(kFunctions)) return std::nullopt;
  Activation a{
      at->second, static_cast<float>(f.numbers[0]), static_cast<float>(f.numbers[1]), {n}, s.node(n).results[0]};
  if (a.algorithm == algorithm::eltwise_swish) a.alpha = 1;
  if (call.error()) return std::nullopt;
  // Most clamp their argument by minimum and maximum, which on x86 give the bound where the other operand is NaN; which
  // do differs between oneDNN's instruction sets. Only a function that multiplies by its argument keeps NaN for sure.
  const bool keeps_nan =
      a.algorithm == algorithm::eltwise_swish || (a.algorithm == algorithm::eltwise_relu && a.alpha != 0);
  if (!keeps_nan && !s.may_drop_nan()) return std::nullopt;
  return a;
}

}  // namespace

std::optional<Activation> activation_of(const Selection& s, int value) {
  if (const int n = s.sole_consumer(value); n >= 0) {
    const int x = s.arg(n, "x");
    return x == value ? function_of(s, n) : std::nullopt;
  }
  // x * f(x)
  const PlanValue& v = s.value(value);
  if (v.kept || v.consumers.size() != 2) return std::nullopt;
  for (const int n : v.consumers) {
    std::optional<Activation> f = function_of(s, n);
    if (!f || (f->algorithm != algorithm::eltwise_logistic && f->algorithm != algorithm::eltwise_hardsigmoid)) continue;
    const int product = s.sole_consumer(f->result);
    if (product < 0 || !s.node(product).op->is(ir::Scalar::mul)) continue;
    const int a = s.arg(product, "x"), b = s.arg(product, "y");
    if (!((a == value && b == f->result) || (b == value && a == f->result))) continue;
    if (f->algorithm == algorithm::eltwise_logistic) {
      f->algorithm = algorithm::eltwise_swish;
      f->alpha = 1;
    } else {
      f->algorithm = algorithm::eltwise_hardswish;
    }
    f->nodes.push_back(product);
    f->result = s.node(product).results[0];
    return f;
  }
  return std::nullopt;
}

namespace {

// The other operand of an addition that is the only use of `value` and has its shape; -1 if there is none.
int added_to(const Selection& s, int value, int& node) {
  node = s.sole_consumer(value);
  if (node < 0 || !s.node(node).op->is(ir::Scalar::add)) return -1;
  const int a = s.arg(node, "x"), b = s.arg(node, "y");
  const int other = a == value ? b : a;
  if (other == value || !s.available(other) || s.value(other).dtype() != s.value(value).dtype()) return -1;
  return s.value(other).shape == s.value(value).shape ? other : -1;
}

bool dies_in_sum(const Selection& s, int other, const std::vector<int>& head_in) {
  const PlanValue& v = s.value(other);
  return v.where == PlanValue::Where::computed && v.root == other && v.consumers.size() == 1 && !v.kept &&
         v.copies.empty() && v.dtype() == DType::f32 &&
         std::find(head_in.begin(), head_in.end(), other) == head_in.end();
}

}  // namespace

Tail only_head(int head, int result) {
  Tail t;
  t.nodes = {head};
  t.result = result;
  return t;
}

Tail absorb(const Selection& s, int head, int result, const std::vector<int>& head_in, bool by_sum) {
  Tail t = only_head(head, result);
  constexpr size_t kMost = 4;
  while (s.fusing() && t.followers.size() < kMost) {
    if (const auto a = activation_of(s, t.result)) {
      t.followers.push_back({Follower::Kind::activation, a->algorithm, a->alpha, a->beta});
      t.nodes.insert(t.nodes.end(), a->nodes.begin(), a->nodes.end());
      t.result = a->result;
      continue;
    }
    int node = -1;
    const int other = added_to(s, t.result, node);
    if (other < 0) break;
    if (by_sum && t.added.empty() && dies_in_sum(s, other, head_in)) t.sum = true;
    t.added_at.push_back(static_cast<int>(t.followers.size()));
    t.followers.push_back({t.sum && t.added.empty() ? Follower::Kind::sum : Follower::Kind::add});
    t.added.push_back(other);
    t.nodes.push_back(node);
    t.result = s.node(node).results[0];
  }
  return t;
}

dnnl::post_ops Tail::post_ops(const Md& addend) const {
  dnnl::post_ops ops;
  for (const Follower& f : followers) {
    switch (f.kind) {
      case Follower::Kind::activation: ops.append_eltwise(f.algorithm, f.alpha, f.beta); break;
      case Follower::Kind::sum: ops.append_sum(1.0f); break;
      case Follower::Kind::add: ops.append_binary(algorithm::binary_add, addend); break;
    }
  }
  return ops;
}

}  // namespace graft::engine
