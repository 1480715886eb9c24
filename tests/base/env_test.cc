#include "base/env.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace graft {
namespace {

using Chunks = std::set<std::pair<int64_t, int64_t>>;

Chunks split(const Env& env, int64_t count, int64_t grain) {
  Chunks chunks;
  std::mutex mutex;
  env.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    std::lock_guard lock(mutex);
    EXPECT_TRUE(chunks.insert({begin, end}).second);
  });
  return chunks;
}

TEST(Env, ChunksCoverTheRangeOnce) {
  const Env env(3);
  for (int64_t count : {1, 2, 11, 12, 13, 1000}) {
    for (int64_t grain : {0, 1, 5, 1000}) {
      int64_t at = 0;
      for (const auto& [begin, end] : split(env, count, grain)) {
        EXPECT_EQ(begin, at);
        EXPECT_LT(begin, end);
        at = end;
      }
      EXPECT_EQ(at, count);
    }
  }
  EXPECT_TRUE(split(env, 0, 1).empty());
  EXPECT_TRUE(split(env, -5, 1).empty());
}

TEST(Env, ChunksAreMoreThanThreadsAndDoNotDependOnWhoRunsThem) {
  const Env env(2);
  const Chunks alone = split(env, 1000, 1);
  EXPECT_GT(alone.size(), 2u);
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) EXPECT_EQ(split(env, 1000, 1), alone);
    });
  }
  for (std::thread& t : callers) t.join();
}

// The one worker is inside another caller's loop, which ends only after ours: a loop that waited for all workers, or
// for its turn, would never return.
TEST(Env, ALoopWaitsForItsChunksOnly) {
  const Env env(2);
  std::atomic<int> inside{0};
  std::atomic<bool> release{false};
  std::thread other([&] {
    env.parallel_for(2, 1, [&](int64_t, int64_t) {
      ++inside;
      while (!release) std::this_thread::yield();
    });
  });
  while (inside < 2) std::this_thread::yield();  // its caller and the worker
  std::atomic<int64_t> sum{0};
  env.parallel_for(100, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum += i;
  });
  EXPECT_EQ(sum, 4950);
  release = true;
  other.join();
}

TEST(Env, TwoLoopsRunAtOnce) {
  const Env env(3);
  std::atomic<int> inside{0};
  const auto meet = [&](int64_t, int64_t) {  // three chunks wait for each other across two loops
    ++inside;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (inside < 3 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
    EXPECT_GE(inside, 3);
  };
  std::thread other([&] { env.parallel_for(2, 1, meet); });
  env.parallel_for(2, 1, meet);
  other.join();
}

TEST(Env, ALoopInsideALoopRunsInline) {
  const Env env(2);
  std::atomic<int64_t> sum{0};
  env.parallel_for(4, 1, [&](int64_t, int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    env.parallel_for(10, 1, [&](int64_t begin, int64_t end) {
      EXPECT_EQ(std::this_thread::get_id(), outer);
      sum += end - begin;
    });
  });
  EXPECT_EQ(sum, 40);
}

TEST(Env, WhatABodyThrowsReachesTheCaller) {
  const Env env(2);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THROW(env.parallel_for(8, 1,
                                  [](int64_t begin, int64_t) {
                                    if (begin >= 2) throw std::runtime_error("no");
                                  }),
                 std::runtime_error);
  }
  EXPECT_EQ(split(env, 8, 1).size(), 8u);  // and the pool works on
}

#if !defined(__SANITIZE_THREAD__)
// Exit code of a child that calls `body` and ends with 0 when it returned true; 255 when it hung.
int in_child(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST(Env, ForkedChildrenHaveThreadsOfTheirOwn) {
  const Env env(3);
  const Chunks here = split(env, 1000, 1);
  const auto use = [&] { return split(env, 1000, 1) == here; };
  EXPECT_EQ(in_child(use), 0);
  EXPECT_EQ(in_child([&] { return use() && in_child(use) == 0; }), 0);  // a grandchild
  EXPECT_EQ(in_child([&] {
              auto inner = std::make_unique<Env>(2);
              return split(*inner, 10, 1).size() == 8 && in_child([&] { return inner.reset(), true; }) == 0;
            }),
            0);  // freed where its threads do not exist
  EXPECT_TRUE(use());
}
#endif

}  // namespace
}  // namespace graft
