// Expected values were computed with numpy.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;

OpCall sample(std::string_view op) {
  return OpCall(op).run_time("x", f32({2, 2, 3}, {1, -2, 3, 4, 5, -6, 0.5, 2, -1, 3, 0, 1}));
}

TEST(Reduction, OverTheOuterDims) {
  const auto over = [](std::string_view op) { return sample(op).ints("axes", {0, -1}); };
  expect_result(over("reduce_sum"), {2}, {3.5, 7});
  expect_result(over("reduce_mean"), {2}, {3.5 / 6, 7.0 / 6});
  expect_result(over("reduce_max"), {2}, {3, 5});
  expect_result(over("reduce_min"), {2}, {-2, -6});
  expect_result(over("reduce_prod"), {2}, {6, 0});
  expect_result(over("reduce_l1_norm"), {2}, {9.5, 19});
  expect_result(over("reduce_l2_norm"), {2}, {4.387482, 9.327379});
  expect_result(over("reduce_log_sum_exp"), {2}, {3.476454, 5.424146});
  expect_result(over("reduce_sum_square"), {2}, {19.25, 87});
}

TEST(Reduction, OverTheMiddleKeepingDims) {
  const auto over = [](std::string_view op) { return sample(op).ints("axes", {1}).flag("keep_dims", true); };
  const Shape s{2, 1, 3};
  expect_result(over("reduce_sum"), s, {5, 3, -3, 3.5, 2, 0});
  expect_result(over("reduce_mean"), s, {2.5, 1.5, -1.5, 1.75, 1, 0});
  expect_result(over("reduce_max"), s, {4, 5, 3, 3, 2, 1});
  expect_result(over("reduce_min"), s, {1, -2, -6, 0.5, 0, -1});
  expect_result(over("reduce_prod"), s, {4, -10, -18, 1.5, 0, -1});
  expect_result(over("reduce_l1_norm"), s, {5, 7, 9, 3.5, 2, 2});
  expect_result(over("reduce_l2_norm"), s, {4.123106, 5.385165, 6.708204, 3.041381, 2, 1.414214});
  expect_result(over("reduce_log_sum_exp"), s, {4.048587, 5.000911, 3.000123, 3.07889, 2.126928, 1.126928});
  expect_result(over("reduce_sum_square"), s, {17, 29, 45, 9.25, 4, 2});
}

TEST(Reduction, AxesLeftOutMeansAllAndAnEmptyListMeansNone) {
  expect_result(sample("reduce_sum"), {}, {10.5});
  expect_result(sample("reduce_mean").flag("keep_dims", true), {1, 1, 1}, {0.875});
  expect_result(sample("reduce_l2_norm"), {}, {10.30776});
  expect_result(sample("reduce_l1_norm").ints("axes", {}), {2, 2, 3}, {1, 2, 3, 4, 5, 6, 0.5, 2, 1, 3, 0, 1});
  expect_result(OpCall("reduce_sum").run_time("x", f32({}, {4})), {}, {4});
  expect_refused(sample("reduce_sum").ints("axes", {3}), Code::value_out_of_range, "axis 3 is outside -3..2");
  EXPECT_EQ(sample("reduce_sum").oldest().value(), ir::Opset::ios15);
}

TEST(Reduction, LogSum) {
  expect_result(OpCall("reduce_log_sum").run_time("x", f32({4}, {2, 3, 4, 6.5})), {}, {2.74084});
}

TEST(Reduction, LogSumExpNeitherOverflowsNorLosesInfinities) {
  const auto lse = [](std::initializer_list<double> v) {
    return OpCall("reduce_log_sum_exp").run_time("x", f32({static_cast<int64_t>(v.size())}, v));
  };
  expect_result(lse({1000, 1000}), {}, {1000.693147});
  expect_result(lse({-1000, -1000, -1001}), {}, {-999.138005});
  expect_result(lse({-INFINITY, -INFINITY}), {}, {-INFINITY});
  expect_result(lse({-INFINITY, 2}), {}, {2});
  expect_result(lse({INFINITY, INFINITY, 0}), {}, {INFINITY});
  expect_result(lse({1, NAN, INFINITY}), {}, {NAN});
}

TEST(Reduction, Nothing) {
  const auto none = [](std::string_view op, DType t) {
    return OpCall(op).run_time("x", tensor(t, {2, 0}, {})).ints("axes", {1});
  };
  const auto both = [](double v) { return std::vector<double>{v, v}; };
  expect_result(none("reduce_sum", DType::f32), {2}, both(0));
  expect_result(none("reduce_prod", DType::f32), {2}, both(1));
  expect_result(none("reduce_mean", DType::f32), {2}, both(NAN));
  expect_result(none("reduce_mean", DType::i32), {2}, both(0));
  expect_result(none("reduce_max", DType::f32), {2}, both(-INFINITY));
  expect_result(none("reduce_min", DType::f32), {2}, both(INFINITY));
  expect_result(none("reduce_max", DType::i32), {2}, both(INT32_MIN));
  expect_result(none("reduce_min", DType::i32), {2}, both(INT32_MAX));
  expect_result(none("reduce_log_sum_exp", DType::f32), {2}, both(-INFINITY));
  expect_refused(OpCall("reduce_argmax").run_time("x", tensor(DType::f32, {2, 0}, {})), Code::shape_mismatch,
                 "no elements");
  expect_result(OpCall("reduce_sum").run_time("x", tensor(DType::f32, {0, 3}, {})).ints("axes", {1}), {0}, {});
}

TEST(Reduction, NaNWins) {
  const Tensor x = f32({2, 3}, {1, NAN, 3, 4, 5, 6});
  expect_result(OpCall("reduce_max").run_time("x", x).ints("axes", {1}), {2}, {NAN, 6});
  expect_result(OpCall("reduce_min").run_time("x", x).ints("axes", {1}), {2}, {NAN, 4});
  expect_result(OpCall("reduce_argmax").run_time("x", x), {2}, {1, 2});
}

TEST(Reduction, Integers) {
  const auto over = [](std::string_view op) { return OpCall(op).run_time("x", tensor(DType::i32, {3}, {-7, 2, 1})); };
  expect_result(over("reduce_mean"), {}, {-1});  // -4 / 3 truncated
  expect_result(over("reduce_l1_norm"), {}, {10});
  expect_result(over("reduce_l2_norm"), {}, {7});  // sqrt(54) truncated
  Tensor wide(DType::i64, {2});
  wide.span<int64_t>()[0] = INT64_MAX;
  wide.span<int64_t>()[1] = 2;
  EXPECT_EQ(OpCall("reduce_sum").run_time("x", wide).result()->span<int64_t>()[0], INT64_MIN + 1);  // wraps
  EXPECT_EQ(OpCall("reduce_max").run_time("x", wide).result()->span<int64_t>()[0], INT64_MAX);  // no detour by double
  Tensor unsigned_wide(DType::u64, {2});
  unsigned_wide.span<uint64_t>()[0] = UINT64_MAX;
  unsigned_wide.span<uint64_t>()[1] = 1;
  EXPECT_EQ(OpCall("reduce_max").run_time("x", unsigned_wide).result()->span<uint64_t>()[0], UINT64_MAX);
  EXPECT_EQ(OpCall("reduce_argmin").run_time("x", unsigned_wide).result()->span<int32_t>()[0], 1);
}

TEST(Reduction, HalfSumsAreRoundedOnce) {
  // 4096 ones: adding in fp16 would stop at 2048.
  expect_result(OpCall("reduce_sum").run_time("x", iota(DType::f16, {4096}, 1, 0)), {}, {4096});
}

TEST(Reduction, ArgmaxArgmin) {
  const Tensor x = f32({2, 4}, {1, 5, 5, -2, 3, -2, 3, -2});
  expect_result(OpCall("reduce_argmax").run_time("x", x), {2}, {1, 0});
  expect_result(OpCall("reduce_argmin").run_time("x", x), {2}, {3, 1});
  expect_result(OpCall("reduce_argmax").run_time("x", x).i("axis", 0).flag("keep_dims", true), {1, 4}, {1, 0, 0, 0});
  expect_type(OpCall("reduce_argmax").run_time("x", x), "tensor<int32, [2]>");
  const OpCall narrow = OpCall("reduce_argmax").run_time("x", x).text("output_dtype", "uint16");
  expect_type(narrow, "tensor<uint16, [2]>");
  EXPECT_EQ(narrow.oldest().value(), ir::Opset::ios17);
  expect_refused(OpCall("reduce_argmax").run_time("x", x).text("output_dtype", "fp32"), Code::invalid_attribute,
                 "takes int32 or uint16");
  expect_result(OpCall("reduce_argmax").run_time("x", iota(DType::f32, {2, 1000}, 0)), {2}, {999, 999});
}

TEST(Reduction, SymbolicDims) {
  const Dim h = Dim::symbol("height", {1, 100});
  expect_type(OpCall("reduce_mean").typed("x", DType::f32, {1, 3, h, 7}).ints("axes", {1, 3}),
              "tensor<fp32, [1, height]>");
  expect_type(OpCall("reduce_mean").typed("x", DType::f32, {1, 3, h}).ints("axes", {2}).flag("keep_dims", true),
              "tensor<fp32, [1, 3, 1]>");
}

TEST(Reduction, SymbolicContentOfAShape) {
  const Dim h = Dim::symbol("height", {1, 100}), w = Dim::symbol("width", {1, 100});
  const auto content = [&](std::string_view op) {
    const OpCall c = OpCall(op).content("x", {3, h, w});
    ir::Dims dims;
    EXPECT_TRUE(c.call().row().def->symbolic(c.call(), dims));
    return ir::to_string(dims);
  };
  EXPECT_EQ(content("reduce_sum"), "[height + width + 3]");
  EXPECT_EQ(content("reduce_prod"), ir::to_string({Dim(3) * h * w}));
  EXPECT_EQ(content("reduce_max"), ir::to_string({ir::dim_max(ir::dim_max(3, h), w)}));
  EXPECT_EQ(content("reduce_min"), ir::to_string({ir::dim_min(ir::dim_min(3, h), w)}));
}

TEST(Reduction, Ranges) {
  const OpCall arg = OpCall("reduce_argmax").typed("x", DType::f32, {2, Dim::symbol("n", {1, 50})});
  EXPECT_EQ(arg.call().row().def->range(arg.call()), (IntRange{0, 49}));
  const OpCall max = OpCall("reduce_max").run_time("x", tensor(DType::u8, {3}, {1, 2, 3}));
  EXPECT_EQ(max.call().row().def->range(max.call()), (IntRange{0, 255}));
}

}  // namespace
}  // namespace graft::ops::test
