// What oneDNN does for the engine.
#include "engine/step.h"

namespace graft::engine {

std::span<const Candidate> onednn_candidates() { return {}; }

}  // namespace graft::engine
