// Inputs and outputs of a program, as whoever runs it sees them.
#pragma once

#include <string>

#include "ir/type.h"

namespace graft::ir {

// The type may have symbolic dims.
struct Port {
  std::string name;
  Type type;
};

// A port where ONNX values go in or out of a program that may have other types inside.
struct BoundaryPort {
  std::string name;  // of the ONNX value
  Type onnx_type;
  Type type;  // the program's: int64 is int32 in Core ML
};

}  // namespace graft::ir
