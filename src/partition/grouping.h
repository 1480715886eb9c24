// Grouping nodes into partitions: the fewest convex partitions, by greedy alternation.
//
// Any way to cut a graph into convex partitions that can run one after the other is an order of the nodes in which each
// partition is contiguous; so the fewest partitions are the fewest runs of claimed nodes over all topological orders.
// Taking every node that is ready of one colour before turning to the other is optimal for a given first colour (each
// run ends only where it must, and ending later never hurts), and the first colour is tried both ways. Kahn's algorithm
// with two queues: linear in nodes and edges.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace graft::partition {

struct Group {
  bool claimed = false;
  std::vector<int> nodes;  // indices, ascending, which is a topological order
};

// `preds[i]`: the nodes whose results node i needs (all < i). claimed[i]: may node i be in a partition. Runs in
// execution order, colours alternating; every node is in exactly one run.
std::vector<Group> alternate_groups(std::span<const std::vector<int>> preds, const std::vector<bool>& claimed);

}  // namespace graft::partition
