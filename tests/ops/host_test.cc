// Expected values are onnxruntime's.
#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using V = std::vector<double>;

class HostResize : public ::testing::Test {
 protected:
  static OpCall resize(const char* mode, const char* coordinates = "half_pixel") {
    std::vector<double> v;
    for (int i = 1; i <= 16; ++i) v.push_back(i);
    return OpCall("host_resize")
        .in("x", f32({1, 1, 4, 4}, v))
        .in("mode", text(mode))
        .in("coordinate_transformation_mode", text(coordinates));
  }
  static void near(const OpCall& c, const V& expected) {
    const V got = c.numbers();
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-5) << i;
  }
};

TEST_F(HostResize, Cubic) {
  near(resize("cubic").in("scales", f32({4}, {1, 1, 1.5, 1.5})),
       {0.565973,  1.059028, 1.865743,  2.439817,  3.246529,  3.739585,  2.538196,  3.03125,   3.837965,
        4.412038,  5.21875,  5.711806,  5.765054,  6.258107,  7.064825,  7.638896,  8.445608,  8.938665,
        8.061349,  8.5544,   9.361118,  9.935189,  10.741901, 11.234958, 11.288198, 11.78125,  12.58797,
        13.162039, 13.96875, 14.461807, 13.260422, 13.753473, 14.560194, 15.134261, 15.940973, 16.434032});
  near(resize("cubic")
           .in("scales", f32({4}, {1, 1, .8, .8}))
           .in("cubic_coeff_a", real(-0.5))
           .in("exclude_outside", bools({}, {1})),
       {1.368127, 2.669501, 4.013337, 6.573626, 7.875, 9.218836, 11.948967, 13.250341, 14.594176});
  near(resize("cubic", "pytorch_half_pixel").in("sizes", i64({4}, {1, 1, 3, 1})), {1.50463, 7, 12.495373});
}

TEST_F(HostResize, Antialias) {
  const Tensor scales = f32({4}, {1, 1, .6, .6});
  near(resize("linear").in("scales", scales).in("antialias", bools({}, {1})), {2.875, 4.5, 9.375, 11.0});
  near(resize("cubic").in("scales", scales).in("antialias", bools({}, {1})), {2.518071, 4.285886, 9.58933, 11.357143});
  near(resize("cubic").in("scales", scales).in("antialias", bools({}, {1})).in("exclude_outside", bools({}, {1})),
       {2.607141, 4.390976, 9.742481, 11.526317});
}

TEST_F(HostResize, Coordinates) {
  near(resize("linear", "half_pixel_symmetric").in("scales", f32({4}, {1, 1, .6, .6})), {4.333333, 6, 11, 12.666666});
  near(resize("linear", "tf_crop_and_resize")
           .in("sizes", i64({4}, {1, 1, 3, 3}))
           .in("roi", f32({8}, {0, 0, .4, .6, 1, 1, 1.2, 1.7}))
           .in("extrapolation_value", real(10)),
       {7.6, 10, 10, 12.4, 10, 10, 10, 10, 10});
  near(resize("linear").in("axes", ints({3})).in("sizes", i64({1}, {2})), {1.5, 3.5, 5.5, 7.5, 9.5, 11.5, 13.5, 15.5});
}

TEST_F(HostResize, NearestModes) {
  const auto c = [](const char* nearest, const char* coordinates) {
    return OpCall("host_resize")
        .in("x", f32({5}, {1, 2, 3, 4, 5}))
        .in("sizes", i64({1}, {8}))
        .in("nearest_mode", text(nearest))
        .in("coordinate_transformation_mode", text(coordinates))
        .numbers();
  };
  EXPECT_EQ(c("round_prefer_floor", "half_pixel"), (V{1, 1, 2, 3, 3, 4, 5, 5}));
  EXPECT_EQ(c("round_prefer_floor", "asymmetric"), (V{1, 2, 2, 3, 3, 4, 5, 5}));
  EXPECT_EQ(c("round_prefer_ceil", "asymmetric"), (V{1, 2, 2, 3, 4, 4, 5, 5}));
  EXPECT_EQ(c("floor", "half_pixel"), (V{1, 1, 2, 2, 3, 3, 4, 5}));
  EXPECT_EQ(c("floor", "align_corners"), (V{1, 1, 2, 2, 3, 3, 4, 5}));
  EXPECT_EQ(c("ceil", "asymmetric"), (V{1, 2, 3, 3, 4, 5, 5, 5}));
  EXPECT_EQ(c("ceil", "align_corners"), (V{1, 2, 3, 3, 4, 4, 5, 5}));
}

TEST_F(HostResize, TypesAndErrors) {
  const Dim h = Dim::symbol("h");
  EXPECT_EQ(OpCall("host_resize").typed("x", DType::f32, {Dim(1), h}).in("scales", f32({2}, {1, 2})).type(),
            "tensor<fp32, [1, 2*h]>");
  EXPECT_EQ(OpCall("host_resize").typed("x", DType::f32, {Dim(1), h}).in("scales", f32({2}, {1, .3})).type(),
            "tensor<fp32, [1, ?0]>");
  EXPECT_EQ(resize("area").in("sizes", i64({4}, {1, 1, 2, 2})).error(), "mode 'area', takes nearest, linear, cubic");
  EXPECT_EQ(resize("linear").error(), "needs sizes or scales");
  EXPECT_EQ(resize("linear").in("sizes", i64({2}, {2, 2})).error(), "'sizes' is tensor<int64, [2]>, takes 4 values");
  EXPECT_EQ(resize("linear", "tf_crop_and_resize").in("sizes", i64({4}, {1, 1, 2, 2})).error(),
            "tf_crop_and_resize needs roi");
  EXPECT_EQ(resize("linear").in("scales", f32({4}, {1, 1, -1, 1})).error(), "scale -1 of dim 2");
  EXPECT_FALSE(resize("linear").in("sizes", i64({4}, {1, 1, 2, 2})).oldest());
}

OpCall reshape(const Shape& x, const V& shape, bool allowzero = false) {
  OpCall c("host_reshape");
  c.in("x", iota(DType::f32, x)).in("shape", i64({static_cast<int64_t>(shape.size())}, shape));
  if (allowzero) c.flag("allowzero", true);
  return c;
}

TEST(HostReshape, ZerosCopyFromTheLeftOrAreSizes) {
  EXPECT_EQ(reshape({2, 3, 4}, {4, -1}).type(), "tensor<fp32, [4, 6]>");
  EXPECT_EQ(reshape({2, 3, 4}, {0, 12}).type(), "tensor<fp32, [2, 12]>");
  EXPECT_EQ(reshape({2, 3, 4}, {0, 0, 2, 2}).type(), "tensor<fp32, [2, 3, 2, 2]>");
  EXPECT_EQ(reshape({0, 3}, {0, 0}).type(), "tensor<fp32, [0, 3]>");
  EXPECT_EQ(reshape({0, 3}, {5, 0}, true).described(), "fp32[5, 0]");
  EXPECT_EQ(reshape({1}, {}).described(), "fp32[]");
  EXPECT_EQ(reshape({2, 3}, {3, 2}).numbers(), (V{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(reshape({2, 3, 1, 4}, {0, 1, 0, 2}).error(), "cannot reshape [2, 3, 1, 4] into [2, 1, 1, 2]");
  EXPECT_EQ(reshape({2, 3}, {2, 0}, true).error(), "cannot reshape [2, 3] into [2, 0]");
  EXPECT_EQ(reshape({0, 3}, {2, 0}).error(), "cannot reshape [0, 3] into [2, 3]");
  EXPECT_EQ(reshape({2}, {2, 0}).error(), "a 0 at place 1 of shape copies a dim, [2] has none there");
  EXPECT_EQ(reshape({2, 0}, {0, 0, -1}).error(), "cannot reshape [2, 0] into [2, 0, -1]");
  EXPECT_EQ(reshape({2, 0}, {0, 0, -1}, true).error(), "cannot reshape [2, 0] into [0, 0, -1]");
  EXPECT_EQ(reshape({6}, {-1, -1}).error(), "shape [-1, -1] has more than one -1");
  EXPECT_EQ(reshape({6}, {-2, 3}).error(), "shape [-2, 3] has a negative size");
  const Dim h = Dim::symbol("h");
  EXPECT_EQ(OpCall("host_reshape").typed("x", DType::f32, {h, Dim(4)}).in("shape", i64({2}, {0, -1})).type(),
            "tensor<fp32, [h, 4]>");
  EXPECT_EQ(OpCall("host_reshape").typed("x", DType::f32, {h}).typed("shape", DType::i64, {Dim(2)}).type(),
            "tensor<fp32, [?0, ?1]>");
  EXPECT_EQ(OpCall("host_reshape").typed("x", DType::f32, {h}).typed("shape", DType::i64, {Dim(0)}).type(),
            "tensor<fp32, []>");
}

TEST(HostMurmurHash, IsThatOfThePublishedCode) {
  OpCall words("host_murmur_hash");
  words.in("x", strings({4}, {"", "hello", "hello, world", "The quick brown fox jumps over the lazy dog"}));
  EXPECT_EQ(words.numbers(), (V{0, 0x248bfa47, 0x149bbb7f, 0x2e4ff723}));
  OpCall seeded("host_murmur_hash");
  seeded.in("x", strings({1}, {""})).in("seed", i64({}, {1}));
  EXPECT_EQ(seeded.numbers(), (V{0x514e28b7}));
  OpCall with_sign("host_murmur_hash");
  with_sign.in("x", i64({2}, {0, -1})).in("positive", bools({}, {0}));
  EXPECT_EQ(with_sign.described(), "int32[2]");
}

TEST(HostDynamicTimeWarping, FindsTheCheapestPath) {
  OpCall path("host_dynamic_time_warping");
  path.in("x", f32({3, 3}, {1, 1, 9, 9, 9, 1, 9, 9, 1}));
  EXPECT_EQ(path.numbers(), (V{0, 0, 1, 2, 0, 1, 2, 2}));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(OpCall("host_dynamic_time_warping").in("x", f32({1, 2, 2}, {nan, nan, nan, nan})).described(),
            "int32[2, 3]");
  EXPECT_EQ(OpCall("host_dynamic_time_warping").in("x", f32({0, 2}, {})).described(), "int32[2, 0]");
  EXPECT_EQ(OpCall("host_dynamic_time_warping").in("x", f32({2, 1, 1}, {0, 0})).error(),
            "x is [2, 1, 1], takes [M, N] or [1, M, N]");
}

TEST(HostUnique, FlatAndAlongAxis) {
  OpCall rows("host_unique");
  rows.in("x", f32({3, 3}, {2, 1, 1, 2, 1, 1, 0, 5, 5})).in("axis", scalar(0));
  EXPECT_EQ(rows.numbers(0), (V{0, 5, 5, 2, 1, 1}));
  EXPECT_EQ(rows.numbers(1), (V{2, 0}));
  EXPECT_EQ(rows.numbers(2), (V{1, 1, 0}));
  EXPECT_EQ(rows.numbers(3), (V{1, 2}));
  OpCall unsorted("host_unique");
  unsorted.in("x", f32({6}, {2, 1, 1, 3, 4, 3})).in("sorted", bools({}, {0}));
  EXPECT_EQ(unsorted.numbers(0), (V{2, 1, 3, 4}));
  EXPECT_EQ(unsorted.numbers(1), (V{0, 1, 3, 4}));
  EXPECT_EQ(unsorted.numbers(2), (V{0, 1, 1, 2, 3, 2}));
  EXPECT_EQ(unsorted.numbers(3), (V{1, 2, 2, 1}));
  EXPECT_EQ(OpCall("host_unique").in("x", strings({3}, {"b", "a", "b"})).described(), "string[2]");
  EXPECT_EQ(OpCall("host_unique").in("x", f32({0}, {})).described(1), "int64[0]");
}

V of_two(const char* op, DType dtype, const V& x, const V& y) {
  const Shape shape{static_cast<int64_t>(x.size())};
  return OpCall(op).in("x", tensor(dtype, shape, x)).in("y", tensor(dtype, shape, y)).numbers();
}

TEST(HostBits, OfEveryWidth) {
  EXPECT_EQ(of_two("host_bitwise_and", DType::i8, {-1, 12}, {5, 10}), (V{5, 8}));
  EXPECT_EQ(of_two("host_bitwise_or", DType::u16, {40960, 12}, {3, 10}), (V{40963, 14}));
  EXPECT_EQ(of_two("host_bitwise_xor", DType::i64, {-1, 12}, {1, 10}), (V{-2, 6}));
  EXPECT_EQ(OpCall("host_bitwise_not").in("x", tensor(DType::u8, {3}, {0, 5, 255})).numbers(), (V{255, 250, 0}));
  EXPECT_EQ(OpCall("host_bitwise_not").in("x", i32({2}, {5, -1})).numbers(), (V{-6, 0}));
  EXPECT_EQ(OpCall("host_bitwise_not").in("x", f32({1}, {5})).error(),
            "argument 'x': got fp32, takes int8/int16/int32/int64/uint8/uint16/uint32/uint64");
}

TEST(HostBits, ShiftsByTheWidthAndMoreLeaveNothing) {
  EXPECT_EQ(of_two("host_shift_left", DType::u8, {1, 3, 255, 1}, {7, 1, 8, 200}), (V{128, 6, 0, 0}));
  EXPECT_EQ(of_two("host_shift_left", DType::i64, {1, -5, 1, 1}, {63, 1, 64, -1}), (V{-0x1p63, -10, 0, 0}));
  EXPECT_EQ(of_two("host_shift_right", DType::u64, {0x1p63, 9, 9}, {63, 1, 64}), (V{1, 4, 0}));
  EXPECT_EQ(of_two("host_shift_right", DType::i16, {-5, -5, 5, 5}, {1, 200, 200, -1}), (V{-3, -1, 0, 0}));
}

TEST(HostNonMaxSuppression, KeepsTheBest) {
  const Tensor boxes =
      f32({1, 6, 4}, {0, 0, 1, 1, 0, .1, 1, 1.1, 0, -.1, 1, .9, 0, 10, 1, 11, 0, 10.1, 1, 11.1, 0, 100, 1, 101});
  const Tensor scores = f32({1, 2, 6}, {.9, .75, .6, .95, .5, .3, .1, .2, .9, .3, .3, .8});
  OpCall c("host_non_max_suppression");
  c.in("boxes", boxes)
      .in("scores", scores)
      .in("max_output_boxes_per_class", i64({1}, {2}))
      .in("iou_threshold", f32({1}, {.5}))
      .in("score_threshold", f32({1}, {.1}));
  EXPECT_EQ(c.numbers(), (V{0, 0, 3, 0, 0, 0, 0, 1, 2, 0, 1, 5}));
  OpCall center("host_non_max_suppression");
  center.in("boxes", boxes)
      .in("scores", scores)
      .in("max_output_boxes_per_class", i64({1}, {9}))
      .in("iou_threshold", f32({1}, {0}))
      .in("center_point_box", scalar(1));
  EXPECT_EQ(center.numbers(), (V{0, 0, 3, 0, 0, 0, 0, 0, 5, 0, 1, 2, 0, 1, 5, 0, 1, 3}));
  EXPECT_EQ(OpCall("host_non_max_suppression").in("boxes", boxes).in("scores", scores).described(), "int64[0, 3]");
  EXPECT_EQ(OpCall("host_non_max_suppression").in("boxes", f32({1, 1, 3}, {1, 2, 3})).in("scores", scores).error(),
            "takes boxes [n, boxes, 4] and scores [n, classes, boxes], got tensor<fp32, [1, 1, 3]> and tensor<fp32, "
            "[1, 2, 6]>");
}

}  // namespace
}  // namespace graft::ops::test
