// What an executable may take, and how runs and plans hear that they are to stop.
#include <thread>

#include "base/format.h"
#include "engine/core.h"
#include "engine/plan.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

std::shared_ptr<const Executable> load_within(const std::shared_ptr<const ir::Program>& program,
                                              const std::shared_ptr<MemoryLimit>& limit, const Options& options = {}) {
  auto made = Executable::load(program, "main", std::make_shared<Env>(1), options, limit);
  EXPECT_TRUE(made) << (made ? "" : render(made.error()));
  return made ? *made : nullptr;
}

// y0 = sum(exp(x + z)) over [n, 1024]: the sum's operand is an intermediate value of 4 KiB a row.
std::shared_ptr<const ir::Program> with_intermediate() {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n", {0, 1 << 30}), ir::Dim(1)});
  ir::Value* wide = net.b->emit("tile", {{"x", x}, {"reps", std::vector<int64_t>{1, 1024}}});
  wide->name = "wide";
  return net.finish({net.b->reduce("reduce_prod", net.b->unary("exp", wide), Ints{1}, false)});
}

TEST(Memory, OfIntermediateValuesIsRefusedWithTheLargest) {
  const auto limit = std::make_shared<MemoryLimit>(1 << 20);
  const auto e = load_within(with_intermediate(), limit);
  ASSERT_TRUE(run(*e, {random_tensor(DType::f32, {8, 1}, 1)}));
  const auto refused = run(*e, {random_tensor(DType::f32, {1 << 20, 1}, 1)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::memory_limit);
  EXPECT_NE(refused.error().node, "");
  EXPECT_NE(refused.error().tensor, "");
  EXPECT_NE(refused.error().message.find("fp32[1048576, 1024]"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("the memory limit is 1048576 bytes"), std::string::npos);
  EXPECT_TRUE(run(*e, {random_tensor(DType::f32, {8, 1}, 1)}));
}

// Each size leaves a plan with a context behind: together far more than the limit.
TEST(Memory, ThatPlansKeepForNextTimeIsGivenUpFirst) {
  const auto limit = std::make_shared<MemoryLimit>(2 << 20);
  const auto e = load_within(with_intermediate(), limit);
  for (int64_t n = 150; n < 160; ++n) {
    const auto got = run(*e, {random_tensor(DType::f32, {n, 1}, 1)});
    ASSERT_TRUE(got) << n << " " << render(got.error());
    EXPECT_LE(limit->used(), limit->bytes());
  }
}

TEST(Memory, OfResultsCountsUntilTheyAreHandedOver) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n", {0, 1 << 30})});
  const auto limit = std::make_shared<MemoryLimit>(10000);
  const auto e = load_within(net.finish({net.b->unary("relu", x)}), limit);
  const Tensor in = random_tensor(DType::f32, {2000}, 1);
  auto first = run(*e, {in});
  ASSERT_TRUE(first) << render(first.error());
  EXPECT_GE(limit->used(), 8000U);
  const auto second = run(*e, {in});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::memory_limit);
  EXPECT_EQ(second.error().tensor, "y0");
  (*first)[0].hand_over();
  EXPECT_TRUE(run(*e, {in}));
  // The caller's own memory does not count.
  Tensor mine(DType::f32, {2000000});
  const Tensor large = random_tensor(DType::f32, {2000000}, 1);
  const TensorView view = large.view();
  OutputSlot slot;
  slot.memory = mine.mutable_view();
  EXPECT_TRUE(e->run({&view, 1}, {&slot, 1}));
}

TEST(Memory, OfResultsThatOnlyAKernelSizes) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n", {0, 1 << 30})});
  const auto limit = std::make_shared<MemoryLimit>(1 << 20);
  const auto e = load_within(net.finish({net.b->unary("non_zero", x)}), limit);
  ASSERT_TRUE(run(*e, {random_tensor(DType::f32, {100}, 1, 1, 2)}));
  const auto refused = run(*e, {random_tensor(DType::f32, {1 << 20}, 1, 1, 2)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::memory_limit) << render(refused.error());
  EXPECT_EQ(refused.error().op, "non_zero");
}

TEST(Memory, OfWeightsThatArePackedAndConstantsThatAreFolded) {
  for (const bool packed : {true, false}) {
    SCOPED_TRACE(packed);
    Net net;
    ir::Value* x = net.input("x", DType::f32, {ir::Dim(1), ir::Dim(64), ir::Dim(8), ir::Dim(8)});
    ir::Value* y = x;
    if (packed) {
      y = net.b->emit("conv", {{"x", x}, {"weight", random_constant(net, DType::f32, {64, 64, 3, 3}, 1)}});
    } else {
      ir::Value* one = net.b->emit(
          "tile", {{"x", random_constant(net, DType::f32, {1}, 1)}, {"reps", std::vector<int64_t>{1 << 20}}});
      y = net.b->add(x, net.b->reduce("reduce_sum", one, Ints{0}, false));
    }
    const auto limit = std::make_shared<MemoryLimit>(100000);
    const auto e = load_within(net.finish({y}), limit);
    const Shape shape{1, 64, 8, 8};
    const Status planned = e->prepare({&shape, 1});
#ifndef GRAFT_HAVE_ONEDNN
    if (packed) continue;
#endif
    ASSERT_FALSE(planned);
    EXPECT_EQ(planned.error().code, Code::memory_limit) << render(planned.error());
    EXPECT_EQ(planned.error().op, packed ? "conv" : "tile");
  }
}

// x concatenated with itself, again and again; the loop's start is the second input.
std::shared_ptr<const ir::Program> doubled(int turns) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n", {0, 1 << 30})});
  ir::Value* i = net.input("i", DType::i32, {});
  auto cond = std::make_unique<ir::Block>(), body = std::make_unique<ir::Block>();
  for (ir::Block* b : {cond.get(), body.get()}) {
    b->function = net.f;
    b->inputs = {net.f->new_value(ir::Type::tensor(DType::i32, ir::Dims{})),
                 net.f->new_value(ir::Type::tensor(DType::f32, {ir::Dim::symbol("m", {0, 1 << 30})}))};
  }
  {
    ir::Builder::BlockScope scope(*net.b, *cond);
    cond->outputs = {net.b->binary("less", cond->inputs[0], net.b->like(cond->inputs[0], turns))};
  }
  {
    ir::Builder::BlockScope scope(*net.b, *body);
    ir::Value *at = body->inputs[0], *v = body->inputs[1];
    body->outputs = {net.b->add(at, net.b->like(at, 1)), net.b->concat({v, v}, 0)};
  }
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(std::move(cond));
  blocks.push_back(std::move(body));
  const ir::Values y = net.b->emit_blocks(
      "while_loop", {{"loop_vars", ir::Values{i, x}}}, std::move(blocks),
      {ir::Type::tensor(DType::i32, ir::Dims{}), ir::Type::tensor(DType::f32, {ir::Dim::symbol("k", {0, 1 << 30})})});
  return net.finish({y[1]});
}

Tensor zero() {
  Tensor start(DType::i32, Shape{});
  start.span<int32_t>()[0] = 0;
  return start;
}

TEST(Memory, OfLoopVariablesThatGrow) {
  const auto e = load_within(doubled(60), std::make_shared<MemoryLimit>(1 << 20));
  const auto refused = run(*e, {random_tensor(DType::f32, {16}, 1), zero()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::memory_limit) << render(refused.error());
}

// Before and after the last turn a variable takes 4 and 8 MiB; the result is what the last turn made.
TEST(Memory, OfALoopsResultIsTakenOnce) {
  const auto limit = std::make_shared<MemoryLimit>(15 << 20);
  const auto e = load_within(doubled(17), limit);
  const Tensor x = random_tensor(DType::f32, {16}, 1);
  for (int again = 0; again < 3; ++again) {
    const auto got = run(*e, {x, zero()});
    ASSERT_TRUE(got) << render(got.error());
    const auto y = (*got)[0].span<const float>();
    ASSERT_EQ(y.size(), size_t{16} << 17);
    for (size_t k = 0; k < y.size(); k += 12345) ASSERT_EQ(y[k], x.span<const float>()[k % 16]) << k;
  }
}

TEST(Memory, OfALargeResultThatOnlyAKernelSizesIsTakenOnce) {
  constexpr int64_t kCount = 1 << 20;
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n", {0, 1 << 30})});
  const auto limit = std::make_shared<MemoryLimit>(7 << 20);
  const auto e = load_within(net.finish({net.b->unary("non_zero", x)}), limit);
  for (int again = 0; again < 3; ++again) {
    auto got = run(*e, {random_tensor(DType::f32, {kCount}, 1, 1, 2)});
    ASSERT_TRUE(got) << render(got.error());
    EXPECT_EQ((*got)[0].span<const int32_t>()[kCount - 1], kCount - 1);
    EXPECT_GE(limit->used(), size_t{4} * kCount);
    (*got)[0].hand_over();
    EXPECT_LT(limit->used(), 100000U);
  }
}

// The kernel's memory goes to one of the results; what else is made of it, or given by the caller, is right as well.
TEST(Memory, OfALargeResultIsGivenToOneOfSeveral) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n", {0, 1 << 30})});
  ir::Value* at = net.b->unary("non_zero", x);
  ir::Value* flat = net.b->emit("squeeze", {{"x", at}, {"axes", Ints{1}}});
  const auto e = load(net.finish({at, flat, net.b->add(flat, net.b->like(flat, 1)), at}));
  for (const int64_t count : {300'000, 10, 400'000, 0, 300'000}) {
    const Tensor in = random_tensor(DType::f32, {count}, 1, 1, 2);
    const auto got = run(*e, {in});
    ASSERT_TRUE(got) << render(got.error());
    std::vector<int32_t> mine(static_cast<size_t>(count));
    const TensorView view = in.view();
    std::vector<OutputSlot> slots(4);
    slots[1].memory = {DType::i32, {count}, mine.data()};
    ASSERT_TRUE(e->run({&view, 1}, slots, {}));
    for (int64_t k = 0; k < count; k += 99) {
      const auto i = static_cast<size_t>(k);
      for (const size_t r : {0, 1, 3}) ASSERT_EQ((*got)[r].span<const int32_t>()[i], k) << r;
      ASSERT_EQ((*got)[2].span<const int32_t>()[i], k + 1);
      ASSERT_EQ(mine[i], k);
      ASSERT_EQ(slots[3].owned.span<const int32_t>()[i], k);
    }
  }
}

// A constant that nothing but the caller reads is made in the caller's memory, not kept as well.
TEST(Memory, OfAConstantResultIsTakenOnce) {
  Net net;
  net.input("x", DType::f32, {ir::Dim(1)});
  ir::Value* y =
      net.b->emit("tile", {{"x", random_constant(net, DType::f32, {1}, 1)}, {"reps", std::vector<int64_t>{1 << 20}}});
  const auto limit = std::make_shared<MemoryLimit>(5 << 20);
  const auto e = load_within(net.finish({y}), limit);
  const auto got = run(*e, {random_tensor(DType::f32, {1}, 1)});
  ASSERT_TRUE(got) << render(got.error());
  EXPECT_LT(limit->used(), (4U << 20) + 1000);
}

// ---- stopping ----

// Pieces are handed out until the token is set, and no longer.
TEST(Cancel, IsHeardInsideALoop) {
  CancelToken token;
  RunOptions options;
  options.cancel = &token;
  const Env env(1);
  const engine::Plan plan;
  engine::Context context;
  struct Nothing final : engine::Step {
    Status run(const engine::Frame&) const override { return {}; }
  } step;
  const engine::Frame frame{plan, context, step, nullptr, nullptr, env, options};
  int64_t done = 0;
  frame.parallel_for(1'000'000, 1, [&](int64_t begin, int64_t end) {
    done += end - begin;
    token.cancel();
  });
  EXPECT_GT(done, 0);
  EXPECT_LT(done, 1000);
  done = 0;
  const RunOptions free;
  const engine::Frame other{plan, context, step, nullptr, nullptr, env, free};
  other.parallel_for(1'000'000, 1, [&](int64_t begin, int64_t end) { done += end - begin; });
  EXPECT_EQ(done, 1'000'000);
}

// Calls `work` with a token that is set soon; the work would take many minutes.
template <class Work>
void expect_cancelled(const Work& work) {
  CancelToken token;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    token.cancel();
  });
  const auto start = std::chrono::steady_clock::now();
  const Status s = work(&token);
  later.join();
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::cancelled) << render(s.error());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
}

// Windows of up to a million elements, millions of times. The result is larger than x: the builder does not fold it.
constexpr int64_t kSide = 1000;
ir::Value* pooled(Net& net, ir::Value* x, int64_t window = 1001) {
  const int64_t pad = (window - 1) / 2 + kSide / 2;
  return net.b->emit("max_pool", {{"x", x},
                                  {"kernel_sizes", std::vector<int64_t>{window, window}},
                                  {"pad_type", "custom"},
                                  {"pad", std::vector<int64_t>(4, pad)}});
}

TEST(Cancel, IsHeardInsideAReferenceKernel) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(1), ir::Dim(1), ir::Dim(kSide), ir::Dim(kSide)});
  const auto e = load(net.finish({pooled(net, x)}), {.reference = true});
  const Tensor in = random_tensor(DType::f32, {1, 1, kSide, kSide}, 1);
  expect_cancelled([&](const CancelToken* token) -> Status {
    RunOptions options;
    options.cancel = token;
    const auto got = run(*e, {in}, options);
    return got ? Status{} : fail(got.error());
  });
}

// Folding while a plan is made, as far as the budget goes for each of many, and another thread that waits for that
// plan.
TEST(Cancel, IsHeardWhilePlanning) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(1)});
  ir::Value* c = random_constant(net, DType::f32, {1, 1, kSide, kSide}, 1);
  ir::Values sums;
  for (int64_t i = 0; i < 100; ++i) sums.push_back(net.b->add(x, pooled(net, c, 1001 - 2 * i)));
  const auto e = load(net.finish(sums));
  const Shape shape{1};
  std::thread waiting;
  expect_cancelled([&](const CancelToken* token) {
    waiting = std::thread([&] {
      CancelToken mine;
      mine.cancel();
      const Status s = e->prepare({&shape, 1}, &mine);
      ASSERT_FALSE(s);
      EXPECT_EQ(s.error().code, Code::cancelled);
    });
    return e->prepare({&shape, 1}, token);
  });
  waiting.join();
}

}  // namespace
}  // namespace graft::engine_test
