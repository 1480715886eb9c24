// How far a value computed in fp16 may be from itself: ranges of values, and the error that rounding each step of the
// way brings, carried through a function from what the rows say of their functions.
#pragma once

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "ir/program.h"

namespace graft::passes {

// Of every element of a value. Unknown: anything, with any error.
struct ErrorRange {
  double lo = -INFINITY, hi = INFINITY;
  double error = INFINITY;  // absolute, at most
  double largest() const { return std::max(std::fabs(lo), std::fabs(hi)); }
};

class ErrorRanges {
 public:
  explicit ErrorRanges(const ir::Function& function);
  // Of an fp32 value of the function.
  ErrorRange of(const ir::Value* v) const;

 private:
  ErrorRange result_of(const ir::Op& op) const;
  ErrorRange at_corners(const ir::Op& op) const;

  std::unordered_map<const ir::Value*, ErrorRange> known_;
};

}  // namespace graft::passes
