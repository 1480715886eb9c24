// How long a session's runs take, and how much memory.
#pragma once

#include "session/session.h"

namespace graft::tools {

struct BenchOptions {
  int runs = 50, warmup = 5;  // at least 1 and 0
};

struct BenchResult {
  double first_ms = 0;
  double min_ms = 0, median_ms = 0, p90_ms = 0, p99_ms = 0;
  int64_t peak_rss_bytes = 0;  // of the whole process so far
};

// `inputs` as session.run() takes them. Steady runs write into memory that was allocated before; a
// model with states keeps them from run to run. Errors: as running.
Result<BenchResult> bench(const session::Session& session, const Env& env, std::span<const TensorView> inputs,
                          const BenchOptions& options);

// By nearest rank, of sorted values.
double percentile(std::span<const double> sorted, double share);

}  // namespace graft::tools
