#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/env.h"

namespace graft {
namespace {

// Process-wide because fork() is.
std::atomic<uint64_t> fork_count{0};

// About 100 microseconds, longer than a network's gaps between loops. Every two of them the core is offered to whoever
// else wants it: on a busy machine waiting costs others next to nothing.
constexpr int kSpins = 5000, kYield = 100;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Done>
bool spin_until(const Done& done) {
  for (int i = 1; i <= kSpins; ++i) {
    if (done()) return true;
    if (i % kYield == 0)
      ::sched_yield();
    else
      pause();
  }
  return false;
}

}  // namespace

uint64_t forks() {
  static std::once_flag once;
  std::call_once(once, [] { ::pthread_atfork(nullptr, nullptr, [] { ++fork_count; }); });
  return fork_count.load(std::memory_order_relaxed);
}

class ThreadPool::Crew {
 public:
  explicit Crew(int workers) : born_(forks()) {
    threads_.reserve(static_cast<size_t>(workers));
    try {
      for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {  // as many as there are
    }
  }
  ~Crew() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  // False in a child of fork(): its threads do not exist and its lock may be held for ever.
  bool alive() const { return born_ == forks(); }

  void run(Loop& loop) {
    {
      std::lock_guard lock(mutex_);
      Loop** end = &loops_;
      while (*end != nullptr) end = &(*end)->after;
      *end = &loop;
      posted_.fetch_add(1, std::memory_order_release);
    }
    const auto wanted = std::min<int64_t>(loop.chunks - 1, static_cast<int64_t>(threads_.size()));
    for (int64_t i = 0; i < wanted; ++i) wake_.notify_one();
    take(loop);
    std::unique_lock lock(mutex_);
    Loop** at = &loops_;
    while (*at != &loop) at = &(*at)->after;
    *at = loop.after;
    const auto left = [&loop] { return loop.helpers.load(std::memory_order_acquire) == 0; };
    if (!left()) {
      lock.unlock();
      spin_until(left);
      lock.lock();  // also: the last helper has let go of the loop
      done_.wait(lock, left);
    }
  }

 private:
  void take(Loop& loop) {
    try {
      for (int64_t i; (i = loop.next.fetch_add(1, std::memory_order_relaxed)) < loop.chunks;)
        loop.body(loop.count * i / loop.chunks, loop.count * (i + 1) / loop.chunks);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (loop.failure == nullptr) loop.failure = std::current_exception();
      loop.next.store(loop.chunks, std::memory_order_relaxed);
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      Loop* loop = loops_;
      while (loop != nullptr && !loop->open()) loop = loop->after;
      if (loop == nullptr) {
        idle(lock);
        continue;
      }
      loop->helpers.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      take(*loop);
      lock.lock();
      if (loop->helpers.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
    }
  }

  void idle(std::unique_lock<std::mutex>& lock) {
    const uint64_t seen = posted_.load(std::memory_order_relaxed);
    const auto news = [&] { return posted_.load(std::memory_order_acquire) != seen; };
    lock.unlock();
    spin_until(news);
    lock.lock();
    wake_.wait(lock, [&] { return stop_ || news(); });
  }

  const uint64_t born_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Loop* loops_ = nullptr;            // oldest first
  std::atomic<uint64_t> posted_{0};  // loops so far
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

ThreadPool::~ThreadPool() {
  // A crew of the parent process is left as it is: nothing of it can be joined or unlocked here.
  if (Crew* crew = crew_.load(); crew != nullptr && crew->alive()) delete crew;
}

ThreadPool::Crew& ThreadPool::crew() {
  Crew* crew = crew_.load(std::memory_order_acquire);
  if (crew != nullptr && crew->alive()) return *crew;
  auto made = std::make_unique<Crew>(workers_);
  if (crew_.compare_exchange_strong(crew, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *crew;  // another thread was first
}

void ThreadPool::run(Loop& loop) {
  crew().run(loop);
  if (loop.failure != nullptr) std::rethrow_exception(loop.failure);
}

}  // namespace graft
