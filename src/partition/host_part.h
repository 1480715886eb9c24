// What stays on the host of a partitioning whose partitions are final. Private to src/partition.
#pragma once

#include <unordered_set>

#include "partition/partition.h"

namespace graft::partition {

using Names = std::unordered_set<std::string_view>;
using Nodes = std::vector<const onnx::Node*>;

bool is_constant(const onnx::HostProgram& host, const std::string& name);
// What the nodes make of these names at run time, in the order it is made.
std::vector<std::string> outputs_of(const onnx::HostProgram& host, const Nodes& nodes, const Names& names);

// Host nodes whose results nobody reads any more (shapes that became constants) are folded, and so are claimed nodes
// that left no operator behind.
void settle_host_nodes(Partitioning& partitioning);
// The programs of the host's subgraphs. Errors: memory_limit, cancelled.
Status build_host_subgraphs(Partitioning& partitioning, const Bounds& bounds);

}  // namespace graft::partition
