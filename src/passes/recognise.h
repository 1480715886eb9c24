// Compositions that MIL has an operator for. Exact forms only: constants within 1e-6 of what the operator uses, every
// intermediate used by the pattern alone (else nothing is saved), the operator legal for the target.
#pragma once

#include "passes/pass.h"

namespace graft::passes {

// x * sigmoid(x) -> silu; x * sigmoid(1.702 x), x/2 * (1 + erf(x / sqrt 2)), x/2 * (1 + tanh(...)) -> gelu.
Result<int> recognise_activations(ir::Function& function, PassContext& context);
// exp(x - max(x)) / sum(exp(x - max(x))) along one axis -> softmax.
Result<int> recognise_softmax(ir::Function& function, PassContext& context);
// (x - mean) / sqrt(variance + eps) over the last dims -> layer_norm; then * gamma, + beta into it.
Result<int> recognise_layer_norm(ir::Function& function, PassContext& context);
// 1 / sqrt(x + eps) -> rsqrt with epsilon.
Result<int> recognise_rsqrt(ir::Function& function, PassContext& context);

}  // namespace graft::passes
