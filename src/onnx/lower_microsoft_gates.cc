// ONNX Runtime's fused gates and norms of recurrent and hyper-connected language models. They are computed in fp32,
// whatever their inputs are.
#include <cmath>

#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

Value* single(OpBuilder& b, Value* x) { return b.cast(x, DType::f32); }

// X + Y * gate; rounded in between, as two operators would.
Values gated_add(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1), *gate = n.in(2);
  return {b.add(x, b.mul(y, gate))};
}

// silu of x times a number, which an input may be.
Values scaled_silu(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  Value* z = single(b, x);
  if (Value* scale = n.optional_in(1))
    z = b.mul(z, single(b, b.reshape(scale, Dims{})));
  else
    z = b.scale(z, n.f("alpha", 1));
  z = b.cast(z, x->dtype());
  return {b.mul(z, b.unary("sigmoid", z))};
}

// The gates of a gated delta rule: how much is forgotten, and how much is learnt.
Values linear_attention_gate(NodeView& n, OpBuilder& b) {
  Value *a = n.in(0), *bias = n.in(1), *scale = n.in(2);
  Value* moved = b.add(single(b, a), single(b, bias));
  Value* decay = b.cast(b.mul(b.unary("softplus", moved), single(b, scale)), a->dtype());
  if (!n.has(3)) {
    if (n.wants(1)) return {n.refuse(Code::invalid_model, "the output beta takes the input b, which is left out")};
    return {decay};
  }
  return {decay, b.unary("sigmoid", n.in(3))};
}

// The last dim in groups, as one more dim.
Value* grouped(NodeView& n, OpBuilder& b, Value* x, const Dim& groups, const Dim& each) {
  Dims dims = x->dims();
  dims.back() = groups;
  dims.push_back(each);
  return shaped(n, b, x, dims);
}

// Groups of as many entries as `scale` has, each by itself.
Values gated_rms_norm(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *scale = takes_rank(n, n.in(1), 1, "scale"), *gate = n.in(2);
  if (x->rank() < 1) return {n.refuse(Code::rank_mismatch, "got a scalar, takes rank 1 or more")};
  const std::string kind = n.s("activation", "silu");
  if (kind != "silu" && kind != "swish" && kind != "sigmoid")
    return {n.refuse(Code::invalid_attribute, format("activation '{}', takes silu, swish or sigmoid", kind))};
  const Dim each = scale->dim(0);
  if (each == Dim(0)) return {n.refuse(Code::shape_mismatch, "scale has no entries")};
  const bool whole = x->dim(-1) == each;
  Value* groups = whole ? x : grouped(n, b, x, ir::floor_div(x->dim(-1), each), each);
  const double epsilon = n.f("epsilon", 1e-5f);
  Value* y = rms_norm_of(b, single(b, groups), groups->rank() - 1, single(b, scale), epsilon)[0];
  if (!whole) y = shaped(n, b, y, x->dims());
  gate = single(b, gate);
  Value* factor = b.unary("sigmoid", gate);
  if (kind != "sigmoid") factor = b.mul(gate, factor);
  return {b.cast(b.mul(y, factor), x->dtype())};
}

// ---- streams: [..., C, H], or flat [..., C * H] with the attribute num_branches ------------------------------------

struct Streams {
  Value* x = nullptr;  // [..., C, H]
  bool flat = false;
};
Streams streams_of(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int64_t stated = n.i("num_branches", 0);
  if (stated < 0 || stated > INT32_MAX) {
    return {n.refuse(Code::invalid_attribute, format("num_branches is {}, takes 0..{}", stated, INT32_MAX))};
  }
  if (x->rank() < (stated > 0 ? 1 : 2)) {
    return {n.refuse(Code::rank_mismatch,
                     format("got {}, takes [..., C, H], or [..., C * H] with num_branches", x->type.to_string()))};
  }
  if (stated == 0) return {x};
  return {grouped(n, b, x, Dim(stated), ir::floor_div(x->dim(-1), Dim(stated))), true};
}
Value* ungrouped(NodeView& n, OpBuilder& b, const Streams& s, Value* y) {
  return s.flat ? shaped(n, b, y, n.in(0)->dims()) : y;
}

// Gates as what broadcasts to the streams: [..., C], [..., C, 1], [..., C, H], or flat [..., C * H].
Value* gates_of(NodeView& n, OpBuilder& b, Value* gates, const Streams& s) {
  const Dim branches = s.x->dim(-2);
  if (gates->rank() == s.x->rank()) return single(b, gates);
  if (gates->rank() + 1 != s.x->rank()) {
    return n.refuse(Code::rank_mismatch, format("gates are {} of streams {}, take as many dims, or one less",
                                                gates->type.to_string(), s.x->type.to_string()));
  }
  const bool flat = s.flat && ir::never_equal(gates->dim(-1), branches);
  return single(b, flat ? grouped(n, b, gates, branches, s.x->dim(-1)) : b.expand_dims(gates, {gates->rank()}));
}

// Whether nothing tells these two apart before a run.
bool undecided(const Dim& a, const Dim& b) { return a != b && !ir::never_equal(a, b); }
Values decided_later(NodeView& n, const Value* by, DType result, int rank) {
  if (std::optional<Values> later = n.put_off_sizes(result, {rank})) return *later;
  return {n.refuse(Code::dynamic_shape, format("whether {} is of one stream or of all", by->type.to_string()))};
}
bool undecided(const Streams& s, const Value* gates) {
  return s.flat && gates->rank() > 0 && gates->rank() < s.x->rank() && undecided(gates->dim(-1), s.x->dim(-2));
}

// The streams by their gates, added up.
Values pre_mix(NodeView& n, OpBuilder& b) {
  const Streams s = streams_of(n, b);
  Value* gates = n.in(1);
  if (!b.ok()) return {n.refused()};
  if (undecided(s, gates)) return decided_later(n, gates, s.x->dtype(), s.x->rank() - 1);
  gates = gates_of(n, b, gates, s);
  if (!b.ok()) return {n.refused()};
  Value* sum = b.reduce("reduce_sum", b.mul(single(b, s.x), gates), {s.x->rank() - 2}, false);
  return {b.cast(b.scale(sum, n.f("reduction_scale", 1)), s.x->dtype())};
}

// The streams mixed by a matrix, and what a block made of them added to each by its gates.
Values post_mix(NodeView& n, OpBuilder& b) {
  const Streams s = streams_of(n, b);
  Value *made = n.in(1), *gates = n.in(2), *mix = n.optional_in(3);
  if (!b.ok()) return {n.refused()};
  if (undecided(s, gates)) return decided_later(n, gates, s.x->dtype(), n.in(0)->rank());
  gates = gates_of(n, b, gates, s);
  if (made->rank() + 1 != s.x->rank()) {
    return {n.refuse(Code::rank_mismatch, format("block_output is {} of streams {}, takes [..., H]",
                                                 made->type.to_string(), s.x->type.to_string()))};
  }
  Value* mixed = single(b, s.x);
  if (mix != nullptr)
    mixed = b.emit("matmul", {{"x", single(b, mix)}, {"y", mixed}, {"transpose_x", true}, {"transpose_y", false}});
  Value* injected = b.mul(b.expand_dims(single(b, made), {made->rank() - 1}), gates);
  return {ungrouped(n, b, s, b.cast(b.add(mixed, injected), s.x->dtype()))};
}

// A norm of each stream by itself; the scale is [H], [C, H] or [C * H].
Values branchwise_rms_norm(NodeView& n, OpBuilder& b) {
  const Streams s = streams_of(n, b);
  Value* scale = n.optional_in(1);
  if (!b.ok()) return {n.refused()};
  const Dim branches = s.x->dim(-2), each = s.x->dim(-1);
  if (scale == nullptr) {
    scale = b.scalar(DType::f32, 1);
  } else {
    if (scale->rank() == 1 && undecided(scale->dim(0), each))
      return decided_later(n, scale, s.x->dtype(), n.in(0)->rank());
    if (scale->rank() == 1 && ir::never_equal(scale->dim(0), each)) scale = grouped(n, b, scale, branches, each);
    scale = single(b, scale);
  }
  Value* y = rms_norm_of(b, single(b, s.x), s.x->rank() - 1, scale, n.f("epsilon", 1e-5f))[0];
  return {ungrouped(n, b, s, b.cast(y, s.x->dtype()))};
}

// value by how much its key agrees with the query, in each of the streams; and the same normed.
Values engram_gate(NodeView& n, OpBuilder& b) {
  Value *key = takes_rank(n, n.in(0), 4, "key"), *query = takes_rank(n, n.in(1), 4, "query"),
        *value = takes_rank(n, n.in(2), 3, "value");
  Value *key_scale = n.in(3), *query_scale = n.in(4), *norm_scale = n.optional_in(5);
  if (!b.ok()) return {n.refused()};
  const double epsilon = n.f("epsilon", 1e-5f);
  const auto normed = [&](Value* x, Value* scale) {
    return rms_norm_of(b, single(b, x), 3, single(b, scale), epsilon)[0];
  };
  Value* left = normed(key, key_scale);
  Value* dot = b.reduce("reduce_sum", b.mul(left, normed(query, query_scale)), {3}, true);
  Value* entries = single(b, size(n, b, key->dim(3)));
  dot = b.mul(dot, b.emit("rsqrt", {{"x", entries}, {"epsilon", 0.0}}));
  Value* root = b.unary("sqrt", b.maximum(b.unary("abs", dot), b.like(dot, 1e-6f)));
  Value* gate = b.unary("sigmoid", b.mul(b.unary("sign", dot), root));
  Value* y = b.mul(gate, b.expand_dims(single(b, value), {2}));
  Value* out = b.cast(y, key->dtype());
  if (!n.wants(1)) return {out};
  if (norm_scale == nullptr)
    return {n.refuse(Code::invalid_model, "gated_value_normed takes conv_norm_scale, which is left out")};
  return {out, b.cast(normed(y, norm_scale), key->dtype())};
}

constexpr Lowering kRows[] = {
    {"com.microsoft", "BranchwiseRMSNorm", kSince<1>, "X scale? -> Y; epsilon num_branches", branchwise_rms_norm},
    {"com.microsoft", "EngramGate", kSince<1>,
     "key query value key_norm_scale query_norm_scale conv_norm_scale? -> output gated_value_normed?; epsilon",
     engram_gate},
    {"com.microsoft", "GatedAdd", kSince<1>, "X Y gate -> output", gated_add},
    {"com.microsoft", "GatedRMSNorm", kSince<1>, "X scale gate -> Y; activation epsilon", gated_rms_norm},
    {"com.microsoft", "HyperConnectionPostMix", kSince<1>,
     "streams block_output post_mix stream_mix? -> output; num_branches", post_mix},
    {"com.microsoft", "HyperConnectionPreMix", kSince<1>, "streams pre_mix -> output; num_branches reduction_scale",
     pre_mix},
    {"com.microsoft", "LinearAttentionGate", kSince<1>, "a dt_bias decay_scale b? -> decay beta?",
     linear_attention_gate},
    {"com.microsoft", "ScaledSiLU", kSince<1>, "X scale? -> Y; alpha", scaled_silu},
};

}  // namespace

LoweringRows microsoft_gates_lowerings() { return kRows; }

}  // namespace graft::onnx
