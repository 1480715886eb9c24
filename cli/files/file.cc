#include "files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "files/failure.h"

namespace cli {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what, int error) {
  const graft_code code = error == ENOENT || error == ENOTDIR ? GRAFT_CODE_FILE_NOT_FOUND : GRAFT_CODE_IO_ERROR;
  throw Failure(code, fmt::format("{}: {}", what, std::strerror(error)), path);
}

const char* kind_of_file(mode_t mode) {
  if (S_ISREG(mode)) return "a file";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

void check_regular(const std::string& path, const struct stat& st) {
  if (!S_ISREG(st.st_mode))
    throw Failure(GRAFT_CODE_IO_ERROR, fmt::format("{}, not a regular file", kind_of_file(st.st_mode)), path);
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) fail(path, "cannot open for reading", errno);
  check_regular(path, st);
  // Something else may have come to lie there meanwhile: O_NONBLOCK, so that not even then anybody waits.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd_ < 0) fail(path, "cannot open for reading", errno);
  try {
    if (::fstat(fd_, &st) != 0) fail(path, "cannot open for reading", errno);
    check_regular(path, st);
  } catch (...) {
    ::close(fd_);
    throw;
  }
  size_ = static_cast<uint64_t>(st.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(uint64_t offset, void* to, size_t count) const {
  auto* at = static_cast<std::byte*>(to);
  while (count > 0) {
    const ssize_t got = ::pread(fd_, at, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "cannot read", errno);
    if (got == 0)
      throw Failure(GRAFT_CODE_IO_ERROR, fmt::format("ends at byte {} now: it was cut short while it was read", offset),
                    path_);
    at += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
}

std::string read_file(const std::string& path, size_t limit) {
  const InputFile file(path);
  if (file.size() > limit)
    throw Failure(GRAFT_CODE_LIMIT_EXCEEDED, fmt::format("{} bytes, at most {} are read", file.size(), limit), path);
  std::string bytes(static_cast<size_t>(file.size()), '\0');
  file.read(0, bytes.data(), bytes.size());
  return bytes;
}

void check_output_folder(const std::string& folder) {
  struct stat st {};
  if (::stat(folder.c_str(), &st) != 0 || S_ISDIR(st.st_mode)) return;
  throw Failure(GRAFT_CODE_WOULD_OVERWRITE,
                fmt::format("is {}; outputs go into a folder, one file each", kind_of_file(st.st_mode)), folder);
}

}  // namespace cli
