// GroupQueryAttention and SparseAttention: heads that share keys, and a cache of keys and values that each text fills
// as far as it goes.
#include <algorithm>

#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// What each text has of keys and values.
struct Cache {
  Value* total;   // of the longest text, a scalar
  Value* prompt;  // whether there is no past, a bool
  Value* past;    // [B, 1]: how many of the past count
  Value* places;  // [B, S]: where the new ones stand
};
// `lengths` [B] are those of the texts with the new ones, or one less.
Cache cache_of(NodeView& n, OpBuilder& b, Value* lengths, int more, Value* total, const Dim& steps) {
  Value* ends = b.cast(shaped(n, b, lengths, {n.in(0)->dim(0), Dim(1)}), DType::i32);
  Value* count = size(n, b, steps);
  total = b.cast(b.reshape(total, Dims{}), DType::i32);
  if (more != 0) ends = b.add(ends, b.like(ends, more));
  // A prompt is padded behind its end: its texts begin at 0, whatever their lengths.
  Value* past = b.sub(ends, count);
  Value* prompt = b.binary("equal", total, count);
  past = b.select(prompt, b.mul(past, b.like(past, 0)), past);
  return {total, prompt, past, b.add(past, upto(b, count))};
}

// The rows of the angles: as position_ids says, of which a prompt reads the first alone.
Value* rows_of_angles(NodeView& n, OpBuilder& b, const Cache& cache, const Dim& steps) {
  if (!n.has(9)) return cache.places;
  Value* at = takes_rank(n, n.in(9), 2, "position_ids");
  Value* first = b.emit("slice_by_size", {{"x", at}, {"begin", Ints{0, 0}}, {"size", Ints{1, 1}}});
  Value* counted = b.add(first, b.cast(upto(b, size(n, b, steps)), at->dtype()));
  return b.select(cache.prompt, counted, at);
}

// [B, N, P, H] with x written behind what counts of each text. Either as long as the longest text, at least P, and 0
// behind; or the same buffer, in which all else stays.
enum class Behind { zero, kept };
Value* appended(NodeView& n, OpBuilder& b, Value* past, Value* x, const Cache& cache, Behind behind) {
  const bool kept = behind == Behind::kept;
  Value *reserved = size(n, b, past->dim(2)), *steps = size(n, b, x->dim(2));
  Value* places = upto(b, kept ? reserved : b.maximum(reserved, cache.total));
  Value* fresh = b.sub(places, cache.past);  // [B, T]: which of x
  Value* zero = b.like(fresh, 0);
  Value* old = b.binary("less", fresh, zero);
  Value* counts = b.binary("less", fresh, steps);
  if (kept) old = b.binary("logical_or", old, b.unary("logical_not", counts));
  Value* from_x = b.add(b.minimum(fresh, b.sub(steps, b.like(steps, 1))), reserved);
  Value* at = b.select(old, b.add(places, b.mul(fresh, zero)), from_x);
  Value* both = b.concat({past, x}, 2);
  at = b.maximum(at, zero);
  Value* y = b.emit("gather", {{"x", both}, {"indices", at}, {"axis", 2}, {"batch_dims", 1}});
  return kept ? y : b.select(b.expand_dims(counts, {1, 3}), y, b.like(y, 0));
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

// Heads of inputs 0 to 2, or of input 0 that has all of them.
struct Heads {
  Value *q, *k, *v;
};
Heads heads_of(NodeView& n, OpBuilder& b, int64_t heads, int64_t stored) {
  const auto refused = [&](Code code, std::string message) {
    Value* none = n.refuse(code, std::move(message));
    return Heads{none, none, none};
  };
  if (heads % stored != 0) {
    return refused(Code::invalid_attribute, format("num_heads {} is no multiple of kv_num_heads {}", heads, stored));
  }
  Value* q = takes_rank(n, n.in(0), 3, "query");
  if (n.has(1) != n.has(2)) return refused(Code::invalid_model, "key and value are given both or neither");
  if (n.has(1)) {
    q = to_heads(n, b, q, heads);
    Value* k = to_heads(n, b, takes_rank(n, n.in(1), 3, "key"), stored);
    return {q, k, to_heads(n, b, takes_rank(n, n.in(2), 3, "value"), stored)};
  }
  const Values qkv = cut(n, b, to_heads(n, b, q, heads + 2 * stored), {heads, stored, stored}, 1);
  return {qkv[0], qkv[1], qkv[2]};
}

// Products of queries and keys, and of shares and values. The queries of the heads that share keys are rows of one.
class Products {
 public:
  Products(NodeView& n, OpBuilder& b, int64_t heads, int64_t stored, Value* q, Value* k)
      : n_(n), b_(b), heads_(heads), stored_(stored), q_(q), k_(k) {}
  Value* scores() const {  // [B, N, S, T]
    Value* rows = shaped(n_, b_, scaled_queries(n_, b_, q_), shared(q_->dim(3)));
    Value* y = b_.matmul(rows, k_, true);
    return regrouped(y, Dims{q_->dim(0), Dim(heads_), q_->dim(2), y->dim(3)});
  }
  Value* sums(Value* shares, Value* v) const {  // [B, S, N * H]
    Value* y = b_.matmul(regrouped(shares, shared(k_->dim(2))), v);
    return from_heads(n_, b_, shaped(n_, b_, y, q_->dims()));
  }

 private:
  Dims shared(const Dim& columns) const {
    return {q_->dim(0), Dim(stored_), Dim(heads_ / stored_) * q_->dim(2), columns};
  }
  Value* regrouped(Value* x, const Dims& dims) const {
    Values hints = given(n_);
    hints.push_back(k_);
    return b_.reshape(x, dims, hints);
  }
  NodeView& n_;
  OpBuilder& b_;
  int64_t heads_, stored_;
  Value *q_, *k_;
};

Values group_query_attention(NodeView& n, OpBuilder& b) {
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
  if (n.has(3) != n.has(4)) return {n.refuse(Code::invalid_model, "past_key and past_value are given both or neither")};
  auto [q, k, v] = heads_of(n, b, heads, stored);
  const Dim steps = q->dim(2);
  const Cache cache = cache_of(n, b, n.in(5), 1, n.in(6), steps);
  if (n.flag("do_rotary")) {
    Value *cos = takes_rank(n, n.in(7), 2, "cos_cache"), *sin = takes_rank(n, n.in(8), 2, "sin_cache");
    Value* at = rows_of_angles(n, b, cache, steps);
    const bool interleaved = n.flag("rotary_interleaved");
    q = rotated(n, b, q, at, cos, sin, interleaved);
    k = rotated(n, b, k, at, cos, sin, interleaved);
  }
  if (n.has(3)) {
    k = appended(n, b, takes_rank(n, n.in(3), 4, "past_key"), k, cache, Behind::zero);
    v = appended(n, b, takes_rank(n, n.in(4), 4, "past_value"), v, cache, Behind::zero);
  }
  const Products products{n, b, heads, stored, q, k};
  Value* scores = products.scores();
  if (const double cap = n.f("softcap", 0); cap > 0) {
    Value* bounded = b.unary("tanh", b.scale(scores, 1 / cap));
    scores = b.scale(bounded, cap);
  }
  if (n.has(10)) scores = b.add(scores, n.in(10));
  Value* keys = places_along(b, k, 2);
  Value* queries = b.expand_dims(cache.places, {1, 3});
  Value* allowed = b.binary("less_equal", keys, queries);
  if (const int64_t window = n.i("local_window_size", -1); window > 0) {
    Value* first = b.sub(queries, b.like(queries, static_cast<double>(std::min<int64_t>(window, INT32_MAX))));
    allowed = b.binary("logical_and", allowed, b.binary("greater", keys, first));
  }
  Value* shares = shares_of(n, b, only_where(b, allowed, scores), heads);
  return {products.sums(shares, v), k, v};
}

// ---- SparseAttention ----------------------------------------------------------------------------------------------

// [L, R, R] of 0 and 1: which blocks of keys the blocks of queries see in each layout, whose rows are `ends` [L, R + 1]
// apart in the list `columns` [L, Z]. What follows the last row is padding.
Value* blocks_seen(NodeView& n, OpBuilder& b, Value* ends, Value* columns) {
  Value* at = places_along(b, columns, 1);
  Value* behind = b.binary("greater_equal", b.expand_dims(at, {1}), b.expand_dims(ends, {1}));  // [L, Z, R + 1]
  Value* row = b.reduce("reduce_sum", b.cast(behind, DType::i32), {2}, false);
  row = b.sub(row, b.like(row, 1));
  const Dim layouts = ends->dim(0), rows = ends->dim(1) - Dim(1), all = rows * rows;
  Value *width = size(n, b, rows), *limit = size(n, b, all);
  Value* place = b.add(b.mul(row, width), columns);
  // The padding goes to one entry more, which is cut off.
  place = b.select(b.binary("less", row, width), place, b.add(b.mul(row, b.like(row, 0)), limit));
  place = b.maximum(place, b.like(place, 0));
  Value* shape = b.dims_value({layouts, all + Dim(1)}, given(n));
  Value* none = b.emit("fill", {{"shape", shape}, {"value", b.scalar(DType::i32, 0)}});
  Value* ones = b.add(b.mul(row, b.like(row, 0)), b.like(row, 1));
  Value* seen = b.emit("scatter_along_axis",
                       {{"data", none}, {"indices", place}, {"updates", ones}, {"axis", 1}, {"mode", "update"}});
  return shaped(n, b, part(n, b, seen, Dim(0), all), Dims{layouts, rows, rows});
}

// Each head sees the keys of the blocks that its layout, one of few in turn, has for the query's block.
Values sparse_attention(NodeView& n, OpBuilder& b) {
  Value *ends = takes_rank(n, n.in(5), 2, "block_row_indices"),
        *columns = takes_rank(n, n.in(6), 2, "block_col_indices");
  const int64_t heads = positive(n, "num_heads"), stored = positive(n, "kv_num_heads"),
                block = positive(n, "sparse_block_size");
  auto [q, k, v] = heads_of(n, b, heads, stored);
  if (!b.ok()) return {n.refused()};
  const Dim layouts = ends->dim(0);
  if (!layouts.known()) {
    if (std::optional<Values> later = n.put_off_sizes(q->dtype(), {3, 4, 4})) return *later;
    return {n.refuse(Code::dynamic_shape, "the number of layouts must be known")};
  }
  if (layouts == Dim(0) || heads % layouts.value() != 0) {
    return {n.refuse(Code::shape_mismatch,
                     format("block_row_indices is {}, takes a number of layouts that num_heads {} is a multiple of",
                            ends->type.to_string(), heads))};
  }
  const Cache cache = cache_of(n, b, n.in(8), 0, n.in(7), q->dim(2));
  if (n.flag("do_rotary")) {
    Value *cos = takes_rank(n, n.in(9), 2, "cos_cache"), *sin = takes_rank(n, n.in(10), 2, "sin_cache");
    const bool interleaved = n.flag("rotary_interleaved");
    q = rotated(n, b, q, cache.places, cos, sin, interleaved);
    k = rotated(n, b, k, cache.places, cos, sin, interleaved);
  }
  k = appended(n, b, takes_rank(n, n.in(3), 4, "past_key"), k, cache, Behind::kept);
  v = appended(n, b, takes_rank(n, n.in(4), 4, "past_value"), v, cache, Behind::kept);
  const Products products{n, b, heads, stored, q, k};
  Value* scores = products.scores();
  if (!b.ok()) return {n.refused()};
  Value* keys = places_along(b, k, 2);
  const auto block_of = [&](Value* places) {
    Value* at = b.maximum(places, b.like(places, 0));
    return b.binary("floor_div", at, b.like(at, static_cast<double>(block)));
  };
  Value* seen = blocks_seen(n, b, ends, columns);
  seen = b.gather(seen, block_of(keys), 2);                                     // [L, R, T]
  seen = b.transpose(b.gather(seen, block_of(cache.places), 1), {1, 0, 2, 3});  // [B, L, S, T]
  seen = b.concat(Values(static_cast<size_t>(heads / layouts.value()), seen), 1);
  Value* allowed = b.binary("less_equal", keys, b.expand_dims(cache.places, {1, 3}));
  allowed = b.binary("logical_and", allowed, b.cast(seen, DType::boolean));
  Value* shares = b.emit("softmax", {{"x", only_where(b, allowed, scores)}, {"axis", -1}});
  return {products.sums(shares, v), k, v};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "GroupQueryAttention", kSince<1>,
     "query key? value? past_key? past_value? seqlens_k total_sequence_length cos_cache? sin_cache? position_ids? "
     "attention_bias? head_sink? k_scale? v_scale? q_norm_weight? k_norm_weight? -> output present_key? present_value? "
     "output_qk?; causal do_rotary k_quant_type kv_cache_bit_width kv_num_heads local_window_size num_heads "
     "qk_norm_epsilon qk_output rotary_interleaved scale sliding_window_cache smooth_softmax softcap v_quant_type",
     group_query_attention, "without a quantized cache, sliding_window_cache, norms of q and k, output_qk, causal 0"},
    {"com.microsoft", "SparseAttention", kSince<1>,
     "query key? value? past_key past_value block_row_indices block_col_indices total_sequence_length "
     "key_total_sequence_lengths cos_cache? sin_cache? -> output present_key present_value; do_rotary kv_num_heads "
     "num_heads rotary_interleaved scale sparse_block_size",
     sparse_attention},
};

}  // namespace

LoweringRows microsoft_cache_lowerings() { return kRows; }

}  // namespace graft::onnx
