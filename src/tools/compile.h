// ONNX to Core ML packages.
#pragma once

#include "tools/inspect.h"

namespace graft::tools {

struct CompileOptions {
  session::Options session;
  bool overwrite = false;      // a package may take the place of a partial compile's folder, or the other way round
  bool allow_partial = false;  // `output` is a folder of packages, one a partition, with report.json beside them
};

struct WrittenPackage {
  std::string path;  // as given; for partial compiles the place inside `output`
  std::string target;
  int64_t bytes = 0;
  int nodes = 0;
  std::vector<onnx::Border> inputs, outputs;
};

struct Compilation {
  Inspection verdict;
  bool done = false;  // false: the whole graph was asked for and some node is refused; nothing was written
  std::string output;
  std::vector<WrittenPackage> packages;
  double seconds = 0;
};

// The schema of its report, by which it knows its own folders.
inline constexpr std::string_view kCompileSchema = "graft.compile/1";

// Writes nothing unless it succeeds; then `output` is replaced in one step, with everything on the disk. Only what this
// function wrote is ever replaced: a package with nothing else in it, or a partial compile's folder; links at `output`
// are followed. `write_report`, for partial compiles, turns the result into the text of report.json. Errors: file and
// option errors, would_overwrite, io_error where the model was written to meanwhile, what makes the model unusable as a
// whole.
Result<Compilation> compile(const std::string& path, const std::string& output, const Env& env,
                            const CompileOptions& options,
                            const std::function<std::string(const Compilation&)>& write_report);

}  // namespace graft::tools
