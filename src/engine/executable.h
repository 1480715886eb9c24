// A function of a program, ready to run on the CPU of this machine. Loading checks the program and folds what is
// constant; plans are made on the first run of each set of input shapes and kept (a bounded number of them).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/model.h"

namespace graft::engine {

struct Options {
  bool reference = false;  // every operator by its row's reference kernel, rounded at every operator: the witness
  bool onednn = true;      // use oneDNN where the build has it
};

using backend::OutputSlot;
using backend::RunOptions;
using ir::Port;

// How one operator is carried out for given input shapes.
struct OperatorReport {
  std::string op, name;               // the row and the first result's name
  std::string provider;               // "onednn", "native", "reference", "view" (no work), "folded"
  std::string step;                   // the step it is part of, e.g. "conv+relu"
  std::vector<std::string> declined;  // why faster candidates were not taken, one line each
};

// Immutable after load. run() may be called from several threads at once; no lock is held around a run. Runs with the
// same build, CPU and thread count give the same bits.
//
// Threads: all kernels use env->parallel_for, and nothing else. oneDNN's own threads are not used: each of its
// primitives runs on one thread and makes a piece of a result.
// Memory: a run whose outputs are all given and whose shapes were seen before allocates nothing, but for what oneDNN
// does inside: a few small blocks for each primitive. Outputs must not overlap inputs or each other. Denormals are
// flushed to zero inside runs; the caller's floating point mode is restored.
// NaN: where an input holds NaN or infinity, NaN goes as far as the reference kernels let it. A NaN that the run itself
// makes of finite inputs may become a bound in a relu or clip that is fused into a convolution or product.
class Executable final : public backend::Model {
 public:
  // The program must not change while the executable lives. `memory` counts what the executable keeps (packed weights,
  // folded constants, contexts of plans) and what runs take while they last; results are counted until whoever gets
  // them calls Tensor::hand_over(). Null: no limit. Errors: unsupported_operator for a row without a kernel,
  // invalid_argument for an unknown function.
  static Result<std::shared_ptr<const Executable>> load(std::shared_ptr<const ir::Program> program,
                                                        std::string_view function, std::shared_ptr<const Env> env,
                                                        const Options& options,
                                                        std::shared_ptr<MemoryLimit> memory = nullptr);
  ~Executable() override;
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  std::span<const Port> inputs() const override;
  std::span<const Port> outputs() const override;
  std::span<const Port> states() const override;
  Result<std::unique_ptr<backend::State>> new_state() const override;

  Status run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
             const RunOptions& options = {}) const override;

  // Makes the plan for these input shapes now instead of in the first run.
  Status prepare(std::span<const Shape> input_shapes, const CancelToken* cancel = nullptr) const;
  // What is done with each operator for these input shapes, up to the first size that depends on data.
  Result<std::vector<OperatorReport>> explain(std::span<const Shape> input_shapes,
                                              const CancelToken* cancel = nullptr) const;

 private:
  struct Impl;
  explicit Executable(std::unique_ptr<Impl> impl);
  Status run_with(std::span<const TensorView> inputs, std::span<OutputSlot> outputs, std::span<Tensor> states,
                  const RunOptions& options) const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft::engine
