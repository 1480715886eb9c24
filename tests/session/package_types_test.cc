// What a package's metadata says of ONNX names and types. Somebody else may have written it: a package is not trusted.
#include "support.h"

namespace graft::session_test {
namespace {

constexpr int kFloat = 1, kInt32 = 6;

// y = x + x as a package whose metadata says that y is `claimed`.
Opened doubled(int type, const std::string& claimed) {
  test::GraphParts g;
  g.nodes = {test::node("Add", {"x", "x"}, {"y"})};
  g.inputs = {test::value("x", {2}, type)};
  g.outputs = {test::value("y", {2}, type)};
  const Opened s = open_model(test::model(test::graph(g)),
                              {{"device", "coreml"}, {"precision", "float32"}, {"require_full_delegation", "1"}});
  EXPECT_TRUE(s) << render(s.error());
  return s ? through_package(**s, {{"com.graft.onnx.types", R"({"y": ")" + claimed + R"("})"}}) : s;
}

TEST(PackageTypes, ATypeThatFloatsDoNotConvertToIsNotBelieved) {
  for (const char* claimed : {"bool", "int64", "uint8", "string", "fp8e4m3fn", ""}) {
    SCOPED_TRACE(claimed);
    const Opened s = doubled(kFloat, claimed);
    ASSERT_TRUE(s) << render(s.error());
    const auto out = run(**s, {tensor<float>(DType::f32, {2}, {0.25f, -3})});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ((*out)[0].dtype(), DType::f32);
    EXPECT_EQ((*out)[0].span<const float>()[1], -6);
  }
}

TEST(PackageTypes, ATypeThatIntegersDoNotConvertToIsNotBelieved) {
  for (const char* claimed : {"fp16", "fp64"}) {
    SCOPED_TRACE(claimed);
    const Opened s = doubled(kInt32, claimed);
    ASSERT_TRUE(s) << render(s.error());
    const auto out = run(**s, {tensor<int32_t>(DType::i32, {2}, {4, -3})});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ((*out)[0].dtype(), DType::i32);
    EXPECT_EQ((*out)[0].span<const int32_t>()[1], -6);
  }
}

TEST(PackageTypes, AResultOutsideItsTypeIsAnErrorOfThatRun) {
  const Opened s = doubled(kInt32, "uint8");
  ASSERT_TRUE(s) << render(s.error());
  const auto bad = run(**s, {tensor<int32_t>(DType::i32, {2}, {4, 200})});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::value_out_of_range) << render(bad.error());
  const auto good = run(**s, {tensor<int32_t>(DType::i32, {2}, {4, 100})});
  ASSERT_TRUE(good) << render(good.error());
  EXPECT_EQ((*good)[0].dtype(), DType::u8);
  EXPECT_EQ((*good)[0].span<const uint8_t>()[1], 200);
}

// MIL allows no '/', so "o/1" becomes o_1 in the file, which is the name of another output.
TEST(PackageNames, AreTheModelsOwnWhateverTheFileCallsThem) {
  test::GraphParts g;
  g.nodes = {test::node("Add", {"a", "b_1"}, {"o/1"}), test::node("Sub", {"a", "b_1"}, {"o_1"})};
  g.inputs = {test::value("a", {2}), test::value("b_1", {2})};
  g.outputs = {test::value("o/1", {2}), test::value("o_1", {2})};
  const Opened s = open_model(test::model(test::graph(g)), {{"device", "coreml"}, {"precision", "float32"}});
  ASSERT_TRUE(s) << render(s.error());
  const Opened p = through_package(**s);
  ASSERT_TRUE(p) << render(p.error());
  EXPECT_EQ((*p)->outputs()[0].name, "o/1");
  EXPECT_EQ((*p)->outputs()[1].name, "o_1");
  const auto out = run(**p, {tensor<float>(DType::f32, {2}, {1, 2}), tensor<float>(DType::f32, {2}, {3, 5})});
  ASSERT_TRUE(out) << render(out.error());
  EXPECT_EQ((*out)[0].span<const float>()[1], 7);
  EXPECT_EQ((*out)[1].span<const float>()[1], -3);
}

}  // namespace
}  // namespace graft::session_test
