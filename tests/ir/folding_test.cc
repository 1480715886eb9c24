// How much folding may take, and how kernels hear of it.
#include "ir/folding.h"

#include <gtest/gtest.h>

#include "ir/call.h"
#include "ir/constant.h"

namespace graft::ir {
namespace {

constexpr size_t kAll = 256U << 20;  // of a budget

TEST(FoldBudget, WhatIsInProportionToItsOperandsIsFree) {
  FoldBudget budget;
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(budget.fold(1 << 20, 2 << 20, [](int64_t&) {})) << i;
}

TEST(FoldBudget, WhatGrowsMayTakeHalfOfWhatIsLeft) {
  FoldBudget budget;
  EXPECT_FALSE(budget.fold(4, kAll, [](int64_t&) { FAIL(); }));
  int64_t total = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (budget.fold(4, 1 << 20, [](int64_t&) {})) total += 1 << 20;
  }
  EXPECT_GT(total, int64_t{kAll} / 2);
  EXPECT_LT(total, int64_t{kAll} + (int64_t{10'000} << 16));
  EXPECT_TRUE(budget.fold(4, 1000, [](int64_t&) {})) << "small ones always";
}

TEST(FoldBudget, AKernelThatTakesLongStops) {
  FoldBudget budget;
  int64_t steps = 0;
  const auto endless = [&](int64_t& allowance) {
    Pace pace(nullptr, &allowance);
    while (pace.go_on(1000)) steps += 1000;
    EXPECT_FALSE(pace.go_on()) << "once it was used up it stays so";
  };
  EXPECT_FALSE(budget.fold(4, 8, endless));
  EXPECT_GT(steps, int64_t{kAll} / 4);
  EXPECT_LT(steps, int64_t{kAll});
  const int64_t first = steps;
  EXPECT_FALSE(budget.fold(4, 8, endless));
  EXPECT_LT(steps - first, first);
}

TEST(Pace, TakesAllWorkFromTheAllowance) {
  int64_t allowance = 10'000'000;
  Pace pace(nullptr, &allowance);
  int64_t done = 0;
  while (pace.go_on(3'000'000)) done += 3'000'000;
  EXPECT_LT(allowance, 0);
  EXPECT_NEAR(static_cast<double>(done), 1e7, 4e6);
}

TEST(Constant, KnowsWhatStandsBehindIt) {
  const ConstantPtr file = Constant::of(Tensor(DType::f32, {100}));
  EXPECT_EQ(file->source_bytes(), 400U);
  const ConstantPtr grown = Constant::folded(Tensor(DType::f32, {1000}), 4);
  EXPECT_EQ(grown->source_bytes(), 4U);
  EXPECT_EQ(Constant::reshape(grown, {10, 100})->source_bytes(), 4U);
  EXPECT_EQ(Constant::cast(grown, DType::f16)->source_bytes(), 4U);
  EXPECT_EQ(Constant::folded(Tensor(DType::f32, {10}), 400)->source_bytes(), 40U);
}

}  // namespace
}  // namespace graft::ir
