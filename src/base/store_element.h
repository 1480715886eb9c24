// The counterpart of element_as_double: one element written, of any real dtype.
#pragma once

#include "base/tensor.h"

namespace graft {

// Stores v as element i: for any real dtype; sub-byte types are packed, so neighbours must not be stored at once from
// several threads. An integer type takes what it holds. Floats of less than two bytes take the nearest, halves to even;
// what is beyond the largest becomes that if it `saturate`s, else infinity or, where the type has none, NaN. fp8e8m0
// takes the next power of two that is not below v.
void store_element(const MutableTensorView& t, int64_t i, double v, bool saturate = true);

}  // namespace graft
