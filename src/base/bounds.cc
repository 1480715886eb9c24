#include "base/bounds.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/format.h"

namespace graft {

void MemoryLimit::add(std::weak_ptr<IdleMemory> idle) {
  std::lock_guard lock(mutex_);
  std::erase_if(idle_, [](const auto& i) { return i.expired(); });
  idle_.push_back(std::move(idle));
}

bool MemoryLimit::take(size_t n) {
  const auto fits = [&] {
    size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (n > bytes_ || used > bytes_ - n) return false;
    } while (!used_.compare_exchange_weak(used, used + n, std::memory_order_relaxed));
    return true;
  };
  if (fits()) return true;
  if (n > bytes_) return false;
  std::vector<std::weak_ptr<IdleMemory>> all;
  {
    std::lock_guard lock(mutex_);
    all = idle_;
  }
  for (const auto& i : all) {
    if (const auto idle = i.lock()) idle->drop();
  }
  return fits();
}

Result<MemoryShare> MemoryShare::take(std::shared_ptr<MemoryLimit> limit, size_t bytes) {
  MemoryShare share;
  if (limit == nullptr || bytes == 0) return share;
  if (!limit->take(bytes))
    return fail(Code::memory_limit,
                format("{} bytes are asked for with {} in use; the memory limit is {} bytes (option "
                       "memory_limit)",
                       bytes, limit->used(), limit->bytes()));
  share.limit_ = std::move(limit);
  share.bytes_ = bytes;
  return share;
}

MemoryShare& MemoryShare::operator=(MemoryShare&& o) noexcept {
  if (this == &o) return *this;
  release();
  limit_ = std::move(o.limit_);
  bytes_ = std::exchange(o.bytes_, 0);
  return *this;
}

void MemoryShare::release() {
  if (limit_ != nullptr) limit_->give_back(bytes_);
  limit_ = nullptr;
}

Status check(const CancelToken* cancel) {
  if (cancel == nullptr || !cancel->cancelled()) return {};
  if (const CancelToken::Time limit = cancel->exceeded(); limit.count() > 0)
    return fail(Code::time_limit, format("it takes longer than {} s, the time limit (option time_limit)",
                                         static_cast<double>(limit.count()) / 1000));
  return fail(Code::cancelled, "cancelled by the caller");
}

Result<std::unique_lock<std::mutex>> lock(std::mutex& mutex, const CancelToken* cancel) {
  if (cancel == nullptr) return std::unique_lock(mutex);
  std::unique_lock held(mutex, std::defer_lock);
  // Not a timed mutex: g++ 12's ThreadSanitizer does not see pthread_mutex_clocklock.
  for (auto pause = std::chrono::microseconds(20); !held.try_lock();) {
    GRAFT_CHECK(check(cancel));
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::microseconds(1000));
  }
  return held;
}

}  // namespace graft
