#include "base/staging_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/file.h"
#include "base/format.h"

namespace fs = std::filesystem;

namespace graft {
namespace {

constexpr int64_t kStaleAfter = 3600;  // seconds
constexpr std::string_view kBuilt = "new", kReplaced = "old";
constexpr size_t kKernelDigits = 8, kRandomDigits = 16;

std::string hex(uint64_t bits, size_t digits) { return format("{:016x}", bits).substr(0, digits); }

// Tells the kernels of different machines, and of one machine before and after a restart, apart. Empty: not known.
std::string kernel_id() {
  std::string text(64, '\0');
  const Descriptor file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  const ssize_t got = file.get() < 0 ? -1 : ::read(file.get(), text.data(), text.size());
  if (got <= 0) return {};
  return hex(hash64({reinterpret_cast<const std::byte*>(text.data()), static_cast<size_t>(got)}), kKernelDigits);
}

// What all staging folders for one destination start with. Long names would grow beyond what file systems take.
std::string prefix_of(const fs::path& destination) {
  std::string name = destination.filename().string();
  constexpr size_t kLongest = 200;
  if (name.size() > kLongest) name = hash128_hex({reinterpret_cast<const std::byte*>(name.data()), name.size()});
  return "." + name + ".tmp-";
}

// Behind the prefix. Whatever else somebody calls ".x.tmp-y" is not ours.
bool is_suffix(std::string_view s) {
  return s.size() == kKernelDigits + 1 + kRandomDigits && s[kKernelDigits] == '-' &&
         s.find_first_not_of("0123456789abcdef-") == std::string_view::npos;
}

int64_t last_written(const fs::path& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0 ? int64_t{st.st_mtime} : 0;
}

int64_t last_written_in(const fs::path& folder) {
  int64_t last = last_written(folder);
  std::error_code ec;
  for (fs::recursive_directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec))
    last = std::max(last, last_written(at->path()));
  return last;
}

Descriptor open_folder(const fs::path& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

enum class Lock : uint8_t { taken, held_by_another, unknown };
Lock try_lock(const Descriptor& folder) {
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return Lock::taken;
  return errno == EWOULDBLOCK ? Lock::held_by_another : Lock::unknown;
}

bool is_still(const fs::path& path, const Descriptor& folder) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(folder.get(), &ours) == 0 && ::lstat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino;
}

void remove_stale(const fs::path& destination, const fs::path& own, const std::string& kernel) {
  const std::string prefix = prefix_of(destination);
  const int64_t now = last_written(own);  // as the disk's clock has it, which may be another machine's
  std::error_code ec;
  for (fs::directory_iterator at(folder_of(destination), ec), end; !ec && at != end; at.increment(ec)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(prefix) || !is_suffix(std::string_view(name).substr(prefix.size())) || name == own.filename())
      continue;
    const Descriptor folder = open_folder(at->path());
    if (folder.get() < 0) continue;
    const Lock lock = try_lock(folder);
    if (lock == Lock::held_by_another) continue;
    const bool same_kernel = lock == Lock::taken && name.compare(prefix.size(), kKernelDigits, kernel) == 0;
    if (!same_kernel && now - last_written_in(at->path()) < kStaleAfter) continue;
    // Killed between two renames: the destination has no other copy.
    move_if_free((at->path() / kReplaced).string(), destination.string());
    std::error_code ignored;
    fs::remove_all(at->path(), ignored);
  }
}

}  // namespace

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

int move_if_free(const std::string& from, const std::string& to) {
#if defined(__linux__)
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
#endif
  struct stat st {};
  if (::lstat(to.c_str(), &st) == 0) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

Result<StagingFolder> StagingFolder::make(const fs::path& destination) {
  const auto failed = [&](int error) {
    return file_error(destination.string(), "cannot create a folder beside it", error);
  };
  constexpr int kTries = 100;
  const std::string kernel = kernel_id();
  for (int i = 0; i < kTries; ++i) {
    uint64_t random = 0;
    if (::getentropy(&random, sizeof random) != 0) return failed(errno);
    const fs::path path =
        folder_of(destination) / format("{}{:0>8}-{}", prefix_of(destination), kernel, hex(random, kRandomDigits));
    if (::mkdir(path.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return failed(errno);
    }
    Descriptor lock = open_folder(path);
    if (lock.get() < 0 && errno != ENOENT) {
      const int error = errno;
      ::rmdir(path.c_str());
      return failed(error);
    }
    // Until it is locked somebody may take it for stale and remove it: then another one is made.
    if (lock.get() < 0 || try_lock(lock) == Lock::held_by_another || !is_still(path, lock)) continue;
    remove_stale(destination, path, kernel);
    return StagingFolder(path.string(), std::move(lock));
  }
  return failed(EEXIST);
}

std::string StagingFolder::built() const { return (fs::path(folder_.path()) / kBuilt).string(); }
std::string StagingFolder::replaced() const { return (fs::path(folder_.path()) / kReplaced).string(); }

std::string StagingFolder::keep() {
  const std::string place = folder_.release(), kept = place + ".kept";
  return ::rename(place.c_str(), kept.c_str()) == 0 ? kept : place;
}

}  // namespace graft
