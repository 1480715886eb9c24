// A row of its own file that is listed with those of linear.cc.
#pragma once

#include "ir/op_def.h"

namespace graft::ops {

const ir::OpDef& scaled_dot_product_attention_row();

}  // namespace graft::ops
