// What runs programs. The engine is one device, Apple's framework another, a test's own a third.
#pragma once

#include <memory>
#include <string_view>

#include "backend/artefact.h"
#include "backend/model.h"
#include "base/env.h"
#include "base/file.h"

namespace graft::backend {

enum class ComputeUnits : uint8_t { all, cpu_only, cpu_and_gpu, cpu_and_ne };
std::string_view name(ComputeUnits units);  // "ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"

struct LoadOptions {
  ComputeUnits units = ComputeUnits::all;  // that may be used, where the device has several
  std::shared_ptr<const Env> env;
  Hold weights = Hold::copied;  // of a package's files
  Bounds bounds;                // of the memory that the model keeps and takes in runs; cancel is heard while loading
};

// Stateless, safe from several threads.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view name() const = 0;  // for reports: "the host engine"
  // The model's ports have the artefact's names (of a package without any: the package's own). It keeps what it needs
  // of the artefact alive. Errors: what makes the program or the package unusable there; memory_limit, cancelled.
  virtual Result<std::shared_ptr<const Model>> load(const Artefact& artefact, const LoadOptions& options) const = 0;
};

}  // namespace graft::backend
