// What is taken for granted about integers so that they fit int32, the widest that Core ML has, where nothing proves
// it.
//
// A value that only tells places in tensors, or is compared with numbers that are known, or cut at them, means the same
// once it is beyond all of those: a cast from floating point is clipped there, which changes nothing that can be seen.
// A graph input is taken to stay there, or to be small, which sessions check before each run and compile reports.
#pragma once

#include "onnx/lower.h"

namespace graft::onnx {

// `options` with such limits, if more nodes fit int32 with them than in `program`, which `options` made. Errors as
// lower_for_host.
Result<LowerOptions> with_int_limits(const HostProgram& program, LowerOptions options, const Bounds& bounds);

// What is used of integers: clipped to that range a value changes no result of the function, except where an index is
// illegal and stays so.
class UsedRanges {
 public:
  explicit UsedRanges(const ir::Function& function);
  // The whole range where all of it counts; lo > hi where nobody reads the value.
  IntRange of(const ir::Value* value) const;

 private:
  void use(const ir::Value* value, IntRange range);
  void visit(const ir::Op& op);
  std::unordered_map<const ir::Value*, IntRange> used_;
};

}  // namespace graft::onnx
