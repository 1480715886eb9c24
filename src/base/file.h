// Files: reading, holding a file's bytes, writing, hashing. Paths are UTF-8. How results are published is staging.h.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bounds.h"
#include "base/owned_files.h"

namespace graft {

using Bytes = std::span<const std::byte>;

// An error about `path`: `what`, and the system's words for `error`. file_not_found where that is what `error` means.
tl::unexpected<Diag> file_error(const std::string& path, std::string_view what, int error);
// "a folder", "a named pipe", ...: what lies at a path, in words.
std::string_view kind_of_file(mode_t mode);

// A regular file, open for reading. A pipe, a socket or a device is refused before it is opened: opening one can wait
// for ever, or do something.
class InputFile {
 public:
  static Result<InputFile> open(const std::string& path);
  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened
  int descriptor() const { return fd_.get(); }
  // All of `count` bytes at `offset`; io_error when the file has become shorter than that.
  Status read(uint64_t offset, void* to, size_t count) const;
  // io_error when the file was written to since it was opened, as far as its size and time tell.
  Status unchanged() const;

 private:
  explicit InputFile(int fd) : fd_(fd) {}
  Descriptor fd_;
  uint64_t size_ = 0;
  timespec written_{};
  std::string path_;
};

// How the bytes of a file are held.
enum class Hold : uint8_t {
  // The file's own pages, read when they are touched: nothing is copied, and memory is given back under pressure. Who
  // touches them after somebody has cut the file short is ended by the system (SIGBUS), and who writes into the file
  // changes what is read. So this is for who passes over a file and is done, and for files that nobody will write to.
  mapped,
  // Memory of our own, filled when a range is asked for: what happens to the file afterwards does not matter.
  copied,
};

// A file's bytes at one address each, for as long as the object lives: keep it in a shared_ptr beside every pointer
// into it. Not to be asked from several threads at once; what it has handed out may be read from any.
class FileBytes {
 public:
  // Reading hears cancel; copies count as memory.
  static Result<std::shared_ptr<FileBytes>> open(const std::string& path, Hold hold, const Bounds& bounds = {});
  ~FileBytes();
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  const std::string& path() const { return path_; }
  size_t size() const { return size_; }
  // A range within size(). Copied ranges are read now, those that were read before are not read again.
  Result<Bytes> bytes(uint64_t offset, size_t count);
  Result<Bytes> bytes() { return bytes(0, size_); }
  // io_error when the file was written to since it was opened.
  Status unchanged() const;
  // unchanged(), and a copy lets go of its file: nothing more can be asked for.
  Status finish();

 private:
  FileBytes() = default;
  std::optional<InputFile> file_;
  Hold hold_ = Hold::mapped;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::vector<bool> present_;  // copied: by block
  std::vector<MemoryShare> shares_;
  Bounds bounds_;  // until finish()
  std::string path_;
};

// A small text or binary file, at most `limit` bytes (limit_exceeded above).
Result<std::string> read_file(const std::string& path, size_t limit);

// Writes a new file sequentially; the first failure is kept and returned by close(). The destructor closes without a
// report. What others are to see is written into a Staging and published from there.
class FileWriter {
 public:
  static Result<FileWriter> create(const std::string& path);  // io_error when something is there
  void write(const void* data, size_t size);
  void write(std::string_view s) { write(s.data(), s.size()); }
  uint64_t position() const { return position_; }
  Status close();  // flushes; reports the first error, a full disk included

 private:
  explicit FileWriter(int fd) : fd_(fd) {}
  Descriptor fd_;
  int error_ = 0;
  uint64_t position_ = 0;
  std::string path_, buffer_;
};

// Stable 64-bit content hash (XXH3) and 128-bit hex digest, the same on every machine.
uint64_t hash64(Bytes bytes, uint64_t seed = 0);
std::string hash128_hex(Bytes bytes);

}  // namespace graft
