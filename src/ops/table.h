// The operator table: every MIL operator that Graft knows, plus its host operators. One family of rows a file.
#pragma once

#include <span>

#include "ir/op_def.h"

namespace graft::ops {

// The table, built on first use; immutable.
const ir::OpTable& table();

using Rows = std::span<const ir::OpDef* const>;
// One function a family.
#define GRAFT_FAMILY(name) Rows name##_rows();
#include "ops/families.def"
#undef GRAFT_FAMILY

}  // namespace graft::ops
