#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using ir::Dims;
using V = std::vector<double>;

const Dim kH = Dim::symbol("h", {1, 4096}), kW = Dim::symbol("w", {1, 4096});

TEST(Concat, JoinsAlongAxis) {
  OpCall c("concat");
  c.in("values", iota(DType::i32, {2, 1})).in("values", i32({2, 2}, {5, 6, 7, 8})).in("axis", scalar(-1));
  EXPECT_EQ(c.numbers(), (V{0, 5, 6, 1, 7, 8}));
  OpCall rows("concat");
  rows.in("values", iota(DType::u8, {1, 2})).in("values", iota(DType::u8, {2, 2})).in("axis", scalar(0));
  EXPECT_EQ(rows.numbers(), (V{0, 1, 0, 1, 2, 3}));
}

TEST(Concat, InterleaveTakesTurns) {
  OpCall c("concat");
  c.in("values", f32({2, 2}, {0, 1, 2, 3})).in("values", f32({2, 2}, {4, 5, 6, 7})).in("axis", scalar(0));
  c.in("interleave", bools({}, {1}));
  EXPECT_EQ(c.numbers(), (V{0, 1, 4, 5, 2, 3, 6, 7}));
}

TEST(Concat, SymbolsAndErrors) {
  OpCall c("concat");
  c.typed("values", DType::f32, {kH, Dim(3)}).typed("values", DType::f32, {kW, Dim(3)}).in("axis", scalar(0));
  EXPECT_EQ(c.type(), "tensor<fp32, [h + w, 3]>");
  OpCall content("concat");
  content.content("values", {kH}).in("values", ints({2})).in("axis", scalar(0));
  EXPECT_EQ(content.symbolic(), "[h, 2]");
  OpCall shapes("concat");
  shapes.in("values", iota(DType::f32, {2, 1})).in("values", iota(DType::f32, {3, 1})).in("axis", scalar(1));
  EXPECT_EQ(shapes.error(), "tensor<fp32, [2, 1]> and tensor<fp32, [3, 1]> do not join along axis 1");
  OpCall dtypes("concat");
  dtypes.in("values", iota(DType::f32, {2})).in("values", iota(DType::i32, {2})).in("axis", scalar(0));
  EXPECT_EQ(dtypes.error(), "'values' mixes fp32 and int32");
  EXPECT_EQ(OpCall("concat").in("axis", scalar(0)).error(), "'values' has no values");
}

TEST(Stack, MakesANewAxis) {
  OpCall c("stack");
  c.in("values", f32({2}, {0, 1})).in("values", f32({2}, {2, 3})).in("axis", scalar(-1));
  EXPECT_EQ(c.described(), "fp32[2, 2]");
  EXPECT_EQ(c.numbers(), (V{0, 2, 1, 3}));
  OpCall content("stack");
  content.scalar_content("values", kH).in("values", scalar(7)).in("axis", scalar(0));
  EXPECT_EQ(content.symbolic(), "[h, 7]");
}

TEST(Split, PartsAndSizes) {
  OpCall equal("split");
  equal.in("x", iota(DType::f32, {2, 4})).in("num_splits", scalar(2)).in("axis", scalar(1));
  EXPECT_EQ(equal.numbers(0), (V{0, 1, 4, 5}));
  EXPECT_EQ(equal.numbers(1), (V{2, 3, 6, 7}));
  OpCall sizes("split");
  sizes.in("x", iota(DType::f32, {4})).in("split_sizes", ints({1, 0, 3})).in("axis", scalar(0));
  EXPECT_EQ(sizes.numbers(2), (V{1, 2, 3}));
  EXPECT_EQ(sizes.described(1), "fp32[0]");
  OpCall sum("split");
  sum.in("x", iota(DType::f32, {4})).in("split_sizes", ints({1, 2})).in("axis", scalar(0));
  EXPECT_EQ(sum.error(), "split sizes [1, 2] sum to 3, axis 0 has 4");
  OpCall negative("split");
  negative.in("x", iota(DType::f32, {4})).in("split_sizes", ints({-1, 5})).in("axis", scalar(0));
  EXPECT_EQ(negative.error(), "split size -1 is negative");
  OpCall uneven("split");
  uneven.in("x", iota(DType::f32, {4})).in("num_splits", scalar(3)).in("axis", scalar(0));
  EXPECT_EQ(uneven.error(), "axis 0 of 4 does not split into 3 equal parts");
  OpCall symbolic("split");
  symbolic.typed("x", DType::f32, {kH * Dim(2)}).in("num_splits", scalar(2)).in("axis", scalar(0));
  EXPECT_EQ(symbolic.type(1), "tensor<fp32, [h]>");
}

TEST(Shape, GivesDims) {
  EXPECT_EQ(OpCall("shape").in("x", iota(DType::f32, {2, 3})).numbers(), (V{2, 3}));
  EXPECT_EQ(OpCall("shape").typed("x", DType::f32, {kH, Dim(3)}).symbolic(), "[h, 3]");
  EXPECT_EQ(OpCall("shape").typed("x", DType::f32, {kH, Dim(3)}).range(), (IntRange{1, 4096}));
  EXPECT_EQ(OpCall("shape").in("x", real(1)).described(), "int32[0]");
}

TEST(Flatten2d, SplitsAtTheAxis) {
  EXPECT_EQ(OpCall("flatten2d").in("x", iota(DType::f32, {2, 3, 4})).type(), "tensor<fp32, [2, 12]>");
  EXPECT_EQ(OpCall("flatten2d").in("x", iota(DType::f32, {2, 3, 4})).in("axis", scalar(-1)).type(),
            "tensor<fp32, [6, 4]>");
  EXPECT_EQ(OpCall("flatten2d").in("x", iota(DType::f32, {2, 3})).in("axis", scalar(0)).type(), "tensor<fp32, [1, 6]>");
  EXPECT_EQ(OpCall("flatten2d").in("x", iota(DType::f32, {2, 3})).in("axis", scalar(3)).error(),
            "axis 3 is outside -2..2");
}

TEST(Fill, ValueAndDefault) {
  EXPECT_EQ(OpCall("fill").in("shape", ints({2, 1})).in("value", i64({}, {7})).described(), "int64[2, 1]");
  EXPECT_EQ(OpCall("fill").in("shape", ints({2})).in("value", i64({}, {7})).numbers(), (V{7, 7}));
  EXPECT_EQ(OpCall("fill").in("shape", ints({2})).numbers(), (V{0, 0}));
  EXPECT_EQ(OpCall("fill").in("shape", ints({-2})).error(), "'shape' [-2] has a negative size");
  EXPECT_EQ(OpCall("fill").content("shape", {kH, Dim(2)}).in("value", real(1)).type(), "tensor<fp32, [h, 2]>");
  EXPECT_EQ(OpCall("fill").in("shape", ints({2})).scalar_content("value", kH).symbolic(), "[h, h]");
  EXPECT_EQ(OpCall("fill").in("shape", ints({2})).symbolic(), "none");
  EXPECT_EQ(OpCall("fill").in("shape", ints({2})).in("value", f32({2}, {1, 2})).error(),
            "'value' must be one value, got tensor<fp32, [2]>");
  EXPECT_EQ(OpCall("fill_like").in("ref_tensor", iota(DType::f32, {2, 2})).in("value", scalar(3)).numbers(),
            (V{3, 3, 3, 3}));
}

TEST(Tile, Repeats) {
  EXPECT_EQ(OpCall("tile").in("x", iota(DType::f32, {2, 2})).in("reps", ints({1, 2})).numbers(),
            (V{0, 1, 0, 1, 2, 3, 2, 3}));
  EXPECT_EQ(OpCall("tile").in("x", iota(DType::f32, {2, 1})).in("reps", ints({2, 1})).numbers(), (V{0, 1, 0, 1}));
  EXPECT_EQ(OpCall("tile").in("x", iota(DType::f32, {2})).in("reps", ints({0})).described(), "fp32[0]");
  EXPECT_EQ(OpCall("tile").typed("x", DType::f32, {Dim(2)}).content("reps", {kH}).type(), "tensor<fp32, [2*h]>");
  EXPECT_EQ(OpCall("tile").in("x", iota(DType::f32, {2})).in("reps", ints({-1})).error(),
            "'reps' [-1] has a negative size");
  EXPECT_EQ(OpCall("tile").in("x", iota(DType::f32, {2})).in("reps", ints({1, 1})).error(),
            "reps [1, 1] does not fit tensor<fp32, [2]>");
  EXPECT_NE(OpCall("tile").in("x", iota(DType::f32, {2, 2, 2})).in("reps", ints({2e9, 2e9, 2e9})).error(), "no error");
}

OpCall pad(const char* mode, const V& amounts) {
  return OpCall("pad").in("x", iota(DType::f32, {2, 3})).in("pad", ints(amounts)).in("mode", text(mode));
}
TEST(Pad, Modes) {
  EXPECT_EQ(pad("constant", {1, 2}).in("constant_val", real(9)).numbers(), (V{9, 0, 1, 2, 9, 9, 9, 3, 4, 5, 9, 9}));
  EXPECT_EQ(pad("constant", {1, 0, 0, 1}).numbers(), (V{0, 0, 0, 0, 0, 1, 2, 0, 3, 4, 5, 0}));
  EXPECT_EQ(pad("reflect", {1, 1, 2, 1}).numbers(),
            (V{5, 4, 3, 4, 5, 4, 2, 1, 0, 1, 2, 1, 5, 4, 3, 4, 5, 4, 2, 1, 0, 1, 2, 1}));
  EXPECT_EQ(pad("replicate", {1, 0, 2, 1}).numbers(), (V{0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5}));
}
TEST(Pad, LegalForCoreMl) {
  EXPECT_TRUE(pad("reflect", {1, 1}).oldest());  // the last dim alone
  const auto at_run_time = [](const V& amounts) {
    return OpCall("pad").run_time("x", iota(DType::f32, {2, 3})).run_time("pad", ints(amounts));
  };
  EXPECT_TRUE(at_run_time({0, 0, 1, 1}).oldest());
  expect_illegal(at_run_time({1, 1}), ir::Opset::ios18, Code::needs_constant, "pair for every dim");
}
TEST(Pad, ErrorsAndSymbols) {
  EXPECT_EQ(pad("reflect", {2, 0, 0, 0}).error(), "a reflecting pad of 2 needs a larger dim than 2");
  EXPECT_EQ(pad("constant", {-1, 0}).error(), "pad -1 is negative");
  EXPECT_EQ(pad("constant", {1, 0, 0}).error(),
            "pad is tensor<int32, [3]>, takes a pair for each of up to 2 last dims");
  EXPECT_EQ(pad("wrap", {1, 0}).error(), "mode 'wrap', takes constant, reflect or replicate");
  EXPECT_EQ(OpCall("pad").typed("x", DType::f32, {kH}).content("pad", {Dim(1), kW}).type(),
            "tensor<fp32, [h + w + 1]>");
  EXPECT_EQ(OpCall("pad").content("x", {kH}).in("pad", ints({0, 1})).symbolic(), "none");
  EXPECT_EQ(OpCall("pad").content("x", {kH}).in("pad", ints({0, 1})).in("constant_val", scalar(1)).symbolic(),
            "[h, 1]");
}

TEST(Range1d, CountsUpAndDown) {
  const auto c = [](double start, double end, double step) {
    return OpCall("range_1d").in("start", scalar(start)).in("end", scalar(end)).in("step", scalar(step));
  };
  EXPECT_EQ(c(1, 8, 3).numbers(), (V{1, 4, 7}));
  EXPECT_EQ(c(5, 0, -2).numbers(), (V{5, 3, 1}));
  EXPECT_EQ(c(5, 0, 1).described(), "int32[0]");
  EXPECT_EQ(c(0, 1, 0).error(), "the step is 0");
  EXPECT_EQ(OpCall("range_1d").in("start", real(0)).in("end", real(1)).in("step", real(0.25)).numbers(),
            (V{0, 0.25, 0.5, 0.75}));
  EXPECT_EQ(OpCall("range_1d").in("start", i64({}, {0})).in("end", i64({}, {4e18})).in("step", i64({}, {1})).error(),
            "a range of 4e+18 numbers");
  EXPECT_EQ(OpCall("range_1d").in("start", scalar(0)).scalar_content("end", kH).in("step", scalar(2)).type(),
            "tensor<int32, [((h + 1) floordiv 2)]>");
  EXPECT_EQ(OpCall("range_1d")
                .scalar_content("start", kH)
                .scalar_content("end", kH + Dim(2))
                .in("step", scalar(1))
                .symbolic(),
            "[h, h + 1]");
}

}  // namespace
}  // namespace graft::ops::test
