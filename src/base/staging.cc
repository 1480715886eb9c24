#include "base/staging.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"

namespace fs = std::filesystem;

namespace graft {
namespace {

constexpr int kTries = 100;  // of what another process can spoil

bool is_there(const fs::path& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

// Where writing to this path leads: links followed, even to what is not there yet.
fs::path followed(fs::path path) {
  std::error_code ec;
  constexpr int kLinks = 40;
  if (!path.has_filename()) path = path.parent_path();  // "out.mlpackage/"
  for (int i = 0; i < kLinks && fs::is_symlink(path, ec); ++i) {
    const fs::path next = path.parent_path() / fs::read_symlink(path, ec);
    if (!is_there(next) && fs::exists(path, ec)) break;  // /dev/stdout of a pipe leads there, but not by a path
    path = next;
  }
  if (const fs::path name = path.filename(); name.empty() || name == "." || name == "..")
    path = fs::weakly_canonical(path, ec);
  return path;
}

Status check_folder_of(const fs::path& path, const std::string& destination) {
  if (destination.empty()) return fail(Code::invalid_argument, "a result needs a path to be written to: it is empty");
  struct stat st {};
  const fs::path folder = folder_of(path);
  const auto refuse = [&](std::string_view why) {
    return fail_in(Code::io_error, destination, format("cannot write into '{}': {}", folder.string(), why));
  };
  if (::stat(folder.c_str(), &st) != 0) return refuse(std::strerror(errno));
  if (!S_ISDIR(st.st_mode)) return refuse(format("it is {}, not a folder", kind_of_file(st.st_mode)));
  return {};
}

Status sync_one(const fs::path& path, int flags) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (file.get() < 0 && errno == EACCES) return {};  // a folder that may be written to and not read
#if defined(F_FULLFSYNC)
  if (file.get() >= 0 && ::fcntl(file.get(), F_FULLFSYNC) == 0) return {};
#endif
  if (file.get() >= 0 && (::fsync(file.get()) == 0 || errno == EINVAL || errno == ENOTSUP))
    return {};  // not done there
  return file_error(path.string(), "cannot be synced to the disk", errno);
}

// Everything below, then the thing itself: a name is never on the disk before what it names.
Status sync_tree(const fs::path& path) {
  std::error_code ec;
  if (!fs::is_directory(fs::symlink_status(path, ec))) return sync_one(path, 0);
  for (fs::directory_iterator at(path, ec), end; !ec && at != end; at.increment(ec)) GRAFT_CHECK(sync_tree(at->path()));
  if (ec) return file_error(path.string(), "cannot be synced to the disk", ec.value());
  return sync_one(path, O_DIRECTORY);
}

}  // namespace

Status check_destination(const std::string& destination, const MayReplace& may_replace) {
  const fs::path path = followed(destination);
  GRAFT_CHECK(check_folder_of(path, destination));
  Status verdict;
  for (int i = 0; i < kTries; ++i) {
    struct stat before {};
    struct stat after {};
    if (::lstat(path.c_str(), &before) != 0) {
      if (errno == ENOENT) return {};
      return file_error(destination, "cannot be written", errno);
    }
    verdict = may_replace(path.string());
    // Refused because another writer replaced it while it was looked at? Then what counts is the new one.
    if (verdict || (::lstat(path.c_str(), &after) == 0 && before.st_ino == after.st_ino)) break;
  }
  if (!verdict) verdict.error().file = destination;
  return verdict;
}

Result<Staging> Staging::beside(const std::string& destination) {
  const fs::path path = followed(destination);
  GRAFT_CHECK(check_folder_of(path, destination));
  GRAFT_TRY(StagingFolder folder, StagingFolder::make(path));
  return Staging(std::move(folder), path.string());
}

// What may not be replaced, or could not be: back to where it was.
Status Staging::put_back(const std::string& from, Diag why) {
  if (move_if_free(from, destination_) == 0) return fail(std::move(why));
  why.message += format("; what was there is kept in '{}'", folder_.keep());
  return fail(std::move(why));
}

// One attempt to take the place of what is at the destination. `done` stays false when another process was faster.
Status Staging::exchange(const MayReplace& may_replace, bool& done) {
  const auto failed = [&](int error) { return file_error(destination_, "cannot replace", error); };
#if defined(__linux__)
  const auto swap = [&] {
    return ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, destination_.c_str(), RENAME_EXCHANGE) == 0 ? 0 : errno;
  };
  const int error = swap();
  if (error == 0) {
    done = true;
    Status verdict = may_replace(path_);
    return verdict || swap() == 0 ? verdict : put_back(path_, std::move(verdict).error());
  }
  if (error == ENOENT) return {};
  if (error != EINVAL && error != ENOSYS && error != EXDEV) return failed(error);
#endif
  // In two steps, so that it is asked about before, too: who is killed between them must not have taken too much.
  const std::string old = folder_.replaced();
  GRAFT_CHECK(check_destination(destination_, may_replace));
  if (::rename(destination_.c_str(), old.c_str()) != 0) {
    if (errno == ENOENT) return {};
    if (errno != EXDEV) return failed(errno);
    // A folder of a lower layer of a container's disk can't be renamed at all, only removed.
    std::error_code ec;
    fs::remove_all(destination_, ec);
    return ec ? failed(ec.value()) : Status{};
  }
  if (Status verdict = may_replace(old); !verdict) return put_back(old, std::move(verdict).error());
  const int moved = move_if_free(path_, destination_);
  done = moved == 0;
  if (moved != 0 && moved != EEXIST && moved != ENOTEMPTY) return put_back(old, failed(moved).value());
  std::error_code ec;
  fs::remove_all(old, ec);
  return {};
}

Status Staging::publish(const MayReplace& may_replace) {
  GRAFT_CHECK(sync_tree(path_));
  bool done = false;
  for (int i = 0; i < kTries && !done; ++i) {
    const int error = move_if_free(path_, destination_);
    done = error == 0;
    if (done) break;
    if (error != EEXIST && error != ENOTEMPTY) return file_error(destination_, "cannot move into place", error);
    Status exchanged = exchange(may_replace, done);
    if (!exchanged) {
      exchanged.error().file = destination_;
      return exchanged;
    }
  }
  if (!done) return fail_in(Code::io_error, destination_, "cannot replace: others replace it again and again");
  return sync_one(folder_of(destination_), O_DIRECTORY);
}

Status Staging::publish_files(const std::string& folder) {
  GRAFT_CHECK(sync_tree(path_));
  std::vector<std::pair<fs::path, fs::path>> moves;
  std::error_code ec;
  for (fs::directory_iterator at(path_, ec), end; !ec && at != end; at.increment(ec)) {
    const fs::path to = followed(fs::path(folder) / at->path().filename());
    struct stat st {};
    if (::lstat(to.c_str(), &st) == 0 && !S_ISREG(st.st_mode))
      return fail_in(Code::would_overwrite, to.string(),
                     format("is {}; only a regular file is replaced", kind_of_file(st.st_mode)));
    moves.emplace_back(at->path(), to);
  }
  if (ec) return file_error(path_, "cannot be listed", ec.value());
  for (const auto& [from, to] : moves) {
    if (::rename(from.c_str(), to.c_str()) != 0) return file_error(to.string(), "cannot move into place", errno);
  }
  return sync_one(folder, O_DIRECTORY);
}

Diag Staging::at_destination(Diag diag) const {
  if (diag.file.starts_with(path_)) diag.file = destination_ + diag.file.substr(path_.size());
  return diag;
}

}  // namespace graft
