// Nodes with bodies.
#include <algorithm>

#include "base/format.h"
#include "ir/assemble.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

// v with sizes that nobody knows where `to` has such: `none` is a zero that only the run knows.
Value* opened(OpBuilder& b, Value* v, const Dims& to, Value* none) {
  std::vector<Part> ends;
  std::vector<bool> whole;
  bool empty = v->is_constant() && v->constant->count() == 0;
  for (size_t d = 0; d < to.size(); ++d) {
    const Dim& own = v->dims()[d];
    const bool opens = own.known() && !to[d].known();
    whole.push_back(!opens);
    if (!opens) {
      ends.push_back(Part::of(empty && own.known() ? own.value() : 0));
      empty = empty && own.known();
    } else {
      ends.push_back(Part::element(b.add(none, b.like(none, static_cast<double>(own.value()))), 0));
    }
  }
  Value* end = list_of(b, ends);
  if (empty) return b.emit("fill", {{"shape", end}, {"value", b.like(v, 0)}});
  return b.emit("slice_by_index", {{"x", v},
                                   {"begin", std::vector<int64_t>(to.size(), 0)},
                                   {"end", end},
                                   {"begin_mask", std::vector<bool>(to.size(), true)},
                                   {"end_mask", whole}});
}

// Results whose sizes differ from branch to branch are of no known size in either: Core ML takes one type for both.
void open_sizes(OpBuilder& b, Value* condition, std::span<const std::unique_ptr<ir::Block>> blocks,
                const ir::Types& types) {
  for (size_t branch = 0; branch < 2; ++branch) {
    ir::Block& block = *blocks[branch];
    ir::Builder::BlockScope scope(b, block);
    Value* none = nullptr;
    for (size_t i = 0; i < types.size(); ++i) {
      Value*& v = block.outputs[i];
      const ir::Type& to = types[i];
      if (!to.is_tensor() || !v->type.is_tensor() || to.dtype == DType::string) continue;
      bool opens = false;
      for (size_t d = 0; d < to.dims.size(); ++d) opens |= v->dims()[d].known() && !to.dims[d].known();
      if (!opens) continue;
      if (none == nullptr) {
        Value* other = branch == 0 ? b.unary("logical_not", condition) : b.identity(condition);
        none = b.expand_dims(b.cast(other, DType::i32), {0});
      }
      const Value* was = v;
      v = opened(b, v, to.dims, none);
      if (b.ok() && is_int(to.dtype) && !was->is_constant()) v->range = was->range;
    }
  }
}

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
  open_sizes(b, condition, blocks, *types);
  if (!b.ok()) return {n.refused()};
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
