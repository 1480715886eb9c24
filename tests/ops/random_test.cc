#include "ops/op_call.h"

#include <cmath>
#include <numeric>

namespace graft::ops::test {
namespace {

using V = std::vector<double>;

struct Moments {
  double mean, variance, lo, hi;
};
Moments moments(const V& v) {
  const auto n = static_cast<double>(v.size());
  const double mean = std::accumulate(v.begin(), v.end(), 0.0) / n;
  double square = 0;
  for (double x : v) square += (x - mean) * (x - mean);
  return {mean, square / n, *std::min_element(v.begin(), v.end()), *std::max_element(v.begin(), v.end())};
}

// 100,000 numbers: a mean is off by more than five of its standard deviations once in two million seeds.
TEST(Random, Distributions) {
  const Moments u = moments(OpCall("random_uniform")
                                .in("shape", ints({100000}))
                                .in("low", real(-1))
                                .in("high", real(3))
                                .in("seed", scalar(1))
                                .numbers());
  EXPECT_NEAR(u.mean, 1, 5 * 1.1547 / 316);
  EXPECT_NEAR(u.variance, 16.0 / 12, 0.03);
  EXPECT_GE(u.lo, -1);
  EXPECT_LT(u.hi, 3);
  const Moments n = moments(OpCall("random_normal")
                                .in("shape", ints({100, 1000}))
                                .in("mean", real(2))
                                .in("stddev", real(3))
                                .in("seed", scalar(2))
                                .numbers());
  EXPECT_NEAR(n.mean, 2, 5 * 3.0 / 316);
  EXPECT_NEAR(n.variance, 9, 0.25);
  const Moments b = moments(OpCall("random_bernoulli").in("shape", ints({100000})).in("prob", real(0.3)).numbers());
  EXPECT_NEAR(b.mean, 0.3, 5 * 0.46 / 316);
  EXPECT_NEAR(b.variance, 0.21, 0.01);
}

TEST(Random, SeedsDecide) {
  const auto c = [](double seed) {
    return OpCall("random_uniform").in("shape", ints({4})).in("seed", scalar(seed)).numbers();
  };
  EXPECT_EQ(c(5), c(5));
  EXPECT_NE(c(5), c(6));
  EXPECT_EQ(OpCall("random_normal").in("shape", ints({2})).in("mean", tensor(DType::f16, {}, {0})).described(),
            "fp16[2]");
  EXPECT_EQ(OpCall("random_normal").in("shape", ints({-2})).error(), "'shape' [-2] has a negative size");
  EXPECT_EQ(table().find("random_normal")->def->effects, ir::Effects::random);
}

TEST(RandomCategorical, FrequenciesFollowTheWeights) {
  const auto share = [](const char* mode, const V& x) {
    const V v = OpCall("random_categorical")
                    .in("x", f32({1, 3}, x))
                    .in("mode", text(mode))
                    .in("size", scalar(50000))
                    .in("seed", scalar(3))
                    .numbers();
    V count(3);
    for (double k : v) count.at(static_cast<size_t>(k)) += 1.0 / 50000;
    return count;
  };
  for (const V& got :
       {share("probs", {0.2, 0.3, 0.5}), share("logits", {std::log(2.0), std::log(3.0), std::log(5.0)})}) {
    EXPECT_NEAR(got[0], 0.2, 0.01);
    EXPECT_NEAR(got[1], 0.3, 0.011);
    EXPECT_NEAR(got[2], 0.5, 0.012);
  }
  EXPECT_EQ(OpCall("random_categorical").in("x", f32({1, 2}, {1, 2})).in("mode", text("odds")).error(),
            "mode 'odds', takes logits or probs");
}

}  // namespace
}  // namespace graft::ops::test
