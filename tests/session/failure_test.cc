// What a failed run leaves behind: an input's fault is an error of that run alone, and the session stays as planned.
#include <cmath>

#include "support.h"

namespace graft::session_test {
namespace {

constexpr int kFloat = 1, kInt64 = 7;

// y = table[i], plus x: a Core ML program in fp16. A third is not an fp16 number, so results tell which program ran.
constexpr float kThird = 1.0F / 3;
std::string lookup() {
  const std::vector<float> table(4, kThird);
  const std::string raw(reinterpret_cast<const char*>(table.data()), table.size() * sizeof(float));
  test::GraphParts g;
  g.nodes = {test::node("Gather", {"table", "i"}, {"g"}), test::node("Add", {"g", "x"}, {"y"})};
  g.initializers = {test::raw_tensor("table", kFloat, {4}, raw)};
  g.inputs = {test::value("i", {"n"}, kInt64), test::value("x", {"n"}, kFloat)};
  g.outputs = {test::value("y", {"n"}, kFloat)};
  return test::model(test::graph(g));
}
Tensor indices(const std::vector<int64_t>& v) { return tensor(DType::i64, {static_cast<int64_t>(v.size())}, v); }
Tensor floats(const std::vector<float>& v) { return tensor(DType::f32, {static_cast<int64_t>(v.size())}, v); }

class Failure : public testing::Test {
 protected:
  void SetUp() override {
    auto env = std::make_shared<Env>(1);
    env->log = [this](LogLevel, std::string_view text) { logged_ += text; };
    const Opened s = open_model(lookup(), {{"device", "coreml"}, {"require_full_delegation", "1"}}, env);
    ASSERT_TRUE(s) << render(s.error());
    s_ = *s;
    planned_ = s_->placement().planned;
  }

  // 0: the Core ML program's fp16, 1: the host's fp32.
  void expect_good_run(bool host = false, int64_t index = 2) {
    const auto y = run(*s_, {indices({index}), floats({0})});
    ASSERT_TRUE(y) << render(y.error());
    EXPECT_EQ((*y)[0].span<float>()[0] == kThird, host);
    EXPECT_NEAR((*y)[0].span<float>()[0], kThird, 1e-3);
    EXPECT_EQ(s_->placement().planned, planned_);
    EXPECT_TRUE(news(*s_).empty());
    EXPECT_EQ(logged_, "");
  }
  void expect_error(Code code, const std::vector<Tensor>& inputs, const engine::RunOptions& options = {}) {
    const auto y = run(*s_, inputs, options);
    ASSERT_FALSE(y);
    EXPECT_EQ(y.error().code, code) << render(y.error());
  }

  std::shared_ptr<const Session> s_;
  std::string planned_, logged_;
};

TEST_F(Failure, AnIndexOutOfRange) {
  expect_good_run();
  for (const int64_t bad : {int64_t{4}, int64_t{-9}, int64_t{INT32_MAX}, int64_t{INT32_MIN}}) {
    expect_error(Code::value_out_of_range, {indices({bad}), floats({0})});
    expect_good_run();
  }
}

// Rule: a value that int32 does not hold sends that run to the host, which finds that it is no index either.
TEST_F(Failure, AnIndexBeyondInt32) {
  expect_error(Code::value_out_of_range, {indices({int64_t{1} << 32}), floats({0})});
  expect_good_run();
}

TEST_F(Failure, ShapesThatDoNotFit) {
  expect_error(Code::invalid_argument, {tensor<int64_t>(DType::i64, {1, 1}, {0}), floats({0})});
  expect_error(Code::invalid_argument, {floats({0}), floats({0})});
  expect_error(Code::invalid_argument, {indices({0})});
  expect_error(Code::invalid_argument, {indices({0, 1, 2}), floats({0, 0})});
  expect_good_run();
}

TEST_F(Failure, ACancelledRun) {
  CancelToken token;
  token.cancel();
  engine::RunOptions options;
  options.cancel = &token;
  expect_error(Code::cancelled, {indices({1}), floats({0})}, options);
  expect_good_run();
}

TEST_F(Failure, NotANumberIsNoFailure) {
  const auto y = run(*s_, {indices({1, 1}), floats({NAN, INFINITY})});
  ASSERT_TRUE(y) << render(y.error());
  EXPECT_TRUE(std::isnan((*y)[0].span<float>()[0]));
  EXPECT_EQ((*y)[0].span<float>()[1], INFINITY);
  expect_good_run();
}

}  // namespace
}  // namespace graft::session_test
