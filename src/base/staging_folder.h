// The hidden folder of a Staging: its name, its lock, and what becomes of those that killed processes left.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "base/diag.h"
#include "base/owned_files.h"

namespace graft {

// The folder that a path names a file in.
std::filesystem::path folder_of(const std::filesystem::path& path);

// Moves without replacing anything: 0, or the error; EEXIST or ENOTEMPTY when something is there.
int move_if_free(const std::string& from, const std::string& to);

// ".<name>.tmp-<kernel>-<random>" beside `destination`. Destroyed, it is removed with everything in it.
//
// A process that is killed leaves its folder behind; the next one for the same destination removes it when it is stale.
// The folder is locked (flock) while it is used, and one kernel knows all locks of its processes, in whatever
// containers they are: a folder of the same kernel is stale when its lock is free, and that is all. Of a folder from
// another kernel (a network disk, or before the machine was started again), and where there are no locks, only age
// tells: it is stale when nobody is seen to lock it and nothing in it was written for an hour, by the disk's clock.
// Process numbers say nothing: in every container they start from 1.
class StagingFolder {
 public:
  static Result<StagingFolder> make(const std::filesystem::path& destination);

  std::string built() const;     // the place for what is built
  std::string replaced() const;  // for what it replaces, between two renames; comes back from a stale folder
  // Takes the folder out of everybody's reach, for what is too dear to be removed; returns where it is.
  std::string keep();

 private:
  StagingFolder(std::string path, Descriptor lock) : lock_(std::move(lock)), folder_(std::move(path)) {}
  Descriptor lock_;  // goes last: while it is held, nobody else removes anything in there
  OwnedFolder folder_;
};

}  // namespace graft
