// Which operators of a function run in fp16, decided before anything is rewritten. The rules are in precision.h.
#pragma once

#include <map>
#include <tuple>
#include <unordered_set>

#include "passes/pass.h"

namespace graft::passes {

struct PrecisionPlan {
  std::unordered_set<const ir::Op*> wide;  // stay in fp32
  struct Constant {
    ir::ConstantPtr fp32;
    bool stays = false;  // in fp32 beside fp16 activations
  };
  // Constants that are replaced or stay, by operator, parameter and place in a tuple.
  std::map<std::tuple<const ir::Op*, size_t, size_t>, Constant> constants;
  std::unordered_set<const ir::Value*> masks;  // inputs whose finite values below kMask become that in fp16
  std::vector<Diag> findings;
};

// kept: operators of these ONNX nodes stay in fp32, whatever the rules say.
PrecisionPlan plan_precision(const ir::Function& function, const ir::Target& target, const KeptNodes& kept);

// Operators that only move elements: their dtype is whatever comes in.
bool only_moves(const ir::Op& op);

}  // namespace graft::passes
