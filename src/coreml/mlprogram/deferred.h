// Operators of a package on tensors whose rank only a run knows ("variadic" in the file): each is built when a run
// comes with ranks, as nodes of ONNX models are.
#pragma once

#include "ir/builder.h"

namespace graft::coreml {

// Whether it has to be put off: an argument has no rank, or a result is declared without one.
bool reads_or_makes_unranked(std::span<const ir::Arg> args, std::span<const ir::Type> declared);

// Emits it with results of the declared types. Arguments are values, and known to the row.
ir::Values defer(ir::Builder& b, const ir::OpRow& row, std::span<const ir::Arg> args, ir::Types declared);

}  // namespace graft::coreml
