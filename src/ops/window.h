// Windows that slide over the spatial dims of [n, channels, spatial...]: how parameters are read, how large the result
// is and how much padding there is. One place for conv, conv_transpose and the pools; symbols allowed where sizes are
// Dims.
#pragma once

#include "ops/kernel.h"

namespace graft::ops {

inline constexpr int kMaxSpatial = 3;

enum class PadType : uint8_t { valid, custom, same, same_lower };

struct Window {
  int spatial = 0;                   // 1 to kMaxSpatial
  Ints kernel, stride, dilation;     // one entry a spatial dim, each at least 1
  Ints custom_before, custom_after;  // of pad_type custom, at least 0; else 0
  PadType pad_type = PadType::valid;
  bool ceil_mode = false;

  int64_t reach(int d) const { return (kernel[d] - 1) * dilation[d] + 1; }  // of a dilated kernel
  // The result's size. `same` needs no more than the input's size; an input smaller than its window gives less than 1.
  Dim out(int d, const Dim& in) const;
  // Padding before an input of this size; what is behind it follows from the result's size.
  int64_t before(int d, int64_t in) const;
  int64_t after(int d, int64_t in) const;

  // The same for conv_transpose, where padding is what the result loses at its ends.
  Dim transposed_out(int d, const Dim& in) const;
  int64_t transposed_before(int d, int64_t in, int64_t out) const;
};

// Reads strides, dilations (if the row has them), pad_type, pad and ceil_mode (if the row has it) of an operator whose
// windows have the sizes `kernel`. Fails when a list has the wrong length or an entry is out of range.
Result<Window> read_window(const Call& call, std::span<const int64_t> kernel);
// x must have rank 3 to 5.
Status check_spatial(const Operand& x);
// The window of a pooling row, whose size `kernel_sizes` states.
Result<Window> pool_window(const Call& call);
// The spatial dims of the result appended to dims; fails where a window is larger than its padded input.
Status append_window_dims(const Window& window, const Dims& x, Dims& dims);

}  // namespace graft::ops
