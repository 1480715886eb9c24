#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/format.h"

namespace graft {

tl::unexpected<Diag> file_error(const std::string& path, std::string_view what, int error) {
  const Code code = error == ENOENT || error == ENOTDIR ? Code::file_not_found : Code::io_error;
  return fail_in(code, path, format("{}: {}", what, std::strerror(error)));
}

std::string_view kind_of_file(mode_t mode) {
  if (S_ISREG(mode)) return "a file";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISLNK(mode)) return "a link";
  return "a device";
}

namespace {

timespec time_of_writing(const struct stat& st) {
#if defined(__APPLE__)
  return st.st_mtimespec;
#else
  return st.st_mtim;
#endif
}

}  // namespace

Result<InputFile> InputFile::open(const std::string& path) {
  struct stat st {};
  const auto refuse = [&] {
    return fail_in(Code::io_error, path, format("{}, not a regular file", kind_of_file(st.st_mode)));
  };
  if (::stat(path.c_str(), &st) != 0) return file_error(path, "cannot open for reading", errno);
  if (!S_ISREG(st.st_mode)) return refuse();
  // Something else may have come to lie there meanwhile: O_NONBLOCK, so that not even then anybody waits.
  InputFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.descriptor() < 0 || ::fstat(file.descriptor(), &st) != 0)
    return file_error(path, "cannot open for reading", errno);
  if (!S_ISREG(st.st_mode)) return refuse();
  file.size_ = static_cast<uint64_t>(st.st_size);
  file.written_ = time_of_writing(st);
  file.path_ = path;
  return file;
}

Status InputFile::read(uint64_t offset, void* to, size_t count) const {
  auto* at = static_cast<std::byte*>(to);
  while (count > 0) {
    const ssize_t got = ::pread(fd_.get(), at, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path_, "cannot read", errno);
    if (got == 0)
      return fail_in(Code::io_error, path_, format("ends at byte {} now: it was cut short while it was read", offset));
    at += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
  return {};
}

Status InputFile::unchanged() const {
  struct stat st {};
  if (::fstat(fd_.get(), &st) != 0) return file_error(path_, "cannot look at", errno);
  const timespec now = time_of_writing(st);
  if (static_cast<uint64_t>(st.st_size) == size_ && now.tv_sec == written_.tv_sec && now.tv_nsec == written_.tv_nsec)
    return {};
  return fail_in(Code::io_error, path_, "was written to while it was read");
}

namespace {
constexpr size_t kBlock = size_t{1} << 18;  // what a copy is filled by
}

Result<std::shared_ptr<FileBytes>> FileBytes::open(const std::string& path, Hold hold, const Bounds& bounds) {
  GRAFT_TRY(InputFile file, InputFile::open(path));
  std::shared_ptr<FileBytes> f(new FileBytes);
  f->path_ = path;
  f->hold_ = hold;
  f->bounds_ = bounds;
  if (file.size() != 0) {
    const size_t size = static_cast<size_t>(file.size());
    // A copy takes memory where it is filled, which need not be everywhere.
    void* p = hold == Hold::mapped ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0)
                                   : ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED && errno == ENOMEM)
      return fail_in(Code::out_of_memory, path, format("no room for its {} bytes", size));
    if (p == MAP_FAILED) return file_error(path, "cannot map", errno);
    f->data_ = static_cast<std::byte*>(p);
    f->size_ = size;
#if defined(MADV_HUGEPAGE)
    if (hold == Hold::copied) ::madvise(p, size, MADV_HUGEPAGE);  // half the time goes into taking small pages
#endif
  }
  if (hold == Hold::copied) f->present_.resize((f->size_ + kBlock - 1) / kBlock);
  f->file_.emplace(std::move(file));
  return f;
}

FileBytes::~FileBytes() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Bytes> FileBytes::bytes(uint64_t offset, size_t count) {
  const Bytes range = Bytes(data_, size_).subspan(static_cast<size_t>(offset), count);
  if (hold_ == Hold::mapped || count == 0) return range;
  const size_t end = (static_cast<size_t>(offset) + count + kBlock - 1) / kBlock;
  for (size_t block = static_cast<size_t>(offset) / kBlock; block < end;) {
    size_t last = block;
    while (last < end && !present_[last]) ++last;
    if (last == block) {
      ++block;
      continue;
    }
    const size_t from = block * kBlock;
    Result<MemoryShare> share = MemoryShare::take(bounds_.memory, std::min(last * kBlock, size_) - from);
    if (!share) return fail(std::move(share.error()).in_file(path_));
    shares_.push_back(std::move(*share));
    for (; block < last; ++block) {
      GRAFT_CHECK(check(bounds_.cancel));
      const size_t at = block * kBlock;
      GRAFT_CHECK(file_->read(at, data_ + at, std::min(at + kBlock, size_) - at));
      present_[block] = true;
    }
  }
  return range;
}

Status FileBytes::unchanged() const { return file_ ? file_->unchanged() : Status{}; }

Status FileBytes::finish() {
  GRAFT_CHECK(unchanged());
  if (hold_ == Hold::copied) file_.reset();
  bounds_ = {};
  return {};
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  GRAFT_TRY(const InputFile file, InputFile::open(path));
  if (file.size() > limit)
    return fail_in(Code::limit_exceeded, path, format("{} bytes, at most {} are read", file.size(), limit));
  std::string text(static_cast<size_t>(file.size()), '\0');
  GRAFT_CHECK(file.read(0, text.data(), text.size()));
  return text;
}

Result<FileWriter> FileWriter::create(const std::string& path) {
  FileWriter w(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (w.fd_.get() < 0) return file_error(path, "cannot create", errno);
  w.path_ = path;
  return w;
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
    error_ = write_all(fd_.get(), buffer_.data(), buffer_.size());
    buffer_.clear();
    if (error_ == 0 && size >= kBuffer) error_ = write_all(fd_.get(), static_cast<const char*>(data), size);
    if (size >= kBuffer || error_ != 0) return;
  }
  buffer_.append(static_cast<const char*>(data), size);
}

Status FileWriter::close() {
  if (error_ == 0) error_ = write_all(fd_.get(), buffer_.data(), buffer_.size());
  buffer_.clear();
  if (::close(fd_.release()) != 0 && error_ == 0) error_ = errno;
  if (error_ != 0) return file_error(path_, "cannot write", error_);
  return {};
}

uint64_t hash64(Bytes bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }

std::string hash128_hex(Bytes bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return format("{:016x}{:016x}", h.high64, h.low64);
}

}  // namespace graft
