// Clean-up of operators that only move data or do nothing.
#pragma once

#include "passes/pass.h"

namespace graft::passes {

// identity, full slices, transposes and reshapes that change nothing, x * 1, x / 1, x - 0.
Result<int> remove_noops(ir::Function& function, PassContext& context);
// Several transposes in a row become one.
Result<int> merge_transposes(ir::Function& function, PassContext& context);
// reshape, squeeze and expand_dims in a row become one reshape, or nothing when they come back to where they began.
Result<int> merge_reshapes(ir::Function& function, PassContext& context);
// A reshape to a computed shape of which at most one dim is open gets a constant shape with -1: the operators that
// computed it are dead.
Result<int> constant_reshapes(ir::Function& function, PassContext& context);

}  // namespace graft::passes
