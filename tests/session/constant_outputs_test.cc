// Outputs that no node makes in a run: constants, whichever subgraphs are left when the partitions are final.
#include "support.h"

namespace graft::session_test {
namespace {

constexpr int kFloat = 1, kBool = 9;

std::string branch(const std::string& name, const test::Names& nodes, const std::string& output) {
  return test::graph_attribute(name, test::graph({nodes, {}, {}, {test::value(output, {"n"}, kFloat)}}));
}

// Unique stays on the host, but what reads it is dead: with it goes the only subgraph beside Core ML's.
TEST(ConstantOutputs, WhenAllHostNodesAreFolded) {
  const float two[] = {-1, 2};
  test::GraphParts g;
  g.initializers = {test::raw_tensor("c", kFloat, {2}, std::string(reinterpret_cast<const char*>(two), sizeof two))};
  g.inputs = {test::value("x", {"n"}, kFloat), test::value("flag", {}, kBool)};
  g.outputs = {test::value("y", {"n"}, kFloat), test::value("z", {2}, kFloat)};
  const std::string then_branch = branch("then_branch", {test::node("Cos", {"x"}, {"t"})}, "t");
  const std::string else_branch =
      branch("else_branch", {test::node("Exp", {"u"}, {"dead"}), test::node("Identity", {"x"}, {"e"})}, "e");
  g.nodes = {test::node("Unique", {"x"}, {"u"}), test::node("If", {"flag"}, {"y"}, {then_branch, else_branch}),
             test::node("Relu", {"c"}, {"z"})};
  const Opened s = open_model(test::model(test::graph(g)), {{"device", "coreml"}, {"cost_model", "0"}});
  ASSERT_TRUE(s) << render(s.error());
  EXPECT_EQ((*s)->partitioning()->count(partition::Where::host), 0);
  const uint8_t no = 0;
  const auto out = run(**s, {tensor<float>(DType::f32, {3}, {1, 2, 3}),
                             Tensor::of<uint8_t>(DType::boolean, Shape{}, std::span(&no, 1))});
  ASSERT_TRUE(out) << render(out.error());
  ASSERT_EQ((*out)[1].shape(), (Shape{2}));
  EXPECT_EQ((*out)[1].span<float>()[0], 0);
  EXPECT_EQ((*out)[1].span<float>()[1], 2);
}

}  // namespace
}  // namespace graft::session_test
