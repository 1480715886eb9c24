// Tensor data in files beside the model. A model is not trusted, so its paths may name only what lies inside its own
// folder, links resolved. Each file is opened once and shared.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/diag.h"
#include "base/file.h"

namespace graft::onnx {

class ExternalFiles {
 public:
  // An empty folder: there is none, and every location is refused.
  ExternalFiles(std::string folder, Hold hold, Bounds bounds)
      : folder_(std::move(folder)), hold_(hold), bounds_(std::move(bounds)) {}

  // The file at `location`, a relative path as the model states it. unsafe_path when it leads out of the folder,
  // file_not_found when it does not exist; messages name the file.
  Result<std::shared_ptr<FileBytes>> open(const std::string& location);
  // Every file that was opened.
  std::vector<std::shared_ptr<FileBytes>> files() const;

 private:
  std::string folder_;
  Hold hold_;
  Bounds bounds_;
  std::map<std::string, std::shared_ptr<FileBytes>> by_location_, by_path_;
};

}  // namespace graft::onnx
