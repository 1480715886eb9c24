// How long loading and running take, and how much memory.
#pragma once

#include <string>

#include "session/session.h"
#include "tools/inputs.h"

namespace graft::tools {

struct BenchOptions {
  session::Options session;
  InputOptions inputs;
  int runs = 50, warmup = 5;
};

struct BenchResult {
  std::string path;
  session::Placement placement;
  std::vector<InputTensor> inputs;
  uint64_t seed = 0;
  double load_ms = 0, first_ms = 0;
  int runs = 0, warmup = 0;
  double min_ms = 0, median_ms = 0, p90_ms = 0, p99_ms = 0;
  int64_t peak_rss_bytes = 0;  // of the whole process so far
  int threads = 0;
  std::string cpu;
};

// Steady runs write into memory that was allocated before. Errors: as opening and running; invalid_option for counts.
Result<BenchResult> bench(const std::string& path, std::shared_ptr<const Env> env, const BenchOptions& options);

// By nearest rank, of sorted values.
double percentile(std::span<const double> sorted, double share);

}  // namespace graft::tools
