#include "ops/table.h"

namespace graft::ops {

const ir::OpTable& table() {
  static const ir::OpTable kTable = [] {
    std::vector<const ir::OpDef*> rows;
    for (const Rows family : {elementwise_rows(), activation_rows(), reduction_rows(), normalization_rows(),
                              linear_rows(), conv_rows(), pool_rows()})
      rows.insert(rows.end(), family.begin(), family.end());
    return ir::OpTable(rows);
  }();
  return kTable;
}

}  // namespace graft::ops
