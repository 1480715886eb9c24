// Ranges of floats, which are told by integers: see Value::range.
#pragma once

#include <algorithm>
#include <cmath>

#include "base/dtype.h"

namespace graft::ir {

// The integers around lo..hi. Without an end on the side where none is near.
inline IntRange enclosing(double lo, double hi) {
  constexpr double kEnd = 0x1p53;
  return {lo > -kEnd ? static_cast<int64_t>(std::floor(std::min(lo, kEnd))) : INT64_MIN,
          hi < kEnd ? static_cast<int64_t>(std::ceil(std::max(hi, -kEnd))) : INT64_MAX};
}

}  // namespace graft::ir
