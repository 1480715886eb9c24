#include "ops/host_rows.h"

namespace graft::ops {

Rows host_rows() {
  static const ir::OpDef* const kRows[] = {&host_agreed_row(), &host_resize_row(), &host_reshape_row(),
                                           &host_unique_row(), &host_non_max_suppression_row()};
  return kRows;
}

}  // namespace graft::ops
