#include "partition/grouping.h"

#include <algorithm>
#include <functional>
#include <queue>

namespace graft::partition {
namespace {

std::vector<Group> groups_from(std::span<const std::vector<int>> preds, const std::vector<bool>& claimed, bool first) {
  const size_t n = preds.size();
  std::vector<int> missing(n);
  std::vector<std::vector<int>> succs(n);
  std::vector<int> ready[2];
  for (size_t i = 0; i < n; ++i) {
    missing[i] = static_cast<int>(preds[i].size());
    for (int p : preds[i]) succs[static_cast<size_t>(p)].push_back(static_cast<int>(i));
    if (missing[i] == 0) ready[claimed[i]].push_back(static_cast<int>(i));
  }
  std::vector<Group> groups;
  for (bool colour = first; !ready[0].empty() || !ready[1].empty(); colour = !colour) {
    Group group;
    group.claimed = colour;
    std::vector<int>& queue = ready[colour];
    while (!queue.empty()) {
      const int i = queue.back();
      queue.pop_back();
      group.nodes.push_back(i);
      for (int s : succs[static_cast<size_t>(i)]) {
        if (--missing[static_cast<size_t>(s)] == 0) ready[claimed[static_cast<size_t>(s)]].push_back(s);
      }
    }
    std::sort(group.nodes.begin(), group.nodes.end());
    if (!group.nodes.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

auto partitions(const std::vector<Group>& groups) {
  return std::count_if(groups.begin(), groups.end(), [](const Group& r) { return r.claimed; });
}

}  // namespace

std::vector<Group> alternate_groups(std::span<const std::vector<int>> preds, const std::vector<bool>& claimed) {
  std::vector<Group> claimed_first = groups_from(preds, claimed, true), host_first = groups_from(preds, claimed, false);
  return partitions(host_first) <= partitions(claimed_first) ? host_first : claimed_first;
}

}  // namespace graft::partition
