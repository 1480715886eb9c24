// Expected values were computed with numpy from the definition.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using List = std::initializer_list<int64_t>;

OpCall pool(std::string_view op, Tensor x, List kernel, List strides, const char* pad_type = "valid") {
  return OpCall(op)
      .run_time("x", std::move(x))
      .ints("kernel_sizes", kernel)
      .ints("strides", strides)
      .text("pad_type", pad_type);
}
Tensor image() { return iota(DType::f32, {1, 1, 4, 5}, -10); }

TEST(Pool, Max) {
  expect_result(pool("max_pool", image(), {2, 3}, {2, 1}), {1, 1, 2, 3}, {-3, -2, -1, 7, 8, 9});
  EXPECT_EQ(pool("max_pool", image(), {2, 3}, {2, 1}).oldest().value(), ir::Opset::ios15);
}

TEST(Pool, PaddingNeverWinsAMaximum) {
  expect_result(pool("max_pool", image(), {3, 3}, {2, 2}, "custom").ints("pad", {1, 1, 1, 1}), {1, 1, 2, 3},
                {-4, -2, -1, 6, 8, 9});
  expect_result(pool("max_pool", tensor(DType::i8, {1, 1, 2}, {-3, -5}), {2}, {1}, "custom").ints("pad", {1, 1}),
                {1, 1, 3}, {-3, -3, -5});
  expect_result(pool("max_pool", f32({1, 1, 3}, {1, NAN, 3}), {2}, {1}), {1, 1, 2}, {NAN, NAN});
}

TEST(Pool, AverageCountsPaddingUnlessToldNotTo) {
  const auto call = [] { return pool("avg_pool", image(), {3, 3}, {2, 2}, "custom").ints("pad", {1, 1, 1, 1}); };
  expect_result(call(), {1, 1, 2, 3}, {-3.111111, -3.666667, -1.777778, 0.3333333, 2, 2.333333});
  expect_result(call().flag("exclude_padding_from_average", true), {1, 1, 2, 3}, {-7, -5.5, -4, 0.5, 2, 3.5});
}

TEST(Pool, L2) {
  expect_result(pool("l2_pool", image(), {2, 2}, {2, 2}), {1, 1, 2, 2}, {14.89966, 11.22497, 7.874008, 11.22497});
  expect_illegal(pool("l2_pool", iota(DType::f32, {1, 1, 2, 2, 2}), {1, 1, 1}, {1, 1, 1}), ir::Opset::ios18,
                 Code::unsupported_rank, "rank-5");
}

TEST(Pool, StridesDefaultToOne) {
  expect_result(
      OpCall("max_pool").run_time("x", iota(DType::f32, {1, 1, 3})).ints("kernel_sizes", {2}).text("pad_type", "valid"),
      {1, 1, 2}, {1, 2});
}

// What a window covers beyond the padding counts for nothing; what it covers of the padding counts for the divisor.
TEST(Pool, CeilMode) {
  const auto call = [](const char* op) {
    return pool(op, iota(DType::f32, {1, 1, 6}, 1), {3}, {2}, "custom").ints("pad", {1, 1}).flag("ceil_mode", true);
  };
  expect_result(call("avg_pool"), {1, 1, 4}, {1, 3, 5, 3});
  expect_result(call("avg_pool").flag("exclude_padding_from_average", true), {1, 1, 4}, {1.5, 3, 5, 6});
  expect_result(call("max_pool"), {1, 1, 4}, {2, 4, 6, 6});
  EXPECT_EQ(call("max_pool").oldest().value(), ir::Opset::ios15);
}

TEST(Pool, CeilModeSizes) {
  const auto size = [](int64_t in, int64_t kernel, int64_t stride, int64_t pad) {
    return pool("max_pool", iota(DType::f32, {1, 1, in}), {kernel}, {stride}, "custom")
        .ints("pad", {pad, pad})
        .flag("ceil_mode", true)
        .infer()
        .value()[0]
        .dims[2]
        .value();
  };
  // As Apple's tools infer them.
  EXPECT_EQ(size(5, 2, 2, 0), 3);
  EXPECT_EQ(size(6, 3, 2, 1), 4);
  EXPECT_EQ(size(4, 2, 2, 1), 3);  // a fourth window would start in the padding
  EXPECT_EQ(size(3, 1, 3, 0), 2);  // it may without padding
  EXPECT_EQ(size(1, 1, 1, 2), 4);  // of two such windows one is left out
  EXPECT_EQ(size(5, 1, 1, 2), 8);
}

TEST(Pool, CeilModeLimits) {
  const auto call = [](Tensor x, List kernel, List strides) {
    return pool("avg_pool", std::move(x), kernel, strides).flag("ceil_mode", true);
  };
  expect_illegal(call(iota(DType::f32, {1, 1, 2, 2, 2}), {1, 1, 1}, {1, 1, 1}), ir::Opset::ios18,
                 Code::unsupported_attribute, "1-D and 2-D");
  const auto padded = [&](List pad) {
    return pool("avg_pool", image(), {3, 3}, {2, 2}, "custom").ints("pad", pad).flag("ceil_mode", true);
  };
  EXPECT_TRUE(padded({1, 1, 0, 0}).oldest());
  expect_illegal(padded({1, 1, 0, 1}), ir::Opset::ios18, Code::unsupported_attribute, "equal padding");
  expect_refused(pool("avg_pool", image(), {3, 3}, {2, 2}, "same").flag("ceil_mode", true), Code::invalid_attribute,
                 "ceil_mode does not go with pad_type 'same'");
}

TEST(Pool, SameAndSameLower) {
  const Tensor x = iota(DType::f32, {1, 1, 6}, 1);
  expect_result(pool("max_pool", x, {3}, {2}, "same"), {1, 1, 3}, {3, 5, 6});
  const OpCall lower = pool("max_pool", x, {3}, {2}, "same_lower");
  expect_result(lower, {1, 1, 3}, {2, 4, 6});
  EXPECT_EQ(lower.oldest().value(), ir::Opset::ios16);
  expect_illegal(lower, ir::Opset::ios15, Code::needs_later_target, "iOS16");
}

TEST(Pool, ThreeDims) {
  const Tensor x = iota(DType::f32, {1, 1, 2, 2, 4});
  expect_result(pool("max_pool", x, {2, 2, 2}, {1, 1, 2}), {1, 1, 1, 1, 2}, {13, 15});
  expect_result(pool("avg_pool", x, {2, 2, 2}, {1, 1, 2}), {1, 1, 1, 1, 2}, {6.5, 8.5});
}

TEST(Pool, OtherElementTypes) {
  expect_result(pool("max_pool", tensor(DType::u8, {1, 1, 3}, {1, 255, 3}), {2}, {1}), {1, 1, 2}, {255, 255});
  expect_result(pool("avg_pool", tensor(DType::f16, {1, 1, 3}, {1, 2, 3}), {2}, {1}), {1, 1, 2}, {1.5, 2.5});
  expect_result(pool("avg_pool", tensor(DType::f64, {1, 1, 3}, {1, 2, 3}), {2}, {1}), {1, 1, 2}, {1.5, 2.5});
  expect_refused(pool("avg_pool", tensor(DType::i32, {1, 1, 3}, {1, 2, 3}), {2}, {1}), Code::dtype_mismatch,
                 "got int32");
}

TEST(Pool, SymbolicDims) {
  const Dim h = Dim::symbol("height", {8, 4096});
  const auto call = [&](const char* pad_type) {
    return OpCall("max_pool")
        .typed("x", DType::f32, {1, 3, h})
        .ints("kernel_sizes", {3})
        .ints("strides", {2})
        .text("pad_type", pad_type);
  };
  const Result<ir::Types> floor = call("custom").ints("pad", {1, 1}).infer();
  ASSERT_TRUE(floor) << render(floor.error());
  EXPECT_EQ(ir::to_string((*floor)[0].dims), ir::to_string({1, 3, ir::floor_div(h - 1, 2) + 1}));
  // With ceil_mode the formula gives the concrete size wherever the symbol gets a value.
  const Result<ir::Types> t = call("custom").ints("pad", {1, 1}).flag("ceil_mode", true).infer();
  ASSERT_TRUE(t) << render(t.error());
  for (int64_t n = 8; n < 14; ++n) {
    const OpCall fixed =
        pool("max_pool", iota(DType::f32, {1, 3, n}), {3}, {2}, "custom").ints("pad", {1, 1}).flag("ceil_mode", true);
    EXPECT_EQ((*t)[0].dims[2].eval([&](std::string_view) { return std::optional<int64_t>(n); }).value(),
              fixed.infer().value()[0].dims[2].value());
  }
}

TEST(Pool, Refusals) {
  expect_refused(pool("max_pool", image(), {2}, {1, 1}), Code::shape_mismatch, "'kernel_sizes' has 1 entries, takes 2");
  expect_refused(pool("max_pool", image(), {0, 2}, {1, 1}), Code::value_out_of_range, "entry 0");
  expect_refused(pool("max_pool", image(), {5, 5}, {1, 1}), Code::shape_mismatch, "window of size 5 is larger");
  expect_refused(pool("max_pool", iota(DType::f32, {2, 3}), {1}, {1}), Code::rank_mismatch, "rank 3 to 5");
  expect_refused(pool("max_pool", image(), {2, 2}, {1, 1}, "explicit"), Code::invalid_attribute, "pad_type 'explicit'");
  expect_refused(OpCall("max_pool").run_time("x", image()).ints("kernel_sizes", {2, 2}), Code::invalid_model,
                 "is missing");
}

}  // namespace
}  // namespace graft::ops::test
