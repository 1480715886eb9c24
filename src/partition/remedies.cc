#include "partition/remedies.h"

#include "base/format.h"

namespace graft::partition {
namespace {

bool may_find(const NodePlan& n, const onnx::HostProgram& host) {
  if (n.where != Where::host || !n.refusal) return false;
  const Code c = n.refusal->code;
  return c != Code::not_worth_it && c != Code::host_only && !host.nodes[static_cast<size_t>(n.node->id)].failure;
}

void try_later_targets(const onnx::HostProgram& host, ir::Opset newest, std::vector<NodePlan>& nodes) {
  for (NodePlan& n : nodes) {
    if (!may_find(n, host)) continue;
    for (const ir::OpsetInfo& o : ir::all_opsets()) {
      if (o.opset <= newest || !onnx::PieceLowerer(host, ir::BuildTarget{o.opset}).attempt(*n.node)) continue;
      n.refusal->remedies.push_back(format("--target {}", o.name));
      break;
    }
  }
}

bool is_open(const onnx::HostProgram& host) {
  for (const ir::Value* v : host.main().inputs) {
    if (!ir::all_known(v->dims())) return true;
  }
  return false;
}

// Every open dim of every input fixed to `size` (or to its default), as --shapes takes it, and as options.
std::string fixed_shapes(const onnx::HostProgram& host, int64_t size, onnx::LowerOptions& options) {
  std::string text;
  for (const ir::Value* v : host.main().inputs) {
    if (ir::all_known(v->dims())) continue;
    std::vector<onnx::DimSpec> specs;
    std::string shape;
    for (const ir::Dim& d : v->dims()) {
      int64_t n = d.known() ? d.value() : size;
      if (!d.known()) {
        const auto at = host.main().default_dims.find(std::string(d.symbol_name()));
        n = at != host.main().default_dims.end() ? at->second : std::min(std::max(n, d.range().lo), d.range().hi);
      }
      specs.push_back({n, n, std::nullopt});
      shape += (shape.empty() ? "" : "x") + std::to_string(n);
    }
    options.shapes[v->name] = std::move(specs);
    text += format("{}--shapes {}:{}", text.empty() ? "" : " ", v->name, shape);
  }
  return text;
}

void try_fixed_shapes(const onnx::HostProgram& host, ir::Opset newest, std::vector<NodePlan>& nodes) {
  if (!is_open(host)) return;
  // A size that the model takes at all: small ones first, then what image models expect.
  for (int64_t size : {int64_t{1}, int64_t{16}, int64_t{64}, int64_t{224}}) {
    onnx::LowerOptions options;
    const std::string text = fixed_shapes(host, size, options);
    Result<onnx::HostProgram> fixed = onnx::lower_for_host(host.model, options);
    if (!fixed || fixed->problems.size() != host.problems.size()) continue;
    const onnx::PieceLowerer lowerer(*fixed, ir::BuildTarget{newest});
    for (NodePlan& n : nodes) {
      if (may_find(n, host) && lowerer.attempt(*n.node)) n.refusal->remedies.push_back(text);
    }
    return;
  }
}

}  // namespace

void find_remedies(const onnx::HostProgram& host, const Options& options, ir::Opset newest,
                   std::vector<NodePlan>& nodes) {
  if (!options.claim) return;
  try_later_targets(host, newest, nodes);
  try_fixed_shapes(host, newest, nodes);
}

}  // namespace graft::partition
