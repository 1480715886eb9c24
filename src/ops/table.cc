#include "ops/table.h"

namespace graft::ops {

const ir::OpTable& table() {
  static const ir::OpTable kTable = [] {
    std::vector<const ir::OpDef*> rows;
#define GRAFT_FAMILY(name) \
  for (const ir::OpDef* def : name##_rows()) rows.push_back(def);
#include "ops/families.def"
#undef GRAFT_FAMILY
    return ir::OpTable(rows);
  }();
  return kTable;
}

}  // namespace graft::ops
