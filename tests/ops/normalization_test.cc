// Expected values were computed with numpy from the definitions.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

Tensor image() { return iota(DType::f32, {1, 2, 3, 2}, -2, 0.5); }

TEST(Normalization, BatchNorm) {
  const auto call = [](Tensor x, DType params) {
    return OpCall("batch_norm")
        .run_time("x", std::move(x))
        .in("mean", tensor(params, {2}, {0.5, -1}))
        .in("variance", tensor(params, {2}, {2, 0.25}))
        .in("gamma", tensor(params, {2}, {1.5, -2}))
        .in("beta", tensor(params, {2}, {0.1, 0.2}))
        .f("epsilon", 1e-3, params);
  };
  const std::vector<double> want{-2.550988, -2.02079, -1.490593, -0.9603951, -0.4301976, 0.1,
                                 -7.784048, -9.78006, -11.77607, -13.77208,  -15.7681,   -17.76411};
  expect_result(call(image(), DType::f32), {1, 2, 3, 2}, want);
  EXPECT_EQ(call(image(), DType::f32).oldest().value(), ir::Opset::ios15);
  const OpCall mixed = call(iota(DType::f16, {1, 2, 3, 2}, -2, 0.5), DType::f32);
  expect_result(mixed, {1, 2, 3, 2}, want, 1e-3);
  EXPECT_EQ(mixed.oldest().value(), ir::Opset::ios17);

  // Without gamma, beta and epsilon: 1, 0 and 1e-5.
  expect_result(OpCall("batch_norm")
                    .run_time("x", f32({1, 1, 2}, {3, 5}))
                    .in("mean", f32({1}, {1}))
                    .in("variance", f32({1}, {4})),
                {1, 1, 2}, {2 / std::sqrt(4.00001), 4 / std::sqrt(4.00001)});
  expect_refused(
      OpCall("batch_norm").run_time("x", image()).in("mean", f32({3}, {1, 1, 1})).in("variance", f32({2}, {1, 1})),
      Code::shape_mismatch, "got mean of shape [3], takes [2]");
  expect_illegal(
      OpCall("batch_norm").run_time("x", f32({2, 1}, {3, 5})).in("mean", f32({1}, {1})).in("variance", f32({1}, {4})),
      ir::Opset::ios18, Code::unsupported_rank, "rank 3 to 5");
}

TEST(Normalization, InstanceNorm) {
  const OpCall op = OpCall("instance_norm")
                        .run_time("x", image())
                        .in("gamma", f32({2}, {1.5, -2}))
                        .in("beta", f32({2}, {0.1, 0.2}))
                        .f("epsilon", 1e-3);
  expect_result(op, {1, 2, 3, 2},
                {-2.094271, -1.216563, -0.3388542, 0.5388542, 1.416563, 2.294271, 3.125695, 1.955417, 0.7851389,
                 -0.3851389, -1.555417, -2.725695});
  EXPECT_EQ(op.oldest().value(), ir::Opset::ios15);
  expect_illegal(OpCall("instance_norm").run_time("x", iota(DType::f32, {1, 2, 2, 2, 2})), ir::Opset::ios18,
                 Code::unsupported_rank, "rank 3 to 4");
  expect_refused(OpCall("instance_norm").run_time("x", iota(DType::f32, {2, 2})), Code::rank_mismatch, "rank 3");
}

TEST(Normalization, LayerNorm) {
  const Tensor x = f32({1, 2, 3}, {1, 2, 4, 0, -1, 3});
  expect_result(OpCall("layer_norm")
                    .run_time("x", x)
                    .ints("axes", {-1})
                    .in("gamma", f32({3}, {1, 2, 3}))
                    .in("beta", f32({3}, {0.5, 0, -0.5})),
                {1, 2, 3}, {-0.5690415, -0.5345208, 3.508906, 0.1077684, -1.961158, 3.618432});
  expect_result(OpCall("layer_norm").run_time("x", x).ints("axes", {1}).in("gamma", f32({2}, {2, 0.5})), {1, 2, 3},
                {1.99996, 1.999996, 1.99996, -0.49999, -0.4999989, -0.49999});
  expect_result(OpCall("layer_norm").run_time("x", x), {1, 2, 3},
                {-0.2927695, 0.2927695, 1.463848, -0.8783086, -1.463848, 0.8783086});
  expect_refused(OpCall("layer_norm").run_time("x", x).ints("axes", {2}).in("gamma", f32({2}, {1, 1})),
                 Code::shape_mismatch, "got gamma of shape [2], takes [3]");
  expect_refused(OpCall("layer_norm").run_time("x", x).ints("axes", {2, -1}), Code::value_out_of_range, "twice");
  expect_refused(OpCall("layer_norm").run_time("x", x).ints("axes", {3}), Code::value_out_of_range, "axis 3");
  expect_type(OpCall("layer_norm").typed("x", DType::f16, {1, ir::Dim::symbol("tokens"), 8}).ints("axes", {2}),
              "tensor<fp16, [1, tokens, 8]>");
}

TEST(Normalization, GroupsLargerThanABlock) {
  // 600 elements -299.5 .. 299.5: variance (n^2 - 1) / 12.
  const OpCall op = OpCall("layer_norm").run_time("x", iota(DType::f64, {600}, 1000)).f("epsilon", 0);
  const std::vector<double> v = values_of(op.result()->view());
  const double deviation = std::sqrt((600.0 * 600 - 1) / 12);
  EXPECT_NEAR(v[0], -299.5 / deviation, 1e-12);
  EXPECT_NEAR(v[599], 299.5 / deviation, 1e-12);
}

TEST(Normalization, L2Norm) {
  expect_result(OpCall("l2_norm").run_time("x", f32({1, 2, 3}, {1, 2, 4, 0, -1, 3})), {1, 2, 3},
                {0.1796053, 0.3592106, 0.7184212, 0, -0.1796053, 0.5388159});
  // Leading dims are batch.
  expect_result(OpCall("l2_norm").run_time("x", f32({2, 1, 1, 2}, {3, 4, 6, 8})).f("epsilon", 0), {2, 1, 1, 2},
                {0.6, 0.8, 0.6, 0.8});
  expect_refused(OpCall("l2_norm").run_time("x", f32({2, 1}, {3, 4})), Code::rank_mismatch, "rank 3");
}

TEST(Normalization, LocalResponseNorm) {
  const auto lrn = [](int64_t size, double alpha, double beta, double k) {
    return OpCall("local_response_norm")
        .run_time("x", iota(DType::f32, {1, 5, 1, 2}, 0.3, 0.3))
        .i("size", size)
        .f("alpha", alpha)
        .f("beta", beta)
        .f("k", k);
  };
  const Shape s{1, 5, 1, 2};
  expect_result(
      lrn(3, 0.5, 0.75, 1), s,
      {0.2701456, 0.4928261, 0.6558283, 0.7595701, 0.8178601, 0.8452002, 0.8528557, 0.8485281, 1.199492, 1.182535});
  expect_result(
      lrn(4, 0.5, 0.6, 2), s,
      {0.1776945, 0.3358751, 0.4707511, 0.5809709, 0.6685801, 0.7369368, 0.9511197, 1.007344, 1.281533, 1.33716});
  expect_refused(lrn(0, 1, 1, 1), Code::value_out_of_range, "size 0");
  // Apple's converters write it at rank 5 too.
  EXPECT_TRUE(OpCall("local_response_norm").run_time("x", iota(DType::f32, {1, 2, 3, 2, 2})).i("size", 2).oldest());
  expect_illegal(OpCall("local_response_norm").run_time("x", iota(DType::f32, {1, 1, 2, 3, 2, 2})).i("size", 2),
                 ir::Opset::ios18, Code::unsupported_rank, "rank");
  // A window beyond all channels is all channels; its size still divides alpha.
  expect_result(lrn(INT32_MAX, 1, 1, 1), s, {0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3}, 1e-6);
}

}  // namespace
}  // namespace graft::ops::test
