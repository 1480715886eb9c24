#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using V = std::vector<double>;

const Dim kH = Dim::symbol("h", {1, 4096});

OpCall gather(Tensor x, Tensor indices, double axis = 0, double batch = 0) {
  return OpCall("gather")
      .in("x", std::move(x))
      .in("indices", std::move(indices))
      .in("axis", scalar(axis))
      .in("batch_dims", scalar(batch));
}
TEST(Gather, SlicesAlongAxis) {
  EXPECT_EQ(gather(iota(DType::f32, {3, 2}), ints({2, 0})).numbers(), (V{4, 5, 0, 1}));
  EXPECT_EQ(gather(iota(DType::f32, {2, 3}), ints({2, -3}), 1).numbers(), (V{2, 0, 5, 3}));
  EXPECT_EQ(gather(iota(DType::f32, {2, 3}), scalar(1), -2).described(), "fp32[3]");
  EXPECT_EQ(gather(iota(DType::f32, {2, 3}), i64({1, 1}, {1}), 1).described(), "fp32[2, 1, 1]");
  EXPECT_EQ(gather(iota(DType::f32, {2, 3}), i32({2, 2}, {0, 2, 1, 1}), 1, 1).numbers(), (V{0, 2, 4, 4}));
  EXPECT_EQ(gather(iota(DType::f32, {0, 3}), ints({})).described(), "fp32[0, 3]");
}
TEST(Gather, Errors) {
  EXPECT_EQ(gather(iota(DType::f32, {3}), ints({3})).error(), "index 3 is outside a dim of 3");
  EXPECT_EQ(gather(iota(DType::f32, {3}), ints({-4})).error(), "index -4 is outside a dim of 3");
  EXPECT_EQ(gather(iota(DType::f32, {3}), ints({0}), 1).error(), "axis 1 is outside -1..0 of a rank-1 tensor");
  EXPECT_EQ(gather(iota(DType::f32, {3}), f32({1}, {0})).error(), "'indices' takes integers, got tensor<fp32, [1]>");
  EXPECT_EQ(gather(iota(DType::f32, {3}), ints({3})).code(), Code::value_out_of_range);
  EXPECT_EQ(gather(iota(DType::f32, {2, 3}), i32({3, 2}, {0, 0, 0, 0, 0, 0}), 1, 1).error(),
            "the batch part of indices is [3], must be [2]");
}
TEST(Gather, Symbols) {
  EXPECT_EQ(OpCall("gather").typed("x", DType::f32, {Dim(7), kH}).typed("indices", DType::i32, {kH, Dim(2)}).type(),
            "tensor<fp32, [h, 2, h]>");
  EXPECT_EQ(OpCall("gather").content("x", {Dim(3), kH}).in("indices", scalar(-1)).symbolic(), "[h]");
  EXPECT_EQ(OpCall("gather").content("x", {Dim(3), kH}).in("indices", scalar(5)).symbolic(), "none");
}

TEST(GatherAlongAxis, TakeAlongAxis) {
  const auto c = [](Tensor indices, double axis) {
    return OpCall("gather_along_axis")
        .in("x", iota(DType::f32, {2, 3}))
        .in("indices", std::move(indices))
        .in("axis", scalar(axis));
  };
  EXPECT_EQ(c(i32({2, 2}, {2, 0, 1, -1}), 1).numbers(), (V{2, 0, 4, 5}));
  EXPECT_EQ(c(i32({1, 3}, {1, 0, 1}), 0).numbers(), (V{3, 1, 5}));
  EXPECT_EQ(c(i32({1, 1}, {3}), 1).error(), "index 3 is outside a dim of 3");
  EXPECT_EQ(c(i32({3, 1}, {0, 0, 0}), 1).error(), "indices [3, 1] reach beyond [2, 3]");
  EXPECT_TRUE(c(i32({2, 1}, {0, 0}), 1).oldest());
  EXPECT_FALSE(c(i32({1, 1}, {0}), 1).oldest());
}

TEST(GatherNd, MultiIndices) {
  EXPECT_EQ(OpCall("gather_nd").in("x", iota(DType::f32, {2, 3})).in("indices", i32({2, 2}, {0, 2, 1, -2})).numbers(),
            (V{2, 4}));
  EXPECT_EQ(OpCall("gather_nd").in("x", iota(DType::f32, {2, 3})).in("indices", i32({1, 1}, {1})).numbers(),
            (V{3, 4, 5}));
  EXPECT_EQ(OpCall("gather_nd")
                .in("x", iota(DType::f32, {2, 3}))
                .in("indices", i32({2, 1}, {0, 2}))
                .in("batch_dims", scalar(1))
                .numbers(),
            (V{0, 5}));
  EXPECT_EQ(OpCall("gather_nd").in("x", iota(DType::f32, {2})).in("indices", i32({1, 2}, {0, 0})).error(),
            "indices [1, 2] with 0 batch dims address x of rank 1");
  EXPECT_EQ(OpCall("gather_nd").in("x", iota(DType::f32, {2})).in("indices", i32({1, 1}, {2})).error(),
            "index 2 is outside a dim of 2");
}

OpCall scatter_case(const char* op, Tensor data, Tensor indices, Tensor updates, const char* mode) {
  return OpCall(op)
      .in("data", std::move(data))
      .in("indices", std::move(indices))
      .in("updates", std::move(updates))
      .in("mode", text(mode));
}
TEST(Scatter, Modes) {
  const auto c = [](const char* mode) {
    return scatter_case("scatter", f32({3, 2}, {1, 2, 3, 4, 5, 6}), ints({2, 0, 2}), f32({3, 2}, {8, 2, 9, 3, 2, 4}),
                        mode)
        .numbers();
  };
  EXPECT_EQ(c("update"), (V{9, 3, 3, 4, 2, 4}));
  EXPECT_EQ(c("add"), (V{10, 5, 3, 4, 15, 12}));
  EXPECT_EQ(c("sub"), (V{-8, -1, 3, 4, -5, 0}));
  EXPECT_EQ(c("mul"), (V{9, 6, 3, 4, 80, 48}));
  EXPECT_EQ(c("div"), (V{static_cast<double>(1.0f / 9), static_cast<double>(2.0f / 3), 3, 4, 0.3125, 0.75}));
  EXPECT_EQ(c("max"), (V{9, 3, 3, 4, 8, 6}));
  EXPECT_EQ(c("min"), (V{1, 2, 3, 4, 2, 2}));
  EXPECT_EQ(scatter_case("scatter", iota(DType::f32, {2, 3}), ints({1}), f32({2, 1}, {7, 8}), "update")
                .in("axis", scalar(1))
                .numbers(),
            (V{0, 7, 2, 3, 8, 5}));
}
TEST(Scatter, Errors) {
  EXPECT_EQ(scatter_case("scatter", iota(DType::f32, {2}), ints({2}), f32({1}, {1}), "add").error(),
            "index 2 is outside a dim of 2");
  EXPECT_EQ(scatter_case("scatter", iota(DType::f32, {2}), ints({0}), f32({2}, {1, 1}), "add").error(),
            "updates is [2], must be [1]");
  EXPECT_EQ(scatter_case("scatter", iota(DType::f32, {2}), ints({0}), f32({1}, {1}), "pow").error(),
            "mode 'pow', takes update, add, sub, mul, div, max or min");
  EXPECT_EQ(scatter_case("scatter", bools({2}, {0, 0}), ints({0}), bools({1}, {1}), "add").error(),
            "mode 'add' has no meaning for bool");
  EXPECT_EQ(scatter_case("scatter", i32({1}, {5}), ints({0}), i32({1}, {0}), "div").numbers(), (V{0}));
}
TEST(ScatterAlongAxis, InverseOfGather) {
  EXPECT_EQ(scatter_case("scatter_along_axis", iota(DType::f32, {2, 3}), i32({2, 2}, {2, 0, 1, 1}),
                         f32({2, 2}, {10, 20, 30, 40}), "add")
                .in("axis", scalar(1))
                .numbers(),
            (V{20, 1, 12, 3, 74, 5}));
}
TEST(ScatterNd, MultiIndices) {
  EXPECT_EQ(
      scatter_case("scatter_nd", iota(DType::f32, {2, 3}), i32({2, 2}, {0, 1, 1, -1}), f32({2}, {10, 20}), "update")
          .numbers(),
      (V{0, 10, 2, 3, 4, 20}));
  EXPECT_EQ(
      scatter_case("scatter_nd", iota(DType::f32, {2, 2}), i32({1, 1}, {1}), f32({1, 2}, {5, 6}), "add").numbers(),
      (V{0, 1, 7, 9}));
  EXPECT_EQ(scatter_case("scatter_nd", iota(DType::f32, {2}), i32({1, 1}, {0}), f32({2}, {5, 6}), "add").error(),
            "updates is [2], must be [1]");
}

}  // namespace
}  // namespace graft::ops::test
