// MIL.Program messages as programs.
#pragma once

#include "coreml/mlprogram/decode.h"
#include "coreml/package.h"

namespace graft::coreml {

struct ProgramParts {
  std::shared_ptr<ir::Program> program;
  ir::Opset opset = ir::Opset::ios15;  // the newest of the functions
};

// `interface` gives the ranges of unknown dims, and the callers' names of inputs and outputs.
Result<ProgramParts> decode_program(std::string_view message, const Interface& interface, const ir::OpTable& table,
                                    const BlobSource& blobs, const Bounds& bounds);

}  // namespace graft::coreml
