// GroupQueryAttention: heads that share keys, and a cache of keys and values that each text fills as far as it goes.
#include <algorithm>

#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

// What each text has of keys and values.
struct Cache {
  Value* prompt;  // whether there is no past, a bool
  Value* past;    // [B, 1]: how many of the past count
  Value* places;  // [B, S]: where the new ones stand
};
Cache cache_of(NodeView& n, OpBuilder& b, const Dim& steps) {
  Value* last = b.cast(shaped(n, b, n.in(5), {n.in(0)->dim(0), Dim(1)}), DType::i32);
  Value* count = size(n, b, steps);
  Value* total = b.cast(b.reshape(n.in(6), Dims{}), DType::i32);
  // A prompt is padded behind its end: its texts begin at 0, whatever their lengths.
  Value* past = b.sub(b.add(last, b.like(last, 1)), count);
  Value* prompt = b.binary("equal", total, count);
  past = b.select(prompt, b.mul(past, b.like(past, 0)), past);
  return {prompt, past, b.add(past, upto(b, count))};
}

// The rows of the angles: as position_ids says, of which a prompt reads the first alone.
Value* rows_of_angles(NodeView& n, OpBuilder& b, const Cache& cache, const Dim& steps) {
  if (!n.has(9)) return cache.places;
  Value* at = takes_rank(n, n.in(9), 2, "position_ids");
  Value* first = b.emit("slice_by_size", {{"x", at}, {"begin", Ints{0, 0}}, {"size", Ints{1, 1}}});
  Value* counted = b.add(first, b.cast(upto(b, size(n, b, steps)), at->dtype()));
  return b.select(cache.prompt, counted, at);
}

// [B, N, P, H] with x written behind what counts of each text, as long as the longest text, at least P; 0 behind.
Value* appended(NodeView& n, OpBuilder& b, Value* past, Value* x, const Cache& cache) {
  Value *reserved = size(n, b, past->dim(2)), *steps = size(n, b, x->dim(2));
  Value* total = b.cast(b.reshape(n.in(6), Dims{}), DType::i32);
  Value* places = upto(b, b.maximum(reserved, total));
  Value* fresh = b.sub(places, cache.past);  // [B, T]: which of x
  Value* zero = b.like(fresh, 0);
  Value* old = b.binary("less", fresh, zero);
  Value* from_x = b.add(b.minimum(fresh, b.sub(steps, b.like(steps, 1))), reserved);
  Value* at = b.select(old, b.add(places, b.mul(fresh, zero)), from_x);
  Value* both = b.concat({past, x}, 2);
  at = b.maximum(at, zero);
  Value* y = b.emit("gather", {{"x", both}, {"indices", at}, {"axis", 2}, {"batch_dims", 1}});
  Value* counts = b.expand_dims(b.binary("less", fresh, steps), {1, 3});
  return b.select(counts, y, b.like(y, 0));
}

// The softmax of scores [B, N, S, T]; with smooth_softmax or head_sink each row has one more score, 0 or the head's,
// whose share nobody gets.
Value* shares_of(NodeView& n, OpBuilder& b, Value* scores, int64_t heads) {
  const bool sink = n.has(11);
  if (!sink && n.i("smooth_softmax", 0) <= 0) return b.emit("softmax", {{"x", scores}, {"axis", -1}});
  Value* more = b.scale(b.reduce("reduce_max", scores, {3}, true), 0);
  if (sink) more = b.add(more, shaped(n, b, n.in(11), {Dim(1), Dim(heads), Dim(1), Dim(1)}));
  Value* shares = b.emit("softmax", {{"x", b.concat({scores, more}, 3)}, {"axis", -1}});
  return b.emit("slice_by_index", {{"x", shares},
                                   {"begin", Ints{0, 0, 0, 0}},
                                   {"end", Ints{0, 0, 0, -1}},
                                   {"end_mask", std::vector<bool>{true, true, true, false}}});
}

Values group_query_attention(NodeView& n, OpBuilder& b) {
  Value* q = takes_rank(n, n.in(0), 3, "query");
  without(n, {{12, "k_scale"}, {13, "v_scale"}, {14, "q_norm_weight"}, {15, "k_norm_weight"}},
          {"qk_output", "sliding_window_cache"});
  for (const std::string_view kind : {"k_quant_type", "v_quant_type"}) {
    if (const std::string v = n.s(kind, "NONE"); v != "NONE")
      n.refuse(Code::unsupported_attribute, format("{} is '{}'; NONE is supported", kind, v));
  }
  if (!n.flag("causal", true)) n.refuse(Code::unsupported_attribute, "causal is 0; 1 is supported");
  if (n.wants(3))
    n.refuse(Code::unsupported_attribute, "the output output_qk is asked for; nodes without it are supported");
  const int64_t heads = positive(n, "num_heads"), stored = positive(n, "kv_num_heads");
  if (heads % stored != 0) {
    return {n.refuse(Code::invalid_attribute, format("num_heads {} is no multiple of kv_num_heads {}", heads, stored))};
  }
  Value *k = nullptr, *v = nullptr;
  if (n.has(1) != n.has(2)) return {n.refuse(Code::invalid_model, "key and value are given both or neither")};
  if (n.has(3) != n.has(4)) return {n.refuse(Code::invalid_model, "past_key and past_value are given both or neither")};
  if (n.has(1)) {
    q = to_heads(n, b, q, heads);
    k = to_heads(n, b, takes_rank(n, n.in(1), 3, "key"), stored);
    v = to_heads(n, b, takes_rank(n, n.in(2), 3, "value"), stored);
  } else {
    const Values qkv = cut(n, b, to_heads(n, b, q, heads + 2 * stored), {heads, stored, stored}, 1);
    q = qkv[0], k = qkv[1], v = qkv[2];
  }
  const Dim steps = q->dim(2), h = q->dim(3);
  const Cache cache = cache_of(n, b, steps);
  if (n.flag("do_rotary")) {
    Value *cos = takes_rank(n, n.in(7), 2, "cos_cache"), *sin = takes_rank(n, n.in(8), 2, "sin_cache");
    Value* at = rows_of_angles(n, b, cache, steps);
    const bool interleaved = n.flag("rotary_interleaved");
    q = rotated(n, b, q, at, cos, sin, interleaved);
    k = rotated(n, b, k, at, cos, sin, interleaved);
  }
  if (n.has(3)) {
    k = appended(n, b, takes_rank(n, n.in(3), 4, "past_key"), k, cache);
    v = appended(n, b, takes_rank(n, n.in(4), 4, "past_value"), v, cache);
  }
  // The queries of the heads that share keys are rows of one product.
  const Dims shared{q->dim(0), Dim(stored), Dim(heads / stored) * steps, h};
  Value* rows = shaped(n, b, scaled_queries(n, b, q), shared);
  Value* scores = b.matmul(rows, k, true);
  const Dims apart{q->dim(0), Dim(heads), steps, scores->dim(3)};
  const auto regrouped = [&](Value* x, const Dims& dims, Value* hint) {
    Values hints = given(n);
    hints.push_back(hint);
    return b.reshape(x, dims, hints);
  };
  const Dims together = scores->dims();
  scores = regrouped(scores, apart, k);
  if (const double cap = n.f("softcap", 0); cap > 0) {
    Value* bounded = b.unary("tanh", b.scale(scores, 1 / cap));
    scores = b.scale(bounded, cap);
  }
  if (n.has(10)) scores = b.add(scores, n.in(10));
  const std::array<Value*, 1> keys_of{k};
  Value* keys = upto(b, b.squeeze(b.dims_value({k->dim(2)}, keys_of), {0}));
  Value* queries = b.expand_dims(cache.places, {1, 3});
  Value* allowed = b.binary("less_equal", keys, queries);
  if (const int64_t window = n.i("local_window_size", -1); window > 0) {
    Value* first = b.sub(queries, b.like(queries, static_cast<double>(std::min<int64_t>(window, INT32_MAX))));
    allowed = b.binary("logical_and", allowed, b.binary("greater", keys, first));
  }
  Value* shares = shares_of(n, b, only_where(b, allowed, scores), heads);
  Value* y = b.matmul(regrouped(shares, together, k), v);
  return {from_heads(n, b, shaped(n, b, y, q->dims())), k, v};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "GroupQueryAttention", kSince<1>,
     "query key? value? past_key? past_value? seqlens_k total_sequence_length cos_cache? sin_cache? position_ids? "
     "attention_bias? head_sink? k_scale? v_scale? q_norm_weight? k_norm_weight? -> output present_key? present_value? "
     "output_qk?; causal do_rotary k_quant_type kv_cache_bit_width kv_num_heads local_window_size num_heads "
     "qk_norm_epsilon qk_output rotary_interleaved scale sliding_window_cache smooth_softmax softcap v_quant_type",
     group_query_attention, "without a quantized cache, sliding_window_cache, norms of q and k, output_qk, causal 0"},
};

}  // namespace

LoweringRows microsoft_cache_lowerings() { return kRows; }

}  // namespace graft::onnx
