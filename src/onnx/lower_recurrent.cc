// LSTM, GRU and RNN. MIL's take constant weights in an order of their own; everything else is the host's. Letters of
// shapes: S steps, B batch, I inputs, H hidden, D directions, G gates.
#include <algorithm>

#include "base/format.h"
#include "onnx/heads.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// One of the three: ONNX's order of gates in MIL's (peepholes too), and what is default.
struct Cell {
  std::string_view name;
  std::vector<int64_t> gates;
  std::vector<std::string> activations;
};
const Cell kLstm{"lstm", {0, 2, 1, 3}, {"Sigmoid", "Tanh", "Tanh"}};
const Cell kGru{"gru", {1, 2, 0}, {"Sigmoid", "Tanh"}};
const Cell kRnn{"rnn", {0}, {"Tanh"}};

// An activation as a row, and as MIL's recurrent operators name it, with the numbers that those have.
struct Activation {
  std::string_view onnx, row, mil;
  int numbers = 0;
  double alpha = 0, beta = 0;  // defaults
};
constexpr Activation kActivations[] = {
    {"affine", "linear_activation", "linear", 2, 1, 0},
    {"relu", "relu", "relu"},
    {"leakyrelu", "leaky_relu", "", 1, 0.01f},
    {"thresholdedrelu", "thresholded_relu", "", 1, 1},
    {"tanh", "tanh", "tanh"},
    {"scaledtanh", "scaled_tanh", "", 2, 1, 1},
    {"sigmoid", "sigmoid", "sigmoid"},
    {"hardsigmoid", "sigmoid_hard", "sigmoid_hard", 2, 0.2f, 0.5f},
    {"elu", "elu", "", 1, 1},
    {"softsign", "softsign", ""},
    {"softplus", "softplus", ""},
};

// In the order of the attribute; each takes the next alpha and beta where it has such.
std::vector<Activation> activations_of(NodeView& n, const Cell& cell, size_t directions) {
  std::vector<std::string> names = n.strings("activations");
  if (names.empty()) {
    for (size_t d = 0; d < directions; ++d) names.insert(names.end(), cell.activations.begin(), cell.activations.end());
  }
  const std::vector<double> alphas = n.floats("activation_alpha"), betas = n.floats("activation_beta");
  std::vector<Activation> list;
  size_t alpha = 0, beta = 0;
  for (std::string& s : names) {
    std::transform(s.begin(), s.end(), s.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    const auto* found = std::find_if(std::begin(kActivations), std::end(kActivations),
                                     [&](const Activation& a) { return a.onnx == s; });
    if (found == std::end(kActivations)) {
      n.refuse(Code::invalid_attribute, format("activation '{}' is none of ONNX's", s));
      return {};
    }
    list.push_back(*found);
    if (found->numbers >= 1 && alpha < alphas.size()) list.back().alpha = alphas[alpha++];
    if (found->numbers >= 2 && beta < betas.size()) list.back().beta = betas[beta++];
  }
  if (list.size() != directions * cell.activations.size())
    n.refuse(Code::invalid_attribute,
             format("{} activations, takes {}", list.size(), directions * cell.activations.size()));
  return list;
}

struct Layer {
  explicit Layer(const Cell& which) : cell(which) {}
  const Cell& cell;
  std::string direction;
  int64_t directions = 1;
  std::vector<Activation> activations;
  Value *x = nullptr, *w = nullptr, *r = nullptr, *bias = nullptr, *lengths = nullptr;
  Value *h = nullptr, *c = nullptr, *peephole = nullptr;
  std::optional<double> clip;
  bool reset_after = false, coupled = false, quantized = false;
};

// [S, D, B, H], and the last states [D, B, H].
Values on_host(OpBuilder& b, const Layer& l) {
  std::string names;
  std::vector<float> numbers;
  for (const Activation& a : l.activations) {
    names += (names.empty() ? "" : ",") + std::string(a.row);
    numbers.push_back(static_cast<float>(a.alpha));
    numbers.push_back(static_cast<float>(a.beta));
  }
  const Shape size{static_cast<int64_t>(numbers.size())};
  Value* values = b.constant(ir::Constant::of(Tensor::of<float>(DType::f32, size, numbers)));
  std::vector<ir::Arg> args{{"x", l.x},
                            {"w", l.w},
                            {"r", l.r},
                            {"b", l.bias},
                            {"sequence_lens", l.lengths},
                            {"initial_h", l.h},
                            {"initial_c", l.c},
                            {"p", l.peephole},
                            {"cell", l.cell.name},
                            {"direction", l.direction},
                            {"activations", names},
                            {"numbers", values},
                            {"linear_before_reset", l.reset_after},
                            {"input_forget", l.coupled},
                            {"quantized", l.quantized}};
  if (l.clip) args.emplace_back("clip", *l.clip);
  return b.emit_all("host_recurrent", args);
}

bool known(const Value* v) { return v == nullptr || v->is_constant(); }

// What MIL's operator has no word for; empty where it can say all of it.
std::string_view beyond_mil(const Layer& l) {
  if (l.quantized) return "values rounded to 8 bits in every step";
  if (!known(l.w) || !known(l.r) || !known(l.bias) || !known(l.peephole)) return "weights that are not constant";
  if (l.lengths != nullptr) return "sequence_lens";
  if (l.clip) return "clip";
  if (l.coupled) return "input_forget";
  const size_t each = l.cell.activations.size();
  for (size_t i = 0; i < l.activations.size(); ++i) {
    const Activation &a = l.activations[i], &first = l.activations[i % each];
    const auto* plain = std::find_if(std::begin(kActivations), std::end(kActivations),
                                     [&](const Activation& k) { return k.row == a.row; });
    if (a.mil.empty() || a.alpha != plain->alpha || a.beta != plain->beta) return "activation of this kind";
    // One lstm has both directions.
    if (a.row != first.row && l.cell.name == kLstm.name) return "other activations for each direction";
  }
  return {};
}

// Direction d of constants [D, parts * H, ...], the parts in this order.
Value* blocks(OpBuilder& b, Value* v, int64_t d, std::span<const int64_t> order, int64_t hidden) {
  Value* one = b.gather(v, b.scalar(DType::i32, static_cast<double>(d)), 0);
  if (!b.ok()) return one;
  Dims apart = one->dims(), together = one->dims();
  apart[0] = Dim(hidden);
  apart.insert(apart.begin(), Dim(one->dim(0).value() / std::max<int64_t>(hidden, 1)));
  together[0] = Dim(static_cast<int64_t>(order.size()) * hidden);
  return b.reshape(b.gather(b.reshape(one, apart), b.ints(order), 0), together);
}

// Those of W plus those of R.
Value* bias_of(OpBuilder& b, const Layer& l, int64_t d, int64_t hidden) {
  std::vector<int64_t> recurrent = l.cell.gates;
  for (int64_t& g : recurrent) g += static_cast<int64_t>(recurrent.size());
  Value* of_x = blocks(b, l.bias, d, l.cell.gates, hidden);
  return b.add(of_x, blocks(b, l.bias, d, recurrent, hidden));
}

// [D, B, H] to [B, D * H] and back. A state that is left out is zeros.
Value* state_in(OpBuilder& b, Value* x, Value* state, int64_t directions, int64_t hidden) {
  const Dim batch = x->dim(1);
  if (state == nullptr) {
    Value* shape = b.dims_value({batch, Dim(directions * hidden)}, std::span<Value* const>(&x, 1));
    return b.emit("fill", {{"shape", shape}, {"value", b.like(x, 0)}});
  }
  if (directions == 1) return b.squeeze(state, {0});
  Value* hints[] = {x, state};
  return b.reshape(b.transpose(state, {1, 0, 2}), Dims{batch, Dim(directions * hidden)}, hints);
}
Value* state_out(OpBuilder& b, Value* x, Value* state, int64_t directions, int64_t hidden) {
  if (directions == 1) return b.expand_dims(state, {0});
  Value* hints[] = {x, state};
  return b.transpose(b.reshape(state, Dims{x->dim(1), Dim(directions), Dim(hidden)}, hints), {1, 0, 2});
}

// One operator: an lstm of one or two directions, others of one; y [S, D, B, H].
Values one_in_mil(OpBuilder& b, const Layer& l, const std::string& direction, int64_t first, int64_t directions,
                  Value* h, Value* c) {
  const int64_t hidden = l.r->dim(2).value();
  const bool lstm = l.cell.name == kLstm.name, gru = l.cell.name == kGru.name;
  const Activation* a = l.activations.data() + static_cast<size_t>(first) * l.cell.activations.size();
  std::vector<ir::Arg> args{{"x", l.x}, {"direction", direction}, {"output_sequence", true}};
  args.emplace_back("initial_h", state_in(b, l.x, h, directions, hidden));
  if (lstm) args.emplace_back("initial_c", state_in(b, l.x, c, directions, hidden));
  for (int64_t d = 0; d < directions; ++d) {
    const std::string_view back[] = {"weight_ih_back", "weight_hh_back", "bias_back", "peephole_back"};
    const std::string_view front[] = {"weight_ih", "weight_hh", "bias", "peephole"};
    const std::string_view* param = d == 0 ? front : back;
    args.emplace_back(param[0], blocks(b, l.w, first + d, l.cell.gates, hidden));
    args.emplace_back(param[1], blocks(b, l.r, first + d, l.cell.gates, hidden));
    if (l.bias != nullptr) args.emplace_back(param[2], bias_of(b, l, first + d, hidden));
    if (l.peephole != nullptr) {
      const int64_t order[] = {0, 2, 1};
      args.emplace_back(param[3], blocks(b, l.peephole, first + d, order, hidden));
    }
  }
  if (lstm || gru) args.emplace_back("recurrent_activation", a[0].mil);
  if (lstm) args.emplace_back("cell_activation", a[1].mil);
  args.emplace_back("activation", a[l.cell.activations.size() - 1].mil);
  Values out = b.emit_all(l.cell.name, args);
  if (!b.ok()) return out;
  Value* y = out[0];
  if (directions == 2) {
    y = b.reshape(y, Dims{l.x->dim(0), l.x->dim(1), Dim(2), Dim(hidden)}, std::span<Value* const>(&l.x, 1));
    y = b.transpose(y, {0, 2, 1, 3});
  } else {
    if (direction == "reverse") y = b.emit("reverse", {{"x", y}, {"axes", std::vector<int64_t>{0}}});
    y = b.expand_dims(y, {1});
  }
  out[0] = y;
  for (size_t i = 1; i < out.size(); ++i) out[i] = state_out(b, l.x, out[i], directions, hidden);
  return out;
}

Values by_mil(OpBuilder& b, const Layer& l) {
  if (!b.ok()) return {};
  if (l.directions == 1 || l.cell.name == kLstm.name) return one_in_mil(b, l, l.direction, 0, l.directions, l.h, l.c);
  const auto state = [&](int64_t d) { return l.h == nullptr ? nullptr : b.gather(l.h, b.ints(std::array{d}), 0); };
  const Values there = one_in_mil(b, l, "forward", 0, 1, state(0), nullptr);
  const Values back = one_in_mil(b, l, "reverse", 1, 1, state(1), nullptr);
  if (!b.ok()) return there;
  Value* y = b.concat({there[0], back[0]}, 1);
  return {y, b.concat({there[1], back[1]}, 0)};
}

// A GRU whose reset gate works on the product (all that PyTorch makes) is written out: the products with x in one, and
// those with the state in the turns of a loop.
class ResetAfter {
 public:
  ResetAfter(NodeView& n, OpBuilder& b, const Layer& l) : n_(n), b_(b), l_(l) {}

  Values operator()() {
    if (l_.lengths != nullptr)
      return {n_.refuse(Code::host_only, "MIL's gru has no sequence_lens; it runs on the host")};
    if (!l_.r->dim(2).known()) return {n_.refuse(Code::dynamic_shape, "the number of hidden values must be known")};
    hidden_ = l_.r->dim(2).value();
    Values y, h;
    for (int64_t d = 0; d < l_.directions && b_.ok(); ++d) {
      const bool back = l_.direction == "reverse" || d == 1;
      const Values out = direction(d, back);
      if (!b_.ok() || out.size() != 3) return {n_.refused()};
      y.push_back(b_.expand_dims(out[2], {1}));
      h.push_back(b_.expand_dims(out[1], {0}));
    }
    Value* all = b_.concat(y, 1);
    return {all, b_.concat(h, 0)};
  }

 private:
  Value* of_direction(Value* v, int64_t d) { return b_.gather(v, b_.scalar(DType::i32, static_cast<double>(d)), 0); }

  Values direction(int64_t d, bool back) {
    Value* x = l_.x;
    Value *w = of_direction(l_.w, d), *r = of_direction(l_.r, d);
    Value *of_x = b_.matmul(x, w, true), *of_h = nullptr;
    if (l_.bias != nullptr) {
      Value* bias = of_direction(l_.bias, d);
      of_x = b_.add(of_x, sublist(b_, bias, 0, 3 * hidden_));
      of_h = sublist(b_, bias, 3 * hidden_, 6 * hidden_);
    }
    const auto zeros = [&](const Dims& dims) {
      Value* shape = b_.dims_value(dims, std::span<Value* const>(&x, 1));
      return b_.emit("fill", {{"shape", shape}, {"value", b_.like(x, 0)}});
    };
    Value* h = l_.h == nullptr ? zeros({x->dim(1), Dim(hidden_)}) : of_direction(l_.h, d);
    Value* count = size_along(b_, x, 0);
    const Values initial{b_.like(count, 0), h, zeros({x->dim(0), x->dim(1), Dim(hidden_)})};
    const Activation* gates = l_.activations.data() + static_cast<size_t>(d) * 2;
    const auto inputs = [&] {
      Values list;
      for (const Value* v : initial) list.push_back(b_.function().new_value(v->type));
      list[0]->range = {0, INT32_MAX - 1};  // counts the turns
      return list;
    };
    const Values asked = inputs(), turned = inputs();
    std::vector<std::unique_ptr<ir::Block>> blocks;
    blocks.push_back(n_.block_of(asked, [&]() -> Values { return {b_.binary("less", asked[0], count)}; }));
    blocks.push_back(n_.block_of(turned, [&]() -> Values {
      Value *turn = turned[0], *last = b_.sub(count, b_.like(count, 1));
      Value* at = b_.expand_dims(back ? b_.maximum(b_.sub(last, turn), b_.like(turn, 0)) : turn, {0});
      Value* next = step(b_.squeeze(b_.gather(of_x, at, 0), {0}), turned[1], r, of_h, gates);
      Value* all = b_.emit("scatter", {{"data", turned[2]},
                                       {"indices", at},
                                       {"updates", b_.expand_dims(next, {0})},
                                       {"axis", 0},
                                       {"mode", "update"}});
      return {b_.add(turn, b_.like(turn, 1)), next, all};
    }));
    if (!b_.ok()) return {};
    ir::Types results;
    for (const Value* v : initial) results.push_back(v->type);
    return b_.emit_blocks("while_loop", {{"loop_vars", initial}}, std::move(blocks), std::move(results));
  }

  Value* step(Value* of_x, Value* h, Value* r, Value* bias, const Activation* gates) {
    Value* of_h = b_.matmul(h, r, true);
    if (bias != nullptr) of_h = b_.add(of_h, bias);
    Value* update = activated(gates[0], b_.add(gate(of_x, 0), gate(of_h, 0)));
    Value* reset = activated(gates[0], b_.add(gate(of_x, 1), gate(of_h, 1)));
    Value* fresh = activated(gates[1], b_.add(gate(of_x, 2), b_.mul(reset, gate(of_h, 2))));
    Value* share = b_.mul(b_.sub(b_.like(update, 1), update), fresh);
    return b_.add(share, b_.mul(update, h));
  }
  Value* gate(Value* v, int64_t i) {
    return b_.emit("slice_by_index", {{"x", v},
                                      {"begin", std::vector<int64_t>{0, i * hidden_}},
                                      {"end", std::vector<int64_t>{0, (i + 1) * hidden_}},
                                      {"end_mask", std::vector<bool>{true, false}}});
  }
  Value* activated(const Activation& a, Value* v) {
    if (l_.clip) v = b_.clamp(v, b_.like(v, -*l_.clip), b_.like(v, *l_.clip));
    if (a.numbers == 0) return b_.unary(a.row, v);
    return a.numbers == 1 ? b_.emit(a.row, {{"x", v}, {"alpha", a.alpha}})
                          : b_.emit(a.row, {{"x", v}, {"alpha", a.alpha}, {"beta", a.beta}});
  }

  NodeView& n_;
  OpBuilder& b_;
  const Layer& l_;
  int64_t hidden_ = 0;
};

Values layer(NodeView& n, OpBuilder& b, Layer& l, bool batch_first) {
  const Ints first_two{1, 0, 2};
  const auto turned = [&](Value* v) {
    if (v == nullptr || !batch_first) return v;
    return b.transpose(takes_rank(n, v, 3, "a tensor with layout 1"), first_two);
  };
  l.x = turned(l.x);
  l.h = turned(l.h);
  l.c = turned(l.c);
  if (const int64_t hidden = n.i("hidden_size", 0); b.ok() && n.has_attr("hidden_size") && l.r->rank() == 3) {
    if (ir::never_equal(l.r->dim(2), Dim(hidden)))
      return {n.refuse(Code::shape_mismatch, format("hidden_size {}, but R is {}", hidden, l.r->type.to_string()))};
  }
  if (!b.ok()) return {n.refused()};
  const auto in_mil = [&]() -> Values {
    if (const std::string_view what = beyond_mil(l); !what.empty())
      n.refuse(Code::host_only, format("MIL's {} has no {}; it runs on the host", l.cell.name, what));
    return by_mil(b, l);
  };
  const auto host = [&] { return on_host(b, l); };
  Values out = l.reset_after ? b.first_of(host, [&] { return ResetAfter(n, b, l)(); }) : b.first_of(host, in_mil);
  if (!b.ok()) return {n.refused(), n.refused(), n.refused()};
  if (batch_first) {
    out[0] = b.transpose(out[0], {2, 0, 1, 3});
    for (size_t i = 1; i < out.size(); ++i) out[i] = b.transpose(out[i], first_two);
  }
  return out;
}

// After the inputs: what is wrong with those is told first.
void read_attributes(NodeView& n, Layer& l) {
  l.direction = n.s("direction", "forward");
  if (l.direction != "forward" && l.direction != "reverse" && l.direction != "bidirectional")
    n.refuse(Code::invalid_attribute, format("direction '{}', takes forward, reverse or bidirectional", l.direction));
  l.directions = l.direction == "bidirectional" ? 2 : 1;
  l.activations = activations_of(n, l.cell, static_cast<size_t>(l.directions));
  if (n.has_attr("clip") && n.f("clip", 0) > 0) l.clip = n.f("clip", 0);  // none at 0, as elsewhere
}

Values recurrent(NodeView& n, OpBuilder& b, const Cell& cell) {
  Layer l(cell);
  l.x = n.in(0);
  l.w = n.in(1);
  l.r = n.in(2);
  l.bias = n.optional_in(3);
  l.lengths = n.optional_in(4);
  l.h = n.optional_in(5);
  if (cell.name == kLstm.name) {
    l.c = n.optional_in(6);
    l.peephole = n.optional_in(7);
  }
  read_attributes(n, l);
  if (cell.name == kLstm.name) l.coupled = n.flag("input_forget");
  if (cell.name == kGru.name) l.reset_after = n.flag("linear_before_reset");
  return layer(n, b, l, n.flag("layout"));
}
Values lstm(NodeView& n, OpBuilder& b) { return recurrent(n, b, kLstm); }
Values gru(NodeView& n, OpBuilder& b) { return recurrent(n, b, kGru); }
Values rnn(NodeView& n, OpBuilder& b) { return recurrent(n, b, kRnn); }

// Weights [D, inputs, G * H] in 8 bits, with a scale (and zero point) a direction, or one a column.
Value* weights(NodeView& n, OpBuilder& b, Value* q, Value* scale, Value* zero) {
  if (q->rank() != 3 || scale->rank() < 1 || scale->rank() > 2 || zero->rank() != scale->rank()) {
    return n.refuse(Code::rank_mismatch,
                    format("got weights {}, a scale {} and a zero point {}, takes rank 3, and 1 or 2",
                           q->type.to_string(), scale->type.to_string(), zero->type.to_string()));
  }
  const auto broad = [&](Value* v) { return b.expand_dims(v, v->rank() == 1 ? Ints{1, 2} : Ints{1}); };
  Value* whole = b.cast(q, DType::i32);
  Value* off = broad(b.cast(zero, DType::i32));
  Value* v = b.mul(b.cast(b.sub(whole, off), DType::f32), broad(scale));
  return b.transpose(v, {0, 2, 1});
}

// As ONNX Runtime computes it: x and each step's h are rounded to 8 bits too.
Values dynamic_quantize_lstm(NodeView& n, OpBuilder& b) {
  Layer l(kLstm);
  l.x = n.in(0);
  Value *w = n.in(1), *r = n.in(2);
  l.bias = n.optional_in(3);
  l.lengths = n.optional_in(4);
  l.h = n.optional_in(5);
  l.c = n.optional_in(6);
  l.peephole = n.optional_in(7);
  Value *w_scale = n.in(8), *w_zero = n.in(9), *r_scale = n.in(10), *r_zero = n.in(11);
  read_attributes(n, l);
  if (!b.ok()) return {n.refused()};
  l.w = weights(n, b, w, w_scale, w_zero);
  l.r = weights(n, b, r, r_scale, r_zero);
  l.coupled = n.flag("input_forget");
  l.quantized = true;
  return layer(n, b, l, false);
}

constexpr std::string_view kNote = "Core ML: constant weights, no clip, no sequence_lens, activations that MIL has";
constexpr Lowering kRows[] = {
    {"", "LSTM", kSince<7, 14, 22>,
     "X W R B? sequence_lens? initial_h? initial_c? P? -> Y? Y_h? Y_c?; activation_alpha activation_beta activations "
     "clip direction hidden_size input_forget layout@14",
     lstm, kNote},
    {"", "GRU", kSince<7, 14, 22>,
     "X W R B? sequence_lens? initial_h? -> Y? Y_h?; activation_alpha activation_beta activations clip direction "
     "hidden_size layout@14 linear_before_reset",
     gru, kNote},
    {"", "RNN", kSince<7, 14, 22>,
     "X W R B? sequence_lens? initial_h? -> Y? Y_h?; activation_alpha activation_beta activations clip direction "
     "hidden_size layout@14",
     rnn, kNote},
    {"com.microsoft", "DynamicQuantizeLSTM", kSince<1>,
     "X W R B? sequence_lens? initial_h? initial_c? P? W_scale W_zero_point R_scale R_zero_point -> Y? Y_h? Y_c?; "
     "activation_alpha activation_beta activations clip direction hidden_size input_forget",
     dynamic_quantize_lstm, "on the host only"},
};

}  // namespace

LoweringRows recurrent_lowerings() { return kRows; }

}  // namespace graft::onnx
