// Graft's own fast kernels against the reference kernels: over dtypes, broadcasting, layouts and odd sizes.
#include "base/format.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

double tolerance(DType t) { return t == DType::f16 ? 3e-3 : 1e-5; }
ir::Dims dims(const Shape& s) { return ir::Dims(s.begin(), s.end()); }

// Beyond the range that their rows name.
TEST(Fused, EveryUnaryFunction) {
  int functions = 0;
  for (const auto& row : ops::table().rows()) {
    if (row->def->kind != ir::Kind::pointwise || row->params()[0].name != "x" || row->params()[0].letter.empty())
      continue;
    const bool alone =
        std::all_of(row->params().begin() + 1, row->params().end(), [](const auto& p) { return p.optional; });
    if (!alone) continue;
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

TEST(Fused, FunctionsWithParameters) {
  struct Case {
    const char* op;
    double alpha, beta;
    bool two;
  };
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const Case& c : {Case{"clip", -0.5, 1.25, true}, Case{"leaky_relu", 0.1, 0, false}, Case{"elu", 0.7, 0, false},
                          Case{"thresholded_relu", 0.4, 0, false}, Case{"clamped_relu", 0.2, 1.5, true},
                          Case{"scaled_tanh", 1.7, 0.6, true}, Case{"sigmoid_hard", 0.2, 0.5, true},
                          Case{"linear_activation", 2, -1, true}, Case{"threshold", 0.3, 0, false}}) {
      SCOPED_TRACE(format("{} {}", c.op, name(dtype)));
      Net net;
      ir::Value* x = net.input("x", dtype, {ir::Dim(700)});
      ir::Value* y = c.two ? net.b->emit(c.op, {{"x", x}, {"alpha", c.alpha}, {"beta", c.beta}})
                           : net.b->emit(c.op, {{"x", x}, {"alpha", c.alpha}});
      const auto program = net.finish({y});
      expect_like_reference(program, {random_tensor(dtype, {700}, 3, -3, 3)}, tolerance(dtype));
      EXPECT_EQ(provider_of(*load(program), {{700}}, c.op), "native");
    }
    for (const char* mode : {"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"}) {
      Net net;
      ir::Value* x = net.input("x", dtype, {ir::Dim(700)});
      expect_like_reference(net.finish({net.b->emit("gelu", {{"x", x}, {"mode", mode}})}),
                            {random_tensor(dtype, {700}, 3, -7, 7)}, tolerance(dtype));
    }
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

TEST(Fused, BroadcastsOfBinaryOperators) {
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{3, 5, 7}, {3, 5, 7}},      {{3, 5, 7}, {7}}, {{3, 5, 7}, {5, 1}}, {{3, 1, 7}, {1, 5, 1}},
      {{2, 600}, {2, 1}},          {{1}, {4, 3}},    {{}, {9}},           {{2, 3, 4, 5}, {3, 1, 1}},
      {{2, 8, 4, 5}, {2, 8, 1, 1}}};
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const char* op : {"add", "sub", "mul", "real_div", "maximum", "minimum", "less", "equal", "greater_equal"}) {
      for (const auto& [a, b] : shapes) {
        SCOPED_TRACE(format("{} {} {} {}", op, name(dtype), to_string(a), to_string(b)));
        Net net;
        ir::Value* x = net.input("x", dtype, dims(a));
        ir::Value* y = net.input("y", dtype, dims(b));
        const auto program = net.finish({net.b->binary(op, x, y)});
        expect_like_reference(program, {random_tensor(dtype, a, 1), random_tensor(dtype, b, 2, 0.5, 2)},
                              tolerance(dtype));
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

TEST(Fused, NormalisationsByChannel) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    Net net;
    auto& b = *net.b;
    ir::Value* x = net.input("x", dtype, {ir::Dim(2), ir::Dim(12), ir::Dim(5), ir::Dim(5)});
    ir::Value* n = b.emit("batch_norm", {{"x", x},
                                         {"mean", random_constant(net, dtype, {12}, 1)},
                                         {"variance", random_constant(net, dtype, {12}, 2, 0.5, 2)},
                                         {"gamma", random_constant(net, dtype, {12}, 3)},
                                         {"beta", random_constant(net, dtype, {12}, 4)}});
    ir::Value* p = b.emit("prelu", {{"x", n}, {"alpha", random_constant(net, dtype, {12}, 5)}});
    const auto program = net.finish({p});
    expect_like_reference(program, {random_tensor(dtype, {2, 12, 5, 5}, 1)}, tolerance(dtype));
    EXPECT_EQ(provider_of(*load(program), {{2, 12, 5, 5}}, "batch_norm"), "native");
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

TEST(Rows, EveryReduction) {
  struct Case {
    Shape x;
    Ints axes;
  };
  const Case cases[] = {{{3, 700}, {-1}},        {{3, 5, 7}, {1}},          {{2, 3, 5, 7}, {2, 3}},
                        {{4, 9}, {0}},           {{2, 3, 4}, {0, 2}},       {{6}, {0}},
                        {{2, 3, 4}, {0, 1, 2}},  {{2, 3, 2, 5, 3}, {1, 2}}, {{2, 1, 2, 5, 3}, {-1}},
                        {{1, 1030, 3}, {1}},     {{2, 3, 2, 5, 3}, {0, 3}}, {{3, 4, 70, 9}, {0, 1}},
                        {{3, 4, 5, 200}, {0, 2}}};
  int rows = 0;
  for (const auto& row : ops::table().rows()) {
    if (row->def->kind != ir::Kind::reduction) continue;
    ++rows;
    const ir::Domain& domain = row->def->domain;
    for (const DType dtype : {DType::f32, DType::f16, DType::f64, DType::i32, DType::i64, DType::u8}) {
      for (const Case& c : cases) {
        for (const bool keep : {false, true}) {
          SCOPED_TRACE(format("{} {} {} {}", row->name(), name(dtype), to_string(c.x), to_string(c.axes)));
          Net net;
          const double exact = is_float(dtype) ? domain.tolerance_f32 : 0;
          expect_like_reference(
              net.finish({net.b->reduce(row->name(), net.input("x", dtype, dims(c.x)), c.axes, keep)}),
              {random_tensor(dtype, c.x, 1, is_float(dtype) ? domain.lo : 0, is_float(dtype) ? domain.hi : 9)},
              dtype == DType::f16 ? domain.tolerance_f16 : exact);
          EXPECT_EQ(provider_of(*load(net.program), {c.x}, row->name()), "native");
        }
      }
    }
  }
  EXPECT_GE(rows, 10);
}

TEST(Rows, SoftmaxAndLayerNorm) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const Shape& shape : {Shape{3, 7}, Shape{2, 4, 100}, Shape{5, 1}, Shape{1, 1000}}) {
      for (const int64_t axis : {-1, 0}) {
        SCOPED_TRACE(format("{} {} {}", name(dtype), to_string(shape), axis));
        Net net;
        expect_like_reference(
            net.finish({net.b->emit("softmax", {{"x", net.input("x", dtype, dims(shape))}, {"axis", axis}})}),
            {random_tensor(dtype, shape, 1, -9, 9)}, tolerance(dtype));
        Net norm;
        const int64_t n = shape[axis == 0 ? 0 : shape.size() - 1];
        expect_like_reference(norm.finish({norm.b->emit("layer_norm", {{"x", norm.input("x", dtype, dims(shape))},
                                                                       {"axes", std::vector<int64_t>{axis}},
                                                                       {"gamma", random_constant(norm, dtype, {n}, 3)},
                                                                       {"beta", random_constant(norm, dtype, {n}, 4)},
                                                                       {"epsilon", 1e-3}})}),
                              {random_tensor(dtype, shape, 1, -1, 3)}, dtype == DType::f16 ? 5e-3 : 2e-5);
      }
    }
  }
}

TEST(Moving, TransposesAndConcatenations) {
  for (const DType dtype : {DType::f32, DType::f16, DType::i64, DType::boolean}) {
    for (const auto& [shape, perm] : std::vector<std::pair<Shape, Ints>>{{{3, 40}, {1, 0}},
                                                                         {{2, 3, 17, 19}, {0, 2, 3, 1}},
                                                                         {{2, 17, 19, 3}, {0, 3, 1, 2}},
                                                                         {{4, 1, 5}, {1, 2, 0}},
                                                                         {{2, 3, 4, 5, 6}, {4, 2, 0, 3, 1}},
                                                                         {{5}, {0}}}) {
      SCOPED_TRACE(format("{} {} {}", name(dtype), to_string(shape), to_string(perm)));
      Net net;
      ir::Value* x = net.input("x", dtype, dims(shape));
      ir::Value* t = net.b->emit("transpose", {{"x", x}, {"perm", perm}});
      ir::Value* c = net.b->concat({x, x}, 0);
      ir::Value* d = net.b->concat({x, x, x}, shape.size() - 1);
      expect_like_reference(net.finish({t, c, d}), {random_tensor(dtype, shape, 1)}, 0);
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

TEST(Resizes, BilinearAndNearestOverEveryGrid) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const bool behind_conv : {false, true}) {
      const auto check = [&](const std::function<ir::Value*(Net&, ir::Value*)>& resize) {
        Net net;
        ir::Value* x = net.input("x", dtype, {ir::Dim(1), ir::Dim(16), ir::Dim(7), ir::Dim(9)});
        ir::Value* v = x;
        if (behind_conv)
          v = net.b->emit("conv", {{"x", x}, {"weight", random_constant(net, dtype, {16, 16, 1, 1}, 2)}});
        ir::Value* y = resize(net, v);
        if (!net.b->ok()) return ADD_FAILURE() << render(*net.b->failure());
        const std::string op(y->producer->type());
        const auto program = net.finish({y});
        expect_like_reference(program, {random_tensor(dtype, {1, 16, 7, 9}, 1)}, tolerance(dtype));
        EXPECT_EQ(provider_of(*load(program), {{1, 16, 7, 9}}, op), "native");
      };
      for (const char* grid :
           {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"}) {
        for (const auto& size : {std::pair{14, 20}, {5, 4}, {1, 1}, {7, 31}}) {
          const int h = size.first, w = size.second;  // Clang 14 cannot capture structured bindings
          SCOPED_TRACE(format("{} {} {}x{}", grid, name(dtype), h, w));
          check([&](Net& net, ir::Value* x) {
            return net.b->emit(
                "resize_bilinear",
                {{"x", x}, {"target_size_height", h}, {"target_size_width", w}, {"sampling_mode", grid}});
          });
        }
      }
      check([&](Net& net, ir::Value* x) {
        return net.b->emit("upsample_nearest_neighbor",
                           {{"x", x}, {"scale_factor_height", int64_t{2}}, {"scale_factor_width", int64_t{3}}});
      });
      check([&](Net& net, ir::Value* x) {
        return net.b->emit("upsample_bilinear", {{"x", x},
                                                 {"scale_factor_height", int64_t{2}},
                                                 {"scale_factor_width", int64_t{3}},
                                                 {"align_corners", false}});
      });
      check([&](Net& net, ir::Value* x) {
        return net.b->emit("resize_nearest_neighbor", {{"x", x}, {"target_size_height", 11}, {"target_size_width", 4}});
      });
    }
  }
}

}  // namespace
}  // namespace graft::engine_test
