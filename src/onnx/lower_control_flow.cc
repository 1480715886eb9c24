// Nodes with bodies.
#include <algorithm>

#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

IntRange either(const IntRange& a, const IntRange& b) { return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)}; }

// What a result of If is, whichever branch runs. Sizes that differ are known on the host only when it has run; Core ML
// wants one type.
std::optional<ir::Type> joined(NodeView& n, Build& b, size_t i, const ir::Type& yes, const ir::Type& no) {
  if (yes == no) return yes;
  const bool alike = yes.is_tensor() && no.is_tensor() && yes.dtype == no.dtype && yes.rank() == no.rank();
  if (!n.for_host() || !alike) {
    n.refuse(alike                                                        ? Code::dynamic_shape
             : yes.is_tensor() && no.is_tensor() && yes.dtype != no.dtype ? Code::dtype_mismatch
                                                                          : Code::rank_mismatch,
             format("output {} is {} in one branch and {} in the other, takes the same in both", i, yes.to_string(),
                    no.to_string()));
    return std::nullopt;
  }
  ir::Type out = yes;
  for (size_t d = 0; d < out.dims.size(); ++d) {
    if (yes.dims[d] == no.dims[d]) continue;
    out.dims[d] = Dim::symbol(b.function().fresh_symbol(), either(yes.dims[d].range(), no.dims[d].range()));
  }
  return out;
}

Values if_(NodeView& n, Build& b) {
  Value* condition = n.in(0);
  if (condition->poison) return {condition};
  const Graph *yes = n.body("then_branch"), *no = n.body("else_branch");
  if (yes == nullptr || no == nullptr) return {b.function().poison()};
  if (yes->outputs.size() != no->outputs.size() || yes->outputs.size() != static_cast<size_t>(n.outputs())) {
    return {n.refuse(Code::invalid_model, format("the branches give {} and {} outputs, the node has {}",
                                                 yes->outputs.size(), no->outputs.size(), n.outputs()))};
  }
  if (condition->is_constant() && condition->constant->count() == 1)
    return n.inline_body(element_as_int(condition->constant->view(), 0) != 0 ? *yes : *no);
  if (condition->rank() != 0) condition = b.reshape(condition, Dims{});
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
  ir::Types types;
  std::vector<IntRange> ranges;
  for (size_t i = 0; i < a.size(); ++i) {
    const std::optional<ir::Type> t = joined(n, b, i, a[i]->type, c[i]->type);
    if (!t) return {b.function().poison()};
    types.push_back(*t);
    ranges.push_back(either(a[i]->range, c[i]->range));
  }
  const Values out = b.emit_blocks("cond", {{"pred", condition}}, std::move(blocks), std::move(types));
  for (size_t i = 0; i < out.size() && !out[i]->poison; ++i) {
    if (is_int(out[i]->dtype())) out[i]->range = ranges[i];
  }
  return out;
}

constexpr Lowering kRows[] = {
    {"", "If", kSince<1, 11, 13, 16, 19, 21, 23>, "cond -> outputs+; else_branch then_branch", if_},
};

}  // namespace

LoweringRows control_flow_lowerings() { return kRows; }

}  // namespace graft::onnx
