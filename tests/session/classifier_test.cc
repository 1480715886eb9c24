// Classifier packages: label and probabilities under their names. And packages with tensors whose rank only a run
// knows.
#include "base/list.h"
#include "coreml/mlprogram/deferred.h"
#include "ir/text.h"
#include "ops/table.h"
#include "support.h"

namespace graft::session_test {
namespace {

std::shared_ptr<ir::Program> parsed(const std::string& text) {
  auto program = ir::parse_text("program(1.3)\n{\n" + text + "}\n", ops::table());
  EXPECT_TRUE(program) << render(program.error());
  return program ? *program : nullptr;
}

// Written for iOS15, read back and opened.
Opened through(const ir::Program& program, coreml::Interface* interface = nullptr) {
  const std::filesystem::path package = std::filesystem::path(testing::TempDir()) / "classifier.mlpackage";
  std::filesystem::remove_all(package);
  const Status written = coreml::write_package(program, package.string(), {});
  if (!written) return fail(written.error());
  if (interface != nullptr) {
    Result<coreml::Model> model = coreml::read_package(package.string());
    EXPECT_TRUE(model) << render(model.error());
    if (model) *interface = model->interface;
  }
  Opened back = open(package.string(), {});
  std::filesystem::remove_all(package);
  return back;
}

std::string classifier(const std::string& classes, const std::string& key) {
  return "  func main<ios15>(tensor<fp32, [1, 3]> x) {\n"
         "    tensor<" +
         key + ", [3]> names = const()[val = tensor<" + key + ", [3]>([" + classes +
         "])];\n"
         "    tensor<fp32, [1, 3]> p = softmax(x = x, axis = int32(-1));\n"
         "    " +
         key + " best, dict<" + key +
         ", fp64> shares = classify(probabilities = p, classes = names);\n"
         "  } -> (best, shares);\n";
}

TEST(Classifier, GivesLabelAndProbabilities) {
  coreml::Interface interface;
  const auto program = parsed(classifier(R"("cat", "dog", "eel")", "string"));
  ASSERT_NE(program, nullptr);
  const Opened s = through(*program, &interface);
  ASSERT_TRUE(s) << render(s.error());
  ASSERT_NE(interface.main(), nullptr);
  EXPECT_EQ(interface.main()->predicted_feature, "best");
  EXPECT_EQ(interface.main()->predicted_probabilities, "shares");
  EXPECT_EQ(interface.main()->outputs[0].kind, coreml::Feature::Kind::string);
  EXPECT_EQ(interface.main()->outputs[1].kind, coreml::Feature::Kind::dictionary);
  for (int i = 0; i < 2; ++i) {  // the second run reuses what the first one left
    const auto out = run(**s, {tensor<float>(DType::f32, {1, 3}, {0, i == 0 ? 2.0F : -2.0F, 0})});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ((*out)[0].span<const std::string>()[0], i == 0 ? "dog" : "cat");
    const List& pair = *(*out)[1].view().as<List>();
    ASSERT_EQ(pair.size(), 2);
    EXPECT_EQ(pair[0].span<const std::string>()[2], "eel");
    EXPECT_NEAR(element_as_double(pair[1].view(), 1), i == 0 ? 0.78699 : 0.06338, 1e-4);
  }
}

TEST(Classifier, ClassesMayBeNumbers) {
  coreml::Interface interface;
  const auto program = parsed(classifier("7, 8, -9", "int64"));
  ASSERT_NE(program, nullptr);
  const Opened s = through(*program, &interface);
  ASSERT_TRUE(s) << render(s.error());
  EXPECT_EQ(interface.main()->outputs[0].kind, coreml::Feature::Kind::int64);
  const auto out = run(**s, {tensor<float>(DType::f32, {1, 3}, {0, 0, 1})});
  ASSERT_TRUE(out) << render(out.error());
  EXPECT_EQ((*out)[0].span<const int64_t>()[0], -9);
}

// y = relu(fill(shape, 2.5)), whose rank is the length of `shape`.
std::shared_ptr<ir::Program> filled() {
  auto program = std::make_shared<ir::Program>();
  program->functions.push_back(std::make_unique<ir::Function>("main"));
  ir::Function& f = *program->functions[0];
  ir::Builder b(f, ops::table(), {});
  ir::Value* shape = f.add_input(ir::Type::tensor(DType::i32, {ir::Dim::symbol("n", {1, 4})}), "shape");
  const auto put_off = [&](std::string_view op, std::vector<ir::Arg> args) {
    return coreml::defer(b, *ops::table().find(op), args, {ir::Type::unranked(DType::f32)})[0];
  };
  ir::Value* y = put_off("fill", {{"shape", shape}, {"value", ir::Values{b.scalar(DType::f32, -2.5)}}});
  f.body.outputs = {put_off("abs", {{"x", y}})};
  f.output_names = {"y"};
  EXPECT_TRUE(b.ok());
  return program;
}

TEST(UnknownRank, FillTakesItsRankFromTheRun) {
  const Opened s = through(*filled());
  ASSERT_TRUE(s) << render(s.error());
  EXPECT_EQ((*s)->outputs()[0].type.to_string(), "tensor<fp32, of any rank>");
  for (const std::vector<int32_t>& shape : {std::vector<int32_t>{2, 1, 3}, {4}, {2, 1, 3}, {1, 2, 1, 2}}) {
    const auto out = run(**s, {tensor<int32_t>(DType::i32, {static_cast<int64_t>(shape.size())}, shape)});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ(std::vector<int32_t>((*out)[0].shape().begin(), (*out)[0].shape().end()), shape);
    for (int64_t i = 0; i < (*out)[0].count(); ++i) EXPECT_EQ(element_as_double((*out)[0].view(), i), 2.5);
  }
  const auto bad = run(**s, {tensor<int32_t>(DType::i32, {2}, {2, -1})});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().op, "fill");
}

// z = sub(abs(x), 1), whose rank the package does not tell: a step of its own, though it computes what could join abs.
TEST(UnknownRank, WhatIsPutOffJoinsNobody) {
  auto program = std::make_shared<ir::Program>();
  program->functions.push_back(std::make_unique<ir::Function>("main"));
  ir::Function& f = *program->functions[0];
  ir::Builder b(f, ops::table(), {});
  ir::Value* x = f.add_input(ir::Type::tensor(DType::f32, ir::Dims{ir::Dim(2), ir::Dim(2)}), "x");
  ir::Value* y = b.emit("abs", {{"x", x}});
  const std::vector<ir::Arg> args = {{"x", y}, {"y", ir::Values{b.scalar(DType::f32, 1)}}};
  f.body.outputs = {coreml::defer(b, *ops::table().find("sub"), args, {ir::Type::unranked(DType::f32)})[0]};
  f.output_names = {"z"};
  ASSERT_TRUE(b.ok());
  const Opened s = through(*program);
  ASSERT_TRUE(s) << render(s.error());
  const auto out = run(**s, {tensor<float>(DType::f32, {2, 2}, {-3, 2, 1, 0})});
  ASSERT_TRUE(out) << render(out.error());
  const double expected[] = {2, 1, 0, -1};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(element_as_double((*out)[0].view(), i), expected[i]);
}

}  // namespace
}  // namespace graft::session_test
