// low_rank: what is said of many dims is the same of five, whatever the chain, and open sizes stay open.
#include "passes/low_rank.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "passes/dead_code.h"
#include "passes/pipeline.h"
#include "passes/support.h"

namespace graft::passes {
namespace {

using ir::Dim;
using ir::Dims;

const ir::Target kTarget = ir::Target::mlprogram(Opset::ios16);

int most_dims(const ir::Function& f) {
  int most = 0;
  ir::visit_ops(f.body, [&](ir::Op& op) {
    for (const Value* v : op.results) most = std::max(most, v->rank());
  });
  return most;
}

// The function after the pass: legal for the target, and the same.
void lower_and_compare(Draft& d, int64_t size = 4) {
  ASSERT_TRUE(d.b.ok()) << render(*d.b.failure());
  const auto before = ir::clone(d.f);
  ASSERT_GT(most_dims(d.f), 5);
  PassContext context;
  context.target = kTarget.before_passes();
  ASSERT_TRUE(low_rank(d.f, context));
  ASSERT_TRUE(dead_code(d.f, context));
  expect_sound(d.f);
  EXPECT_LE(most_dims(d.f), 5) << ops_of(d.f);
  EXPECT_TRUE(needed_opset(d.f, kTarget)) << ops_of(d.f);
  expect_same(*before, d.f, 1e-5, size);
}

struct Many : Draft {
  Many() : Draft(kTarget.before_passes()) {}
  Value* reshape(Value* x, const Dims& dims) { return b.reshape(x, dims); }
};

TEST(LowRank, PixelShuffleOfAnOpenBatch) {
  Many d;
  const Dim n = Dim::symbol("n", {1, 64});
  Value* x = d.input("x", {n, 16, 5, 6});
  Value* deep = d.b.transpose(d.reshape(x, {n, 4, 2, 2, 5, 6}), {0, 1, 4, 2, 5, 3});
  d.output(d.reshape(deep, {n, 4, 10, 12}));
  lower_and_compare(d);
  EXPECT_EQ(ops_of(d.f), "reshape transpose reshape");
}

TEST(LowRank, WindowsOfOpenSides) {
  Many d;
  const Dim h = Dim::symbol("h", {4, 64}), w = Dim::symbol("w", {4, 64});
  const Dim rows = ir::floor_div(h, 4), columns = ir::floor_div(w, 4);
  Value* x = d.input("x", {2, h, w, 3});
  Value* hints[] = {x};
  Value* parts = d.b.transpose(d.reshape(x, {2, rows, 4, columns, 4, 3}), {0, 1, 3, 2, 4, 5});
  Value* windows = d.b.reshape(parts, {rows * columns * Dim(2), 16, 3}, hints);
  d.output(windows);
  Value* back = d.b.reshape(d.b.unary("relu", windows), {2, rows, columns, 4, 4, 3}, hints);
  d.output(d.b.reshape(d.b.transpose(back, {0, 1, 3, 2, 4, 5}), {2, h, w, 3}, hints));
  lower_and_compare(d, 8);
}

// Any permutation of six, seven and eight dims, some of them 1.
TEST(LowRank, AnyTransposition) {
  std::mt19937 random(7);  // NOLINT: the same ones each time
  for (int round = 0; round < 60; ++round) {
    const int rank = 6 + round % 3;
    Many d;
    Dims dims;
    for (int i = 0; i < rank; ++i) dims.emplace_back(static_cast<int64_t>(1 + random() % 3));
    Ints perm;
    for (int i = 0; i < rank; ++i) perm.push_back(i);
    std::shuffle(perm.begin(), perm.end(), random);
    if (std::is_sorted(perm.begin(), perm.end())) continue;
    const Dim count = ir::product(dims);
    Value* x = d.input("x", {count});
    d.output(d.reshape(d.b.transpose(d.reshape(x, dims), perm), {count}));
    lower_and_compare(d);
  }
}

TEST(LowRank, UpsamplingByZerosAndWhatComesBetween) {
  Many d;
  Value* x = d.input("x", {2, 3, 4, 5});
  Value* y = d.reshape(x, {2, 3, 4, 1, 5, 1});
  y = d.b.emit("pad", {{"x", y}, {"pad", std::vector<int64_t>{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}}});
  y = d.b.add(y, d.weights({3, 1, 1, 1, 1}, 5));
  y = d.b.emit("tile", {{"x", y}, {"reps", std::vector<int64_t>{1, 2, 1, 1, 1, 1}}});
  y = d.b.emit("slice_by_index", {{"x", y},
                                  {"begin", std::vector<int64_t>{0, 1, 0, 0, -2, 0}},
                                  {"end", std::vector<int64_t>{2, 6, 4, 2, 0, 3}},
                                  {"stride", std::vector<int64_t>{1, 2, 1, 1, 1, 1}},
                                  {"end_mask", std::vector<bool>{false, false, false, false, true, false}}});
  y = d.b.concat({y, y}, 2);
  d.output(d.b.reduce("reduce_sum", y, {1, 4}, false));
  d.output(d.reshape(d.b.unary("exp", y), {2, 3, 16, 6}));
  lower_and_compare(d);
}

TEST(LowRank, OneElementOfADim) {
  Many d;
  Value* x = d.input("x", {2, 3, 4, 5});
  Value* y = d.reshape(x, {2, 3, 2, 2, 5, 1});
  for (const int64_t at : {1, -1}) {
    d.output(
        d.b.emit("slice_by_index", {{"x", y},
                                    {"begin", std::vector<int64_t>{0, at, 0, 0, 0, 0}},
                                    {"end", std::vector<int64_t>{2, at + 1, 2, 2, 5, 1}},
                                    {"squeeze_mask", std::vector<bool>{false, true, false, false, false, false}}}));
  }
  lower_and_compare(d);
}

TEST(LowRank, WhatTellsSixDimsApartIsLeft) {
  Many d;
  Value* x = d.input("x", {64});
  Value* y = d.reshape(x, {2, 2, 2, 2, 2, 2});
  y = d.b.add(y, d.weights({2, 1, 2, 1, 2, 1}, 3));  // no two neighbours broadcast alike
  d.output(d.reshape(y, {64}));
  PassContext context;
  context.target = kTarget.before_passes();
  ASSERT_TRUE(low_rank(d.f, context));
  const auto needed = needed_opset(d.f, kTarget);
  ASSERT_FALSE(needed);
  EXPECT_EQ(needed.error()[0].code, Code::unsupported_rank);
}

}  // namespace
}  // namespace graft::passes
