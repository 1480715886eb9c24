#include "tools/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/format.h"

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

Result<BenchResult> bench(const std::string& path, std::shared_ptr<const Env> env, const BenchOptions& options) {
  constexpr int kMaxRuns = 1'000'000;
  if (options.runs < 1 || options.runs > kMaxRuns)
    return fail(Code::invalid_option, format("option runs: {} is not between 1 and {}", options.runs, kMaxRuns));
  if (options.warmup < 0 || options.warmup > kMaxRuns)
    return fail(Code::invalid_option, format("option warmup: {} is not between 0 and {}", options.warmup, kMaxRuns));
  BenchResult r;
  r.path = path;
  r.threads = env->threads();
  r.cpu = cpu_name();
  r.runs = options.runs;
  r.warmup = options.warmup;
  r.seed = options.inputs.seed;
  if (env->progress) env->progress("loading", -1);
  Clock::time_point start = Clock::now();
  GRAFT_TRY(const auto session, session::Session::open(path, env, options.session));
  r.load_ms = ms_since(start);
  r.placement = session->placement();
  GRAFT_TRY(r.inputs, make_inputs(*session, options.inputs));
  std::vector<TensorView> in;
  for (const InputTensor& i : r.inputs) in.push_back(i.tensor.view());
  std::erase_if(r.inputs, [](const InputTensor& i) { return !i.tensor.valid(); });
  std::vector<engine::OutputSlot> out(session->outputs().size());
  start = Clock::now();
  GRAFT_CHECK(session->run(in, out));
  r.first_ms = ms_since(start);
  std::vector<Tensor> memory;
  for (engine::OutputSlot& o : out) {
    memory.push_back(std::move(o.owned));
    o.owned = Tensor();
    o.memory = memory.back().mutable_view();
  }
  if (env->progress) env->progress("measuring", 0);
  for (int i = 0; i < options.warmup; ++i) GRAFT_CHECK(session->run(in, out));
  std::vector<double> times;
  times.reserve(static_cast<size_t>(options.runs));
  for (int i = 0; i < options.runs; ++i) {
    start = Clock::now();
    GRAFT_CHECK(session->run(in, out));
    times.push_back(ms_since(start));
    if (env->progress && i % 10 == 9) env->progress("measuring", (i + 1.0) / options.runs);
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
