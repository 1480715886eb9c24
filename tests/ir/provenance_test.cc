#include "ir/provenance.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace graft::ir {
namespace {

using Nodes = std::vector<int32_t>;

TEST(Provenance, IsASortedSet) {
  Provenance p = {3, 1, 3};
  EXPECT_EQ(p.nodes(), (Nodes{1, 3}));
  const Provenance before = p;
  p.merge({2});
  p.merge({});
  EXPECT_EQ(p.nodes(), (Nodes{1, 2, 3}));
  EXPECT_EQ(before.nodes(), (Nodes{1, 3})) << "a copy is its own";
  p.clear();
  EXPECT_TRUE(p.empty());
  EXPECT_TRUE(p.nodes().empty());
  p.merge(before);
  EXPECT_EQ(p.nodes(), (Nodes{1, 3}));
}

TEST(Provenance, UnionsOfUnions) {
  std::mt19937 random(11);
  std::vector<std::pair<Provenance, std::set<int32_t>>> all(20);
  for (int i = 0; i < 2000; ++i) {
    auto& [p, expected] = all[random() % all.size()];
    const auto& [from, more] = all[random() % all.size()];
    const auto id = static_cast<int32_t>(random() % 500);
    p.merge({id});
    p.merge(from);
    expected.insert(more.begin(), more.end());
    expected.insert(id);
    ASSERT_EQ(p.nodes(), Nodes(expected.begin(), expected.end())) << i;
    if (expected.size() > 400) all[random() % all.size()] = {};
  }
}

// Each a union with the one before, all alive at once: in memory and time for a few bytes each, and at no depth of
// stack.
TEST(Provenance, LongChains) {
  constexpr int kLong = 1'000'000;
  std::vector<Provenance> chain(1);
  for (int i = 0; i < kLong; ++i) {
    Provenance next = {i};
    next.merge(chain.back());
    chain.push_back(std::move(next));
  }
  EXPECT_EQ(chain.back().nodes().size(), size_t{kLong});
  chain.erase(chain.begin(), chain.end() - 1);
}

}  // namespace
}  // namespace graft::ir
