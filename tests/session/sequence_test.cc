// Sequences that cannot be: refused where the model shows it, whoever reads them.
#include "support.h"

namespace graft::session_test {
namespace {

constexpr int kInt64 = 7;

std::string ints(const std::string& name, const std::vector<int64_t>& v) {
  return test::raw_tensor(name, kInt64, {static_cast<int64_t>(v.size())},
                          std::string(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(int64_t)));
}

// The nodes beside y = x, which is all that leaves the graph unless they make something.
std::string beside(const test::Names& nodes, const test::Names& initializers = {}, const test::Names& outputs = {}) {
  test::GraphParts g;
  g.nodes = nodes;
  g.nodes.push_back(test::node("Identity", {"x"}, {"y"}));
  g.initializers = initializers;
  g.inputs = {test::value("x", {5})};
  g.outputs = {test::value("y", {5})};
  g.outputs.insert(g.outputs.end(), outputs.begin(), outputs.end());
  return test::model(test::graph(g));
}

std::string error_of(const std::string& model) {
  std::string text;
  for (const char* device : {"cpu", "coreml"}) {
    const Opened s = open_model(model, {{"device", device}});
    const std::string now = s ? "" : render(s.error());
    EXPECT_TRUE(text.empty() || !now.empty()) << device << " takes what is refused: " << text;
    text = now;
  }
  return text;
}

TEST(Sequences, AnEmptyOneHoldsItsOwnElementType) {
  const auto inserted = [](const test::Names& attributes, const std::string& value, bool read) {
    test::Names nodes = {test::node("SequenceEmpty", {}, {"none"}, attributes),
                         test::node("SequenceInsert", {"none", value}, {"one"})};
    if (!read) return beside(nodes, {ints("i", {1, 2})});
    nodes.push_back(test::node("SequenceLength", {"one"}, {"n"}));
    return beside(nodes, {ints("i", {1, 2})}, {test::value("n", {}, kInt64)});
  };
  const std::string int64s = test::int_attribute("dtype", kInt64);
  for (const bool read : {true, false}) {
    EXPECT_EQ(error_of(inserted({}, "x", read)), "");
    EXPECT_EQ(error_of(inserted({int64s}, "i", read)), "");
    EXPECT_NE(error_of(inserted({}, "i", read)).find("got int64, the sequence holds fp32 [dtype_mismatch]"),
              std::string::npos);
    EXPECT_NE(error_of(inserted({int64s}, "x", read)).find("got fp32, the sequence holds int64 [dtype_mismatch]"),
              std::string::npos);
  }
}

TEST(Sequences, PartsAddUpAlsoWhereNobodyReadsThem) {
  const auto split = [](const std::vector<int64_t>& parts) {
    return error_of(beside({test::node("SplitToSequence", {"x", "parts"}, {"s"})}, {ints("parts", parts)}));
  };
  EXPECT_EQ(split({2, 3}), "");
  EXPECT_EQ(split({5, 0}), "");
  EXPECT_NE(split({2, 2}).find("split takes 4 of 5 [shape_mismatch]"), std::string::npos) << split({2, 2});
  EXPECT_NE(split({2, 4}).find("part 1 of split is 4, 3 are left of 5 [shape_mismatch]"), std::string::npos);
  EXPECT_NE(split({-1, 6}).find("part 0 of split is -1 [value_out_of_range]"), std::string::npos);
  EXPECT_NE(split({}).find("split takes 0 of 5 [shape_mismatch]"), std::string::npos);
}

}  // namespace
}  // namespace graft::session_test
