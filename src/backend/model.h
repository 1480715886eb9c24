// How a Core ML program is run. On Apple devices that is Core ML's own work; everywhere else the engine runs the same
// program. This is the seam between the two: `host` is the engine, an Apple implementation will sit beside it.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "coreml/package.h"
#include "engine/executable.h"

namespace graft::backend {

enum class ComputeUnits : uint8_t { all, cpu_only, cpu_and_gpu, cpu_and_ne };
std::string_view name(ComputeUnits units);  // "ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"

// Is Core ML there on this machine? On Linux never.
bool coreml_available();

// A loaded program. Immutable; predict() may be called from several threads at once.
class Model {
 public:
  virtual ~Model() = default;
  virtual std::span<const engine::Port> inputs() const = 0;
  virtual std::span<const engine::Port> outputs() const = 0;
  // As engine::Executable::run.
  virtual Status predict(std::span<const TensorView> inputs, std::span<engine::OutputSlot> outputs,
                         const engine::RunOptions& options) const = 0;
};

// The engine: any host, no Core ML needed. Fixed shapes are planned while loading, which hears cancel.
Result<std::shared_ptr<const Model>> load_on_host(std::shared_ptr<const ir::Program> program, std::string_view function,
                                                  std::shared_ptr<const Env> env, const engine::Options& options,
                                                  const Bounds& bounds = {});

}  // namespace graft::backend
