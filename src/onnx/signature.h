// How many inputs and outputs an ONNX operator has, and which attributes: one text a row of the lowering table.
//
//   "data axes?@13 -> squeezed; axes<13"
//
// Inputs, "->", outputs, then attributes behind a ';'. `?` may be left out, `+` one or more and `*` any number, the
// last only. `@13` from version 13 on, `<13` before it. Checked once, before a lowering sees the node.
#pragma once

#include "onnx/graph.h"

namespace graft::onnx {

// invalid_model for too few or too many inputs and outputs, or one that is left out and must not be; invalid_attribute
// for an attribute that the operator does not have in the node's version.
Status check_signature(std::string_view signature, const Node& node);

}  // namespace graft::onnx
