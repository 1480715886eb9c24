// Expected values were computed with numpy from the definition, padding written out.
#include <gtest/gtest.h>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;

OpCall conv(Tensor x, Tensor w) { return OpCall("conv").run_time("x", std::move(x)).in("weight", std::move(w)); }
OpCall transpose(Tensor x, Tensor w) {
  return OpCall("conv_transpose").run_time("x", std::move(x)).in("weight", std::move(w));
}
Tensor x4() { return iota(DType::f32, {1, 2, 4, 4}); }
Tensor w33() { return iota(DType::f32, {2, 2, 3, 3}, -4, 0.5); }

TEST(Conv, ValidWithBias) {
  expect_result(conv(x4(), w33()).in("bias", f32({2}, {1, -1})), {1, 2, 2, 2},
                {461.5, 466, 479.5, 484, 2565.5, 2732, 3231.5, 3398});
  EXPECT_EQ(conv(x4(), w33()).oldest().value(), ir::Opset::ios15);
}

TEST(Conv, CustomPaddingIsAPairForEachDim) {
  expect_result(conv(x4(), w33()).ints("strides", {2, 1}).text("pad_type", "custom").ints("pad", {1, 0, 0, 2}),
                {1, 2, 2, 4},
                {370, 382, 232, 104, 478.5, 483, 265.5, 103.5, 1558, 1678, 1132, 572, 3232.5, 3399, 2263.5, 1129.5});
}

TEST(Conv, PaddingIsIgnoredUnlessCustom) {
  expect_type(conv(x4(), w33()).ints("pad", {1, 1, 1, 1}), "tensor<fp32, [1, 2, 2, 2]>");
}

TEST(Conv, SamePutsTheOddElementBehindSameLowerInFront) {
  expect_result(conv(x4(), w33()).ints("strides", {2, 2}).text("pad_type", "same"), {1, 2, 2, 2},
                {460.5, 265.5, 124, 34, 2566.5, 1831.5, 2176, 1510});
  const OpCall lower = conv(x4(), w33()).ints("strides", {2, 2}).text("pad_type", "same_lower");
  expect_result(lower, {1, 2, 2, 2}, {262, 382, 364.5, 483, 1018, 1678, 2146.5, 3399});
  EXPECT_EQ(lower.oldest().value(), ir::Opset::ios16);
  expect_illegal(lower, ir::Opset::ios15, Code::needs_later_target, "iOS16");
}

TEST(Conv, Dilation) {
  const Tensor w = f32({2, 2, 2, 2}, {-4, -3.5, -2.5, -2, 0.5, 1, 2, 2.5, 5, 5.5, 6.5, 7, 9.5, 10, 11, 11.5});
  expect_result(conv(x4(), w).ints("dilations", {2, 3}), {1, 2, 2, 1}, {90, 66, 1062, 1326});
}

TEST(Conv, Groups) {
  const Tensor w = f32({2, 1, 3, 3}, {-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9});
  expect_result(conv(x4(), w).i("groups", 2), {1, 2, 2, 2}, {-51, -69, -123, -141, 1362, 1425, 1614, 1677});
}

TEST(Conv, OneAndThreeDims) {
  expect_result(conv(iota(DType::f32, {1, 2, 5}), iota(DType::f32, {3, 2, 2}, -2))
                    .ints("strides", {2})
                    .text("pad_type", "custom")
                    .ints("pad", {1, 0}),
                {1, 3, 3}, {5, 3, -1, 25, 67, 95, 45, 131, 191});
  expect_result(conv(iota(DType::f32, {1, 1, 2, 3, 3}), iota(DType::f32, {1, 1, 2, 2, 2}, -3)), {1, 1, 1, 2, 2},
                {112, 116, 124, 128});
}

TEST(Conv, LargerThanATile) {
  // Ones everywhere: a result is the number of taps inside the image times the input channels.
  const OpCall op =
      conv(iota(DType::f32, {2, 5, 11, 13}, 1, 0), iota(DType::f32, {20, 5, 3, 3}, 1, 0)).text("pad_type", "same");
  std::vector<double> want;
  for (int plane = 0; plane < 2 * 20; ++plane) {
    for (int y = 0; y < 11; ++y) {
      for (int x = 0; x < 13; ++x) want.push_back(5 * (y == 0 || y == 10 ? 2 : 3) * (x == 0 || x == 12 ? 2 : 3));
    }
  }
  expect_result(op, {2, 20, 11, 13}, want);
}

TEST(Conv, HalfDataWithFloatWeights) {
  const OpCall op = conv(iota(DType::f16, {1, 2, 4, 4}), w33());
  expect_type(op, "tensor<fp16, [1, 2, 2, 2]>");
  expect_result(op, {1, 2, 2, 2}, {460.5, 465, 478.5, 483, 2566.5, 2733, 3232.5, 3399}, 5e-4);
  EXPECT_EQ(op.oldest().value(), ir::Opset::ios17);
}

TEST(Conv, RunTimeWeightOnlyWithoutDilation) {
  const auto call = [] { return OpCall("conv").run_time("x", x4()).run_time("weight", w33()); };
  EXPECT_TRUE(call().oldest());
  expect_illegal(call().ints("dilations", {1, 2}), ir::Opset::ios18, Code::needs_constant, "dilations [1, 2]");
}

TEST(Conv, SymbolicDims) {
  const Dim h = Dim::symbol("height", {1, 4096}), n = Dim::symbol("batch", {1, 8});
  const auto call = [&](int64_t kernel) {
    return OpCall("conv").typed("x", DType::f32, {n, 3, h, 224}).in("weight", iota(DType::f32, {4, 3, kernel, kernel}));
  };
  const Result<ir::Types> down =
      call(3).ints("strides", {2, 2}).text("pad_type", "custom").ints("pad", {1, 1, 1, 1}).infer();
  ASSERT_TRUE(down) << render(down.error());
  EXPECT_EQ(ir::to_string((*down)[0].dims), ir::to_string({n, 4, ir::floor_div(h - 1, 2) + 1, 112}));
  expect_type(call(1), "tensor<fp32, [batch, 4, height, 224]>");
  // same: ceil(height / 2), whatever the kernel.
  const Result<ir::Types> t = call(5).ints("strides", {2, 2}).text("pad_type", "same").infer();
  ASSERT_TRUE(t) << render(t.error());
  EXPECT_TRUE((*t)[0].dims[2] == ir::ceil_div(h, 2));
}

TEST(Conv, Refusals) {
  expect_refused(conv(x4(), iota(DType::f32, {2, 3, 3, 3})), Code::shape_mismatch,
                 "got x with 2 channels, weight [2, 3, 3, 3] in 1 groups takes 3");
  expect_refused(conv(x4(), iota(DType::f32, {2, 2, 3})), Code::rank_mismatch, "got weight of rank 3, takes rank 4");
  expect_refused(conv(iota(DType::f32, {2, 3}), w33()), Code::rank_mismatch, "got x of rank 2, takes rank 3 to 5");
  expect_refused(conv(x4(), w33()).i("groups", 0), Code::value_out_of_range, "groups 0");
  expect_refused(conv(x4(), iota(DType::f32, {3, 1, 3, 3})).i("groups", 2), Code::shape_mismatch,
                 "3 channels do not divide into 2 groups");
  expect_refused(conv(x4(), w33()).in("bias", f32({3}, {1, 1, 1})), Code::shape_mismatch,
                 "got bias of shape [3], takes [2]");
  expect_refused(conv(x4(), w33()).ints("strides", {1}), Code::shape_mismatch, "'strides' has 1 entries, takes 2");
  expect_refused(conv(x4(), w33()).ints("strides", {0, 1}), Code::value_out_of_range, "'strides' has an entry 0");
  expect_refused(conv(x4(), w33()).ints("dilations", {1, -1}), Code::value_out_of_range, "'dilations'");
  expect_refused(conv(x4(), w33()).text("pad_type", "custom").ints("pad", {0, 0, -1, 0}), Code::value_out_of_range,
                 "'pad' has an entry -1");
  expect_refused(conv(x4(), w33()).text("pad_type", "SAME"), Code::invalid_attribute, "pad_type 'SAME'");
  expect_refused(conv(x4(), iota(DType::f32, {1, 2, 5, 5})), Code::shape_mismatch, "window of size 5 is larger");
  expect_refused(conv(x4(), w33()).ints("dilations", {INT32_MAX, INT32_MAX}), Code::shape_mismatch, "is larger than");
  expect_refused(conv(x4(), tensor(DType::i32, {1, 2, 1, 1}, {1, 1})), Code::dtype_mismatch, "got int32");
}

TEST(ConvTranspose, ValidAndCustom) {
  const Tensor x = iota(DType::f32, {1, 2, 2, 2}, 1), w = iota(DType::f32, {2, 1, 3, 3}, -4, 0.5);
  expect_result(transpose(x, w).ints("strides", {2, 2}), {1, 1, 5, 5},
                {-1.5, 1.5, -0.5, -1,   3,    7.5, 10.5, 20.5, 11,   15,   8,  16, 31,
                 17,   27,  6.5,  11.5, 22.5, 12,  18,   21.5, 26.5, 55.5, 30, 36});
  expect_result(transpose(x, w).ints("strides", {2, 1}).text("pad_type", "custom").ints("pad", {1, 0, 0, 1}),
                {1, 1, 4, 3}, {7.5, 17.5, 24.5, 8, 23, 41, 6.5, 17.5, 28.5, 21.5, 50.5, 61.5});
}

TEST(ConvTranspose, OutputShapeActsAsOutputPadding) {
  const auto call = [] {
    return transpose(iota(DType::f32, {1, 2, 2, 2}, 1), iota(DType::f32, {2, 1, 3, 3}, -4, 0.5))
        .ints("strides", {2, 2})
        .text("pad_type", "custom")
        .ints("pad", {1, 1, 1, 1});
  };
  expect_result(call().ints("output_shape", {1, 1, 4, 4}), {1, 1, 4, 4},
                {10.5, 20.5, 11, 15, 16, 31, 17, 27, 11.5, 22.5, 12, 18, 26.5, 55.5, 30, 36});
  expect_refused(call().ints("output_shape", {4, 4}), Code::shape_mismatch, "got output_shape [4, 4]");
  expect_refused(call().ints("output_shape", {1, 2, 4, 4}), Code::shape_mismatch, "got output_shape [1, 2, 4, 4]");
  expect_refused(call().ints("output_shape", {1, 1, 0, 4}), Code::shape_mismatch, "positive");
}

TEST(ConvTranspose, Same) {
  const auto call = [](const char* pad_type) {
    return transpose(iota(DType::f32, {1, 2, 2, 2}, 1), iota(DType::f32, {2, 1, 3, 3}, -4, 0.5))
        .ints("strides", {2, 2})
        .text("pad_type", pad_type);
  };
  expect_result(call("same"), {1, 1, 4, 4},
                {-1.5, 1.5, -0.5, -1, 7.5, 10.5, 20.5, 11, 8, 16, 31, 17, 6.5, 11.5, 22.5, 12});
  expect_result(call("same_lower"), {1, 1, 4, 4},
                {10.5, 20.5, 11, 15, 16, 31, 17, 27, 11.5, 22.5, 12, 18, 26.5, 55.5, 30, 36});
  EXPECT_TRUE(call("same").oldest());
  expect_illegal(call("same_lower"), ir::Opset::ios18, Code::unsupported_attribute, "same_lower");
}

TEST(ConvTranspose, GroupsAndDilation) {
  expect_result(transpose(iota(DType::f32, {1, 2, 2, 2}, 1), iota(DType::f32, {2, 1, 3, 3}, -4, 0.5))
                    .text("pad_type", "custom")
                    .ints("pad", {1, 1, 1, 1})
                    .i("groups", 2),
                {1, 2, 2, 2}, {-33.5, -28.5, -18.5, -13.5, 35.5, 48.5, 74.5, 87.5});
  expect_result(transpose(iota(DType::f32, {1, 1, 3}, 1), iota(DType::f32, {1, 2, 2}, 1))
                    .ints("strides", {2})
                    .ints("dilations", {3}),
                {1, 2, 8}, {1, 0, 2, 2, 3, 4, 0, 6, 3, 0, 6, 4, 9, 8, 0, 12});
}

TEST(ConvTranspose, SymbolicDimsAndRefusals) {
  const Dim h = Dim::symbol("height", {1, 4096});
  const auto call = [&] {
    return OpCall("conv_transpose")
        .typed("x", DType::f32, {1, 2, h})
        .in("weight", iota(DType::f32, {2, 3, 4}))
        .ints("strides", {2});
  };
  expect_type(call(), "tensor<fp32, [1, 3, 2*height + 2]>");
  expect_type(call().text("pad_type", "custom").ints("pad", {1, 1}), "tensor<fp32, [1, 3, 2*height]>");
  expect_refused(transpose(iota(DType::f32, {1, 3, 2}), iota(DType::f32, {2, 3, 4})), Code::shape_mismatch,
                 "got x with 3 channels");
  expect_refused(transpose(iota(DType::f32, {1, 2, 2}), iota(DType::f32, {2, 3, 1}))
                     .text("pad_type", "custom")
                     .ints("pad", {1, 1}),
                 Code::shape_mismatch, "padding leaves nothing");
  EXPECT_EQ(OpCall("conv_transpose")
                .run_time("x", iota(DType::f32, {1, 2, 2}))
                .run_time("weight", iota(DType::f32, {2, 3, 4}))
                .oldest()
                .value(),
            ir::Opset::ios17);
}

}  // namespace
}  // namespace graft::ops::test
