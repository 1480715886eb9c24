// lstm, gru and rnn: the input's share of the gates as one product over many steps, then step by step the products with
// h and the gates, for some rows of the batch at a time. Computes in fp32; weights are packed once where they are
// constant, and in each run where they are not.
#include <vector>

#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "engine/native/recurrent_functions.h"
#include "engine/native/vector_functions.h"
#include "ops/moving.h"
#include "ops/recurrent.h"

namespace graft::engine {
namespace {

using ir::Recurrence;
using Cell = Recurrence::Cell;

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// A tensor of fp32 or fp16 as floats.
void floats(const TensorView& t, int64_t at, int64_t n, float* to) {
  if (t.dtype == DType::f32)
    std::memcpy(to, t.as<float>() + at, static_cast<size_t>(n) * sizeof(float));
  else
    f16_to_f32(t.as<uint16_t>() + at, to, n);
}

// How a row of gates lies: every gate in `unit` places. A gru's new gate has columns of its own, `tail`.
struct GateRow {
  explicit GateRow(const Recurrence& r, int64_t panel) : unit(round_up(r.hidden, kGateUnit)) {
    const bool apart = r.cell == Cell::gru;
    head_gates = apart ? 2 : r.gates();
    head = round_up(head_gates * unit, panel);
    tail = apart ? round_up(unit, panel) : 0;
  }
  int64_t unit, head, tail = 0;
  int head_gates;
  int64_t columns() const { return head + tail; }
};

// What a direction multiplies with, in one stretch of memory.
struct Weights {
  const float *input, *head, *tail;  // packed
  const float* bias;                 // a row of gates
  const float* tail_bias;            // gru with reset_after: what is added to R h
  const float* peepholes;            // of input, forget, output; null without
};

// The parts of a direction that Weights are made of.
std::array<Recurrence::Part, 5> parts_of(const Recurrence::Direction& d) {
  return {d.weights, d.recurrent, d.bias, d.recurrent_bias, d.peephole};
}

class WeightMaker {
 public:
  WeightMaker(const Recurrence& r, const Recurrence::Direction& d, const GateRow& row, int64_t panel)
      : r_(r), d_(d), row_(row), panel_(panel) {}

  size_t count() const {
    return static_cast<size_t>(row_.columns() * (r_.inputs + r_.hidden + 1) + row_.tail + 3 * row_.unit);
  }
  // `of` gives a part's tensor. Writes count() floats.
  template <class Of>
  Weights make(float* to, const Of& of) const {
    std::fill_n(to, count(), 0.0F);
    Weights w{};
    w.input = to;
    pack(of(d_.weights), d_.weights.at, r_.inputs, 0, to);
    to += row_.head * r_.inputs;
    if (row_.tail > 0) pack(of(d_.weights), d_.weights.at, r_.inputs, 2, to);
    to += row_.tail * r_.inputs;
    w.head = to;
    pack(of(d_.recurrent), d_.recurrent.at, r_.hidden, 0, to);
    to += row_.head * r_.hidden;
    w.tail = to;
    if (row_.tail > 0) pack(of(d_.recurrent), d_.recurrent.at, r_.hidden, 2, to);
    to += row_.tail * r_.hidden;
    w.bias = to;
    for (int g = 0; g < r_.gates(); ++g) {
      const bool after = r_.cell == Cell::gru && r_.reset_after && g == 2;
      float* at = to + (g < row_.head_gates ? g * row_.unit : row_.head);
      add(of, d_.bias, block(g), at);
      add(of, d_.recurrent_bias, block(g), after ? to + row_.columns() : at);
    }
    to += row_.columns();
    w.tail_bias = to;
    to += row_.tail;
    if (d_.peephole) {
      w.peepholes = to;
      for (size_t i = 0; i < 3; ++i)
        add(of, d_.peephole, r_.peephole_order[i], to + static_cast<int64_t>(i) * row_.unit);
    }
    return w;
  }

 private:
  int64_t block(int gate) const { return r_.order[static_cast<size_t>(gate)]; }
  template <class Of>
  void add(const Of& of, const Recurrence::Part& part, int64_t block, float* to) const {
    if (!part) return;
    std::vector<float> row(static_cast<size_t>(r_.hidden));
    floats(of(part), part.at + block * r_.hidden, r_.hidden, row.data());
    for (int64_t k = 0; k < r_.hidden; ++k) to[k] += row[static_cast<size_t>(k)];
  }
  // The gates from `first` on: the head's (0), or the tail's.
  void pack(const TensorView& t, int64_t at, int64_t inner, int first, float* to) const {
    const int count = first == 0 ? row_.head_gates : 1;
    std::vector<float> row(static_cast<size_t>(inner));
    for (int g = 0; g < count; ++g) {
      for (int64_t k = 0; k < r_.hidden; ++k) {
        floats(t, at + (block(first + g) * r_.hidden + k) * inner, inner, row.data());
        const int64_t column = g * row_.unit + k;
        float* to_column = to + column / panel_ * panel_ * inner + column % panel_;
        for (int64_t i = 0; i < inner; ++i) to_column[i * panel_] = row[static_cast<size_t>(i)];
      }
    }
  }

  const Recurrence& r_;
  const Recurrence::Direction& d_;
  const GateRow& row_;
  int64_t panel_;
};

// Packed constants, by operator and direction: all plans of an executable share them.
struct PackedRecurrent final : ProviderState {
  std::map<std::pair<const ir::Op*, int>, Weights> made;
};
PackedRecurrent& packed(const Core& core) {
  std::unique_ptr<ProviderState>& slot = core.states["recurrent"];
  if (slot == nullptr) slot = std::make_unique<PackedRecurrent>();
  return static_cast<PackedRecurrent&>(*slot);
}

class RecurrentStep final : public Step {
 public:
  RecurrentStep(const Recurrence& r, DType dtype, int threads)
      : r_(r), half_(dtype == DType::f16), k_(recurrent_kernels()), row_(r, k_.panel) {
    provider = "native";
    // What is rounded together stays together.
    const int64_t chunks = r.quantized ? 1 : std::clamp<int64_t>(threads / r.count, 1, r.batch);
    rows_ = (r.batch + chunks - 1) / chunks;
    chunks_ = (r.batch + rows_ - 1) / rows_;
    constexpr int64_t kTogether = 1 << 16;  // floats of gates: they stay in the second cache
    steps_ = std::clamp<int64_t>(kTogether / (rows_ * row_.columns()), 1, std::max<int64_t>(r.steps, 1));
    const int64_t states = rows_ * row_.unit, seen = rows_ * std::max(row_.unit, row_.tail);
    piece_ = align(rows_ * steps_ * (r.inputs + row_.columns())) + align(2 * states) + align(2 * seen);
  }
  struct Side {
    Weights weights{};                // of constants
    bool constant = false;            // else made in each run
    std::array<int, 5> in{};          // operands: -1 where left out or constant
    std::array<TensorView, 5> fixed;  // the constants among them
    int h = -1, c = -1;
  };
  std::array<Side, 2> sides;
  std::array<TensorView, 5> types[2];  // dtype and shape of each part
  int lengths = -1;

  const GateRow& row() const { return row_; }
  int64_t panel() const { return k_.panel; }
  void take_scratch() {
    size_t all = piece_ * static_cast<size_t>(chunks_ * r_.count);
    for (int d = 0; d < r_.count; ++d) {
      made_at_[static_cast<size_t>(d)] = all;
      if (!sides[static_cast<size_t>(d)].constant) all += align(static_cast<int64_t>(maker(d).count()));
    }
    scratch = all * sizeof(float);
  }
  WeightMaker maker(int d) const { return {r_, r_.directions[static_cast<size_t>(d)], row_, k_.panel}; }

  Status run(const Frame& frame) const override {
    const TensorView lens{DType::i32, Shape{r_.batch}, lengths < 0 ? nullptr : frame.in(static_cast<size_t>(lengths))};
    if (lengths >= 0) GRAFT_CHECK(ops::check_lengths(lens, r_.steps));
    float* memory = reinterpret_cast<float*>(frame.scratch);
    std::array<Weights, 2> weights;
    for (int d = 0; d < r_.count; ++d) {
      const auto at = static_cast<size_t>(d);
      const Side& side = sides[at];
      weights[at] = side.weights;
      if (side.constant) continue;
      const std::array<Recurrence::Part, 5> parts = parts_of(r_.directions[at]);
      weights[at] = maker(d).make(memory + made_at_[at], [&](const Recurrence::Part& part) {
        size_t i = 0;
        while (parts[i].param != part.param || parts[i].at != part.at) ++i;
        TensorView t = types[at][i];
        t.data = side.in[i] >= 0 ? frame.in(static_cast<size_t>(side.in[i])) : side.fixed[i].data;
        return t;
      });
    }
    const ops::EightBits bits = r_.quantized ? bits_of_x(frame, lens) : ops::EightBits(0, 0);
    frame.parallel_for(r_.count * chunks_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto d = static_cast<size_t>(i / chunks_);
        Walk(*this, frame, weights[d], static_cast<int>(d), i % chunks_ * rows_,
             memory + static_cast<size_t>(i) * piece_, lens, bits)
            .walk();
      }
    });
    return {};
  }

 private:
  static size_t align(int64_t floats) { return static_cast<size_t>(round_up(floats, 16)); }

  ops::EightBits bits_of_x(const Frame& frame, const TensorView& lens) const {
    int64_t longest = lengths < 0 ? r_.steps : 0;
    for (int64_t b = 0; b < r_.batch && lengths >= 0; ++b) longest = std::max<int64_t>(longest, lens.as<int32_t>()[b]);
    float lo = 0, hi = 0;
    for (int64_t i = 0, n = longest * r_.batch * r_.inputs; i < n; ++i) {
      const float v = half_ ? f16_value(frame.in<uint16_t>(0)[i]) : frame.in<float>(0)[i];
      lo = std::fmin(lo, v);
      hi = std::fmax(hi, v);
    }
    return {lo, hi};
  }

  // Some rows of the batch in one direction.
  class Walk {
   public:
    Walk(const RecurrentStep& step, const Frame& frame, const Weights& weights, int d, int64_t first, float* memory,
         const TensorView& lens, const ops::EightBits& bits)
        : s_(step),
          r_(step.r_),
          d_(step.r_.directions[static_cast<size_t>(d)]),
          side_(step.sides[static_cast<size_t>(d)]),
          k_(step.k_),
          row_(step.row_),
          frame_(frame),
          w_(weights),
          first_(first),
          rows_(std::min(step.rows_, step.r_.batch - first)),
          lens_(lens.data == nullptr ? nullptr : lens.as<int32_t>() + first),
          bits_(bits) {
      x_ = memory;
      gates_ = x_ + s_.rows_ * s_.steps_ * r_.inputs;
      h_ = memory + align(s_.rows_ * s_.steps_ * (r_.inputs + row_.columns()));
      c_ = h_ + s_.rows_ * row_.unit;
      seen_ = h_ + align(2 * s_.rows_ * row_.unit);
      product_ = seen_ + s_.rows_ * std::max(row_.unit, row_.tail);
    }

    void walk() {
      start(side_.h, d_.h, h_);
      if (r_.cell == Cell::lstm) start(side_.c, d_.c, c_);
      for (int64_t i = 0; i < r_.steps && !frame_.cancelled(); i += s_.steps_) {
        const int64_t count = std::min(s_.steps_, r_.steps - i);
        for (int64_t j = 0; j < count; ++j) {
          for (int64_t b = 0; b < rows_; ++b) read_x(time(i + j, b), b, x_ + (j * rows_ + b) * r_.inputs);
        }
        k_.product(x_, r_.inputs, count * rows_, r_.inputs, w_.input, row_.head, w_.bias, 0, gates_, row_.columns());
        if (row_.tail > 0)
          k_.product(x_, r_.inputs, count * rows_, r_.inputs, w_.input + row_.head * r_.inputs, row_.tail,
                     w_.bias + row_.head, 0, gates_ + row_.head, row_.columns());
        for (int64_t j = 0; j < count && !frame_.cancelled(); ++j) step(i + j, gates_ + j * rows_ * row_.columns());
      }
      finish();
    }

   private:
    int64_t length(int64_t b) const { return lens_ == nullptr ? r_.steps : lens_[b]; }
    int64_t time(int64_t i, int64_t b) const { return d_.backwards && i < length(b) ? length(b) - 1 - i : i; }
    void read_x(int64_t t, int64_t b, float* to) const {
      const int64_t at = (t * r_.batch + first_ + b) * r_.inputs;
      floats({s_.half_ ? DType::f16 : DType::f32, Shape{}, frame_.in(0)}, at, r_.inputs, to);
      if (!r_.quantized) return;
      for (int64_t k = 0; k < r_.inputs; ++k) to[k] = bits_(to[k]);
    }
    void start(int in, const Recurrence::Part& part, float* to) const {
      std::fill_n(to, rows_ * row_.unit, 0.0F);
      if (in < 0) return;
      const TensorView t{s_.half_ ? DType::f16 : DType::f32, Shape{}, frame_.in(static_cast<size_t>(in))};
      for (int64_t b = 0; b < rows_; ++b)
        floats(t, part.at + (first_ + b) * r_.state_row, r_.hidden, to + b * row_.unit);
    }
    // Zeros where there is nothing to write.
    void write(size_t result, int64_t at, const float* from) const {
      if (s_.half_) {
        uint16_t* to = frame_.out<uint16_t>(result) + at;
        if (from == nullptr)
          std::fill_n(to, r_.hidden, uint16_t{0});
        else
          f32_to_f16(from, to, r_.hidden);
      } else if (from == nullptr) {
        std::fill_n(frame_.out<float>(result) + at, r_.hidden, 0.0F);
      } else {
        std::copy_n(from, r_.hidden, frame_.out<float>(result) + at);
      }
    }

    void squash(const Recurrence::Activation& f, float* v, int64_t n) const {
      if (f.of->function == ir::Scalar::sigmoid) return k_.sigmoid(v, n);
      if (f.of->function == ir::Scalar::tanh) return k_.tanh(v, n);
      const float p[2] = {static_cast<float>(f.numbers[0]), static_cast<float>(f.numbers[1])};
      const VectorKernel kernel = vector_kernel(f.of->function);
      alignas(64) float block[kBlockSize] = {};
      for (int64_t i = 0; i < n; i += kBlockSize) {
        const int64_t count = std::min(kBlockSize, n - i);
        std::copy_n(v + i, count, block);
        kernel(block, nullptr, nullptr, block, p);
        std::copy_n(block, count, v + i);
      }
    }
    void gate(const Recurrence::Activation& f, float* v, int64_t n) const {
      if (r_.gate_clip < INFINITY) k_.clip(v, static_cast<float>(r_.gate_clip), n);
      squash(f, v, n);
    }

    // h as products see it.
    const float* seen(int64_t i) {
      if (!r_.quantized) return h_;
      float lo = 0, hi = 0;
      for (int64_t b = 0; b < rows_; ++b) {
        for (int64_t k = 0; k < r_.hidden && i < length(b); ++k) {
          lo = std::fmin(lo, h_[b * row_.unit + k]);
          hi = std::fmax(hi, h_[b * row_.unit + k]);
        }
      }
      const ops::EightBits round(lo, hi);
      for (int64_t k = 0; k < rows_ * row_.unit; ++k) seen_[k] = round(h_[k]);
      return seen_;
    }

    void step(int64_t i, float* gates) {
      const int64_t columns = row_.columns(), unit = row_.unit;
      const float* h = seen(i);
      k_.product(h, unit, rows_, r_.hidden, w_.head, row_.head, gates, columns, gates, columns);
      if (r_.cell == Cell::gru) gru(i, h, gates);
      for (int64_t b = 0; b < rows_; ++b) {
        float *g = gates + b * columns, *state = h_ + b * unit;
        const bool counts = i < length(b);
        if (counts && r_.cell == Cell::lstm) lstm(g, c_ + b * unit, state);
        if (counts && r_.cell == Cell::rnn) {
          gate(d_.activations[0], g, unit);
          std::copy_n(g, unit, state);
        }
        if (r_.all_steps)
          write(0, d_.y_at + (r_.walk_order ? i : time(i, b)) * r_.y_step + (first_ + b) * r_.y_row,
                counts ? state : nullptr);
      }
    }

    void lstm(float* g, float* c, float* h) const {
      const int64_t n = row_.unit;
      float *input = g, *forget = g + n, *output = g + 2 * n, *fresh = g + 3 * n;
      const float* p = w_.peepholes;
      if (p == nullptr && !r_.coupled) {
        gate(d_.activations[0], input, 3 * n);
      } else {
        if (p != nullptr) k_.multiply_add(p, c, input, input, n);
        gate(d_.activations[0], input, n);
        if (r_.coupled) {
          for (int64_t k = 0; k < n; ++k) forget[k] = 1 - input[k];
        } else {
          if (p != nullptr) k_.multiply_add(p + n, c, forget, forget, n);
          gate(d_.activations[0], forget, n);
        }
      }
      gate(d_.activations[1], fresh, n);
      k_.two_products(forget, c, input, fresh, c, n);
      if (r_.cell_clip < INFINITY) k_.clip(c, static_cast<float>(r_.cell_clip), n);
      if (p != nullptr || r_.coupled) {
        if (p != nullptr) k_.multiply_add(p + 2 * n, c, output, output, n);
        gate(d_.activations[0], output, n);
      }
      std::copy_n(c, n, h);
      squash(d_.activations[2], h, n);
      k_.multiply(output, h, h, n);
    }

    // All rows: the second product comes between the gates.
    void gru(int64_t i, const float* h, float* gates) {
      const int64_t columns = row_.columns(), unit = row_.unit, n = row_.tail;
      if (r_.reset_after) k_.product(h, unit, rows_, r_.hidden, w_.tail, n, w_.tail_bias, 0, product_, n);
      for (int64_t b = 0; b < rows_; ++b) {
        float *g = gates + b * columns, *reset = g + unit, *fresh = g + row_.head;
        gate(d_.activations[0], g, 2 * unit);
        if (r_.reset_after)
          k_.multiply_add(reset, product_ + b * n, fresh, fresh, unit);
        else
          k_.multiply(reset, h + b * unit, seen_ + b * unit, unit);
      }
      if (!r_.reset_after)
        k_.product(seen_, unit, rows_, r_.hidden, w_.tail, n, gates + row_.head, columns, gates + row_.head, columns);
      for (int64_t b = 0; b < rows_; ++b) {
        if (i >= length(b)) continue;
        float *g = gates + b * columns, *fresh = g + row_.head, *state = h_ + b * unit;
        gate(d_.activations[1], fresh, unit);
        k_.between(g, fresh, state, state, unit);
      }
    }

    void finish() const {
      for (int64_t b = 0; b < rows_; ++b) {
        const bool none = lens_ != nullptr && lens_[b] == 0;
        const float* h = none ? nullptr : h_ + b * row_.unit;
        const int64_t at = d_.state_at + (first_ + b) * r_.state_row;
        if (!r_.all_steps) write(0, d_.y_at + (first_ + b) * r_.y_row, h);
        write(1, at, h);
        if (r_.cell == Cell::lstm) write(2, at, none ? nullptr : c_ + b * row_.unit);
      }
    }

    const RecurrentStep& s_;
    const Recurrence& r_;
    const Recurrence::Direction& d_;
    const Side& side_;
    const RecurrentKernels& k_;
    const GateRow& row_;
    const Frame& frame_;
    const Weights& w_;
    int64_t first_, rows_;
    const int32_t* lens_;
    const ops::EightBits& bits_;
    float *x_, *gates_, *h_, *c_, *seen_, *product_;
  };

  Recurrence r_;
  bool half_;
  const RecurrentKernels& k_;
  GateRow row_;
  int64_t rows_ = 0, chunks_ = 0, steps_ = 0;  // rows of a piece; steps whose inputs are multiplied at once
  size_t piece_ = 0;                           // floats of scratch for a piece
  std::array<size_t, 2> made_at_{};
};

bool has_vectors(const Recurrence::Activation& f) {
  return f.of == nullptr || vector_kernel(f.of->function) != nullptr;
}

}  // namespace

Result<Prepared> prepare_recurrent(const Selection& s, int n) {
  const int xi = s.arg(n, "x");
  const DType dtype = s.value(xi).dtype();
  if (dtype != DType::f32 && dtype != DType::f16) return decline(format("{} data", name(dtype)));
  const ir::Call call = s.call(n);
  Recurrence r;
  GRAFT_CHECK(call.row().def->recurrence(call, r));
  if (call.error()) return fail(*call.error());
  if (r.hidden == 0 || r.batch == 0 || r.inputs == 0) return decline("no elements");
  for (const Recurrence::Direction& d : r.directions) {
    for (const Recurrence::Activation& f : d.activations) {
      if (!has_vectors(f)) return decline("an activation without a vector version");
    }
  }
  const Core& core = s.core();
  auto step = std::make_unique<RecurrentStep>(r, dtype, core.env->threads());
  Prepared made;
  const auto operand = [&](const Recurrence::Part& part) {
    if (!part) return -1;
    made.in.push_back({s.arg(n, part.param)});
    return static_cast<int>(made.in.size()) - 1;
  };
  operand({"x"});
  step->lengths = operand(r.lengths);
  for (int d = 0; d < r.count; ++d) {
    const auto at = static_cast<size_t>(d);
    const Recurrence::Direction& direction = r.directions[at];
    RecurrentStep::Side& side = step->sides[at];
    side.h = operand(direction.h);
    if (r.cell == Cell::lstm) side.c = operand(direction.c);
    const std::array<Recurrence::Part, 5> parts = parts_of(direction);
    side.constant = true;
    for (const Recurrence::Part& part : parts)
      side.constant = side.constant && (!part || s.value(s.arg(n, part.param)).where == PlanValue::Where::constant);
    if (!side.constant) {
      for (size_t i = 0; i < parts.size(); ++i) {
        side.in[i] = operand(parts[i]);
        if (side.in[i] < 0) continue;
        const PlanValue& v = s.value(s.arg(n, parts[i].param));
        step->types[at][i] = {v.dtype(), v.shape, nullptr};
      }
      continue;
    }
    auto& known = packed(core).made;
    auto found = known.find({s.node(n).op, d});
    if (found == known.end()) {
      const WeightMaker maker = step->maker(d);
      GRAFT_TRY(std::byte * memory, core.weights.take(maker.count() * sizeof(float), core.memory));
      Status failed;
      const auto elements = [&](const Recurrence::Part& part) {
        const auto view = s.value(s.arg(n, part.param)).constant->aligned_view({s.cancel(), core.memory});
        if (!view) failed = fail(view.error());
        return view ? *view : TensorView{};
      };
      for (const Recurrence::Part& part : parts) {
        if (part && failed) elements(part);
      }
      GRAFT_CHECK(failed);
      found = known.emplace(std::pair{s.node(n).op, d}, maker.make(reinterpret_cast<float*>(memory), elements)).first;
    }
    side.weights = found->second;
  }
  step->take_scratch();
  for (const int v : s.node(n).results) made.out.push_back({v});
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine
