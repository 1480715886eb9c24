#include "partition/host_part.h"

#include <algorithm>
#include <set>

#include "onnx/visit.h"

namespace graft::partition {

using onnx::Node;

bool is_constant(const onnx::HostProgram& host, const std::string& name) {
  const auto at = host.values.find(name);
  return at != host.values.end() ? at->second->is_constant() : host.model->graph.find_initializer(name) != nullptr;
}

std::vector<std::string> outputs_of(const onnx::HostProgram& host, const Nodes& nodes, const Names& names) {
  std::vector<std::string> list;
  for (const Node* n : nodes) {
    for (const std::string& o : n->outputs) {
      if (!o.empty() && names.contains(o) && !is_constant(host, o)) list.push_back(o);
    }
  }
  return list;
}

namespace {

const onnx::Graph& graph_of(const Partitioning& p) { return p.host->model->graph; }

NodePlan& plan_of(Partitioning& p, const Node& n) {
  return p.nodes[static_cast<size_t>(&n - graph_of(p).nodes.data())];
}

Names graph_outputs(const Partitioning& p) {
  Names names;
  for (const onnx::ValueInfo& o : graph_of(p).outputs) names.insert(o.name);
  return names;
}

// Claimed nodes none of whose operators is left.
void fold_vanished(Partitioning& p, const Subgraph& s) {
  ir::Provenance left;
  ir::visit_ops(s.program->main()->body, [&](ir::Op& op) { left.merge(op.origin); });
  const std::vector<int32_t> ids = left.nodes();
  for (const Node* n : s.nodes) {
    if (!std::binary_search(ids.begin(), ids.end(), n->id)) plan_of(p, *n).where = Where::folded;
  }
}

// Graph outputs that no subgraph yields: constants and inputs passed on. The last subgraph yields them.
std::vector<std::string> outputs_of_nobody(const Partitioning& p) {
  Names yielded, made;
  for (const Subgraph& s : p.subgraphs) {
    for (const ir::BoundaryPort& b : s.outputs) yielded.insert(b.name);
    for (const Node* n : s.nodes) made.insert(n->outputs.begin(), n->outputs.end());
  }
  std::vector<std::string> list;
  for (const onnx::ValueInfo& o : graph_of(p).outputs) {
    if (!yielded.contains(o.name) && (!made.contains(o.name) || is_constant(*p.host, o.name))) list.push_back(o.name);
  }
  return list;
}

Status lower(const onnx::SubgraphLowerer& lowerer, const std::vector<std::string>& outputs, Subgraph& s) {
  OrRefusals<onnx::LoweredSubgraph> partition = lowerer.build("main", s.nodes, outputs);
  if (!partition) return fail(std::move(partition).error().front());
  s.program = std::make_shared<ir::Program>();
  s.program->functions.push_back(std::move(partition->function));
  s.inputs = std::move(partition->inputs);
  s.outputs = std::move(partition->outputs);
  return {};
}

}  // namespace

void settle_host_nodes(Partitioning& p) {
  Names needed = graph_outputs(p);  // by what comes after
  for (size_t r = p.subgraphs.size(); r-- > 0;) {
    Subgraph& s = p.subgraphs[r];
    if (s.coreml) {
      for (const ir::BoundaryPort& b : s.inputs) needed.insert(b.name);
      fold_vanished(p, s);
      continue;
    }
    Nodes kept;
    for (size_t i = s.nodes.size(); i-- > 0;) {
      const Node* n = s.nodes[i];
      if (std::any_of(n->outputs.begin(), n->outputs.end(), [&](const auto& o) { return needed.contains(o); })) {
        onnx::visit_reads(*n, [&](const std::string& name) { needed.insert(name); });
        kept.push_back(n);
      } else {
        plan_of(p, *n).where = Where::folded;
      }
    }
    std::reverse(kept.begin(), kept.end());
    s.nodes = std::move(kept);
  }
  std::erase_if(p.subgraphs, [](const Subgraph& s) { return !s.coreml && s.nodes.empty(); });
}

Status build_host_subgraphs(Partitioning& p, const Bounds& bounds) {
  const std::vector<std::string> extra = outputs_of_nobody(p);
  if (!extra.empty() && (p.subgraphs.empty() || p.subgraphs.back().coreml)) p.subgraphs.emplace_back();
  const onnx::SubgraphLowerer lowerer(*p.host, {}, bounds);
  Names needed = graph_outputs(p);
  for (size_t r = p.subgraphs.size(); r-- > 0;) {
    Subgraph& s = p.subgraphs[r];
    if (!s.coreml) {
      std::vector<std::string> outputs = outputs_of(*p.host, s.nodes, needed);
      if (r + 1 == p.subgraphs.size()) outputs.insert(outputs.end(), extra.begin(), extra.end());
      p.lowered += static_cast<int64_t>(s.nodes.size());
      // A node without a lowering leaves the subgraph without a program; running the model reports host->problems.
      if (Status made = lower(lowerer, outputs, s); !made && out_of_bounds(made.error().code)) return made;
    }
    for (const ir::BoundaryPort& b : s.inputs) needed.insert(b.name);
    if (s.coreml) continue;
    for (const Node* n : s.nodes) onnx::visit_reads(*n, [&](const std::string& name) { needed.insert(name); });
  }
  return {};
}

Result<Subgraph> host_twin(const Partitioning& partitioning, const Subgraph& subgraph,
                           const std::function<bool(const std::string&)>& has, const Bounds& bounds) {
  const onnx::HostProgram& host = *partitioning.host;
  std::unordered_map<std::string_view, const Node*> makers;
  for (const Node& n : host.model->graph.nodes) {
    for (const std::string& o : n.outputs) makers.emplace(o, &n);
  }
  std::set<const Node*> nodes;  // in the graph's order
  std::vector<const Node*> open(subgraph.nodes);
  while (!open.empty()) {
    const Node& n = *open.back();
    open.pop_back();
    if (!nodes.insert(&n).second) continue;
    onnx::visit_reads(n, [&](const std::string& name) {
      const auto maker = makers.find(name);
      if (maker != makers.end() && !is_constant(host, name) && !has(name)) open.push_back(maker->second);
    });
  }
  Subgraph twin;
  twin.nodes.assign(nodes.begin(), nodes.end());
  std::vector<std::string> outputs;
  for (const ir::BoundaryPort& p : subgraph.outputs) outputs.push_back(p.name);
  GRAFT_CHECK(lower(onnx::SubgraphLowerer(host, {}, bounds), outputs, twin));
  return twin;
}

}  // namespace graft::partition
