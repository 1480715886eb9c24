#pragma once

#include "passes/pass.h"

namespace graft::passes {

// transpose of the last two dims before matmul becomes matmul's own flag.
Result<int> transpose_into_matmul(ir::Function& function, PassContext& context);
// matmul by a constant matrix, and the addition of a constant vector to it, become linear, for x of rank 2 and 3 (the
// ranks that Core ML documents). Weights are transposed lazily.
Result<int> matmul_to_linear(ir::Function& function, PassContext& context);

}  // namespace graft::passes
