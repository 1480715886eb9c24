// The rules of precision.h one by one: what runs in fp16, what stays, what becomes of constants, and the numbers.
#include "passes/precision.h"

#include <cmath>

#include "passes/casts.h"
#include "passes/common_subexpressions.h"
#include "passes/constant_facts.h"
#include "passes/dead_code.h"
#include "passes/support.h"

namespace graft::passes {
namespace {

struct Halved {
  std::unique_ptr<ir::Function> before;
  PassContext context;
};

Halved halve(Draft& d, Opset target = Opset::ios17) {
  Halved h{ir::clone(d.f), {}};
  h.context.target = ir::Target::mlprogram(target);
  const auto n = half_precision(d.f, h.context);
  EXPECT_TRUE(n) << render(n.error());
  EXPECT_TRUE(dead_code(d.f, h.context));
  expect_sound(d.f);
  return h;
}

// The dtype that the first operator of this type computes in.
DType runs_in(const ir::Function& f, std::string_view type, std::string_view param = "x") {
  DType t = DType::invalid;
  ir::visit_ops(f.body, [&](ir::Op& op) {
    if (op.type() == type && t == DType::invalid) t = op.arg(param)->dtype();
  });
  return t;
}

bool found(const PassContext& c, Code code, std::string_view words) {
  for (const Diag& d : c.findings) {
    if (d.code == code && d.message.find(words) != std::string::npos) return true;
  }
  return false;
}

TEST(HalfPrecision, CastsOnlyAtTheBorder) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2, 3});
  d.output(d.b.unary("tanh", d.b.mul(d.b.add(x, d.number(1)), x)));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(ops_of(d.f), "cast add mul tanh cast");
  EXPECT_EQ(d.f.inputs[0]->dtype(), DType::f32);
  EXPECT_EQ(d.f.body.outputs[0]->dtype(), DType::f32);
  EXPECT_TRUE(h.context.findings.empty());
  expect_same(*h.before, d.f, 4e-3);
}

TEST(HalfPrecision, IntegersAndBoolsAreLeftAlone) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *i = d.input("i", {3}, DType::i32), *x = d.input("x", {3});
  d.output(d.b.add(i, i));
  d.output(d.b.binary("less", x, d.number(0.5)));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "add"), DType::i32);
  EXPECT_EQ(runs_in(d.f, "less"), DType::f16);
  expect_same(*h.before, d.f, 0);
}

// Places of 0.7 * i + 0.35: fp16 has no halves beyond 1024.
TEST(HalfPrecision, PlacesComputedFromIntegersStayWide) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *i = d.input("i", {5}, DType::i32), *x = d.input("x", {1500});
  i->range = {0, 2000};
  Value* place = d.b.mul(d.b.add(d.b.cast(i, DType::f32), d.number(0.5)), d.number(0.7));
  Value* down = d.b.unary("floor", place);
  Value* past = d.b.binary("greater", d.b.sub(place, down), d.number(0.5));
  Value* nearest = d.b.add(down, d.b.cast(past, DType::f32));
  d.output(d.b.gather(x, d.b.maximum(d.b.cast(nearest, DType::i32), d.b.like(i, 0)), 0));
  halve(d, Opset::ios15);
  for (const char* op : {"add", "mul", "floor", "sub", "greater"}) EXPECT_EQ(runs_in(d.f, op), DType::f32) << op;
  EXPECT_EQ(runs_in(d.f, "gather"), DType::f16);
}

TEST(HalfPrecision, BranchesKeepTheirTypes) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *x = d.input("x", {2}), *p = d.input("p", {}, DType::boolean);
  Value* outer = d.b.unary("tanh", x);
  std::vector<std::unique_ptr<ir::Block>> blocks;
  for (const bool taken : {true, false}) {
    blocks.push_back(std::make_unique<ir::Block>());
    blocks.back()->function = &d.f;
    ir::Builder::BlockScope scope(d.b, *blocks.back());
    blocks.back()->outputs = {taken ? d.b.add(outer, x) : outer};
  }
  Values r = d.b.emit_blocks("cond", {{"pred", p}}, std::move(blocks), {x->type});
  d.output(d.b.mul(r[0], r[0]));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(ops_of(d.f), "cast tanh cond [add cast] [cast] cast mul cast");
  expect_same(*h.before, d.f, 4e-3);
}

TEST(HalfPrecision, RmsNormKeepsItsSquaresInFp32) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2, 8});
  Value* mean = d.b.reduce("reduce_mean", d.b.mul(x, x), Ints{-1}, true);
  d.output(d.b.div(x, d.b.unary("sqrt", d.b.add(mean, d.number(1e-12)))));
  const Halved h = halve(d, Opset::ios15);
  for (const char* wide : {"mul", "reduce_mean", "add", "sqrt"}) EXPECT_EQ(runs_in(d.f, wide), DType::f32) << wide;
  EXPECT_EQ(runs_in(d.f, "real_div"), DType::f16);
  EXPECT_TRUE(found(h.context, Code::precision_note, "outgrows fp16"));
  expect_same(*h.before, d.f, 4e-3, 3, 500, 2000);  // squares beyond 65504
}

TEST(HalfPrecision, SumsOfPowersOfEStayWide) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2, 8});
  Value* e = d.b.unary("exp", x);
  d.output(d.b.emit("log", {{"x", d.b.reduce("reduce_sum", e, Ints{1}, true)}}));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "exp"), DType::f32);
  EXPECT_EQ(runs_in(d.f, "log"), DType::f32);
  expect_same(*h.before, d.f, 4e-3, 3, 10, 20);
}

TEST(HalfPrecision, LongSumsStayWide) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  d.output(d.b.reduce("reduce_sum", d.input("a", {4, 2049}), Ints{1}, false));
  d.output(d.b.reduce("reduce_sum", d.input("b", {4, 16}), Ints{1}, false));
  d.output(d.b.reduce("reduce_l2_norm", d.input("c", {4, 16}), Ints{1}, false));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(d.f.body.ops[0]->arg("x")->dtype(), DType::f32);
  EXPECT_EQ(runs_in(d.f, "reduce_l2_norm"), DType::f32);
  EXPECT_EQ(count(d.f, "cast"), 2);  // around the short sum
  expect_same(*h.before, d.f, 4e-3);
}

TEST(HalfPrecision, MasksStayFinite) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *x = d.input("x", {2, 3}), *keep = d.input("keep", {2, 3}, DType::boolean);
  Value* mask = d.numbers({2, 3}, {0, -3.4028235e38F, 0, -3.4028235e38F, -3.4028235e38F, -3.4028235e38F});
  d.output(d.b.emit("softmax", {{"x", d.b.add(x, mask)}, {"axis", -1}}));
  d.output(d.b.emit("softmax", {{"x", d.b.select(keep, x, d.number(-1e9))}, {"axis", -1}}));
  Value* factor = d.b.sub(d.number(1), d.b.cast(keep, DType::f32));
  d.output(d.b.emit("softmax", {{"x", d.b.add(x, d.b.mul(factor, d.number(-3.4028235e38)))}, {"axis", -1}}));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "add"), DType::f16);
  EXPECT_TRUE(found(h.context, Code::fp16_range, "the mask value"));
  EXPECT_TRUE(found(h.context, Code::fp16_range, "the bound or fill value"));
  // Row 1 is masked everywhere: uniform within fp16's rounding of the mask, and finite.
  const auto out = evaluate(d.f, random_inputs(d.f, 3, -0.5, 2));
  ASSERT_TRUE(out);
  for (const Tensor& t : *out) {
    for (float v : t.span<float>()) EXPECT_TRUE(std::isfinite(v));
  }
  const auto was = evaluate(*h.before, random_inputs(d.f, 3, -0.5, 2));
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR((*out)[0].span<float>()[i], (*was)[0].span<float>()[i], 4e-3);
}

TEST(HalfPrecision, MasksFromOutsideStayFinite) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *x = d.input("x", {2, 3}), *mask = d.input("mask", {2, 3});
  d.output(d.b.emit("softmax", {{"x", d.b.add(d.b.unary("tanh", x), mask)}, {"axis", -1}}));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "add"), DType::f16);
  EXPECT_TRUE(found(h.context, Code::fp16_range, "the mask 'mask' comes from outside"));
  std::vector<Tensor> in = random_inputs(d.f, 3, -1, 1);
  const float lowest = -3.4028235e38F;
  const float values[] = {lowest, lowest, lowest, 0, -INFINITY, 0};
  std::copy(std::begin(values), std::end(values), in[1].span<float>().begin());
  const auto got = evaluate(d.f, in), want = evaluate(*h.before, in);
  ASSERT_TRUE(got && want);
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR((*got)[0].span<float>()[i], (*want)[0].span<float>()[i], 4e-3) << i;
}

TEST(HalfPrecision, SelectedMasksThatAreAddedStayFinite) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *x = d.input("x", {2, 3}), *keep = d.input("keep", {2, 3}, DType::boolean);
  Value* scores = d.b.mul(d.b.unary("tanh", x), d.number(100));  // below -65504 with the mask's end
  d.output(d.b.emit(
      "softmax",
      {{"x", d.b.add(scores, d.b.select(keep, d.numbers({2, 3}, {0, 0, 0, 0, 0, 0}), d.number(-3.4028235e38)))},
       {"axis", -1}}));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_TRUE(found(h.context, Code::fp16_range, "the mask value"));
  std::vector<Tensor> in = random_inputs(d.f, 3, -2, -1);
  for (bool& b : in[1].span<bool>()) b = false;
  const auto got = evaluate(d.f, in);
  ASSERT_TRUE(got);
  for (const float v : (*got)[0].span<float>()) EXPECT_TRUE(std::isfinite(v));
}

TEST(HalfPrecision, InfinityIsNoMistake) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  d.output(d.b.add(d.input("x", {2}), d.numbers({2}, {0, -INFINITY})));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "add"), DType::f16);
  EXPECT_TRUE(h.context.findings.empty());
  expect_same(*h.before, d.f, 4e-3);
}

TEST(HalfPrecision, BoundsSaturateFactorsDoNot) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {4});
  d.output(d.b.emit("clip", {{"x", x}, {"alpha", -1.0}, {"beta", 3.4e38}}));
  d.output(d.b.mul(x, d.number(1e5)));
  d.output(d.b.mul(x, d.number(1e-9)));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "clip"), DType::f16);
  EXPECT_EQ(runs_in(d.f, "mul"), DType::f32);
  EXPECT_TRUE(found(h.context, Code::fp16_range, "kept in fp32"));
  EXPECT_TRUE(found(h.context, Code::precision_note, "too small for fp16"));
  expect_same(*h.before, d.f, 4e-3);
  EXPECT_NEAR((*evaluate(d.f, random_inputs(d.f)))[2].span<float>()[0] /
                  (*evaluate(*h.before, random_inputs(d.f)))[2].span<float>()[0],
              1, 1e-5);
}

TEST(HalfPrecision, EpsilonByTarget) {
  for (const Opset target : {Opset::ios15, Opset::ios17}) {
    Draft d(ir::Target::mlprogram(target));
    Value* x = d.input("x", {2, 8});
    Value *gamma = d.weights({8}, 1), *beta = d.weights({8}, 2);
    Value* data = d.b.matmul(x, d.weights({8, 8}, 3));  // rows of an input may be as small as epsilon, these are not
    d.output(d.b.emit("layer_norm",
                      {{"x", data}, {"axes", Ints{-1}}, {"gamma", gamma}, {"beta", beta}, {"epsilon", 1e-12}}));
    d.output(d.b.emit("rsqrt", {{"x", d.b.unary("abs", x)}, {"epsilon", 1e-10}}));
    d.output(d.b.emit("rsqrt", {{"x", d.b.unary("exp", x)}}));  // the row's default, 1e-12
    const Halved h = halve(d, target);
    const bool stays = target == Opset::ios17;
    EXPECT_EQ(runs_in(d.f, "layer_norm"), DType::f16);
    EXPECT_EQ(runs_in(d.f, "layer_norm", "epsilon"), stays ? DType::f32 : DType::f16);
    EXPECT_EQ(runs_in(d.f, "rsqrt"), stays ? DType::f16 : DType::f32);
    EXPECT_FALSE(h.context.findings.empty());
    ir::visit_ops(d.f.body, [&](ir::Op& op) {
      EXPECT_TRUE(ir::Target::mlprogram(target).accepts(ir::call_of(op), {})) << op.type();
      if (op.type() == "layer_norm" && !stays) {
        EXPECT_EQ(element_as_double(op.arg("epsilon")->constant->view(), 0), kHalfLeast);
      }
    });
    expect_same(*h.before, d.f, 1e-2, 3, 1, 2);
  }
}

TEST(HalfPrecision, PositionsCountInFp32) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *i = d.input("i", {4}, DType::i32), *x = d.input("x", {4});
  Value* angle = d.b.mul(d.b.cast(i, DType::f32), d.number(0.37));
  d.output(d.b.mul(x, d.b.unary("sin", angle)));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "sin"), DType::f32);
  EXPECT_EQ(d.f.body.ops.back()->type(), "cast");
  expect_same(*h.before, d.f, 4e-3, 3, -2, 9000);
}

TEST(HalfPrecision, MovesFollowAnIsland) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2, 8});
  Value* norm = d.b.reduce("reduce_sum_square", x, Ints{1}, true);
  Value* t = d.b.transpose(norm, Ints{1, 0});
  d.output(d.b.unary("sqrt", t));
  const Halved h = halve(d, Opset::ios15);
  EXPECT_EQ(runs_in(d.f, "transpose"), DType::f32);
  expect_same(*h.before, d.f, 4e-3, 3, 100, 1000);
}

TEST(HalfPrecision, WeightsStayLazyAndShared) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2, 8});
  Value* w = d.weights({8, 8}, 5);
  d.output(d.b.matmul(d.b.matmul(x, w), w));
  halve(d, Opset::ios15);
  const ir::Constant* used = nullptr;
  ir::visit_ops(d.f.body, [&](ir::Op& op) {
    if (op.type() != "matmul") return;
    const ir::Constant* c = op.arg("y")->constant.get();
    EXPECT_EQ(c->dtype(), DType::f16);
    EXPECT_FALSE(c->is_direct());
    EXPECT_TRUE(used == nullptr || used == c);
    used = c;
  });
}

}  // namespace
}  // namespace graft::passes
