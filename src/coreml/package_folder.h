// The folder of a package: its manifest, and what may lie in it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/diag.h"

namespace graft::coreml {

struct Manifest {
  std::string root;                // path of the root model below Data/, as written
  std::vector<std::string> items;  // all of them, the root too
};
Result<Manifest> read_manifest(const std::filesystem::path& package);

// `relative` below `folder`, links resolved; unsafe_path when it leads outside `root`.
Result<std::filesystem::path> inside(const std::filesystem::path& root, const std::filesystem::path& folder,
                                     const std::string& relative);

}  // namespace graft::coreml
