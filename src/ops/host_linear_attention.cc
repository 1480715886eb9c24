// host_linear_attention: ONNX's LinearAttention (opset 27), whose state is a matrix a head that every step reads and
// changes.
#include <cmath>

#include "ops/blocks.h"
#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

struct Rule {
  bool decays = false, corrects = false;
};
Result<Rule> rule_of(const Call& call) {
  const std::string_view r = call.str("update_rule");
  const Rule rule{r == "gated" || r == "gated_delta", r == "delta" || r == "gated_delta"};
  if (!rule.decays && !rule.corrects && r != "linear")
    return fail(Code::invalid_attribute, format("update_rule '{}', takes linear, gated, delta or gated_delta", r));
  if (rule.decays && !call.has("decay")) return fail(Code::invalid_model, format("update_rule {} needs decay", r));
  if (rule.corrects && !call.has("beta")) return fail(Code::invalid_model, format("update_rule {} needs beta", r));
  return rule;
}

// The size of one of `heads` parts of a dim.
Result<Dim> part_of(const Dim& d, int64_t heads, std::string_view what) {
  if (d.known() && d.value() % heads != 0)
    return fail(Code::shape_mismatch, format("{} of {} does not divide into {} heads", what, d.to_string(), heads));
  return ir::floor_div(d, Dim(heads));
}

Status linear_attention_type(const Call& call, Types& out) {
  const Operand &q = call.in("query"), &k = call.in("key"), &v = call.in("value");
  const int64_t heads = call.i("q_num_heads"), groups = call.i("kv_num_heads");
  if (call.error()) return {};
  GRAFT_CHECK(rule_of(call));
  if (groups < 1 || heads < 1 || heads % groups != 0)
    return fail(Code::invalid_attribute, format("q_num_heads {} is no multiple of kv_num_heads {}", heads, groups));
  for (const Operand* o : {&q, &k, &v}) {
    if (o->rank() != 3) return fail(Code::rank_mismatch, format("got {}, takes [B, T, H * D]", o->type->to_string()));
  }
  GRAFT_TRY(const Dim size, part_of(k.dims()[2], groups, "the key"));
  GRAFT_TRY(const Dim width, part_of(v.dims()[2], groups, "the value"));
  const Dim &batch = q.dims()[0], &steps = q.dims()[1];
  GRAFT_CHECK(check_shape(call, "query", {batch, steps, size * Dim(heads)}));
  GRAFT_CHECK(check_shape(call, "key", {batch, steps, k.dims()[2]}));
  GRAFT_CHECK(check_shape(call, "value", {batch, steps, v.dims()[2]}));
  GRAFT_CHECK(check_shape(call, "past_state", {batch, Dim(groups), size, width}));
  const auto per_head = [&](std::string_view param, const Dim& other) {
    const bool one = call.has(param) && call.in(param).rank() == 3 && call.in(param).dims()[2] == other;
    return check_shape(call, param, {batch, steps, one ? other : Dim(groups)});
  };
  GRAFT_CHECK(per_head("decay", size * Dim(groups)));
  GRAFT_CHECK(per_head("beta", Dim(1)));
  out.push_back(Type::tensor(q.dtype(), Dims{batch, steps, width * Dim(heads)}));
  const DType kept = call.has("past_state") ? call.in("past_state").dtype() : q.dtype();
  out.push_back(Type::tensor(kept, Dims{batch, Dim(groups), size, width}));
  return {};
}

using Row = std::vector<double>;

struct Steps {
  TensorView q, k, v, decay, beta;  // decay and beta: where the rule has them
  Rule rule;
  int64_t steps, heads, groups, size, width;
  double scale;
};

void read(const TensorView& t, int64_t at, Row& row) { load(t, at, 1, static_cast<int64_t>(row.size()), row.data()); }

// All steps of one head's state, which has `size` rows of `width`, and of the queries that read it.
void run_head(const Steps& s, int64_t batch, int64_t head, Row& state, const MutableTensorView& y, Pace& pace) {
  const auto size = static_cast<size_t>(s.size), width = static_cast<size_t>(s.width);
  Row k(size), q(size), v(width), made(width), decay(size);
  double one = 0;
  for (int64_t t = 0; t < s.steps && pace.go_on(s.size * s.width * (2 + s.heads / s.groups)); ++t) {
    const int64_t at = batch * s.steps + t;
    read(s.k, (at * s.groups + head) * s.size, k);
    read(s.v, (at * s.groups + head) * s.width, v);
    if (s.rule.decays) {
      const bool each = s.decay.shape[2] != s.groups || s.size == 1;
      if (each) {
        read(s.decay, (at * s.groups + head) * s.size, decay);
      } else {
        load(s.decay, at * s.groups + head, 1, 1, &one);
        std::fill(decay.begin(), decay.end(), one);
      }
      for (size_t i = 0; i < size; ++i) {
        const double factor = std::exp(decay[i]);
        for (size_t j = 0; j < width; ++j) state[i * width + j] *= factor;
      }
    }
    if (s.rule.corrects) {
      std::fill(made.begin(), made.end(), 0.0);
      for (size_t i = 0; i < size; ++i) {
        for (size_t j = 0; j < width; ++j) made[j] += state[i * width + j] * k[i];
      }
      load(s.beta, s.beta.shape[2] == s.groups ? at * s.groups + head : at, 1, 1, &one);
      for (size_t j = 0; j < width; ++j) v[j] = one * (v[j] - made[j]);
    }
    for (size_t i = 0; i < size; ++i) {
      for (size_t j = 0; j < width; ++j) state[i * width + j] += k[i] * v[j];
    }
    const int64_t shared = s.heads / s.groups;
    for (int64_t g = head * shared; g < (head + 1) * shared; ++g) {
      read(s.q, (at * s.heads + g) * s.size, q);
      std::fill(made.begin(), made.end(), 0.0);
      for (size_t i = 0; i < size; ++i) {
        for (size_t j = 0; j < width; ++j) made[j] += s.scale * q[i] * state[i * width + j];
      }
      store(y, (at * s.heads + g) * s.width, 1, s.width, made.data());
    }
  }
}

Status linear_attention_reference(const Call& call, Outputs& out) {
  Steps s{};
  s.q = call.in("query").value;
  s.k = call.in("key").value;
  s.v = call.in("value").value;
  s.decay = call.in("decay").value;
  s.beta = call.in("beta").value;
  GRAFT_TRY(s.rule, rule_of(call));
  s.heads = call.i("q_num_heads");
  s.groups = call.i("kv_num_heads");
  s.steps = s.q.shape[1];
  s.size = s.k.shape[2] / s.groups;
  s.width = s.v.shape[2] / s.groups;
  s.scale = call.f("scale");
  if (s.scale == 0 && s.size > 0) s.scale = 1 / std::sqrt(static_cast<double>(s.size));
  const int64_t batches = s.q.shape[0], area = s.size * s.width;
  GRAFT_CHECK(check_output(call, out[0], Shape{batches, s.steps, s.heads * s.width}));
  GRAFT_CHECK(check_output(call, out[1], Shape{batches, s.groups, s.size, s.width}));
  Pace pace = call.pace();
  Row state(static_cast<size_t>(area));
  for (int64_t b = 0; b < batches; ++b) {
    for (int64_t h = 0; h < s.groups; ++h) {
      const int64_t at = (b * s.groups + h) * area;
      std::fill(state.begin(), state.end(), 0.0);
      if (call.has("past_state")) read(call.in("past_state").value, at, state);
      run_head(s, b, h, state, out[0], pace);
      store(out[1], at, 1, area, state.data());
    }
  }
  return {};
}

constexpr Variant kVariants[] = {
    {Opset::host,
     "query:T; key:T; value:T; past_state?:S; decay?:T; beta?:T; q_num_heads:const int32; kv_num_heads:const int32; "
     "scale?:const fp32=0; update_rule?:const string=\"gated_delta\"",
     "T={fp16,fp32,fp64,bf16}; S={fp16,fp32,fp64,bf16}"}};
constexpr OpDef host_linear_attention = {
    .name = "host_linear_attention",
    .family = "host",
    .doc =
        "ONNX LinearAttention: a state S a head, changed by each step's key and value (S decays by exp(decay), and "
        "gains k beta (v - S^T k) or k v), read by its queries; the results, and the state after the last step",
    .variants = kVariants,
    .infer = linear_attention_type,
    .reference = linear_attention_reference};

}  // namespace

const OpDef& host_linear_attention_row() { return host_linear_attention; }

}  // namespace graft::ops
