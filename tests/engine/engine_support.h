// What the engine's tests share: small programs, random tensors, runs, comparisons.
#pragma once

#include <gtest/gtest.h>

#include <random>

#include "engine/executable.h"
#include "ops/blocks.h"
#include "ops/build.h"

namespace graft::engine_test {

using engine::Executable;
using engine::Options;
using engine::OutputSlot;
using engine::RunOptions;

// A program under construction: inputs, then operators through `b`, then finish().
struct Net {
  std::shared_ptr<ir::Program> program = std::make_shared<ir::Program>();
  ir::Function* f;
  std::unique_ptr<ops::Build> b;
  Net() {
    program->functions.push_back(std::make_unique<ir::Function>("main"));
    f = program->functions[0].get();
    b = std::make_unique<ops::Build>(*f, ir::Target{});
  }
  ir::Value* input(std::string name, DType dtype, const ir::Dims& dims) {
    return f->add_input(ir::Type::tensor(dtype, dims), std::move(name));
  }
  std::shared_ptr<const ir::Program> finish(const ir::Values& outputs) {
    EXPECT_TRUE(b->ok()) << (b->failure() ? render(*b->failure()) : "");
    f->body.outputs = outputs;
    f->output_names.clear();
    for (size_t i = 0; i < outputs.size(); ++i) f->output_names.push_back("y" + std::to_string(i));
    return program;
  }
};

inline Tensor random_tensor(DType dtype, const Shape& shape, uint32_t seed, double lo = -2, double hi = 2) {
  std::mt19937 gen(seed);
  std::uniform_real_distribution<double> dist(lo, hi);
  Tensor t(dtype, shape);
  for (int64_t i = 0; i < t.count(); ++i) {
    double v = dist(gen);
    if (is_int(dtype)) v = std::floor(v);
    if (dtype == DType::boolean) v = v > (lo + hi) / 2 ? 1 : 0;
    ops::store(t.mutable_view(), i, 1, 1, &v);
  }
  return t;
}

inline ir::Value* random_constant(Net& net, DType dtype, const Shape& shape, uint32_t seed, double lo = -1,
                                  double hi = 1) {
  return net.b->constant(ir::Constant::of(random_tensor(dtype, shape, seed, lo, hi)));
}

inline std::shared_ptr<const Executable> load(const std::shared_ptr<const ir::Program>& program, Options options = {},
                                              int threads = 1) {
  auto made = Executable::load(program, "main", std::make_shared<Env>(threads), options);
  EXPECT_TRUE(made) << (made ? "" : render(made.error()));
  return made ? *made : nullptr;
}

inline Result<std::vector<Tensor>> run(const Executable& e, const std::vector<Tensor>& inputs,
                                       const RunOptions& options = {}) {
  std::vector<TensorView> views;
  for (const Tensor& t : inputs) views.push_back(t.view());
  std::vector<OutputSlot> slots(e.outputs().size());
  GRAFT_CHECK(e.run(views, slots, options));
  std::vector<Tensor> results;
  for (OutputSlot& s : slots) results.push_back(std::move(s.owned));
  return results;
}

// Largest difference relative to the largest expected magnitude (at least 1). NaN and infinities must agree.
inline double difference(const Tensor& got, const Tensor& want) {
  if (got.dtype() != want.dtype() || !(got.shape() == want.shape())) return INFINITY;
  double most = 1, worst = 0;
  for (int64_t i = 0; i < want.count(); ++i) {
    const double w = element_as_double(want.view(), i);
    if (std::isfinite(w)) most = std::max(most, std::fabs(w));
  }
  for (int64_t i = 0; i < want.count(); ++i) {
    const double w = element_as_double(want.view(), i), g = element_as_double(got.view(), i);
    if (std::isnan(w) && std::isnan(g)) continue;
    if (w == g) continue;
    const double d = std::fabs(w - g);
    worst = std::max(worst, std::isnan(d) ? INFINITY : d);
  }
  return worst / most;
}

// Runs the program fast and with reference kernels only, and compares.
inline void expect_like_reference(const std::shared_ptr<const ir::Program>& program, const std::vector<Tensor>& inputs,
                                  double tolerance, int threads = 1) {
  const auto fast = load(program, {}, threads), slow = load(program, {.reference = true});
  const auto got = run(*fast, inputs), want = run(*slow, inputs);
  ASSERT_TRUE(got) << render(got.error());
  ASSERT_TRUE(want) << render(want.error());
  for (size_t i = 0; i < want->size(); ++i) EXPECT_LE(difference((*got)[i], (*want)[i]), tolerance) << "output " << i;
}

// The provider that carries out the only operator of this name.
inline std::string provider_of(const Executable& e, const std::vector<Shape>& shapes, std::string_view op) {
  const auto placed = e.explain(shapes);
  EXPECT_TRUE(placed) << (placed ? "" : render(placed.error()));
  if (!placed) return {};
  for (const engine::OperatorReport& p : *placed) {
    if (p.op == op) return p.provider;
  }
  return "absent";
}

}  // namespace graft::engine_test
