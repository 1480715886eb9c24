// MIL's transformers family: attention in one operator.
#include "ops/attention.h"

#include <vector>

#include "ops/blocks.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

Status attention_type(const Call& call, Types& out) {
  const Operand &q = call.in("query"), &k = call.in("key"), &v = call.in("value");
  const auto rank = static_cast<size_t>(q.rank());
  if (rank < 3 || k.rank() != q.rank() || v.rank() != q.rank()) {
    return fail(Code::rank_mismatch, format("got query {}, key {} and value {}, takes one rank of 3 or more",
                                            q.type->to_string(), k.type->to_string(), v.type->to_string()));
  }
  Dims batch(q.dims().begin(), q.dims().end() - 2), scores = batch, result = batch;
  Dims keys = batch, values = batch;
  keys.insert(keys.end(), {k.dims()[rank - 2], q.dims()[rank - 1]});
  values.insert(values.end(), {k.dims()[rank - 2], v.dims()[rank - 1]});
  GRAFT_CHECK(check_shape(call, "key", keys));
  GRAFT_CHECK(check_shape(call, "value", values));
  scores.insert(scores.end(), {q.dims()[rank - 2], k.dims()[rank - 2]});
  if (call.has("attn_mask")) {
    const Dims& mask = call.in("attn_mask").dims();
    bool fits = mask.size() <= rank;
    for (size_t i = 0; fits && i < mask.size(); ++i) {
      const Dim& size = mask[mask.size() - 1 - i];
      fits = size == Dim(1) || !ir::never_equal(size, scores[rank - 1 - i]);
    }
    if (!fits) {
      return fail(Code::shape_mismatch,
                  format("attn_mask {} for scores of {}", ir::to_string(mask), ir::to_string(scores)));
    }
  }
  result.insert(result.end(), {q.dims()[rank - 2], v.dims()[rank - 1]});
  out.push_back(Type::tensor(q.dtype(), std::move(result)));
  return {};
}

// Row by row; the scores of one are kept, which are as many as there are keys.
Status attention_reference(const Call& call, Outputs& out) {
  const TensorView q = call.in("query").value, k = call.in("key").value, v = call.in("value").value;
  const TensorView mask = call.in("attn_mask").value;
  const int rank = q.rank();
  const int64_t queries = q.shape[rank - 2], size = q.shape[rank - 1], keys = k.shape[rank - 2];
  const int64_t values = v.shape[rank - 1], rows = q.shape.product(0, rank - 1);
  if (out[0].count() == 0) return {};
  Shape scores = q.shape;
  scores[rank - 1] = keys;
  const bool masked = call.has("attn_mask"), picks = masked && mask.dtype == DType::boolean;
  if (masked) GRAFT_CHECK(check_result(call, broadcast_shapes(scores, mask.shape), scores));
  Walk<1> at(scores, {masked ? mask.shape : Shape{}});
  const double scale = 1 / std::sqrt(static_cast<double>(size));
  std::vector<double> weights(static_cast<size_t>(keys));
  std::array<double, kBlock> a, b;
  Pace pace = call.pace();
  for (int64_t row = 0; row < rows && pace.go_on(); ++row) {
    const int64_t batch = row / queries;
    double most = -INFINITY, sum = 0;
    for (int64_t s = 0; s < keys && pace.go_on(size); ++s, at.next()) {
      double dot = 0;
      for (int64_t i = 0; i < size; i += kBlock) {
        const int64_t n = std::min(kBlock, size - i);
        load(q, row * size + i, 1, n, a.data());
        load(k, (batch * keys + s) * size + i, 1, n, b.data());
        for (size_t e = 0; e < static_cast<size_t>(n); ++e) dot += a[e] * b[e];
      }
      dot *= scale;
      if (picks && element_as_int(mask, at.offset(0)) == 0) dot = -INFINITY;
      if (masked && !picks) dot += element_as_double(mask, at.offset(0));
      weights[static_cast<size_t>(s)] = dot;
      most = dot > most || std::isnan(dot) ? dot : most;
    }
    for (double& w : weights) sum += w = std::exp(w - most);
    for (int64_t i = 0; i < values; i += kBlock) {
      const int64_t n = std::min(kBlock, values - i);
      a.fill(0);
      for (int64_t s = 0; s < keys && pace.go_on(n); ++s) {
        load(v, (batch * keys + s) * values + i, 1, n, b.data());
        for (size_t e = 0; e < static_cast<size_t>(n); ++e) a[e] += weights[static_cast<size_t>(s)] / sum * b[e];
      }
      store(out[0], row * values + i, 1, n, a.data());
    }
  }
  return {};
}

constexpr Variant kAttention[] = {
    {Opset::ios18, "query:T; key:T; value:T; attn_mask?:M=none", "T={fp16,fp32}; M={bool,fp16,fp32}"}};
constexpr OpDef attention = {
    .name = "scaled_dot_product_attention",
    .family = "transformers",
    .doc =
        "softmax(query * transposed key / sqrt(size) + attn_mask) * value over the last two dims; of a mask of "
        "bools, false hides a key",
    .variants = kAttention,
    .host = kFloats,
    .infer = attention_type,
    .reference = attention_reference,
    .domain = {.lo = -1, .hi = 1, .tolerance_f32 = 2e-5, .tolerance_f16 = 5e-3},
    .fp16 = {.accumulates = true},
    .flops = [](const Call& call, const Type& result, const ir::SizeOf& size) {
      const Dims &q = call.in("query").dims(), &k = call.in("key").dims();
      const double keys = size({k[k.size() - 2]});
      return 2 * keys * (size(q) + size(result.dims));
    }};

}  // namespace

const OpDef& scaled_dot_product_attention_row() { return attention; }

}  // namespace graft::ops
