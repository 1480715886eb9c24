// What work must stay within: a limit on memory, and the caller's wish to stop. Handed to whatever allocates by sizes
// that a model names, and to whatever may take long.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/diag.h"
#include "base/env.h"

namespace graft {

// Memory that somebody keeps for next time and can do without.
class IdleMemory {
 public:
  virtual ~IdleMemory() = default;
  virtual void drop() = 0;
};

// Counts what is taken for one session. Safe from several threads at once.
class MemoryLimit {
 public:
  explicit MemoryLimit(size_t bytes) : bytes_(bytes) {}
  size_t bytes() const { return bytes_; }
  size_t used() const { return used_.load(std::memory_order_relaxed); }
  // Asked to drop what it keeps before anything is refused.
  void add(std::weak_ptr<IdleMemory> idle);

 private:
  friend class MemoryShare;
  bool take(size_t n);
  void give_back(size_t n) { used_.fetch_sub(n, std::memory_order_relaxed); }

  const size_t bytes_;
  std::atomic<size_t> used_{0};
  std::mutex mutex_;
  std::vector<std::weak_ptr<IdleMemory>> idle_;
};

// Memory counted against a limit until this dies.
class MemoryShare {
 public:
  MemoryShare() = default;
  // A null limit counts nothing. memory_limit where it is too much.
  static Result<MemoryShare> take(std::shared_ptr<MemoryLimit> limit, size_t bytes);
  MemoryShare(MemoryShare&& o) noexcept : limit_(std::move(o.limit_)), bytes_(std::exchange(o.bytes_, 0)) {}
  MemoryShare& operator=(MemoryShare&& o) noexcept;
  ~MemoryShare() { release(); }

 private:
  void release();

  std::shared_ptr<MemoryLimit> limit_;
  size_t bytes_ = 0;
};

// The error `cancelled` once the token is set, `time_limit` once its time is over; a null token never is.
Status check(const CancelToken* cancel);
// Waits for a mutex that another thread may hold for long.
Result<std::unique_lock<std::mutex>> lock(std::mutex& mutex, const CancelToken* cancel);

// The codes of work that was cut off and says nothing about what it was for: it may not be answered by another way.
constexpr bool out_of_bounds(Code c) {
  return c == Code::cancelled || c == Code::time_limit || c == Code::memory_limit || c == Code::out_of_memory;
}

struct Bounds {
  const CancelToken* cancel = nullptr;
  std::shared_ptr<MemoryLimit> memory;  // null: no limit
};

}  // namespace graft
