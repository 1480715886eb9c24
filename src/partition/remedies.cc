// What would change a refusal, found by attempting again; only what succeeds is printed.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <unordered_set>

#include "base/format.h"
#include "onnx/visit.h"
#include "partition/attempts.h"

namespace graft::partition {
namespace {

bool may_find(const NodePlan& n, const onnx::HostProgram& host) {
  if (n.where != Where::host || !n.refusal) return false;
  // What was claimed once is taken alone, which says nothing of its partition.
  const bool alone = n.refusal->code != Code::not_worth_it && n.refusal->code != Code::claimed_late_refusal;
  return alone && !host.nodes[static_cast<size_t>(n.node->id)].failure;
}

// The first that takes them, of the later targets.
void try_later_targets(const onnx::HostProgram& host, const Options& options, const Bounds& bounds,
                       std::vector<NodePlan>& nodes) {
  std::unordered_set<const NodePlan*> helped;
  for (const ir::OpsetInfo& o : ir::all_opsets()) {
    if (o.opset <= options.newest()) continue;
    Attempts attempt(host, options.lowered_for(o.opset), bounds);
    for (NodePlan& n : nodes) {
      if (!may_find(n, host) || helped.contains(&n) || !attempt(*n.node)) continue;
      n.refusal->remedies.push_back(format("--target {}", o.name));
      helped.insert(&n);
    }
  }
}

void try_narrowing(const onnx::HostProgram& host, const Options& options, const Bounds& bounds,
                   std::vector<NodePlan>& nodes) {
  if (options.allow_narrowing) return;
  Attempts attempt(host, ir::Target::mlprogram(options.newest()).narrowing(true), bounds);
  for (NodePlan& n : nodes) {
    if (may_find(n, host) && n.refusal->code == Code::unsupported_dtype && attempt(*n.node))
      n.refusal->remedies.push_back("--allow-narrowing (fp64 is computed in fp32)");
  }
}

// Every open dim of every input fixed to its default, as --shapes takes it, and as options. Dims that the caller has
// given already are listed too: the text stands for all of --shapes.
std::optional<std::string> fixed_shapes(const onnx::HostProgram& host, onnx::LowerOptions& options) {
  const std::map<std::string, int64_t>& defaults = host.main().default_dims;
  const auto usual = [&](std::string_view symbol) -> std::optional<int64_t> {
    const auto at = defaults.find(std::string(symbol));
    return at == defaults.end() ? std::nullopt : std::optional(at->second);
  };
  std::string text;
  bool open = false;
  for (const onnx::ValueInfo& input : host.model->graph.inputs) {
    const std::vector<onnx::DimInfo>& declared = input.type.dims;
    const bool fixed = input.type.has_shape &&
                       std::all_of(declared.begin(), declared.end(), [](const onnx::DimInfo& d) { return d.known(); });
    if (fixed) continue;
    std::vector<onnx::DimSpec> specs;
    std::string shape;
    for (const ir::Dim& d : host.values.at(input.name)->dims()) {
      open |= !d.known();
      const int64_t n = d.eval(usual).value_or(std::max<int64_t>(d.range().lo, 1));
      specs.push_back({n, n, std::nullopt});
      shape += (shape.empty() ? "" : "x") + std::to_string(n);
    }
    if (specs.empty()) shape = "scalar";
    if (input.name.find(',') != std::string::npos) return std::nullopt;  // --shapes cannot say it
    options.shapes[input.name] = std::move(specs);
    text += format("{}{}:{}", text.empty() ? "" : ",", input.name, shape);
  }
  constexpr size_t kLongest = 4096;  // it is printed with every refusal that it helps
  if (!open || text.size() > kLongest) return std::nullopt;
  return shell_word(text);
}

void try_fixed_shapes(const onnx::HostProgram& host, const Options& so_far, const Bounds& bounds,
                      std::vector<NodePlan>& nodes) {
  std::vector<NodePlan*> left;
  for (NodePlan& n : nodes) {
    if (may_find(n, host)) left.push_back(&n);
  }
  onnx::LowerOptions options;
  const std::optional<std::string> text = left.empty() ? std::nullopt : fixed_shapes(host, options);
  if (!text) return;
  const Result<onnx::HostProgram> fixed = onnx::lower_for_host(host.model, options, bounds);
  if (!fixed || fixed->problems.size() != host.problems.size()) return;
  Attempts attempt(*fixed, so_far.lowered_for(so_far.newest()), bounds);
  for (NodePlan* n : left) {
    if (attempt(*n->node)) n->refusal->remedies.push_back("--shapes " + *text);
  }
}

ir::ConstantPtr filled(DType dtype, const Shape& shape, double with) {
  Tensor t(dtype, shape);
  const ir::ConstantPtr one = ir::Constant::scalar(dtype, with);
  const size_t size = item_size(dtype);
  for (size_t i = 0; i < static_cast<size_t>(t.count()); ++i)
    std::memcpy(t.mutable_view().as<std::byte>() + i * size, one->view().data, size);
  return ir::Constant::of(t);
}

// MIL wants many parameters as constants that ONNX lets be inputs: would a node be taken if one of the graph's inputs
// were an initializer? Which value is not known here: all zeros are tried, and all ones (a count of zero may be
// illegal).
void try_constant_inputs(const onnx::HostProgram& host, const Options& options, const Bounds& bounds,
                         std::vector<NodePlan>& nodes) {
  std::unordered_map<std::string_view, std::vector<NodePlan*>> readers;  // the host may want the constant as well
  for (NodePlan& n : nodes) {
    if (n.where != Where::host || !n.refusal || n.refusal->code != Code::needs_constant) continue;
    for (const std::string& name : n.node->inputs) readers[name].push_back(&n);
  }
  std::unordered_set<const NodePlan*> helped;
  constexpr int64_t kLargest = 64;  // elements: parameters are small
  int inputs_left = 16;             // each is a lowering of the whole graph, twice
  for (const onnx::ValueInfo& input : host.model->graph.inputs) {
    const auto at = readers.find(input.name);
    if (at == readers.end()) continue;
    std::vector<NodePlan*>& left = at->second;
    std::erase_if(left, [&](const NodePlan* n) { return helped.contains(n); });
    const ir::Type& type = host.values.at(input.name)->type;
    if (left.empty() || !type.is_static() || type.dtype == DType::string || checked_count(type.shape()) > kLargest)
      continue;
    if (inputs_left-- == 0) return;
    for (const double value : {0.0, 1.0}) {
      const auto model = std::make_shared<const onnx::Model>(
          onnx::with_constant(*host.model, input.name, filled(type.dtype, type.shape(), value)));
      const Result<onnx::HostProgram> fixed = onnx::lower_for_host(model, {}, bounds);
      if (!fixed || fixed->problems.size() > host.problems.size()) continue;
      Attempts attempt(*fixed, options.lowered_for(options.newest()), bounds);
      std::erase_if(left, [&](NodePlan* n) {
        if (helped.contains(n)) return true;
        if (!attempt(*n->node)) return false;
        n->refusal->remedies.push_back(format("make the input '{}' an initializer", input.name));
        helped.insert(n);
        return true;
      });
    }
  }
}

}  // namespace

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain = "._-:/,@%+=";
  const auto plain = [&](unsigned char c) {
    return std::isalnum(c) != 0 || kPlain.find(static_cast<char>(c)) != kPlain.npos;
  };
  if (std::all_of(word.begin(), word.end(), plain)) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::vector<std::string> ends_before_host(const Partitioning& partitioning) {
  const onnx::Graph& graph = partitioning.host->model->graph;
  std::unordered_set<std::string> made, behind;  // by nodes that depend on no host node, and by those that do
  std::vector<std::string> ends;
  std::unordered_set<std::string> ended;
  int kept = 0, all = 0;
  for (const NodePlan& n : partitioning.nodes) {
    if (n.where == Where::folded) continue;
    bool depends = n.where == Where::host;
    onnx::visit_reads(*n.node, [&](const std::string& name) { depends = depends || behind.contains(name); });
    ++all;
    kept += depends ? 0 : 1;
    for (const std::string& o : n.node->outputs) {
      if (!o.empty()) (depends ? behind : made).insert(o);
    }
    if (!depends) continue;
    onnx::visit_reads(*n.node, [&](const std::string& name) {
      if (made.contains(name) && ended.insert(name).second) ends.push_back(name);
    });
  }
  for (const onnx::ValueInfo& o : graph.outputs) {
    if (made.contains(o.name) && ended.insert(o.name).second) ends.push_back(o.name);
  }
  return 2 * kept < all ? std::vector<std::string>() : ends;
}

void find_remedies(const onnx::HostProgram& host, const Options& options, const Bounds& bounds,
                   std::vector<NodePlan>& nodes) {
  if (!options.claim) return;
  try_later_targets(host, options, bounds, nodes);
  try_narrowing(host, options, bounds, nodes);
  try_fixed_shapes(host, options, bounds, nodes);
  try_constant_inputs(host, options, bounds, nodes);
}

}  // namespace graft::partition
