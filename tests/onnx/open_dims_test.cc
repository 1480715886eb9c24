// Which sizes open dims have in Core ML: by what they mean, and by what the model takes.
#include "onnx/open_dims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/format.h"
#include "onnx/nodes.h"

namespace graft::onnx {
namespace {

using testing::HasSubstr;

// y = op(x, constants...) for an x of these dims.
std::shared_ptr<const Model> one_node(ValueInfo x, const Node& n, std::vector<Initializer> constants = {}) {
  Graph g;
  g.inputs = {std::move(x)};
  g.initializers = std::move(constants);
  g.nodes = {n};
  g.outputs = {tensor("y", DType::f32, {})};
  g.outputs[0].type.has_shape = false;
  return prepared(std::move(g));
}

// "batch 1..64 = 1; seq 1..512 = 128" and what is told of steps.
std::string found(const std::shared_ptr<const Model>& m, const LowerOptions& options = {}) {
  const Result<HostProgram> host = lower_for_coreml(m, options);
  if (!host) return render(host.error());
  std::string s;
  for (const Diag& d : host->problems) s += render(d) + "; ";
  for (const OpenDim& d : host->open_dims) {
    s += format("{}{} {}..{} = {}", s.empty() ? "" : "; ", d.symbol, d.range.lo, d.range.hi, d.preferred);
    if (d.step > 1) s += format(" by {}", d.step);
  }
  return s;
}

Initializer zeros(const std::string& name, const Shape& shape) {
  return {name, ir::Constant::of(Tensor(DType::f32, shape))};
}

TEST(OpenDims, MeanWhatTheirNamesSay) {
  const auto relu = [](DType dtype, std::vector<DimInfo> dims) {
    return found(one_node(tensor("x", dtype, std::move(dims)), node("Relu", {"x"}, {"y"})));
  };
  EXPECT_EQ(relu(DType::f32, {dim("batch_size"), dim(3), dim("height"), dim("W")}),
            "batch_size 1..64 = 1; height 1..2048 = 224; W 1..2048 = 224");
  EXPECT_EQ(relu(DType::f32, {dim("N"), dim("T"), dim(8)}), "N 1..64 = 1; T 1..4096 = 128");
  EXPECT_EQ(relu(DType::f32, {dim(1), dim("audio_samples")}), "audio_samples 1..1048576 = 16000");
  EXPECT_EQ(relu(DType::f32, {dim("rays"), dim(6)}), "rays 1..64 = 1");
  EXPECT_EQ(relu(DType::f32, {dim(4), dim("points")}), "points 1..4096 = 16");
}

TEST(OpenDims, MeanWhatTheirPlacesSay) {
  const auto relu = [](DType dtype, std::vector<DimInfo> dims) {
    return found(one_node(tensor("x", dtype, std::move(dims)), node("Abs", {"x"}, {"y"})));
  };
  EXPECT_EQ(relu(DType::f32, {dim(""), dim(3), dim(""), dim("")}),
            "x_d0 1..64 = 1; x_d2 1..2048 = 224; x_d3 1..2048 = 224");
  EXPECT_EQ(relu(DType::i64, {dim(""), dim("")}), "x_d0 1..64 = 1; x_d1 1..4096 = 128");
  EXPECT_EQ(relu(DType::f32, {dim("")}), "x_d0 1..4096 = 16");
}

// A table of 512 positions ends the sequence.
TEST(OpenDims, EndWhereTheModelDoes) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim("batch"), dim("seq"), dim(4)})};
  g.initializers = {zeros("p", {512, 4}),
                    {"i", ir::Constant::ints(DType::i64, std::vector<int64_t>{1})},
                    {"j", ir::Constant::ints(DType::i64, std::vector<int64_t>{2})},
                    {"o", ir::Constant::ints(DType::i64, std::vector<int64_t>{0})}};
  g.nodes = {node("Shape", {"x"}, {"s"}), node("Slice", {"s", "i", "j"}, {"n"}), node("Slice", {"p", "o", "n"}, {"q"}),
             node("Add", {"x", "q"}, {"y"})};
  g.outputs = {tensor("y", DType::f32, {dim("batch"), dim("seq"), dim(4)})};
  EXPECT_EQ(found(prepared(std::move(g))), "batch 1..64 = 1; seq 1..512 = 128");
}

// Two that have to agree keep the rule's sizes, as one cannot be tried without the other.
TEST(OpenDims, MayHaveToAgree) {
  Graph g;
  g.inputs = {tensor("a", DType::f32, {dim(2), dim("")}), tensor("b", DType::f32, {dim(""), dim(3)})};
  g.nodes = {node("MatMul", {"a", "b"}, {"y"})};
  g.outputs = {tensor("y", DType::f32, {dim(2), dim(3)})};
  EXPECT_EQ(found(prepared(std::move(g))), "a_d1 1..4096 = 1; b_d0 1..64 = 1");
}

// What a convolution without padding takes is no smaller than its kernel.
TEST(OpenDims, BeginWhereTheModelDoes) {
  const auto m = one_node(tensor("x", DType::f32, {dim(1), dim(3), dim("h"), dim("w")}),
                          node("Conv", {"x", "k"}, {"y"}), {zeros("k", {2, 3, 7, 5})});
  EXPECT_EQ(found(m), "h 7..2048 = 224; w 5..2048 = 224");
}

TEST(OpenDims, GoInTheModelsSteps) {
  const auto shape = Initializer{"s", ir::Constant::ints(DType::i64, std::vector<int64_t>{1, -1, 8})};
  const auto m =
      one_node(tensor("x", DType::f32, {dim(1), dim("tokens")}), node("Reshape", {"x", "s"}, {"y"}), {shape});
  EXPECT_EQ(found(m), "tokens 8..4096 = 128 by 8");
}

TEST(OpenDims, MayBeTheSumOfTwoOthers) {
  Graph g;
  g.inputs = {tensor("a", DType::f32, {dim("past"), dim(4)}), tensor("b", DType::f32, {dim("seq"), dim(4)}),
              tensor("c", DType::f32, {dim("past + seq"), dim(4)})};
  g.nodes = {node("Concat", {"a", "b"}, {"ab"}, {int_attribute("axis", 0)}), node("Add", {"ab", "c"}, {"y"})};
  g.outputs = {tensor("y", DType::f32, {dim("past + seq"), dim(4)})};
  const Result<HostProgram> host = lower_for_coreml(prepared(std::move(g)), {});
  ASSERT_TRUE(host) << render(host.error());
  EXPECT_TRUE(host->problems.empty());
  EXPECT_EQ(host->main().inputs[2]->type.to_string(), "tensor<fp32, [past + seq, 4]>");
  EXPECT_EQ(host->open_dims[2].range, (IntRange{2, 8192}));
}

// --shapes has the first word, and a model that makes no sense within the rule stays open.
TEST(OpenDims, TheRuleIsTheLastToAsk) {
  const auto x = tensor("x", DType::f32, {dim("batch"), dim("seq")});
  LowerOptions options;
  options.shapes["x"] = {{2, 2, std::nullopt}, {1, 9000, 7}};
  EXPECT_EQ(found(one_node(x, node("Relu", {"x"}, {"y"})), options), "batch 2..2 = 2; seq 1..9000 = 7");
  const auto shape = Initializer{"s", ir::Constant::ints(DType::i64, std::vector<int64_t>{5000, 2})};
  EXPECT_EQ(found(one_node(tensor("x", DType::f32, {dim("n"), dim(2)}), node("Reshape", {"x", "s"}, {"y"}), {shape})),
            "");
}

TEST(OpenDims, ThePageHasTheTable) {
  const Result<std::string> page = read_file(GRAFT_SOURCE_DIR "/docs/open_dims.md", 1 << 20);
  ASSERT_TRUE(page);
  for (const DimMeaning& m : dim_meanings()) {
    EXPECT_THAT(*page, HasSubstr(format("\n| {} | {} | {} | {}..{} | {} |\n", m.name, m.words, m.place, m.range.lo,
                                        m.range.hi, m.preferred)));
  }
}

}  // namespace
}  // namespace graft::onnx
