// What oneDNN does for the engine.
#include "engine/onednn/kernels.h"

namespace graft::engine {
namespace {

using ir::Kind;

constexpr Candidate kOneDnnCandidates[] = {
    {Kind::convolution, prepare_conv},  {Kind::transposed_convolution, prepare_conv_transpose},
    {Kind::max_pool, prepare_max_pool}, {Kind::average_pool, prepare_avg_pool},
    {Kind::matmul, prepare_matmul},     {Kind::linear, prepare_linear},
};

}  // namespace

std::span<const Candidate> onednn_candidates() { return kOneDnnCandidates; }

}  // namespace graft::engine
