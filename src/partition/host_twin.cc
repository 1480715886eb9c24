#include <set>
#include <unordered_map>

#include "onnx/visit.h"
#include "partition/partition.h"

namespace graft::partition {

Result<Segment> host_twin(const Partition& partition, const Segment& segment,
                          const std::function<bool(const std::string&)>& has, const Bounds& bounds) {
  const onnx::HostProgram& host = *partition.host;
  std::unordered_map<std::string_view, const onnx::Node*> makers;
  for (const onnx::Node& n : host.model->graph.nodes) {
    for (const std::string& o : n.outputs) makers.emplace(o, &n);
  }
  std::set<const onnx::Node*> nodes;  // in the graph's order
  std::vector<const onnx::Node*> open(segment.nodes);
  while (!open.empty()) {
    const onnx::Node& n = *open.back();
    open.pop_back();
    if (!nodes.insert(&n).second) continue;
    onnx::visit_reads(n, [&](const std::string& name) {
      const auto maker = makers.find(name);
      const auto value = host.values.find(name);
      const bool constant = value != host.values.end() && value->second->is_constant();
      if (maker != makers.end() && !constant && !has(name)) open.push_back(maker->second);
    });
  }
  Segment twin;
  twin.nodes.assign(nodes.begin(), nodes.end());
  std::vector<std::string> outputs;
  for (const ir::BoundaryPort& p : segment.outputs) outputs.push_back(p.name);
  OrRefusals<onnx::Piece> piece = onnx::PieceLowerer(host, {}, bounds).build("main", twin.nodes, outputs);
  if (!piece) return fail(std::move(piece).error().front());
  twin.inputs = std::move(piece->inputs);
  twin.outputs = std::move(piece->outputs);
  twin.program = std::make_shared<ir::Program>();
  twin.program->functions.push_back(std::move(piece->function));
  return twin;
}

}  // namespace graft::partition
