// ONNX Runtime's mixtures of experts. Every expert sees every token here, in one product for all of them, and the
// router's weights, which are 0 for those not chosen, add them up: no shape hangs on data, at the cost of the experts
// that nobody asked. Letters of shapes: T tokens, E experts, H hidden, I inner.
#include <limits>

#include "base/format.h"
#include "onnx/block_weights.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// How much each expert counts for each token: [E, T, 1]. Of `by` count those where `chosen` is largest; may be equal.
Value* routed(NodeView& n, OpBuilder& b, Value* chosen, Value* by, bool normalized) {
  const int64_t k = n.i("k", 1);
  if (k < 1 || (chosen->dim(1).known() && k > chosen->dim(1).value()))
    return n.refuse(Code::invalid_attribute,
                    format("k is {}, takes 1 to the {} experts", k, chosen->dim(1).to_string()));
  const auto [top, which] = b.topk(chosen, b.scalar(DType::i32, static_cast<double>(k)), 1, false);
  const auto at_chosen = [&, which = which](const WithIndices& f) { return with_indices(n, b, which, by, 1, f); };
  Value* weights = top;
  if (by != chosen) {
    weights = at_chosen([&](Value* at) {
      return b.emit("gather_along_axis", {{"x", by}, {"indices", at}, {"axis", 1}});
    });
  }
  if (normalized) weights = b.div(weights, b.reduce("reduce_sum", weights, {1}, true));
  Value* none = b.scale(by, 0);
  Value* all = at_chosen([&](Value* at) {
    return b.emit("scatter_along_axis",
                  {{"data", none}, {"indices", at}, {"updates", weights}, {"axis", 1}, {"mode", "update"}});
  });
  return b.ok() ? b.expand_dims(b.transpose(all, {1, 0}), {2}) : all;
}

// What the attributes say of the first product [E, T, I], or [E, T, 2 * I] for swiglu.
Value* activated(NodeView& n, OpBuilder& b, Value* y) {
  const std::string kind = n.s("activation_type", "relu");
  if (kind == "identity") return y;
  if (kind == "relu" || kind == "silu") return b.unary(kind, y);
  if (kind == "gelu") return b.emit("gelu", {{"x", y}, {"mode", "TANH_APPROXIMATION"}});
  if (kind != "swiglu") {
    return n.refuse(Code::invalid_attribute,
                    format("activation_type '{}', takes relu, gelu, silu, swiglu or identity", kind));
  }
  if (const int64_t fusion = n.i("swiglu_fusion", 0); fusion != 1)
    return n.refuse(Code::unsupported_attribute, format("swiglu_fusion is {}; 1 is supported", fusion));
  const Dims pairs{y->dim(0), y->dim(1), ir::floor_div(y->dim(2), Dim(2)), Dim(2)};
  const Values both = cut(n, b, shaped(n, b, y, pairs), {1, 1}, 3);
  Value *gate = b.squeeze(both[0], {3}), *linear = b.squeeze(both[1], {3});
  if (n.has_attr("swiglu_limit")) {
    const double limit = n.f("swiglu_limit", 0);
    gate = b.minimum(gate, b.like(gate, limit));
    linear = b.minimum(b.maximum(linear, b.like(linear, -limit)), b.like(linear, limit));
  }
  Value* swish = b.mul(gate, b.unary("sigmoid", b.scale(gate, n.f("activation_alpha", 1))));
  const double beta = n.f("activation_beta", 0);
  return b.mul(swish, beta == 0 ? linear : b.add(linear, b.like(linear, beta)));
}

struct Layer {
  Value *weights, *bias;  // [E, N, K], and [E, N] or null
};

// x [T, K] or [E, T, K] times each expert's weights: [E, T, N].
Value* product(OpBuilder& b, Value* x, const Layer& layer) {
  Value* y = b.matmul(x->rank() == 2 ? b.expand_dims(x, {0}) : x, layer.weights, true);
  return layer.bias == nullptr ? y : b.add(y, b.expand_dims(layer.bias, {1}));
}

Value* experts(NodeView& n, OpBuilder& b, Value* shares, const Layer& first, const Layer& second) {
  Value* x = n.in(0);
  if (!b.ok()) return n.refused();
  const Dims whole = x->dims();
  Value* tokens = x->rank() == 2 ? x : shaped(n, b, x, Dims{whole[0] * whole[1], whole[2]});
  Value* y = product(b, activated(n, b, product(b, tokens, first)), second);
  y = b.reduce("reduce_sum", b.mul(y, shares), {0}, false);
  return x->rank() == 2 ? y : shaped(n, b, y, whole);
}

// What both operators say of their inputs 0 and 1.
void takes_tokens(NodeView& n) {
  Value* x = n.in(0);
  takes_rank(n, n.in(1), 2, "router_probs");
  if (x->rank() != 2 && x->rank() != 3)
    n.refuse(Code::rank_mismatch, format("input is {}, takes rank 2 or 3", x->type.to_string()));
}

Values moe(NodeView& n, OpBuilder& b) {
  Value *router = n.in(1), *first = takes_rank(n, n.in(2), 3, "fc1_experts_weights"), *first_bias = n.optional_in(3),
        *second = takes_rank(n, n.in(4), 3, "fc2_experts_weights"), *second_bias = n.optional_in(5);
  takes_tokens(n);
  without(n, {{6, "fc3_experts_weights"}, {7, "fc3_experts_bias"}}, {"use_sparse_mixer"});
  if (!b.ok()) return {n.refused()};
  Value* probabilities = b.emit("softmax", {{"x", router}, {"axis", 1}});
  Value* shares = routed(n, b, probabilities, probabilities, n.flag("normalize_routing_weights"));
  return {experts(n, b, shares, {first, first_bias}, {second, second_bias})};
}

// ---- QMoE ---------------------------------------------------------------------------------------------------------

// Weights [E, N, K * bits / 8] with scales [E, N] or [E, N, blocks], inputs i and i + 1, and zero points, which may be
// left out; as constants that stay so.
Value* weights_of(NodeView& n, OpBuilder& b, int i, int zero_points, std::string_view layer) {
  if (!n.has(i + 1)) return n.refuse(Code::invalid_model, format("{}_scales are left out", layer));
  needs_constants(n, {{i, "the weights"}, {i + 1, "the scales"}, {zero_points, "the zero points"}});
  Value *codes = takes_rank(n, n.in(i), 3, "the weights"), *scales = n.in(i + 1), *zeros = n.optional_in(zero_points);
  const int64_t width = n.i(format("{}_expert_weight_bits", layer), n.i("expert_weight_bits", 4)),
                block = n.i("block_size", 0);
  if (!b.ok()) return n.refused();
  if (!is_code_width(width))
    return n.refuse(Code::invalid_attribute, format("weights of {} bits, takes 2, 4 and 8", width));
  if (block != 0 && !is_block_size(block))
    return n.refuse(Code::invalid_attribute, format("block_size is {}, takes powers of two from 16 on", block));
  const DType t = code_type(width);
  const Shape packed = codes->type.shape();
  const int64_t experts = packed[0], rows = packed[1];
  int64_t columns = 0;
  if (codes->dtype() != DType::u8 || __builtin_mul_overflow(packed[2], 8 / width, &columns))
    return n.refuse(Code::shape_mismatch, format("weights are {}, take bytes", codes->type.to_string()));
  if (block != 0 && columns % block != 0)
    return n.refuse(Code::shape_mismatch, format("{} columns in blocks of {}, takes whole blocks", columns, block));
  const int64_t blocks = block == 0 ? 1 : columns / block, count = experts * rows * blocks;
  const Shape by_block{experts, rows, blocks};
  if (scales->constant->count() != count) {
    return n.refuse(Code::shape_mismatch,
                    format("the scales are {}, take {}", scales->type.to_string(), to_string(by_block)));
  }
  scales = b.constant(ir::Constant::reshape(scales->constant, by_block));
  if (zeros != nullptr) {
    // Rows of them end at whole bytes: an expert's, or with blocks a row's.
    const int64_t lists = block == 0 ? experts : experts * rows, each = block == 0 ? rows : blocks;
    const int64_t want = lists * static_cast<int64_t>(byte_size(t, each));
    if (zeros->dtype() != DType::u8 || zeros->constant->count() != want) {
      return n.refuse(Code::shape_mismatch,
                      format("the zero points are {}, take {} bytes", zeros->type.to_string(), want));
    }
    zeros = b.constant(ir::Constant::reshape(unpadded(zeros->constant, t, lists, each), by_block));
  }
  return b.cast(dense(b, {width, {experts, rows}, columns, blocks, codes, scales, zeros}), n.in(0)->dtype());
}

// Selected by the router's numbers; by their softmax, or by router_weights, added up.
Values qmoe(NodeView& n, OpBuilder& b) {
  Value *router = n.in(1), *first_bias = n.optional_in(4), *second_bias = n.optional_in(7), *by = n.optional_in(14);
  takes_tokens(n);
  without(n,
          {{8, "fc3_experts_weights"},
           {9, "fc3_scales"},
           {10, "fc3_experts_bias"},
           {13, "fc3_zero_points"},
           {15, "fc1_global_scale"},
           {16, "fc2_global_scale"},
           {17, "fc1_act_scale"},
           {18, "fc2_act_scale"},
           {19, "fc1_act_block_scale"},
           {20, "fc2_act_block_scale"}},
          {"use_sparse_mixer", "weights_prepacked"});
  if (const std::string kind = n.s("quant_type", "int"); kind != "int")
    n.refuse(Code::unsupported_attribute, format("quant_type is '{}'; int is supported", kind));
  if (by != nullptr) takes_rank(n, by, 2, "router_weights");
  Value* first = weights_of(n, b, 2, 11, "fc1");
  Value* second = weights_of(n, b, 5, 12, "fc2");
  if (!b.ok()) return {n.refused()};
  Value* shares = nullptr;
  if (by != nullptr) {
    shares = routed(n, b, router, by, n.flag("normalize_routing_weights"));
  } else {
    Value* probabilities = b.emit("softmax", {{"x", router}, {"axis", 1}});
    shares = routed(n, b, probabilities, probabilities, true);
  }
  return {experts(n, b, shares, {first, first_bias}, {second, second_bias})};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "MoE", kSince<1>,
     "input router_probs fc1_experts_weights fc1_experts_bias? fc2_experts_weights fc2_experts_bias? "
     "fc3_experts_weights? fc3_experts_bias? -> output; activation_alpha activation_beta activation_type k "
     "normalize_routing_weights swiglu_fusion swiglu_limit use_sparse_mixer",
     moe, "without fc3, use_sparse_mixer; swiglu_fusion 1"},
    {"com.microsoft", "QMoE", kSince<1>,
     "input router_probs fc1_experts_weights fc1_scales? fc1_experts_bias? fc2_experts_weights fc2_scales? "
     "fc2_experts_bias? fc3_experts_weights? fc3_scales? fc3_experts_bias? fc1_zero_points? fc2_zero_points? "
     "fc3_zero_points? router_weights? fc1_global_scale? fc2_global_scale? fc1_act_scale? fc2_act_scale? "
     "fc1_act_block_scale? fc2_act_block_scale? -> output; accuracy_level activation_alpha activation_beta "
     "activation_type block_size expert_weight_bits fc1_expert_weight_bits fc2_expert_weight_bits "
     "fc3_expert_weight_bits k normalize_routing_weights quant_type swiglu_fusion swiglu_limit use_sparse_mixer "
     "weights_prepacked",
     qmoe, "constant integer weights; without fc3, use_sparse_mixer; swiglu_fusion 1"},
};

}  // namespace

LoweringRows microsoft_experts_lowerings() { return kRows; }

}  // namespace graft::onnx
