#include <cmath>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using V = std::vector<double>;

Tensor line(const V& v) { return f32({1, 1, 1, static_cast<int64_t>(v.size())}, v); }
void near(const V& got, const V& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-6) << i;
}

TEST(ResizeBilinear, FiveGrids) {
  const auto c = [](const char* grid, double w) {
    return OpCall("resize_bilinear")
        .in("x", line({0, 1, 2, 3}))
        .in("target_size_height", scalar(1))
        .in("target_size_width", scalar(w))
        .in("sampling_mode", text(grid))
        .numbers();
  };
  near(c("STRICT_ALIGN_CORNERS", 3), {0, 1.5, 3});
  near(c("STRICT_ALIGN_CORNERS", 1), {0});
  near(c("ALIGN_CORNERS", 1), {1.5});
  near(c("DEFAULT", 8), {0, 0.5, 1, 1.5, 2, 2.5, 3, 3});
  near(c("OFFSET_CORNERS", 2), {0.75, 2.25});
  near(c("UNALIGN_CORNERS", 8), {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3});
  EXPECT_EQ(
      OpCall("resize_bilinear").in("x", line({1})).in("sampling_mode", text("CORNERS")).error(),
      "sampling_mode 'CORNERS', takes STRICT_ALIGN_CORNERS, ALIGN_CORNERS, DEFAULT, OFFSET_CORNERS or UNALIGN_CORNERS");
  EXPECT_EQ(OpCall("resize_bilinear").in("x", line({1})).in("target_size_height", scalar(0)).error(),
            "the target size is 0 x 1");
}

TEST(ResizeNearestNeighbor, FloorsTheIndex) {
  OpCall c("resize_nearest_neighbor");
  c.in("x", f32({1, 2, 2}, {1, 2, 3, 4})).in("target_size_height", scalar(3)).in("target_size_width", scalar(4));
  EXPECT_EQ(c.numbers(), (V{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4}));
}

TEST(Upsample, Factors) {
  const Tensor x = f32({1, 1, 1, 3}, {0, 1, 2});
  EXPECT_EQ(OpCall("upsample_nearest_neighbor")
                .in("x", x)
                .in("scale_factor_width", real(0.67))
                .in("scale_factor_height", real(1))
                .numbers(),
            (V{0, 1}));
  const auto c = [&](double align, double half) {
    return OpCall("upsample_bilinear")
        .in("x", line({0, 1}))
        .in("scale_factor_width", scalar(2))
        .in("align_corners", bools({}, {align}))
        .in("half_pixel_centers", bools({}, {half}))
        .numbers();
  };
  near(c(1, 0), {0, 1.0 / 3, 2.0 / 3, 1});
  near(c(0, 1), {0, 0.25, 0.75, 1});
  near(c(0, 0), {0, 0.5, 1, 1});
  const Dim h = Dim::symbol("h");
  EXPECT_EQ(OpCall("upsample_bilinear")
                .typed("x", DType::f32, {Dim(1), Dim(1), h, h})
                .in("scale_factor_height", real(2))
                .in("scale_factor_width", real(0.5))
                .type(),
            "tensor<fp32, [1, 1, 2*h, (h floordiv 2)]>");
  EXPECT_EQ(OpCall("upsample_bilinear").in("x", x).in("scale_factor_width", real(-1)).error(),
            "scale_factor_width is -1");
}

TEST(Resize, ShapeAndModes) {
  const auto c = [](const char* mode, const char* grid, const V& shape) {
    return OpCall("resize")
        .in("x", f32({1, 2}, {5, 7}))
        .in("shape", ints(shape))
        .in("resized_dims", scalar(static_cast<double>(shape.size())))
        .in("interpolation_mode", text(mode))
        .in("sampling_mode", text(grid));
  };
  EXPECT_EQ(c("NEAREST_NEIGHBOR", "DEFAULT", {3}).numbers(), (V{5, 7, 7}));
  EXPECT_EQ(c("LINEAR", "UNALIGN_CORNERS", {4}).numbers(), (V{5, 5.5, 6.5, 7}));
  EXPECT_EQ(c("LINEAR", "DEFAULT", {2, 0}).described(), "fp32[2, 2]");
  EXPECT_EQ(c("CUBIC", "DEFAULT", {3}).error(), "interpolation_mode 'CUBIC', takes LINEAR or NEAREST_NEIGHBOR");
  EXPECT_EQ(c("LINEAR", "DEFAULT", {1, 1, 1}).error(),
            "resized_dims 3 with a shape tensor<int32, [3]> and x tensor<fp32, [1, 2]>");
}

TEST(Crop, CutsTheLastDims) {
  OpCall c("crop");
  c.in("x", iota(DType::f32, {1, 3, 4})).in("crop_height", ints({1, 0})).in("crop_width", ints({1, 2}));
  EXPECT_EQ(c.numbers(), (V{5, 9}));
  OpCall much("crop");
  much.in("x", iota(DType::f32, {1, 3, 4})).in("crop_height", ints({2, 2})).in("crop_width", ints({0, 0}));
  EXPECT_EQ(much.error(), "crop_height [2, 2] leaves nothing");
}

OpCall resample(const char* sampling, const char* padding, const V& points, const char* coordinates = "unnormalized",
                double align = 1) {
  return OpCall("resample")
      .in("x", f32({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}))
      .in("coordinates", f32({1, 1, static_cast<int64_t>(points.size() / 2), 2}, points))
      .in("sampling_mode", text(sampling))
      .in("padding_mode", text(padding))
      .in("padding_value", real(-1))
      .in("coordinates_mode", text(coordinates))
      .in("align_corners", bools({}, {align}));
}
TEST(Resample, SamplesAtPoints) {
  near(resample("bilinear", "constant", {0.5, 0.5, 2, 1, -0.5, 0}).numbers(), {3, 6, 0});
  near(resample("nearest", "constant", {0.5, 0.5, -0.6, 0}).numbers(), {5, -1});
  near(resample("nearest", "border", {-9, 9, 9, -9}).numbers(), {4, 3});
  near(resample("nearest", "reflection", {-1, 0, 3, 0, 5, 0}).numbers(), {2, 2, 2});
  near(resample("nearest", "symmetric", {-1, 0, 3, 0, 5, 0}).numbers(), {1, 3, 1});
  near(resample("bilinear", "constant", {-1, -1, 1, 1, 0, 0}, "normalized_minus_one_to_one").numbers(), {1, 6, 3.5});
  near(resample("bilinear", "border", {0, 0, 1, 1, 0.5, 0.5}, "normalized_zero_to_one", 0).numbers(), {1, 6, 3.5});
  EXPECT_EQ(resample("cubic", "border", {0, 0}).error(), "sampling_mode 'cubic', takes nearest or bilinear");
  EXPECT_EQ(resample("nearest", "border", {std::nan(""), INFINITY}).numbers().size(), 1u);  // some element, not a crash
}

TEST(Affine, IdentityAndShift) {
  const auto c = [](const V& m) {
    return OpCall("affine")
        .in("x", f32({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}))
        .in("transform_matrix", f32({1, 6}, m))
        .in("output_height", scalar(2))
        .in("output_width", scalar(3))
        .in("sampling_mode", text("bilinear"))
        .in("padding_mode", text("constant"))
        .in("padding_value", real(0))
        .in("coordinates_mode", text("normalized_minus_one_to_one"))
        .in("align_corners", bools({}, {1}));
  };
  near(c({1, 0, 0, 0, 1, 0}).numbers(), {1, 2, 3, 4, 5, 6});
  near(c({1, 0, 1, 0, 1, 0}).numbers(), {2, 3, 0, 5, 6, 0});
  EXPECT_TRUE(c({1, 0, 0, 0, 1, 0}).oldest());
}

}  // namespace
}  // namespace graft::ops::test
