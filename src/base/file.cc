#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/format.h"

namespace fs = std::filesystem;

namespace graft {
namespace {

tl::unexpected<Diag> file_error(Code code, const std::string& path, std::string_view what, int error) {
  Diag d;
  d.code = code;
  d.file = path;
  d.message = format("{}: {}", what, std::strerror(error));
  return fail(std::move(d));
}

Code open_code(int error) { return error == ENOENT || error == ENOTDIR ? Code::file_not_found : Code::io_error; }

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return file_error(open_code(errno), path, "cannot open for reading", errno);
  struct stat st {};
  if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    ::close(fd);
    return file_error(Code::io_error, path, "not a regular file", S_ISDIR(st.st_mode) ? EISDIR : EINVAL);
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  file->size_ = static_cast<size_t>(st.st_size);
  if (file->size_ != 0) {
    void* p = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      const int error = errno;
      ::close(fd);
      return file_error(Code::io_error, path, "cannot map", error);
    }
    file->data_ = static_cast<const std::byte*>(p);
  }
  ::close(fd);
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  GRAFT_TRY(auto file, MappedFile::open(path));
  if (file->bytes().size() > limit) {
    Diag d;
    d.code = Code::limit_exceeded;
    d.file = path;
    d.message = format("{} bytes, at most {} are read", file->bytes().size(), limit);
    return fail(std::move(d));
  }
  return std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
}

Result<FileWriter> FileWriter::create(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return file_error(Code::io_error, path, "cannot create", errno);
  FileWriter w;
  w.fd_ = fd;
  w.path_ = path;
  return w;
}

FileWriter::FileWriter(FileWriter&& o) noexcept
    : fd_(std::exchange(o.fd_, -1)),
      error_(o.error_),
      position_(o.position_),
      path_(std::move(o.path_)),
      buffer_(std::move(o.buffer_)) {}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

namespace {
int write_all(int fd, const char* p, size_t n) {
  while (n > 0) {
    const ssize_t done = ::write(fd, p, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    p += done;
    n -= static_cast<size_t>(done);
  }
  return 0;
}
}  // namespace

void FileWriter::write(const void* data, size_t size) {
  constexpr size_t kBuffer = 64 << 10;
  position_ += size;
  if (error_ != 0) return;
  if (buffer_.size() + size > kBuffer) {
    error_ = write_all(fd_, buffer_.data(), buffer_.size());
    buffer_.clear();
    if (error_ == 0 && size >= kBuffer) error_ = write_all(fd_, static_cast<const char*>(data), size);
    if (size >= kBuffer || error_ != 0) return;
  }
  buffer_.append(static_cast<const char*>(data), size);
}

Status FileWriter::close() {
  if (error_ == 0) error_ = write_all(fd_, buffer_.data(), buffer_.size());
  buffer_.clear();
  if (::close(std::exchange(fd_, -1)) != 0 && error_ == 0) error_ = errno;
  if (error_ != 0) return file_error(Code::io_error, path_, "cannot write", error_);
  return {};
}

namespace {

std::string staging_prefix(const fs::path& destination) { return "." + destination.filename().string() + ".tmp-"; }

// Leftovers of killed processes: same destination, process gone.
void remove_stale(const fs::path& destination) {
  std::error_code ec;
  const std::string prefix = staging_prefix(destination);
  const fs::path folder = destination.has_parent_path() ? destination.parent_path() : fs::path(".");
  for (const fs::directory_entry& e : fs::directory_iterator(folder, ec)) {
    const std::string n = e.path().filename().string();
    if (n.rfind(prefix, 0) != 0) continue;
    const long pid = std::strtol(n.c_str() + prefix.size(), nullptr, 10);
    if (pid > 0 && ::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) fs::remove_all(e.path(), ec);
  }
}

}  // namespace

Result<Staging> Staging::beside(const std::string& destination, bool folder) {
  static std::atomic<unsigned> counter{0};
  fs::path dest(destination);
  if (!dest.has_filename()) dest = dest.parent_path();  // "out.mlpackage/"
  remove_stale(dest);
  Staging s;
  s.destination_ = dest.string();
  fs::path tmp = dest;
  tmp.replace_filename(format("{}{}-{}", staging_prefix(dest), ::getpid(), counter++));
  s.path_ = tmp.string();
  std::error_code ec;
  if (folder) {
    if (!fs::create_directory(tmp, ec) || ec) {
      s.path_.clear();
      return file_error(Code::io_error, destination, "cannot create a folder beside it", ec ? ec.value() : EEXIST);
    }
  }
  return s;
}

Staging::~Staging() {
  if (path_.empty()) return;
  std::error_code ec;
  fs::remove_all(path_, ec);
}

Status Staging::commit() {
  // RENAME_EXCHANGE swaps the two names in one step where the file system has it, so that the old package stays whole
  // until the new one is in its place.
  const bool exists = fs::exists(fs::symlink_status(destination_));
  if (exists) {
#if defined(__linux__)
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, destination_.c_str(), RENAME_EXCHANGE) == 0) {
      std::error_code ec;
      fs::remove_all(path_, ec);
      path_.clear();
      return {};
    }
#endif
    std::error_code ec;
    const std::string old = path_ + "-old";
    fs::rename(destination_, old, ec);
    if (ec) return file_error(Code::io_error, destination_, "cannot replace", ec.value());
    fs::rename(path_, destination_, ec);
    if (ec) {
      const int error = ec.value();
      fs::rename(old, destination_, ec);
      return file_error(Code::io_error, destination_, "cannot move into place", error);
    }
    fs::remove_all(old, ec);
    path_.clear();
    return {};
  }
  std::error_code ec;
  fs::rename(path_, destination_, ec);
  if (ec) return file_error(Code::io_error, destination_, "cannot move into place", ec.value());
  path_.clear();
  return {};
}

uint64_t hash64(Bytes bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

std::string hash128_hex(Bytes bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return format("{:016x}{:016x}", h.high64, h.low64);
}

}  // namespace graft
