#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using V = std::vector<double>;

const Dim kH = Dim::symbol("h", {1, 4096});

TEST(OneHot, NewDim) {
  OpCall c("one_hot");
  c.in("indices", ints({1, 0, 3}))
      .in("one_hot_vector_size", scalar(3))
      .in("on_value", real(5))
      .in("off_value", real(-1));
  EXPECT_EQ(c.numbers(), (V{-1, 5, -1, 5, -1, -1, -1, -1, -1}));
  OpCall first("one_hot");
  first.in("indices", ints({1, 0})).in("one_hot_vector_size", scalar(2)).in("axis", scalar(0));
  EXPECT_EQ(first.numbers(), (V{0, 1, 1, 0}));
  EXPECT_EQ(OpCall("one_hot").in("indices", ints({1})).scalar_content("one_hot_vector_size", kH).type(),
            "tensor<int32, [1, h]>");
  EXPECT_EQ(OpCall("one_hot").in("indices", ints({1})).in("one_hot_vector_size", scalar(-3)).error(),
            "one_hot_vector_size is -3");
}

TEST(BandPart, KeepsDiagonals) {
  const auto c = [](double lower, double upper) {
    return OpCall("band_part")
        .in("x", f32({3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}))
        .in("lower", scalar(lower))
        .in("upper", scalar(upper));
  };
  EXPECT_EQ(c(0, -1).numbers(), (V{1, 2, 3, 0, 5, 6, 0, 0, 9}));
  EXPECT_EQ(c(1, 0).numbers(), (V{1, 0, 0, 4, 5, 0, 0, 8, 9}));
  EXPECT_EQ(c(2147483647, 2147483647).numbers(), (V{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(Cumsum, Directions) {
  const auto c = [](double exclusive, double reverse) {
    return OpCall("cumsum")
        .in("x", f32({2, 3}, {1, 2, 3, 4, 5, 6}))
        .in("axis", scalar(1))
        .in("exclusive", bools({}, {exclusive}))
        .in("reverse", bools({}, {reverse}));
  };
  EXPECT_EQ(c(0, 0).numbers(), (V{1, 3, 6, 4, 9, 15}));
  EXPECT_EQ(c(1, 0).numbers(), (V{0, 1, 3, 0, 4, 9}));
  EXPECT_EQ(c(0, 1).numbers(), (V{6, 5, 3, 15, 11, 6}));
  EXPECT_EQ(c(1, 1).numbers(), (V{5, 3, 0, 11, 6, 0}));
  EXPECT_EQ(OpCall("cumsum").in("x", i32({2}, {2147483647, 1})).numbers(), (V{2147483647, -2147483648.0}));
}

TEST(Argsort, TiesInOrder) {
  const Tensor x = f32({2, 4}, {3, 1, 3, 2, 0, 0, -1, 5});
  EXPECT_EQ(OpCall("argsort").in("x", x).in("ascending", bools({}, {1})).numbers(), (V{1, 3, 0, 2, 2, 0, 1, 3}));
  EXPECT_EQ(OpCall("argsort").in("x", x).numbers(), (V{0, 2, 3, 1, 3, 0, 1, 2}));
  EXPECT_EQ(OpCall("argsort").in("x", x).in("axis", scalar(0)).numbers(), (V{0, 0, 0, 1, 1, 1, 1, 0}));
  EXPECT_EQ(OpCall("argsort").in("x", x).range(), (IntRange{0, 3}));
}

TEST(Topk, LargestAndSmallest) {
  const Tensor x = f32({2, 4}, {3, 1, 3, 2, 0, 0, -1, 5});
  OpCall top("topk");
  top.in("x", x).in("k", scalar(2));
  EXPECT_EQ(top.numbers(0), (V{3, 3, 5, 0}));
  EXPECT_EQ(top.numbers(1), (V{0, 2, 3, 0}));
  OpCall low("topk");
  low.in("x", x).in("k", scalar(3)).in("ascending", bools({}, {1}));
  EXPECT_EQ(low.numbers(0), (V{1, 2, 3, -1, 0, 0}));
  EXPECT_EQ(low.numbers(1), (V{1, 3, 0, 2, 0, 1}));
  OpCall columns("topk");
  columns.in("x", x).in("axis", scalar(0)).in("output_indices_dtype", text("uint16"));
  EXPECT_EQ(columns.numbers(0), (V{3, 1, 3, 5}));
  EXPECT_EQ(columns.described(1), "uint16[1, 4]");
  EXPECT_EQ(columns.numbers(1), (V{0, 0, 0, 1}));
  OpCall values_only("topk");
  values_only.in("x", x).in("k", scalar(-1)).in("return_indices", bools({}, {0}));
  EXPECT_EQ(values_only.numbers(0), (V{3, 3, 2, 1, 5, 0, 0, -1}));
  EXPECT_EQ(values_only.run()->size(), 1u);
  EXPECT_EQ(OpCall("topk").in("x", x).in("k", scalar(5)).error(), "k 5 is outside 0..4");
  EXPECT_EQ(*values_only.oldest(), ir::Opset::ios16);
}

TEST(Topk, ManyAgainstASort) {
  // 97 is prime, so i * 31 % 97 visits each residue once.
  std::vector<double> v;
  for (int i = 0; i < 97; ++i) v.push_back(i * 31 % 97);
  OpCall c("topk");
  c.in("x", f32({97}, v)).in("k", scalar(40));
  std::vector<double> expected;
  for (int i = 0; i < 40; ++i) expected.push_back(96 - i);
  EXPECT_EQ(c.numbers(0), expected);
  for (double at : c.numbers(1)) expected.push_back(v[static_cast<size_t>(at)]);
  EXPECT_TRUE(std::equal(expected.begin(), expected.begin() + 40, expected.begin() + 40));
}

TEST(NonZero, Places) {
  EXPECT_EQ(OpCall("non_zero").in("x", f32({2, 2}, {0, 3, -1, 0})).numbers(), (V{0, 1, 1, 0}));
  EXPECT_EQ(OpCall("non_zero").in("x", bools({3}, {1, 0, 1})).described(), "int32[2, 1]");
  EXPECT_EQ(OpCall("non_zero").in("x", f32({2}, {0, 0})).described(), "int32[0, 1]");
  EXPECT_EQ(OpCall("non_zero").typed("x", DType::f32, {kH, Dim(2)}).type(), "tensor<int32, [?0, 2]>");
}

}  // namespace
}  // namespace graft::ops::test
