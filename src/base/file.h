// Files: mapping, reading, and publishing a result atomically. Paths are UTF-8.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/diag.h"

namespace graft {

using Bytes = std::span<const std::byte>;

// A read-only mapping of a whole file; pages are read on demand. The mapping lives as long as the object; keep it in a
// shared_ptr beside every pointer into it. The bytes may change or vanish if somebody truncates the file meanwhile,
// which no program can prevent; readers must not re-read a length they have checked.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  Bytes bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// A small text or binary file, at most `limit` bytes (limit_exceeded above).
Result<std::string> read_file(const std::string& path, size_t limit);

// Writes sequentially; the first failure is kept and returned by close(). The destructor closes without a report.
class FileWriter {
 public:
  static Result<FileWriter> create(const std::string& path);  // truncates
  FileWriter(FileWriter&& o) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();
  void write(const void* data, size_t size);
  void write(std::string_view s) { write(s.data(), s.size()); }
  uint64_t position() const { return position_; }
  Status close();  // flushes; reports the first error, a full disk included

 private:
  FileWriter() = default;
  int fd_ = -1;
  int error_ = 0;
  uint64_t position_ = 0;
  std::string path_, buffer_;
};

// Builds a folder (or file) beside its destination and moves it there in one rename, so that a reader never sees half
// of it. Destroyed without commit(), it removes what was built. A process killed half way leaves at most a hidden
// sibling ".<name>.tmp-<pid>-…", which the next Staging for the same destination removes when its process is gone.
class Staging {
 public:
  static Result<Staging> beside(const std::string& destination, bool folder);
  Staging(Staging&& o) noexcept : path_(std::exchange(o.path_, {})), destination_(std::move(o.destination_)) {}
  Staging& operator=(Staging&&) = delete;
  ~Staging();
  const std::string& path() const { return path_; }  // write here
  // Replaces whatever is at the destination: exchange or rename, then the old one is removed.
  Status commit();

 private:
  Staging() = default;
  std::string path_, destination_;
};

// Stable 64-bit content hash (XXH3) and 128-bit hex digest, the same on every machine.
uint64_t hash64(Bytes bytes, uint64_t seed = 0);
std::string hash128_hex(Bytes bytes);

}  // namespace graft
