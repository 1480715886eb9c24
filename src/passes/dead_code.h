#pragma once

#include "passes/pass.h"

namespace graft::passes {

// Removes operators whose results nobody uses. Operators that write state or draw random numbers stay: their effect is
// their use. Returns how many were removed, nested ones included.
Result<int> dead_code(ir::Function& function, PassContext& context);

}  // namespace graft::passes
