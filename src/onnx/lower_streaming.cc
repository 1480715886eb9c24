// Operators that take texts piece by piece: what the next piece needs of this one is one of the results.
#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// A depthwise convolution that looks back only, over what is left of the past and the input; and what it leaves. ONNX
// Runtime's own has room between the taps, and [B, L, channels...] for channels_last.
Values causal_conv(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *weight = n.in(1), *bias = n.optional_in(2), *past = n.optional_in(3);
  const std::string activation = n.s("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish")
    return {n.refuse(Code::invalid_attribute, format("activation '{}', takes none, silu or swish", activation))};
  const int64_t dilation = n.i("dilation", 1), axes = n.i("ndim", 1);
  const bool last = n.flag("channels_last");
  if (dilation < 1 || dilation > INT32_MAX)
    return {n.refuse(Code::invalid_attribute, format("dilation is {}, takes 1..{}", dilation, INT32_MAX))};
  if (axes != 1) return {n.refuse(Code::unsupported_attribute, format("ndim is {}; 1 is supported", axes))};
  without(n, {}, {"state_window"});
  const Dims whole = x->dims();
  if (last && x->rank() >= 3 && (past == nullptr || past->rank() >= 2)) {
    const auto turned = [&](Value* v) {
      const Dim channels = ir::product(Dims(v->dims().begin() + 2, v->dims().end()));
      return b.transpose(shaped(n, b, v, Dims{v->dim(0), v->dim(1), channels}), {0, 2, 1});
    };
    x = turned(x);
    if (past != nullptr) past = turned(past);
  }
  if (x->rank() != 3 || weight->rank() != 3 || weight->dim(2) == Dim(0)) {
    return {n.refuse(Code::shape_mismatch, format("got {} and {}, takes [B, C, L] and [C, 1, k]", x->type.to_string(),
                                                  weight->type.to_string()))};
  }
  const Dim& channels = x->dim(1).known() ? x->dim(1) : weight->dim(0);
  if (!channels.known() || !weight->dim(2).known()) {
    const int rank = n.in(0)->rank();
    if (std::optional<Values> later = n.put_off_sizes(x->dtype(), {rank, rank})) return *later;
    return {n.refuse(Code::dynamic_shape, format("got {} and {}, takes [B, C, L] and [C, 1, k] with C and k known",
                                                 x->type.to_string(), weight->type.to_string()))};
  }
  int64_t back = 0;
  if (__builtin_mul_overflow(weight->dim(2).value() - 1, dilation, &back) || back > INT32_MAX)
    return {n.refuse(Code::limit_exceeded, "the taps lie too far apart")};
  if (past != nullptr && (past->rank() != 3 || ir::never_equal(past->dim(2), Dim(back))))
    return {n.refuse(Code::shape_mismatch, format("past_state is {}, takes {} steps", past->type.to_string(), back))};
  Value* all = x;
  if (past != nullptr && back > 0)
    all = b.concat({past, x}, 2);
  else if (back > 0)
    all = b.emit("pad", {{"x", x}, {"pad", Ints{0, 0, 0, 0, back, 0}}, {"constant_val", b.like(x, 0)}});
  Value* y = b.emit("conv", {{"x", all},
                             {"weight", weight},
                             {"bias", bias},
                             {"groups", channels.value()},
                             {"dilations", Ints{dilation}},
                             {"pad_type", "valid"}});
  if (activation != "none") y = b.unary("silu", y);
  if (last) y = shaped(n, b, b.transpose(y, {0, 2, 1}), whole);
  if (!n.wants(1)) return {y};
  // The last `back` steps of all, which may be none.
  const std::vector<int64_t> begin{0, 0, back == 0 ? INT32_MAX : -back}, end{0, 0, 0};
  Value* present = b.emit("slice_by_index", {{"x", all},
                                             {"begin", begin},
                                             {"end", end},
                                             {"begin_mask", std::vector<bool>{true, true, false}},
                                             {"end_mask", std::vector<bool>{true, true, true}}});
  if (!last || !b.ok()) return {y, present};
  Dims left = whole;
  left[1] = Dim(back);
  return {y, shaped(n, b, b.transpose(present, {0, 2, 1}), left)};
}

Values linear_attention(NodeView& n, OpBuilder& b) {
  Value *q = n.in(0), *k = n.in(1), *v = n.in(2);
  Value *past = n.optional_in(3), *decay = n.optional_in(4), *beta = n.optional_in(5);
  without(n, {}, {"state_window"});
  return b.emit_all("host_linear_attention", {{"query", q},
                                              {"key", k},
                                              {"value", v},
                                              {"past_state", past},
                                              {"decay", decay},
                                              {"beta", beta},
                                              {"q_num_heads", n.required_i("q_num_heads")},
                                              {"kv_num_heads", n.required_i("kv_num_heads")},
                                              {"scale", n.f("scale", 0)},
                                              {"update_rule", n.s("update_rule", "gated_delta")}});
}

constexpr Lowering kRows[] = {
    {"", "CausalConvWithState", kSince<27>, "input weight bias? past_state? -> output present_state; activation",
     causal_conv},
    {"", "LinearAttention", kSince<27>,
     "query key value past_state? decay? beta? -> output present_state; chunk_size kv_num_heads q_num_heads scale "
     "update_rule",
     linear_attention, "on the host only"},
    {"com.microsoft", "CausalConvWithState", kSince<1>,
     "input weight bias? past_state? -> output present_state; activation channels_last dilation ndim state_window",
     causal_conv, "ndim 1, without state_window"},
    {"com.microsoft", "LinearAttention", kSince<1>,
     "query key value past_state? decay? beta? -> output present_state; chunk_size kv_num_heads q_num_heads scale "
     "state_window update_rule",
     linear_attention, "on the host only; without state_window"},
};

}  // namespace

LoweringRows streaming_lowerings() { return kRows; }

}  // namespace graft::onnx
