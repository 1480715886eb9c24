// The operator table: every MIL operator that Graft knows, plus its host operators. One family of rows a file.
#pragma once

#include <span>

#include "ir/op_def.h"

namespace graft::ops {

// The table, built on first use; immutable.
const ir::OpTable& table();

using Rows = std::span<const ir::OpDef* const>;
// One function a family file, joined in table.cc.
Rows elementwise_rows();
Rows unary_rows();
Rows cast_rows();
Rows tensor_operation_rows();
Rows filling_rows();
Rows ordering_rows();
Rows space_depth_rows();
Rows tensor_transformation_rows();
Rows slicing_rows();
Rows scatter_gather_rows();
Rows control_flow_rows();
Rows image_resizing_rows();
Rows host_rows();
Rows constexpr_rows();
Rows quantization_rows();
Rows random_rows();
Rows activation_rows();
Rows reduction_rows();
Rows normalization_rows();
Rows linear_rows();
Rows conv_rows();
Rows pool_rows();

}  // namespace graft::ops
