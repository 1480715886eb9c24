// Sizes that depend on data, and nested blocks.
#include "base/format.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

Tensor ints(const Shape& shape, std::vector<int32_t> v) {
  return Tensor::of<int32_t>(DType::i32, shape, std::span<const int32_t>(v));
}

std::vector<int32_t> as_ints(const Tensor& t) {
  const auto s = t.span<int32_t>();
  return {s.begin(), s.end()};
}

TEST(Dynamic, AReshapeToARunTimeShape) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(12)});
  ir::Value* s = net.input("s", DType::i32, {ir::Dim(2)});
  ir::Value* r = b.reshape(b.add(x, x), b.add(s, b.ints(std::vector<int64_t>{0, 1})));
  const auto e = load(net.finish({b.unary("exp", r), r, x}));
  const Tensor t = random_tensor(DType::f32, {12}, 1);
  for (const auto& [rows, columns] : {std::pair{3, 4}, {6, 2}, {3, 4}, {12, 1}}) {
    const auto out = run(*e, {t, ints({2}, {rows, columns - 1})});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ((*out)[0].shape(), (Shape{rows, columns}));
    EXPECT_EQ((*out)[1].span<float>()[5], 2 * t.span<float>()[5]);
    EXPECT_EQ(difference((*out)[2], t), 0);
  }
  const auto wrong = run(*e, {t, ints({2}, {5, 4})});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().op, "reshape");
}

TEST(Dynamic, TailsHaveTails) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n")});
  ir::Value* shape = net.input("shape", DType::i32, {ir::Dim(2)});
  ir::Value* reps = net.input("reps", DType::i32, {ir::Dim(2)});
  ir::Value* grid = b.reshape(x, shape);
  ir::Value* tiled = b.emit("tile", {{"x", grid}, {"reps", reps}});
  const auto e = load(net.finish({b.add(tiled, tiled), grid}));
  const Tensor t = random_tensor(DType::f32, {6}, 1);
  for (int turn = 0; turn < 40; ++turn) {  // more keys than are kept
    const int32_t r = turn % 20 + 1;
    const auto out = run(*e, {t, ints({2}, {2, 3}), ints({2}, {r, 2})});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ((*out)[0].shape(), (Shape{2 * r, 6}));
    EXPECT_EQ((*out)[0].span<float>()[7], 2 * t.span<float>()[4]);
  }
}

TEST(Dynamic, SizesThatOnlyAKernelKnows) {
  if (ops::table().find("non_zero") == nullptr) GTEST_SKIP() << "no row for non_zero";
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(6)});
  ir::Value* at = b.emit("non_zero", {{"x", x}});
  const auto e = load(net.finish({at, b.add(at, at), b.shape(at)}));
  for (const int n : {0, 2, 5, 6}) {
    Tensor t(DType::f32, Shape{6});
    for (int i = 0; i < 6; ++i) t.span<float>()[static_cast<size_t>(i)] = i < n ? 1.0f : 0.0f;
    const auto out = run(*e, {t});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ((*out)[0].shape(), (Shape{n, 1}));
    EXPECT_EQ(as_ints((*out)[2]), (std::vector<int32_t>{n, 1}));
    if (n > 1) {
      EXPECT_EQ((*out)[1].span<int32_t>()[1], 2);
    }
  }
}

// Each of them ends a plan; what goes on from there may not lie deeper on the stack, nor take longer than the last.
TEST(Dynamic, ThousandsOfSizesThatOnlyAKernelKnows) {
  Net net;
  auto& b = *net.b;
  ir::Value* v = net.input("x", DType::i32, {ir::Dim(3)});
  constexpr int kTimes = 20000;
  for (int i = 0; i < kTimes; ++i) {
    ir::Value* at = b.emit("non_zero", {{"x", v}});
    v = b.reshape(b.add(at, b.like(at, 1)), b.ints(std::vector<int64_t>{-1}));
  }
  const auto e = load(net.finish({v}));
  for (int turn = 0; turn < 2; ++turn) {
    const auto out = run(*e, {ints({3}, {7, 0, 7})});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ(as_ints((*out)[0]), (std::vector<int32_t>{1, 2}));
  }
}

std::unique_ptr<ir::Block> block_of(Net& net, const std::function<ir::Values(ir::Values)>& body,
                                    const std::vector<ir::Type>& inputs = {}) {
  auto block = std::make_unique<ir::Block>();
  block->function = net.f;
  for (const ir::Type& t : inputs) block->inputs.push_back(net.f->new_value(t, "var"));
  ir::Builder::BlockScope scope(*net.b, *block);
  block->outputs = body(block->inputs);
  return block;
}

TEST(ControlFlow, CondRunsOneBranchOnOuterValues) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n")});
  ir::Value* p = net.input("p", DType::boolean, {});
  ir::Value* twice = b.add(x, x);
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(block_of(net, [&](ir::Values) { return ir::Values{b.mul(twice, x)}; }));
  blocks.push_back(block_of(net, [&](ir::Values) { return ir::Values{x}; }));
  ir::Value* y = b.emit_blocks("cond", {{"pred", p}}, std::move(blocks), {x->type})[0];
  const auto e = load(net.finish({b.add(y, twice)}));
  const Tensor t = random_tensor(DType::f32, {4}, 1);
  for (const uint8_t yes : std::vector<uint8_t>{1, 0, 1}) {
    const Tensor pred = Tensor::of<uint8_t>(DType::boolean, Shape{}, std::span(&yes, 1));
    const auto out = run(*e, {t, pred});
    ASSERT_TRUE(out) << render(out.error());
    const float v = t.span<float>()[2];
    EXPECT_FLOAT_EQ((*out)[0].span<float>()[2], yes ? 2 * v * v + 2 * v : 3 * v);
  }
}

// A condition often guards its branches from sizes that they cannot take.
TEST(ControlFlow, ABranchThatIsNotRunNeedNotFit) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n")});
  ir::Value* three = net.input("three", DType::f32, {ir::Dim(3)});
  ir::Value* two = net.input("two", DType::f32, {ir::Dim(2)});
  ir::Value* p = net.input("p", DType::boolean, {});
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(block_of(net, [&](ir::Values) { return ir::Values{b.add(x, three)}; }));
  blocks.push_back(block_of(net, [&](ir::Values) { return ir::Values{b.add(x, two)}; }));
  const ir::Type open = ir::Type::tensor(DType::f32, {ir::Dim::symbol("m")});
  const auto e = load(net.finish({b.emit_blocks("cond", {{"pred", p}}, std::move(blocks), {open})[0]}));
  const Tensor a = random_tensor(DType::f32, {3}, 1), c = random_tensor(DType::f32, {2}, 2);
  for (const uint8_t yes : std::vector<uint8_t>{1, 0}) {
    const Tensor pred = Tensor::of<uint8_t>(DType::boolean, Shape{}, std::span(&yes, 1));
    for (const Tensor& given : {a, c}) {
      const bool fits = (given.shape() == a.shape()) == (yes == 1);
      const auto out = run(*e, {given, a, c, pred});
      ASSERT_EQ(out.has_value(), fits);
      if (fits) {
        EXPECT_FLOAT_EQ((*out)[0].span<float>()[1], 2 * given.span<float>()[1]);
      } else {
        EXPECT_EQ(out.error().code, Code::shape_mismatch);
      }
    }
    EXPECT_FALSE(run(*e, {random_tensor(DType::f32, {5}, 3), a, c, pred})) << "neither branch fits";
  }
}

TEST(ControlFlow, BranchesMayDifferInShape) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(4)});
  ir::Value* p = net.input("p", DType::boolean, {});
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(block_of(net, [&](ir::Values) { return ir::Values{b.concat({x, x}, 0)}; }));
  blocks.push_back(block_of(net, [&](ir::Values) { return ir::Values{x}; }));
  ir::Value* y = b.emit_blocks("cond", {{"pred", p}}, std::move(blocks),
                               {ir::Type::tensor(DType::f32, {ir::Dim::symbol("k")})})[0];
  const auto e = load(net.finish({b.unary("exp", y), y}));
  for (const uint8_t yes : std::vector<uint8_t>{1, 0}) {
    const auto out =
        run(*e, {random_tensor(DType::f32, {4}, 1), Tensor::of<uint8_t>(DType::boolean, Shape{}, std::span(&yes, 1))});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ((*out)[0].shape(), (Shape{yes ? 8 : 4}));
  }
}

TEST(ControlFlow, WhileCountsWithOuterValues) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(3)});
  ir::Value* n = net.input("n", DType::i32, {});
  const std::vector<ir::Type> vars = {n->type, x->type};
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(block_of(
      net, [&](ir::Values v) { return ir::Values{b.binary("less", v[0], n)}; }, vars));
  blocks.push_back(block_of(
      net,
      [&](ir::Values v) {
        return ir::Values{b.add(v[0], b.like(v[0], 1)), b.add(v[1], x)};
      },
      vars));
  ir::Value* zero = b.constant(ir::Constant::int_scalar(DType::i32, 0));
  const ir::Values y = b.emit_blocks("while_loop", {{"loop_vars", ir::Values{zero, x}}}, std::move(blocks), vars);
  const auto e = load(net.finish({y[0], y[1]}));
  const Tensor t = random_tensor(DType::f32, {3}, 1);
  for (const int32_t count : {0, 1, 7}) {
    const auto out = run(*e, {t, ints({}, {count})});
    ASSERT_TRUE(out) << render(out.error());
    EXPECT_EQ(as_ints((*out)[0])[0], count);
    EXPECT_NEAR((*out)[1].span<float>()[1], static_cast<float>(count + 1) * t.span<float>()[1], 1e-5);
  }
}

TEST(ControlFlow, LoopVariablesMayGrow) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(2)});
  const ir::Type open = ir::Type::tensor(DType::f32, {ir::Dim::symbol("k")});
  const std::vector<ir::Type> vars = {open};
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(block_of(
      net,
      [&](ir::Values v) {
        ir::Value* length = b.reduce("reduce_sum", b.shape(v[0]), Ints{0}, false);
        return ir::Values{b.binary("less", length, b.constant(ir::Constant::int_scalar(DType::i32, 9)))};
      },
      vars));
  blocks.push_back(block_of(
      net,
      [&](ir::Values v) {
        return ir::Values{b.concat({v[0], x}, 0)};
      },
      vars));
  ir::Value* y = b.emit_blocks("while_loop", {{"loop_vars", ir::Values{x}}}, std::move(blocks), {open})[0];
  const auto e = load(net.finish({b.add(y, y)}));
  const Tensor t = random_tensor(DType::f32, {2}, 1);
  const auto out = run(*e, {t});
  ASSERT_TRUE(out) << render(out.error());
  EXPECT_EQ((*out)[0].shape(), (Shape{10}));
  EXPECT_EQ((*out)[0].span<float>()[9], 2 * t.span<float>()[1]);
}

TEST(ControlFlow, AnEndlessLoopCanBeCancelled) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(2)});
  CancelToken token;
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(block_of(
      net, [&](ir::Values) { return ir::Values{b.constant(ir::Constant::int_scalar(DType::boolean, 1))}; }, {x->type}));
  blocks.push_back(block_of(net, [&](ir::Values v) { return ir::Values{b.add(v[0], x)}; }, {x->type}));
  ir::Value* y = b.emit_blocks("while_loop", {{"loop_vars", ir::Values{x}}}, std::move(blocks), {x->type})[0];
  const auto e = load(net.finish({y}));
  RunOptions options;
  options.cancel = &token;
  int turns = 0;
  options.profile = [&](std::string_view, double) {
    if (++turns == 50) token.cancel();
  };
  const auto r = run(*e, {random_tensor(DType::f32, {2}, 1)}, options);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::cancelled);
}

}  // namespace
}  // namespace graft::engine_test
