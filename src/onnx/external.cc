#include "onnx/external.h"

#include <algorithm>
#include <filesystem>

#include "base/format.h"
#include "onnx/wire.h"

namespace fs = std::filesystem;

namespace graft::onnx {
namespace {

bool is_inside(const fs::path& folder, const fs::path& file) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return end == folder.end();
}

// Refused by its text alone, before the file system is asked.
Status check_text(const std::string& location) {
  if (location.empty()) return fail(Code::invalid_model, "external data without a location");
  if (!is_plain_text(location)) return fail(Code::unsafe_path, "the location of external data is not plain text");
  const fs::path path(location);
  if (path.is_absolute()) {
    return fail(Code::unsafe_path, format("external data at the absolute path '{}'; it must be relative", location));
  }
  if (std::find(path.begin(), path.end(), "..") != path.end()) {
    return fail(Code::unsafe_path, format("external data at '{}', which climbs out of the model's folder", location));
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<FileBytes>> ExternalFiles::open(const std::string& location) {
  if (const auto known = by_location_.find(location); known != by_location_.end()) return known->second;
  GRAFT_CHECK(check_text(location));
  if (folder_.empty()) {
    return fail(Code::file_not_found, format("external data in '{}', but the model has no folder", location));
  }
  std::error_code error;
  const fs::path folder = fs::canonical(folder_, error);
  if (error) return fail(Code::file_not_found, format("the model's folder '{}': {}", folder_, error.message()));
  const fs::path path = fs::canonical(folder / location, error);
  if (error) {
    return fail(Code::file_not_found,
                format("external data file '{}': {}", (folder / location).string(), error.message()));
  }
  if (!is_inside(folder, path)) {
    return fail(Code::unsafe_path,
                format("external data at '{}' leads to '{}', outside the model's folder", location, path.string()));
  }
  std::shared_ptr<FileBytes>& file = by_path_[path.string()];
  if (!file) {
    GRAFT_TRY(file, FileBytes::open(path.string(), hold_, bounds_));
  }
  by_location_[location] = file;
  return file;
}

std::vector<std::shared_ptr<FileBytes>> ExternalFiles::files() const {
  std::vector<std::shared_ptr<FileBytes>> list;
  for (const auto& [path, file] : by_path_) {
    if (file) list.push_back(file);
  }
  return list;
}

}  // namespace graft::onnx
