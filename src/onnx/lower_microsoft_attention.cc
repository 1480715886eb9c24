// ONNX Runtime's attention operators and what turns their heads. Letters of shapes: B batch, N heads, S queries,
// P keys of the past, L new keys, T = P + L, H a head's size. Heads are [B, N, S, H].
#include <cmath>
#include <limits>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// Inputs that must be left out, and attributes that must be 0.
void without(NodeView& n, std::initializer_list<std::pair<int, std::string_view>> inputs,
             std::initializer_list<std::string_view> flags) {
  for (const auto& [i, name] : inputs) {
    if (n.has(i))
      n.refuse(Code::unsupported_attribute, format("the input {} is given; only nodes without it are supported", name));
  }
  for (const std::string_view flag : flags) {
    if (const int64_t v = n.i(flag, 0); v > 0)
      n.refuse(Code::unsupported_attribute, format("{} is {}; 0 is supported", flag, v));
  }
}

int64_t positive(NodeView& n, std::string_view attribute) {
  const int64_t v = n.required_i(attribute);
  if (v >= 1) return v;
  n.refuse(Code::invalid_attribute, format("{} is {}, takes 1 or more", attribute, v));
  return 1;
}

Value* takes_rank(NodeView& n, Value* x, int rank, std::string_view what) {
  if (x->rank() != rank)
    n.refuse(Code::rank_mismatch, format("{} is {}, takes rank {}", what, x->type.to_string(), rank));
  return x;
}

// ---- parts --------------------------------------------------------------------------------------------------------

// x cut along a dim into parts of these sizes.
Values cut(NodeView& n, OpBuilder& b, Value* x, const Ints& sizes, int axis) {
  Values parts = b.emit_all("split", {{"x", x}, {"split_sizes", sizes}, {"axis", axis}});
  parts.resize(static_cast<size_t>(sizes.size()), n.refused());
  return parts;
}

// The inputs that are there: all sizes are theirs.
Values given(NodeView& n) {
  Values all;
  for (int i = 0; i < n.inputs(); ++i) {
    if (n.has(i)) all.push_back(n.in(i));
  }
  return all;
}
Value* sizes(NodeView& n, OpBuilder& b, const Dims& dims) { return b.dims_value(dims, given(n)); }
Value* size(NodeView& n, OpBuilder& b, const Dim& dim) { return b.squeeze(sizes(n, b, {dim}), {0}); }
Value* shaped(NodeView& n, OpBuilder& b, Value* x, const Dims& dims) { return b.reshape(x, dims, given(n)); }

// x[from..from + count) of the last dim.
Value* part(NodeView& n, OpBuilder& b, Value* x, const Dim& from, const Dim& count) {
  Dims begin(x->dims().size(), Dim(0)), taken = x->dims();
  if (x->rank() == 0 || (from == Dim(0) && count == x->dim(-1))) return x;
  begin.back() = from;
  taken.back() = count;
  Value* at = sizes(n, b, begin);
  return b.emit("slice_by_size", {{"x", x}, {"begin", at}, {"size", sizes(n, b, taken)}});
}

// 0..count-1
Value* upto(OpBuilder& b, Value* count) {
  return b.emit("range_1d", {{"end", count}, {"start", b.like(count, 0)}, {"step", b.like(count, 1)}});
}

// [B, S, N * H] to heads, and back.
Value* to_heads(NodeView& n, OpBuilder& b, Value* x, int64_t heads) {
  const Dims apart{x->dim(0), x->dim(1), Dim(heads), ir::floor_div(x->dim(2), Dim(heads))};
  return b.transpose(shaped(n, b, x, apart), {0, 2, 1, 3});
}
Value* from_heads(NodeView& n, OpBuilder& b, Value* x) {
  Value* y = b.transpose(x, {0, 2, 1, 3});
  return shaped(n, b, y, Dims{y->dim(0), y->dim(1), y->dim(2) * y->dim(3)});
}

// ---- scores -------------------------------------------------------------------------------------------------------

// q times the attribute scale, or 1 / sqrt(H).
Value* scaled_queries(NodeView& n, OpBuilder& b, Value* q) {
  const double given = n.f("scale", 0);
  const Dim h = q->dim(-1);
  if (given != 0) return b.scale(q, given);
  if (h.known()) return b.scale(q, 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, h.value()))));
  Value* entries = b.cast(sizes(n, b, {h}), q->dtype());
  return b.mul(q, b.emit("rsqrt", {{"x", entries}, {"epsilon", 0.0}}));
}

// Scores where `allowed`, elsewhere what no softmax sees.
Value* only_where(OpBuilder& b, Value* allowed, Value* scores) {
  return b.select(allowed, scores, b.like(scores, std::numeric_limits<float>::lowest()));
}

// Query s sees the keys up to past + s.
Value* causal(NodeView& n, OpBuilder& b, Value* scores, const Dim& past) {
  Value* keys = upto(b, size(n, b, scores->dim(3)));
  Value* rows = upto(b, size(n, b, scores->dim(2)));
  Value* queries = b.add(rows, size(n, b, past));
  return only_where(b, b.binary("less_equal", keys, b.expand_dims(queries, {1})), scores);
}

// Adds mask_filter_value where an integer mask says so: lengths [B], ends and starts [2 * B], 1 for keys that count
// [B, T] or [B, S, T]. Without effect: [B, 1] and [1, 1].
Value* masked(NodeView& n, OpBuilder& b, Value* scores, Value* mask) {
  const auto filtered = [&](Value* counts) {
    Value* behind = b.add(scores, b.like(scores, n.f("mask_filter_value", -10000)));
    return b.select(counts, scores, behind);
  };
  if (mask->rank() == 3) return filtered(b.expand_dims(b.binary("greater", mask, b.like(mask, 0)), {1}));
  if (mask->rank() == 2) {
    const Dim width = mask->dim(1);
    if (width == Dim(1)) return scores;
    Value* counts = b.binary("greater", mask, b.like(mask, 0));
    if (!width.known() && width != scores->dim(3)) {  // a run tells whether it is 1
      Value* given = size(n, b, width);
      counts = b.binary("logical_or", counts, b.binary("equal", given, b.like(given, 1)));
    }
    return filtered(b.expand_dims(counts, {1, 2}));
  }
  const Dim batch = scores->dim(0), entries = mask->dim(0);
  const bool both = entries == batch * Dim(2) && batch != Dim(0);
  if (mask->rank() != 1 || (!both && ir::never_equal(entries, batch))) {
    return n.refuse(Code::unsupported_attribute,
                    format("the mask is {}; [B], [B, T] and [B, S, T] are supported, and [2 * B] where B is known",
                           mask->type.to_string()));
  }
  Value* keys = upto(b, size(n, b, scores->dim(3)));
  const auto column = [&](Value* list) { return b.expand_dims(list, {1, 2, 3}); };
  if (!both) return filtered(b.binary("less", keys, column(shaped(n, b, mask, {batch}))));
  const Values bounds{column(part(n, b, mask, Dim(0), batch)), column(part(n, b, mask, batch, batch))};
  Value* before_end = b.binary("less", keys, bounds[0]);
  return filtered(b.binary("logical_and", before_end, b.binary("greater_equal", keys, bounds[1])));
}

// What Attention and MultiHeadAttention do with heads; k and v are those of the past too.
struct Attended {
  Value *y, *scores;
};
Attended attention_of(NodeView& n, OpBuilder& b, Value* q, Value* k, Value* v, Value* mask, Value* bias,
                      const Dim& past) {
  Value* scores = b.matmul(scaled_queries(n, b, q), k, true);
  if (bias != nullptr) scores = b.add(scores, bias);
  if (mask != nullptr) scores = masked(n, b, scores, mask);
  if (n.flag("unidirectional")) scores = causal(n, b, scores, past);
  Value* shares = b.emit("softmax", {{"x", scores}, {"axis", -1}});
  return {from_heads(n, b, b.matmul(shares, v)), scores};
}

// ---- Attention ----------------------------------------------------------------------------------------------------

Values attention(NodeView& n, OpBuilder& b) {
  Value* x = takes_rank(n, n.in(0), 3, "input");
  Value *w = takes_rank(n, n.in(1), 2, "weights"), *past = n.optional_in(4);
  without(n, {{6, "past_sequence_length"}}, {"do_rotary", "past_present_share_buffer"});
  const int64_t heads = positive(n, "num_heads");
  Value* y = b.matmul(x, w);
  if (n.has(2)) y = b.add(y, n.in(2));
  Values qkv;
  if (const std::vector<int64_t> sizes = n.ints("qkv_hidden_sizes"); !sizes.empty()) {
    if (sizes.size() != 3)
      return {n.refuse(Code::invalid_attribute, format("qkv_hidden_sizes has {} entries, takes 3", sizes.size()))};
    for (Value* each : cut(n, b, y, Ints(sizes), 2)) qkv.push_back(to_heads(n, b, each, heads));
  } else {
    const Dim h = ir::floor_div(w->dim(1), Dim(3 * heads));
    Value* all = shaped(n, b, y, Dims{x->dim(0), x->dim(1), Dim(3), Dim(heads), h});
    for (Value* each : cut(n, b, all, {1, 1, 1}, 2)) qkv.push_back(b.transpose(b.squeeze(each, {2}), {0, 2, 1, 3}));
  }
  Value *k = qkv[1], *v = qkv[2];
  Dim behind = 0;
  if (past != nullptr) {
    const Values both = cut(n, b, takes_rank(n, past, 5, "past"), {1, 1}, 0);
    behind = past->dim(3);
    k = b.concat({b.squeeze(both[0], {0}), k}, 2);
    v = b.concat({b.squeeze(both[1], {0}), v}, 2);
  }
  Value* out = attention_of(n, b, qkv[0], k, v, n.optional_in(3), n.optional_in(5), behind).y;
  if (!n.wants(1)) return {out};
  Value* keys = b.expand_dims(k, {0});
  return {out, b.concat({keys, b.expand_dims(v, {0})}, 0)};
}

// ---- MultiHeadAttention -------------------------------------------------------------------------------------------

// Heads of the inputs: apart, key and value as heads already, [B, L, N, 2, H] of both, [B, S, N, 3, H] of all.
Values heads_of_inputs(NodeView& n, OpBuilder& b) {
  Value *q = n.in(0), *k = n.optional_in(1), *v = n.optional_in(2), *bias = n.optional_in(3);
  const int64_t heads = positive(n, "num_heads");
  const auto unpacked = [&](Value* x, int count) {
    Values parts;
    const Ints ones(count, 1);
    for (Value* each : cut(n, b, takes_rank(n, x, 5, "packed heads"), ones, 3)) {
      each = b.squeeze(each, {3});
      parts.push_back(shaped(n, b, each, Dims{each->dim(0), each->dim(1), each->dim(2) * each->dim(3)}));
    }
    return parts;
  };
  Values all{q};
  if (k == nullptr) {
    all = unpacked(q, 3);
  } else if (v == nullptr) {
    for (Value* each : unpacked(k, 2)) all.push_back(each);
  } else {
    all = {q, k, v};
  }
  Dim from = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    Value*& x = all[i];
    if (i > 0 && x->rank() == 4) continue;
    takes_rank(n, x, 3, i == 0 ? "query" : i == 1 ? "key" : "value");
    if (bias != nullptr) x = b.add(x, part(n, b, bias, from, x->dim(2)));
    from = from + x->dim(2);
    x = to_heads(n, b, x, heads);
  }
  return all;
}

Values multi_head_attention(NodeView& n, OpBuilder& b) {
  const Values qkv = heads_of_inputs(n, b);
  without(n, {{8, "past_sequence_length"}, {9, "cache_indirection"}}, {});
  Value *k = qkv[1], *v = qkv[2];
  Dim behind = 0;
  if (n.has(6) != n.has(7)) return {n.refuse(Code::invalid_model, "past_key and past_value are given both or neither")};
  if (n.has(6)) {
    Value* past_k = takes_rank(n, n.in(6), 4, "past_key");
    behind = past_k->dim(2);
    k = b.concat({past_k, k}, 2);
    v = b.concat({takes_rank(n, n.in(7), 4, "past_value"), v}, 2);
  }
  const Attended a = attention_of(n, b, qkv[0], k, v, n.optional_in(4), n.optional_in(5), behind);
  return {a.y, k, v, a.scores};
}

// ---- RotaryEmbedding ----------------------------------------------------------------------------------------------

// Turns pairs of the first 2 * R entries of heads x by angles whose cos and sin are rows of [M, R]; `places` [B, S] or
// [1, S] names the rows. A pair is two neighbours, or entries that are R apart.
Value* rotated(NodeView& n, OpBuilder& b, Value* x, Value* places, Value* cos, Value* sin, bool interleaved) {
  const Dim half = cos->dim(1), turned = half * Dim(2);
  const int pair = interleaved ? 4 : 3;
  Dims apart{x->dim(0), x->dim(1), x->dim(2), Dim(2), half};
  if (interleaved) std::swap(apart[3], apart[4]);
  const auto row = [&](Value* table) {
    Value* r = with_indices(n, b, places, table, 0, [&](Value* at) { return b.gather(table, at, 0); });
    return b.expand_dims(r, {1, pair});
  };
  Value *c = row(cos), *s = row(sin);
  Value* first = part(n, b, x, Dim(0), turned);
  const Dims whole = first->dims();
  const Values p = cut(n, b, shaped(n, b, first, apart), {1, 1}, pair);
  Value* left = b.mul(p[0], c);
  left = b.sub(left, b.mul(p[1], s));
  Value* right = b.mul(p[1], c);
  right = b.add(right, b.mul(p[0], s));
  Value* y = shaped(n, b, b.concat({left, right}, pair), whole);
  if (turned == x->dim(-1)) return y;
  return b.concat({y, part(n, b, x, turned, x->dim(-1) - turned)}, -1);
}

Values rotary_embedding(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *at = n.in(1), *cos = takes_rank(n, n.in(2), 2, "cos_cache");
  Value* sin = takes_rank(n, n.in(3), 2, "sin_cache");
  without(n, {}, {"is_packed_batching"});
  if (x->rank() != 3 && x->rank() != 4)
    return {n.refuse(Code::rank_mismatch, format("input is {}, takes rank 3 or 4", x->type.to_string()))};
  const bool flat = x->rank() == 3;
  if (n.i("rotary_embedding_dim", 0) > 0 && ir::never_equal(cos->dim(1) * Dim(2), Dim(n.i("rotary_embedding_dim", 0))))
    return {n.refuse(Code::shape_mismatch, format("cos_cache is {}, rotary_embedding_dim {}", cos->type.to_string(),
                                                  n.i("rotary_embedding_dim", 0)))};
  Value* heads = x;
  if (flat) {
    const int64_t stated = n.i("num_heads", 0);
    const Dim count = stated > 0 ? Dim(stated) : ir::floor_div(x->dim(2), cos->dim(1) * Dim(2));
    const Dim each = stated > 0 ? ir::floor_div(x->dim(2), count) : cos->dim(1) * Dim(2);
    heads = b.transpose(shaped(n, b, x, Dims{x->dim(0), x->dim(1), count, each}), {0, 2, 1, 3});
  }
  if (at->rank() == 1) {  // the first one's place
    Value* steps = b.cast(upto(b, size(n, b, heads->dim(2))), at->dtype());
    at = b.expand_dims(b.add(steps, at), {0});
  }
  Value* y = rotated(n, b, heads, at, cos, sin, n.flag("interleaved"));
  if (!flat) return {y};
  return {shaped(n, b, b.transpose(y, {0, 2, 1, 3}), x->dims())};
}

// ---- GroupQueryAttention ------------------------------------------------------------------------------------------

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

Values group_query_attention(NodeView& n, OpBuilder& b) {
  Value* q = takes_rank(n, n.in(0), 3, "query");
  without(n, {{11, "head_sink"}, {12, "k_scale"}, {13, "v_scale"}, {14, "q_norm_weight"}, {15, "k_norm_weight"}},
          {"smooth_softmax", "qk_output", "sliding_window_cache"});
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
    Value* first = b.sub(queries, b.like(queries, static_cast<double>(window)));
    allowed = b.binary("logical_and", allowed, b.binary("greater", keys, first));
  }
  Value* shares = b.emit("softmax", {{"x", only_where(b, allowed, scores)}, {"axis", -1}});
  Value* y = b.matmul(regrouped(shares, together, k), v);
  return {from_heads(n, b, shaped(n, b, y, q->dims())), k, v};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "GroupQueryAttention", kSince<1>,
     "query key? value? past_key? past_value? seqlens_k total_sequence_length cos_cache? sin_cache? position_ids? "
     "attention_bias? head_sink? k_scale? v_scale? q_norm_weight? k_norm_weight? -> output present_key? present_value? "
     "output_qk?; causal do_rotary k_quant_type kv_cache_bit_width kv_num_heads local_window_size num_heads "
     "qk_norm_epsilon qk_output rotary_interleaved scale sliding_window_cache smooth_softmax softcap v_quant_type",
     group_query_attention, "without a quantized cache, head_sink, norms of q and k, output_qk, causal 0"},
    {"com.microsoft", "Attention", kSince<1>,
     "input weights bias? mask_index? past? attention_bias? past_sequence_length? -> output present?; do_rotary "
     "mask_filter_value num_heads past_present_share_buffer qkv_hidden_sizes rotary_embedding_dim scale unidirectional",
     attention, "without a mask [B, 1, M, M] or [3 * B + 2], do_rotary, a shared buffer"},
    {"com.microsoft", "MultiHeadAttention", kSince<1>,
     "query key? value? bias? key_padding_mask? attention_bias? past_key? past_value? past_sequence_length? "
     "cache_indirection? -> output present_key? present_value? qk?; mask_filter_value num_heads scale unidirectional",
     multi_head_attention, "without a mask [3 * B + 2], past_sequence_length, cache_indirection"},
    {"com.microsoft", "RotaryEmbedding", kSince<1>,
     "input position_ids cos_cache sin_cache -> output; interleaved is_packed_batching num_heads rotary_embedding_dim "
     "scale",
     rotary_embedding, "without is_packed_batching"},
};

}  // namespace

LoweringRows microsoft_attention_lowerings() { return kRows; }

}  // namespace graft::onnx
