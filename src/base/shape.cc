#include "base/shape.h"

#include "base/format.h"

namespace graft {

int64_t checked_count(std::span<const int64_t> dims) {
  int64_t n = 1;
  bool empty = false;
  for (int64_t d : dims) {
    if (d < 0) return -1;
    if (d == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(n, d, &n)) {
      return -1;
    }
  }
  return empty ? 0 : n;
}

std::string to_string(std::span<const int64_t> dims) { return format("[{}]", join(dims, ", ")); }

}  // namespace graft
