#include "ops/host_rows.h"

namespace graft::ops {

Rows host_rows() {
  static const std::vector<const ir::OpDef*> kRows = [] {
    std::vector<const ir::OpDef*> rows{
        &host_agreed_row(),   &host_resize_row(),           &host_reshape_row(),
        &host_unique_row(),   &host_linear_attention_row(), &host_non_max_suppression_row(),
        &host_cast_row(),     &host_integer_matmul_row(),   &host_integer_conv_row(),
        &host_recurrent_row()};
    for (const Rows& family : {signal_rows(), matrix_rows(), strings_rows(), string_numbers_rows(), text_rows(),
                               host_windows_rows(), host_language_rows()})
      rows.insert(rows.end(), family.begin(), family.end());
    return rows;
  }();
  return kRows;
}

}  // namespace graft::ops
