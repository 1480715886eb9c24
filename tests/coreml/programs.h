// Programs and folders for the tests of this folder.
#pragma once

#include <filesystem>
#include <string>

#include "ir/builder.h"
#include "ops/table.h"

namespace graft::coreml {

// A folder that is removed at the end of the test.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string file(std::string_view name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::shared_ptr<ir::Program> new_program();
// 0, 1, 2, … in this shape, rounded to the element type.
ir::ConstantPtr counting(DType dtype, const Shape& shape);
// A bit of everything: weights in the blob file and immediate ones, defaults, a branch, outputs that are inputs,
// constants and duplicates, names that MIL does not allow.
std::shared_ptr<ir::Program> sample_program();
// Every file of a package by its relative path.
std::map<std::string, std::string> contents(const std::string& package);
void write_bytes(const std::string& path, std::string_view bytes);

}  // namespace graft::coreml
