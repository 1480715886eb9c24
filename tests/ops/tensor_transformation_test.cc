#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using ir::Dims;
using V = std::vector<double>;

const Dim kH = Dim::symbol("h", {1, 4096}), kW = Dim::symbol("w", {1, 4096});

TEST(Reshape, CopiesInOrder) {
  EXPECT_EQ(OpCall("reshape").in("x", iota(DType::f32, {2, 3})).in("shape", ints({3, 2})).numbers(),
            (V{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(OpCall("reshape").in("x", iota(DType::f32, {2, 3})).in("shape", ints({-1})).type(), "tensor<fp32, [6]>");
  EXPECT_EQ(OpCall("reshape").in("x", strings({2}, {"a", "b"})).in("shape", ints({1, 2})).described(), "string[1, 2]");
}

TEST(Reshape, ZeroCopiesFromTheRight) {
  EXPECT_EQ(OpCall("reshape").in("x", iota(DType::f32, {4, 2, 3})).in("shape", ints({2, 2, 0, 0})).type(),
            "tensor<fp32, [2, 2, 2, 3]>");
  EXPECT_EQ(OpCall("reshape").in("x", iota(DType::f32, {2, 3})).in("shape", ints({0, 0, 0})).type(),
            "tensor<fp32, [1, 2, 3]>");
  EXPECT_EQ(OpCall("reshape").in("x", iota(DType::f32, {2, 3})).in("shape", ints({0, -1})).type(),
            "tensor<fp32, [2, 3]>");
  // Without elements, zeros that do not fit as copies are meant literally.
  EXPECT_EQ(OpCall("reshape").in("x", iota(DType::f32, {3, 0})).in("shape", ints({0, 3})).type(),
            "tensor<fp32, [0, 3]>");
}

TEST(Reshape, SymbolicShapes) {
  const auto type = [](Dims x, Dims shape) {
    return OpCall("reshape").typed("x", DType::f32, std::move(x)).content("shape", std::move(shape)).type();
  };
  EXPECT_EQ(type({Dim(1), kH, kW, Dim(8)}, {Dim(1), kH * kW, Dim(-1)}), "tensor<fp32, [1, (h)*(w), 8]>");
  EXPECT_EQ(type({Dim(2), kH, Dim(12)}, {Dim(2), kH, Dim(3), Dim(-1)}), "tensor<fp32, [2, h, 3, 4]>");
  EXPECT_EQ(type({kH, Dim(6)}, {Dim(-1), Dim(2)}), "tensor<fp32, [3*h, 2]>");
  EXPECT_EQ(type({kH, Dim(3)}, {Dim(-1), Dim(2)}), "tensor<fp32, [(3*h floordiv 2), 2]>");
  EXPECT_EQ(OpCall("reshape").typed("x", DType::f32, {kH, Dim(3)}).typed("shape", DType::i32, {Dim(2)}).type(),
            "tensor<fp32, [?0, ?1]>");
  EXPECT_EQ(OpCall("reshape").content("x", {kH, kW}).in("shape", ints({1, 2, 1})).symbolic(), "[h, w]");
}

TEST(Reshape, Errors) {
  const auto error = [](const V& shape) {
    return OpCall("reshape").in("x", iota(DType::f32, {2, 3})).in("shape", ints(shape)).error();
  };
  EXPECT_EQ(error({4, 2}), "cannot reshape [2, 3] into [4, 2]");
  EXPECT_EQ(error({-1, 4}), "cannot reshape [2, 3] into [-1, 4]");
  EXPECT_EQ(error({-1, -1}), "shape [-1, -1] has more than one -1");
  EXPECT_EQ(error({-2, -3}), "shape [-2, -3] has a negative size");
  EXPECT_EQ(error({1e9, 1e9, 1e9}), "cannot reshape [2, 3] into [1000000000, 1000000000, 1000000000]");
  EXPECT_EQ(error({1, 1, 1, 1, 1, 1, 1, 2, 3}), "the result has rank 9, at most 8 are supported");
  EXPECT_EQ(
      OpCall("reshape").typed("x", DType::f32, {kH}).typed("shape", DType::i32, {kW}).error(),
      "the rank of the result cannot be told: 'shape' is tensor<int32, [w]>, takes a list of a known length of at most "
      "8");
  EXPECT_EQ(OpCall("reshape").in("x", iota(DType::f32, {2})).in("shape", f32({1}, {2})).error(),
            "'shape' takes integers, got tensor<fp32, [1]>");
}

TEST(ReshapeLike, AssemblesTheShape) {
  OpCall c("reshape_like");
  c.in("x", iota(DType::f32, {2, 3, 4}));
  c.in("ref_tensors", iota(DType::f32, {6, 9})).in("ref_tensors", iota(DType::f32, {7, 2, 2}));
  c.in("begins", scalar(0)).in("begins", scalar(1));
  c.in("ends", scalar(1)).in("ends", scalar(0));
  c.in("end_masks", bools({}, {0})).in("end_masks", bools({}, {1}));
  EXPECT_EQ(c.described(), "fp32[6, 2, 2]");
}

TEST(ExpandDims, AxesAreTheResults) {
  EXPECT_EQ(OpCall("expand_dims").in("x", iota(DType::f32, {2, 3})).in("axes", ints({0, -1})).type(),
            "tensor<fp32, [1, 2, 3, 1]>");
  EXPECT_EQ(OpCall("expand_dims").scalar_content("x", kH).in("axes", ints({0})).symbolic(), "[h]");
  EXPECT_EQ(OpCall("expand_dims").in("x", iota(DType::f32, {2})).in("axes", ints({2})).error(),
            "axis 2 is outside -2..1 of a rank-2 tensor");
  EXPECT_EQ(OpCall("expand_dims").in("x", iota(DType::f32, {2})).in("axes", ints({0, -3})).error(),
            "axis 0 is listed twice in [0, -3]");
}

TEST(Squeeze, DropsOnes) {
  EXPECT_EQ(OpCall("squeeze").in("x", iota(DType::f32, {1, 3, 1})).type(), "tensor<fp32, [3]>");
  EXPECT_EQ(OpCall("squeeze").in("x", iota(DType::f32, {1, 3, 1})).in("axes", ints({-1, 1})).type(),
            "tensor<fp32, [1, 3]>");
  EXPECT_EQ(OpCall("squeeze").typed("x", DType::f32, {Dim(1), kH, kW}).in("axes", ints({1})).type(),
            "tensor<fp32, [1, w]>");
  EXPECT_EQ(OpCall("squeeze").in("x", iota(DType::f32, {1})).in("axes", ints({1})).error(),
            "axis 1 is outside -1..0 of a rank-1 tensor");
}

TEST(Transpose, Permutes) {
  EXPECT_EQ(OpCall("transpose").in("x", iota(DType::i32, {2, 3})).in("perm", ints({1, 0})).numbers(),
            (V{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(OpCall("transpose").in("x", iota(DType::f16, {2, 3, 2})).in("perm", ints({-1, 0, 1})).numbers(),
            (V{0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}));
  const auto r = OpCall("transpose").in("x", strings({2, 2}, {"a", "b", "c", "d"})).in("perm", ints({1, 0})).run();
  ASSERT_TRUE(r);
  EXPECT_EQ((*r)[0].span<std::string>()[1], "c");
  EXPECT_EQ(OpCall("transpose").in("x", iota(DType::f32, {2, 3})).in("perm", ints({0, 0})).error(),
            "axis 0 is listed twice in [0, 0]");
  EXPECT_EQ(OpCall("transpose").in("x", iota(DType::f32, {2, 3})).in("perm", ints({0})).error(),
            "perm [0] does not fit tensor<fp32, [2, 3]>");
}

TEST(Reverse, Flips) {
  EXPECT_EQ(OpCall("reverse").in("x", iota(DType::f32, {2, 3})).numbers(), (V{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(OpCall("reverse").in("x", iota(DType::f32, {2, 3})).in("axes", ints({-1})).numbers(),
            (V{2, 1, 0, 5, 4, 3}));
}

TEST(ReverseSequence, FlipsTheFirstElements) {
  const auto c = [](const V& lengths) {
    return OpCall("reverse_sequence")
        .in("x", iota(DType::f32, {2, 4}))
        .in("lengths", ints(lengths))
        .in("seq_axis", scalar(1));
  };
  EXPECT_EQ(c({3, 0}).numbers(), (V{2, 1, 0, 3, 4, 5, 6, 7}));
  EXPECT_EQ(c({5, 0}).error(), "length 5 is outside 0..4");
  EXPECT_EQ(c({1}).error(), "lengths is tensor<int32, [1]>, takes one for each of the 2 entries of axis 0");
}

TEST(SlidingWindows, AllWindows) {
  const auto c = [](double size, double stride) {
    return OpCall("sliding_windows")
        .in("x", iota(DType::f32, {5}))
        .in("axis", scalar(0))
        .in("size", scalar(size))
        .in("stride", scalar(stride));
  };
  EXPECT_EQ(c(3, 2).numbers(), (V{0, 1, 2, 2, 3, 4}));
  EXPECT_EQ(c(3, 2).type(), "tensor<fp32, [2, 3]>");
  EXPECT_EQ(c(6, 1).error(), "windows of size 6 and stride 1 do not fit axis 0 of 5");
}

}  // namespace
}  // namespace graft::ops::test
