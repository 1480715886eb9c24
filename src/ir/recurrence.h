// What a recurrent operator computes, told by its row: one walk over time for each direction. For reference kernels and
// for the engine, so that how arguments lie is said once.
#pragma once

#include <array>
#include <cmath>
#include <string_view>

#include "ir/op_kind.h"

namespace graft::ir {

struct Recurrence {
  enum class Cell : uint8_t { rnn, gru, lstm };
  // An argument's elements from `at` on; without a name: left out, which means zeros.
  struct Part {
    std::string_view param;
    int64_t at = 0;
    explicit operator bool() const { return !param.empty(); }
  };
  struct Activation {
    const Pointwise* of = nullptr;  // of one operand
    std::array<double, 2> numbers{};
  };
  struct Direction {
    bool backwards = false;  // from the last step to the first
    // [gates * hidden, inputs], [gates * hidden, hidden], [gates * hidden] twice, [gates - 1, hidden]
    Part weights, recurrent, bias, recurrent_bias, peephole;
    Part h, c;                              // element (b, k) is b * state_row + k elements on
    std::array<Activation, 3> activations;  // of the gates (rnn: the only one), of what is new, of the lstm's cell
    int64_t y_at = 0, state_at = 0;         // where the results of this direction begin
  };

  Cell cell = Cell::rnn;
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0;  // x is [steps, batch, inputs]
  // Which block of the weights belongs to which gate: lstm input, forget, output, new; gru update, reset, new. Of the
  // peepholes: input, forget, output.
  std::array<int, 4> order{0, 1, 2, 3};
  std::array<int, 3> peephole_order{0, 1, 2};
  bool reset_after = false;     // gru: new = g(W x + bias + reset * (R h + recurrent_bias)), else of R (reset * h)
  bool coupled = false;         // lstm: forget = 1 - input
  double gate_clip = INFINITY;  // of what goes into the activations of gates and of what is new
  double cell_clip = INFINITY;  // lstm: of the cell
  // x, and each step's h, are rounded to 8 bits over all of the batch before they are multiplied.
  bool quantized = false;
  Part lengths;  // int32 [batch]: steps that count; behind them y is 0, and where there are none so are the states

  std::array<Direction, 2> directions;
  int count = 1;  // of directions
  // Element (t, b, k) of y is t * y_step + b * y_row + k elements behind a direction's y_at; of h and c b * state_row +
  // k behind its state_at. y has all steps, or the last one made; in the order of time, or of the walk.
  int64_t y_step = 0, y_row = 0, state_row = 0;
  bool all_steps = true, walk_order = false;

  int gates() const { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }
};

}  // namespace graft::ir
