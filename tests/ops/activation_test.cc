// Expected values were computed with numpy from the definitions.
#include <gtest/gtest.h>

#include <cmath>

#include "base/half.h"
#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

const Tensor& sample() {
  static const Tensor t = f32({8}, {-3, -1, -0.5, 0, 0.5, 1, 3, 7});
  return t;
}
OpCall on_sample(std::string_view op) { return OpCall(op).run_time("x", sample()); }

TEST(Activation, WithoutParameters) {
  expect_result(on_sample("relu"), {8}, {0, 0, 0, 0, 0.5, 1, 3, 7});
  expect_result(on_sample("relu6"), {8}, {0, 0, 0, 0, 0.5, 1, 3, 6});
  expect_result(on_sample("sigmoid"), {8},
                {0.04742587, 0.2689414, 0.3775407, 0.5, 0.6224593, 0.7310586, 0.9525741, 0.9990889});
  expect_result(on_sample("silu"), {8},
                {-0.1422776, -0.2689414, -0.1887703, 0, 0.3112297, 0.7310586, 2.857722, 6.993623});
  expect_result(on_sample("softplus"), {8},
                {0.04858735, 0.3132617, 0.474077, 0.6931472, 0.974077, 1.313262, 3.048587, 7.000911});
  expect_result(on_sample("softsign"), {8}, {-0.75, -0.5, -1.0 / 3, 0, 1.0 / 3, 0.5, 0.75, 0.875});
}

TEST(Activation, ScalarParameters) {
  expect_result(on_sample("leaky_relu").f("alpha", 0.25), {8}, {-0.75, -0.25, -0.125, 0, 0.5, 1, 3, 7});
  expect_result(on_sample("elu").f("alpha", 0.7), {8}, {-0.6651491, -0.4424844, -0.2754285, 0, 0.5, 1, 3, 7});
  expect_result(on_sample("thresholded_relu").f("alpha", 1), {8}, {0, 0, 0, 0, 0, 1, 3, 7});
  expect_result(on_sample("clamped_relu").f("alpha", 0.1).f("beta", 4), {8}, {-0.3, -0.1, -0.05, 0, 0.5, 1, 3, 4});
  expect_result(on_sample("linear_activation").f("alpha", 2).f("beta", -1), {8}, {-7, -3, -2, -1, 0, 1, 5, 13});
  expect_result(on_sample("scaled_tanh").f("alpha", 1.5).f("beta", 0.5), {8},
                {-1.357722, -0.6931757, -0.367378, 0, 0.367378, 0.6931757, 1.357722, 1.497267});
  expect_result(on_sample("sigmoid_hard").f("alpha", 0.25).f("beta", 0.5), {8},
                {0, 0.25, 0.375, 0.5, 0.625, 0.75, 1, 1});
}

TEST(Activation, Gelu) {
  const std::vector<double> exact{-0.004049694, -0.1586553, -0.1542688, 0, 0.3457312, 0.8413447, 2.99595, 7};
  expect_result(on_sample("gelu"), {8}, exact);
  expect_result(on_sample("gelu").text("mode", "EXACT"), {8}, exact);
  expect_result(on_sample("gelu").text("mode", "TANH_APPROXIMATION"), {8},
                {-0.003637392, -0.158808, -0.154286, 0, 0.345714, 0.841192, 2.996363, 7});
  expect_result(on_sample("gelu").text("mode", "SIGMOID_APPROXIMATION"), {8},
                {-0.01807131, -0.1542042, -0.1496116, 0, 0.3503884, 0.8457958, 2.981929, 6.999953});
  expect_refused(on_sample("gelu").text("mode", "tanh"), Code::invalid_attribute, "mode 'tanh', takes EXACT");
}

TEST(Activation, NaNStaysAndLargeInputsDoNotOverflow) {
  const auto nan = [](std::string_view op) { return OpCall(op).run_time("x", f32({2}, {NAN, 1})); };
  for (const char* op : {"relu", "relu6", "sigmoid", "silu", "softplus", "softsign", "gelu"})
    EXPECT_TRUE(std::isnan(nan(op).result()->span<float>()[0])) << op;
  for (const char* op : {"leaky_relu", "elu", "thresholded_relu"})
    EXPECT_TRUE(std::isnan(nan(op).f("alpha", 0.5).result()->span<float>()[0])) << op;
  for (const char* op : {"clamped_relu", "linear_activation", "scaled_tanh", "sigmoid_hard"})
    EXPECT_TRUE(std::isnan(nan(op).f("alpha", 0.5).f("beta", 1).result()->span<float>()[0])) << op;
  const Tensor big = f32({2}, {-1000, 1000});
  expect_result(OpCall("softplus").run_time("x", big), {2}, {0, 1000});
  expect_result(OpCall("sigmoid").run_time("x", big), {2}, {0, 1});
  expect_result(OpCall("softmax").run_time("x", big), {2}, {0, 1});
}

TEST(Activation, OtherElementTypes) {
  for (DType t : {DType::f16, DType::bf16, DType::f64}) {
    const OpCall op = OpCall("sigmoid").run_time("x", tensor(t, {2}, {-3, 0.5}));
    expect_result(op, {2}, {0.04742587, 0.6224593}, t == DType::f64 ? 1e-6 : t == DType::f16 ? 1e-3 : 4e-3);
  }
  expect_result(OpCall("relu").run_time("x", tensor(DType::i64, {3}, {-5, 0, 5})), {3}, {0, 0, 5});
  expect_result(OpCall("relu").run_time("x", tensor(DType::u8, {2}, {0, 255})), {2}, {0, 255});
  expect_refused(OpCall("sigmoid").run_time("x", tensor(DType::i32, {1}, {1})), Code::dtype_mismatch,
                 "got int32, takes fp16/fp32");
  expect_illegal(OpCall("relu").run_time("x", tensor(DType::i32, {1}, {1})), ir::Opset::ios18, Code::unsupported_dtype,
                 "got int32, takes fp16/fp32");
}

// fp32 parameters beside fp16 data exist from iOS17 on.
TEST(Activation, MixedParameterTypes) {
  const OpCall op = OpCall("leaky_relu").run_time("x", tensor(DType::f16, {2}, {-4, 4})).f("alpha", 0.5, DType::f32);
  expect_result(op, {2}, {-2, 4});
  EXPECT_EQ(op.oldest().value(), ir::Opset::ios17);
  expect_illegal(op, ir::Opset::ios16, Code::needs_later_target, "iOS17");
  const OpCall same = OpCall("leaky_relu").run_time("x", f32({1}, {1})).f("alpha", 0.5);
  EXPECT_EQ(same.oldest().value(), ir::Opset::ios15);
}

TEST(Activation, Prelu) {
  const auto prelu = [](const Shape& x, std::initializer_list<double> alpha) {
    return OpCall("prelu")
        .run_time("x", iota(DType::f32, x, -5))
        .in("alpha", f32({static_cast<int64_t>(alpha.size())}, alpha));
  };
  expect_result(prelu({1, 3, 2, 2}, {0.5, 0.1, 2}), {1, 3, 2, 2}, {-2.5, -2, -1.5, -1, -0.1, 0, 1, 2, 3, 4, 5, 6});
  EXPECT_TRUE(prelu({1, 3, 2, 2}, {0.5, 0.1, 2}).oldest());
  EXPECT_TRUE(prelu({1, 3, 2}, {0.5, 0.5, 0.5}).oldest());
  expect_illegal(prelu({1, 3, 2}, {0.5, 0.1, 2}), ir::Opset::ios18, Code::unsupported_rank, "differing alphas");
  expect_illegal(prelu({4, 3}, {1, 1, 1}), ir::Opset::ios18, Code::unsupported_rank, "rank 3 to 5");
  expect_refused(prelu({1, 3, 2, 2}, {1, 1}), Code::shape_mismatch, "got alpha of shape [2]");
  expect_refused(prelu({3}, {1, 1, 1}), Code::rank_mismatch, "rank 2 or more");
}

TEST(Activation, SoftplusParametric) {
  expect_result(OpCall("softplus_parametric")
                    .run_time("x", iota(DType::f32, {1, 3, 2, 2}, -5))
                    .in("alpha", f32({3}, {0.5, 0.1, 2}))
                    .in("beta", f32({3}, {1, 2, 0.5})),
                {1, 3, 2, 2},
                {0.003357674, 0.009074964, 0.02429368, 0.06346401, 0.0126928, 0.06931472, 0.2126928, 0.401815, 3.402827,
                 4.253856, 5.157779, 6.097175});
}

TEST(Activation, Softmax) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 0, -1, 5});
  const std::vector<double> last{0.09003057, 0.2447285, 0.665241, 0.006676413, 0.002456115, 0.9908675};
  expect_result(OpCall("softmax").run_time("x", x), {2, 3}, last);
  expect_result(OpCall("softmax").run_time("x", x).i("axis", 1), {2, 3}, last);
  expect_result(OpCall("softmax").run_time("x", x).i("axis", 0), {2, 3},
                {0.7310586, 0.9525741, 0.1192029, 0.2689414, 0.04742587, 0.8807971});
  expect_refused(OpCall("softmax").run_time("x", x).i("axis", 2), Code::value_out_of_range, "axis 2 is outside -2..1");
  // Longer than one block, in the middle of three dims: every column sums to 1.
  const OpCall wide = OpCall("softmax").run_time("x", iota(DType::f64, {2, 1000, 3}, 0, 1e-3)).i("axis", -2);
  const std::vector<double> v = values_of(wide.result()->view());
  for (size_t n : {0u, 1u}) {
    for (size_t c : {0u, 1u, 2u}) {
      double sum = 0;
      for (size_t i = 0; i < 1000; ++i) sum += v[(n * 1000 + i) * 3 + c];
      EXPECT_NEAR(sum, 1, 1e-12);
      EXPECT_NEAR(v[(n * 1000 + 999) * 3 + c] / v[n * 3000 + c], std::exp(2.997), 1e-9);
    }
  }
}

TEST(Activation, SymbolicDimsPassThrough) {
  expect_type(OpCall("relu").typed("x", DType::f32, {1, ir::Dim::symbol("height")}), "tensor<fp32, [1, height]>");
}

}  // namespace
}  // namespace graft::ops::test
