// Core ML partitions on disk: the package, and beside it what a session needs to use it for a part of an ONNX model.
#pragma once

#include "backend/artefact.h"

namespace graft::session {

// Writes the program as a new package, with what ONNX knows of its ports in the metadata (onnx_types.h). Errors: as
// coreml::write_package.
Status write_package(const backend::Artefact& artefact, const std::string& path);

// Writes <name>.mlpackage and <name>.json into the folder, where neither may be yet. On an error neither is left.
Status save(const backend::Artefact& artefact, const std::string& folder, const std::string& name);
// What save() wrote, by the path of the .json file; the package is not read yet. Errors: as
// backend::artefact_from_text, file errors, with the file's name.
Result<backend::NamedArtefact> load_artefact(const std::string& path);

}  // namespace graft::session
