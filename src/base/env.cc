#include "base/env.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>

#include "base/thread_pool.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace graft {

namespace {

// A loop inside a loop's body runs inline: the cores are taken already.
thread_local bool inside_loop = false;
struct InsideLoop {
  InsideLoop() { inside_loop = true; }
  ~InsideLoop() { inside_loop = false; }
};

// Chunks for each thread: enough that a thread which loses its core for a while does not hold up the others' work.
constexpr int64_t kChunksEach = 4;

}  // namespace

Env::Env(int threads)
    : threads_(threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))),
      pool_(std::make_unique<ThreadPool>(threads_ - 1)) {}
Env::~Env() = default;

void Env::parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) const {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t chunks = std::min<int64_t>((count - 1) / grain + 1, kChunksEach * threads_);
  if (threads_ == 1 || chunks == 1 || inside_loop) return body(0, count);
  const std::function<void(int64_t, int64_t)> marked = [&body](int64_t begin, int64_t end) {
    const InsideLoop inside;
    body(begin, end);
  };
  Loop loop{marked, count, chunks};
  pool_->run(loop);
}

namespace {

// A clock that never goes back, and costs less than the steps between which it is asked: a few milliseconds off.
CancelToken::Time now() {
#if defined(CLOCK_MONOTONIC_COARSE)
  constexpr clockid_t kClock = CLOCK_MONOTONIC_COARSE;
#else
  constexpr clockid_t kClock = CLOCK_MONOTONIC;
#endif
  timespec t{};
  ::clock_gettime(kClock, &t);
  return std::chrono::duration_cast<CancelToken::Time>(std::chrono::seconds(t.tv_sec) +
                                                       std::chrono::nanoseconds(t.tv_nsec));
}

}  // namespace

CancelToken::CancelToken(const CancelToken* outer, Time limit)
    : timed_(outer != nullptr || limit.count() > 0), outer_(outer), limit_(limit), end_(now() + limit) {}

bool CancelToken::over() const {
  return (outer_ != nullptr && outer_->cancelled()) || (limit_.count() > 0 && now() >= end_);
}

CancelToken::Time CancelToken::exceeded() const {
  if (limit_.count() > 0 && now() >= end_) return limit_;
  return outer_ == nullptr ? Time(0) : outer_->exceeded();
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
