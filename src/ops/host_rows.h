// The rows of Graft's own operators, one or a family a file: meanings that ONNX has and MIL does not. No Core ML target
// takes them; parameters have ONNX's names. Their kernels may allocate where the size of the work hangs on the data.
#pragma once

#include "ops/table.h"

namespace graft::ops {

const ir::OpDef& host_agreed_row();
const ir::OpDef& host_resize_row();
const ir::OpDef& host_reshape_row();
const ir::OpDef& host_unique_row();
const ir::OpDef& host_linear_attention_row();
const ir::OpDef& host_non_max_suppression_row();
const ir::OpDef& host_cast_row();
const ir::OpDef& host_integer_matmul_row();
const ir::OpDef& host_integer_conv_row();
const ir::OpDef& host_recurrent_row();
Rows signal_rows();
Rows matrix_rows();
Rows strings_rows();
Rows string_numbers_rows();
Rows text_rows();
Rows host_windows_rows();
Rows host_language_rows();

}  // namespace graft::ops
