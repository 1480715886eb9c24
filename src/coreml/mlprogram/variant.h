// Which variant of an operator an opset has, and whether an operator of the program fits it.
#pragma once

#include "ir/program.h"

namespace graft::coreml {

struct FittedOp {
  const ir::Signature* signature;
  ir::Call call;  // the arguments that the variant has; big constants by type only
};

// needs_later_target when the opset has no such operator, or when the operator uses a parameter that came later with
// another value than its default. The rows say what else does not fit.
Result<FittedOp> fit(const ir::Op& op, ir::Opset opset);

}  // namespace graft::coreml
