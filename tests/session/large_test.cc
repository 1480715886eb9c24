// Graphs with thousands of everything, on the host and for Core ML. There is no bound on time but the test's own, which
// is generous: what is not in proportion to the graph does not end in it.
#include "support.h"

#include "base/format.h"

namespace graft::session_test {
namespace {

using Names = test::Names;
constexpr int kMany = 10'000, kLong = 30'000;

std::string numbered(std::string_view name, int i) { return format("{}{}", name, i); }

std::vector<Tensor> run_on(const std::string& model, const char* device, const std::vector<Tensor>& inputs) {
  // float32, so that results are exact; without the cost model, so that what Core ML can take is taken.
  const Opened s = open_model(model, {{"device", device}, {"precision", "float32"}, {"cost_model", "0"}});
  EXPECT_TRUE(s) << render(s.error());
  if (!s) return {};
  Result<std::vector<Tensor>> out = run(**s, inputs);
  EXPECT_TRUE(out) << render(out.error());
  return out ? std::move(*out) : std::vector<Tensor>();
}

Tensor floats(const std::vector<float>& v) { return tensor<float>(DType::f32, {static_cast<int64_t>(v.size())}, v); }
std::vector<float> values(const Tensor& t) {
  const auto span = t.view().span<float>();
  return {span.begin(), span.end()};
}

class Large : public testing::TestWithParam<const char*> {
 protected:
  std::vector<Tensor> run(const test::GraphParts& g, const std::vector<Tensor>& inputs) {
    return run_on(test::model(test::graph(g)), GetParam(), inputs);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Large, testing::Values("cpu", "coreml"),
                         [](const auto& device) { return std::string(device.param); });

std::string scalar(const std::string& name, float v) {
  return test::raw_tensor(name, 1, {1}, std::string(reinterpret_cast<const char*>(&v), sizeof v));
}

TEST_P(Large, Inputs) {
  test::GraphParts g;
  std::vector<Tensor> fed;
  Names names;
  float sum = 0;
  for (int i = 0; i < kMany; ++i) {
    names.push_back(numbered("x", i));
    g.inputs.push_back(test::value(names.back(), {1}));
    fed.push_back(floats({static_cast<float>(i % 7)}));
    sum += static_cast<float>(i % 7);
  }
  g.nodes = {test::node("Sum", names, {"y"})};
  g.outputs = {test::value("y", {1})};
  const auto out = run(g, fed);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(values(out[0]), std::vector<float>{sum});
}

TEST_P(Large, OpenInputs) {
  test::GraphParts g;
  std::vector<Tensor> fed;
  Names names;
  for (int i = 0; i < kMany; ++i) {
    names.push_back(numbered("x", i));
    g.inputs.push_back(test::value(names.back(), {numbered("n", i).c_str()}));
    fed.push_back(floats(std::vector<float>(static_cast<size_t>(i % 3), static_cast<float>(i % 5))));
  }
  for (int i = 1; i < kMany; ++i)
    g.nodes.push_back(test::node("Concat", {i == 1 ? "x0" : numbered("c", i - 1), names[static_cast<size_t>(i)]},
                                 {numbered("c", i)}, {test::int_attribute("axis", 0)}));
  const std::string last = numbered("c", kMany - 1);
  g.nodes.push_back(test::node("ReduceSum", {last}, {"y"}, {test::int_attribute("keepdims", 1)}));
  g.outputs = {test::value("y", {1})};
  float sum = 0;
  for (const Tensor& t : fed) {
    for (float v : values(t)) sum += v;
  }
  const auto out = run(g, fed);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(values(out[0]), std::vector<float>{sum});
}

TEST_P(Large, OutputsAndInitializersOfOneValue) {
  test::GraphParts g;
  g.inputs = {test::value("x", {1})};
  for (int i = 0; i < kMany; ++i) {
    g.initializers.push_back(scalar(numbered("c", i), static_cast<float>(i)));
    g.nodes.push_back(test::node("Add", {"x", numbered("c", i)}, {numbered("y", i)}));
    g.outputs.push_back(test::value(numbered("y", i), {1}));
  }
  const auto out = run(g, {floats({0.5f})});
  ASSERT_EQ(out.size(), size_t{kMany});
  for (int i = 0; i < kMany; ++i)
    ASSERT_EQ(values(out[static_cast<size_t>(i)]), std::vector<float>{static_cast<float>(i) + 0.5f}) << i;
}

TEST_P(Large, InputsAndConstantsThatAreOutputs) {
  test::GraphParts g;
  g.inputs = {test::value("x", {1})};
  g.nodes = {test::node("Neg", {"x"}, {"y"})};
  g.outputs = {test::value("y", {1}), test::value("x", {1})};
  for (int i = 0; i < kMany; ++i) {
    g.initializers.push_back(scalar(numbered("c", i), static_cast<float>(i)));
    g.outputs.push_back(test::value(numbered("c", i), {1}));
  }
  const auto out = run(g, {floats({3})});
  ASSERT_EQ(out.size(), size_t{kMany} + 2);
  EXPECT_EQ(values(out[0]), std::vector<float>{-3});
  EXPECT_EQ(values(out[1]), std::vector<float>{3});
  EXPECT_EQ(values(out.back()), std::vector<float>{kMany - 1});
}

TEST_P(Large, Chain) {
  test::GraphParts g;
  g.inputs = {test::value("x0", {2})};
  for (int i = 0; i < kLong; ++i) g.nodes.push_back(test::node("Neg", {numbered("x", i)}, {numbered("x", i + 1)}));
  g.outputs = {test::value(numbered("x", kLong), {2})};
  const auto out = run(g, {floats({1, -2})});
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(values(out[0]), (std::vector<float>{1, -2}));
}

// Everything that hangs on a constant is one, however long the way; and so is the shape at the end of a long way.
TEST_P(Large, ChainsOfConstants) {
  test::GraphParts g;
  const std::string two(16, '\1');
  g.inputs = {test::value("x", {"n", 4})};
  g.initializers = {test::raw_tensor("c0", 1, {1, 4}, two), test::raw_tensor("zero", 7, {2}, std::string(16, '\0'))};
  g.nodes = {test::node("Shape", {"x"}, {"s0"})};
  for (int i = 0; i < kLong; ++i) {
    g.nodes.push_back(test::node(i % 2 == 0 ? "Transpose" : "Neg", {numbered("c", i)}, {numbered("c", i + 1)}));
    g.nodes.push_back(test::node("Add", {numbered("s", i), "zero"}, {numbered("s", i + 1)}));
  }
  g.nodes.push_back(test::node("Reshape", {"x", numbered("s", kLong)}, {"y"}));
  g.outputs = {test::value("y", {"n", 4}), test::value(numbered("c", kLong), {1, 4})};
  const auto out = run(g, {tensor<float>(DType::f32, {1, 4}, {1, 2, 3, 4})});
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(values(out[0]), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(out[1].count(), 4);
}

TEST_P(Large, BranchesAndWhatTheyCapture) {
  test::GraphParts g;
  g.inputs = {test::value("x0", {2}), test::value("c", std::vector<test::Size>{}, 9)};
  for (int i = 0; i < kMany; ++i) {
    const std::string in = numbered("x", i), y = numbered("x", i + 1);
    const auto branch = [&](const char* op) {
      const std::string r = op + y;
      return test::graph(
          {{test::node("Abs", {"x0"}, {"a" + r}), test::node(op, {in, "a" + r}, {r})}, {}, {}, {test::value(r, {2})}});
    };
    g.nodes.push_back(test::node(
        "If", {"c"}, {y},
        {test::graph_attribute("then_branch", branch("Add")), test::graph_attribute("else_branch", branch("Sub"))}));
  }
  g.outputs = {test::value(numbered("x", kMany), {2})};
  Tensor yes(DType::boolean, Shape{});
  yes.span<bool>()[0] = true;
  const auto out = run(g, {floats({1, 2}), yes});
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(values(out[0]), (std::vector<float>{1 + kMany, 2 + 2 * kMany}));
}

}  // namespace
}  // namespace graft::session_test
