// Graft's own kernels, in the order in which they are tried.
#include "engine/native/kernels.h"

namespace graft::engine {
namespace {

using ir::Kind;

constexpr Candidate kNativeCandidates[] = {
    {Kind::pointwise, prepare_fused},  // one loop for chains of these
    {Kind::pointwise, prepare_wide},
    {Kind::reduction, prepare_reduce},
    {Kind::reduction, prepare_any_reduce},
    {Kind::softmax, prepare_softmax},
    {Kind::layer_norm, prepare_layer_norm},
    {Kind::instance_norm, prepare_instance_norm},
    {Kind::quantize, prepare_quantize},
    {Kind::dequantize, prepare_dequantize},
    {Kind::integer_matmul, prepare_integer_matmul},
    {Kind::integer_convolution, prepare_integer_conv},
    {Kind::resize, prepare_resize},
    {Kind::resample, prepare_resample},
    {Kind::concat, prepare_concat},
    {Kind::concat, prepare_move},
    {Kind::transpose, prepare_move},
    {Kind::slice, prepare_move},
    {Kind::pad, prepare_move},
    {Kind::move, prepare_move},
    {Kind::gather, prepare_gather},
    {Kind::scatter, prepare_scatter},
    {Kind::argsort, prepare_sort},
    {Kind::topk, prepare_sort},
    {Kind::arg_max, prepare_arg},
    {Kind::arg_min, prepare_arg},
    {Kind::cumsum, prepare_cumsum},
    {Kind::recurrent, prepare_recurrent},
};

// Asked before all other providers: they would unpack what these read as it is stored.
constexpr Candidate kStoredCandidates[] = {
    {Kind::linear, prepare_nibble_linear},
};

}  // namespace

std::span<const Candidate> stored_candidates() { return kStoredCandidates; }
std::span<const Candidate> native_candidates() { return kNativeCandidates; }

}  // namespace graft::engine
