// A run whose shapes were seen before, into memory of the caller, allocates nothing. oneDNN's own library is counted
// too, so what it does inside a primitive is told apart.
#include <dlfcn.h>
#include <execinfo.h>

#include "engine_support.h"
#include "support/allocations.h"

namespace graft::engine_test {
namespace {

// Allocations of the fifth run.
long steady_allocations(const std::shared_ptr<const ir::Program>& program, const std::vector<Tensor>& inputs,
                        const std::vector<Shape>& results, Options options, int threads) {
  const auto e = load(program, options, threads);
  std::vector<TensorView> views;
  for (const Tensor& t : inputs) views.push_back(t.view());
  std::vector<Tensor> memory;
  std::vector<OutputSlot> slots(results.size());
  for (size_t i = 0; i < results.size(); ++i) {
    memory.emplace_back(e->outputs()[i].type.dtype, results[i]);
    slots[i].memory = memory.back().mutable_view();
  }
  long before = 0;
  for (int i = 0; i < 5; ++i) {
    before = test::allocations_of_this_thread();
    const Status s = e->run(views, slots);
    EXPECT_TRUE(s) << (s ? "" : render(s.error()));
  }
  return test::allocations_of_this_thread() - before;
}

std::shared_ptr<const ir::Program> sample(bool dense, bool dynamic) {
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim(1), ir::Dim(8), ir::Dim(16), ir::Dim(16)});
  ir::Value* v = b.unary("silu", b.mul(x, random_constant(net, DType::f32, {8, 1, 1}, 1)));
  if (dense) {
    v = b.emit("conv", {{"x", v}, {"weight", random_constant(net, DType::f32, {8, 8, 3, 3}, 2)}, {"pad_type", "same"}});
    v = b.add(b.unary("relu", v), x);
    v = b.emit("max_pool", {{"x", v},
                            {"kernel_sizes", std::vector<int64_t>{2, 2}},
                            {"strides", std::vector<int64_t>{2, 2}},
                            {"pad_type", "valid"}});
  }
  v = b.reduce("reduce_mean", v, Ints{2, 3}, false);
  if (dynamic) {
    ir::Value* s = net.input("s", DType::i32, {ir::Dim(2)});
    v = b.reshape(v, s);
  }
  v = b.emit("softmax", {{"x", v}});
  v = b.transpose(v, Ints{1, 0});
  ir::Value* picked = b.gather(v, b.ints(std::vector<int64_t>{1, 0}), 0);
  return net.finish({b.concat({v, picked}, 0), b.unary("exp", v)});
}

TEST(Allocation, NoneInSteadyState) {
  const Tensor x = random_tensor(DType::f32, {1, 8, 16, 16}, 1);
  for (const int threads : {1, 2}) {
    EXPECT_EQ(steady_allocations(sample(false, false), {x}, {{10, 1}, {8, 1}}, {}, threads), 0);
    EXPECT_EQ(steady_allocations(sample(true, false), {x}, {{10, 1}, {8, 1}}, {.onednn = false}, threads), 0);
    EXPECT_EQ(steady_allocations(sample(true, false), {x}, {{10, 1}, {8, 1}}, {.reference = true}, threads), 0);
  }
}

TEST(Allocation, NoneWhenShapesDependOnData) {
  const Tensor x = random_tensor(DType::f32, {1, 8, 16, 16}, 1);
  Tensor s(DType::i32, Shape{2});
  s.span<int32_t>()[0] = 4;
  s.span<int32_t>()[1] = 2;
  EXPECT_EQ(steady_allocations(sample(false, true), {x, s}, {{4, 4}, {2, 4}}, {}, 1), 0);
}

#ifdef GRAFT_HAVE_ONEDNN
// Who asked, by the call stack.
thread_local long by_onednn = 0, by_others = 0;
void attribute() {
  void* frames[64];
  const int n = backtrace(frames, 64);
  for (int i = 0; i < n; ++i) {
    Dl_info info{};
    if (dladdr(frames[i], &info) == 0 || info.dli_fname == nullptr) continue;
    if (std::string_view(info.dli_fname).find("libdnnl") == std::string_view::npos) continue;
    ++by_onednn;
    return;
  }
  ++by_others;
}

// dnnl_primitive_execute() of oneDNN 3.2 copies the arguments that it is given into a map of its own (buckets and a
// node for each), and kernels with binary post-ops list the operands of those: no caller can change that. It is bounded
// for each primitive, and nothing else in a run allocates.
TEST(Allocation, OnlyOneDnnsOwnWithOneDnn) {
  const Tensor x = random_tensor(DType::f32, {1, 8, 16, 16}, 1);
  const auto e = load(sample(true, false));
  const TensorView in = x.view();
  Tensor a(DType::f32, Shape{10, 1}), b(DType::f32, Shape{8, 1});
  std::vector<OutputSlot> slots(2);
  slots[0].memory = a.mutable_view();
  slots[1].memory = b.mutable_view();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(e->run({&in, 1}, slots));
  attribute();  // its first call loads what it needs
  by_onednn = by_others = 0;
  test::on_allocation(attribute);
  const Status s = e->run({&in, 1}, slots);
  test::on_allocation(nullptr);
  ASSERT_TRUE(s) << render(s.error());
  EXPECT_EQ(by_others, 0);
  constexpr long kPrimitives = 2;  // the convolution with what follows it, the pool
  EXPECT_GT(by_onednn, 0) << "the test no longer sees what oneDNN does";
  EXPECT_LE(by_onednn, kPrimitives * 12) << "oneDNN's share has grown";
  RecordProperty("allocations_by_onednn", static_cast<int>(by_onednn));
}
#endif

}  // namespace
}  // namespace graft::engine_test
