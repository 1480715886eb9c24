// What gathers and scatters share with their executor.
#pragma once

#include "ops/kernel.h"

namespace graft::ops {

// An index within 0..n-1, negative ones counted from the end; -1: outside.
inline int64_t normal_index(int64_t i, int64_t n) {
  if (i < 0) i += n;
  return i >= 0 && i < n ? i : -1;
}
tl::unexpected<Diag> bad_index(int64_t i, int64_t n);

// Combines n neighbours of the updates into y at each place, one place after the other; those of the next one lie
// `step` elements further.
using Combine = void (*)(void* y, std::span<const int64_t> places, const void* updates, int64_t step, int64_t n);
// As a scatter's mode says; null: updates replace what is there.
Result<Combine> combine_of(const Call& call);

}  // namespace graft::ops
