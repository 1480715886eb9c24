// Graft's own kernels, in the order in which they are tried.
#include "engine/step.h"

namespace graft::engine {

std::span<const Candidate> native_candidates() { return {}; }

}  // namespace graft::engine
