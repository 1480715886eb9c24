#include "tools/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace graft::tools {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

int64_t peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  return usage.ru_maxrss;
#else
  return int64_t{usage.ru_maxrss} * 1024;
#endif
}

}  // namespace

double percentile(std::span<const double> sorted, double share) {
  if (sorted.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::clamp(rank - 1, 0.0, static_cast<double>(sorted.size() - 1)))];
}

Result<BenchResult> bench(const session::Session& session, const Env& env, std::span<const TensorView> inputs,
                          const BenchOptions& options) {
  BenchResult r;
  std::vector<backend::OutputSlot> out(session.outputs().size());
  GRAFT_TRY(const std::unique_ptr<backend::State> state, session.new_state());
  backend::RunOptions how;
  if (!session.states().empty()) how.state = state.get();
  Clock::time_point start = Clock::now();
  GRAFT_CHECK(session.run(inputs, out, how));
  r.first_ms = ms_since(start);
  std::vector<Tensor> memory;
  for (backend::OutputSlot& o : out) {
    memory.push_back(std::move(o.owned));
    o.owned = Tensor();
    o.memory = memory.back().mutable_view();
  }
  if (env.progress) env.progress("measuring", 0);
  for (int i = 0; i < options.warmup; ++i) GRAFT_CHECK(session.run(inputs, out, how));
  std::vector<double> times;
  times.reserve(static_cast<size_t>(options.runs));
  for (int i = 0; i < options.runs; ++i) {
    start = Clock::now();
    GRAFT_CHECK(session.run(inputs, out, how));
    times.push_back(ms_since(start));
    if (env.progress && i % 10 == 9) env.progress("measuring", (i + 1.0) / options.runs);
  }
  std::sort(times.begin(), times.end());
  r.min_ms = times.front();
  r.median_ms = percentile(times, 0.5);
  r.p90_ms = percentile(times, 0.9);
  r.p99_ms = percentile(times, 0.99);
  r.peak_rss_bytes = peak_rss();
  return r;
}

}  // namespace graft::tools
