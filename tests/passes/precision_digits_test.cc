// Rules 7 to 9 of precision.h: what makes much of lost digits stays in fp32, with what computes its operand, and no
// more.
#include "passes/error_ranges.h"
#include "passes/precision_plan.h"
#include "passes/support.h"

namespace graft::passes {
namespace {

// The operators that stay in fp32, in program order.
std::string kept_of(const Draft& d, PrecisionPlan& plan, const KeptNodes& nodes = {}) {
  plan = plan_precision(d.f, ir::Target::mlprogram(Opset::ios17), nodes);
  std::string list;
  ir::visit_ops(d.f.body, [&](ir::Op& op) {
    if (plan.wide.contains(&op)) list += (list.empty() ? "" : " ") + std::string(op.type());
  });
  return list;
}
std::string kept_of(const Draft& d) {
  PrecisionPlan plan;
  return kept_of(d, plan);
}
bool says(const PrecisionPlan& plan, std::string_view words) {
  return std::any_of(plan.findings.begin(), plan.findings.end(),
                     [&](const Diag& f) { return f.message.find(words) != std::string::npos; });
}
Draft draft() { return Draft(ir::Target::mlprogram(Opset::ios17)); }

TEST(PrecisionDigits, SinesOfLargeArguments) {
  Draft d = draft();
  Value* t = d.input("t", {1, 1});
  d.output(d.b.unary("sin", d.b.mul(d.b.mul(t, d.number(1000)), d.numbers({1, 2}, {1, 0.31F}))));
  PrecisionPlan plan;
  EXPECT_EQ(kept_of(d, plan), "mul mul sin");
  EXPECT_TRUE(says(plan, "of large arguments sin needs more digits than fp16 has (3 operators in fp32, 0 casts)"));
}

TEST(PrecisionDigits, SinesOfWhatIsSmallOrWasRoundedBefore) {
  Draft d = draft();
  Value* x = d.input("x", {2, 8});
  d.output(d.b.unary("sin", d.b.mul(d.b.cast(d.input("mask", {8}, DType::boolean), DType::f32), d.number(6.28))));
  d.output(d.b.unary("sin", d.b.mul(d.b.matmul(x, d.weights({8, 8}, 1)), d.number(30))));
  EXPECT_EQ(kept_of(d), "");
}

TEST(PrecisionDigits, PhasesThatAreSummed) {
  Draft d = draft();
  Value* f = d.b.matmul(d.input("x", {1, 8}), d.weights({8, 100}, 1));
  Value* sum = d.b.emit("cumsum", {{"x", d.b.mul(f, d.number(0.01))}, {"axis", 1}});
  d.output(d.b.unary("sin", d.b.mul(sum, d.number(6.28))));
  EXPECT_EQ(kept_of(d), "mul cumsum mul sin");
}

TEST(PrecisionDigits, Steps) {
  Draft d = draft();
  Value *x = d.input("x", {4}), *eight = d.number(8);
  Value* q = d.b.unary("floor", d.b.div(x, eight));
  d.output(d.b.sub(x, d.b.mul(q, eight)));
  EXPECT_EQ(kept_of(d), "real_div floor mul sub");
  Draft e = draft();
  Value* data = e.b.matmul(e.input("x", {1, 8}), e.weights({8, 8}, 1));
  e.output(e.b.unary("floor", data));
  EXPECT_EQ(kept_of(e), "");
  Draft i = draft();
  Value* small = i.input("i", {4}, DType::boolean);
  i.output(i.b.unary("floor", i.b.cast(small, DType::f32)));
  EXPECT_EQ(kept_of(i), "") << "0 and 1 are exact";
}

TEST(PrecisionDigits, IntegersMadeOfData) {
  Draft d = draft();
  Value* data = d.b.matmul(d.input("x", {1, 8}), d.weights({8, 8}, 1));
  d.output(d.b.cast(d.b.mul(d.b.unary("sigmoid", data), d.number(255)), DType::i32));
  PrecisionPlan plan;
  EXPECT_EQ(kept_of(d, plan), "sigmoid mul cast");
  EXPECT_TRUE(says(plan, "an integer may still become its neighbour (3 operators in fp32, 1 cast)"));
}

TEST(PrecisionDigits, ThresholdsThatFp16DoesNotHave) {
  for (const auto& [threshold, kept] :
       {std::pair{50257.0, "equal"}, {2048.5, "equal"}, {0.3, "equal"}, {0.5, ""}, {0.0, ""}}) {
    Draft d = draft();
    d.output(d.b.binary("equal", d.input("x", {4}), d.number(threshold)));
    EXPECT_EQ(kept_of(d), kept) << threshold;
  }
}

TEST(PrecisionDigits, TheLargestOfInputs) {
  Draft d = draft();
  Value* x = d.input("x", {1, 100});
  d.output(d.b.emit_all("topk", {{"x", x}, {"k", 5}, {"axis", 1}})[1]);
  d.output(d.b.emit_all("topk", {{"x", d.b.matmul(x, d.weights({100, 100}, 1))}, {"k", 5}, {"axis", 1}})[1]);
  EXPECT_EQ(kept_of(d), "topk") << "the one of numbers that nothing has rounded";
}

TEST(PrecisionDigits, WhatKeepsFromZero) {
  Draft d = draft();
  Value* x = d.input("x", {4});
  d.output(d.b.emit("log", {{"x", d.b.add(x, d.number(1e-10))}, {"epsilon", 0.0}}));
  d.output(d.b.div(d.number(1), d.b.add(x, d.number(1e-8))));
  d.output(d.b.div(x, d.b.add(d.b.unary("abs", x), d.number(1e-8))));
  EXPECT_EQ(kept_of(d), "add log add real_div");
}

TEST(PrecisionDigits, RowsAsSmallAsEpsilon) {
  Draft d = draft();
  Value *x = d.input("x", {2, 8}), *gamma = d.weights({8}, 1), *beta = d.weights({8}, 2);
  for (const double epsilon : {1e-12, 1e-5}) {
    d.output(
        d.b.emit("layer_norm", {{"x", x}, {"axes", Ints{-1}}, {"gamma", gamma}, {"beta", beta}, {"epsilon", epsilon}}));
  }
  EXPECT_EQ(kept_of(d), "layer_norm") << "the first";
  Draft e = draft();  // rows of a table, which would be twice as large in fp32
  Value* ids = e.input("ids", {2}, DType::i32);
  Value* rows = e.b.gather(e.weights({1000, 8}, 3), ids, 0);
  e.output(e.b.emit("layer_norm", {{"x", rows},
                                   {"axes", Ints{-1}},
                                   {"gamma", e.weights({8}, 1)},
                                   {"beta", e.weights({8}, 2)},
                                   {"epsilon", 1e-12}}));
  EXPECT_EQ(kept_of(e), "");
}

TEST(PrecisionDigits, WhatTheUserNames) {
  Draft d = draft();
  Value* x = d.input("x", {2});
  d.output(d.b.unary("tanh", d.b.unary("exp", x)));
  d.f.body.ops[1]->origin = {7};
  PrecisionPlan plan;
  EXPECT_EQ(kept_of(d, plan, {7}), "tanh");
  EXPECT_TRUE(says(plan, "kept in fp32 as asked (1 operator in fp32, 1 cast)"));
}

TEST(ErrorRanges, FlowThroughCorners) {
  Draft d = draft();
  Value* x = d.input("x", {2});
  Value* s = d.b.unary("sigmoid", x);
  Value* y = d.b.sub(d.b.mul(s, d.number(10)), d.number(4));
  d.output(y);
  const ErrorRanges ranges(d.f);
  EXPECT_EQ(ranges.of(s).lo, 0);
  EXPECT_EQ(ranges.of(s).hi, 1);
  EXPECT_NEAR(ranges.of(y).lo, -4, 1e-6);
  EXPECT_NEAR(ranges.of(y).hi, 6, 1e-6);
  EXPECT_EQ(ranges.of(x).hi, INFINITY);
  EXPECT_EQ(ranges.of(d.number(0.5)).error, 0);
  EXPECT_NEAR(ranges.of(d.number(0.3)).error, 4.88e-5, 1e-6);  // 0.300048828125
}

}  // namespace
}  // namespace graft::passes
