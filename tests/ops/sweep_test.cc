// What holds for every row of the table, and a smoke run of every element-by-element row.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ops/kernel.h"
#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

// What the engine runs itself: control flow, nodes that are put off, and operators on state.
bool engine_runs(const ir::OpRow& row) {
  if (row.name() == "host_deferred") return true;
  if (row.def->kind == ir::Kind::constant || ir::has_blocks(row.def->kind)) return true;
  return ir::touches_state(row.def->effects);
}

TEST(Sweep, RowsAreComplete) {
  ASSERT_GT(table().rows().size(), 40u);
  for (const auto& row : table().rows()) {
    const ir::OpDef& def = *row->def;
    SCOPED_TRACE(std::string(def.name));
    EXPECT_FALSE(def.doc.empty());
    EXPECT_FALSE(def.family.empty());
    EXPECT_EQ(def.name.starts_with("host_"), row->host_only());
    if (engine_runs(*row)) continue;
    EXPECT_NE(def.infer, nullptr);
    EXPECT_NE(def.reference, nullptr);
    EXPECT_LT(def.domain.lo, def.domain.hi);
    EXPECT_GT(def.domain.tolerance_f32, 0);
    EXPECT_GE(def.domain.tolerance_f16, def.domain.tolerance_f32);
  }
}

// What a kind promises to those that ask for it.
TEST(Sweep, RowsHaveWhatTheirKindNeeds) {
  using ir::Kind;
  for (const auto& row : table().rows()) {
    const ir::OpDef& def = *row->def;
    SCOPED_TRACE(std::string(def.name));
    const ir::Pointwise& f = def.pointwise;
    const bool computes = std::any_of(f.kernels.begin(), f.kernels.end(), [](auto k) { return k != nullptr; });
    EXPECT_EQ(def.kind == Kind::pointwise, computes || f.by_channel != nullptr);
    if (def.kind == Kind::pointwise) {
      for (const std::string_view p : f.operands) EXPECT_TRUE(p.empty() || row->param_index(p) >= 0) << p;
      for (const std::string_view p : f.params) EXPECT_TRUE(p.empty() || row->param_index(p) >= 0) << p;
    }
    constexpr Kind kMoving[] = {Kind::move, Kind::transpose, Kind::slice, Kind::concat, Kind::pad};
    EXPECT_EQ(def.moves != nullptr, std::find(std::begin(kMoving), std::end(kMoving), def.kind) != std::end(kMoving));
    EXPECT_EQ(def.kind == Kind::gather || def.kind == Kind::scatter, def.indexing != nullptr);
    EXPECT_TRUE(def.kind != Kind::view || row->params()[0].name == "x");
    EXPECT_TRUE(def.kind == Kind::reduction || def.reduction == ir::Reduction::other);
    EXPECT_EQ(def.kind == Kind::reduction, def.reduce != nullptr);
    if (ir::is_product(def.kind) || def.kind == Kind::pointwise) {
      const bool moves_only = f.function == ir::Scalar::cast || f.function == ir::Scalar::select;
      EXPECT_EQ(def.flops == nullptr, moves_only);
    }
  }
}

TEST(Sweep, VariantsAreInOrderOfOpset) {
  for (const auto& row : table().rows()) {
    for (size_t i = 1; i < row->def->variants.size(); ++i)
      EXPECT_LT(row->def->variants[i - 1].since, row->def->variants[i].since) << row->name();
  }
}

bool pointwise(const ir::OpRow& row) {
  return row.def->family == "elementwise_unary" || row.def->family == "elementwise_binary" ||
         row.def->family == "activation";
}

// Rows whose parameters are one number a channel.
bool by_channel(const ir::OpRow& row) { return row.name() == "prelu" || row.name() == "softplus_parametric"; }

std::vector<double> random_values(const ir::Domain& domain, int64_t count, std::mt19937& random) {
  std::uniform_real_distribution<double> draw(domain.lo, domain.hi);
  std::vector<double> v(static_cast<size_t>(count));
  // What fp16 can hold, so that both runs see the same numbers.
  for (double& x : v) x = static_cast<double>(static_cast<float>(Half(draw(random))));
  return v;
}

// The operator on [2, 3, 2, 2] tensors of `dtype`: required numeric parameters get a value each, optional ones are left
// out. False where the row takes no floats.
bool make_call(const ir::OpRow& row, DType dtype, uint32_t seed, OpCall& call) {
  std::mt19937 random(seed);
  double scalar = 0.25;
  bool any = false;
  for (const ir::Param& p : row.params()) {
    if (p.optional) continue;
    const std::string param(p.name);
    if (p.dtypes.has(DType::string)) {
      call.text(param, "fp32");  // cast
    } else if (!p.dtypes.has(dtype)) {
      return false;
    } else if (p.constant) {
      if (by_channel(row))
        call.in(param, tensor(dtype, {3}, {scalar, 2 * scalar, 3 * scalar}));
      else
        call.f(param, scalar, dtype);
      scalar += 0.5;  // alpha below beta
    } else {
      call.run_time(param, tensor(dtype, {2, 3, 2, 2}, random_values(row.def->domain, 24, random)));
      any = true;
    }
  }
  return any;
}

TEST(Sweep, HalfPrecisionFollowsSingle) {
  int ran = 0;
  for (const auto& row : table().rows()) {
    if (!pointwise(*row)) continue;
    SCOPED_TRACE(std::string(row->name()));
    for (uint32_t seed : {1u, 2u, 3u}) {
      OpCall half(row->name()), single(row->name());
      if (!make_call(*row, DType::f16, seed, half) || !make_call(*row, DType::f32, seed, single)) break;
      const Result<Tensor> h = half.result(), s = single.result();
      ASSERT_TRUE(h) << render(h.error());
      ASSERT_TRUE(s) << render(s.error());
      EXPECT_TRUE(half.oldest()) << render(half.oldest().error());
      EXPECT_EQ(to_string(h->shape()), to_string(s->shape()));
      const std::vector<double> got = values_of(h->view()), want = values_of(s->view());
      double largest = 1;
      for (double v : want) {
        ASSERT_TRUE(std::isfinite(v));
        largest = std::max(largest, std::abs(v));
      }
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], want[i], row->def->domain.tolerance_f16 * largest) << "element " << i;
      ++ran;
    }
  }
  EXPECT_GT(ran, 3 * 50);
}

}  // namespace
}  // namespace graft::ops::test
