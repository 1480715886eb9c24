// Graft's own kernels, in the order in which they are tried.
#include "engine/native/kernels.h"

namespace graft::engine {
namespace {

constexpr Candidate kNativeCandidates[] = {
    {"reduce_mean", prepare_reduce},
    {"reduce_sum", prepare_reduce},
    {"reduce_max", prepare_reduce},
    {"softmax", prepare_softmax},
    {"layer_norm", prepare_layer_norm},
    {"concat", prepare_concat},
    {"transpose", prepare_transpose},
    {"resize_bilinear", prepare_resize},
    {"resize_nearest_neighbor", prepare_resize},
    {"upsample_bilinear", prepare_resize},
    {"upsample_nearest_neighbor", prepare_resize},
    {"resize", prepare_resize},
    // One loop for chains of these.
    {"abs", prepare_fused},
    {"sign", prepare_fused},
    {"square", prepare_fused},
    {"sqrt", prepare_fused},
    {"rsqrt", prepare_fused},
    {"inverse", prepare_fused},
    {"exp", prepare_fused},
    {"exp2", prepare_fused},
    {"log", prepare_fused},
    {"tanh", prepare_fused},
    {"erf", prepare_fused},
    {"floor", prepare_fused},
    {"ceil", prepare_fused},
    {"round", prepare_fused},
    {"relu", prepare_fused},
    {"clip", prepare_fused},
    {"sigmoid", prepare_fused},
    {"silu", prepare_fused},
    {"leaky_relu", prepare_fused},
    {"elu", prepare_fused},
    {"softplus", prepare_fused},
    {"softsign", prepare_fused},
    {"thresholded_relu", prepare_fused},
    {"clamped_relu", prepare_fused},
    {"scaled_tanh", prepare_fused},
    {"sigmoid_hard", prepare_fused},
    {"threshold", prepare_fused},
    {"gelu", prepare_fused},
    {"cast", prepare_fused},
    {"logical_not", prepare_fused},
    {"add", prepare_fused},
    {"sub", prepare_fused},
    {"mul", prepare_fused},
    {"real_div", prepare_fused},
    {"maximum", prepare_fused},
    {"minimum", prepare_fused},
    {"equal", prepare_fused},
    {"not_equal", prepare_fused},
    {"less", prepare_fused},
    {"less_equal", prepare_fused},
    {"greater", prepare_fused},
    {"greater_equal", prepare_fused},
    {"logical_and", prepare_fused},
    {"logical_or", prepare_fused},
    {"logical_xor", prepare_fused},
    {"pow", prepare_fused},
    {"prelu", prepare_fused},
    {"batch_norm", prepare_fused},
    {"select", prepare_fused},
    {"relu6", prepare_fused},
    {"linear_activation", prepare_fused},
};

}  // namespace

std::span<const Candidate> native_candidates() { return kNativeCandidates; }

}  // namespace graft::engine
