// Packages with states: what is kept from run to run, by whom, and what is refused.
#include <cmath>

#include "base/half.h"
#include "ir/text.h"
#include "ops/table.h"
#include "support.h"

namespace graft::session_test {
namespace {

using backend::State;

// The statements of a program with the state `sum` and the input `x`, both fp16[2], as a package, opened.
Opened stateful(const std::string& statements, const std::string& result) {
  const std::string text =
      "program(1.3)\n{\n  func main<ios18>(tensor<fp16, [2]> x, state<tensor<fp16, [2]>> sum) {\n" + statements +
      "  } -> (" + result + ");\n}\n";
  auto program = ir::parse_text(text, ops::table());
  if (!program) return fail(std::move(program).error());
  const std::filesystem::path package = std::filesystem::path(testing::TempDir()) / "stateful.mlpackage";
  std::filesystem::remove_all(package);
  const Status written =
      coreml::write_package(**program, package.string(), {.target = ir::Target::mlprogram(ir::Opset::ios18)});
  if (!written) return fail(written.error());
  Opened back = open(package.string(), {});
  std::filesystem::remove_all(package);
  return back;
}

constexpr const char* kRead = "tensor<fp16, [2]> before = read_state(input = sum);\n";
constexpr const char* kAdd = "tensor<fp16, [2]> after = add(x = before, y = x);\n";
constexpr const char* kWrite = "write_state(input = sum, data = after);\n";

Tensor pair(double a, double b) {
  const Half both[] = {Half(a), Half(b)};
  return Tensor::of<Half>(DType::f16, {2}, both);
}

// The results of one run with x = (1, 2), as doubles.
std::vector<double> step(const Session& s, State* state) {
  backend::RunOptions options;
  options.state = state;
  const auto out = run(s, {pair(1, 2)}, options);
  EXPECT_TRUE(out) << render(out.error());
  std::vector<double> numbers;
  for (const Tensor& t : out ? *out : std::vector<Tensor>()) {
    for (int64_t i = 0; i < t.count(); ++i) numbers.push_back(element_as_double(t.view(), i));
  }
  return numbers;
}
using V = std::vector<double>;

TEST(States, AreKeptForWhoeverHoldsThem) {
  const Opened opened = stateful(std::string(kRead) + kAdd + kWrite, "before, after");
  ASSERT_TRUE(opened) << render(opened.error());
  const Session& s = **opened;
  ASSERT_EQ(s.states().size(), 1u);
  EXPECT_EQ(s.states()[0].name, "sum");
  EXPECT_EQ(s.states()[0].type.to_string(), "tensor<fp16, [2]>");
  ASSERT_EQ(s.inputs().size(), 1u);  // a state is no input
  auto a = s.new_state(), b = s.new_state();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(step(s, a->get()), (V{0, 0, 1, 2}));
  EXPECT_EQ(step(s, a->get()), (V{1, 2, 2, 4}));
  EXPECT_EQ(step(s, b->get()), (V{0, 0, 1, 2}));
  EXPECT_EQ(step(s, nullptr), (V{0, 0, 1, 2}));
  EXPECT_EQ(step(s, a->get()), (V{2, 4, 3, 6}));
}

TEST(States, WhatWasReadIsACopy) {
  const Opened s = stateful(std::string(kRead) + kAdd + kWrite +
                                "tensor<fp16, [2]> now = read_state(input = sum);\n"
                                "tensor<fp16, [2]> gone = sub(x = now, y = before);\n",
                            "before, gone, now");
  ASSERT_TRUE(s) << render(s.error());
  auto state = (*s)->new_state();
  ASSERT_TRUE(state);
  step(**s, state->get());
  EXPECT_EQ(step(**s, state->get()), (V{1, 2, 1, 2, 2, 4}));
}

TEST(States, LoopsAndBranchesReachThem) {
  const std::string body =
      "int32 zero = const()[val = int32(0)];\n"
      "int32 loops = while_loop(loop_vars = (zero)) {\n"
      "  (int32 i) {\n"
      "    int32 three = const()[val = int32(3)];\n"
      "    bool go = less(x = i, y = three);\n"
      "  } -> (go);\n"
      "  (int32 k) {\n"
      "    tensor<fp16, [2]> before = read_state(input = sum);\n"
      "    tensor<fp16, [2]> after = add(x = before, y = x);\n"
      "    write_state(input = sum, data = after);\n"
      "    int32 one = const()[val = int32(1)];\n"
      "    int32 next = add(x = k, y = one);\n"
      "  } -> (next);\n"
      "};\n"
      "tensor<fp16, [2]> now = read_state(input = sum);\n";
  const Opened s = stateful(body, "now, loops");
  ASSERT_TRUE(s) << render(s.error());
  auto state = (*s)->new_state();
  ASSERT_TRUE(state);
  EXPECT_EQ(step(**s, state->get()), (V{3, 6, 3}));
  EXPECT_EQ(step(**s, state->get()), (V{6, 12, 3}));
}

TEST(States, AreKeptWhereDataDecidesSizes) {
  // The plan stops for the number of non-zero elements and goes on to write.
  const Opened s = stateful(std::string(kRead) + kAdd +
                                "tensor<int32, [n, 1]> places = non_zero(x = after);\n"
                                "tensor<fp16, [n, 1]> picked = cast(x = places, dtype = string(\"fp16\"));\n" +
                                kWrite,
                            "picked, after");
  ASSERT_TRUE(s) << render(s.error());
  auto state = (*s)->new_state();
  ASSERT_TRUE(state);
  EXPECT_EQ(step(**s, state->get()), (V{0, 1, 1, 2}));
  EXPECT_EQ(step(**s, state->get()), (V{0, 1, 2, 4}));
}

TEST(States, NaNStays) {
  const Opened s = stateful(std::string(kRead) + kAdd + kWrite, "after");
  ASSERT_TRUE(s) << render(s.error());
  auto state = (*s)->new_state();
  ASSERT_TRUE(state);
  backend::RunOptions options;
  options.state = state->get();
  ASSERT_TRUE(run(**s, {pair(NAN, 2)}, options));
  const V out = step(**s, state->get());
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_EQ(out[1], 4);
}

TEST(States, OfAnotherSessionIsRefused) {
  const Opened s = stateful(std::string(kRead) + kAdd + kWrite, "after");
  const Opened other = stateful(std::string(kRead) + kAdd + kWrite, "after");
  ASSERT_TRUE(s && other);
  auto state = (*other)->new_state();
  ASSERT_TRUE(state);
  backend::RunOptions options;
  options.state = state->get();
  const auto out = run(**s, {pair(1, 2)}, options);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, Code::invalid_argument);
  EXPECT_NE(out.error().message.find("another session"), std::string::npos);
}

TEST(States, InUseByAnotherRunIsRefused) {
  const Opened s = stateful(std::string(kRead) + kAdd + kWrite, "after");
  ASSERT_TRUE(s) << render(s.error());
  auto state = (*s)->new_state();
  ASSERT_TRUE(state);
  backend::RunOptions options;
  options.state = state->get();
  Status inner;
  options.observe = [&](const ir::Value&, TensorView) {
    backend::RunOptions again;
    again.state = state->get();
    const auto out = run(**s, {pair(1, 2)}, again);
    if (!out) inner = fail(out.error());
  };
  ASSERT_TRUE(run(**s, {pair(1, 2)}, options));
  ASSERT_FALSE(inner);
  EXPECT_NE(inner.error().message.find("in use"), std::string::npos);
}

TEST(States, WhatDoesNotFitIsRefused) {
  const auto refused = [](const std::string& statements, const std::string& result) {
    const Opened s = stateful(statements, result);
    return s ? std::string("opened") : s.error().message;
  };
  EXPECT_EQ(refused(std::string(kRead) + "tensor<fp16, [1]> one = reduce_sum(x = x, axes = tensor<int32, [1]>([0]), "
                                         "keep_dims = bool(true));\n"
                                         "write_state(input = sum, data = one);\n",
                    "before"),
            "data is tensor<fp16, [1]>, the state holds tensor<fp16, [2]>");
  EXPECT_NE(refused("tensor<fp16, [2]> twice = add(x = sum, y = x);\n", "twice").find("takes a tensor"),
            std::string::npos);
  EXPECT_NE(refused("tensor<fp16, [2]> y = read_state(input = x);\n", "y").find("takes a state"), std::string::npos);
}

}  // namespace
}  // namespace graft::session_test
