// Fusions, recognisers and shape clean-up: the structure they leave, and the numbers before and after.
#include <cmath>

#include "passes/dead_code.h"
#include "passes/fuse_conv.h"
#include "passes/fuse_linear.h"
#include "passes/recognise.h"
#include "passes/shapes.h"
#include "passes/support.h"

namespace graft::passes {
namespace {

// Runs the pass and dead_code, and compares the numbers; returns the structure.
std::string after(Draft& d, Pass pass, double tolerance = 1e-5, double lo = -2, double hi = 2) {
  EXPECT_TRUE(d.b.ok()) << (d.b.ok() ? "" : render(*d.b.failure()));
  const auto before = ir::clone(d.f);
  PassContext c;
  c.target = d.b.target();
  const auto n = pass(d.f, c);
  EXPECT_TRUE(n) << (n ? "" : render(n.error()));
  EXPECT_TRUE(dead_code(d.f, c));
  expect_sound(d.f);
  expect_same(*before, d.f, tolerance, 3, lo, hi);
  return ops_of(d.f);
}

Value* conv(Draft& d, Value* x, Value* w, Value* bias, const Ints& pad = {1, 1, 1, 1}, int64_t groups = 1) {
  return d.b.emit("conv",
                  {{"x", x}, {"weight", w}, {"bias", bias}, {"pad_type", "custom"}, {"pad", pad}, {"groups", groups}});
}

TEST(AffineIntoConv, BatchNormScaleAndBias) {
  for (const bool with_bias : {false, true}) {
    Draft d;
    Value* x = d.input("x", {1, 4, 5, 5});
    Value* y = conv(d, x, d.weights({6, 2, 3, 3}, 1), with_bias ? d.weights({6}, 2) : nullptr, {1, 1, 1, 1}, 2);
    y = d.b.emit("batch_norm", {{"x", y},
                                {"mean", d.weights({6}, 3)},
                                {"variance", d.weights({6}, 4, 0.1, 2)},
                                {"gamma", d.weights({6}, 5)},
                                {"beta", d.weights({6}, 6)},
                                {"epsilon", 1e-3}});
    y = d.b.mul(y, d.weights({1, 6, 1, 1}, 7));
    y = d.b.sub(d.weights({6, 1, 1}, 8), y);
    y = d.b.div(d.b.add(y, d.number(0.5)), d.number(4));
    d.output(y);
    EXPECT_EQ(after(d, affine_into_conv), "conv");
  }
}

TEST(AffineIntoConv, ConvTransposeWithGroups) {
  Draft d;
  Value* y = d.b.emit("conv_transpose", {{"x", d.input("x", {1, 4, 5, 5})},
                                         {"weight", d.weights({4, 3, 3, 3}, 1)},
                                         {"groups", 2},
                                         {"strides", Ints{2, 2}}});
  d.output(d.b.add(d.b.mul(y, d.weights({1, 6, 1, 1}, 2)), d.weights({6, 1, 1}, 3)));
  EXPECT_EQ(after(d, affine_into_conv), "conv_transpose");
}

TEST(AffineIntoConv, NotWhenSomebodyElseReadsItNorPerPixel) {
  Draft d;
  Value* x = d.input("x", {1, 3, 4, 4});
  Value* y = conv(d, x, d.weights({4, 3, 3, 3}, 1), nullptr);
  d.output(d.b.mul(y, d.number(2)));
  d.output(y);
  d.output(d.b.mul(conv(d, x, d.weights({4, 3, 3, 3}, 2), nullptr), d.weights({4, 4}, 3)));
  EXPECT_EQ(after(d, affine_into_conv), "conv mul conv mul");
}

TEST(PadIntoWindow, ConvAndAveragePool) {
  Draft d;
  Value* x = d.input("x", {1, 2, 5, 5});
  Value* p = d.b.emit("pad", {{"x", x}, {"pad", Ints{0, 0, 0, 0, 1, 2, 0, 1}}});
  d.output(conv(d, p, d.weights({4, 2, 3, 3}, 1), nullptr, {1, 0, 0, 0}));
  const auto pool = [&](Value* v, bool exclude, const Ints& pad) {
    return d.b.emit("avg_pool", {{"x", v},
                                 {"kernel_sizes", Ints{2, 2}},
                                 {"pad_type", "custom"},
                                 {"pad", pad},
                                 {"exclude_padding_from_average", exclude}});
  };
  d.output(pool(d.b.emit("pad", {{"x", x}, {"pad", Ints{1, 1, 1, 1}}}), true, {0, 0, 0, 0}));
  Value* kept = d.b.emit("pad", {{"x", x}, {"pad", Ints{1, 1, 0, 0}}});
  d.output(pool(kept, true, {0, 0, 1, 1}));  // two kinds of padding
  Value* ones = d.b.emit("pad", {{"x", x}, {"pad", Ints{0, 0, 1, 0}}, {"constant_val", 1.0}});
  d.output(conv(d, ones, d.weights({4, 2, 3, 3}, 2), nullptr));
  EXPECT_EQ(after(d, pad_into_window), "conv avg_pool pad avg_pool pad conv");
}

TEST(MatmulToLinear, WithBiasesByRank) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* w = d.weights({4, 6}, 1);
  d.output(d.b.add(d.b.add(d.b.matmul(d.input("a", {3, 4}), w), d.weights({6}, 2)), d.weights({1, 6}, 3)));
  d.output(d.b.matmul(d.input("b", {2, 3, 6}), w, true));
  d.output(d.b.matmul(d.input("c", {1, 2, 3, 4}), w));                           // rank 4
  d.output(d.b.add(d.b.matmul(d.input("d", {3, 4}), w), d.weights({3, 1}, 4)));  // per row: no bias
  EXPECT_EQ(after(d, matmul_to_linear), "linear linear matmul linear add");
  ir::visit_ops(d.f.body, [](ir::Op& op) {
    if (op.type() != "linear") return;
    EXPECT_EQ(op.arg("weight")->rank(), 2);
  });
}

TEST(TransposeIntoMatmul, OnlyASwapOfTheLastTwo) {
  Draft d;
  Value *q = d.input("q", {2, 3, 4, 5}), *k = d.input("k", {2, 3, 6, 5}), *v = d.input("v", {3, 2, 5, 6});
  d.output(d.b.matmul(q, d.b.transpose(k, {0, 1, 3, 2})));
  d.output(d.b.matmul(q, d.b.transpose(v, {1, 0, 2, 3})));
  EXPECT_EQ(after(d, transpose_into_matmul), "matmul transpose matmul");
}

TEST(Recognise, SiluAndGeluInTheirForms) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2, 3});
  const auto n = [&](double v) { return d.number(v); };
  auto& b = d.b;
  d.output(b.mul(b.unary("sigmoid", x), x));
  d.output(b.mul(x, b.unary("sigmoid", b.mul(x, n(1.702)))));
  d.output(b.mul(b.mul(x, n(0.5)), b.add(b.unary("erf", b.div(x, n(std::sqrt(2.0)))), n(1))));
  d.output(b.mul(b.mul(x, b.add(n(1), b.unary("erf", b.mul(x, n(0.7071067811865476))))), n(0.5)));
  Value* cube = b.binary("pow", x, n(3));
  Value* u = b.mul(n(0.7978845608028654), b.add(x, b.mul(n(0.044715), cube)));
  d.output(b.mul(b.mul(n(0.5), x), b.add(n(1), b.unary("tanh", u))));
  Value* u2 = b.mul(b.mul(x, n(0.7978845608028654)), b.add(n(1), b.mul(b.mul(x, x), n(0.044715))));
  d.output(b.mul(n(0.5), b.mul(x, b.add(n(1), b.unary("tanh", u2)))));
  EXPECT_EQ(after(d, recognise_activations), "silu gelu gelu gelu gelu gelu");
}

TEST(Recognise, AlmostIsNotEnough) {
  Draft d;
  Value *x = d.input("x", {2, 3}), *other = d.input("other", {2, 3});
  d.output(d.b.mul(x, d.b.unary("sigmoid", other)));
  d.output(d.b.mul(d.b.mul(x, d.number(0.5)), d.b.add(d.b.unary("erf", d.b.mul(x, d.number(0.7072))), d.number(1))));
  Value* s = d.b.unary("sigmoid", x);
  d.output(d.b.mul(x, s));
  d.output(s);  // needed anyway
  EXPECT_EQ(after(d, recognise_activations).find("lu"), std::string::npos);
}

TEST(Recognise, Softmax) {
  Draft d;
  Value* x = d.input("x", {2, 3, 4});
  Value* e = d.b.unary("exp", d.b.sub(x, d.b.reduce("reduce_max", x, Ints{1}, true)));
  d.output(d.b.div(e, d.b.reduce("reduce_sum", e, Ints{-2}, true)));
  Value* f = d.b.unary("exp", d.b.sub(x, d.b.reduce("reduce_max", x, Ints{2}, true)));
  d.output(d.b.div(f, d.b.reduce("reduce_sum", f, Ints{1}, true)));  // another axis
  EXPECT_EQ(after(d, recognise_softmax), "softmax reduce_max sub exp reduce_sum real_div");
}

Value* layer_norm_by_hand(Draft& d, Value* x, const Ints& axes, bool twice) {
  auto& b = d.b;
  Value* diff = b.sub(x, b.reduce("reduce_mean", x, axes, true));
  Value* again = twice ? b.sub(x, b.reduce("reduce_mean", x, axes, true)) : diff;
  Value* variance = b.reduce("reduce_mean", b.binary("pow", again, d.number(2)), axes, true);
  return b.div(diff, b.unary("sqrt", b.add(variance, d.number(1e-5))));
}

TEST(Recognise, LayerNorm) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2, 3, 8});
  d.output(d.b.add(d.b.mul(layer_norm_by_hand(d, x, {-1}, false), d.weights({8}, 1)), d.weights({8}, 2)));
  d.output(d.b.mul(layer_norm_by_hand(d, x, {1, 2}, true), d.weights({1, 3, 8}, 3)));
  EXPECT_EQ(after(d, recognise_layer_norm), "layer_norm layer_norm");
  Draft other;  // not the last dims
  other.output(layer_norm_by_hand(other, other.input("x", {2, 3, 8}), {1}, false));
  EXPECT_EQ(after(other, recognise_layer_norm).find("layer_norm"), std::string::npos);
}

TEST(Recognise, Rsqrt) {
  Draft d;
  Value* x = d.input("x", {2, 3});
  d.output(d.b.div(d.number(1), d.b.unary("sqrt", d.b.add(d.b.mul(x, x), d.number(1e-3)))));
  d.output(d.b.div(d.number(2), d.b.unary("sqrt", d.b.add(d.b.mul(x, x), d.number(1e-3)))));
  EXPECT_EQ(after(d, recognise_rsqrt), "mul rsqrt mul add sqrt real_div");
}

TEST(RemoveNoops, WhatChangesNothing) {
  Draft d;
  Value* x = d.input("x", {ir::Dim::symbol("n"), 4});
  auto& b = d.b;
  Value* y = b.identity(b.unary("exp", x));
  y = b.emit("slice_by_index",
             {{"x", y}, {"begin", Ints{0, 0}}, {"end", Ints{0, 4}}, {"end_mask", std::vector<bool>{true, false}}});
  y = b.emit("transpose", {{"x", y}, {"perm", Ints{0, 1}}});
  y = b.div(b.mul(y, d.number(1)), d.number(1));
  y = b.concat({b.sub(y, d.number(0))}, 0);
  d.output(y);
  d.output(
      b.mul(d.input("z", {}), b.constant(ir::Constant::of(random_tensor(DType::f32, {2}, 1, 1, 1)))));  // broadcasts
  EXPECT_EQ(after(d, remove_noops), "exp mul");
}

TEST(MergeMoves, TransposesAndReshapes) {
  Draft d;
  Value* x = d.input("x", {2, 3, 4});
  auto& b = d.b;
  d.output(b.unary("exp", b.transpose(b.transpose(x, {1, 2, 0}), {2, 0, 1})));
  d.output(b.transpose(b.transpose(x, {1, 2, 0}), {0, 2, 1}));
  EXPECT_EQ(after(d, merge_transposes), "exp transpose");

  Draft r;
  Value* z = r.input("z", {ir::Dim::symbol("n"), 3, 4});
  Value* back = r.b.squeeze(r.b.expand_dims(z, {1}), {1});
  r.output(r.b.unary("exp", back));
  Value* flat = r.b.emit("reshape", {{"x", z}, {"shape", Ints{-1, 12}}});
  r.output(r.b.emit("reshape", {{"x", flat}, {"shape", Ints{-1, 2, 6}}}));
  EXPECT_EQ(after(r, merge_reshapes), "exp reshape");
}

TEST(ConstantReshapes, ShapeArithmeticDies) {
  Draft d;
  Value* x = d.input("x", {ir::Dim::symbol("n"), 3, 4});
  auto& b = d.b;
  Value* n = b.emit("slice_by_index", {{"x", b.shape(x)}, {"begin", Ints{0}}, {"end", Ints{1}}});
  d.output(b.reshape(x, b.concat({n, b.ints(std::vector<int64_t>{12})}, 0)));
  EXPECT_EQ(after(d, constant_reshapes), "reshape");
}

}  // namespace
}  // namespace graft::passes
