// Windows that slide over the spatial dims, as nodes describe them. ONNX pads all starts first, MIL start and end of
// each dim. Private to src/onnx.
#pragma once

#include "onnx/node_view.h"

namespace graft::onnx {

inline constexpr int64_t kOpen = -1;  // a kernel's size that only a run tells

// kernel, strides, dilations and pads of a node; one entry a spatial dim.
struct WindowAttributes {
  int spatial = 0;
  Ints kernel, stride, dilation, before, after;
  Ints beyond;  // of a pool: behind the padding, counts for nothing
  std::string auto_pad;
  bool same() const { return auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER"; }
  bool open() const { return std::find(kernel.begin(), kernel.end(), kOpen) != kernel.end(); }
  int64_t reach(int d) const { return (kernel[d] - 1) * dilation[d] + 1; }
  bool dilated() const {
    return std::any_of(dilation.begin(), dilation.end(), [](int64_t v) { return v != 1; });
  }
  // As padding like the other, which a maximum never sees and an average may leave out.
  void take_beyond() {
    for (int d = 0; d < spatial; ++d) after[d] += beyond[d];
  }
};

// As MIL wants them: start and end of each dim.
Ints pairs(const Ints& before, const Ints& after);
// An integer list attribute with `count` entries of at least `least`; the fallback repeated where it is absent.
Ints sizes(NodeView& n, std::string_view attribute, int count, int64_t least, int64_t fallback);
// nullopt after a refusal.
std::optional<WindowAttributes> read_window(NodeView& n, const Value* x, const Ints& kernel);
// Padding of SAME_* as numbers, where the sizes are known or do not matter (stride 1). False: it depends on the run.
bool resolve_same(WindowAttributes& w, const Value* x);

struct Padding {
  std::string type;
  Ints pad;
};
Padding padding_of(WindowAttributes& w, const Value* x);

// The kernel's sizes are the weight's; kernel_shape may repeat them. Where the weight's are not known it tells them,
// and a run checks it.
Ints kernel_of(NodeView& n, OpBuilder& b, Value*& w);
// bias[c] added to y[n, c, ...].
Value* add_bias(OpBuilder& b, Value* y, Value* bias);

}  // namespace graft::onnx
