// Which integers are taken to fit int32, and where floating point is clipped for it.
#include "onnx/int_ranges.h"

#include <gtest/gtest.h>

#include "base/format.h"
#include "onnx/nodes.h"
#include "onnx/open_dims.h"

namespace graft::onnx {
namespace {

Initializer number(const std::string& name, int64_t value) {
  return {name, ir::Constant::scalar(DType::i64, static_cast<double>(value))};
}
Initializer table(const std::string& name, int64_t rows) {
  return {name, ir::Constant::of(Tensor(DType::f32, Shape{rows, 2}))};
}
Node to_int(const std::string& from, const std::string& to) {
  return node("Cast", {from}, {to}, {int_attribute("to", 7)});
}

struct Found {
  Result<HostProgram> host;
  // "name lo..hi", and whether it fits int32 then.
  std::string text() const {
    if (!host) return render(host.error());
    std::string s;
    for (const Diag& d : host->problems) s += render(d) + "; ";
    for (const auto& [name, r] : host->limits) s += format("{}{} {}..{}", s.empty() ? "" : "; ", name, r.lo, r.hi);
    return s;
  }
  IntRange range(const std::string& value) const { return host->values.at(value)->range; }
};

Found found(std::vector<ValueInfo> inputs, std::vector<Initializer> constants, std::vector<Node> nodes,
            DType result = DType::f32) {
  Graph g;
  g.inputs = std::move(inputs);
  g.initializers = std::move(constants);
  g.nodes = std::move(nodes);
  g.outputs = {tensor("y", result, {})};
  g.outputs[0].type.has_shape = false;
  return {lower_for_coreml(prepared(std::move(g)), {})};
}

constexpr IntRange kInt32{INT32_MIN, INT32_MAX};

TEST(IntRanges, FloatsHaveThem) {
  const auto of = [](std::vector<Node> nodes) {
    nodes.push_back(to_int("v", "y"));
    return found({tensor("x", DType::f32, {dim(4)})},
                 {{"lo", ir::Constant::scalar(DType::f32, -2.5)},
                  {"hi", ir::Constant::scalar(DType::f32, 7.2)},
                  {"k", ir::Constant::scalar(DType::f32, 1000)}},
                 std::move(nodes), DType::i64)
        .range("y");
  };
  EXPECT_EQ(of({node("Clip", {"x", "lo", "hi"}, {"v"})}), (IntRange{-3, 8}));
  EXPECT_EQ(of({node("Max", {"x", "lo"}, {"m"}), node("Min", {"m", "hi"}, {"v"})}), (IntRange{-3, 8}));
  EXPECT_EQ(of({node("Sigmoid", {"x"}, {"s"}), node("Mul", {"s", "k"}, {"v"})}), (IntRange{0, 1000}));
  EXPECT_EQ(of({node("Softmax", {"x"}, {"s"}), node("Mul", {"s", "k"}, {"m"}), node("Floor", {"m"}, {"v"})}),
            (IntRange{0, 1000}));
  EXPECT_EQ(of({node("Tanh", {"x"}, {"s"}), node("Div", {"s", "k"}, {"v"})}).inside(IntRange{-1, 1}), true);
  EXPECT_EQ(of({node("Abs", {"x"}, {"s"}), node("Sqrt", {"s"}, {"v"})}), (IntRange{0, INT64_MAX}));
  // Divided by a fraction, and past what fp32 counts.
  EXPECT_EQ(of({node("Sigmoid", {"x"}, {"s"}), node("Div", {"k", "s"}, {"v"})}).hi, INT64_MAX);
  EXPECT_GT(of({node("Sigmoid", {"x"}, {"s"}), node("Mul", {"s", "k"}, {"a"}), node("Mul", {"a", "k"}, {"b"}),
                node("Mul", {"b", "k"}, {"v"})})
                .hi,
            1000000000);
}

TEST(IntRanges, OfValuesAndOfIndicesAreTwo) {
  const Found f =
      found({tensor("x", DType::f32, {dim(3), dim(50)})},
            {{"k", ir::Constant::of(Tensor::of<int64_t>(DType::i64, Shape{1}, std::vector<int64_t>{2}))}},
            {node("Sigmoid", {"x"}, {"s"}), node("TopK", {"s", "k"}, {"v", "i"}), to_int("v", "y")}, DType::i64);
  EXPECT_EQ(f.range("y"), (IntRange{0, 1}));
  EXPECT_EQ(f.range("i"), (IntRange{0, 49}));
}

TEST(IntRanges, AnIndexIsClippedWhereItLeavesTheTable) {
  const Found f = found({tensor("x", DType::f32, {dim(4)})}, {table("t", 100)},
                        {to_int("x", "i"), node("Gather", {"t", "i"}, {"y"})});
  EXPECT_EQ(f.text(), "i -101..100");
  EXPECT_EQ(f.range("i"), (IntRange{-101, 100}));
}

// T5's buckets: small distances as they are, larger ones by their logarithm and cut.
TEST(IntRanges, WhatIsCutAndChosenAmongIsUsedUpToThere) {
  const Found f = found({tensor("d", DType::i64, {dim(6)}), tensor("x", DType::f32, {dim(6)})},
                        {table("t", 32), number("k8", 8), number("k15", 15), number("k16", 16)},
                        {to_int("x", "l"), node("Add", {"l", "k8"}, {"a"}), node("Min", {"a", "k15"}, {"m"}),
                         node("Less", {"d", "k8"}, {"small"}), node("Where", {"small", "d", "m"}, {"w"}),
                         node("Add", {"w", "k16"}, {"i"}), node("Gather", {"t", "i"}, {"y"})});
  EXPECT_EQ(f.text(), "d -49..16; l -57..7");
  EXPECT_TRUE(f.range("i").inside(kInt32));
}

TEST(IntRanges, AllOfAnOutputCounts) {
  const Found f = found({tensor("x", DType::f32, {dim(4)})}, {}, {to_int("x", "y")}, DType::i64);
  EXPECT_EQ(f.text(), "");
  EXPECT_FALSE(f.range("y").inside(kInt32));
  const Found both =
      found({tensor("x", DType::f32, {dim(4)})}, {table("t", 100), number("one", 1)},
            {to_int("x", "i"), node("Gather", {"t", "i"}, {"g"}), node("Add", {"i", "one"}, {"y"})}, DType::i64);
  EXPECT_EQ(both.text(), "");
}

TEST(IntRanges, AComparedNumberIsUsedUpToWhatItIsComparedWith) {
  const Found f =
      found({tensor("x", DType::f32, {dim(4)})}, {number("k", 1000)},
            {to_int("x", "i"), node("Greater", {"i", "k"}, {"b"}), node("Not", {"b"}, {"y"})}, DType::boolean);
  EXPECT_EQ(f.text(), "i 999..1001");
}

TEST(IntRanges, WhatABodyReadsCountsWhole) {
  Graph body;
  body.nodes = {node("Identity", {"i"}, {"o"})};
  body.outputs = {tensor("o", DType::i64, {dim(4)})};
  const Found f =
      found({tensor("x", DType::f32, {dim(4)}), tensor("c", DType::boolean, {})}, {table("t", 100)},
            {to_int("x", "i"), node("Gather", {"t", "i"}, {"g"}),
             node("If", {"c"}, {"y"}, {graph_attribute("then_branch", body), graph_attribute("else_branch", body)})},
            DType::i64);
  EXPECT_EQ(f.text(), "");
}

TEST(IntRanges, InputsAreTakenToBeSmallWhereASumWouldLeaveInt32) {
  const auto sums = [](const char* op) {
    return found({tensor("mask", DType::i64, {dim(1), dim("seq")}), tensor("ids", DType::i64, {dim(1), dim("seq")})},
                 {table("t", 1000), number("axis", 1)},
                 {node("CumSum", {"mask", "axis"}, {"s"}), node(op, {"s", "ids"}, {"y"})}, DType::i64);
  };
  const Found f = sums("Sub");
  EXPECT_EQ(f.text(), "ids -1048576..1048576; mask -65536..65536");
  EXPECT_TRUE(f.range("y").inside(kInt32));
  // Nothing helps a product of many.
  EXPECT_EQ(found({tensor("x", DType::i64, {dim(100)})}, {},
                  {node("ReduceProd", {"x"}, {"p"}), node("Neg", {"p"}, {"y"})}, DType::i64)
                .text(),
            "");
}

}  // namespace
}  // namespace graft::onnx
