// Arrays in another element type, where that holds what they hold.
#pragma once

#include <optional>

#include "files/array.h"

namespace cli {

// The same numbers as `to`, any real type or bool. fp64 is rounded to fp32, since NumPy makes fp64 unless told
// otherwise; all else must come out as it is (NaN as NaN), or there is nothing.
std::optional<Array> converted(const Array& array, graft_dtype to);

// What NumPy has for an element type, or the smallest that holds its numbers: fp32 for bf16 and the floats of a byte or
// less, int8 and uint8 for integers of less than a byte.
graft_dtype numpy_type(graft_dtype dtype);

// The nearest fp16, ties to even.
uint16_t half_bits(double v);

}  // namespace cli
