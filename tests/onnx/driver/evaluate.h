// Runs a function with the rows' reference kernels, operator by operator: what lowerings mean, with nothing between.
#pragma once

#include <span>
#include <vector>

#include "ir/program.h"

namespace graft::test {

// Inputs in the order of function.inputs; gives the outputs in theirs.
Result<std::vector<Tensor>> evaluate(const ir::Function& function, std::span<const Tensor> inputs);

}  // namespace graft::test
