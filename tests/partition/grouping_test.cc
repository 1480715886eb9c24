#include "partition/grouping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace graft::partition {
namespace {

using Preds = std::vector<std::vector<int>>;

// The fewest claimed runs over all topological orders, by dynamic programming over sets of finished nodes.
int fewest_partitions(const Preds& preds, const std::vector<bool>& claimed) {
  const int n = static_cast<int>(preds.size());
  std::map<std::pair<int, bool>, int> best{{{0, false}, 0}};  // (finished set, colour of the last node) -> partitions
  for (int mask = 0; mask < (1 << n); ++mask) {
    for (bool last : {false, true}) {
      const auto at = best.find({mask, last});
      if (at == best.end()) continue;
      for (int i = 0; i < n; ++i) {
        if (mask >> i & 1) continue;
        const auto done = [&](int p) { return (mask >> p & 1) != 0; };
        if (!std::all_of(preds[static_cast<size_t>(i)].begin(), preds[static_cast<size_t>(i)].end(), done)) continue;
        const bool c = claimed[static_cast<size_t>(i)];
        const int cost = at->second + (c && !last ? 1 : 0);
        const auto [slot, fresh] = best.emplace(std::pair(mask | 1 << i, c), cost);
        if (!fresh) slot->second = std::min(slot->second, cost);
      }
    }
  }
  int fewest = 1 << 20;
  for (bool last : {false, true}) {
    if (const auto at = best.find({(1 << n) - 1, last}); at != best.end()) fewest = std::min(fewest, at->second);
  }
  return fewest;
}

void expect_valid(const Preds& preds, const std::vector<bool>& claimed, const std::vector<Group>& groups) {
  std::vector<int> run_of(preds.size(), -1);
  for (size_t r = 0; r < groups.size(); ++r) {
    EXPECT_TRUE(std::is_sorted(groups[r].nodes.begin(), groups[r].nodes.end()));
    for (int i : groups[r].nodes) {
      EXPECT_EQ(run_of[static_cast<size_t>(i)], -1) << "node " << i << " is in two runs";
      run_of[static_cast<size_t>(i)] = static_cast<int>(r);
      EXPECT_EQ(claimed[static_cast<size_t>(i)], groups[r].claimed);
    }
  }
  for (size_t i = 0; i < preds.size(); ++i) {
    ASSERT_GE(run_of[i], 0) << "node " << i << " is in no run";
    for (int p : preds[i]) EXPECT_LE(run_of[static_cast<size_t>(p)], run_of[i]) << p << " -> " << i;
  }
}

int partitions(const std::vector<Group>& groups) {
  return static_cast<int>(std::count_if(groups.begin(), groups.end(), [](const Group& r) { return r.claimed; }));
}

TEST(Grouping, ChainAlternates) {
  const Preds preds = {{}, {0}, {1}, {2}};
  const auto groups = alternate_groups(preds, {true, false, true, true});
  expect_valid(preds, {true, false, true, true}, groups);
  EXPECT_EQ(partitions(groups), 2);
}

TEST(Grouping, ABranchOnTheHostDoesNotSplitTheOther) {
  // 0 -> 1(host) -> 3, 0 -> 2 -> 3: 0 and 2 can run together, then the host, then 3.
  const Preds preds = {{}, {0}, {0}, {1, 2}};
  const std::vector<bool> claimed = {true, false, true, true};
  const auto groups = alternate_groups(preds, claimed);
  expect_valid(preds, claimed, groups);
  EXPECT_EQ(partitions(groups), 2);
}

TEST(Grouping, IndependentHostWorkGoesFirst) {
  // 0 (claimed), 1 (host), 2 needs both: host first, then one partition.
  const Preds preds = {{}, {}, {0, 1}};
  const auto groups = alternate_groups(preds, {true, false, true});
  EXPECT_EQ(partitions(groups), 1);
}

TEST(Grouping, NothingAndNothingClaimed) {
  EXPECT_TRUE(alternate_groups({}, {}).empty());
  const Preds preds = {{}, {0}};
  const auto groups = alternate_groups(preds, {false, false});
  EXPECT_EQ(partitions(groups), 0);
  EXPECT_EQ(groups.size(), 1u);
}

TEST(Grouping, AsFewAsBruteForceFinds) {
  std::mt19937 random(7);
  for (int round = 0; round < 400; ++round) {
    const int n = 2 + static_cast<int>(random() % 9);
    Preds preds(static_cast<size_t>(n));
    std::vector<bool> claimed;
    for (int i = 0; i < n; ++i) {
      claimed.push_back(random() % 3 != 0);
      for (int p = 0; p < i; ++p) {
        if (random() % 4 == 0) preds[static_cast<size_t>(i)].push_back(p);
      }
    }
    const auto groups = alternate_groups(preds, claimed);
    expect_valid(preds, claimed, groups);
    ASSERT_EQ(partitions(groups), fewest_partitions(preds, claimed)) << "round " << round;
  }
}

}  // namespace
}  // namespace graft::partition
