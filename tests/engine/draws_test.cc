// Random numbers go on from run to run of an executable, and begin the same in each.
#include <set>
#include <thread>

#include "engine_support.h"

namespace graft::engine_test {
namespace {

std::shared_ptr<const Executable> drawing(bool seeded) {
  Net net;
  ir::Value* x = net.input("x", DType::f32, {ir::Dim::symbol("n", {0, 64})});
  const std::array<ir::Value*, 1> hints{x};
  ir::Value* shape = net.b->dims_value({x->dim(0)}, hints);
  ir::Value *low = net.b->scalar(DType::f32, 0), *high = net.b->scalar(DType::f32, 1);
  ir::Value* seed = seeded ? net.b->scalar(DType::i32, 7) : nullptr;
  return load(
      net.finish({net.b->emit("random_uniform", {{"shape", shape}, {"low", low}, {"high", high}, {"seed", seed}})}));
}

std::vector<float> drawn(const Executable& e, int64_t n) {
  const auto got = run(e, {random_tensor(DType::f32, {n}, 1)});
  EXPECT_TRUE(got) << (got ? "" : render(got.error()));
  if (!got) return {};
  const auto numbers = (*got)[0].span<const float>();
  return {numbers.begin(), numbers.end()};
}

TEST(Draws, GoOnFromRunToRunWhateverTheSizes) {
  for (const bool seeded : {false, true}) {
    const auto one = drawing(seeded), other = drawing(seeded);
    std::set<float> first_numbers;
    for (const int64_t n : {4, 4, 5, 4, 5}) {
      const std::vector<float> numbers = drawn(*one, n);
      ASSERT_EQ(numbers.size(), static_cast<size_t>(n));
      EXPECT_TRUE(first_numbers.insert(numbers[0]).second) << "the same numbers as in an earlier run";
      EXPECT_EQ(numbers, drawn(*other, n)) << "another executable goes on in another way";
    }
  }
}

TEST(Draws, OfRunsAtOnceDiffer) {
  const auto e = drawing(true);
  constexpr int kThreads = 4, kRuns = 50;
  std::vector<std::vector<float>> firsts(kThreads);
  std::vector<std::thread> threads;
  for (auto& list : firsts) {
    threads.emplace_back([&e, &list] {
      for (int i = 0; i < kRuns; ++i) list.push_back(drawn(*e, 8)[0]);
    });
  }
  for (std::thread& t : threads) t.join();
  std::set<float> all;
  for (const auto& list : firsts) all.insert(list.begin(), list.end());
  EXPECT_GT(all.size(), size_t{kThreads * kRuns - 3});  // of 2^24 floats two may be the same by chance
}

}  // namespace
}  // namespace graft::engine_test
