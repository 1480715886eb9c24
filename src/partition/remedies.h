// What would change a refusal, found by attempting again; only what succeeds is printed. Private to src/partition.
#pragma once

#include "partition/partition.h"

namespace graft::partition {

// Adds remedies to the refusals of host nodes: a later target, fixed shapes.
void find_remedies(const onnx::HostProgram& host, const Options& options, ir::Opset newest,
                   std::vector<NodePlan>& nodes);

}  // namespace graft::partition
