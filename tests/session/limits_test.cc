// Loops without end, kernels that take minutes, and small files whose constants would be large: what stops them.
#include <chrono>
#include <functional>
#include <thread>

#include "base/format.h"
#include "onnx/reader.h"
#include "support.h"

namespace graft::session_test {
namespace {

using std::chrono::milliseconds;
constexpr int kInt64 = 7, kBool = 9;

Tensor ones(const Shape& shape) {
  return Tensor::of<float>(DType::f32, shape, std::vector<float>(static_cast<size_t>(shape.product()), 1));
}

// v -> v + v for ever; with `gathers`, every v is kept as a row of a result.
std::string endless(bool gathers) {
  test::GraphParts body;
  body.nodes = {test::node("Identity", {"go"}, {"go_next"}), test::node("Add", {"v", "v"}, {"v_next"}, {}, "", "grow"),
                test::node("Identity", {"v_next"}, {"row"})};
  body.inputs = {test::value("i", {}, kInt64), test::value("go", {}, kBool), test::value("v", {64})};
  body.outputs = {test::value("go_next", {}, kBool), test::value("v_next", {64})};
  if (gathers) body.outputs.push_back(test::value("row", {64}));
  test::GraphParts g;
  g.nodes = {test::node("Loop", {"", "", "x"}, gathers ? test::Names{"y", "rows"} : test::Names{"y"},
                        {test::graph_attribute("body", test::graph(body))}, "", "endless")};
  g.inputs = {test::value("x", {64})};
  g.outputs = {test::value("y", {64})};
  if (gathers) g.outputs.push_back(test::value("rows", {"n", 64}));
  return test::model(test::graph(g));
}

// Opens and runs the model on ones, with a token that is set after a while where `cancels` says so.
Diag stopped(const std::string& model, const std::vector<Shape>& inputs, const std::vector<NamedOption>& options,
             bool cancels) {
  const Opened s = open_model(model, options);
  EXPECT_TRUE(s) << (s ? "" : render(s.error()));
  if (!s) return {};
  CancelToken token;
  std::thread later;
  if (cancels) {
    later = std::thread([&] {
      std::this_thread::sleep_for(milliseconds(100));
      token.cancel();
    });
  }
  std::vector<Tensor> fed;
  for (const Shape& shape : inputs) fed.push_back(ones(shape));
  engine::RunOptions how;
  how.cancel = &token;
  const auto start = std::chrono::steady_clock::now();
  const auto y = run(**s, fed, how);
  if (later.joinable()) later.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
  EXPECT_FALSE(y);
  return y ? Diag{} : y.error();
}

TEST(LoopWithoutEnd, IsStoppedByCancelByTimeAndByMemory) {
  for (const char* device : {"cpu", "coreml"}) {
    SCOPED_TRACE(device);
    const NamedOption on{"device", device};
    const Diag cancelled = stopped(endless(false), {{64}}, {on}, true);
    EXPECT_EQ(cancelled.code, Code::cancelled) << render(cancelled);
    const Diag late = stopped(endless(false), {{64}}, {on, {"time_limit", "0.2"}}, false);
    EXPECT_EQ(late.code, Code::time_limit) << render(late);
    EXPECT_NE(late.message.find("0.2 s, the time limit (option time_limit)"), std::string::npos) << late.message;
    EXPECT_NE(late.node, "") << render(late);
    const Diag large = stopped(endless(true), {{64}}, {on, {"memory_limit", "4M"}}, false);
    EXPECT_EQ(large.code, Code::memory_limit) << render(large);
    EXPECT_NE(large.message.find("option memory_limit"), std::string::npos) << large.message;
    EXPECT_NE(large.node, "") << render(large);
  }
}

// One operator that takes many seconds by its reference kernel, and minutes in larger sizes.
struct Slow {
  const char* name;
  std::string node;
  std::vector<Shape> inputs;
  std::vector<test::Size> output;
};
std::vector<Slow> slow_kernels() {
  constexpr int64_t n = 6000;
  const std::string einsum = test::message(
      [](auto& w) { w.add_string(1, "equation"), w.add_bytes(4, std::string("ij,kj->ik")), w.add_enum(20, 3); });
  return {{"MatMul", test::node("MatMul", {"x0", "x1"}, {"y"}), {{n, n}, {n, n}}, {n, n}},
          {"Einsum", test::node("Einsum", {"x0", "x1"}, {"y"}, {einsum}), {{n, n}, {n, n}}, {n, n}},
          {"Conv", test::node("Conv", {"x0", "x1"}, {"y"}), {{1, 64, 600, 600}, {64, 64, 101, 101}}, {1, 64, 500, 500}},
          {"MaxPool",
           test::node("MaxPool", {"x0"}, {"y"}, {test::ints_attribute("kernel_shape", {1001, 1001})}),
           {{1, 1, 2000, 2000}},
           {1, 1, 1000, 1000}}};
}

TEST(LongKernel, HearsCancelAndTheTimeLimit) {
  for (const Slow& slow : slow_kernels()) {
    SCOPED_TRACE(slow.name);
    test::GraphParts g;
    g.nodes = {slow.node};
    for (size_t i = 0; i < slow.inputs.size(); ++i) {
      std::vector<test::Size> dims;
      for (int64_t d : slow.inputs[i]) dims.emplace_back(d);
      g.inputs.push_back(test::value(format("x{}", i), dims));
    }
    g.outputs = {test::value("y", slow.output)};
    const std::string model = test::model(test::graph(g));
    const NamedOption reference{"engine", "reference"};
    EXPECT_EQ(stopped(model, slow.inputs, {reference}, true).code, Code::cancelled);
    const Diag late = stopped(model, slow.inputs, {reference, {"time_limit", "0.1s"}}, false);
    EXPECT_EQ(late.code, Code::time_limit) << render(late);
    EXPECT_NE(late.node, "") << render(late);
  }
}

// ---- constants ----

std::string initializer(const std::string& name, int64_t count) {
  return test::raw_tensor(name, 1, {count}, std::string(static_cast<size_t>(count) * sizeof(float), '\0'));
}

// The constant c0 is joined with itself `times` times: 4 KiB become 4 KiB << times.
std::string doubled(int times) {
  test::GraphParts g;
  g.initializers = {initializer("c0", 1024)};
  for (int i = 0; i < times; ++i) {
    const std::string from = format("c{}", i);
    g.nodes.push_back(test::node("Concat", {from, from}, {format("c{}", i + 1)}, {test::int_attribute("axis", 0)}));
  }
  g.nodes.push_back(test::node("Add", {format("c{}", times), "x"}, {"y"}));
  g.inputs = {test::value("x", {1})};
  g.outputs = {test::value("y", {1024 << times})};
  return test::model(test::graph(g));
}

TEST(Constants, DoNotGrowFarBeyondWhatTheFileHas) {
  for (const char* device : {"cpu", "coreml"}) {
    SCOPED_TRACE(device);
    const Opened s = open_model(doubled(20), {{"device", device}, {"memory_limit", "1T"}});
    ASSERT_TRUE(s) << render(s.error());
    EXPECT_LT((*s)->memory()->used(), 1U << 30);  // 4 GiB, were it folded, and as much again on the way
    const Opened bounded = open_model(doubled(20), {{"device", device}, {"memory_limit", "1G"}});
    const Diag d = bounded ? run(**bounded, {ones({1})}).error() : bounded.error();
    EXPECT_EQ(d.code, Code::memory_limit) << render(d);
    EXPECT_NE(d.node, "") << render(d);
  }
}

// What is not folded is computed in the run, with the same result.
TEST(Constants, ThatWereLeftToTheRunAreRight) {
  for (const char* device : {"cpu", "coreml"}) {
    const Opened s = open_model(doubled(14), {{"device", device}, {"precision", "float32"}});
    ASSERT_TRUE(s) << render(s.error());
    const auto y = run(**s, {ones({1})});
    ASSERT_TRUE(y) << render(y.error());
    const auto values = (*y)[0].span<const float>();
    EXPECT_EQ(values.size(), size_t{1024} << 14);
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return v == 1; }));
  }
}

// A window of a million elements at each of a million places, of a constant: minutes, were it folded.
TEST(Constants, ThatTakeLongAreLeftToTheRun) {
  constexpr int64_t kSide = 1000;
  test::GraphParts g;
  g.nodes = {test::node("Reshape", {"c", "shape"}, {"image"}),
             test::node("MaxPool", {"image"}, {"pooled"},
                        {test::ints_attribute("kernel_shape", {501, 501}),
                         test::ints_attribute("pads", {250, 250, 250, 250})}),
             test::node("Add", {"pooled", "x"}, {"y"})};
  const std::vector<int64_t> shape{1, 1, kSide, kSide};
  g.initializers = {initializer("c", kSide * kSide),
                    test::raw_tensor("shape", kInt64, {4},
                                     std::string(reinterpret_cast<const char*>(shape.data()), 4 * sizeof(int64_t)))};
  g.inputs = {test::value("x", {1})};
  g.outputs = {test::value("y", {1, 1, kSide, kSide})};
  const auto start = std::chrono::steady_clock::now();
  const Opened s = open_model(test::model(test::graph(g)), {{"device", "cpu"}, {"engine", "reference"}});
  EXPECT_TRUE(s) << render(s.error());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
}

}  // namespace
}  // namespace graft::session_test
