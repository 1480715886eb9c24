#include "ops/host_rows.h"

namespace graft::ops {

Rows host_rows() {
  static const ir::OpDef* const kRows[] = {
      &host_agreed_row(),   &host_resize_row(),           &host_reshape_row(),
      &host_unique_row(),   &host_linear_attention_row(), &host_non_max_suppression_row(),
      &host_cast_row(),     &host_integer_matmul_row(),   &host_integer_conv_row(),
      &host_recurrent_row()};
  return kRows;
}

}  // namespace graft::ops
