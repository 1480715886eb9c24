// Graft's own fast kernels where the sweep does not go: beyond the range of a row, in chains, in layouts, with NaN.
#include "base/format.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

double tolerance(DType t) { return t == DType::f16 ? 3e-3 : 1e-5; }

// Beyond the range that their rows name.
TEST(Fused, EveryUnaryFunction) {
  int functions = 0;
  for (const auto& row : ops::table().rows()) {
    if (row->def->kind != ir::Kind::pointwise || row->params()[0].name != "x" || row->params()[0].letter.empty())
      continue;
    const bool alone =
        std::all_of(row->params().begin() + 1, row->params().end(), [](const auto& p) { return p.optional; });
    if (!alone || !row->params()[0].dtypes.has(DType::f32)) continue;
    ++functions;
    for (const DType dtype : {DType::f32, DType::f16}) {
      SCOPED_TRACE(format("{} {}", row->name(), name(dtype)));
      const double lo = row->def->domain.lo >= 0 ? 0.05 : -9;
      Net net;
      const auto program = net.finish({net.b->unary(row->name(), net.input("x", dtype, {ir::Dim(1531)}))});
      expect_like_reference(program, {random_tensor(dtype, {1531}, 3, lo, 9)}, tolerance(dtype));
      EXPECT_EQ(provider_of(*load(program), {{1531}}, row->name()), "native");
    }
  }
  EXPECT_GT(functions, 25);
}

TEST(Fused, PowersByConstants) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const double e : {2.0, 0.5, 3.0, -1.0, 1.0}) {
      Net net;
      ir::Value* x = net.input("x", dtype, {ir::Dim(70)});
      expect_like_reference(net.finish({net.b->emit("pow", {{"x", x}, {"y", e}})}),
                            {random_tensor(dtype, {70}, 3, 0.3, 3)}, tolerance(dtype));
    }
  }
}

TEST(Fused, ExtremeArguments) {
  const float values[] = {0.0f,     -0.0f,     1e-30f, -1e-30f, 87.0f,  88.5f, 88.72f, 89.0f, 200.0f, -87.0f, -200.0f,
                          INFINITY, -INFINITY, NAN,    3e38f,   -3e38f, 0.34f, 0.36f,  1.0f,  -1.0f,  4.3f,   -5.5f};
  const Tensor x = Tensor::of<float>(DType::f32, {22}, std::span(values));
  for (const char* op : {"exp", "tanh", "sigmoid", "erf", "relu", "abs", "sign", "softplus"}) {
    SCOPED_TRACE(op);
    Net net;
    const auto program = net.finish({net.b->unary(op, net.input("x", DType::f32, {ir::Dim(22)}))});
    const auto got = run(*load(program), {x}), want = run(*load(program, {.reference = true}), {x});
    for (size_t i = 0; i < 22; ++i) {
      const float g = (*got)[0].span<float>()[i], w = (*want)[0].span<float>()[i];
      if (std::isnan(w)) {
        EXPECT_TRUE(std::isnan(g)) << values[i];
      } else if (std::isinf(w)) {
        EXPECT_EQ(g, w) << values[i];
      } else {
        EXPECT_NEAR(g, w, 4e-6 * std::fabs(w) + 1e-37) << values[i];
      }
    }
  }
}

TEST(Fused, ChainsWithSeveralUsesAndResults) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int threads : {1, 2}) {
      Net net;
      auto& b = *net.b;
      ir::Value* x = net.input("x", dtype, {ir::Dim(2), ir::Dim(40), ir::Dim(33)});
      ir::Value* y = net.input("y", dtype, {ir::Dim(40), ir::Dim(1)});
      ir::Value* m = b.mul(x, y);
      ir::Value* s = b.unary("sigmoid", m);
      ir::Value* p = b.mul(s, m);
      ir::Value* mask = b.binary("greater", p, b.like(p, 0.1));
      ir::Value* sel = b.select(mask, p, b.sub(x, m));
      ir::Value* t = b.emit("layer_norm", {{"x", sel}, {"axes", std::vector<int64_t>{-1}}});
      expect_like_reference(net.finish({b.add(t, p), s, mask}),
                            {random_tensor(dtype, {2, 40, 33}, 1), random_tensor(dtype, {40, 1}, 2)},
                            dtype == DType::f16 ? 2e-2 : 2e-5, threads);
    }
  }
}

TEST(Fused, CastsToHalfRound) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(600)});
  ir::Value* back = b.cast(b.cast(x, DType::f16), DType::f32);
  const auto program = net.finish({back, b.sub(x, back), b.binary("equal", x, back)});
  expect_like_reference(program, {random_tensor(DType::f32, {600}, 1, -9, 9)}, 0);
  expect_like_reference(program, {random_tensor(DType::f32, {600}, 2, -1e-7, 1e-7)}, 0);
  expect_like_reference(program, {random_tensor(DType::f32, {600}, 3, -1e5, 1e5)}, 0);
}

TEST(Fused, IntegersWrap) {
  for (const DType dtype : {DType::i8, DType::u8, DType::i32, DType::i64}) {
    Net net;
    ir::Value* x = net.input("x", dtype, {ir::Dim(50)});
    ir::Value* y = net.b->mul(net.b->add(x, x), x);
    expect_like_reference(net.finish({y, net.b->binary("less", y, x)}), {random_tensor(dtype, {50}, 3, 0, 100)}, 0);
    expect_like_reference(net.finish({y}), {random_tensor(dtype, {50}, 3, 0, 4e9)}, 0);
  }
}

// A squeeze-and-excite block, concatenation and residuals: where oneDNN chooses blocked layouts they are carried on.
TEST(Layouts, WhatFollowsAConvolutionKeepsItsLayout) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int64_t channels : {16, 12}) {
      SCOPED_TRACE(format("{} {}", name(dtype), channels));
      Net net;
      auto& b = *net.b;
      ir::Value* x = net.input("x", dtype, {ir::Dim(2), ir::Dim(3), ir::Dim(12), ir::Dim(11)});
      const auto conv = [&](ir::Value* v, int64_t in, int64_t out, int64_t k, uint32_t seed) {
        return b.emit("conv", {{"x", v},
                               {"weight", random_constant(net, dtype, {out, in, k, k}, seed, -0.4, 0.4)},
                               {"bias", random_constant(net, dtype, {out}, seed + 1)},
                               {"pad_type", "same"}});
      };
      ir::Value* a = b.unary("silu", conv(x, 3, channels, 3, 1));
      ir::Value* g = b.reduce("reduce_mean", a, Ints{2, 3}, true);
      ir::Value* s = b.unary("sigmoid", conv(b.unary("silu", conv(g, channels, 4, 1, 3)), 4, channels, 1, 5));
      ir::Value* e = b.mul(a, s);
      ir::Value* c = b.concat({conv(e, channels, 8, 1, 7), conv(e, channels, 24, 3, 9)}, 1);
      ir::Value* r = b.reduce("reduce_max", c, Ints{2, 3}, false);
      ir::Value* biased = b.add(c, random_constant(net, dtype, {1, 32, 1, 1}, 11));
      ir::Value* masked = b.mul(biased, random_constant(net, dtype, {12, 11}, 12));
      ir::Value* flat = b.reshape(masked, b.ints(std::vector<int64_t>{2, -1}));
      expect_like_reference(net.finish({r, flat, b.transpose(c, Ints{0, 2, 3, 1})}),
                            {random_tensor(dtype, {2, 3, 12, 11}, 3)}, dtype == DType::f16 ? 1e-2 : 2e-5, 2);
    }
  }
}

TEST(Rows, NotANumberStays) {
  for (const size_t at : {size_t{0}, size_t{21}, size_t{39}, size_t{40}}) {
    Net net;
    ir::Value* x = net.input("x", DType::f32, {ir::Dim(3), ir::Dim(41)});
    const auto program =
        net.finish({net.b->reduce("reduce_max", x, Ints{1}, false), net.b->reduce("reduce_sum", x, Ints{1}, false),
                    net.b->emit("softmax", {{"x", x}, {"axis", int64_t{1}}})});
    Tensor with = random_tensor(DType::f32, {3, 41}, 1);
    with.span<float>()[41 + at] = NAN;
    expect_like_reference(program, {with}, 2e-5);
  }
}

// Rows longer than what is blended at once, wider and narrower.
TEST(Resizes, LongRows) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int64_t width : {int64_t{4501}, int64_t{7}}) {
      SCOPED_TRACE(format("{} to {}", name(dtype), width));
      Net net;
      ir::Value* x = net.input("x", dtype, {ir::Dim(1), ir::Dim(2), ir::Dim(3), ir::Dim(5000)});
      ir::Value* y = net.b->emit("resize_bilinear", {{"x", x},
                                                     {"target_size_height", int64_t{5}},
                                                     {"target_size_width", width},
                                                     {"sampling_mode", "UNALIGN_CORNERS"}});
      ir::Value* z = net.b->emit("resize_nearest_neighbor",
                                 {{"x", x}, {"target_size_height", int64_t{4}}, {"target_size_width", width}});
      expect_like_reference(net.finish({y, z}), {random_tensor(dtype, {1, 2, 3, 5000}, 1)}, tolerance(dtype), 2);
    }
  }
}

}  // namespace
}  // namespace graft::engine_test
