#include "tools/compare.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tools/bench.h"

namespace graft::tools {
namespace {

Tensor floats(const Shape& shape, const std::vector<float>& v) { return Tensor::of<float>(DType::f32, shape, v); }

TEST(Compare, Equal) {
  const Tensor a = floats({4}, {1, -2, 3, 0});
  const Difference d = compare(a.view(), a.view(), false);
  EXPECT_FALSE(d.snr_db);
  EXPECT_EQ(d.max_abs, 0);
  EXPECT_NEAR(d.cosine, 1, 1e-12);
  EXPECT_EQ(d.range, 5);
  EXPECT_TRUE(accurate(d, DType::f32, {}));
}

TEST(Compare, KnownNumbers) {
  const Tensor a = floats({4}, {1, 1, 1, 1}), b = floats({4}, {1.1f, 0.9f, 1.1f, 0.9f});
  const Difference d = compare(a.view(), b.view(), false);
  EXPECT_NEAR(*d.snr_db, 20, 1e-4);
  EXPECT_NEAR(d.max_abs, 0.1, 1e-6);
  EXPECT_NEAR(d.max_rel, 0.1, 1e-6);
  EXPECT_NEAR(d.cosine, 4 / std::sqrt(4 * 4.04), 1e-6);
  EXPECT_FALSE(accurate(d, DType::f32, {}));
  Tolerance loose;
  loose.snr_db = 19;
  EXPECT_TRUE(accurate(d, DType::f32, loose));
}

TEST(Compare, Fp32ToleranceIsOfTheRange) {
  Tolerance t;
  t.f32 = true;
  const Tensor a = floats({2}, {0, 100}), near = floats({2}, {0.009f, 100}), far = floats({2}, {0.011f, 100});
  EXPECT_TRUE(accurate(compare(a.view(), near.view(), false), DType::f32, t));
  EXPECT_FALSE(accurate(compare(a.view(), far.view(), false), DType::f32, t));
}

TEST(Compare, NanAndInfinityMustMatch) {
  const Tensor a = floats({3}, {NAN, INFINITY, 1}), b = floats({3}, {NAN, INFINITY, 1}),
               c = floats({3}, {1, INFINITY, 1}), e = floats({3}, {NAN, -INFINITY, 1});
  EXPECT_TRUE(accurate(compare(a.view(), b.view(), false), DType::f32, {}));
  EXPECT_FALSE(accurate(compare(a.view(), c.view(), false), DType::f32, {}));
  EXPECT_FALSE(accurate(compare(a.view(), e.view(), false), DType::f32, {}));
  EXPECT_EQ(compare(a.view(), b.view(), false).reference_nans, 1);
  EXPECT_EQ(compare(a.view(), b.view(), false).infs, 1);
}

TEST(Compare, OtherTypeOrShape) {
  const Tensor a = floats({2}, {1, 2}), b = floats({2, 1}, {1, 2});
  EXPECT_FALSE(compare(a.view(), b.view(), false).same_type);
  EXPECT_FALSE(accurate(compare(a.view(), b.view(), false), DType::f32, {}));
}

TEST(Compare, IntegersMustBeEqual) {
  const int64_t x[] = {1, 2}, y[] = {1, 3};
  const Tensor a = Tensor::of<int64_t>(DType::i64, {2}, x), b = Tensor::of<int64_t>(DType::i64, {2}, y);
  EXPECT_TRUE(accurate(compare(a.view(), a.view(), false), DType::i64, {}));
  EXPECT_FALSE(accurate(compare(a.view(), b.view(), false), DType::i64, {}));
}

TEST(Compare, ClassifiersAreJudgedByTheirDecision) {
  std::vector<float> scores(20, 0);
  scores[3] = 1, scores[15] = 1;
  std::vector<float> noisy = scores, wrong = scores;
  for (float& v : noisy) v += 0.02f;  // under 45 dB, over 20
  wrong[15] = 0.999f, wrong[16] = 1;
  const Tensor a = floats({2, 10}, scores), b = floats({2, 10}, noisy), c = floats({2, 10}, wrong);
  ASSERT_TRUE(is_classifier(a.view()));
  EXPECT_FALSE(is_classifier(floats({2, 9}, std::vector<float>(18, 0)).view()));
  Tolerance t;
  t.classifier_snr_db = 20;
  const Difference good = compare(a.view(), b.view(), true), bad = compare(a.view(), c.view(), true);
  EXPECT_EQ(good.rows, 2);
  EXPECT_EQ(good.top1_equal, 2);
  EXPECT_TRUE(accurate(good, DType::f32, t));
  EXPECT_EQ(bad.top1_equal, 1);
  EXPECT_FALSE(accurate(bad, DType::f32, t));
}

TEST(Compare, TiesInTheReferenceHaveNoOneRightAnswer) {
  std::vector<float> tie(10, 0), other(10, 0);
  tie[2] = tie[7] = 1;
  other[7] = 1, other[2] = 0.999f;
  EXPECT_EQ(compare(floats({1, 10}, tie).view(), floats({1, 10}, other).view(), true).top1_equal, 1);
}

TEST(Percentile, NearestRank) {
  const std::vector<double> v = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(percentile(v, 0.5), 5);
  EXPECT_EQ(percentile(v, 0.9), 9);
  EXPECT_EQ(percentile(v, 0.99), 10);
  EXPECT_EQ(percentile(v, 0), 1);
  EXPECT_EQ(percentile(std::span<const double>(), 0.5), 0);
}

}  // namespace
}  // namespace graft::tools
