#include "base/machine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace graft {
namespace {

size_t physical_memory() {
#if defined(__APPLE__)
  uint64_t bytes = 0;
  size_t size = sizeof bytes;
  return ::sysctlbyname("hw.memsize", &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
#else
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(page) : 0;
#endif
}

// The number in a file; SIZE_MAX where there is no such file, or no number in it ("max").
size_t number_in(const std::string& path) {
  std::ifstream file(path);
  size_t n = 0;
  return file >> n ? n : SIZE_MAX;
}

}  // namespace

size_t control_group_memory(const std::string& root) {
  std::ifstream groups(root + "/proc/self/cgroup");
  size_t least = SIZE_MAX;
  // Lines of "number:controllers:/path"; version 2 has the number 0 and names no controllers.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool unified = controllers == ",,";
    if (!unified && controllers.find(",memory,") == std::string::npos) continue;
    const std::string folder = root + (unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
    const std::string file = unified ? "/memory.max" : "/memory.limit_in_bytes";
    // A group is also held to its parents' limits. Inside a container the path may be the host's, and only the top is
    // there.
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      while (path.ends_with('/')) path.pop_back();
      least = std::min(least, number_in(folder + path + file));
      if (!path.starts_with('/')) break;
    }
  }
  return least;
}

size_t machine_memory() {
  const size_t physical = physical_memory(), group = control_group_memory("");
  return physical == 0 ? (group == SIZE_MAX ? 0 : group) : std::min(physical, group);
}

}  // namespace graft
