#include "partition/partitions.h"

#include <algorithm>
#include <unordered_set>

#include "ir/text.h"
#include "passes/dead_code.h"

namespace graft::partition {
namespace {

tl::unexpected<Refusals> only(Diag d) {
  Refusals one;
  one.push_back(std::move(d));
  return tl::unexpected(std::move(one));
}

// After the passes: the types the function really has.
void adopt_types(const ir::Function& fn, onnx::LoweredSubgraph& partition) {
  std::unordered_map<std::string_view, const ir::Type*> types;
  for (const ir::Value* v : fn.inputs) types.emplace(v->name, &v->type);
  for (ir::BoundaryPort& b : partition.inputs) {
    if (const auto at = types.find(b.name); at != types.end()) b.type = *at->second;
  }
  for (size_t i = 0; i < partition.outputs.size(); ++i) partition.outputs[i].type = fn.body.outputs[i]->type;
}

}  // namespace

Partitions::Partitions(const onnx::HostProgram& host, const Options& options, const Bounds& bounds)
    : options_(options), bounds_(bounds), lowerer_(host, options.lowered_for(options.newest()), bounds) {
  for (const onnx::ValueInfo& v : host.model->graph.inputs)
    model_inputs_.emplace(v.name, static_cast<int>(model_inputs_.size()));
}

OrRefusals<onnx::LoweredSubgraph> Partitions::build(const Nodes& nodes, const std::vector<std::string>& outputs) {
  lowered_ += static_cast<int64_t>(nodes.size());
  return lowerer_.build("main", nodes, outputs);
}

OrRefusals<ir::Opset> Partitions::lower(const Nodes& nodes, const std::vector<std::string>& outputs) {
  const auto at = entries_.find(nodes);
  if (at != entries_.end()) return at->second.needed;
  OrRefusals<onnx::LoweredSubgraph> partition = build(nodes, outputs);
  if (!partition) return tl::unexpected(std::move(partition).error());
  Entry& entry = entries_[nodes];
  entry.needed = partition->needed;
  entry.lowered = std::move(*partition);
  return entry.needed;
}

OrRefusals<Partitions::Finished*> Partitions::finish(const Nodes& nodes, const std::vector<std::string>& outputs,
                                                     ir::Opset target) {
  Entry& entry = entries_.at(nodes);
  if (entry.finished && entry.finished->subgraph.target == ir::Target::mlprogram(target)) return &*entry.finished;
  if (!entry.lowered) {  // it was finished for another target
    OrRefusals<onnx::LoweredSubgraph> again = build(nodes, outputs);
    if (!again) return tl::unexpected(std::move(again).error());
    entry.lowered = std::move(*again);
  }
  onnx::LoweredSubgraph partition = std::move(*entry.lowered);
  entry.lowered.reset();
  OrRefusals<Finished> finished = run_passes(std::move(partition), nodes, target);
  if (!finished) return tl::unexpected(std::move(finished).error());
  entry.finished = std::move(*finished);
  return &*entry.finished;
}

OrRefusals<Partitions::Finished> Partitions::run_passes(onnx::LoweredSubgraph partition, const Nodes& nodes,
                                                        ir::Opset target) const {
  passes::PassContext context;
  context.target = ir::Target::mlprogram(target);
  context.bounds = bounds_;
  context.keep_fp32 = keep_fp32;
  std::vector<Dump> dumps;
  if (!options_.dump_after.empty()) {
    context.after_pass = [&](std::string_view pass, const ir::Function& f) {
      if (options_.dump_after == pass || options_.dump_after == "all")
        dumps.push_back({std::string(pass), ir::to_text(f, {target, ir::kReadableElements})});
    };
  }
  passes::CoremlPassOptions options;
  options.target = context.target;
  options.precision = options_.precision;
  keep_model_order(partition);
  if (Result<int> dead = passes::dead_code(*partition.function, context); !dead) return only(std::move(dead).error());
  drop_unread(partition);
  if (Status s = passes::run_coreml_pipeline(*partition.function, options, context); !s)
    return only(std::move(s).error());
  if (auto legal = passes::needed_opset(*partition.function, context.target); !legal)
    return tl::unexpected(std::move(legal).error());
  adopt_types(*partition.function, partition);
  Finished out;
  out.gain_us = gain_us(*partition.function, options_.cost);
  out.findings = std::move(context.findings);
  for (Diag& d : out.findings) {  // of what an operator was made of, the last node gives its result
    const auto among = [&](const onnx::Node* n) { return std::binary_search(d.origin.begin(), d.origin.end(), n->id); };
    const auto at = std::find_if(nodes.rbegin(), nodes.rend(), among);
    if (at != nodes.rend()) d.node = (*at)->name;
  }
  out.subgraph.coreml = true;
  out.subgraph.dumps = std::move(dumps);
  out.subgraph.target = context.target;
  out.subgraph.nodes = nodes;
  out.subgraph.inputs = std::move(partition.inputs);
  out.subgraph.outputs = std::move(partition.outputs);
  out.subgraph.program = std::make_shared<ir::Program>();
  out.subgraph.program->functions.push_back(std::move(partition.function));
  return out;
}

// Inputs appear in the order in which nodes first read them; a partition that takes all of the model's takes them in
// the model's order.
void Partitions::keep_model_order(onnx::LoweredSubgraph& partition) const {
  for (const ir::BoundaryPort& b : partition.inputs) {
    if (!model_inputs_.contains(b.name)) return;
  }
  const auto before = [&](const auto& a, const auto& b) { return model_inputs_.at(a.name) < model_inputs_.at(b.name); };
  std::sort(partition.inputs.begin(), partition.inputs.end(), before);
  std::sort(partition.function->inputs.begin(), partition.function->inputs.end(),
            [&](const ir::Value* a, const ir::Value* b) { return before(*a, *b); });
}

// What was only asked for its size, which is known: unless the model's own caller feeds it, nobody has to.
void Partitions::drop_unread(onnx::LoweredSubgraph& partition) const {
  const auto uses = ir::count_uses(partition.function->body);
  std::unordered_set<std::string> unread;
  for (const ir::Value* v : partition.function->inputs) {
    if (!uses.contains(v) && !model_inputs_.contains(v->name)) unread.insert(v->name);
  }
  std::erase_if(partition.inputs, [&](const ir::BoundaryPort& b) { return unread.contains(b.name); });
  std::erase_if(partition.function->inputs, [&](const ir::Value* v) { return unread.contains(v->name); });
}

std::vector<std::pair<const onnx::Node*, Refusals>> blamed(const Nodes& nodes, const Refusals& refusals) {
  std::unordered_map<int32_t, Refusals> by_id;
  for (const Diag& d : refusals) {
    for (int32_t id : d.origin) by_id[id].push_back(d);
  }
  std::vector<std::pair<const onnx::Node*, Refusals>> list;
  for (const onnx::Node* n : nodes) {
    if (const auto at = by_id.find(n->id); at != by_id.end()) list.emplace_back(n, std::move(at->second));
  }
  if (!list.empty()) return list;
  for (const onnx::Node* n : nodes) list.emplace_back(n, refusals);
  return list;
}

}  // namespace graft::partition
