// Graft's own candidates, each for one operator or a family.
#pragma once

#include "engine/step.h"

namespace graft::engine {

std::span<const Candidate> stored_candidates();  // for weights in compressed forms
std::span<const Candidate> native_candidates();

Result<Prepared> prepare_fused(const Selection& s, int node);
Result<Prepared> prepare_wide(const Selection& s, int node);
Result<Prepared> prepare_reduce(const Selection& s, int node);
Result<Prepared> prepare_any_reduce(const Selection& s, int node);
Result<Prepared> prepare_softmax(const Selection& s, int node);
Result<Prepared> prepare_layer_norm(const Selection& s, int node);
Result<Prepared> prepare_concat(const Selection& s, int node);
Result<Prepared> prepare_resize(const Selection& s, int node);
Result<Prepared> prepare_resample(const Selection& s, int node);
Result<Prepared> prepare_move(const Selection& s, int node);
Result<Prepared> prepare_gather(const Selection& s, int node);
Result<Prepared> prepare_scatter(const Selection& s, int node);
Result<Prepared> prepare_sort(const Selection& s, int node);
Result<Prepared> prepare_arg(const Selection& s, int node);
Result<Prepared> prepare_cumsum(const Selection& s, int node);
Result<Prepared> prepare_instance_norm(const Selection& s, int node);
Result<Prepared> prepare_quantize(const Selection& s, int node);
Result<Prepared> prepare_dequantize(const Selection& s, int node);
Result<Prepared> prepare_integer_matmul(const Selection& s, int node);
Result<Prepared> prepare_integer_conv(const Selection& s, int node);
Result<Prepared> prepare_nibble_linear(const Selection& s, int node);
Result<Prepared> prepare_recurrent(const Selection& s, int node);

}  // namespace graft::engine
