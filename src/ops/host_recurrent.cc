// host_recurrent: ONNX's LSTM, GRU and RNN with all that MIL's have no word for: weights of a run, a length for each
// sequence, any activation, clipped gates, the other two forms of gates, and ONNX Runtime's quantized one.
#include "ops/host_rows.h"
#include "ops/moving.h"
#include "ops/recurrent.h"

namespace graft::ops {
namespace {

using ir::Recurrence;
using Cell = Recurrence::Cell;

Result<Cell> cell_of(const Call& call) {
  const std::string_view s = call.str("cell");
  if (s == "lstm") return Cell::lstm;
  if (s == "gru") return Cell::gru;
  if (s == "rnn") return Cell::rnn;
  return fail(Code::invalid_attribute, format("cell '{}', takes lstm, gru or rnn", s));
}
constexpr int activations_of(Cell cell) { return cell == Cell::lstm ? 3 : cell == Cell::gru ? 2 : 1; }

Result<int> directions(const Call& call) {
  const std::string_view d = call.str("direction");
  if (d == "forward" || d == "reverse") return 1;
  if (d == "bidirectional") return 2;
  return fail(Code::invalid_attribute, format("direction '{}', takes forward, reverse or bidirectional", d));
}

// The names of rows, separated by commas, and two numbers each.
Status read_activations(const Call& call, Recurrence& r) {
  std::string_view names = call.str("activations");
  const TensorView numbers = call.in("numbers").elements();
  const int each = activations_of(r.cell), count = each * r.count;
  if (!call.known("numbers") || numbers.count() != 2 * count)
    return fail(Code::invalid_attribute, format("{} numbers for {} activations", numbers.count(), count));
  for (int i = 0; i < count; ++i) {
    const size_t comma = names.find(',');
    GRAFT_TRY(r.directions[static_cast<size_t>(i / each)].activations[static_cast<size_t>(i % each)],
              activation_of(names.substr(0, comma), element_as_double(numbers, 2 * i),
                            element_as_double(numbers, 2 * i + 1)));
    if ((comma == std::string_view::npos) != (i + 1 == count))
      return fail(Code::invalid_attribute, format("activations '{}', takes {}", call.str("activations"), count));
    names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
  }
  return {};
}

Status host_recurrence(const Call& call, Recurrence& r) {
  const Shape x = shape_of(call.in("x"));
  GRAFT_TRY(r.cell, cell_of(call));
  GRAFT_TRY(r.count, directions(call));
  GRAFT_CHECK(read_activations(call, r));
  r.steps = x[0];
  r.batch = x[1];
  r.inputs = x[2];
  r.hidden = shape_of(call.in("r"))[2];
  r.order = r.cell == Cell::lstm ? std::array{0, 2, 1, 3} : std::array{0, 1, 2, 3};
  r.peephole_order = {0, 2, 1};
  r.reset_after = call.flag("linear_before_reset");
  r.coupled = call.flag("input_forget");
  r.quantized = call.flag("quantized");
  if (call.has("clip")) r.gate_clip = call.f("clip");
  if (call.has("sequence_lens")) r.lengths = {"sequence_lens"};
  r.y_row = r.state_row = r.hidden;
  r.y_step = r.count * r.batch * r.hidden;
  const int64_t rows = r.gates() * r.hidden;
  for (int i = 0; i < r.count; ++i) {
    const auto part = [&](std::string_view param, int64_t each, int64_t at = 0) {
      return call.has(param) ? Recurrence::Part{param, i * each + at} : Recurrence::Part{};
    };
    Recurrence::Direction& d = r.directions[static_cast<size_t>(i)];
    d.backwards = i == 1 || call.str("direction") == "reverse";
    d.weights = part("w", rows * r.inputs);
    d.recurrent = part("r", rows * r.hidden);
    d.bias = part("b", 2 * rows);
    d.recurrent_bias = part("b", 2 * rows, rows);
    d.peephole = part("p", 3 * r.hidden);
    d.h = part("initial_h", r.batch * r.hidden);
    d.c = part("initial_c", r.batch * r.hidden);
    d.y_at = d.state_at = i * r.batch * r.hidden;
  }
  return {};
}

Status host_recurrent_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &recurrent = call.in("r");
  Recurrence r;
  GRAFT_TRY(r.cell, cell_of(call));
  GRAFT_TRY(r.count, directions(call));
  GRAFT_CHECK(read_activations(call, r));
  if (x.rank() != 3) return fail(Code::rank_mismatch, format("got x of rank {}, takes rank 3", x.rank()));
  if (recurrent.rank() != 3)
    return fail(Code::rank_mismatch, format("got r of rank {}, takes rank 3", recurrent.rank()));
  const Dim count(r.count), steps = x.dims()[0], batch = x.dims()[1], hidden = recurrent.dims()[2];
  const Dim rows = Dim(r.gates()) * hidden;
  GRAFT_CHECK(check_shape(call, "w", {count, rows, x.dims()[2]}));
  GRAFT_CHECK(check_shape(call, "r", {count, rows, hidden}));
  GRAFT_CHECK(check_shape(call, "b", {count, Dim(2) * rows}));
  GRAFT_CHECK(check_shape(call, "sequence_lens", {batch}));
  GRAFT_CHECK(check_shape(call, "initial_h", {count, batch, hidden}));
  GRAFT_CHECK(check_shape(call, "initial_c", {count, batch, hidden}));
  GRAFT_CHECK(check_shape(call, "p", {count, Dim(3) * hidden}));
  out.push_back(Type::tensor(x.dtype(), Dims{steps, count, batch, hidden}));
  for (int i = 0; i < (r.cell == Cell::lstm ? 2 : 1); ++i)
    out.push_back(Type::tensor(x.dtype(), Dims{count, batch, hidden}));
  return {};
}

constexpr Variant kVariants[] = {
    {Opset::host,
     "x:T; w:T; r:T; b?:T=none; sequence_lens?:int32=none; initial_h?:T=none; initial_c?:T=none; p?:T=none; "
     "cell:const string; direction?:const string=\"forward\"; activations:const string; numbers:const fp32; "
     "clip?:const fp32=none; linear_before_reset?:const bool=false; input_forget?:const bool=false; "
     "quantized?:const bool=false",
     "T={fp16,fp32,fp64,bf16}"}};
constexpr OpDef host_recurrent = {
    .name = "host_recurrent",
    .family = "host",
    .doc =
        "a recurrent layer of ONNX: LSTM, GRU or RNN over x [steps, batch, inputs]. Results: all steps, the last h, of "
        "an lstm the last c. activations: names of rows, with two numbers each",
    .variants = kVariants,
    .infer = host_recurrent_type,
    .reference = recurrent_reference,
    .domain = {.lo = -1, .hi = 1, .tolerance_f32 = 2e-5, .tolerance_f16 = 5e-3},
    .kind = ir::Kind::recurrent,
    .recurrence = host_recurrence,
    .flops = recurrent_flops};

}  // namespace

const OpDef& host_recurrent_row() { return host_recurrent; }

}  // namespace graft::ops
