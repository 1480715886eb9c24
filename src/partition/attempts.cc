#include "partition/attempts.h"

#include <algorithm>
#include <numeric>

#include "base/format.h"
#include "onnx/visit.h"
#include "partition/partitions.h"
#include "passes/dead_code.h"
#include "passes/low_rank.h"

namespace graft::partition {

using onnx::Node;

bool Attempts::many_dims(const std::string& name) const {
  const auto at = host_.values.find(name);
  if (at == host_.values.end() || at->second->poison || at->second->is_constant()) return false;
  return at->second->type.is_tensor() && at->second->rank() > ir::Target::kMostDims;
}

bool Attempts::in_chain(const Node& node) const {
  bool any = std::any_of(node.outputs.begin(), node.outputs.end(), [&](const auto& o) { return many_dims(o); });
  onnx::visit_reads(node, [&](const std::string& name) { any |= many_dims(name); });
  return any;
}

Result<ir::Opset> Attempts::operator()(const Node& node) {
  GRAFT_TRY(const ir::Opset alone, lowerer_.attempt(node));
  if (!in_chain(node)) return alone;
  if (!found_) find_chains();
  Chain& chain = chains_[chain_of_.at(&node)];
  if (!chain.tried) attempt(chain);
  if (const auto why = chain.refusals.find(&node); why != chain.refusals.end()) return fail(why->second);
  return std::max(alone, chain.needed);
}

void Attempts::find_chains() {
  found_ = true;
  const onnx::Graph& graph = host_.model->graph;
  std::vector<size_t> parent(graph.nodes.size());
  std::iota(parent.begin(), parent.end(), size_t{0});
  const auto root = [&](size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  std::map<std::string, size_t> met;  // a node that makes or reads the tensor
  const auto join = [&](size_t i, const std::string& name) {
    if (!many_dims(name)) return;
    const auto [at, fresh] = met.emplace(name, i);
    if (!fresh) parent[root(i)] = root(at->second);
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    onnx::visit_reads(graph.nodes[i], [&](const std::string& name) { join(i, name); });
    for (const std::string& o : graph.nodes[i].outputs) join(i, o);
  }
  std::map<size_t, size_t> chain_at;  // by root
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!in_chain(graph.nodes[i])) continue;
    const auto [at, fresh] = chain_at.emplace(root(i), chains_.size());
    if (fresh) chains_.emplace_back();
    chains_[at->second].nodes.push_back(&graph.nodes[i]);
    chain_of_[&graph.nodes[i]] = at->second;
  }
  for (const auto* list : {&graph.inputs, &graph.outputs}) {
    for (const onnx::ValueInfo& v : *list) {
      if (const auto at = met.find(v.name); at != met.end()) chains_[chain_at.at(root(at->second))].at_border = v.name;
    }
  }
}

// Each node for itself, then all of them in one program, as the passes leave it.
void Attempts::attempt(Chain& chain) {
  chain.tried = true;
  Refusals refusals;
  if (!chain.at_border.empty()) {
    Diag d;
    d.code = Code::unsupported_rank;
    d.tensor = chain.at_border;
    d.message = format("got {}, Core ML tensors have rank 0 to {}", host_.values.at(chain.at_border)->type.to_string(),
                       ir::Target::kMostDims);
    refusals.push_back(std::move(d));
  }
  std::vector<std::string> outputs;
  for (const Node* n : chain.nodes) {
    if (Result<ir::Opset> alone = lowerer_.attempt(*n); !alone) refusals.push_back(std::move(alone).error());
    for (const std::string& o : n->outputs) {
      if (!o.empty() && !many_dims(o) && !is_constant(host_, o)) outputs.push_back(o);
    }
  }
  if (!refusals.empty()) return refuse(chain, refusals);
  OrRefusals<onnx::LoweredSubgraph> built = lowerer_.build("chain", chain.nodes, outputs);
  if (!built) return refuse(chain, built.error());
  passes::PassContext context;
  context.target = target_.before_passes();
  context.bounds = bounds_;
  for (const passes::Pass pass : {passes::low_rank, passes::dead_code}) {
    if (Result<int> done = pass(*built->function, context); !done) return refuse(chain, Refusals{done.error()});
  }
  const OrRefusals<ir::Opset> needed = passes::needed_opset(*built->function, target_);
  if (!needed) return refuse(chain, needed.error());
  chain.needed = *needed;
}

void Attempts::refuse(Chain& chain, const Refusals& refusals) {
  const Diag& first = refusals.front();
  const auto who = std::find_if(chain.nodes.begin(), chain.nodes.end(), [&](const Node* n) {
    return std::find(first.origin.begin(), first.origin.end(), n->id) != first.origin.end();
  });
  for (const Node* n : chain.nodes) {
    const auto own = std::find_if(refusals.begin(), refusals.end(), [&](const Diag& d) {
      return std::find(d.origin.begin(), d.origin.end(), n->id) != d.origin.end();
    });
    Diag d = own != refusals.end() ? *own : first;
    if (own == refusals.end() && who != chain.nodes.end()) {
      d = Diag();
      d.code = out_of_bounds(first.code) ? first.code : Code::unsupported_rank;
      d.message = format("its tensors of more than {} dims lead to '{}' ({}), which is not taken",
                         ir::Target::kMostDims, (*who)->name, (*who)->op_type);
    }
    d.origin = {n->id};
    chain.refusals[n] = std::move(d).at_node(n->name, n->op_type);
  }
}

}  // namespace graft::partition
