// Compute precision FLOAT16: the rules by which a program in fp32 becomes one that computes in fp16.
//
// Every operator whose signature allows fp16 runs in it; casts stand at the function's interface (whose types do not
// change), at the boundaries of nested blocks, and around what stays in fp32. An operator stays in fp32 ("island") when
//   1. its row says that it works with values beyond fp16's range (reduce_sum_square, reduce_l2_norm, softplus, ...),
//   2. its row sums and more than kLongSum elements meet in one result,
//   3. it reduces something magnified (a square, a power of e), and what magnified it, and what brings the result back
//      (adding eps, the root, the logarithm, a quotient),
//   4. it computes with numbers made from integers that fp16 cannot count (positions, sizes),
//   5. its row says that operands are places or thresholds (crop_resize, ...): so does what computes those,
//   6. a constant operand does not fit: finite but beyond 65504, or so small that its digits are lost,
//   7. its row says that it makes much of lost digits: it steps (floor, a comparison with 0.3, an integer), or turns
//      (the sine of a large argument). Known are ranges and errors (error_ranges.h). What computes the operand stays
//      with it as far as that is exact in fp32: back to inputs, constants and integers,
//   8. it nears a pole (a logarithm, 1 / x), and what keeps its operand from zero is less than fp16 has,
//   9. the user says so of an ONNX node that it comes from,
//  10. it is in the body of a loop, and no product with weights, or computes what such a body
//      reads: what is carried from turn to turn is rounded in each.
// A constant that does not fit is kept out of rule 6 where another one means the same: bounds and fill values (the row
// says so) become +-65504; masks that are added or multiplied in (all that does not fit is negative, the rest 0), or
// selected and added, become kMask, and so does what is so low in an input that is added to what a softmax reads; eps
// becomes fp16's smallest number where the row says it is only an offset. From iOS17 on small parameters with a type of
// their own (eps, alpha, gamma, ...) just stay fp32. Each such decision is a finding. Operators that only move data
// follow an island. Infinities and NaN are kept.
#pragma once

#include "passes/pass.h"

namespace graft::passes {

// Sums in fp16 of more elements than this lose whole units: 2048 is where 1 stops counting.
inline constexpr int64_t kLongSum = 2048;
// What a mask of -1e9 or -3.4e38 becomes when it is added: far beyond any score, and two of them still fit, so that a
// row that is masked everywhere stays finite.
inline constexpr double kMask = -30000;

// fp32 -> fp16 by the rules above; returns the number of operators that now run in fp16. For a Core ML target.
Result<int> half_precision(ir::Function& function, PassContext& context);

}  // namespace graft::passes
