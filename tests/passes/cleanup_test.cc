// dead_code, common_subexpressions, join_casts, and the rewriter under them.
#include "passes/casts.h"
#include "passes/common_subexpressions.h"
#include "passes/dead_code.h"
#include "passes/rewriter.h"
#include "passes/shapes.h"
#include "passes/support.h"

namespace graft::passes {
namespace {

TEST(DeadCode, RemovesWhatNobodyUses) {
  Draft d;
  Value* x = d.input("x", {2, 3});
  Value* y = d.b.add(x, d.number(1));
  d.b.unary("exp", d.b.unary("sqrt", y));
  d.output(y);
  PassContext c;
  EXPECT_EQ(*dead_code(d.f, c), 2);
  EXPECT_EQ(ops_of(d.f), "add");
  EXPECT_EQ(*dead_code(d.f, c), 0);
}

TEST(DeadCode, KeepsWhatABranchReads) {
  Draft d;
  Value *x = d.input("x", {2}), *p = d.input("p", {}, DType::boolean);
  Value* outer = d.b.unary("exp", x);
  std::vector<std::unique_ptr<ir::Block>> blocks;
  for (const bool taken : {true, false}) {
    blocks.push_back(std::make_unique<ir::Block>());
    blocks.back()->function = &d.f;
    ir::Builder::BlockScope scope(d.b, *blocks.back());
    Value* y = taken ? d.b.add(outer, x) : d.b.sub(x, d.number(1));
    d.b.unary("tanh", y);
    blocks.back()->outputs = {y};
  }
  Values r = d.b.emit_blocks("cond", {{"pred", p}}, std::move(blocks), {x->type});
  d.output(r[0]);
  const auto before = ir::clone(d.f);
  PassContext c;
  EXPECT_EQ(*dead_code(d.f, c), 2);
  EXPECT_EQ(ops_of(d.f), "exp cond [add] [sub]");
  expect_same(*before, d.f, 0);
}

TEST(CommonSubexpressions, OneOfEach) {
  Draft d;
  Value* x = d.input("x", {2, 3});
  d.b.set_origin({1});
  Value* a = d.b.add(x, d.number(1));
  d.b.set_origin({2});
  Value* b = d.b.add(x, d.number(1));  // another constant of equal content
  Value* other = d.b.add(x, d.number(2));
  d.output(d.b.mul(d.b.mul(a, b), other));
  const auto before = ir::clone(d.f);
  PassContext c;
  EXPECT_EQ(*common_subexpressions(d.f, c), 1);
  EXPECT_EQ(count(d.f, "add"), 2);
  EXPECT_EQ(d.f.body.ops[0]->origin.nodes(), (std::vector<int32_t>{1, 2}));
  expect_same(*before, d.f, 0);
}

TEST(CommonSubexpressions, ABranchUsesTheOuterOneNotTheOtherWayRound) {
  Draft d;
  Value *x = d.input("x", {2}), *p = d.input("p", {}, DType::boolean);
  Value* outer = d.b.unary("exp", x);
  std::vector<std::unique_ptr<ir::Block>> blocks;
  for (int i = 0; i < 2; ++i) {
    blocks.push_back(std::make_unique<ir::Block>());
    blocks.back()->function = &d.f;
    ir::Builder::BlockScope scope(d.b, *blocks.back());
    Value* e = d.b.unary("exp", x);
    blocks.back()->outputs = {d.b.add(e, d.b.unary("tanh", x))};
  }
  Values r = d.b.emit_blocks("cond", {{"pred", p}}, std::move(blocks), {x->type});
  Value* t = d.b.unary("tanh", x);
  d.output(d.b.add(d.b.add(r[0], outer), t));
  const auto before = ir::clone(d.f);
  PassContext c;
  EXPECT_EQ(*common_subexpressions(d.f, c), 2);
  EXPECT_EQ(ops_of(d.f), "exp cond [tanh add] [tanh add] tanh add add");
  expect_sound(d.f);
  expect_same(*before, d.f, 0);
}

// What the first of two reshapes finds out in a run is not found out by the second.
TEST(MergeReshapes, OnlyWhereEveryRunCanTakeTheFirst) {
  const ir::Dim n = ir::Dim::symbol("n"), m = ir::Dim::symbol("m");
  const auto merged = [&](const ir::Dims& x, std::vector<int64_t> first, std::vector<int64_t> second) {
    Draft d;
    Value* v = d.f.add_input(ir::Type::tensor(DType::f32, x), "x");
    v = d.b.emit("reshape", {{"x", v}, {"shape", std::move(first)}});
    d.output(d.b.emit("reshape", {{"x", v}, {"shape", std::move(second)}}));
    PassContext c;
    return *merge_reshapes(d.f, c) == 1;
  };
  EXPECT_TRUE(merged({n, ir::Dim(12)}, {-1, 3, 4}, {-1, 4, 3}));
  EXPECT_FALSE(merged({n, m}, {-1, 6}, {-1, 3}));  // only where n * m is a multiple of 6
  EXPECT_FALSE(merged({n, m}, {4}, {2, 2}));       // only where it is 4
}

TEST(JoinCasts, OnlyWhereNothingIsLost) {
  Draft d;
  Value *h = d.input("h", {3}, DType::f16), *x = d.input("x", {3}), *i = d.input("i", {3}, DType::i32);
  d.output(d.b.cast(d.b.cast(h, DType::f32), DType::f16), "back");
  d.output(d.b.cast(d.b.cast(x, DType::f16), DType::f32), "rounded");
  d.output(d.b.cast(d.b.cast(i, DType::i64), DType::f32), "through");
  d.output(d.b.cast(d.b.cast(i, DType::f32), DType::i32), "counted");
  const auto before = ir::clone(d.f);
  PassContext c;
  EXPECT_EQ(*join_casts(d.f, c), 2);
  EXPECT_EQ(*dead_code(d.f, c), 2);
  EXPECT_EQ(d.f.body.outputs[0], h);
  EXPECT_EQ(count(d.f, "cast"), 5);
  expect_same(*before, d.f, 0);
}

TEST(Rewriter, ARefusedRewriteLeavesEverythingAsItWas) {
  Draft d;
  Value* x = d.input("x", {2});
  d.output(d.b.unary("exp", x));
  PassContext c;
  Rewriter rewriter(d.f, c);
  const auto n = rewriter.run([&](Op& op) -> std::optional<Values> {
    rewriter.build().unary("tanh", op.arg("x"));
    return Values{rewriter.build().refuse(Code::unsupported_dtype, "no")};
  });
  EXPECT_EQ(*n, 0);
  EXPECT_EQ(ops_of(d.f), "exp");
}

TEST(Rewriter, WhatDiesWithAnOperatorIsPartOfWhereTheNewOneCameFrom) {
  Draft d;
  Value* x = d.input("x", {2});
  d.b.set_origin({3});
  Value* a = d.b.unary("exp", x);
  d.b.set_origin({4});
  Value* shared = d.b.unary("tanh", x);
  d.b.set_origin({5});
  Value* y = d.b.add(a, shared);
  y->name = "sum";
  d.output(y);
  d.output(shared);
  PassContext c;
  Rewriter rewriter(d.f, c);
  EXPECT_EQ(*rewriter.run([&](Op& op) -> std::optional<Values> {
    if (op.type() != "add") return std::nullopt;
    EXPECT_TRUE(rewriter.used_once(op.arg("x")));
    EXPECT_FALSE(rewriter.used_once(op.arg("y")));
    return Values{rewriter.build().unary("sigmoid", x)};
  }),
            1);
  EXPECT_EQ(d.f.body.ops.back()->origin.nodes(), (std::vector<int32_t>{3, 5}));
  EXPECT_EQ(d.f.body.outputs[0]->name, "sum");
}

}  // namespace
}  // namespace graft::passes
