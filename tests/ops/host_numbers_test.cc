// Graft's own rows of transforms, matrices, windows and boxes, where there is an independent answer.
#include <cmath>
#include <complex>
#include <numbers>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using V = std::vector<double>;

V noise(int64_t n) {
  V v;
  for (int64_t i = 0; i < n; ++i) v.push_back(std::sin(static_cast<double>(i * i % 101) + 0.3));
  return v;
}
void near(const V& got, const V& want, double tolerance = 1e-9) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance) << i;
}

// The sum that a transform is.
V summed(const V& x, int64_t n, bool inverse) {
  V y;
  for (int64_t k = 0; k < n; ++k) {
    std::complex<double> sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double turn = 2 * std::numbers::pi * static_cast<double>(i * k % n) / static_cast<double>(n);
      sum += std::complex(x[static_cast<size_t>(2 * i)], x[static_cast<size_t>(2 * i + 1)]) *
             std::polar(1.0, inverse ? turn : -turn);
    }
    if (inverse) sum /= static_cast<double>(n);
    y.insert(y.end(), {sum.real(), sum.imag()});
  }
  return y;
}

TEST(HostDft, IsItsSumForAnyLength) {
  for (int64_t n = 1; n <= 80; ++n) {
    const V x = noise(2 * n);
    for (const bool inverse : {false, true}) {
      OpCall c("host_dft");
      c.in("x", tensor(DType::f64, {1, n, 2}, x)).in("axis", scalar(1)).in("inverse", bools({}, {inverse ? 1.0 : 0.0}));
      near(c.numbers(), summed(x, n, inverse));
    }
  }
}

TEST(HostDft, LargePrimesAndProductsComeBack) {
  for (const int64_t n : {4096, 7919, 10007, 30030, 65536}) {
    const V x = noise(2 * n);
    OpCall there("host_dft"), back("host_dft");
    there.in("x", tensor(DType::f64, {n, 2}, x)).in("axis", scalar(0));
    back.in("x", tensor(DType::f64, {n, 2}, there.numbers())).in("axis", scalar(0)).in("inverse", bools({}, {1}));
    near(back.numbers(), x, 1e-12 * static_cast<double>(n));
  }
}

TEST(HostDft, RefusesWhatIsNoTransform) {
  const auto c = [](const Shape& x, int64_t axis, bool inverse, bool onesided) {
    return OpCall("host_dft")
        .in("x", tensor(DType::f32, x, noise(x.product())))
        .in("axis", scalar(static_cast<double>(axis)))
        .in("inverse", bools({}, {inverse ? 1.0 : 0.0}))
        .in("onesided", bools({}, {onesided ? 1.0 : 0.0}));
  };
  EXPECT_EQ(c({2, 5, 1}, 1, false, true).described(), "fp32[2, 3, 2]");
  EXPECT_EQ(c({2, 5, 2}, 1, true, true).described(), "fp32[2, 8, 1]");
  EXPECT_EQ(c({2, 5, 3}, 1, false, false).error(), "the last dim is of 1 or 2 parts, got tensor<fp32, [2, 5, 3]>");
  EXPECT_EQ(c({2, 5, 2}, 1, false, true).error(), "half a spectrum is of real numbers, got tensor<fp32, [2, 5, 2]>");
  EXPECT_EQ(c({2, 5, 1}, 1, true, true).error(), "half a spectrum is complex, got tensor<fp32, [2, 5, 1]>");
  EXPECT_EQ(c({2, 5, 1}, 2, false, false).error(),
            "axis 2 of tensor<fp32, [2, 5, 1]>: the last dim holds real and imaginary parts");
  EXPECT_EQ(c({2, 1, 2}, 1, true, true).error(), "a transform of length 0");
  for (const int64_t length : {int64_t{0}, int64_t{-3}, int64_t{3000017}, INT64_MAX}) {
    OpCall given = c({2, 5, 1}, 1, false, false);
    given.in("dft_length", i64({}, {static_cast<double>(length)}));
    EXPECT_NE(given.error(), "no error") << length;
  }
}

TEST(HostMatrix, DeterminantsAndInverses) {
  const auto det = [](const Shape& s, const V& x) { return OpCall("host_det").in("x", tensor(DType::f64, s, x)); };
  near(det({2, 2, 2}, {1, 2, 3, 4, 0, 1, 1, 0}).numbers(), {-2, -1});
  near(det({1, 1}, {5}).numbers(), {5});
  near(det({0, 0}, {}).numbers(), {1});
  near(det({2, 2}, {1, 2, 2, 4}).numbers(), {0});
  EXPECT_EQ(det({2, 3}, V(6, 1)).error(), "takes square matrices, got tensor<fp64, [2, 3]>");
  OpCall inverse("host_inverse");
  inverse.in("x", tensor(DType::f64, {3, 3}, {0, 2, 0, 1, 0, 0, 0, 0, 4}));
  near(inverse.numbers(), {0, 1, 0, 0.5, 0, 0, 0, 0, 0.25});
  OpCall none("host_inverse");
  EXPECT_EQ(none.in("x", tensor(DType::f64, {2, 2}, {1, 2, 2, 4})).error(), "matrix 0 has no inverse");
}

TEST(HostCol2Im, AddsWhatOverlaps) {
  const auto c = [](const Shape& s, const V& image, const V& block) {
    return OpCall("host_col2im")
        .in("x", tensor(DType::f32, s, V(static_cast<size_t>(s.product()), 1)))
        .in("image_shape", i64({static_cast<int64_t>(image.size())}, image))
        .in("block_shape", i64({static_cast<int64_t>(block.size())}, block))
        .in("strides", i64({2}, {1, 1}))
        .in("dilations", i64({2}, {1, 1}))
        .in("pads", i64({4}, {0, 0, 0, 0}));
  };
  EXPECT_EQ(c({1, 4, 4}, {3, 3}, {2, 2}).numbers(), (V{1, 2, 1, 2, 4, 2, 1, 2, 1}));
  EXPECT_EQ(c({1, 4, 5}, {3, 3}, {2, 2}).error(),
            "4 columns of blocks [2, 2] of an image [3, 3], got tensor<fp32, [1, 4, 5]>");
  EXPECT_EQ(c({1, 4, 4}, {1, 3}, {2, 2}).error(), "a block of [2, 2] is larger than its padded image [1, 3]");
  EXPECT_EQ(c({1, 4, 4}, {3, 3}, {2, 0}).error(), "an image of [3, 3] from blocks of [2, 0]");
  EXPECT_EQ(c({1, 4, 4}, {3, 3}, {2}).error(), "image_shape of 2 and block_shape [2]");
}

TEST(HostRoiAlign, RefusesBoxesOfNoImage) {
  const auto c = [](double image, double far) {
    return OpCall("host_roi_align")
        .in("x", tensor(DType::f32, {1, 1, 2, 2}, {1, 2, 3, 4}))
        .in("rois", f32({1, 4}, {0, 0, far, 2}))
        .in("batch_indices", i64({1}, {image}));
  };
  near(c(0, 2).numbers(), {2.5}, 1e-6);
  EXPECT_EQ(c(1, 2).error(), "a box of image 1, there are 1");
  EXPECT_EQ(c(-1, 2).error(), "a box of image -1, there are 1");
  EXPECT_NE(c(0, 1e30).error(), "no error");
  EXPECT_NE(c(0, std::nan("")).error(), "no error");
}

TEST(HostMel, FitsItsSpectrum) {
  const auto c = [](double bins, double length, double rate, double upper) {
    return OpCall("host_mel_weight_matrix")
        .in("num_mel_bins", i64({}, {bins}))
        .in("dft_length", i64({}, {length}))
        .in("sample_rate", i64({}, {rate}))
        .in("lower_edge_hertz", f32({}, {0}))
        .in("upper_edge_hertz", f32({}, {upper}));
  };
  EXPECT_EQ(c(8, 16, 8192, 4096).described(), "fp64[9, 8]");
  EXPECT_NE(c(8, 16, 8192, 1e6).error(), "no error");
  EXPECT_NE(c(8, 16, 0, 4096).error(), "no error");
  EXPECT_NE(c(-1, 16, 8192, 4096).error(), "no error");
  EXPECT_NE(c(8, 1e15, 8192, 4096).error(), "no error");
}

TEST(HostMaxPoolIndices, FirstOfTheLargest) {
  const auto c = [](double columns_first) {
    return OpCall("host_max_pool_indices")
        .in("x", f32({1, 1, 2, 3}, {1, 5, 5, 2, 0, std::nan("")}))
        .in("kernel_sizes", ints({2, 2}))
        .in("columns_first", bools({}, {columns_first}));
  };
  EXPECT_EQ(c(0).numbers(0), (V{5, 5}));
  EXPECT_EQ(c(0).numbers(1), (V{1, 1}));
  EXPECT_EQ(c(1).numbers(1), (V{2, 2}));
}

}  // namespace
}  // namespace graft::ops::test
