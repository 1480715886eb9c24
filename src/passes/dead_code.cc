#include "passes/dead_code.h"

#include <unordered_set>

#include "ir/program.h"

namespace graft::passes {
namespace {

using Live = std::unordered_set<const ir::Value*>;

bool has_effect(const ir::Op& op) {
  const ir::Effects e = op.row->def->effects;
  if (e == ir::Effects::writes_state || e == ir::Effects::random) return true;
  for (const auto& b : op.blocks) {
    for (const auto& inner : b->ops) {
      if (has_effect(*inner)) return true;
    }
  }
  return false;
}

int count_ops(const ir::Op& op) {
  int n = 1;
  for (const auto& b : op.blocks) {
    for (const auto& inner : b->ops) n += count_ops(*inner);
  }
  return n;
}

// Backwards: an operator's users are decided before it is.
int sweep(ir::Block& block, Live& live) {
  live.insert(block.outputs.begin(), block.outputs.end());
  int removed = 0;
  for (auto op = block.ops.rbegin(); op != block.ops.rend(); ++op) {
    bool keep = has_effect(**op);
    for (const ir::Value* r : (*op)->results) keep = keep || live.contains(r);
    if (!keep) {
      removed += count_ops(**op);
      op->reset();
      continue;
    }
    for (const auto& b : (*op)->blocks) removed += sweep(*b, live);
    for (const auto& arg : (*op)->args) live.insert(arg.begin(), arg.end());
  }
  std::erase(block.ops, nullptr);
  return removed;
}

}  // namespace

Result<int> dead_code(ir::Function& function, PassContext& context) {
  (void)context;
  Live live;
  return sweep(function.body, live);
}

}  // namespace graft::passes
