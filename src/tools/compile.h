// ONNX to Core ML packages.
#pragma once

#include <functional>

#include "tools/partitioned.h"

namespace graft::tools {

struct WrittenPackage {
  std::string path;  // as given; for partial compiles the place inside the folder
  std::string target;
  int64_t bytes = 0;
  int partition = 0;
};

struct CompileOptions {
  bool overwrite = false;      // a package may take the place of a partial compile's folder, or the other way round
  bool allow_partial = false;  // the output is a folder of packages, one a partition, with report.json beside them
  // The text of report.json; names kCompileSchema, by which a partial compile knows its own folders.
  std::function<std::string(const std::vector<WrittenPackage>&)> report;
};

inline constexpr std::string_view kCompileSchema = "graft.compile/1";

// What compile() would say about what lies at `output`, before any work is done.
Status check_output(const std::string& output, const CompileOptions& options);

// Writes nothing unless it succeeds; then `output` is replaced in one step, with everything on the disk. Only what this
// function wrote is ever replaced: a package with nothing else in it, or a partial compile's folder; links at `output`
// are followed. Errors: not_delegated with every reason, file errors, would_overwrite, io_error where the model was
// written to meanwhile.
Result<std::vector<WrittenPackage>> compile(const Partitioned& p, const std::string& output,
                                            const CompileOptions& options);

// One partition as a package, published in the same way.
Status write_partition(const Partitioned& p, const PartitionInfo& partition, const std::string& output);

// All files, or none, into a folder that is made where there is none: each takes the place of the file of its name,
// would_overwrite where something else has it. The bytes of a file come in two parts, one after the other.
struct NewFile {
  std::string name;
  std::string_view head;
  Bytes data;
};
Status write_files(const std::string& folder, std::span<const NewFile> files);

}  // namespace graft::tools
