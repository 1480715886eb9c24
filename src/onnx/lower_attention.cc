// ONNX's own attention operators, version 23 on: attention with a cache inside or outside, rotary embeddings, and the
// write into a cache.
#include <limits>

#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// ---- Attention ----------------------------------------------------------------------------------------------------

// Which keys [B or 1, 1, S, T] the queries may see as their places say; null: all.
Value* allowed_places(NodeView& n, OpBuilder& b, Value* q, Value* k, const Dim& past) {
  const bool causal = n.flag("is_causal");
  const int64_t left = n.i("left_window_size", -1), right = n.i("right_window_size", -1);
  for (const int64_t v : {left, right}) {
    if (v < -1 || v > INT32_MAX)
      return n.refuse(Code::invalid_attribute, format("a window of {}, takes -1..{}", v, INT32_MAX));
  }
  Value* lengths = n.optional_in(6);
  if (lengths != nullptr)
    lengths = b.expand_dims(b.cast(takes_rank(n, lengths, 1, "nonpad_kv_seqlen"), DType::i32), {1, 2, 3});
  if (!causal && left < 0 && right < 0 && lengths == nullptr) return nullptr;
  Value* hints[] = {k};
  Value* keys = upto(b, b.squeeze(b.dims_value({k->dim(2)}, hints), {0}));
  Value* steps = size(n, b, q->dim(2));
  Value* places = b.expand_dims(upto(b, steps), {1});
  places = b.add(places, lengths != nullptr ? b.sub(lengths, steps) : size(n, b, past));
  Value* allowed = nullptr;
  const auto also = [&](Value* v) { allowed = allowed == nullptr ? v : b.binary("logical_and", allowed, v); };
  const auto moved = [&](int64_t by) { return b.add(places, b.like(places, static_cast<double>(by))); };
  if (lengths != nullptr) also(b.binary("less", keys, lengths));
  if (causal) also(b.binary("less_equal", keys, places));
  if (left >= 0) also(b.binary("greater_equal", keys, moved(-left)));
  if (right >= 0) also(b.binary("less_equal", keys, moved(right)));
  return allowed;
}

// A mask that ends before the keys do lets nothing behind its end through.
Value* to_the_end(OpBuilder& b, Value* mask, const Dim& keys) {
  if (mask->rank() < 1 || !mask->dim(-1).known() || !keys.known() || mask->dim(-1) == Dim(1)) return mask;
  const int64_t missing = keys.value() - mask->dim(-1).value();
  if (missing <= 0) return mask;
  Dims dims = mask->dims();
  dims.back() = Dim(missing);
  Value* hints[] = {mask};
  const bool whole = mask->dtype() == DType::boolean;
  Value* nothing = whole ? b.constant(ir::Constant::int_scalar(DType::boolean, 0))
                         : b.like(mask, -std::numeric_limits<double>::infinity());
  Value* more = b.emit("fill", {{"shape", b.dims_value(dims, hints)}, {"value", nothing}});
  return b.concat({mask, more}, -1);
}

// True for the rows that see a key at all.
Value* sees_any(OpBuilder& b, Value* allowed) {
  Value* most = b.reduce("reduce_max", b.cast(allowed, DType::i32), {allowed->rank() - 1}, true);
  return b.binary("greater", most, b.like(most, 0));
}

Values attention(NodeView& n, OpBuilder& b) {
  Value *q = n.in(0), *k = n.in(1), *v = n.in(2), *mask = n.optional_in(3);
  const bool flat = q->rank() == 3;
  if (!b.ok()) return {n.refused()};
  if ((!flat && q->rank() != 4) || k->rank() != q->rank() || v->rank() != q->rank()) {
    return {n.refuse(Code::rank_mismatch, format("Q is {}, K {}, V {}; takes rank 3 or 4, the same of all",
                                                 q->type.to_string(), k->type.to_string(), v->type.to_string()))};
  }
  if (flat) {
    const int64_t of_q = positive(n, "q_num_heads"), of_k = positive(n, "kv_num_heads");
    q = to_heads(n, b, q, of_q);
    k = to_heads(n, b, k, of_k);
    v = to_heads(n, b, v, of_k);
  }
  if (n.has(4) != n.has(5)) return {n.refuse(Code::invalid_model, "past_key and past_value are given both or neither")};
  Dim past = 0;
  if (n.has(4)) {
    if (n.has(6)) return {n.refuse(Code::invalid_model, "nonpad_kv_seqlen and past_key are given; one of them may be")};
    past = takes_rank(n, n.in(4), 4, "past_key")->dim(2);
    k = b.concat({n.in(4), k}, 2);
    v = b.concat({takes_rank(n, n.in(5), 4, "past_value"), v}, 2);
  }
  const Dim heads = q->dim(1), stored = k->dim(1), steps = q->dim(2);
  const bool shares_keys = heads != stored;
  if (shares_keys && (!heads.known() || !stored.known())) {
    std::vector<int> ranks(static_cast<size_t>(n.outputs()), 4);
    ranks[0] = n.in(0)->rank();
    if (v->dtype() == q->dtype()) {
      if (std::optional<Values> later = n.put_off_sizes(q->dtype(), ranks)) return *later;
    }
    return {n.refuse(Code::dynamic_shape, "the numbers of heads must be known, or the same")};
  }
  if (shares_keys && (stored.value() < 1 || heads.value() % stored.value() != 0)) {
    return {n.refuse(Code::shape_mismatch,
                     format("{} heads of Q on {} of K, takes a multiple", heads.value(), stored.value()))};
  }
  // The queries of the heads that share keys are rows of one product.
  const auto regrouped = [&](Value* x, const Dims& dims) {
    Values hints = given(n);
    hints.push_back(x);
    return shares_keys ? b.reshape(x, dims, hints) : x;
  };
  Value* rows = scaled_queries(n, b, q);
  if (shares_keys) rows = regrouped(rows, {q->dim(0), stored, Dim(heads.value() / stored.value()) * steps, q->dim(3)});
  Value* scores = b.matmul(rows, k, true);
  const Dims together = scores->dims();
  scores = regrouped(scores, {q->dim(0), heads, steps, scores->dim(-1)});
  const int64_t mode = n.i("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3)
    return {n.refuse(Code::invalid_attribute, format("qk_matmul_output_mode is {}, takes 0..3", mode))};
  Value* shown = scores;
  if (const double cap = n.f("softcap", 0); cap > 0) {
    Value* bounded = b.unary("tanh", b.scale(scores, 1 / cap));
    scores = b.scale(bounded, cap);
  }
  if (mode == 1) shown = scores;
  Value* allowed = allowed_places(n, b, q, k, past);
  // Rows that see nothing give zeros; without a mask or lengths every one sees a key.
  const bool may_be_blind =
      mask != nullptr || n.has(6) || n.i("left_window_size", -1) >= 0 || n.i("right_window_size", -1) >= 0;
  Value* sees = nullptr;
  if (mask != nullptr) {
    mask = to_the_end(b, mask, k->dim(2));
    if (mask->dtype() == DType::boolean) {
      allowed = allowed == nullptr ? mask : b.binary("logical_and", allowed, mask);
    } else {
      scores = b.add(scores, mask);
    }
  }
  if (may_be_blind) {
    if (mask != nullptr && mask->dtype() != DType::boolean) {
      Value* open = b.binary("greater", mask, b.like(mask, -std::numeric_limits<double>::infinity()));
      sees = sees_any(b, allowed == nullptr ? open : b.binary("logical_and", allowed, open));
    } else {
      sees = sees_any(b, allowed);
    }
  }
  if (mode == 2) {
    shown = allowed == nullptr || !n.wants(3)
                ? scores
                : b.select(allowed, scores, b.like(scores, -std::numeric_limits<double>::infinity()));
  }
  if (allowed != nullptr) scores = only_where(b, allowed, scores);
  const DType own = scores->dtype();
  const DType precision = n.i("softmax_precision", 0) != 0 ? n.dtype("softmax_precision") : own;
  const auto softmax = [&](DType in) {
    return b.cast(b.emit("softmax", {{"x", b.cast(scores, in)}, {"axis", -1}}), own);
  };
  Value* shares = b.first_of([&] { return softmax(precision); }, [&] { return softmax(own); });
  const auto only_seen = [&](Value* x) { return sees == nullptr ? x : b.select(sees, x, b.like(x, 0)); };
  if (mode == 3 && n.wants(3)) shown = shares = only_seen(shares);
  Value* y = b.matmul(regrouped(shares, together), v);
  y = only_seen(regrouped(y, {q->dim(0), heads, steps, v->dim(3)}));
  return {flat ? from_heads(n, b, y) : y, k, v, shown};
}

// ---- RotaryEmbedding, TensorScatter -------------------------------------------------------------------------------

Values rotary_embedding(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *cos = n.in(1), *sin = n.in(2);
  const int rank = n.has(3) ? 2 : 3;
  takes_rank(n, cos, rank, "cos_cache");
  takes_rank(n, sin, rank, "sin_cache");
  const bool flat = x->rank() == 3;
  if (!b.ok()) return {n.refused()};
  if (!flat && x->rank() != 4)
    return {n.refuse(Code::rank_mismatch, format("X is {}, takes rank 3 or 4", x->type.to_string()))};
  if (cos->dim(-1) == Dim(0)) return {n.refuse(Code::shape_mismatch, "cos_cache has no columns")};
  const int64_t turned = n.i("rotary_embedding_dim", 0);
  Value* heads = flat ? to_heads(n, b, x, positive(n, "num_heads")) : x;
  if (ir::never_equal(cos->dim(-1) * Dim(2), turned > 0 ? Dim(turned) : heads->dim(3))) {
    return {n.refuse(Code::shape_mismatch, format("cos_cache is {}, takes half of {} columns", cos->type.to_string(),
                                                  turned > 0 ? Dim(turned).to_string() : heads->dim(3).to_string()))};
  }
  const bool interleaved = n.flag("interleaved");
  Value* y = n.has(3) ? rotated(n, b, heads, n.in(3), cos, sin, interleaved)
                      : rotated_by(n, b, heads, b.expand_dims(cos, {1}), b.expand_dims(sin, {1}), interleaved);
  return {flat ? from_heads(n, b, y) : y};
}

// Each place of the cache keeps what it has, or takes the entry of the update that is written there.
Values tensor_scatter(NodeView& n, OpBuilder& b) {
  Value *cache = n.in(0), *update = n.in(1);
  if (cache->rank() != update->rank())
    return {n.refuse(Code::rank_mismatch, format("past_cache is {}, update {}; takes the same rank",
                                                 cache->type.to_string(), update->type.to_string()))};
  const std::string mode = n.s("mode", "linear");
  if (mode != "linear" && mode != "circular")
    return {n.refuse(Code::invalid_attribute, format("mode '{}', takes linear or circular", mode))};
  const int axis = n.axis("axis", -2, cache->rank());
  if (!b.ok()) return {n.refused()};
  if (axis == 0) return {n.refuse(Code::invalid_attribute, "axis is that of the batch; takes another one")};
  Value* length = size_along(b, cache, axis);
  Value* places = upto(b, length);
  Value* fresh = places;  // which entry of the update goes to each place, if it is one
  if (n.has(2)) {
    fresh = b.sub(places, b.expand_dims(b.cast(takes_rank(n, n.in(2), 1, "write_indices"), DType::i32), {1}));
    if (mode == "circular") fresh = b.binary("mod", b.add(b.binary("mod", fresh, length), length), length);
  }
  Value* taken = b.binary("less", fresh, size_along(b, update, axis));
  taken = b.binary("logical_and", taken, b.binary("greater_equal", fresh, b.like(fresh, 0)));
  Value* at = b.select(taken, b.add(fresh, length), b.add(places, b.mul(fresh, b.like(fresh, 0))));
  at = b.maximum(at, b.like(at, 0));
  Value* both = b.concat({cache, update}, axis);
  Value* y = b.emit("gather", {{"x", both}, {"indices", at}, {"axis", axis}, {"batch_dims", n.has(2) ? 1 : 0}});
  return {b.reshape(y, cache->dims(), given(n))};
}

constexpr Lowering kRows[] = {
    {"", "Attention", kSince<23, 24, 25>,
     "Q K V attn_mask? past_key? past_value? nonpad_kv_seqlen?@24 -> Y present_key? present_value? qk_matmul_output?; "
     "is_causal kv_num_heads left_window_size@25 q_num_heads qk_matmul_output_mode right_window_size@25 scale softcap "
     "softmax_precision",
     attention},
    {"", "RotaryEmbedding", kSince<23>,
     "X cos_cache sin_cache position_ids? -> Y; interleaved num_heads rotary_embedding_dim", rotary_embedding},
    {"", "TensorScatter", kSince<24>, "past_cache update write_indices? -> present_cache; axis mode", tensor_scatter},
};

}  // namespace

LoweringRows attention_lowerings() { return kRows; }

}  // namespace graft::onnx
