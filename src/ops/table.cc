#include "ops/table.h"

namespace graft::ops {

const ir::OpTable& table() {
  static const ir::OpTable kTable = [] {
    std::vector<const ir::OpDef*> rows;
    for (const Rows family : {elementwise_rows(),  unary_rows(),
                              cast_rows(),         activation_rows(),
                              reduction_rows(),    normalization_rows(),
                              linear_rows(),       conv_rows(),
                              pool_rows(),         tensor_operation_rows(),
                              filling_rows(),      tensor_transformation_rows(),
                              slicing_rows(),      ordering_rows(),
                              space_depth_rows(),  scatter_gather_rows(),
                              control_flow_rows(), image_resizing_rows(),
                              host_rows(),         constexpr_rows(),
                              quantization_rows(), random_rows()})
      rows.insert(rows.end(), family.begin(), family.end());
    return ir::OpTable(rows);
  }();
  return kTable;
}

}  // namespace graft::ops
