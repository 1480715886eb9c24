// What the precision pass must know of a constant's values.
#pragma once

#include "ir/constant.h"

namespace graft::passes {

inline constexpr double kHalfMax = 65504;       // fp16's largest finite number
inline constexpr double kHalfNormal = 0x1p-14;  // below it digits are lost
inline constexpr double kHalfLeast = 0x1p-24;   // fp16's smallest number

struct ConstantFacts {
  int64_t too_big = 0;           // finite in fp32, infinite in fp16
  int64_t too_big_positive = 0;  // of those
  int64_t vanished = 0;          // not zero in fp32, zero in fp16
  bool rest_is_zero = true;      // all that is not too big is zero
  double largest = 0;            // largest finite magnitude
  double extreme = 0;            // the value behind `largest`, with its sign
  bool loses_digits() const { return largest != 0 && largest < kHalfNormal; }
};

// Of an fp32 constant. Reads it once.
ConstantFacts facts_of(const ir::Constant& constant);

// The fp32 constant with values that are finite but too big for fp16 moved to lowest or highest.
ir::ConstantPtr saturated(const ir::Constant& constant, double lowest, double highest);
// Values that would vanish become fp16's smallest number of the same sign.
ir::ConstantPtr raised(const ir::Constant& constant);

}  // namespace graft::passes
