// The default of an optional parameter as a constant, from the text of the row.
#pragma once

#include "ir/call.h"

namespace graft::coreml {

// Null when the parameter is absent by default ("none"), or its default is a rule that no constant says ("all axes").
// `x_rank` expands lists of one entry a spatial dim; `dtype` is what a numeric default is made of.
ir::ConstantPtr default_constant(const ir::Param& param, DType dtype, int x_rank);
// The element type that a default of `param` takes beside these arguments: that of its letter where an argument binds
// it, else x's where the letter allows it.
DType default_dtype(const ir::Param& param, const ir::Signature& signature, const ir::Call& call);

}  // namespace graft::coreml
