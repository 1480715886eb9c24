// What every pass gets and gives. A pass is a function `Result<int> name(ir::Function&, PassContext&)`: it rewrites the
// function in place and returns how many rewrites it made. Passes keep what the function computes (bit for bit where
// the pass does not say otherwise), its interface, and a program legal for the target it was built for.
#pragma once

#include <functional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"

namespace graft::passes {

using KeptNodes = std::unordered_set<int32_t>;  // ids of ONNX nodes

struct PassContext {
  // host, or the newest opset that a rewrite may need: a rewrite the target cannot take is not made.
  ir::Target target;
  // What the user should know of what was done: Code::precision_note and Code::fp16_range, in program order.
  std::vector<Diag> findings;
  // What the constants that a rewrite makes, and the time it takes, must stay within.
  Bounds bounds;
  // Operators of these nodes are not for fp16.
  KeptNodes keep_fp32;
  // Called by pipelines after each pass, for dumps and for tests that check every step. May be empty.
  std::function<void(std::string_view pass, const ir::Function&)> after_pass;
};

using Pass = Result<int> (*)(ir::Function&, PassContext&);

}  // namespace graft::passes
