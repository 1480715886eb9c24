// Arrays in another element type, where that holds what they hold.
#pragma once

#include <optional>

#include "files/array.h"

namespace cli {

// The same numbers as `to`. fp64 is rounded to fp32, since NumPy makes fp64 unless told otherwise; all else must come
// out as it is (NaN as NaN), or there is nothing. Numbers and bools of whole bytes; bf16 may be asked for.
std::optional<Array> converted(const Array& array, graft_dtype to);

// The nearest fp16, ties to even.
uint16_t half_bits(double v);

}  // namespace cli
