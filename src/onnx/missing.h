// The operators of a model that have no row in the lowering table: all of them at once, wherever they stand. The host
// program cannot say so, because it does not look behind the first one.
#pragma once

#include <string>
#include <vector>

#include "onnx/graph.h"

namespace graft::onnx {

// One operator with the names of every node that uses it, bodies included.
struct MissingOperator {
  std::string domain, op, message;  // domain: empty for ONNX's own
  std::vector<std::string> nodes;
};

// Sorted by domain and name; a version older than the row's first one is missing too.
std::vector<MissingOperator> missing_operators(const Model& model);
// One error that names them all; the list must not be empty.
Diag describe_missing(const std::vector<MissingOperator>& missing);

}  // namespace graft::onnx
