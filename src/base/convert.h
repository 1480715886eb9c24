// Elements as another element type, where that holds what they hold.
#pragma once

#include "base/tensor.h"

namespace graft {

// Fills `to`, of the same shape and another real or bool type, with the elements of `from`; false where one of them
// would not stay what it is (NaN stays NaN), and then `to` is filled in part. fp64 is rounded to fp32 all the same, as
// NumPy makes fp64 unless told otherwise; what becomes infinite does not count as rounded.
bool convert_exactly(const TensorView& from, const MutableTensorView& to);

}  // namespace graft
