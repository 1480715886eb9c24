// The partitioner reads from top to bottom: attempt each node, find what is needed at all, group, build the pieces (and
// take back what cannot be built or does not pay), then build the host's runs. Longer than most files because the steps
// share their state.
#include "partition/partition.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "base/format.h"
#include "partition/grouping.h"
#include "partition/remedies.h"
#include "passes/dead_code.h"

namespace graft::partition {

std::string_view name(Where where) {
  switch (where) {
    case Where::coreml: return "coreml";
    case Where::folded: return "folded";
    case Where::host: return "host";
  }
  return "host";
}

int Partition::count(Where where) const {
  return static_cast<int>(
      std::count_if(nodes.begin(), nodes.end(), [&](const NodePlan& n) { return n.where == where; }));
}

std::vector<Diag> Partition::refusals() const {
  std::vector<Diag> list;
  for (const NodePlan& n : nodes) {
    if (n.where == Where::host && n.refusal) list.push_back(*n.refusal);
  }
  return list;
}

namespace {

using onnx::Node;

// Everything a node reads, its bodies' captures included.
std::vector<std::string> reads(const Node& n) {
  std::vector<std::string> names;
  for (const std::string& i : n.inputs) {
    if (!i.empty()) names.push_back(i);
  }
  for (const onnx::Graph* g : n.bodies()) names.insert(names.end(), g->captures.begin(), g->captures.end());
  return names;
}

class Partitioner {
 public:
  Partitioner(std::shared_ptr<const onnx::HostProgram> host, const Options& options)
      : options_(options), graph_(host->model->graph) {
    out_.host = std::move(host);
    for (const Node& n : graph_.nodes) {
      NodePlan plan;
      plan.node = &n;
      out_.nodes.push_back(std::move(plan));
      for (const std::string& o : n.outputs) {
        if (!o.empty()) producer_[o] = static_cast<int>(out_.nodes.size()) - 1;
      }
    }
    for (const onnx::ValueInfo& o : graph_.outputs) graph_outputs_.insert(o.name);
  }

  Result<Partition> run() {
    mark_folded();
    attempt_all();
    while (group()) {
    }
    settle_host_nodes();
    if (options_.claim) build_host_segments();
    count_flops();
    if (options_.remedies) find_remedies(*out_.host, options_, newest(), out_.nodes);
    return std::move(out_);
  }

 private:
  ir::Opset newest() const { return options_.target.value_or(ir::Opset::ios18); }

  bool is_constant(const std::string& name) const {
    const auto at = out_.host->values.find(name);
    return at != out_.host->values.end() ? at->second->is_constant() : graph_.find_initializer(name) != nullptr;
  }

  // Computed while compiling, or needed by no output.
  void mark_folded() {
    std::vector<bool> live(out_.nodes.size());
    const auto need = [&](const std::string& name) {
      if (const auto at = producer_.find(name); at != producer_.end() && !is_constant(name))
        live[static_cast<size_t>(at->second)] = true;
    };
    for (const std::string& o : graph_outputs_) need(o);
    for (size_t i = out_.nodes.size(); i-- > 0;) {
      if (!live[i]) {
        out_.nodes[i].where = Where::folded;
        continue;
      }
      for (const std::string& name : reads(*out_.nodes[i].node)) need(name);
    }
  }

  void attempt_all() {
    const onnx::PieceLowerer lowerer(*out_.host, ir::BuildTarget{newest()});
    for (NodePlan& n : out_.nodes) {
      if (n.where == Where::folded || !options_.claim) continue;
      Result<ir::Opset> r = lowerer.attempt(*n.node);
      if (r) {
        n.where = Where::coreml;
      } else {
        n.refusal = std::move(r).error();
      }
    }
  }

  // ---- grouping ----

  // The scheduled nodes (neither folded), as indices into out_.nodes, and their runs.
  std::vector<Run> runs() {
    scheduled_.clear();
    std::vector<int> position(out_.nodes.size(), -1);
    std::vector<std::vector<int>> preds;
    std::vector<bool> claimed;
    for (size_t i = 0; i < out_.nodes.size(); ++i) {
      if (out_.nodes[i].where == Where::folded) continue;
      position[i] = static_cast<int>(scheduled_.size());
      scheduled_.push_back(static_cast<int>(i));
      claimed.push_back(out_.nodes[i].where == Where::coreml);
      std::set<int> p;
      for (const std::string& name : reads(*out_.nodes[i].node)) {
        const auto at = producer_.find(name);
        if (at != producer_.end() && !is_constant(name) && position[static_cast<size_t>(at->second)] >= 0)
          p.insert(position[static_cast<size_t>(at->second)]);
      }
      preds.emplace_back(p.begin(), p.end());
    }
    return alternate_runs(preds, claimed);
  }

  std::vector<const Node*> nodes_of(const Run& run) const {
    std::vector<const Node*> list;
    for (int i : run.nodes) list.push_back(out_.nodes[static_cast<size_t>(scheduled_[static_cast<size_t>(i)])].node);
    return list;
  }

  // What a run makes that somebody else needs, in the order it is made.
  std::vector<std::string> outputs_of(const std::vector<const Node*>& nodes,
                                      const std::set<std::string>& needed_outside) const {
    std::vector<std::string> list;
    for (const Node* n : nodes) {
      for (const std::string& o : n->outputs) {
        if (!o.empty() && needed_outside.contains(o) && !is_constant(o)) list.push_back(o);
      }
    }
    return list;
  }

  std::set<std::string> needed_by_others(const std::vector<Run>& all, size_t self) const {
    std::set<std::string> names = graph_outputs_;
    for (size_t r = 0; r < all.size(); ++r) {
      if (r == self) continue;
      for (const Node* n : nodes_of(all[r])) {
        for (std::string& name : reads(*n)) names.insert(std::move(name));
      }
    }
    return names;
  }

  // One try at the whole grouping; true when some claim was taken back and everything has to be grouped again.
  bool group() {
    out_.segments.clear();
    out_.findings.clear();
    const std::vector<Run> all = runs();
    std::vector<onnx::Piece> pieces(all.size());
    ir::Opset needed = ir::Opset::ios15;
    const onnx::PieceLowerer lowerer(*out_.host, ir::BuildTarget{newest()});
    for (size_t r = 0; r < all.size(); ++r) {
      if (!all[r].claimed) continue;
      const std::vector<const Node*> nodes = nodes_of(all[r]);
      std::vector<std::string> outputs = outputs_of(nodes, needed_by_others(all, r));
      if (all.size() == 1) add_loose_outputs(outputs);
      Result<onnx::Piece> piece = lowerer.build("main", nodes, outputs);
      if (!piece) return take_back(nodes, std::move(piece).error());
      needed = std::max(needed, piece->needed);
      pieces[r] = std::move(*piece);
    }
    const ir::Opset target = options_.target.value_or(needed);
    int index = 0;
    for (size_t r = 0; r < all.size(); ++r) {
      Segment s;
      s.coreml = all[r].claimed;
      s.nodes = nodes_of(all[r]);
      if (s.coreml) {
        if (Status ok = finish(std::move(pieces[r]), target, s); !ok) return take_back(s.nodes, std::move(ok).error());
        const double gain = gain_us(*s.program->main(), options_.cost);
        if (options_.drop_unprofitable && all.size() > 1 && gain < 0) return drop(s.nodes, gain);
        for (const Node* n : s.nodes) out_.nodes[index_of(*n)].piece = index;
        ++index;
      }
      out_.segments.push_back(std::move(s));
    }
    out_.pieces = index;
    if (index > 0) out_.target = target;
    return false;
  }

  // Graph outputs that no scheduled node makes: constants and graph inputs passed through.
  void add_loose_outputs(std::vector<std::string>& outputs) const {
    for (const onnx::ValueInfo& o : graph_.outputs) {
      if (std::find(outputs.begin(), outputs.end(), o.name) == outputs.end()) outputs.push_back(o.name);
    }
    // The interface keeps the model's order.
    std::vector<std::string> ordered;
    for (const onnx::ValueInfo& o : graph_.outputs) ordered.push_back(o.name);
    outputs = std::move(ordered);
  }

  Status finish(onnx::Piece piece, ir::Opset target, Segment& s) {
    passes::PassContext context;
    context.target = ir::BuildTarget{target};
    passes::CoremlPassOptions options;
    options.target = target;
    options.precision = options_.precision;
    keep_model_order(piece);
    GRAFT_TRY([[maybe_unused]] const int dead, passes::dead_code(*piece.function, context));
    drop_unread(piece);
    GRAFT_TRY([[maybe_unused]] const auto changes, passes::run_coreml_pipeline(*piece.function, options, context));
    s.program = std::make_shared<ir::Program>();
    s.program->metadata = out_.host->program->metadata;
    s.opset = target;
    adopt_types(*piece.function, piece.inputs, piece.outputs);
    s.inputs = std::move(piece.inputs);
    s.outputs = std::move(piece.outputs);
    s.program->functions.push_back(std::move(piece.function));
    for (Diag& d : context.findings) out_.findings.push_back(std::move(d));
    GRAFT_TRY([[maybe_unused]] const ir::Opset needed, passes::needed_opset(*s.program->main(), target));
    return {};
  }

  // Inputs appear in the order in which nodes first read them; a piece that takes all of the model's takes them in the
  // model's order.
  void keep_model_order(onnx::Piece& piece) const {
    std::map<std::string, int> order;
    for (const onnx::ValueInfo& v : graph_.inputs) order.emplace(v.name, static_cast<int>(order.size()));
    for (const onnx::Border& b : piece.inputs) {
      if (!order.contains(b.name)) return;
    }
    const auto before = [&](const auto& a, const auto& b) { return order.at(a.name) < order.at(b.name); };
    std::sort(piece.inputs.begin(), piece.inputs.end(), before);
    std::sort(piece.function->inputs.begin(), piece.function->inputs.end(),
              [&](const ir::Value* a, const ir::Value* b) { return before(*a, *b); });
  }

  // What was only asked for its size, which is known: unless the model's own caller feeds it, nobody has to.
  void drop_unread(onnx::Piece& piece) const {
    const auto uses = ir::count_uses(piece.function->body);
    const auto unread = [&](const std::string& name) {
      const auto& inputs = out_.host->main().inputs;
      if (std::any_of(inputs.begin(), inputs.end(), [&](const ir::Value* v) { return v->name == name; })) return false;
      const auto& own = piece.function->inputs;
      return std::any_of(own.begin(), own.end(),
                         [&](const ir::Value* v) { return v->name == name && !uses.contains(v); });
    };
    std::erase_if(piece.inputs, [&](const onnx::Border& b) { return unread(b.name); });
    std::erase_if(piece.function->inputs, [&](const ir::Value* v) { return unread(v->name); });
  }

  // After the passes: the types the function really has.
  static void adopt_types(const ir::Function& fn, std::vector<onnx::Border>& inputs,
                          std::vector<onnx::Border>& outputs) {
    for (onnx::Border& b : inputs) {
      for (const ir::Value* v : fn.inputs) {
        if (v->name == b.name) b.type = v->type;
      }
    }
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i].type = fn.body.outputs[i]->type;
  }

  size_t index_of(const Node& n) const { return static_cast<size_t>(&n - graph_.nodes.data()); }

  // A claim that could not be kept: the node the reason names goes to the host, or all when it names none of them.
  bool take_back(const std::vector<const Node*>& nodes, Diag reason) {
    bool found = false;
    for (const Node* n : nodes) {
      if (n->name == reason.node && !reason.node.empty()) found = true;
    }
    for (const Node* n : nodes) {
      if (found && n->name != reason.node) continue;
      Diag d;
      d.code = Code::claimed_late_refusal;
      d.message = "its piece could not be built";
      d.inner.push_back(reason);
      to_host(*n, std::move(d));
    }
    return true;
  }

  bool drop(const std::vector<const Node*>& nodes, double gain) {
    for (const Node* n : nodes) {
      Diag d;
      d.code = Code::not_worth_it;
      d.message = format("a piece of {} node{} would cost {:.0f} us more than it saves ({})", nodes.size(),
                         nodes.size() == 1 ? "" : "s", -gain, options_.cost.to_string());
      to_host(*n, std::move(d));
    }
    return true;
  }

  void to_host(const Node& n, Diag reason) {
    NodePlan& plan = out_.nodes[index_of(n)];
    plan.where = Where::host;
    plan.refusal = std::move(std::move(reason).at_node(n.name, n.op_type));
  }

  // ---- the host's part ----

  // With the pieces final, host nodes whose results nobody reads any more (shapes that became constants) are folded,
  // and so are claimed nodes that left no operator behind.
  void settle_host_nodes() {
    std::unordered_set<std::string> needed(graph_outputs_.begin(), graph_outputs_.end());
    for (size_t r = out_.segments.size(); r-- > 0;) {
      Segment& s = out_.segments[r];
      if (s.coreml) {
        for (const onnx::Border& b : s.inputs) needed.insert(b.name);
        std::set<int32_t> ids;
        ir::visit_ops(s.program->main()->body, [&](ir::Op& op) { ids.insert(op.origin.begin(), op.origin.end()); });
        for (const Node* n : s.nodes) {
          if (!ids.contains(n->id)) out_.nodes[index_of(*n)].where = Where::folded;
        }
        continue;
      }
      std::vector<const Node*> kept;
      for (size_t i = s.nodes.size(); i-- > 0;) {
        const Node* n = s.nodes[i];
        const bool live =
            std::any_of(n->outputs.begin(), n->outputs.end(), [&](const std::string& o) { return needed.contains(o); });
        if (!live) {
          out_.nodes[index_of(*n)].where = Where::folded;
          continue;
        }
        for (std::string& name : reads(*n)) needed.insert(std::move(name));
        kept.insert(kept.begin(), n);
      }
      s.nodes = std::move(kept);
    }
    std::erase_if(out_.segments, [](const Segment& s) { return !s.coreml && s.nodes.empty(); });
  }

  void build_host_segments() {
    std::set<std::string> yielded, made;
    for (const Segment& s : out_.segments) {
      for (const onnx::Border& b : s.outputs) yielded.insert(b.name);
      for (const Node* n : s.nodes) made.insert(n->outputs.begin(), n->outputs.end());
    }
    std::vector<std::string> loose;
    for (const onnx::ValueInfo& o : graph_.outputs) {
      if (!yielded.contains(o.name) && (!made.contains(o.name) || is_constant(o.name))) loose.push_back(o.name);
    }
    if (!loose.empty() && (out_.segments.empty() || out_.segments.back().coreml)) out_.segments.emplace_back();
    const onnx::PieceLowerer lowerer(*out_.host, {});
    for (size_t r = 0; r < out_.segments.size(); ++r) {
      Segment& s = out_.segments[r];
      if (s.coreml) continue;
      std::set<std::string> needed = graph_outputs_;
      for (size_t other = r + 1; other < out_.segments.size(); ++other) {
        for (const onnx::Border& b : out_.segments[other].inputs) needed.insert(b.name);
        if (out_.segments[other].coreml) continue;
        for (const Node* n : out_.segments[other].nodes) {
          for (std::string& name : reads(*n)) needed.insert(std::move(name));
        }
      }
      std::vector<std::string> outputs = outputs_of(s.nodes, needed);
      if (r + 1 == out_.segments.size()) outputs.insert(outputs.end(), loose.begin(), loose.end());
      // A node without a lowering leaves the segment without a program; running the model reports host->problems.
      Result<onnx::Piece> piece = lowerer.build("main", s.nodes, outputs);
      if (!piece) continue;
      s.program = std::make_shared<ir::Program>();
      s.inputs = std::move(piece->inputs);
      s.outputs = std::move(piece->outputs);
      s.program->functions.push_back(std::move(piece->function));
    }
  }

  void count_flops() {
    std::unordered_set<int32_t> claimed;
    for (const NodePlan& n : out_.nodes) {
      if (n.where == Where::coreml) claimed.insert(n.node->id);
    }
    const ir::Function& main = out_.host->main();
    for (const auto& op : main.body.ops) {
      const double f = flops(*op, main.default_dims);
      out_.flops_total += f;
      if (std::any_of(op->origin.begin(), op->origin.end(), [&](int32_t id) { return claimed.contains(id); }))
        out_.flops_claimed += f;
    }
  }

  const Options& options_;
  const onnx::Graph& graph_;
  Partition out_;
  std::unordered_map<std::string, int> producer_;
  std::set<std::string> graph_outputs_;
  std::vector<int> scheduled_;
};

}  // namespace

Result<Partition> partition(std::shared_ptr<const onnx::HostProgram> host, const Options& options) {
  return Partitioner(std::move(host), options).run();
}

}  // namespace graft::partition
