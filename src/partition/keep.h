// Names that users give to parts of a model.
#pragma once

#include <span>

#include "onnx/graph.h"
#include "passes/pass.h"

namespace graft::partition {

// The nodes, those in bodies included, that have one of these names, make a tensor of that name, or are of that
// operator type; a node stands for all in its bodies. Errors: invalid_option for a name that means nothing here, with
// those that are most like it.
Result<passes::KeptNodes> kept_nodes(const onnx::Graph& graph, std::span<const std::string> names);

}  // namespace graft::partition
