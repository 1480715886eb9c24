// Plans, whatever the kernels: shapes, memory, outputs, errors, threads, allocation.
#include <atomic>
#include <thread>

#include "engine_support.h"

namespace graft::engine_test {
namespace {

ir::Dims sym(std::initializer_list<const char*> names) {
  ir::Dims d;
  for (const char* n : names) d.push_back(ir::Dim::symbol(n));
  return d;
}

TEST(Plan, RunsAChainAtSeveralShapes) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, sym({"n", "m"}));
  ir::Value* y = net.input("y", DType::f32, {ir::Dim::symbol("m")});
  ir::Value* s = net.b->add(net.b->mul(x, x), y);
  const auto e = load(net.finish({net.b->unary("tanh", s), s}));
  for (const int64_t n : {1, 3, 17}) {
    const Tensor a = random_tensor(DType::f32, {n, 5}, 1), b = random_tensor(DType::f32, {5}, 2);
    const auto out = run(*e, {a, b});
    ASSERT_TRUE(out) << render(out.error());
    for (int64_t i = 0; i < n * 5; ++i) {
      const float v = a.span<float>()[static_cast<size_t>(i)];
      const float want = v * v + b.span<float>()[static_cast<size_t>(i % 5)];
      EXPECT_NEAR((*out)[1].span<float>()[static_cast<size_t>(i)], want, 1e-6);
      EXPECT_NEAR((*out)[0].span<float>()[static_cast<size_t>(i)], std::tanh(want), 1e-6);
    }
  }
}

TEST(Plan, InputsAndConstantsMayBeOutputs) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(2)});
  const auto e = load(net.finish({x, net.b->scalar(DType::f32, 3), x, net.b->add(x, x)}));
  const Tensor t = random_tensor(DType::f32, {2}, 7);
  const auto out = run(*e, {t});
  ASSERT_TRUE(out) << render(out.error());
  EXPECT_EQ(difference((*out)[0], t), 0);
  EXPECT_EQ(difference((*out)[2], t), 0);
  EXPECT_EQ((*out)[1].span<float>()[0], 3);
  EXPECT_EQ((*out)[3].span<float>()[1], 2 * t.span<float>()[1]);
}

TEST(Plan, ZeroSizedTensorsRun) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, sym({"n"}));
  const auto e = load(net.finish({net.b->unary("exp", net.b->add(x, x))}));
  const auto out = run(*e, {Tensor(DType::f32, Shape{0})});
  ASSERT_TRUE(out) << render(out.error());
  EXPECT_EQ((*out)[0].shape(), Shape{0});
}

TEST(Plan, WritesIntoTheCallersMemory) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(4)});
  const auto e = load(net.finish({net.b->unary("sqrt", x)}));
  const Tensor t = random_tensor(DType::f32, {4}, 3, 1, 2);
  float memory[4] = {};
  OutputSlot slot;
  slot.memory = {DType::f32, {4}, memory};
  const TensorView in = t.view();
  ASSERT_TRUE(e->run({&in, 1}, {&slot, 1}));
  EXPECT_FALSE(slot.owned.valid());
  EXPECT_FLOAT_EQ(memory[2], std::sqrt(t.span<float>()[2]));
}

TEST(Plan, RefusesWrongCallsWithNames) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, sym({"n", "n"}));
  const auto e = load(net.finish({net.b->add(x, x)}));
  const auto code = [&](const Tensor& t) {
    const auto r = run(*e, {t});
    EXPECT_FALSE(r);
    if (r) return Code::internal;
    EXPECT_EQ(r.error().tensor, "x");
    return r.error().code;
  };
  EXPECT_EQ(code(Tensor(DType::f32, Shape{2, 3})), Code::invalid_argument);
  EXPECT_EQ(code(Tensor(DType::f32, Shape{2})), Code::invalid_argument);
  EXPECT_EQ(code(Tensor(DType::i32, Shape{2, 2})), Code::invalid_argument);
  const auto none = run(*e, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::invalid_argument);
  float memory[4];
  OutputSlot slot;
  slot.memory = {DType::f32, {4}, memory};
  const Tensor t(DType::f32, Shape{2, 2});
  const TensorView in = t.view();
  const Status s = e->run({&in, 1}, {&slot, 1});
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().tensor, "y0");
  EXPECT_FALSE(Executable::load(net.program, "other", std::make_shared<Env>(1), {}));
}

TEST(Plan, ShapesThatDoNotFitNameTheOperator) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, sym({"n"}));
  ir::Value* y = net.input("y", DType::f32, sym({"m"}));
  ir::Value* s = net.b->add(x, y);
  s->name = "total";
  const auto e = load(net.finish({s}));
  const auto r = run(*e, {Tensor(DType::f32, Shape{2}), Tensor(DType::f32, Shape{3})});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::shape_mismatch);
  EXPECT_EQ(r.error().node, "total");
  EXPECT_EQ(r.error().op, "add");
}

TEST(Plan, CancelIsSeenBetweenSteps) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(4)});
  const auto e = load(net.finish({net.b->add(x, x)}));
  CancelToken token;
  token.cancel();
  RunOptions options;
  options.cancel = &token;
  const auto r = run(*e, {Tensor(DType::f32, Shape{4})}, options);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::cancelled);
}

TEST(Plan, ObserverSeesEveryResult) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(3)});
  ir::Value* a = net.b->unary("exp", x);
  ir::Value* c = net.b->unary("log", a);
  const auto e = load(net.finish({net.b->add(c, x)}));
  const Tensor t = random_tensor(DType::f32, {3}, 1);
  std::vector<const ir::Value*> seen;
  RunOptions options;
  options.observe = [&](const ir::Value& v, TensorView view) {
    seen.push_back(&v);
    if (&v == a) {
      EXPECT_NEAR(view.as<float>()[0], std::exp(t.span<float>()[0]), 1e-5);
    }
  };
  ASSERT_TRUE(run(*e, {t}, options));
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0], a);
  EXPECT_EQ(seen[1], c);
}

TEST(Plan, EightThreadsGetEqualResults) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, sym({"n", "m"}));
  ir::Value* v = x;
  for (int i = 0; i < 6; ++i) v = net.b->unary("tanh", net.b->add(net.b->mul(v, x), x));
  const auto e = load(net.finish({v}), {}, 2);
  std::vector<Tensor> inputs, wants;
  for (uint32_t i = 0; i < 8; ++i) {
    inputs.push_back(random_tensor(DType::f32, {i % 3 + 1, 700}, i));
    wants.push_back((*run(*e, {inputs.back()}))[0]);
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 40; ++i) {
        const size_t k = (i + t) % 8;
        const auto r = run(*e, {inputs[k]});
        if (!r || difference((*r)[0], wants[k]) != 0) ++wrong;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace graft::engine_test
