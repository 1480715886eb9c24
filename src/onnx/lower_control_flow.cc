// Nodes with bodies.
#include <algorithm>

#include "base/format.h"
#include "ir/assemble.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

Values if_(NodeView& n, OpBuilder& b) {
  Value* condition = n.in(0);
  if (!b.ok()) return {n.refused()};  // the bodies' refusals are told apart below
  const Graph *yes = n.body("then_branch"), *no = n.body("else_branch");
  if (yes == nullptr || no == nullptr) return {n.refused()};
  if (yes->outputs.size() != no->outputs.size() || yes->outputs.size() != static_cast<size_t>(n.outputs())) {
    return {n.refuse(Code::invalid_model, format("the branches give {} and {} outputs, the node has {}",
                                                 yes->outputs.size(), no->outputs.size(), n.outputs()))};
  }
  if (condition->is_constant() && condition->constant->count() == 1)
    return n.inline_body(element_as_int(condition->constant->view(), 0) != 0 ? *yes : *no);
  condition = scalar_of(b, condition);
  std::vector<std::unique_ptr<ir::Block>> blocks;
  // Both bodies are looked at, so that all refusals are told.
  std::vector<Diag> refusals;
  for (const auto& [name, body] : {std::pair("then_branch", yes), std::pair("else_branch", no)}) {
    blocks.push_back(n.block_of(*body));
    if (b.ok()) continue;
    Diag d = *b.failure();
    d.message = format("{}: {}", name, d.message);
    refusals.push_back(std::move(d));
    b.clear_failure();
  }
  if (!refusals.empty()) {
    Diag d = refusals[0];
    if (refusals.size() > 1) d.inner.push_back(refusals[1]);
    return {b.refuse(std::move(d))};
  }
  const auto &a = blocks[0]->outputs, &c = blocks[1]->outputs;
  Result<ir::Types> types = ir::joined_types(b.function(), a, c);
  if (!types) return {b.refuse(std::move(types).error())};
  std::vector<IntRange> ranges;
  for (size_t i = 0; i < a.size(); ++i)
    ranges.push_back({std::min(a[i]->range.lo, c[i]->range.lo), std::max(a[i]->range.hi, c[i]->range.hi)});
  const Values out = b.emit_blocks("cond", {{"pred", condition}}, std::move(blocks), std::move(*types));
  for (size_t i = 0; i < out.size() && b.ok(); ++i) {
    if (is_int(out[i]->dtype())) out[i]->range = ranges[i];
  }
  return out;
}

constexpr Lowering kRows[] = {
    {.domain = "",
     .op_type = "If",
     .versions = kSince<1, 11, 13, 16, 19, 21, 23, 24, 25>,
     .signature = "cond -> outputs+; else_branch then_branch",
     .lower = if_,
     .any_rank = true},
};

}  // namespace

LoweringRows control_flow_lowerings() { return kRows; }

}  // namespace graft::onnx
