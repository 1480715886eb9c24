// The partitioner reads from top to bottom: attempt each node, find what is needed at all, group, build the partitions
// (and take back what cannot be built or does not pay), then build the host's runs (host_part.h).
#include "partition/partition.h"

#include <algorithm>
#include <unordered_set>

#include "base/format.h"
#include "onnx/visit.h"
#include "partition/attempts.h"
#include "partition/findings.h"
#include "partition/grouping.h"
#include "partition/host_part.h"
#include "partition/partitions.h"

namespace graft::partition {

std::string_view name(Where where) {
  switch (where) {
    case Where::coreml: return "coreml";
    case Where::folded: return "folded";
    case Where::host: return "host";
  }
  return "host";
}

int Partitioning::count(Where where) const {
  return static_cast<int>(
      std::count_if(nodes.begin(), nodes.end(), [&](const NodePlan& n) { return n.where == where; }));
}

namespace {

using onnx::Node;

class Partitioner {
 public:
  Partitioner(std::shared_ptr<const onnx::HostProgram> host, const Options& options, const Bounds& bounds)
      : options_(options), bounds_(bounds), graph_(host->model->graph), partitions_(*host, options, bounds) {
    out_.host = std::move(host);
    out_.options = options;
    for (const Node& n : graph_.nodes) {
      NodePlan plan;
      plan.node = &n;
      out_.nodes.push_back(std::move(plan));
      for (const std::string& o : n.outputs) {
        if (!o.empty()) producer_[o] = out_.nodes.size() - 1;
      }
    }
    for (const onnx::ValueInfo& o : graph_.outputs) graph_outputs_.insert(o.name);
  }

  Result<Partitioning> run() {
    GRAFT_TRY(partitions_.keep_fp32, kept_nodes(graph_, options_.keep_fp32));
    mark_folded();
    attempt_all();
    schedule();
    GRAFT_CHECK(cut_off());
    while (!build_partitions()) GRAFT_CHECK(cut_off());
    settle_host_nodes(out_);
    if (options_.claim) GRAFT_CHECK(build_host_subgraphs(out_, bounds_));
    weigh(out_);
    tell_inputs(out_);
    out_.lowered += partitions_.lowered();
    return std::move(out_);
  }

 private:
  // Claims may not depend on how much memory there is: a refusal for want of it is the end, as the caller's wish is.
  Status cut_off() const { return cut_off_ ? fail(*cut_off_) : check(bounds_.cancel); }
  void look_at(const Diag& refusal) {
    if (!cut_off_ && out_of_bounds(refusal.code)) cut_off_ = refusal;
  }

  // The node that makes a value at run time, as a place in out_.nodes; nullopt for constants and graph inputs.
  std::optional<size_t> maker_of(const std::string& name) const {
    const auto at = producer_.find(name);
    return at == producer_.end() || is_constant(*out_.host, name) ? std::nullopt : std::optional(at->second);
  }

  // Computed while compiling, or needed by no output.
  void mark_folded() {
    std::vector<bool> live(out_.nodes.size());
    const auto need = [&](const std::string& name) {
      if (const auto maker = maker_of(name)) live[*maker] = true;
    };
    for (const onnx::ValueInfo& o : graph_.outputs) need(o.name);
    for (size_t i = out_.nodes.size(); i-- > 0;) {
      if (live[i]) {
        onnx::visit_reads(*out_.nodes[i].node, need);
      } else {
        out_.nodes[i].where = Where::folded;
      }
    }
  }

  void attempt_all() {
    Attempts attempt(*out_.host, options_.lowered_for(options_.newest()), bounds_);
    for (NodePlan& n : out_.nodes) {
      if (n.where == Where::folded || !options_.claim) continue;
      if (cut_off_) return;
      ++out_.lowered;
      Result<ir::Opset> r = attempt(*n.node);
      if (r) {
        n.where = Where::coreml;
      } else {
        look_at(r.error());
        n.refusal = std::move(r).error();
      }
    }
  }

  // ---- grouping ----

  // The nodes that run at all, as places in out_.nodes, and for each the scheduled ones whose results it reads.
  void schedule() {
    std::vector<int> position(out_.nodes.size(), -1);
    for (size_t i = 0; i < out_.nodes.size(); ++i) {
      if (out_.nodes[i].where == Where::folded) continue;
      std::vector<int>& preds = preds_.emplace_back();
      onnx::visit_reads(*out_.nodes[i].node, [&](const std::string& name) {
        if (const auto maker = maker_of(name); maker && position[*maker] >= 0) preds.push_back(position[*maker]);
      });
      std::sort(preds.begin(), preds.end());
      preds.erase(std::unique(preds.begin(), preds.end()), preds.end());
      position[i] = static_cast<int>(scheduled_.size());
      scheduled_.push_back(i);
    }
  }

  std::vector<Subgraph> group() const {
    std::vector<bool> claimed;
    for (size_t i : scheduled_) claimed.push_back(out_.nodes[i].where == Where::coreml);
    std::vector<Subgraph> subgraphs;
    for (const Group& group : alternate_groups(preds_, claimed)) {
      Subgraph& s = subgraphs.emplace_back();
      s.coreml = group.claimed;
      for (int i : group.nodes) s.nodes.push_back(out_.nodes[scheduled_[static_cast<size_t>(i)]].node);
    }
    return subgraphs;
  }

  // A result without elements, which is known and which Core ML cannot give.
  bool gives_nothing() const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(), [&](const onnx::ValueInfo& o) {
      const auto at = out_.host->values.find(o.name);
      return at != out_.host->values.end() && at->second->is_constant() && at->second->constant->count() == 0;
    });
  }

  // The values that leave the subgraph in which they are made, or the graph.
  Names crossing(const std::vector<Subgraph>& subgraphs) const {
    std::vector<size_t> subgraph_of(out_.nodes.size());
    for (size_t s = 0; s < subgraphs.size(); ++s) {
      for (const Node* n : subgraphs[s].nodes) subgraph_of[index_of(*n)] = s;
    }
    Names names = graph_outputs_;
    for (size_t i : scheduled_) {
      onnx::visit_reads(*out_.nodes[i].node, [&](const std::string& name) {
        if (const auto maker = maker_of(name); maker && subgraph_of[*maker] != subgraph_of[i]) names.insert(name);
      });
    }
    return names;
  }

  // Groups the claims and builds their partitions. False when claims were taken back: what is left is to be grouped
  // again. Giving up a whole partition changes no other, so that few rounds do.
  bool build_partitions() {
    std::vector<Subgraph> subgraphs = group();
    const bool whole = subgraphs.size() == 1 && !gives_nothing();
    const Names names = crossing(subgraphs);
    std::vector<std::vector<std::string>> outputs(subgraphs.size());
    std::vector<ir::Opset> needs(subgraphs.size());
    std::map<ir::Opset, int> needed;  // by how many partitions
    bool kept = true, dropped = false;
    for (size_t s = 0; s < subgraphs.size(); ++s) {
      if (!subgraphs[s].coreml) continue;
      if (whole) {  // with outputs that no node makes, constants and inputs passed on, in the model's order
        for (const onnx::ValueInfo& o : graph_.outputs) outputs[s].push_back(o.name);
      } else {
        outputs[s] = outputs_of(*out_.host, subgraphs[s].nodes, names);
      }
      if (const auto opset = partitions_.lower(subgraphs[s].nodes, outputs[s])) {
        ++needed[needs[s] = *opset];
      } else {
        take_back(subgraphs[s].nodes, opset.error());
        kept = false;
      }
    }
    if (!kept) return false;
    const auto target_of = [&] {
      return options_.target.value_or(needed.empty() ? ir::Target::oldest().opset() : needed.rbegin()->first);
    };
    const ir::Opset target = target_of();
    std::vector<Partitions::Finished*> finished(subgraphs.size());
    for (size_t s = 0; s < subgraphs.size(); ++s) {
      if (!subgraphs[s].coreml) continue;
      const auto partition = partitions_.finish(subgraphs[s].nodes, outputs[s], target);
      if (!partition) {
        take_back(subgraphs[s].nodes, partition.error());
        kept = false;
        continue;
      }
      finished[s] = *partition;
      if (!kept || !options_.drop_unprofitable || whole || finished[s]->gain_us >= 0) continue;
      drop(subgraphs[s].nodes, finished[s]->gain_us);
      dropped = true;
      if (--needed[needs[s]] == 0) needed.erase(needs[s]);
      if (target_of() != target) return false;  // another target, other gains
    }
    if (!kept || dropped) return false;
    adopt(std::move(subgraphs), finished);
    if (out_.partitions > 0) out_.target = target;
    return true;
  }

  void adopt(std::vector<Subgraph> subgraphs, const std::vector<Partitions::Finished*>& finished) {
    out_.subgraphs = std::move(subgraphs);
    for (size_t s = 0; s < out_.subgraphs.size(); ++s) {
      if (finished[s] == nullptr) continue;
      for (const Node* n : out_.subgraphs[s].nodes) out_.nodes[index_of(*n)].partition = out_.partitions;
      out_.subgraphs[s] = std::move(finished[s]->subgraph);
      out_.subgraphs[s].program->metadata = out_.host->program->metadata;
      std::move(finished[s]->findings.begin(), finished[s]->findings.end(), std::back_inserter(out_.findings));
      ++out_.partitions;
    }
  }

  size_t index_of(const Node& n) const { return static_cast<size_t>(&n - graph_.nodes.data()); }

  // A claim that could not be kept.
  void take_back(const Nodes& nodes, const Refusals& refusals) {
    for (const Diag& d : refusals) look_at(d);
    for (auto& [node, reasons] : blamed(nodes, refusals)) {
      Diag d;
      d.code = Code::claimed_late_refusal;
      d.message = "its partition could not be built";
      d.inner = std::move(reasons);
      to_host(*node, std::move(d));
    }
  }

  void drop(const Nodes& nodes, double gain) {
    Diag d;
    d.code = Code::not_worth_it;
    d.message = format("a partition of {} node{} would cost {:.0f} us more than it saves ({})", nodes.size(),
                       nodes.size() == 1 ? "" : "s", -gain, options_.cost.to_string());
    for (const Node* n : nodes) to_host(*n, d);
  }

  void to_host(const Node& n, Diag reason) {
    NodePlan& plan = out_.nodes[index_of(n)];
    plan.where = Where::host;
    plan.refusal = std::move(std::move(reason).at_node(n.name, n.op_type));
  }

  const Options& options_;
  const Bounds& bounds_;
  std::optional<Diag> cut_off_;
  const onnx::Graph& graph_;
  Partitioning out_;
  std::unordered_map<std::string_view, size_t> producer_;  // places in out_.nodes
  Names graph_outputs_;
  std::vector<size_t> scheduled_;        // places in out_.nodes
  std::vector<std::vector<int>> preds_;  // by scheduled node: places in scheduled_
  Partitions partitions_;
};

}  // namespace

Result<Partitioning> partition(std::shared_ptr<const onnx::HostProgram> host, const Options& options,
                               const Bounds& bounds) {
  return Partitioner(std::move(host), options, bounds).run();
}

}  // namespace graft::partition
