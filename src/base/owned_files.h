// Things of the file system that end with their owner.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace graft {

// A descriptor that closes itself. -1: none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& o) noexcept : fd_(o.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// A folder, removed with everything in it unless it is released. It exists already.
class OwnedFolder {
 public:
  explicit OwnedFolder(std::string path) : path_(std::move(path)) {}
  OwnedFolder(OwnedFolder&& o) noexcept : path_(o.release()) {}
  OwnedFolder& operator=(OwnedFolder&&) = delete;
  ~OwnedFolder() {
    std::error_code ec;
    if (!path_.empty()) std::filesystem::remove_all(path_, ec);
  }
  const std::string& path() const { return path_; }
  std::string release() { return std::exchange(path_, {}); }

 private:
  std::string path_;
};

}  // namespace graft
