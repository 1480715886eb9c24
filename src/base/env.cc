#include "base/env.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace graft {

// Workers wait for one job at a time; a caller that finds the pool busy runs its loop inline, so concurrent runs never
// wait for each other.
class ThreadPool {
 public:
  explicit ThreadPool(int workers) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~ThreadPool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

  // False when another loop is running.
  bool run(int64_t chunks, const std::function<void(int64_t)>& chunk) {
    std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner.owns_lock()) return false;
    {
      std::lock_guard lock(mutex_);
      job_ = &chunk;
      chunks_ = chunks;
      next_.store(0, std::memory_order_relaxed);
      pending_ = static_cast<int>(threads_.size());
      ++generation_;
    }
    wake_.notify_all();
    take(chunk);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    job_ = nullptr;
    return true;
  }

 private:
  void take(const std::function<void(int64_t)>& chunk) {
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < chunks_;) chunk(i);
  }
  void work() {
    uint64_t seen = 0;
    for (;;) {
      const std::function<void(int64_t)>* job = nullptr;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
        if (stop_) return;
        seen = generation_;
        job = job_;
      }
      take(*job);
      std::lock_guard lock(mutex_);
      if (--pending_ == 0) done_.notify_one();
    }
  }

  std::mutex owner_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  const std::function<void(int64_t)>* job_ = nullptr;
  int64_t chunks_ = 0;
  std::atomic<int64_t> next_{0};
  int pending_ = 0;
  uint64_t generation_ = 0;
  bool stop_ = false;
};

namespace {
thread_local bool inside_parallel_for = false;
}

Env::Env(int threads)
    : threads_(threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {
  if (threads_ > 1) pool_ = std::make_unique<ThreadPool>(threads_ - 1);
}
Env::~Env() = default;

void Env::parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) const {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t chunks = std::min<int64_t>((count + grain - 1) / grain, threads_);
  if (pool_ == nullptr || chunks <= 1 || inside_parallel_for) return body(0, count);
  const auto chunk = [&](int64_t i) {
    inside_parallel_for = true;
    body(count * i / chunks, count * (i + 1) / chunks);
    inside_parallel_for = false;
  };
  // Inline, but over the same chunks: the split may not depend on how busy the pool is.
  if (!pool_->run(chunks, chunk)) {
    for (int64_t i = 0; i < chunks; ++i) chunk(i);
  }
}

namespace {

std::string detect_cpu() {
#if defined(__x86_64__)
  char brand[49] = {};
  unsigned r[4];
  for (unsigned i = 0; i < 3; ++i) {
    if (__get_cpuid(0x80000002u + i, &r[0], &r[1], &r[2], &r[3]) == 0) break;
    std::memcpy(brand + 16 * i, r, 16);
  }
  std::string s = brand;
  while (!s.empty() && s.back() == ' ') s.pop_back();
  s += " (";
  if (__builtin_cpu_supports("avx2")) s += "avx2 ";
  if (__builtin_cpu_supports("avx512f")) s += "avx512f ";
  if (__builtin_cpu_supports("avx512vnni")) s += "avx512_vnni ";
  if (__get_cpuid_count(7, 1, &r[0], &r[1], &r[2], &r[3]) != 0 && (r[0] >> 5 & 1u)) s += "avx512_bf16 ";
  if (__get_cpuid_count(7, 0, &r[0], &r[1], &r[2], &r[3]) != 0 && (r[3] >> 24 & 1u)) s += "amx_tile ";
  s.back() = s.back() == ' ' ? ')' : s.back();
  if (s.back() == '(') s.resize(s.size() - 2);
  return s;
#else
  return "unknown CPU";
#endif
}

}  // namespace

std::string_view cpu_name() {
  static const std::string name = detect_cpu();
  return name;
}

}  // namespace graft
