// One function a lower_*.cc file; lowerings.cc joins them. Private to src/onnx.
#pragma once

#include "onnx/node_view.h"

namespace graft::onnx {

LoweringRows elementwise_lowerings();
LoweringRows window_lowerings();
LoweringRows linear_lowerings();
LoweringRows normalization_lowerings();
LoweringRows reduction_lowerings();
LoweringRows shaping_lowerings();
LoweringRows joining_lowerings();
LoweringRows constant_lowerings();
LoweringRows resize_lowerings();
LoweringRows control_flow_lowerings();
LoweringRows detection_lowerings();
LoweringRows math_lowerings();
LoweringRows tensor_lowerings();

// Versions in which a definition changed, for a row: kSince<7, 13>.
template <int... versions>
inline constexpr int kSince[] = {versions...};

}  // namespace graft::onnx
