#include "partition/findings.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "base/format.h"

namespace graft::partition {
namespace {

Diag about(Code code, const std::string& input, std::string message) {
  Diag d;
  d.code = code;
  d.tensor = input;
  d.message = std::move(message);
  return d;
}

void rank_obstacles(Partitioning& p, const std::unordered_map<int32_t, double>& work) {
  std::vector<NodePlan*> running, refused;
  for (NodePlan& n : p.nodes) {
    if (n.where != Where::folded) running.push_back(&n);
  }
  double before = 0, all = 0;
  for (const auto& [id, f] : work) all += f;
  for (size_t k = 0; k < running.size(); ++k) {
    NodePlan& n = *running[k];
    const auto own = work.find(n.node->id);
    const double f = own == work.end() ? 0 : own->second;
    if (n.where == Where::host && n.refusal) {
      n.cut_nodes = static_cast<int>(std::min(k, running.size() - k - 1)) + 1;
      n.cut_flops = f + std::max(0.0, std::min(before, all - before - f));
      refused.push_back(&n);
    }
    before += f;
  }
  const auto weight = [](const NodePlan* n) {
    return std::tuple(n->refusal->code != Code::not_worth_it, n->cut_flops, n->cut_nodes);
  };
  std::stable_sort(refused.begin(), refused.end(),
                   [&](const NodePlan* a, const NodePlan* b) { return weight(a) > weight(b); });
  for (size_t i = 0; i < refused.size(); ++i) refused[i]->obstacle = static_cast<int>(i);
}

}  // namespace

std::vector<Diag> refusals(std::span<const NodePlan> nodes) {
  std::vector<const NodePlan*> refused;
  for (const NodePlan& n : nodes) {
    if (n.where == Where::host && n.refusal) refused.push_back(&n);
  }
  std::stable_sort(refused.begin(), refused.end(),
                   [](const NodePlan* a, const NodePlan* b) { return a->obstacle < b->obstacle; });
  std::vector<Diag> list;
  for (const NodePlan* n : refused) list.push_back(*n->refusal);
  return list;
}

void weigh(Partitioning& p) {
  std::unordered_set<int32_t> claimed;
  for (const NodePlan& n : p.nodes) {
    if (n.where == Where::coreml) claimed.insert(n.node->id);
  }
  std::unordered_map<int32_t, double> work;  // by Node::id
  const ir::Function& main = p.host->main();
  for (const auto& op : main.body.ops) {
    const double f = flops(*op, main.default_dims);
    p.flops_total += f;
    const std::vector<int32_t> nodes = op->origin.nodes();
    for (const int32_t id : nodes) work[id] += f / static_cast<double>(nodes.size());
    if (std::any_of(nodes.begin(), nodes.end(), [&](int32_t id) { return claimed.contains(id); })) p.flops_claimed += f;
  }
  rank_obstacles(p, work);
}

void tell_inputs(Partitioning& p) {
  if (p.partitions == 0) return;
  std::vector<Diag> notes;
  for (const onnx::OpenDim& d : p.host->open_dims) {
    if (d.given) continue;
    const std::string fits =
        d.range.lo == d.range.hi ? format("{} alone", d.range.lo) : format("{} to {}", d.range.lo, d.range.hi);
    const std::string steps = d.step > 1 ? format(" in steps of {}", d.step) : "";
    notes.push_back(about(Code::open_dim, d.input,
                          format("'{}' is {}{} in Core ML, {} by default ({}); --shapes says otherwise", d.symbol, fits,
                                 steps, d.preferred, d.origin)));
  }
  std::unordered_set<std::string_view> read;
  if (p.whole()) {
    for (const ir::Value* v : p.subgraphs[0].program->main()->inputs) read.insert(v->name);
  }
  for (const onnx::ValueInfo& input : p.host->model->graph.inputs) {
    if (const auto limit = p.host->limits.find(input.name); limit != p.host->limits.end())
      notes.push_back(about(Code::input_range, input.name,
                            format("Core ML computes with it in int32, which is right for {} to {}; in a session the "
                                   "host takes others",
                                   limit->second.lo, limit->second.hi)));
    if (p.whole() && !read.contains(input.name))
      notes.push_back(
          about(Code::unused_input, input.name, "nothing reads it, so it is no input of the Core ML program"));
  }
  p.findings.insert(p.findings.begin(), std::make_move_iterator(notes.begin()), std::make_move_iterator(notes.end()));
}

}  // namespace graft::partition
