// What a caller lends to the library: threads, memory, a logger, progress. Nothing else in Graft owns threads or writes
// to a stream.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace graft {

enum class LogLevel : uint8_t { debug, info, warning, error };

class ThreadPool;

// Immutable once shared; safe to use from many threads.
class Env {
 public:
  // threads: how many take part in one parallel_for, the caller included; 0 means one for each CPU.
  explicit Env(int threads = 0);
  ~Env();
  int threads() const { return threads_; }
  // Calls body(begin, end) over disjoint chunks that cover [0, count), at least `grain` long; returns when all are
  // done, whoever did them. The split depends on count, grain and threads() only, not on who runs what. Safe to call
  // from several threads at once, in a child of fork() (its threads are made anew), and from inside a body (then it
  // runs inline). What a body throws is thrown here.
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) const;

  // Called by the threads that run, also by several at once.
  std::function<void(LogLevel, std::string_view)> log;                    // may be empty
  std::function<void(std::string_view stage, double fraction)> progress;  // may be empty

 private:
  int threads_;
  std::unique_ptr<ThreadPool> pool_;
};

// Asks work to stop: set by the caller from any thread, or by itself once its time is over. Looked at wherever work may
// take long.
class CancelToken {
 public:
  using Time = std::chrono::milliseconds;
  CancelToken() = default;
  // Set with `outer` too (null: nobody's; must outlive this one), and after `limit` (0: never).
  CancelToken(const CancelToken* outer, Time limit);
  void cancel() { flag_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return flag_.load(std::memory_order_relaxed) || (timed_ && over()); }
  // The limit that is over, its own or an outer one's; 0: none is.
  Time exceeded() const;

 private:
  bool over() const;

  std::atomic<bool> flag_{false};
  const bool timed_ = false;  // there is a limit, or an outer token
  const CancelToken* const outer_ = nullptr;
  const Time limit_{0};
  const Time end_{0};  // by the clock of env.cc; meaningless without a limit
};

// How often fork() stood between this process and the one that loaded the library. Threads that were made when it was
// less do not exist any more.
uint64_t forks();

// The CPU's marketing name and the vector extensions found, for reports: "AMD EPYC 9B14 (avx512f avx512_bf16)".
std::string_view cpu_name();

}  // namespace graft
