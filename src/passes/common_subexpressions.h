#pragma once

#include "passes/pass.h"

namespace graft::passes {

// One operator where several compute the same from the same arguments, and one value where several small constants have
// equal content. Only operators without effects; an operator in a branch may use an equal one outside it, never the
// other way round.
Result<int> common_subexpressions(ir::Function& function, PassContext& context);

}  // namespace graft::passes
