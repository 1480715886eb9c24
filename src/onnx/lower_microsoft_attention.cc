// ONNX Runtime's attention operators without a cache of their own, and what turns their heads.
#include <algorithm>

#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

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
  positive(n, "num_heads");
  const std::vector<int64_t> sizes = n.ints("qkv_hidden_sizes");
  if (!sizes.empty() && sizes.size() != 3)
    return {n.refuse(Code::invalid_attribute, format("qkv_hidden_sizes has {} entries, takes 3", sizes.size()))};
  Value* y = b.matmul(x, w);
  if (n.has(2)) y = b.add(y, n.in(2));
  return attention_of_products(n, b, y, sizes, n.optional_in(3), past, n.optional_in(5));
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

// How f turns the heads of input 0, which are a dim of their own or lie side by side.
template <class F>
Values turned(NodeView& n, OpBuilder& b, F&& f) {
  Value *x = n.in(0), *cos = takes_rank(n, n.in(2), 2, "cos_cache");
  takes_rank(n, n.in(3), 2, "sin_cache");
  without(n, {}, {"is_packed_batching"});
  if (x->rank() != 3 && x->rank() != 4)
    return {n.refuse(Code::rank_mismatch, format("input is {}, takes rank 3 or 4", x->type.to_string()))};
  const bool flat = x->rank() == 3;
  if (n.i("rotary_embedding_dim", 0) > 0 && ir::never_equal(cos->dim(1) * Dim(2), Dim(n.i("rotary_embedding_dim", 0))))
    return {n.refuse(Code::shape_mismatch, format("cos_cache is {}, rotary_embedding_dim {}", cos->type.to_string(),
                                                  n.i("rotary_embedding_dim", 0)))};
  Value* heads = x;
  if (cos->dim(1) == Dim(0)) return {n.refuse(Code::shape_mismatch, "cos_cache has no columns")};
  if (flat) {
    const int64_t stated = n.i("num_heads", 0);
    if (stated <= 0 && !cos->dim(1).known()) {
      if (std::optional<Values> later = n.put_off_sizes(x->dtype(), {3})) return *later;
    }
    const Dim count = stated > 0 ? Dim(stated) : ir::floor_div(x->dim(2), cos->dim(1) * Dim(2));
    const Dim each = stated > 0 ? ir::floor_div(x->dim(2), count) : cos->dim(1) * Dim(2);
    heads = b.transpose(shaped(n, b, x, Dims{x->dim(0), x->dim(1), count, each}), {0, 2, 1, 3});
  }
  Value* y = f(heads);
  if (!flat) return {y};
  return {shaped(n, b, b.transpose(y, {0, 2, 1, 3}), x->dims())};
}

Values rotary_embedding(NodeView& n, OpBuilder& b) {
  return turned(n, b, [&](Value* heads) {
    Value* at = n.in(1);
    if (at->rank() == 1) {  // the first one's place
      Value* steps = b.cast(upto(b, size(n, b, heads->dim(2))), at->dtype());
      at = b.expand_dims(b.add(steps, at), {0});
    }
    return rotated(n, b, heads, at, n.in(2), n.in(3), n.flag("interleaved"));
  });
}

// Which of the three places, in time, height and width, tells each column its angle: they take turns, or are sections.
std::vector<int> places_of_columns(const std::vector<int64_t>& sections, bool in_turn) {
  std::vector<int> of;
  for (size_t s = 0; s < 3; ++s)
    of.insert(of.end(), static_cast<size_t>(in_turn ? 0 : sections[s]), static_cast<int>(s));
  if (!in_turn) return of;
  of.resize(static_cast<size_t>(sections[0] + sections[1] + sections[2]));
  for (size_t s = 1; s < 3; ++s) {
    for (size_t j = s; j < std::min(of.size(), static_cast<size_t>(3 * sections[s])); j += 3)
      of[j] = static_cast<int>(s);
  }
  return of;
}

Values multimodal_rotary_embedding(NodeView& n, OpBuilder& b) {
  Value* at = takes_rank(n, n.in(1), 3, "position_ids");
  const std::vector<int64_t> sections = n.ints("mrope_section");
  const int64_t layout = n.i("mrope_layout", 0);
  if (layout != 0 && layout != 1)
    return {n.refuse(Code::invalid_attribute, format("mrope_layout is {}, takes 0 or 1", layout))};
  if (ir::never_equal(at->dim(0), Dim(3)))
    return {n.refuse(Code::shape_mismatch, format("position_ids is {}, takes [3, B, S]", at->type.to_string()))};
  constexpr int64_t kMost = 1 << 20;  // columns
  int64_t columns = 0;
  for (const int64_t s : sections) columns = s < 0 || s > kMost ? kMost + 1 : columns + s;
  if (sections.size() != 3 || columns > kMost || ir::never_equal(n.in(2)->dim(-1), Dim(columns))) {
    return {n.refuse(Code::invalid_attribute,
                     format("mrope_section is [{}], takes three sizes that add up to the columns of cos_cache, {}",
                            join(sections, ", "), n.in(2)->type.to_string()))};
  }
  const std::vector<int> of = places_of_columns(sections, layout == 1);
  const auto column_is = [&](int which) {
    Tensor mask(DType::boolean, {columns});
    for (size_t j = 0; j < of.size(); ++j) mask.span<bool>()[j] = of[j] == which;
    return b.constant(ir::Constant::of(mask));
  };
  return turned(n, b, [&](Value* heads) {
    const auto rows = [&](Value* table) {
      Value* all = with_indices(n, b, at, table, 0, [&](Value* i) { return b.gather(table, i, 0); });
      Values three = cut(n, b, all, {1, 1, 1}, 0);
      for (Value*& each : three) each = b.squeeze(each, {0});
      Value* y = b.select(column_is(1), three[1], three[0]);
      return b.expand_dims(b.select(column_is(2), three[2], y), {1});
    };
    Value* cos = rows(n.in(2));
    return rotated_by(n, b, heads, cos, rows(n.in(3)), n.flag("interleaved"));
  });
}

constexpr Lowering kRows[] = {
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
    {"com.microsoft", "MRotaryEmbedding", kSince<1>,
     "input position_ids cos_cache sin_cache -> output; interleaved is_packed_batching mrope_layout mrope_section "
     "num_heads rotary_embedding_dim scale",
     multimodal_rotary_embedding, "without is_packed_batching"},
};

}  // namespace

Values attention_of_products(NodeView& n, OpBuilder& b, Value* y, const std::vector<int64_t>& sizes, Value* mask,
                             Value* past, Value* bias) {
  const int64_t heads = positive(n, "num_heads");
  Values qkv;
  if (!sizes.empty()) {
    for (Value* each : cut(n, b, y, Ints(sizes), 2)) qkv.push_back(to_heads(n, b, each, heads));
  } else {
    const Dim h = ir::floor_div(y->dim(2), Dim(3 * heads));
    Value* all = shaped(n, b, y, Dims{y->dim(0), y->dim(1), Dim(3), Dim(heads), h});
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
  Value* out = attention_of(n, b, qkv[0], k, v, mask, bias, behind).y;
  if (!n.wants(1)) return {out};
  Value* keys = b.expand_dims(k, {0});
  return {out, b.concat({keys, b.expand_dims(v, {0})}, 0)};
}

LoweringRows microsoft_attention_lowerings() { return kRows; }

}  // namespace graft::onnx
