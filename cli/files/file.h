// Files that the user names, for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace cli {

// A regular file, open for reading. A pipe, a socket or a device is refused before it is opened: opening one can wait
// for ever, or do something. Failures: file_not_found, io_error.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  uint64_t size() const { return size_; }  // when it was opened
  // All of `count` bytes at `offset`; io_error when the file has become shorter than that.
  void read(uint64_t offset, void* to, size_t count) const;

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// A small file whole, at most `limit` bytes (limit_exceeded above).
std::string read_file(const std::string& path, size_t limit);

// would_overwrite where a folder for results cannot be, because something else lies there.
void check_output_folder(const std::string& folder);

}  // namespace cli
