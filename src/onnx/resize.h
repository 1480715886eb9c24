// A Resize node with its inputs read, and the form of it that every target takes. Private to src/onnx.
#pragma once

#include "onnx/node_view.h"
#include "ops/resize_grid.h"

namespace graft::onnx {

// One entry of scales or sizes for each axis.
struct ResizeSpec {
  Ints axes;
  std::vector<double> scales;  // empty when they are not known, or sizes are given
  std::optional<Dims> sizes;   // known at least symbolically
  Value *scales_in = nullptr, *sizes_in = nullptr, *roi = nullptr;
  std::string mode, coordinate, nearest, policy;
  double cubic_a = -0.75, extrapolation = 0;
  bool exclude_outside = false, antialias = false;
};

// Along one axis after the other: elements gathered, and where there are several to one of the result, multiplied by
// their weights and added. Constants where the sizes are known, computed in the run where they are not.
Value* resize_by_taps(NodeView& n, OpBuilder& b, const ResizeSpec& s, Value* x);

}  // namespace graft::onnx
