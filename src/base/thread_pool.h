// The workers behind Env::parallel_for. Private to base/.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>

namespace graft {

// One parallel loop, on its caller's stack. Chunk i is [count * i / chunks, count * (i + 1) / chunks); who runs it is
// decided by who comes first.
struct Loop {
  const std::function<void(int64_t, int64_t)>& body;
  const int64_t count, chunks;

  std::atomic<int64_t> next{0};          // the first chunk that nobody has taken
  std::atomic<int> helpers{0};           // workers inside; written under the pool's lock
  std::exception_ptr failure = nullptr;  // the first one; under the pool's lock
  Loop* after = nullptr;                 // in the pool's list

  bool open() const { return next.load(std::memory_order_relaxed) < chunks; }
};

// A loop ends when its chunks are done: the caller takes chunks like any worker, and waits only for workers that are
// inside one, never for one that has not woken. Several loops may run at once; workers help the oldest that has chunks
// left. Waiting spins for a tenth of a millisecond, yielding meanwhile, and then sleeps, so that a busy machine's cores
// go to whoever has work.
//
// fork(): the child has the calling thread alone. Its first loop there starts workers anew.
class ThreadPool {
 public:
  // workers: beside the callers; started by the first loop. Where the system gives fewer threads, there are fewer.
  explicit ThreadPool(int workers) : workers_(workers) {}
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  // Returns when every chunk is done. What a chunk throws is thrown here, once, and the chunks not yet begun are left.
  void run(Loop& loop);

 private:
  class Crew;
  Crew& crew();

  const int workers_;
  std::atomic<Crew*> crew_{nullptr};
};

}  // namespace graft
