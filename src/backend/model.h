// How a loaded program is run, whoever runs it: the words that the engine, Apple's framework and tests share.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/bounds.h"
#include "base/tensor.h"
#include "ir/port.h"
#include "ir/program.h"

namespace graft::backend {

using ir::Port;

struct OutputSlot {
  MutableTensorView memory;  // in: the caller's memory, with its dtype and shape; data == nullptr: not given
  Tensor owned;              // out: set when memory was not given
};

// What a model with states (ir::Type::Kind::state) keeps from one run to the next. It belongs to whoever made it with
// new_state(), and to that model alone; one run at a time may use it.
class State {
 public:
  virtual ~State() = default;
};

struct RunOptions {
  // Of the model that runs; null: the states begin with zeros and end with the run. A run that fails leaves in it what
  // it had written so far.
  State* state = nullptr;
  // Looked at between steps and, in most kernels, every few milliseconds of one; also while the run has to plan.
  const CancelToken* cancel = nullptr;
  // Called in order for every operator's result, nested blocks included, on the calling thread. Turns off everything
  // that keeps a result from existing in memory (fused steps, in-place updates), so such a run is slower. The view is
  // valid during the call only. A device that cannot look inside never calls it.
  std::function<void(const ir::Value&, TensorView)> observe;
  // Called after every step with what it did ("conv+relu") and how long it took: for reports and tuning.
  std::function<void(std::string_view step, double seconds)> profile;
};

// Immutable after load; run() may be called from several threads at once.
class Model {
 public:
  virtual ~Model() = default;
  virtual std::span<const Port> inputs() const = 0;
  virtual std::span<const Port> outputs() const = 0;
  // The states, which are no inputs: their types are those of the tensors that they hold.
  virtual std::span<const Port> states() const { return {}; }
  // All states with zeros. Errors: out_of_memory, memory_limit.
  virtual Result<std::unique_ptr<State>> new_state() const { return std::make_unique<State>(); }
  // Inputs and outputs in the order of inputs() and outputs(). All memory is borrowed for the call; data must be
  // aligned to its element type, outputs must not overlap inputs or each other. Errors: invalid_argument (count, dtype,
  // shape, alignment; a state of another model or in use), cancelled, out_of_memory, memory_limit; value_out_of_range
  // and its kin, with operator and value, where the data breaks an operator's rules; any other code says that the
  // device failed and that the next run may as well.
  virtual Status run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
                     const RunOptions& options = {}) const = 0;
};

}  // namespace graft::backend
