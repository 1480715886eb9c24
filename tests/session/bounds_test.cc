// Small files that ask for much: how much memory a session may take, and how opening it and running it are cancelled.
#include <chrono>
#include <fstream>
#include <thread>

#include "base/format.h"
#include "base/machine.h"
#include "onnx/reader.h"
#include "support.h"

namespace graft::session_test {
namespace {

constexpr int64_t kBillion = 1'000'000'000;
constexpr int kInt64 = 7;

template <class T>
std::string raw(const std::string& name, int type, const std::vector<int64_t>& dims, const std::vector<T>& values) {
  return test::raw_tensor(name, type, dims,
                          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
}
std::string int64s(const std::string& name, const std::vector<int64_t>& values) {
  return raw(name, kInt64, {static_cast<int64_t>(values.size())}, values);
}
std::string one() { return raw<float>("one", 1, {1}, {1.0F}); }

// "x", of one element, or the constant "one" expanded to a billion elements, and what follows.
std::string bomb(const std::string& from, const test::Names& then, const std::string& output) {
  test::GraphParts g;
  g.nodes = {test::node("Expand", {from, "shape"}, {"wide"}, {}, "", "bomb")};
  g.nodes.insert(g.nodes.end(), then.begin(), then.end());
  g.initializers = {one(), int64s("shape", {kBillion})};
  g.inputs = {test::value("x", {1})};
  g.outputs = {output};
  return test::model(test::graph(g));
}
std::string wide_output() { return test::value("wide", {kBillion}); }

// What goes wrong first: opening, or the run.
Diag failure(const std::string& model, std::vector<NamedOption> options, const std::vector<Tensor>& inputs) {
  const Opened s = open_model(model, options);
  if (!s) return s.error();
  const auto y = run(**s, inputs);
  EXPECT_FALSE(y);
  return y ? Diag{} : y.error();
}

Tensor x() { return tensor<float>(DType::f32, {1}, {1}); }

TEST(Memory, ABombIsRefusedAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  struct Case {
    std::string what, model;
  };
  const std::vector<Case> cases = {
      {"a result", bomb("x", {}, wide_output())},
      {"a constant result", bomb("one", {}, wide_output())},
      {"an intermediate value", bomb("x",
                                     {test::node("Exp", {"wide"}, {"e"}),
                                      test::node("ReduceSum", {"e"}, {"y"}, {test::int_attribute("keepdims", 1)})},
                                     test::value("y", {1}))},
      {"a folded constant", bomb("one", {test::node("Add", {"wide", "x"}, {"y"})}, test::value("y", {kBillion}))},
  };
  for (const Case& c : cases) {
    for (const char* device : {"cpu", "coreml"}) {
      SCOPED_TRACE(c.what + " " + device);
      const Diag d = failure(c.model, {{"device", device}, {"memory_limit", "64M"}}, {x()});
      EXPECT_EQ(d.code, Code::memory_limit) << render(d);
      EXPECT_NE(d.node, "") << render(d);
      EXPECT_NE(d.message.find("the memory limit is 67108864 bytes"), std::string::npos) << d.message;
      EXPECT_NE(d.message.find("000000"), std::string::npos) << d.message;  // what was asked for
    }
  }
  // A bomb of 8 GB each would take far longer to fill.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(Memory, TheErrorNamesFileNodeAndTensor) {
  const std::string path = testing::TempDir() + "bomb.onnx";
  std::ofstream(path, std::ios::binary) << bomb("x", {}, wide_output());
  const Opened s = open(path, {{"device", "cpu"}, {"memory_limit", "64M"}});
  ASSERT_TRUE(s) << render(s.error());
  const auto y = run(**s, {x()});
  ASSERT_FALSE(y);
  EXPECT_EQ(y.error().file, path);
  EXPECT_EQ(y.error().tensor, "wide");
  EXPECT_NE(y.error().node, "");
  std::filesystem::remove(path);
}

// Where even the allocator says no, the error has the same places.
TEST(Memory, WhatNoMachineHasIsRefusedWithItsPlaces) {
  for (const int64_t size : {int64_t{1} << 36, int64_t{1} << 45, int64_t{1} << 62}) {
    test::GraphParts g;
    g.nodes = {test::node("Expand", {"x", "shape"}, {"wide"})};
    g.initializers = {int64s("shape", {size})};
    g.inputs = {test::value("x", {1})};
    g.outputs = {test::value("wide", {"n"})};
    const Diag d = failure(test::model(test::graph(g)), {{"device", "cpu"}, {"memory_limit", "none"}}, {x()});
    EXPECT_EQ(d.code, Code::out_of_memory) << render(d);
    EXPECT_NE(d.node + d.tensor, "") << render(d);
    EXPECT_NE(d.node, "") << render(d);
  }
}

// 1000 nodes that each fold into 64 KiB: no single one is too much.
TEST(Memory, ManySmallFoldedConstantsCount) {
  test::GraphParts g;
  constexpr int64_t kEach = 16384;
  g.initializers = {one(), int64s("shape", {kEach})};
  std::string sum = "x";
  for (int i = 0; i < 1000; ++i) {
    const std::string c = format("c{}", i), next = format("s{}", i), k = format("k{}", i);
    g.initializers.push_back(raw<float>(k, 1, {1}, {static_cast<float>(i)}));
    g.nodes.push_back(test::node("Expand", {k, "shape"}, {c}));
    g.nodes.push_back(test::node("Add", {sum, c}, {next}));
    sum = next;
  }
  g.inputs = {test::value("x", {kEach})};
  g.outputs = {test::value(sum, {kEach})};
  const std::string model = test::model(test::graph(g));
  for (const char* device : {"cpu", "coreml"}) {
    const Opened s = open_model(model, {{"device", device}, {"memory_limit", "10M"}});
    ASSERT_FALSE(s) << device;
    EXPECT_EQ(s.error().code, Code::memory_limit) << render(s.error());
    EXPECT_TRUE(open_model(model, {{"device", device}, {"memory_limit", "400M"}})) << device;
  }
}

TEST(Memory, CopiesOfInputsCount) {
  test::GraphParts g;
  g.nodes = {test::node("Add", {"i", "i"}, {"j"}), test::node("Cast", {"j"}, {"y"}, {test::int_attribute("to", 1)})};
  g.inputs = {test::value("i", {"n"}, kInt64)};
  g.outputs = {test::value("y", {"n"})};
  const Opened s =
      open_model(test::model(test::graph(g)), {{"device", "coreml"}, {"memory_limit", "1M"}, {"cost_model", "0"}});
  ASSERT_TRUE(s) << render(s.error());
  ASSERT_GT((*s)->partitioning()->partitions, 0);
  EXPECT_TRUE(run(**s, {tensor<int64_t>(DType::i64, {1000}, std::vector<int64_t>(1000, 3))}));
  const auto y = run(**s, {tensor<int64_t>(DType::i64, {1000000}, std::vector<int64_t>(1000000, 3))});
  ASSERT_FALSE(y);
  EXPECT_EQ(y.error().code, Code::memory_limit) << render(y.error());
  EXPECT_TRUE(run(**s, {tensor<int64_t>(DType::i64, {1000}, std::vector<int64_t>(1000, 3))}));
}

TEST(Memory, ResultsThatTheCallerKeepsDoNotCount) {
  test::GraphParts g;
  g.nodes = {test::node("Relu", {"x"}, {"y"})};
  g.inputs = {test::value("x", {1000})};
  g.outputs = {test::value("y", {1000})};
  const std::string model = test::model(test::graph(g));
  for (const char* device : {"cpu", "coreml"}) {
    const Opened s = open_model(model, {{"device", device}, {"memory_limit", "100K"}});
    ASSERT_TRUE(s) << render(s.error());
    std::vector<std::vector<Tensor>> kept;
    for (int i = 0; i < 100; ++i) {
      auto y = run(**s, {Tensor::of<float>(DType::f32, {1000}, std::vector<float>(1000, 1))});
      ASSERT_TRUE(y) << i << " " << render(y.error());
      kept.push_back(std::move(*y));
    }
  }
}

TEST(Memory, TheDefaultFollowsTheMachine) {
  const std::string model = bomb("x", {}, wide_output());
  const Opened by_default = open_model(model, {{"device", "cpu"}});
  ASSERT_TRUE(by_default);
  ASSERT_NE((*by_default)->memory(), nullptr);
  EXPECT_EQ((*by_default)->memory()->bytes(), machine_memory() / 4 * 3);
  const Opened without = open_model(model, {{"device", "cpu"}, {"memory_limit", "none"}});
  ASSERT_TRUE(without);
  EXPECT_EQ((*without)->memory(), nullptr);
}

// ---- cancel ----

// Opening with a token that is set already, and with one that is set soon; the work would take many minutes.
void expect_opening_cancelled(const std::string& model, const std::vector<NamedOption>& options) {
  for (const bool at_once : {true, false}) {
    SCOPED_TRACE(at_once);
    CancelToken token;
    if (at_once) token.cancel();
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      token.cancel();
    });
    const auto start = std::chrono::steady_clock::now();
    const auto bytes = std::make_shared<std::string>(model);
    const Opened s = Session::open_memory(test::bytes_of(*bytes), bytes, "", std::make_shared<Env>(1),
                                          *session::parse_options(options), &token);
    later.join();
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code, Code::cancelled) << render(s.error());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
  }
}

// Boxes that do not overlap: each is compared with all before it. Folded when the node is lowered, as far as the budget
// for that goes: a second or so for each node.
TEST(Cancel, IsHeardWhileLoading) {
  constexpr int64_t kBoxes = 400'000;
  constexpr int kNodes = 100;
  std::vector<float> boxes, scores;
  for (int64_t i = 0; i < kBoxes; ++i) {
    const auto at = static_cast<float>(i);
    boxes.insert(boxes.end(), {0, 2 * at, 1, 2 * at + 1});
    scores.push_back(at);
  }
  test::GraphParts g;
  for (int i = 0; i < kNodes; ++i) {
    const std::string picked = format("picked{}", i), y = format("y{}", i);
    g.nodes.push_back(test::node("NonMaxSuppression", {"boxes", "scores", "most"}, {picked}));
    g.nodes.push_back(test::node("Add", {picked, "x"}, {y}));
    g.outputs.push_back(test::value(y, {"n", 3}, kInt64));
  }
  g.initializers = {raw("boxes", 1, {1, kBoxes, 4}, boxes), raw("scores", 1, {1, 1, kBoxes}, scores),
                    int64s("most", {kBoxes})};
  g.inputs = {test::value("x", {1}, kInt64)};
  for (const char* device : {"cpu", "coreml"})
    expect_opening_cancelled(test::model(test::graph(g)), {{"device", device}});
}

// The results are larger than what they are made from: they are not folded before they are planned. Windows of up to a
// million elements, millions of times, as far as the budget goes.
TEST(Cancel, IsHeardWhilePlanning) {
  constexpr int64_t kSide = 1000;
  constexpr int kNodes = 100;
  test::GraphParts g;
  for (int i = 0; i < kNodes; ++i) {
    const std::string pooled = format("pooled{}", i), y = format("y{}", i);
    const int64_t side = 1001 - 2 * i, pad = 1000 - i;
    g.nodes.push_back(test::node(
        "MaxPool", {"c"}, {pooled},
        {test::ints_attribute("kernel_shape", {side, side}), test::ints_attribute("pads", {pad, pad, pad, pad})}));
    g.nodes.push_back(test::node("Add", {pooled, "x"}, {y}));
    g.outputs.push_back(test::value(y, {1, 1, 2000, 2000}));
  }
  g.initializers = {raw("c", 1, {1, 1, kSide, kSide}, std::vector<float>(kSide * kSide, 1))};
  g.inputs = {test::value("x", {1})};
  expect_opening_cancelled(test::model(test::graph(g)), {{"device", "cpu"}});
}

TEST(Cancel, IsHeardInsideARun) {
  test::GraphParts g;
  g.nodes = {test::node("MaxPool", {"x"}, {"y"}, {test::ints_attribute("kernel_shape", {1001, 1001})})};
  g.inputs = {test::value("x", {1, 1, 2000, 2000})};
  g.outputs = {test::value("y", {1, 1, 1000, 1000})};
  const std::string model = test::model(test::graph(g));
  for (const char* device : {"cpu", "coreml"}) {
    const Opened s = open_model(model, {{"device", device}, {"engine", "reference"}, {"cost_model", "0"}});
    ASSERT_TRUE(s) << render(s.error());
    CancelToken token;
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      token.cancel();
    });
    engine::RunOptions options;
    options.cancel = &token;
    const auto start = std::chrono::steady_clock::now();
    const auto y =
        run(**s, {Tensor::of<float>(DType::f32, {1, 1, 2000, 2000}, std::vector<float>(4'000'000, 1))}, options);
    later.join();
    ASSERT_FALSE(y);
    EXPECT_EQ(y.error().code, Code::cancelled) << render(y.error());
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
  }
}

TEST(Cancel, IsHeardByReaderLoweringAndPartition) {
  CancelToken token;
  token.cancel();
  const Bounds bounds{&token, nullptr};
  const std::string path = GRAFT_SOURCE_DIR "/models/digits.onnx";
  const auto expect_cancelled = [](const auto& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::cancelled) << render(result.error());
  };
  for (const Hold hold : {Hold::mapped, Hold::copied}) expect_cancelled(onnx::read_file(path, hold, bounds));
  const auto model = onnx::read_file(path);
  ASSERT_TRUE(model);
  expect_cancelled(onnx::lower_for_host(*model, {}, bounds));
  auto host = onnx::lower_for_host(*model, {});
  ASSERT_TRUE(host);
  const auto lowered = std::make_shared<const onnx::HostProgram>(std::move(*host));
  expect_cancelled(partition::partition(lowered, {}, bounds));
  const Opened coreml = open(path, {{"device", "coreml"}});
  ASSERT_TRUE(coreml);
  const std::string package = testing::TempDir() + "cancelled.mlpackage";
  const partition::Subgraph& partition = (*coreml)->partitioning()->subgraphs[0];
  coreml::WriteOptions write;
  write.target = partition.target;
  ASSERT_TRUE(coreml::write_package(*partition.program, package, write));
  expect_cancelled(coreml::read_package(package, Hold::mapped, bounds));
  std::filesystem::remove_all(package);
}

}  // namespace
}  // namespace graft::session_test
