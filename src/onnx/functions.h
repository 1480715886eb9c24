// Model-local functions put in place of their calls. A part of prepare().
#pragma once

#include "onnx/graph.h"

namespace graft::onnx {

// Replaces every call, in bodies too; gives every node its id, its name and the opset version that holds for it; moves
// nothing else. Names of values inside a function become "<name of the call>/<name>", made unique in the model.
// invalid_model: recursion, arguments that do not fit. limit_exceeded: too deep, too many nodes, too much memory.
Status inline_functions(Model& model, const Limits& limits);

}  // namespace graft::onnx
