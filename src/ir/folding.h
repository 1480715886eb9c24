// What constants may cost before anything runs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace graft::ir {

// Folding may not blow a small file up into large constants or long waits: what would take more is left to the runs,
// where whoever runs hears of it. Work is counted in bytes that are read and made, and in the elements that kernels
// report to their Pace. An operator may take what stands in proportion to what the model gave for its operands, and for
// the rest half of what all operators together have left, so that one does not leave the others without.
class FoldBudget {
 public:
  // Calls kernel(int64_t& allowance) where reading and making `bytes` is not too much already. False: it was, or the
  // kernel used its allowance up and stopped. `source`: the most that the model gave for one of the operands, in bytes.
  template <class Kernel>
  bool fold(size_t source, size_t bytes, const Kernel& kernel) {
    const int64_t own = kFree + kPerByte * static_cast<int64_t>(std::min(source, kMost));
    const int64_t granted = own + left_ / 2;
    int64_t rest = granted - static_cast<int64_t>(std::min(bytes, kMost));
    if (rest < 0) return false;
    kernel(rest);
    left_ = std::max<int64_t>(left_ - std::max<int64_t>(granted - rest - own, 0), 0);
    return rest >= 0;
  }

 private:
  static constexpr size_t kMost = size_t{1} << 50;  // far from overflow
  static constexpr int64_t kFree = 1 << 16, kPerByte = 16;

  int64_t left_ = 256 << 20;
};

}  // namespace graft::ir
