// Core ML's tensors have five dims at most. An operator on more is written on fewer: neighbours that it does not tell
// apart are one dim, dims of 1 are dropped, and a transposition that leaves more than five is made of several. Between
// such operators the elements only change their shape, so that reshapes in a row leave nothing of more dims.
#pragma once

#include "passes/pass.h"

namespace graft::passes {

// For a target before its passes; what cannot be written on fewer dims is left, and is refused for the target itself.
Result<int> low_rank(ir::Function& function, PassContext& context);

}  // namespace graft::passes
