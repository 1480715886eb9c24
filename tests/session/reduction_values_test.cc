// Reductions of nothing (noop_with_empty_axes) still square, take logarithms and so on: ONNX's schema from version 18
// of the operators on. Expected values: onnxruntime and ONNX's reference.
#include "node_run.h"

namespace graft::session_test {
namespace {

const Attributes kNoop = {int_attribute("noop_with_empty_axes", 1)};

// Axes left out, an empty constant, an empty run-time list.
void expect_noop(const std::string& op, const std::vector<double>& values, const std::vector<float>& in = {2, -3, 4},
                 Place at = Place::here()) {
  for (const int opset : {18, 22}) {
    expect_everywhere(Case(op, opset, kNoop).fed(f32(in)), {3}, values, at);
    expect_everywhere(Case(op, opset, kNoop).open(f32(in)), {3}, values, at);
    expect_everywhere(Case(op, opset, kNoop).fed(f32(in)).constant(i64({})), {3}, values, at);
    EXPECT_EQ(Case(op, opset, kNoop).fed(f32(in)).fed(i64({})).on_host(), shown({3}, values));
  }
}

TEST(ReductionOfNothing, StillHasItsFunction) {
  expect_noop("ReduceL1", {2, 3, 4});
  expect_noop("ReduceL2", {2, 3, 4});
  expect_noop("ReduceSumSquare", {4, 9, 16});
  expect_noop("ReduceLogSum", {0, 0.69314718, 1.0986123}, {1, 2, 3});
}

TEST(ReductionOfNothing, OfSomeItIsTheElement) {
  for (const char* op : {"ReduceLogSumExp", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceSum"})
    expect_noop(op, {2, -3, 4});
}

TEST(ReductionOfNothing, KeepsTheShape) {
  for (const int64_t keep : {0, 1}) {
    const Attributes a = {int_attribute("noop_with_empty_axes", 1), int_attribute("keepdims", keep)};
    expect_everywhere(Case("ReduceSumSquare", 18, a).fed(f32({1, 2, 1}, {2, -3})), {1, 2, 1}, {4, 9});
    expect_everywhere(Case("ReduceSumSquare", 18, a).fed(f32(Shape{}, {-3})), {}, {9});
    EXPECT_EQ(Case("ReduceL1", 18, a).fed(i64({2}, {-3, 4})).on_host(), shown({2}, {3, 4}));
    EXPECT_EQ(Case("ReduceL1", 18, a).fed(f32({0, 2}, {})).on_host(), shown({0, 2}, {}));
  }
}

// Without the attribute no axes are all axes.
TEST(ReductionOfNothing, IsAskedFor) {
  const Attributes flat = {int_attribute("keepdims", 0)};
  expect_everywhere(Case("ReduceSumSquare", 18, flat).fed(f32({2, -3, 4})), {}, {29});
  expect_everywhere(Case("ReduceSumSquare", 18, flat).fed(f32({2, -3, 4})).constant(i64({})), {}, {29});
  expect_everywhere(Case("ReduceSumSquare", 13, flat).fed(f32({2, -3, 4})), {}, {29});
}

}  // namespace
}  // namespace graft::session_test
