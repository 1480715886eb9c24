// Memory that is counted, what is dropped before anything is refused, waiting that hears cancel, and where the
// machine's own limit is read.
#include "base/bounds.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/machine.h"
#include "base/tensor.h"

namespace graft {
namespace {

TEST(Memory, IsCountedWhileItLives) {
  const auto limit = std::make_shared<MemoryLimit>(1000);
  {
    const Result<MemoryShare> a = MemoryShare::take(limit, 600);
    ASSERT_TRUE(a);
    EXPECT_EQ(limit->used(), 600U);
    const Result<MemoryShare> b = MemoryShare::take(limit, 401);
    ASSERT_FALSE(b);
    EXPECT_EQ(b.error().code, Code::memory_limit);
    EXPECT_EQ(b.error().message,
              "401 bytes are asked for with 600 in use; the memory limit is 1000 bytes (option "
              "memory_limit)");
    EXPECT_TRUE(MemoryShare::take(limit, 400));
    EXPECT_EQ(limit->used(), 600U);
  }
  EXPECT_EQ(limit->used(), 0U);
  EXPECT_FALSE(MemoryShare::take(limit, SIZE_MAX));
  EXPECT_TRUE(MemoryShare::take(nullptr, SIZE_MAX));
}

TEST(Memory, OfATensorIsCountedUntilItIsHandedOver) {
  const auto limit = std::make_shared<MemoryLimit>(100);
  Result<Tensor> t = Tensor::allocate(DType::f32, {20}, limit);
  ASSERT_TRUE(t);
  Tensor copy = *t;
  EXPECT_EQ(limit->used(), 80U);
  const Result<Tensor> more = Tensor::allocate(DType::f32, {6}, limit);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Code::memory_limit);
  EXPECT_NE(more.error().message.find("fp32[6]"), std::string::npos) << more.error().message;
  *t = Tensor();
  EXPECT_EQ(limit->used(), 80U);
  copy.hand_over();
  EXPECT_EQ(limit->used(), 0U);
  copy = Tensor();
  EXPECT_EQ(limit->used(), 0U);
  EXPECT_TRUE(Tensor::allocate(DType::string, {3}, limit));
  EXPECT_FALSE(Tensor::allocate(DType::string, {4}, limit));  // a string is 32 bytes
}

TEST(Memory, WhatIsIdleIsDroppedBeforeAnythingIsRefused) {
  struct Pool final : IdleMemory {
    std::vector<MemoryShare> kept;
    void drop() override { kept.clear(); }
  };
  const auto limit = std::make_shared<MemoryLimit>(100);
  const auto pool = std::make_shared<Pool>();
  limit->add(pool);
  limit->add(std::make_shared<Pool>());  // gone at once
  pool->kept.push_back(*MemoryShare::take(limit, 70));
  EXPECT_FALSE(MemoryShare::take(limit, 101));
  EXPECT_EQ(limit->used(), 70U) << "dropping would not have helped";
  EXPECT_TRUE(MemoryShare::take(limit, 31));
  EXPECT_EQ(limit->used(), 0U);
}

TEST(Bounds, WaitingForAMutexHearsCancel) {
  std::mutex mutex;
  CancelToken token;
  EXPECT_TRUE(lock(mutex, &token));
  EXPECT_TRUE(lock(mutex, nullptr));
  const std::lock_guard held(mutex);
  std::thread waiting([&] {
    const auto got = lock(mutex, &token);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::cancelled);
  });
  token.cancel();
  waiting.join();
}

TEST(Bounds, ATokenIsSetByItselfByAnOuterOneAndByTime) {
  using Time = CancelToken::Time;
  EXPECT_TRUE(check(nullptr));
  CancelToken outer;
  CancelToken inner(&outer, Time(0)), timed(nullptr, Time(20));
  const CancelToken nested(&timed, std::chrono::hours(1));
  EXPECT_TRUE(check(&inner));
  EXPECT_TRUE(check(&nested));
  outer.cancel();
  EXPECT_EQ(check(&inner).error().code, Code::cancelled);
  while (!timed.cancelled()) std::this_thread::sleep_for(Time(1));
  for (const CancelToken* token : {&std::as_const(timed), &nested}) {
    const Status late = check(token);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Code::time_limit);
    EXPECT_NE(late.error().message.find("0.02 s, the time limit (option time_limit)"), std::string::npos);
  }
  EXPECT_TRUE(out_of_bounds(Code::time_limit));
}

class ControlGroup : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(testing::TempDir()) / "control_group";
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  size_t limit() const { return control_group_memory(root_.string()); }
  std::filesystem::path root_;
};

TEST_F(ControlGroup, NoneIsNoLimit) {
  EXPECT_EQ(limit(), SIZE_MAX);
  write("proc/self/cgroup", "broken\n:\n0::\n");
  EXPECT_EQ(limit(), SIZE_MAX);
}

TEST_F(ControlGroup, TheLeastOfAGroupAndItsParents) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  EXPECT_EQ(limit(), SIZE_MAX);
  write("sys/fs/cgroup/a/memory.max", "3000000\n");
  EXPECT_EQ(limit(), 3000000U);
  write("sys/fs/cgroup/a/b/memory.max", "2000000\n");
  EXPECT_EQ(limit(), 2000000U);
}

TEST_F(ControlGroup, InAContainerTheTopCounts) {
  write("proc/self/cgroup", "0::/\n");
  write("sys/fs/cgroup/memory.max", "5000000\n");
  EXPECT_EQ(limit(), 5000000U);
  write("proc/self/cgroup", "0::/docker/not-visible-here\n");
  EXPECT_EQ(limit(), 5000000U);
}

TEST_F(ControlGroup, VersionOne) {
  write("proc/self/cgroup", "12:cpu,cpuacct:/x\n5:memory:/docker/1\n");
  write("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "7000000\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(limit(), 7000000U);
}

TEST(Machine, HasMemory) { EXPECT_GT(machine_memory(), size_t{1} << 20); }

}  // namespace
}  // namespace graft
