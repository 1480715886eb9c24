// Sizes that only a run knows, zero among them: shapes, windows and groups of models whose dims are open, on the host
// and as Core ML programs on the engine. Expected values are onnxruntime's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/format.h"
#include "onnx/messages.h"
#include "session/session.h"

namespace graft::session {
namespace {

using test::Names;
using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kOpen = -1;

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
std::string int_list(const std::string& name, const std::vector<int64_t>& values) {
  return test::raw_tensor(name, 7, {static_cast<int64_t>(values.size())}, raw(values));
}
std::string float_list(const std::string& name, const std::vector<float>& values) {
  return test::raw_tensor(name, 1, {static_cast<int64_t>(values.size())}, raw(values));
}
Tensor floats(const Shape& shape, float first = 0, float step = 1) {
  Tensor t(DType::f32, shape);
  for (int64_t i = 0; i < t.count(); ++i)
    t.span<float>()[static_cast<size_t>(i)] = first + step * static_cast<float>(i);
  return t;
}
Tensor ints(const Shape& shape, const std::vector<int64_t>& values) {
  return Tensor::of<int64_t>(DType::i64, shape, values);
}

struct Net {
  Names nodes, initializers, inputs;
  std::string output = test::value("y");  // rank 0 says nothing here: see without_shape
  int opset = 13;
  bool takes_over = true;  // the host may
};

// A tensor of floats of which the file does not even state the rank.
std::string without_shape(const std::string& name, int element = 1) {
  return test::message([&](test::Writer& w) {
    w.add_string(1, name);
    w.add_message(2, test::message([&](test::Writer& type) {
                    type.add_message(1, test::message([&](test::Writer& t) { t.add_enum(1, element); }));
                  }));
  });
}

Result<Tensor> run(const Net& net, const std::vector<Tensor>& inputs, const std::string& device = "cpu") {
  auto bytes = std::make_shared<std::string>(
      test::model(test::graph({net.nodes, net.initializers, net.inputs, {net.output}}), 8, net.opset));
  const std::vector<NamedOption> named{{"device", device}, {"cost_model", "0"}, {"precision", "float32"}};
  GRAFT_TRY(Options options, parse_options(named));
  options.host_takes_over = net.takes_over;
  GRAFT_TRY(const std::shared_ptr<const Session> s,
            Session::open_memory(test::bytes_of(*bytes), bytes, "", std::make_shared<Env>(1), options));
  std::vector<TensorView> views;
  for (const Tensor& t : inputs) views.push_back(t.view());
  std::vector<engine::OutputSlot> out(1);
  GRAFT_CHECK(s->run(views, out));
  return std::move(out[0].owned);
}

std::string shape_of(const Net& net, const std::vector<Tensor>& inputs, const std::string& device = "cpu") {
  const Result<Tensor> y = run(net, inputs, device);
  return y ? to_string(y->shape()) : render(y.error());
}

void expect_values(const Net& net, const std::vector<Tensor>& inputs, const Shape& shape,
                   const std::vector<float>& values, const std::string& device = "cpu") {
  const Result<Tensor> y = run(net, inputs, device);
  ASSERT_TRUE(y) << render(y.error());
  ASSERT_EQ(to_string(y->shape()), to_string(shape));
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(y->span<float>()[i], values[i], 1e-5) << "element " << i;
}

Net reshape(const std::vector<test::Size>& x, const std::vector<int64_t>& shape, bool allowzero = false) {
  Names attributes;
  if (allowzero) attributes.push_back(test::int_attribute("allowzero", 1));
  return {.nodes = {test::node("Reshape", {"x", "s"}, {"y"}, attributes)},
          .initializers = {int_list("s", shape)},
          .inputs = {test::value("x", x)},
          .output = without_shape("y"),
          .opset = 14};
}
Net flatten(const std::vector<test::Size>& x, int64_t axis) {
  return {.nodes = {test::node("Flatten", {"x"}, {"y"}, {test::int_attribute("axis", axis)})},
          .initializers = {},
          .inputs = {test::value("x", x)},
          .output = without_shape("y")};
}

TEST(Sizes, ReshapeThatARunFindsImpossible) {
  for (const char* device : {"cpu", "coreml"}) {
    const std::string copied =
        shape_of(reshape({kOpen, kOpen, 1, kOpen}, {0, 1, 0, 2}), {floats({2, 3, 1, 4})}, device);
    EXPECT_THAT(copied, HasSubstr("cannot reshape [2, 3, 1, 4] into [2, 1, 1, 2]")) << device;
    EXPECT_THAT(copied, HasSubstr("node 'y'")) << device;
    EXPECT_THAT(shape_of(reshape({kOpen, kOpen}, {0}), {floats({3, 2})}, device), HasSubstr("cannot reshape"));
    EXPECT_THAT(shape_of(reshape({kOpen, 1, 3, kOpen}, {0, 0}), {floats({4, 1, 3, 3})}, device),
                HasSubstr("cannot reshape"));
    EXPECT_THAT(shape_of(reshape({kOpen, kOpen}, {-1, 4}), {floats({3, 2})}, device), HasSubstr("cannot reshape"));
    EXPECT_THAT(shape_of(reshape({2, 2, kOpen}, {2, 0, 0, 2}, true), {floats({2, 2, 4})}, device),
                HasSubstr("cannot reshape"));
    EXPECT_THAT(shape_of(reshape({kOpen, kOpen, 3, 1}, {-1, 0, 0, 3}), {floats({1, 3, 3, 1})}, device),
                HasSubstr("cannot reshape"));
    // There and back again is nothing only where there is a way there.
    Net back = reshape({kOpen}, {-1, 1, 1, 6});
    back.nodes = {test::node("Reshape", {"x", "s"}, {"m"}), test::node("Shape", {"x"}, {"z"}),
                  test::node("Reshape", {"m", "z"}, {"y"})};
    EXPECT_THAT(shape_of(back, {floats({5})}, device), HasSubstr("cannot reshape [5] into [-1, 1, 1, 6]"));
    EXPECT_EQ(shape_of(back, {floats({12})}, device), "[12]");
  }
}

// What is compiled is compiled for the sizes that Core ML has; the whole graph takes any other on the host.
TEST(Sizes, OthersThanCoreMlHasRunOnTheHost) {
  Net net{.nodes = {test::node("Exp", {"x"}, {"e"}), test::node("Add", {"e", "t"}, {"y"})},
          .initializers = {},
          .inputs = {test::value("x", {kOpen, 3}), test::value("t", {kOpen, 3})},
          .output = without_shape("y")};
  for (const int rows : {0, 1, 64, 65, 300}) {
    EXPECT_EQ(shape_of(net, {floats({rows, 3}), floats({rows, 3})}, "coreml"), format("[{}, 3]", rows));
  }
  EXPECT_EQ(shape_of(net, {floats({100, 3}), floats({1, 3})}, "coreml"), "[100, 3]");
  net.takes_over = false;
  EXPECT_THAT(shape_of(net, {floats({65, 3}), floats({1, 3})}, "coreml"),
              AllOf(HasSubstr("tensor 'x'"), HasSubstr("dim 0 is 65, the Core ML program takes 1 to 64")));
  EXPECT_EQ(shape_of(net, {floats({64, 3}), floats({64, 3})}, "coreml"), "[64, 3]");
}

TEST(Sizes, ReshapeOfNothing) {
  for (const char* device : {"cpu", "coreml"}) {
    EXPECT_EQ(shape_of(reshape({kOpen, kOpen, 1, kOpen}, {0, 0, 1, 0, 2}), {floats({0, 0, 1, 0})}, device),
              "[0, 0, 1, 0, 2]");
    EXPECT_EQ(shape_of(reshape({kOpen, 3, 4}, {0, 12}), {floats({0, 3, 4})}, device), "[0, 12]");
    EXPECT_EQ(shape_of(reshape({kOpen, 3, 4}, {-1, 6}), {floats({0, 3, 4})}, device), "[0, 6]");
    EXPECT_EQ(shape_of(reshape({kOpen, kOpen, kOpen}, {0, 4, 0}, true), {floats({4, 2, 0})}, device), "[0, 4, 0]");
    EXPECT_EQ(shape_of(reshape({2, 0, kOpen}, {0, 0, 7}), {floats({2, 0, 5})}, device), "[2, 0, 7]");
    EXPECT_THAT(shape_of(reshape({kOpen, kOpen}, {0}), {floats({2, 0})}, device), HasSubstr("cannot reshape"));
  }
  EXPECT_THAT(shape_of(reshape({2, 4, 0}, {-1, 0, 0}), {floats({2, 4, 0})}), HasSubstr("-1 can be any size"));
}

// The shape is an input: its 0 copies, or is a size where allowzero says so.
TEST(Sizes, ReshapeToAShapeOfTheRun) {
  const auto to = [](const std::vector<test::Size>& x, int64_t length, bool allowzero = false) {
    Net net = reshape(x, {}, allowzero);
    net.initializers.clear();
    net.inputs.push_back(test::value("s", {length}, 7));
    return net;
  };
  for (const char* device : {"cpu", "coreml"}) {
    EXPECT_EQ(shape_of(to({kOpen, kOpen, kOpen}, 2), {floats({2, 3, 4}), ints({2}, {0, -1})}, device), "[2, 12]");
    EXPECT_EQ(shape_of(to({kOpen, kOpen}, 3), {floats({2, 12}), ints({3}, {0, 3, 4})}, device), "[2, 3, 4]");
    EXPECT_THAT(shape_of(to({kOpen, kOpen}, 3), {floats({2, 12}), ints({3}, {24, 1, 0})}, device),
                HasSubstr("shape_mismatch"));
    EXPECT_THAT(shape_of(to({kOpen, kOpen}, 2), {floats({2, 3}), ints({2}, {2, 2})}, device),
                HasSubstr("cannot reshape [2, 3] into [2, 2]"));
    EXPECT_THAT(shape_of(to({kOpen}, 0), {floats({2}), ints({0}, {})}, device),
                HasSubstr("cannot reshape [2] into []"));
    EXPECT_EQ(shape_of(to({kOpen}, 0), {floats({1}), ints({0}, {})}, device), "[]");
    EXPECT_EQ(shape_of(to({kOpen, kOpen}, 2, true), {floats({0, 3}), ints({2}, {5, 0})}, device), "[5, 0]");
    EXPECT_THAT(shape_of(to({kOpen, kOpen}, 2, true), {floats({2, 3}), ints({2}, {2, 0})}, device),
                HasSubstr("cannot reshape"));
  }
  // Not even the length: the file states the rank of the result, or each run finds it out.
  Net stated = to({kOpen, kOpen}, kOpen);
  for (const char* device : {"cpu", "coreml"}) {
    EXPECT_EQ(shape_of(stated, {floats({2, 3}), ints({1}, {6})}, device), "[6]") << device;
    EXPECT_EQ(shape_of(stated, {floats({2, 3}), ints({3}, {3, 1, -1})}, device), "[3, 1, 2]") << device;
    EXPECT_THAT(shape_of(stated, {floats({2, 3}), ints({2}, {4, 2})}, device), HasSubstr("cannot reshape")) << device;
  }
  stated.output = test::value("y", {kOpen});
  EXPECT_EQ(shape_of(stated, {floats({2, 3}), ints({1}, {6})}), "[6]");
  EXPECT_THAT(shape_of(stated, {floats({2, 3}), ints({2}, {3, 2})}), HasSubstr("cannot reshape [2] into [1]"));
}

TEST(Sizes, FlattenSqueezeExpand) {
  for (const char* device : {"cpu", "coreml"}) {
    EXPECT_EQ(shape_of(flatten({2, 0, kOpen}, 2), {floats({2, 0, 5})}, device), "[0, 5]");
    EXPECT_EQ(shape_of(flatten({kOpen, kOpen, kOpen}, 1), {floats({2, 0, 5})}, device), "[2, 0]");
    EXPECT_EQ(shape_of(flatten({kOpen, 3, kOpen}, 0), {floats({2, 3, 0})}, device), "[1, 0]");
    Net squeeze{.nodes = {test::node("Squeeze", {"x", "a"}, {"y"})},
                .initializers = {int_list("a", {1})},
                .inputs = {test::value("x", {kOpen, kOpen, kOpen})},
                .output = without_shape("y")};
    EXPECT_EQ(shape_of(squeeze, {floats({2, 1, 3})}, device), "[2, 3]");
    EXPECT_EQ(shape_of(squeeze, {floats({0, 1, 3})}, device), "[0, 3]");
    EXPECT_THAT(shape_of(squeeze, {floats({2, 2, 3})}, device), HasSubstr("the result is [2, 2, 3], must be ["));
    EXPECT_THAT(shape_of(squeeze, {floats({0, 2, 3})}, device), HasSubstr("shape_mismatch"));
    Net expand{.nodes = {test::node("Expand", {"x", "s"}, {"y"})},
               .initializers = {int_list("s", {3, 1, 4})},
               .inputs = {test::value("x", {kOpen, kOpen})},
               .output = without_shape("y")};
    EXPECT_EQ(shape_of(expand, {floats({2, 1})}, device), "[3, 2, 4]");
    EXPECT_EQ(shape_of(expand, {floats({0, 4})}, device), "[3, 0, 4]");
    EXPECT_THAT(shape_of(expand, {floats({2, 3})}, device), HasSubstr("broadcast"));
  }
}

TEST(Sizes, GroupsOfOpenChannels) {
  Net net{.nodes = {test::node("GroupNormalization", {"x", "s", "b"}, {"y"}, {test::int_attribute("num_groups", 2)})},
          .initializers = {float_list("s", {1, 2, 1, 1}), float_list("b", {0, 0, 1, 0})},
          .inputs = {test::value("x", {1, kOpen, 2})},
          .output = without_shape("y"),
          .opset = 21};
  for (const char* device : {"cpu", "coreml"}) {
    expect_values(net, {floats({1, 4, 2})}, {1, 4, 2},
                  {-1.3416355f, -0.4472118f, 0.8944237f, 2.6832709f, -0.3416355f, 0.5527882f, 0.4472118f, 1.3416355f},
                  device);
    EXPECT_THAT(shape_of(net, {floats({1, 3, 2})}, device), HasSubstr("cannot reshape [1, 3, 2] into [1, 2, 2]"));
  }
}

TEST(Sizes, ListsOfIndicesOfOpenLength) {
  Net gather{.nodes = {test::node("GatherND", {"x", "i"}, {"y"})},
             .initializers = {},
             .inputs = {test::value("x", {kOpen, kOpen}), test::value("i", {kOpen, kOpen}, 7)},
             .output = without_shape("y")};
  const Tensor x = floats({2, 3}), pairs = ints({2, 2}, {1, 0, 0, -1}), rows = ints({2, 1}, {1, 0});
  for (const char* device : {"cpu", "coreml"}) {  // each run finds out how many dims are addressed
    expect_values(gather, {x, pairs}, {2}, {3, 2}, device);
    EXPECT_EQ(shape_of(gather, {x, rows}, device), "[2, 3]") << device;
  }
  gather.output = test::value("y", {kOpen});
  for (const char* device : {"cpu", "coreml"}) {
    expect_values(gather, {x, pairs}, {2}, {3, 2}, device);
    EXPECT_THAT(shape_of(gather, {x, rows}, device), HasSubstr("cannot reshape [2, 1] into [2, 2]"));
  }
  Net scatter{.nodes = {test::node("ScatterND", {"x", "i", "u"}, {"y"})},
              .initializers = {},
              .inputs = {test::value("x", {kOpen, kOpen}), test::value("i", {kOpen, kOpen}, 7),
                         test::value("u", {kOpen, kOpen})},
              .output = without_shape("y")};
  for (const char* device : {"cpu", "coreml"}) {
    expect_values(scatter, {x, rows, floats({2, 3}, 10)}, {2, 3}, {13, 14, 15, 10, 11, 12}, device);
    EXPECT_THAT(shape_of(scatter, {x, pairs, floats({2, 3}, 10)}, device),
                HasSubstr("cannot reshape [2, 2] into [2, 1]"));
  }
}

// A size of 0 copies the dim of x at its place, which is not MIL's from the right.
TEST(Sizes, ReshapeByTheSizeOfATensorWithoutElements) {
  const Net net{.nodes = {test::node("Shape", {"z"}, {"sizes"}), test::node("Gather", {"sizes", "first"}, {"size"}),
                          test::node("Concat", {"size", "rest"}, {"s"}, {test::int_attribute("axis", 0)}),
                          test::node("Reshape", {"x", "s"}, {"y"})},
                .initializers = {int_list("first", {0}), int_list("rest", {-1})},
                .inputs = {test::value("x", {kOpen}), test::value("z", {kOpen, kOpen})},
                .output = without_shape("y")};
  for (const char* device : {"cpu", "coreml"}) {
    EXPECT_EQ(shape_of(net, {floats({6}), floats({2, 3})}, device), "[2, 3]");
    EXPECT_EQ(shape_of(net, {floats({6}), floats({0, 3})}, device), "[6, 1]");
  }
}

TEST(Sizes, KernelsOfOpenSize) {
  Net net{.nodes = {test::node("Conv", {"x", "w"}, {"y"}, {test::ints_attribute("pads", {1, 1})})},
          .initializers = {},
          .inputs = {test::value("x", {1, 1, kOpen}), test::value("w", {1, 1, kOpen})},
          .output = without_shape("y")};
  expect_values(net, {floats({1, 1, 4}, 1), floats({1, 1, 3}, 1)}, {1, 1, 4}, {8, 14, 20, 11});
  expect_values(net, {floats({1, 1, 4}, 1), floats({1, 1, 2}, 1)}, {1, 1, 5}, {2, 5, 8, 11, 4});
  EXPECT_THAT(shape_of(net, {floats({1, 1, 4}), floats({1, 1, 7})}), HasSubstr("the window of size 7 is larger"));
  net.nodes = {test::node("Conv", {"x", "w"}, {"y"}, {test::ints_attribute("kernel_shape", {2})})};
  expect_values(net, {floats({1, 1, 4}, 1), floats({1, 1, 2}, 1)}, {1, 1, 3}, {5, 8, 11});
  EXPECT_THAT(shape_of(net, {floats({1, 1, 4}), floats({1, 1, 3})}),
              HasSubstr("cannot reshape [1, 1, 3] into [1, 1, 2]"));
  net.nodes = {test::node("ConvTranspose", {"x", "w"}, {"y"}, {test::ints_attribute("strides", {2})})};
  expect_values(net, {floats({1, 1, 2}, 1), floats({1, 1, 3}, 1)}, {1, 1, 5}, {1, 2, 5, 4, 6});
}

TEST(Sizes, ThousandsOfParts) {
  constexpr int64_t kParts = 5000;
  Names outs;
  for (int64_t i = 0; i < kParts; ++i) outs.push_back(format("p{}", i));
  Net net{.nodes = {test::node("Split", {"x", "s"}, outs),
                    test::node("Concat", outs, {"y"}, {test::int_attribute("axis", 0)})},
          .initializers = {int_list("s", std::vector<int64_t>(static_cast<size_t>(kParts), 1))},
          .inputs = {test::value("x", {kOpen, 2})},
          .output = without_shape("y")};
  const Tensor x = floats({kParts, 2});
  for (const char* device : {"cpu", "coreml"}) {
    const Result<Tensor> y = run(net, {x}, device);
    ASSERT_TRUE(y) << render(y.error());
    ASSERT_EQ(to_string(y->shape()), "[5000, 2]");
    EXPECT_TRUE(std::equal(y->span<float>().begin(), y->span<float>().end(), x.span<float>().begin())) << device;
  }
}

// Sizes that a file states and no machine has, with products beyond int64 among them.
TEST(Sizes, TooLargeForAnyMachine) {
  constexpr int64_t kHuge = int64_t{1} << 34;
  for (const int64_t second : {int64_t{300}, kHuge}) {
    for (const char* op : {"GlobalAveragePool", "Relu", "Softmax", "Flatten"}) {
      SCOPED_TRACE(format("{} {}", op, second));
      const Net net{.nodes = {test::node(op, {"x"}, {"y"})},
                    .initializers = {},
                    .inputs = {test::value("x", {kHuge, second, 4, 4})},
                    .output = without_shape("y")};
      for (const char* device : {"cpu", "coreml"}) {
        const Result<Tensor> y = run(net, {floats({1})}, device);
        ASSERT_FALSE(y);
        EXPECT_EQ(y.error().code, Code::out_of_memory) << device << ": " << render(y.error());
      }
    }
  }
}

// ---- integers -----------------------------------------------------------------------------------------------------

// y = t[mask summed up], in int32 only for a small mask; the host takes all.
TEST(Integers, OutsideWhatInt32AddsUpTheHostRuns) {
  Net net{{test::node("CumSum", {"mask", "axis"}, {"s"}), test::node("Mul", {"s", "two"}, {"y"})},
          {test::raw_tensor("axis", 7, {}, raw(std::vector<int64_t>{0})),
           test::raw_tensor("two", 7, {}, raw(std::vector<int64_t>{2}))},
          {test::value("mask", {64}, 7)},
          test::value("y", {64}, 7)};
  const auto last = [&](int64_t each, const char* device) -> Result<int64_t> {
    GRAFT_TRY(const Tensor y, run(net, {ints({64}, std::vector<int64_t>(64, each))}, device));
    return y.span<int64_t>()[63];
  };
  for (const int64_t each : {int64_t{0}, int64_t{1}, int64_t{-1000}, int64_t{1} << 20, (int64_t{1} << 20) + 1,
                             int64_t{1} << 30, int64_t{1} << 40}) {
    for (const char* device : {"cpu", "coreml"}) {
      const Result<int64_t> y = last(each, device);
      ASSERT_TRUE(y) << render(y.error());
      EXPECT_EQ(*y, each * 128) << device;
    }
  }
  net.takes_over = false;
  EXPECT_EQ(*last(1 << 20, "coreml"), int64_t{1} << 27);
  const Result<int64_t> refused = last((1 << 20) + 1, "coreml");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::value_out_of_range);
  EXPECT_THAT(render(refused.error()),
              AllOf(HasSubstr("'mask'"), HasSubstr("1048577"), HasSubstr("-1048576 to 1048576")));
}

}  // namespace
}  // namespace graft::session
