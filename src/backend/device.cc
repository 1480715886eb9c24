#include "backend/device.h"

namespace graft::backend {

std::string_view name(ComputeUnits units) {
  switch (units) {
    case ComputeUnits::all: return "ALL";
    case ComputeUnits::cpu_only: return "CPU_ONLY";
    case ComputeUnits::cpu_and_gpu: return "CPU_AND_GPU";
    case ComputeUnits::cpu_and_ne: return "CPU_AND_NE";
  }
  return "ALL";
}

}  // namespace graft::backend
