// A kernel's epilogue in oneDNN's terms.
#include "engine/onednn/common.h"

namespace graft::engine {
namespace {

using dnnl::algorithm;
using ir::Scalar;
using EpiloguePart = Epilogue::Part;

struct Eltwise {
  Scalar function;
  algorithm plain, times_x;  // undef: oneDNN has none
};
constexpr Eltwise kEltwise[] = {
    {Scalar::relu, algorithm::eltwise_relu, algorithm::undef},
    {Scalar::clip, algorithm::eltwise_clip, algorithm::undef},
    {Scalar::sigmoid, algorithm::eltwise_logistic, algorithm::eltwise_swish},
    {Scalar::silu, algorithm::eltwise_swish, algorithm::undef},
    {Scalar::tanh, algorithm::eltwise_tanh, algorithm::undef},
    {Scalar::leaky_relu, algorithm::eltwise_relu, algorithm::undef},
    {Scalar::sigmoid_hard, algorithm::eltwise_hardsigmoid, algorithm::eltwise_hardswish},
    {Scalar::gelu, algorithm::eltwise_gelu_erf, algorithm::undef},
    {Scalar::gelu_tanh, algorithm::eltwise_gelu_tanh, algorithm::undef},
};

algorithm algorithm_of(const EpiloguePart& part) {
  for (const Eltwise& e : kEltwise) {
    if (e.function == part.function) return part.times_x ? e.times_x : e.plain;
  }
  return algorithm::undef;
}

bool has(const EpiloguePart& part) { return algorithm_of(part) != algorithm::undef; }

// Most clamp their argument by minimum and maximum, which on x86 give the bound where the other operand is NaN; which
// do differs between oneDNN's instruction sets. Only a function that multiplies by its argument keeps NaN for sure.
bool keeps_nan(const EpiloguePart& part) {
  const algorithm a = algorithm_of(part);
  return a == algorithm::eltwise_swish || (a == algorithm::eltwise_relu && part.alpha != 0);
}

}  // namespace

const EpilogueAbilities kOneDnnEpilogue{has, keeps_nan};

dnnl::post_ops post_ops_of(const Epilogue& epilogue, const Md& addend) {
  dnnl::post_ops ops;
  for (const EpiloguePart& part : epilogue.parts) {
    const algorithm a = algorithm_of(part);
    switch (part.kind) {
      case EpiloguePart::Kind::function:
        ops.append_eltwise(a, a == algorithm::eltwise_swish ? 1.0f : part.alpha, part.beta);
        break;
      case EpiloguePart::Kind::sum: ops.append_sum(1.0f); break;
      case EpiloguePart::Kind::add: ops.append_binary(algorithm::binary_add, addend); break;
    }
  }
  return ops;
}

}  // namespace graft::engine
