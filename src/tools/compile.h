// ONNX to Core ML packages.
#pragma once

#include "tools/inspect.h"

namespace graft::tools {

struct CompileOptions {
  session::Options session;
  bool overwrite = false;      // replace what is not a package too
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

// Writes nothing unless it succeeds; what is at `output` is replaced in one rename. `write_report`, for partial
// compiles, turns the result into the text of report.json. Errors: file and option errors, would_overwrite, what makes
// the model unusable as a whole.
Result<Compilation> compile(const std::string& path, const std::string& output, const Env& env,
                            const CompileOptions& options,
                            const std::function<std::string(const Compilation&)>& write_report);

// Writes one Core ML segment as a package, with what ONNX knows of the interface in its metadata.
Status write_segment(const partition::Segment& segment, const std::string& path, bool overwrite);

}  // namespace graft::tools
