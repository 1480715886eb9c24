// Layers of the size that real networks have, through plans: what one thread needs for each, without a model file.
#include <benchmark/benchmark.h>

#include "engine/executable.h"
#include "ops/build.h"

namespace {

using namespace graft;  // NOLINT: a benchmark's own file

struct Layer {
  std::shared_ptr<ir::Program> program = std::make_shared<ir::Program>();
  std::unique_ptr<ops::Build> b;
  Layer() {
    program->functions.push_back(std::make_unique<ir::Function>("main"));
    b = std::make_unique<ops::Build>(*program->functions[0], ir::Target{});
  }
  ir::Value* input(const Shape& shape) { return b->function().add_input(ir::Type::tensor(DType::f32, shape), "x"); }
  ir::Value* weight(const Shape& shape) {
    Tensor t(DType::f32, shape);
    int64_t i = 0;
    for (float& v : t.span<float>()) v = 0.01f * static_cast<float>(i++ % 17 - 8);
    return b->constant(ir::Constant::of(std::move(t)));
  }
  ir::Value* conv(ir::Value* x, int64_t in, int64_t out, int64_t k, int64_t groups = 1) {
    return b->emit("conv", {{"x", x},
                            {"weight", weight({out, in / groups, k, k})},
                            {"bias", weight({out})},
                            {"pad_type", "same"},
                            {"groups", groups}});
  }
};

void run(benchmark::State& state, Layer& layer, ir::Value* y) {
  layer.b->function().body.outputs = {y};
  const auto e = engine::Executable::load(layer.program, "main", std::make_shared<Env>(1), {});
  if (!e) return state.SkipWithError(render(e.error()).c_str());
  Tensor x((*e)->inputs()[0].type.dtype, (*e)->inputs()[0].type.shape());
  for (float& v : x.span<float>()) v = 0.5f;
  Tensor out(y->dtype(), y->type.shape());
  const TensorView in = x.view();
  engine::OutputSlot slot;
  slot.memory = out.mutable_view();
  for (auto _ : state) {
    if (const Status s = (*e)->run({&in, 1}, {&slot, 1}); !s) return state.SkipWithError(render(s.error()).c_str());
  }
}

void residual_block(benchmark::State& state) {
  Layer l;
  ir::Value* x = l.b->unary("relu", l.conv(l.input({1, 64, 56, 56}), 64, 64, 1));
  ir::Value* y = l.conv(l.b->unary("relu", l.conv(x, 64, 64, 3)), 64, 64, 3);
  run(state, l, l.b->unary("relu", l.b->add(y, x)));
}

void inverted_residual_with_excitation(benchmark::State& state) {
  Layer l;
  ir::Value* x = l.conv(l.input({1, 40, 28, 28}), 40, 40, 1);
  ir::Value* e = l.b->unary("silu", l.conv(l.b->unary("silu", l.conv(x, 40, 240, 1)), 240, 240, 5, 240));
  ir::Value* g = l.b->reduce("reduce_mean", e, Ints{2, 3}, true);
  ir::Value* s = l.b->unary("sigmoid", l.conv(l.b->unary("silu", l.conv(g, 240, 10, 1)), 10, 240, 1));
  run(state, l, l.b->add(l.conv(l.b->mul(e, s), 240, 40, 1), x));
}

void elementwise_chain(benchmark::State& state) {
  Layer l;
  ir::Value* x = l.input({1024, 1024});
  ir::Value* y = l.b->mul(l.b->unary("sigmoid", l.b->add(l.b->mul(x, x), x)), x);
  run(state, l, l.b->unary("tanh", y));
}

void encoder_feed_forward(benchmark::State& state) {
  Layer l;
  ir::Value* x = l.input({128, 384});
  ir::Value* n =
      l.b->emit("layer_norm",
                {{"x", x}, {"axes", std::vector<int64_t>{-1}}, {"gamma", l.weight({384})}, {"beta", l.weight({384})}});
  ir::Value* h = l.b->emit(
      "gelu", {{"x", l.b->emit("linear", {{"x", n}, {"weight", l.weight({1536, 384})}, {"bias", l.weight({1536})}})}});
  run(state, l, l.b->add(l.b->emit("linear", {{"x", h}, {"weight", l.weight({384, 1536})}}), x));
}

void softmax_rows(benchmark::State& state) {
  Layer l;
  run(state, l, l.b->emit("softmax", {{"x", l.input({12, 128, 128})}}));
}

BENCHMARK(residual_block)->Unit(benchmark::kMicrosecond);
BENCHMARK(inverted_residual_with_excitation)->Unit(benchmark::kMicrosecond);
BENCHMARK(elementwise_chain)->Unit(benchmark::kMicrosecond);
BENCHMARK(encoder_feed_forward)->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax_rows)->Unit(benchmark::kMicrosecond);

}  // namespace
