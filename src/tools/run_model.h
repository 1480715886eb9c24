// One run of a model, with what went in, what came out, and where it was planned.
#pragma once

#include <string>
#include <vector>

#include "session/session.h"
#include "tools/inputs.h"

namespace graft::tools {

struct RunModelOptions {
  session::Options session;
  InputOptions inputs;
  std::string output_folder;  // empty: nothing is written
  int top_k = 0;              // 0: not asked for
};

struct Ranked {
  int64_t index = 0;
  double value = 0;
  std::string label;  // empty when the model names none
};

struct OutputTensor {
  std::string name;
  Tensor tensor;
  std::string file;                   // where it was written; empty when it was not
  double min = 0, max = 0, mean = 0;  // of finite elements; real dtypes only
  int64_t nans = 0, infs = 0;
  std::vector<std::vector<Ranked>> top;  // one list a row of the last dim, at most 8 rows
};

struct RunResult {
  std::string path;
  std::vector<InputTensor> inputs;
  uint64_t seed = 0;
  std::vector<OutputTensor> outputs;
  session::Placement placement;
  std::vector<Diag> findings;
  double load_ms = 0, run_ms = 0;
};

// Errors: what opening and running brings; would_overwrite where an output cannot go because something else than a file
// has its name. Outputs are written to the disk whole before the first of them takes its place.
Result<RunResult> run_model(const std::string& path, std::shared_ptr<const Env> env, const RunModelOptions& options);

// Runs once with owned results.
Result<std::vector<Tensor>> run_once(const session::Session& session, const std::vector<InputTensor>& inputs,
                                     const engine::RunOptions& options = {});
// The metadata key "labels" (class names separated by commas), else none.
std::vector<std::string> labels_of(const session::Session& session);
// The k largest of `count` elements from element `first` on; NaN ranks last, ties by index.
std::vector<Ranked> top_of(const TensorView& t, int64_t first, int64_t count, int k,
                           const std::vector<std::string>& labels);

}  // namespace graft::tools
