#pragma once

#include "passes/pass.h"

namespace graft::passes {

// batch_norm, and mul, add, sub, real_div by a constant per channel, after conv or conv_transpose with constant fp32
// weights become part of its weights and bias. The products are rounded once to fp32: equal up to rounding.
Result<int> affine_into_conv(ir::Function& function, PassContext& context);
// Zero padding of spatial dims before conv and avg_pool becomes their own, where that means exactly the same.
Result<int> pad_into_window(ir::Function& function, PassContext& context);

}  // namespace graft::passes
