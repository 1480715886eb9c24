// Makes a function's interface one that Core ML has: inputs and outputs of fp32 and int32; every output a value of its
// own that an operator made, every input used.
#pragma once

#include <string>

#include "passes/pass.h"

namespace graft::passes {

// Gives how many ports have another element type than before: casts inside keep what the function computes, and who
// feeds the program converts, int64 values only where they are within int32. int64 and fp64 do not exist in Core ML:
// such a port is accepted where only casts touch it (an input) or a cast made it (an output), else refused as
// unsupported_dtype. An input of rank 0 becomes one of shape [1], since Core ML's arrays have a rank and Apple's tools
// refuse programs whose inputs have none; outputs of rank 0 are fine.
Result<int> coreml_io(ir::Function& function, PassContext& context);

// An identity for every output that is an input, a constant or another output, and for every input that no operator
// reads, since Core ML drops those. To be run last: dead_code and common_subexpressions would undo it.
Result<int> own_ports(ir::Function& function, PassContext& context);

}  // namespace graft::passes
