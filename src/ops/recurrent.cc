// MIL's recurrent family: lstm, gru, rnn. Time is the first dim; weights are blocks of rows, one a gate.
#include "ops/recurrent.h"

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

using ir::Recurrence;
using Cell = Recurrence::Cell;

constexpr std::array<std::string_view, 3> kLstmActivations{"recurrent_activation", "cell_activation", "activation"};
constexpr std::span<const std::string_view> kRnnActivation(kLstmActivations.data() + 2, 1);
constexpr std::array<std::string_view, 2> kGruActivations{"recurrent_activation", "activation"};

constexpr ir::Domain kDomain{.lo = -1, .hi = 1, .tolerance_f32 = 2e-5, .tolerance_f16 = 5e-3};

// MIL's names, and the numbers with which Apple's own tests of them agree.
Result<Recurrence::Activation> activation(const Call& call, std::string_view param) {
  std::string s(call.str(param));
  for (char& c : s) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (s == "tanh" || s == "sigmoid" || s == "relu") return activation_of(s, 0, 0);
  if (s == "linear") return activation_of("linear_activation", 1, 0);
  if (s == "hard_sigmoid" || s == "sigmoid_hard") return activation_of("sigmoid_hard", 0.2, 0.5);
  if (s == "scaled_tanh") return activation_of("scaled_tanh", 1, 1);
  return fail(Code::invalid_attribute,
              format("{} '{}', takes tanh, sigmoid, relu, linear, hard_sigmoid or scaled_tanh", param, s));
}

// scaled_tanh's numbers are stated nowhere, and what clip bounds neither.
Status defined_activations(const Call& call, std::span<const std::string_view> params) {
  for (const std::string_view param : params) {
    GRAFT_TRY(const Recurrence::Activation f, activation(call, param));
    if (f.of->function == ir::Scalar::scaled_tanh)
      return fail(Code::unsupported_attribute, format("{} scaled_tanh, whose numbers are not documented", param));
  }
  return {};
}

Result<int> directions(const Call& call, bool both) {
  const std::string_view d = call.str("direction");
  if (d == "forward" || d == "reverse") return 1;
  if (both && d == "bidirectional") return 2;
  return fail(Code::invalid_attribute,
              format("direction '{}', takes forward{}", d, both ? ", reverse or bidirectional" : " or reverse"));
}

// Shapes of what all three take, and the type of y.
Status common_type(const Call& call, Cell cell, int gates, Types& out) {
  const Operand &x = call.in("x"), &recurrent = call.in("weight_hh");
  if (x.rank() != 3) return fail(Code::rank_mismatch, format("got x of rank {}, takes rank 3", x.rank()));
  if (recurrent.rank() != 2)
    return fail(Code::rank_mismatch, format("got weight_hh of rank {}, takes rank 2", recurrent.rank()));
  GRAFT_TRY(const int count, directions(call, cell == Cell::lstm));
  const Dim hidden = recurrent.dims()[1], rows = Dim(gates) * hidden, inputs = x.dims()[2];
  const Dim batch = x.dims()[1], states = Dim(count) * hidden;
  const auto weights = [&](std::string_view ih, std::string_view hh, std::string_view bias) -> Status {
    GRAFT_CHECK(check_shape(call, ih, {rows, inputs}));
    GRAFT_CHECK(check_shape(call, hh, {rows, hidden}));
    return check_shape(call, bias, {rows});
  };
  GRAFT_CHECK(weights("weight_ih", "weight_hh", "bias"));
  GRAFT_CHECK(check_shape(call, "initial_h", {batch, states}));
  if (cell == Cell::lstm) {
    GRAFT_CHECK(check_shape(call, "initial_c", {batch, states}));
    GRAFT_CHECK(check_shape(call, "peephole", {Dim(3) * hidden}));
    if (count == 2) {
      if (!call.has("weight_ih_back") || !call.has("weight_hh_back"))
        return fail(Code::invalid_model, "bidirectional, but without weight_ih_back and weight_hh_back");
      GRAFT_CHECK(weights("weight_ih_back", "weight_hh_back", "bias_back"));
      GRAFT_CHECK(check_shape(call, "peephole_back", {Dim(3) * hidden}));
    }
  }
  const Dim steps = call.flag("output_sequence") ? x.dims()[0] : Dim(1);
  out.push_back(Type::tensor(x.dtype(), Dims{steps, batch, states}));
  for (int i = 0; i < (cell == Cell::lstm ? 2 : 1); ++i) out.push_back(Type::tensor(x.dtype(), Dims{batch, states}));
  return {};
}

Recurrence::Part part(const Call& call, std::string_view param, int64_t at = 0) {
  return call.has(param) ? Recurrence::Part{param, at} : Recurrence::Part{};
}

Status common_recurrence(const Call& call, Cell cell, Recurrence& r) {
  const Shape x = shape_of(call.in("x"));
  r.cell = cell;
  r.steps = x[0];
  r.batch = x[1];
  r.inputs = x[2];
  r.hidden = shape_of(call.in("weight_hh"))[1];
  GRAFT_TRY(r.count, directions(call, cell == Cell::lstm));
  r.all_steps = call.flag("output_sequence");
  r.walk_order = r.count == 1;  // of both directions, time
  r.state_row = r.y_row = r.count * r.hidden;
  r.y_step = r.batch * r.y_row;
  Recurrence::Direction& d = r.directions[0];
  d.backwards = call.str("direction") == "reverse";
  d.weights = part(call, "weight_ih");
  d.recurrent = part(call, "weight_hh");
  d.bias = part(call, "bias");
  d.h = part(call, "initial_h");
  return {};
}

// ---- lstm ---------------------------------------------------------------------------------------------------------

Status lstm_recurrence(const Call& call, Recurrence& r) {
  GRAFT_CHECK(common_recurrence(call, Cell::lstm, r));
  r.peephole_order = {0, 1, 2};
  r.order = {0, 1, 2, 3};
  if (call.has("clip")) r.cell_clip = call.f("clip");
  Recurrence::Direction &d = r.directions[0], &back = r.directions[1];
  d.c = part(call, "initial_c");
  d.peephole = part(call, "peephole");
  size_t i = 0;
  for (const std::string_view param : kLstmActivations) {
    GRAFT_TRY(d.activations[i++], activation(call, param));
  }
  back = d;
  if (r.count == 1) return {};
  back.backwards = true;
  back.weights = part(call, "weight_ih_back");
  back.recurrent = part(call, "weight_hh_back");
  back.bias = part(call, "bias_back");
  back.peephole = part(call, "peephole_back");
  back.h = part(call, "initial_h", r.hidden);
  back.c = part(call, "initial_c", r.hidden);
  back.y_at = back.state_at = r.hidden;
  return {};
}

Status lstm_type(const Call& call, Types& out) {
  for (const std::string_view param : kLstmActivations) {
    if (const auto f = activation(call, param); !f) return fail(f.error());
  }
  return common_type(call, Cell::lstm, 4, out);
}

Status lstm_defined(const Call& call) {
  if (call.has("clip"))
    return fail(Code::unsupported_attribute, "lstm with a clip, which is documented for the cell in one place only");
  return defined_activations(call, kLstmActivations);
}

#define GRAFT_LSTM                                                                              \
  "x:T; initial_h:T; initial_c:T; weight_ih:const T; weight_hh:const T; bias?:const T=none; "   \
  "peephole?:const T=none; weight_ih_back?:const T=none; weight_hh_back?:const T=none; "        \
  "bias_back?:const T=none; peephole_back?:const T=none; direction?:const string=\"forward\"; " \
  "output_sequence?:const bool=false; recurrent_activation?:const string=\"sigmoid\"; "         \
  "cell_activation?:const string=\"tanh\"; activation?:const string=\"tanh\"; clip?:const T=none"
constexpr Variant kLstm[] = {{Opset::ios15, GRAFT_LSTM, "T={fp32}"}, {Opset::ios17, GRAFT_LSTM, "T={fp16,fp32}"}};
#undef GRAFT_LSTM

constexpr OpDef row(std::string_view name, std::string_view doc, std::span<const Variant> variants,
                    Status (*type)(const Call&, Types&), Status (*recurrence)(const Call&, Recurrence&),
                    Status (*defined)(const Call&)) {
  OpDef def{.name = name, .family = "recurrent", .doc = doc, .variants = variants, .host = kFloats};
  def.infer = type;
  def.reference = recurrent_reference;
  def.defined = defined;
  def.domain = kDomain;
  def.fp16 = {.accumulates = true};
  def.kind = ir::Kind::recurrent;
  def.recurrence = recurrence;
  def.flops = recurrent_flops;
  return def;
}

constexpr OpDef lstm = row("lstm",
                           "long short-term memory over x [steps, batch, inputs]; blocks of weights: input, forget, "
                           "output, cell. Results: all steps or the last one, the last h, the last c",
                           kLstm, lstm_type, lstm_recurrence, lstm_defined);

// ---- gru ----------------------------------------------------------------------------------------------------------

Status gru_recurrence(const Call& call, Recurrence& r) {
  GRAFT_CHECK(common_recurrence(call, Cell::gru, r));
  r.order = {2, 0, 1, 0};
  r.reset_after = call.has("reset_after") && call.flag("reset_after");
  Recurrence::Direction& d = r.directions[0];
  d.recurrent_bias = d.bias;
  d.bias = part(call, "input_bias");
  GRAFT_TRY(d.activations[0], activation(call, "recurrent_activation"));
  GRAFT_TRY(d.activations[1], activation(call, "activation"));
  return {};
}

Status gru_type(const Call& call, Types& out) {
  for (const std::string_view param : kGruActivations) {
    if (const auto f = activation(call, param); !f) return fail(f.error());
  }
  GRAFT_CHECK(common_type(call, Cell::gru, 3, out));
  return check_shape(call, "input_bias", {Dim(3) * call.in("weight_hh").dims()[1]});
}

Status gru_defined(const Call& call) {
  if (call.has("reset_after") && call.flag("reset_after"))
    return fail(Code::unsupported_attribute, "gru with reset_after, which Core ML is known to compute otherwise");
  return defined_activations(call, kGruActivations);
}

#define GRAFT_GRU                                                                \
  "x:T; initial_h:T; weight_ih:const T; weight_hh:const T; bias?:const T=none; " \
  "direction?:const string=\"forward\"; output_sequence?:const bool=false; "     \
  "recurrent_activation?:const string=\"sigmoid\"; activation?:const string=\"tanh\""
constexpr Variant kGru[] = {
    {Opset::ios15, GRAFT_GRU, "T={fp32}"},
    {Opset::ios17, GRAFT_GRU, "T={fp16,fp32}"},
    {Opset::ios18, GRAFT_GRU "; reset_after?:const bool=none; input_bias?:const T=none", "T={fp16,fp32}"}};
#undef GRAFT_GRU
constexpr OpDef gru = row("gru",
                          "gated recurrent unit over x [steps, batch, inputs]; blocks of weights: reset, new, update. "
                          "h = (1 - update) * new + update * h",
                          kGru, gru_type, gru_recurrence, gru_defined);

// ---- rnn ----------------------------------------------------------------------------------------------------------

Status rnn_recurrence(const Call& call, Recurrence& r) {
  GRAFT_CHECK(common_recurrence(call, Cell::rnn, r));
  GRAFT_TRY(r.directions[0].activations[0], activation(call, "activation"));
  return {};
}

Status rnn_type(const Call& call, Types& out) {
  if (const auto f = activation(call, "activation"); !f) return fail(f.error());
  return common_type(call, Cell::rnn, 1, out);
}

#define GRAFT_RNN                                                                \
  "x:T; initial_h:T; weight_ih:const T; weight_hh:const T; bias?:const T=none; " \
  "direction?:const string=\"forward\"; output_sequence?:const bool=false; activation?:const string=\"tanh\""
constexpr Variant kRnn[] = {{Opset::ios15, GRAFT_RNN, "T={fp32}"}, {Opset::ios17, GRAFT_RNN, "T={fp16,fp32}"}};
#undef GRAFT_RNN
constexpr OpDef rnn = row("rnn", "h = activation(W x + R h + bias) over x [steps, batch, inputs]", kRnn, rnn_type,
                          rnn_recurrence, [](const Call& call) { return defined_activations(call, kRnnActivation); });

constexpr const OpDef* kRows[] = {&lstm, &gru, &rnn};

}  // namespace

Rows recurrent_rows() { return kRows; }

}  // namespace graft::ops
