// The oneDNN candidates, each for one operator.
#pragma once

#include "engine/step.h"

namespace graft::engine {

std::span<const Candidate> onednn_candidates();

Result<Prepared> prepare_conv(const Selection& s, int node);
Result<Prepared> prepare_conv_transpose(const Selection& s, int node);
Result<Prepared> prepare_max_pool(const Selection& s, int node);
Result<Prepared> prepare_avg_pool(const Selection& s, int node);
Result<Prepared> prepare_matmul(const Selection& s, int node);
Result<Prepared> prepare_linear(const Selection& s, int node);

}  // namespace graft::engine
