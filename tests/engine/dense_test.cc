// Convolutions, pools and products against the reference kernels, with what the plan fuses behind them, weights at any
// address, and NaN.
#include <cstring>

#include "base/format.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

double tolerance(DType t) { return t == DType::f16 ? 2e-3 : 2e-5; }

ir::Dims dims(const Shape& s) { return ir::Dims(s.begin(), s.end()); }

// The same elements at an address that suits no type, as most weights in files lie.
ir::Value* unaligned_constant(Net& net, DType dtype, const Shape& shape, uint32_t seed) {
  const Tensor t = random_tensor(dtype, shape, seed, -1, 1);
  const auto bytes = std::make_shared<std::vector<std::byte>>(t.view().bytes() + 1);
  std::memcpy(bytes->data() + 1, t.view().data, t.view().bytes());
  return net.b->constant(ir::Constant::borrow({dtype, shape, bytes->data() + 1}, bytes));
}

TEST(Dense, WeightsAtAnyAddressInAnyNumberOfChannels) {
  struct Case {
    Shape x, w;
    int64_t groups;
  };
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const Case& c : std::vector<Case>{{{1, 16, 6, 6}, {24, 16, 3, 3}, 1},
                                           {{1, 20, 6, 6}, {24, 20, 1, 1}, 1},
                                           {{1, 24, 6, 6}, {20, 24, 3, 3}, 1},
                                           {{1, 3, 9, 9}, {16, 3, 5, 5}, 1},
                                           {{1, 1, 9, 9}, {9, 1, 3, 3}, 1},
                                           {{1, 20, 6, 6}, {20, 1, 3, 3}, 20},
                                           {{1, 32, 6, 6}, {48, 16, 3, 3}, 2},
                                           {{1, 32, 6}, {40, 32, 3}, 1},
                                           {{1, 16, 4, 5, 6}, {16, 16, 1, 3, 3}, 1},
                                           {{1, 64, 5, 5}, {128, 64, 2, 2}, 1}}) {
      SCOPED_TRACE(format("{} {} by {}", name(dtype), to_string(c.x), to_string(c.w)));
      Net net;
      ir::Value* x = net.input("x", dtype, dims(c.x));
      ir::Value* y = net.b->emit("conv", {{"x", x},
                                          {"weight", unaligned_constant(net, dtype, c.w, 1)},
                                          {"bias", unaligned_constant(net, dtype, {c.w[0]}, 2)},
                                          {"pad_type", "same"},
                                          {"groups", c.groups}});
      expect_like_reference(net.finish({y}), {random_tensor(dtype, c.x, 3)}, tolerance(dtype), 2);
    }
    Net net;
    ir::Value* x = net.input("x", dtype, {ir::Dim(3), ir::Dim(150)});
    ir::Value* y = net.b->emit("linear", {{"x", x},
                                          {"weight", unaligned_constant(net, dtype, {201, 150}, 4)},
                                          {"bias", unaligned_constant(net, dtype, {201}, 5)}});
    ir::Value* z = net.b->emit("matmul", {{"x", y}, {"y", unaligned_constant(net, dtype, {201, 130}, 6)}});
    ir::Value* g =
        net.b->gather(unaligned_constant(net, dtype, {7, 130}, 7),
                      net.b->emit("cast", {{"x", net.input("i", DType::i32, {ir::Dim(3)})}, {"dtype", "int32"}}), 0);
    Tensor i(DType::i32, Shape{3});
    for (int32_t k = 0; k < 3; ++k) i.span<int32_t>()[static_cast<size_t>(k)] = 2 * k;
    expect_like_reference(net.finish({net.b->add(z, g)}), {random_tensor(dtype, {3, 150}, 8), i}, tolerance(dtype) * 2);
  }
}

// NaN and infinity through what is fused behind a convolution or product.
TEST(Dense, NotANumberGoesThroughWhatFollows) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const std::string_view op :
         {"relu", "relu6", "clip", "sigmoid", "silu", "tanh", "leaky_relu", "gelu", "sigmoid_hard"}) {
      for (const bool linear : {false, true}) {
        SCOPED_TRACE(format("{} {} {}", name(dtype), op, linear ? "linear" : "conv"));
        Net net;
        auto& b = *net.b;
        const Shape shape = linear ? Shape{6, 16} : Shape{1, 16, 5, 5};
        ir::Value* v = net.input("x", dtype, dims(shape));
        if (linear)
          v = b.emit("linear", {{"x", v}, {"weight", random_constant(net, dtype, {16, 16}, 1)}});
        else
          v = b.emit("conv", {{"x", v}, {"weight", random_constant(net, dtype, {16, 16, 1, 1}, 1)}});
        if (op == "clip")
          v = b.emit("clip", {{"x", v}, {"alpha", -1.0}, {"beta", 1.0}});
        else if (op == "leaky_relu")
          v = b.emit("leaky_relu", {{"x", v}, {"alpha", 0.1}});
        else if (op == "sigmoid_hard")
          v = b.emit("sigmoid_hard", {{"x", v}, {"alpha", 0.2}, {"beta", 0.5}});
        else
          v = b.emit(op, {{"x", v}});
        Tensor x = random_tensor(dtype, shape, 3);
        if (dtype == DType::f16) {
          x.span<Half>()[3] = Half(NAN);
          x.span<Half>()[41] = Half(INFINITY);
        } else {
          x.span<float>()[3] = NAN;
          x.span<float>()[41] = INFINITY;
        }
        expect_like_reference(net.finish({v}), {x}, tolerance(dtype));
      }
    }
    for (const char* op : {"max_pool", "avg_pool"}) {
      SCOPED_TRACE(format("{} {}", name(dtype), op));
      Net net;
      ir::Value* x = net.input("x", dtype, {ir::Dim(1), ir::Dim(8), ir::Dim(6), ir::Dim(6)});
      ir::Value* y = net.b->emit(op, {{"x", x},
                                      {"kernel_sizes", std::vector<int64_t>{3, 3}},
                                      {"strides", std::vector<int64_t>{1, 1}},
                                      {"pad_type", "same"}});
      Tensor with = random_tensor(dtype, {1, 8, 6, 6}, 3);
      if (dtype == DType::f16) {
        with.span<Half>()[40] = Half(NAN);
        with.span<Half>()[100] = Half(-INFINITY);
      } else {
        with.span<float>()[40] = NAN;
        with.span<float>()[100] = -INFINITY;
      }
      expect_like_reference(net.finish({y}), {with}, tolerance(dtype));
    }
  }
}

TEST(Dense, ConvWithWhatFollows) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int64_t channels : {16, 12}) {
      SCOPED_TRACE(format("{} {} channels", name(dtype), channels));
      Net net;
      auto& b = *net.b;
      ir::Value* x = net.input("x", dtype, {ir::Dim(2), ir::Dim(channels), ir::Dim(10), ir::Dim(9)});
      const auto conv = [&](ir::Value* v, uint32_t seed) {
        return b.emit("conv", {{"x", v},
                               {"weight", random_constant(net, dtype, {channels, channels, 3, 3}, seed, -0.2, 0.2)},
                               {"bias", random_constant(net, dtype, {channels}, seed + 1)},
                               {"pad_type", "same"}});
      };
      ir::Value* a = b.unary("relu", conv(x, 1));
      ir::Value* residual = b.unary("relu", b.add(conv(a, 3), a));  // a residual block
      ir::Value* side = b.emit("clip", {{"x", conv(residual, 5)}, {"alpha", 0.0}, {"beta", 6.0}});
      ir::Value* c = conv(side, 7);
      ir::Value* swish = b.mul(b.unary("sigmoid", c), c);  // x * sigmoid(x)
      ir::Value* d = conv(swish, 9);
      ir::Value* hard = b.mul(d, b.emit("sigmoid_hard", {{"x", d}, {"alpha", 1.0 / 6}, {"beta", 0.5}}));
      ir::Value* sum = b.add(b.add(conv(hard, 11), residual), side);  // two residuals
      ir::Value* leaky = b.emit("leaky_relu", {{"x", conv(sum, 13)}, {"alpha", 0.1}});
      ir::Value* gelu = b.emit("gelu", {{"x", conv(leaky, 15)}});
      expect_like_reference(net.finish({b.unary("silu", conv(gelu, 17)), sum, hard}),
                            {random_tensor(dtype, {2, channels, 10, 9}, 3)}, tolerance(dtype) * 2, 2);
    }
  }
}

TEST(Dense, TransposedConvWithWhatFollows) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    Net net;
    ir::Value* x = net.input("x", dtype, {ir::Dim(2), ir::Dim(6), ir::Dim(5), ir::Dim(6)});
    ir::Value* y = net.b->emit("conv_transpose", {{"x", x},
                                                  {"weight", random_constant(net, dtype, {6, 2, 3, 3}, 5)},
                                                  {"bias", random_constant(net, dtype, {4}, 6)},
                                                  {"strides", std::vector<int64_t>{2, 1}},
                                                  {"pad_type", "custom"},
                                                  {"pad", std::vector<int64_t>{1, 1, 1, 0}},
                                                  {"groups", 2}});
    expect_like_reference(net.finish({net.b->unary("relu", y)}), {random_tensor(dtype, {2, 6, 5, 6}, 1)},
                          tolerance(dtype));
  }
}

TEST(Dense, AddingTheConvolutionsOwnInputIsNotDoneInPlace) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(1), ir::Dim(8), ir::Dim(6), ir::Dim(6)});
  ir::Value* v = b.unary("exp", x);
  for (uint32_t i = 0; i < 3; ++i) {
    v = b.add(b.emit("conv", {{"x", v},
                              {"weight", random_constant(net, DType::f32, {8, 8, 3, 3}, i, -0.1, 0.1)},
                              {"pad_type", "same"}}),
              v);
  }
  expect_like_reference(net.finish({v}), {random_tensor(DType::f32, {1, 8, 6, 6}, 3)}, 2e-5);
}

TEST(Dense, ProductsWithWeightsAndWhatFollows) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    Net net;
    auto& b = *net.b;
    ir::Value* x = net.input("x", dtype, {ir::Dim(2), ir::Dim(7), ir::Dim(24)});
    ir::Value* a = b.emit("linear", {{"x", x},
                                     {"weight", random_constant(net, dtype, {32, 24}, 1, -0.3, 0.3)},
                                     {"bias", random_constant(net, dtype, {32}, 2)}});
    ir::Value* g = b.emit("gelu", {{"x", a}});
    ir::Value* m = b.matmul(g, random_constant(net, dtype, {24, 32}, 3, -0.3, 0.3), true);
    ir::Value* r = b.add(m, x);
    ir::Value* n = b.emit("linear", {{"x", r}, {"weight", random_constant(net, dtype, {24, 24}, 4, -0.3, 0.3)}});
    expect_like_reference(net.finish({b.unary("relu", b.add(r, n))}), {random_tensor(dtype, {2, 7, 24}, 3)},
                          tolerance(dtype) * 2);
  }
}

}  // namespace
}  // namespace graft::engine_test
