// ONNX Runtime's own operators, as its optimizer and its model builders write them: several of ai.onnx in one.
// The attention family is in lower_attention.cc.
#include "base/format.h"
#include "onnx/codes.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// ---- activations --------------------------------------------------------------------------------------------------

// gelu of x, plus input 1 where the node has it.
template <OpName mode>
Values biased_gelu(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (n.has(1)) x = b.add(x, n.in(1));
  return {b.emit("gelu", {{"x", x}, {"mode", mode.text}})};
}
Values quick_gelu(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.mul(x, b.unary("sigmoid", b.scale(x, n.f("alpha", 1.702f))))};
}

// What the attribute `activation` names, of y; its parameters are the same for all.
struct Activation {
  double alpha, beta;
};
Value* activated(NodeView& n, OpBuilder& b, Value* y, const Activation& p) {
  const std::string kind = n.s("activation", "");
  if (kind == "Relu") return b.unary("relu", y);
  if (kind == "Sigmoid") return b.unary("sigmoid", y);
  if (kind == "Tanh") return b.unary("tanh", y);
  if (kind == "Softplus") return b.unary("softplus", y);
  if (kind == "Softsign") return b.unary("softsign", y);
  if (kind == "LeakyRelu") return b.emit("leaky_relu", {{"x", y}, {"alpha", p.alpha}});
  if (kind == "Elu") return b.emit("elu", {{"x", y}, {"alpha", p.alpha}});
  if (kind == "HardSigmoid") return b.emit("sigmoid_hard", {{"x", y}, {"alpha", p.alpha}, {"beta", p.beta}});
  if (kind == "Clip") return b.emit("clip", {{"x", y}, {"alpha", p.alpha}, {"beta", p.beta}});
  return n.refuse(Code::unsupported_attribute,
                  format("activation '{}'; Relu, Sigmoid, Tanh, Softplus, Softsign, LeakyRelu, Elu, HardSigmoid and "
                         "Clip are supported",
                         kind));
}

// ---- products -----------------------------------------------------------------------------------------------------

// The dims of a transBatch operand are [rows, batch..., columns].
Value* batch_first(OpBuilder& b, Value* x) {
  if (x->rank() < 3) return x;
  Ints perm;
  for (int d = 1; d < x->rank() - 1; ++d) perm.push_back(d);
  perm.push_back(0);
  perm.push_back(x->rank() - 1);
  return b.transpose(x, perm);
}

Values fused_matmul(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1);
  const bool batch_x = n.flag("transBatchA"), batch_y = n.flag("transBatchB");
  if ((batch_x || batch_y) && x->rank() != y->rank()) {
    return {n.refuse(Code::rank_mismatch, format("got {} and {}, takes the same rank with transBatchA or transBatchB",
                                                 x->type.to_string(), y->type.to_string()))};
  }
  if (batch_x) x = batch_first(b, x);
  if (batch_y) y = batch_first(b, y);
  // A vector has nothing to transpose.
  Value* product = b.emit("matmul", {{"x", x},
                                     {"y", y},
                                     {"transpose_x", n.flag("transA") && x->rank() > 1},
                                     {"transpose_y", n.flag("transB") && y->rank() > 1}});
  return {b.scale(product, n.f("alpha", 1))};
}

Values fused_gemm(NodeView& n, OpBuilder& b) {
  Value* y = gemm(n, b)[0];
  if (!n.has_attr("activation")) return {y};
  return {activated(n, b, y, {n.f("activation_alpha", 0), n.f("activation_beta", 0)})};
}

Values fused_conv(NodeView& n, OpBuilder& b) {
  Value* y = conv(n, b)[0];
  if (n.has(3)) y = b.add(y, n.in(3));
  if (!n.has_attr("activation")) return {y};
  std::vector<double> p = n.floats("activation_params");
  p.resize(2);
  return {activated(n, b, y, {p[0], p[1]})};
}

// ---- normalisations -----------------------------------------------------------------------------------------------

// input + skip + bias, of which skip may have fewer dims or a batch of 1.
Value* skip_sum(NodeView& n, OpBuilder& b, int bias) {
  Value *x = n.in(0), *skip = n.in(1);
  Value* sum = b.add(x, skip);
  if (x->rank() < 1) n.refuse(Code::rank_mismatch, "got a scalar, takes rank 1 or more");
  return n.has(bias) ? b.add(sum, n.in(bias)) : sum;
}

Values skip_layer_norm(NodeView& n, OpBuilder& b) {
  Value *sum = skip_sum(n, b, 4), *gamma = n.in(2), *beta = n.optional_in(3);
  const double epsilon = n.f("epsilon", 1e-12f);
  const int axis = sum->rank() - 1;
  Value* y = layer_norm_of(b, sum, axis, gamma, beta, epsilon);
  if (!n.wants(1) && !n.wants(2)) return {y, y, y, sum};  // nobody reads those between
  const Statistics s = statistics(b, sum, axis, epsilon);
  return {y, s.mean, s.factor, sum};
}

Values skip_rms_norm(NodeView& n, OpBuilder& b) {
  Value *sum = skip_sum(n, b, 3), *gamma = n.in(2);
  if (n.wants(1)) return {n.refuse(Code::unsupported_attribute, "the output mean is asked for, which nothing needs")};
  const auto [y, factor] = rms_norm_of(b, sum, sum->rank() - 1, gamma, n.f("epsilon", 1e-12f));
  return {y, factor, factor, sum};
}

// The rows of tables that belong to the words, their places and their segments, added and normalised; and how many
// words of each text count. Places, segments, their table and the mask may be null.
struct Tables {
  Value *words, *places, *segments, *gamma, *beta;
};
Values embedded(NodeView& n, OpBuilder& b, const Tables& t, Value* mask, Value* at) {
  Value *ids = n.in(0), *segments = n.optional_in(1);
  if (!b.ok()) return {n.refused()};
  if (ids->rank() != 2 || t.words->rank() != 2 || t.places->rank() != 2)
    return {n.refuse(Code::rank_mismatch,
                     format("got ids {}, words {} and places {}, takes matrices", ids->type.to_string(),
                            t.words->type.to_string(), t.places->type.to_string()))};
  if ((segments == nullptr) != (t.segments == nullptr))
    return {n.refuse(Code::invalid_model, "segment_ids and segment_embedding are given both or neither")};
  const auto rows = [&](Value* of, Value* indices) {
    return with_indices(n, b, indices, of, 0, [&](Value* i) { return b.gather(of, i, 0); });
  };
  Value* sum = rows(t.words, ids);
  if (at == nullptr) {
    Value* hint = ids;
    Value* size = b.dims_value({ids->dim(1), t.places->dim(1)}, std::span<Value* const>(&hint, 1));
    sum = b.add(sum, b.emit("slice_by_size", {{"x", t.places}, {"begin", std::vector<int64_t>{0, 0}}, {"size", size}}));
  } else {
    sum = b.add(sum, rows(t.places, at));
  }
  if (segments != nullptr) sum = b.add(sum, rows(t.segments, segments));
  Value* y = layer_norm_of(b, sum, 2, t.gamma, t.beta, n.f("epsilon", 1e-12f));
  if (!n.wants(1)) return {y, y, sum};
  Value* counts =
      mask == nullptr ? b.mul(ids, b.like(ids, 0)) : b.cast(b.binary("equal", mask, b.like(mask, 1)), DType::i32);
  return {y, b.reduce("reduce_sum", counts, {1}, false), sum};
}

Values embed_layer_norm(NodeView& n, OpBuilder& b) {
  const Tables tables{n.in(2), n.in(3), n.optional_in(4), n.in(5), n.in(6)};
  return embedded(n, b, tables, n.optional_in(7), n.optional_in(8));
}

// The same of tables of codes, whose scales and zero points come behind, in the tables' order.
Values qembed_layer_norm(NodeView& n, OpBuilder& b) {
  const auto table = [&](int i) -> Value* {
    if (!n.has(i)) return nullptr;
    Value* codes = n.in(i);
    Value* scale = one_as_scalar(b, n.in(6 + i));
    return numbers_of(b, {codes, scale, one_as_scalar(b, n.in(11 + i))});
  };
  const Tables tables{table(2), table(3), table(4), table(5), table(6)};
  return embedded(n, b, tables, n.optional_in(7), nullptr);
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "BiasGelu", kSince<1>, "A B -> C", biased_gelu<"EXACT">},
    {"com.microsoft", "Gelu", kSince<1>, "X -> Y", biased_gelu<"EXACT">},
    {"com.microsoft", "FastGelu", kSince<1>, "X bias? -> Y", biased_gelu<"TANH_APPROXIMATION">},
    {"com.microsoft", "QuickGelu", kSince<1>, "X -> Y; alpha", quick_gelu},
    {"com.microsoft", "FusedMatMul", kSince<1>, "A B -> Y; alpha transA transB transBatchA transBatchB", fused_matmul},
    {"com.microsoft", "TransposeMatMul", kSince<1>, "A B -> Y; alpha transA transB", fused_matmul},
    {"com.microsoft", "FusedGemm", kSince<1>,
     "A B C? -> Y; activation activation_alpha activation_beta activation_gamma alpha beta transA transB", fused_gemm},
    {"com.microsoft", "FusedConv", kSince<1>,
     "X W B? Z? -> Y; activation activation_params auto_pad dilations group kernel_shape pads strides", fused_conv},
    {"com.microsoft", "SkipLayerNormalization", kSince<1>,
     "input skip gamma beta? bias? -> output mean? inv_std_var? input_skip_bias_sum?; epsilon", skip_layer_norm},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", kSince<1>,
     "input skip gamma bias? -> output mean? inv_std_var? input_skip_bias_sum?; epsilon", skip_rms_norm,
     "without the output mean"},
    {"com.microsoft", "EmbedLayerNormalization", kSince<1>,
     "input_ids segment_ids? word_embedding position_embedding segment_embedding? gamma beta mask? position_ids? -> "
     "output mask_index? embedding_sum?; epsilon mask_index_type",
     embed_layer_norm},
    {"com.microsoft", "QEmbedLayerNormalization", kSince<1>,
     "input_ids segment_ids? word_embedding_quant position_embedding_quant segment_embedding? gamma_quant beta_quant "
     "mask? word_embedding_scale position_embedding_scale segment_embedding_scale? gamma_scale beta_scale "
     "word_embedding_zero_point position_embedding_zero_point segment_embedding_zero_point? gamma_zero_point "
     "beta_zero_point -> layernorm_out mask_index_out; epsilon",
     qembed_layer_norm},
};

}  // namespace

LoweringRows microsoft_lowerings() { return kRows; }

}  // namespace graft::onnx
