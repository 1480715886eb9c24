// What a run is fed where nothing was given: random numbers.
#pragma once

#include <vector>

#include "tools/draws.h"

namespace graft::tools {

// Tensors for the session's inputs that `given` leaves out; invalid ones for the others. `given` is in the order of
// all_inputs(), may end early, and has views without an element type where nothing is given; they are of the inputs'
// types. Floats are uniform in what `draw` says (0..255 for image features of packages), random integers and bools 0 or
// 1 (indices into any table stay inside it) unless it says otherwise; the same seed gives the same numbers on every
// machine. Open dims: the session's option "shapes", then what given tensors say about the same symbol, then the
// model's default size, else the smallest that is legal, at least 1. Errors: invalid_option (shapes that do not fit),
// invalid_argument (an element type that cannot be made up), limit_exceeded, memory_limit.
Result<std::vector<Tensor>> random_inputs(const session::Session& session, std::span<const TensorView> given,
                                          uint64_t seed, const Draw& draw = draws().front());

}  // namespace graft::tools
