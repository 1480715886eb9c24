// The reference kernel of all recurrent rows. In double; what it allocates is as large as the states, of which the call
// has operands.
#include <vector>

#include "ops/blocks.h"
#include "ops/moving.h"
#include "ops/recurrent.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

using ir::Recurrence;
using Cell = Recurrence::Cell;
using Numbers = std::vector<double>;

class Walker {
 public:
  Walker(const Call& call, const Recurrence& r, const Recurrence::Direction& d, Outputs& out, Pace& pace)
      : call_(call), r_(r), d_(d), out_(out), pace_(pace), size_(static_cast<size_t>(r.hidden)) {}

  void walk() {
    const auto states = static_cast<size_t>(r_.batch) * size_;
    h_.assign(states, 0);
    c_.assign(r_.cell == Cell::lstm ? states : 0, 0);
    seen_.resize(size_);
    x_.resize(r_.steps == 0 ? 0 : static_cast<size_t>(r_.inputs));
    gates_.resize(size_ * static_cast<size_t>(r_.gates()));
    squashed_.resize(size_);
    product_.resize(size_);
    for (int64_t b = 0; b < r_.batch; ++b) {
      read(d_.h, b * r_.state_row, row(h_, b));
      if (r_.cell == Cell::lstm) read(d_.c, b * r_.state_row, row(c_, b));
    }
    const EightBits of_x = r_.quantized ? bits_of_x() : EightBits(0, 0);
    for (int64_t i = 0; i < r_.steps && pace_.go_on(r_.batch); ++i) {
      const EightBits of_h = r_.quantized ? bits_of_h(i) : EightBits(0, 0);
      for (int64_t b = 0; b < r_.batch; ++b) {
        const int64_t length = length_of(b), t = d_.backwards && i < length ? length - 1 - i : i;
        double* h = row(h_, b);
        if (i < length) {
          load(call_.in("x").value, (t * r_.batch + b) * r_.inputs, 1, r_.inputs, x_.data());
          std::copy_n(h, r_.hidden, seen_.data());
          if (r_.quantized) {
            for (double& v : x_) v = static_cast<double>(of_x(static_cast<float>(v)));
            for (double& v : seen_) v = static_cast<double>(of_h(static_cast<float>(v)));
          }
          step(h, r_.cell == Cell::lstm ? row(c_, b) : nullptr);
        }
        if (r_.all_steps)
          write(0, i < length ? h : nullptr, (r_.walk_order ? i : t) * r_.y_step + b * r_.y_row, d_.y_at);
      }
    }
    for (int64_t b = 0; b < r_.batch; ++b) {
      const bool none = r_.lengths && length_of(b) == 0;
      const double* h = none ? nullptr : row(h_, b);
      if (!r_.all_steps) write(0, h, b * r_.y_row, d_.y_at);
      write(1, h, b * r_.state_row, d_.state_at);
      if (r_.cell == Cell::lstm) write(2, none ? nullptr : row(c_, b), b * r_.state_row, d_.state_at);
    }
  }

 private:
  double* row(Numbers& states, int64_t b) { return states.data() + b * r_.hidden; }
  int64_t length_of(int64_t b) const {
    return r_.lengths ? element_as_int(call_.in(r_.lengths.param).value, b) : r_.steps;
  }
  // `hidden` numbers of a part, from `at` on.
  void read(const Recurrence::Part& part, int64_t at, double* to) {
    if (part)
      load(call_.in(part.param).value, part.at + at, 1, r_.hidden, to);
    else
      std::fill_n(to, r_.hidden, 0.0);
  }
  void write(int result, const double* from, int64_t at, int64_t base) {
    if (from == nullptr) std::fill(squashed_.begin(), squashed_.end(), 0.0);
    store(out_[result], base + at, 1, r_.hidden, from == nullptr ? squashed_.data() : from);
  }
  EightBits bits_of_x() {
    float lo = 0, hi = 0;
    int64_t longest = 0;
    for (int64_t b = 0; b < r_.batch; ++b) longest = std::max(longest, length_of(b));
    const TensorView x = call_.in("x").value;
    for (int64_t i = 0, n = longest * r_.batch * r_.inputs; i < n && pace_.go_on(); ++i) {
      const auto v = static_cast<float>(element_as_double(x, i));
      lo = std::fmin(lo, v);
      hi = std::fmax(hi, v);
    }
    return {lo, hi};
  }
  EightBits bits_of_h(int64_t i) {
    float lo = 0, hi = 0;
    for (int64_t b = 0; b < r_.batch; ++b) {
      for (int64_t k = 0; k < r_.hidden && i < length_of(b); ++k) {
        lo = std::fmin(lo, static_cast<float>(row(h_, b)[k]));
        hi = std::fmax(hi, static_cast<float>(row(h_, b)[k]));
      }
    }
    return {lo, hi};
  }

  // gates[k] += sum over j of weights[block * hidden + k, j] * v[j]
  void add_product(const Recurrence::Part& weights, int64_t block, const Numbers& v, double* gates) {
    const auto n = static_cast<int64_t>(v.size());
    std::array<double, kBlock> w;
    for (int64_t k = 0; k < r_.hidden && pace_.go_on(n); ++k) {
      for (int64_t j = 0; j < n; j += kBlock) {
        const int64_t m = std::min(kBlock, n - j);
        load(call_.in(weights.param).value, weights.at + (block * r_.hidden + k) * n + j, 1, m, w.data());
        for (int64_t e = 0; e < m; ++e) gates[k] += w[static_cast<size_t>(e)] * v[static_cast<size_t>(j + e)];
      }
    }
  }
  void add_row(const Recurrence::Part& part, int64_t block, double* gates) {
    if (!part) return;
    read(part, block * r_.hidden, squashed_.data());
    for (size_t k = 0; k < size_; ++k) gates[k] += squashed_[k];
  }
  void add_peephole(size_t which, const double* c, double* gates) {
    if (!d_.peephole) return;
    read(d_.peephole, r_.peephole_order[which] * r_.hidden, squashed_.data());
    for (size_t k = 0; k < size_; ++k) gates[k] += squashed_[k] * c[k];
  }
  void squash(const Recurrence::Activation& f, double clip, double* v) {
    for (size_t k = 0; k < size_; ++k) v[k] = clamp(v[k], clip);
    f.of->kernels[0](v, nullptr, nullptr, squashed_.data(), r_.hidden, f.numbers.data());
    std::copy(squashed_.begin(), squashed_.end(), v);
  }
  static double clamp(double v, double limit) { return v > limit ? limit : v < -limit ? -limit : v; }

  // From x_ and seen_ (h as products see it) to the next h, and c.
  void step(double* h, double* c) {
    const auto gate = [&](int g) { return gates_.data() + static_cast<size_t>(g) * size_; };
    const int news = r_.gates() - 1;  // what is new comes last
    const bool gru = r_.cell == Cell::gru;
    for (int g = 0; g <= news; ++g) {
      const int64_t block = r_.order[static_cast<size_t>(g)];
      std::fill_n(gate(g), r_.hidden, 0.0);
      add_row(d_.bias, block, gate(g));
      add_product(d_.weights, block, x_, gate(g));
      if (gru && g == news) break;
      add_row(d_.recurrent_bias, block, gate(g));
      add_product(d_.recurrent, block, seen_, gate(g));
    }
    double* fresh = gate(news);
    if (r_.cell == Cell::rnn) {
      squash(d_.activations[0], r_.gate_clip, fresh);
      std::copy_n(fresh, r_.hidden, h);
    } else if (gru) {
      double *update = gate(0), *reset = gate(1);
      squash(d_.activations[0], r_.gate_clip, update);
      squash(d_.activations[0], r_.gate_clip, reset);
      const int64_t block = r_.order[2];
      if (r_.reset_after) {
        std::fill(product_.begin(), product_.end(), 0.0);
        add_row(d_.recurrent_bias, block, product_.data());
        add_product(d_.recurrent, block, seen_, product_.data());
        for (size_t k = 0; k < size_; ++k) fresh[k] += reset[k] * product_[k];
      } else {
        for (size_t k = 0; k < size_; ++k) seen_[k] *= reset[k];
        add_row(d_.recurrent_bias, block, fresh);
        add_product(d_.recurrent, block, seen_, fresh);
      }
      squash(d_.activations[1], r_.gate_clip, fresh);
      for (size_t k = 0; k < size_; ++k) h[k] = (1 - update[k]) * fresh[k] + update[k] * h[k];
    } else {
      double *input = gate(0), *forget = gate(1), *output = gate(2);
      add_peephole(0, c, input);
      squash(d_.activations[0], r_.gate_clip, input);
      if (r_.coupled) {
        for (size_t k = 0; k < size_; ++k) forget[k] = 1 - input[k];
      } else {
        add_peephole(1, c, forget);
        squash(d_.activations[0], r_.gate_clip, forget);
      }
      squash(d_.activations[1], r_.gate_clip, fresh);
      for (size_t k = 0; k < size_; ++k) c[k] = clamp(forget[k] * c[k] + input[k] * fresh[k], r_.cell_clip);
      add_peephole(2, c, output);
      squash(d_.activations[0], r_.gate_clip, output);
      std::copy_n(c, r_.hidden, h);
      squash(d_.activations[2], INFINITY, h);
      for (size_t k = 0; k < size_; ++k) h[k] *= output[k];
    }
  }

  const Call& call_;
  const Recurrence& r_;
  const Recurrence::Direction& d_;
  Outputs& out_;
  Pace& pace_;
  size_t size_;
  Numbers h_, c_;                                  // of all rows of the batch
  Numbers x_, seen_, gates_, squashed_, product_;  // of one
};

}  // namespace

EightBits::EightBits(float lo, float hi) {
  scale = hi > lo ? (hi - lo) / 255 : 1;
  zero = std::fmin(std::fmax(std::nearbyint(-lo / scale), 0.0F), 255.0F);
}

Status check_lengths(const TensorView& lengths, int64_t steps) {
  for (int64_t i = 0; i < lengths.count(); ++i) {
    const int64_t n = element_as_int(lengths, i);
    if (n < 0 || n > steps)
      return fail(Code::value_out_of_range, format("length {} of a sequence of {} steps", n, steps));
  }
  return {};
}

Status recurrent_reference(const Call& call, Outputs& out) {
  Recurrence r;
  GRAFT_CHECK(call.row().def->recurrence(call, r));
  if (r.hidden == 0 || r.batch == 0) return {};
  if (r.lengths) GRAFT_CHECK(check_lengths(call.in(r.lengths.param).value, r.steps));
  Pace pace = call.pace();
  for (int d = 0; d < r.count; ++d) Walker(call, r, r.directions[static_cast<size_t>(d)], out, pace).walk();
  return {};
}

Result<Recurrence::Activation> activation_of(std::string_view row, double alpha, double beta) {
  const ir::OpRow* found = table().find(row);
  if (found == nullptr || found->def->kind != ir::Kind::pointwise)
    return fail(Code::invalid_attribute, format("no activation '{}'", row));
  const ir::Pointwise& f = found->def->pointwise;
  if (!f.operands[1].empty() || f.kernels[0] == nullptr || f.choose != nullptr || f.by_channel != nullptr || f.compares)
    return fail(Code::invalid_attribute, format("'{}' is no function of one number", row));
  const std::array given{alpha, beta};
  Recurrence::Activation made{&f, f.numbers};
  for (size_t i = 0; i < 2; ++i) {
    if (!f.params[i].empty()) made.numbers[i] = given[i];
  }
  return made;
}

// Products only.
double recurrent_flops(const Call& call, const Type& /*result*/, const ir::SizeOf& size) {
  const Dims& x = call.in("x").dims();
  double weights = 0;
  for (const std::string_view param : {"w", "r", "weight_ih", "weight_hh", "weight_ih_back", "weight_hh_back"}) {
    if (call.row().param_index(param) >= 0 && call.has(param)) weights += size(call.in(param).dims());
  }
  return x.size() < 2 ? 0 : 2 * size({x[0], x[1]}) * weights;
}

}  // namespace graft::ops
