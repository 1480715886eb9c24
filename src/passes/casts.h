#pragma once

#include "ir/type.h"
#include "passes/pass.h"

namespace graft::passes {

// Removes casts to the dtype that is there already, and joins cast(cast(x)) where the one in the middle kept every
// value.
Result<int> join_casts(ir::Function& function, PassContext& context);

// Whether every value of `from` (integers: within range) is a value of `to`.
bool holds_all(DType from, IntRange range, DType to);

}  // namespace graft::passes
