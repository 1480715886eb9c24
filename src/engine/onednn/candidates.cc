// What oneDNN does for the engine.
#include "engine/onednn/kernels.h"

namespace graft::engine {
namespace {

constexpr Candidate kOneDnnCandidates[] = {
    {"conv", prepare_conv},         {"conv_transpose", prepare_conv_transpose},
    {"max_pool", prepare_max_pool}, {"avg_pool", prepare_avg_pool},
    {"matmul", prepare_matmul},     {"linear", prepare_linear},
};

}  // namespace

std::span<const Candidate> onednn_candidates() { return kOneDnnCandidates; }

}  // namespace graft::engine
