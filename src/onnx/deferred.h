// Nodes that read a tensor whose rank only a run knows (a branch's, or an element of a sequence), or make one, or whose
// operators hang on sizes that nothing tells: each is lowered alone, again for every set of ranks, or of sizes, that
// runs come with. Private to src/onnx.
#pragma once

#include "onnx/lowerer.h"

namespace graft::onnx {

// Whether the node reads one, its bodies aside: those have nodes of their own.
bool reads_unranked(Lowerer& lowerer, const Node& node);
// Emits it as one operator. Refused where no rank would do. `results`: what is known of them; else it is found out.
Values defer(Lowerer& lowerer, const Node& node, ir::Types results = {});

}  // namespace graft::onnx
