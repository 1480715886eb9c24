#include "onnx/graph.h"

#include <algorithm>
#include <numeric>
#include <queue>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/format.h"
#include "onnx/functions.h"
#include "onnx/lower.h"
#include "onnx/signature.h"

namespace graft::onnx {

std::string_view name(Attribute::Type type) {
  constexpr std::string_view names[] = {"nothing", "a float", "an int",  "a string", "a tensor", "a graph", "floats",
                                        "ints",    "strings", "tensors", "graphs",   "a type",   "types"};
  return names[static_cast<size_t>(type)];
}

const Attribute* Node::find(std::string_view attribute) const {
  for (const Attribute& a : attributes) {
    if (a.name == attribute) return &a;
  }
  return nullptr;
}

std::vector<const Graph*> Node::bodies() const {
  std::vector<const Graph*> all;
  for (const Attribute& a : attributes) {
    if (a.g) all.push_back(a.g.get());
    for (const auto& g : a.graphs) all.push_back(g.get());
  }
  return all;
}

const Initializer* Graph::find_initializer(std::string_view name) const {
  const auto it = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [&](uint32_t i, std::string_view n) { return initializers[i].name < n; });
  return it == by_name_.end() || initializers[*it].name != name ? nullptr : &initializers[*it];
}

void Graph::index_initializers() {
  by_name_.resize(initializers.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](uint32_t a, uint32_t b) { return initializers[a].name < initializers[b].name; });
}

namespace {

tl::unexpected<Diag> fail_at(const Node& node, std::string_view tensor, Code code, std::string message) {
  Diag d;
  d.code = code;
  d.message = std::move(message);
  return fail(std::move(d).at_node(node.name, node.op_type).at_tensor(tensor));
}

tl::unexpected<Diag> fail_on(std::string_view tensor, Code code, std::string message) {
  Diag d;
  d.code = code;
  d.message = std::move(message);
  return fail(std::move(d).at_tensor(tensor));
}

// What a graph defines: the number of the node that makes a name, or -1 for inputs and initializers.
using Producers = std::unordered_map<std::string_view, int64_t>;

Status fix_opsets(Model& model) {
  if (const auto it = model.opsets.find("ai.onnx"); it != model.opsets.end()) {
    const auto [same, fresh] = model.opsets.emplace("", it->second);
    if (!fresh && same->second != it->second) return fail(Code::invalid_model, "ai.onnx is imported in two versions");
    model.opsets.erase(it);
  }
  if (!model.opsets.empty()) return {};
  // Opset imports came with IR 3; what is older means the first opset.
  if (model.ir_version >= 3) return fail(Code::invalid_model, "the model imports no opset");
  model.opsets[""] = 1;
  return {};
}

Status check_attributes(const Graph& graph) {
  for (const Node& n : graph.nodes) {
    std::set<std::string_view> names;
    for (const Attribute& a : n.attributes) {
      if (!names.insert(a.name).second) {
        return fail_at(n, "", Code::invalid_attribute, format("two attributes '{}'", a.name));
      }
    }
    for (const Graph* body : n.bodies()) GRAFT_CHECK(check_attributes(*body));
  }
  return {};
}

// Takes the initializers out of the inputs; their names go to `both`, in the order of the inputs.
void split_initializers(Graph& graph, std::vector<std::string>* both) {
  graph.index_initializers();
  const auto is_constant = [&](const ValueInfo& v) { return graph.find_initializer(v.name) != nullptr; };
  if (both != nullptr) {
    for (const ValueInfo& v : graph.inputs) {
      if (is_constant(v)) both->push_back(v.name);
    }
  }
  std::erase_if(graph.inputs, is_constant);
}

Status define_all(const Graph& graph, Producers& producers) {
  for (const ValueInfo& v : graph.inputs) {
    if (v.name.empty()) return fail(Code::invalid_model, format("graph '{}' has an input without a name", graph.name));
    if (!producers.emplace(v.name, -1).second) return fail_on(v.name, Code::invalid_model, "two inputs have this name");
  }
  for (const Initializer& i : graph.initializers) {
    if (i.name.empty()) return fail(Code::invalid_model, "an initializer without a name");
    if (!producers.emplace(i.name, -1).second)
      return fail_on(i.name, Code::invalid_model, "two initializers have this name");
  }
  for (size_t k = 0; k < graph.nodes.size(); ++k) {
    for (const std::string& name : graph.nodes[k].outputs) {
      if (name.empty() || producers.emplace(name, static_cast<int64_t>(k)).second) continue;
      return fail_at(graph.nodes[k], name, Code::invalid_model,
                     "the node makes a value that already exists under this name");
    }
  }
  return {};
}

// Every name that a node reads, its bodies' captures included.
template <class F>
void for_each_read(const Node& node, const F& visit) {
  for (const std::string& name : node.inputs) {
    if (!name.empty()) visit(name);
  }
  for (const Graph* body : node.bodies()) {
    for (const std::string& name : body->captures) visit(name);
  }
}

// Kahn's algorithm; of the nodes that are ready, the first in the file comes first.
Status sort_nodes(Graph& graph, const Producers& producers) {
  const size_t n = graph.nodes.size();
  std::vector<std::vector<size_t>> readers(n);
  std::vector<size_t> waits(n, 0);
  for (size_t k = 0; k < n; ++k) {
    for_each_read(graph.nodes[k], [&](const std::string& name) {
      const auto it = producers.find(name);
      if (it == producers.end() || it->second < 0) return;
      readers[static_cast<size_t>(it->second)].push_back(k);
      ++waits[k];
    });
  }
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t k = 0; k < n; ++k) {
    if (waits[k] == 0) ready.push(k);
  }
  std::vector<Node> sorted;
  sorted.reserve(n);
  std::vector<bool> done(n, false);
  while (!ready.empty()) {
    const size_t k = ready.top();
    ready.pop();
    done[k] = true;
    for (size_t reader : readers[k]) {
      if (--waits[reader] == 0) ready.push(reader);
    }
    sorted.push_back(std::move(graph.nodes[k]));
  }
  if (sorted.size() != n) {
    const auto stuck = static_cast<size_t>(std::find(done.begin(), done.end(), false) - done.begin());
    return fail_at(graph.nodes[stuck], "", Code::invalid_model, "the node is part of a cycle, or behind one");
  }
  graph.nodes = std::move(sorted);
  return {};
}

bool is_sorted(const Graph& graph, const Producers& producers) {
  bool sorted = true;
  for (size_t k = 0; k < graph.nodes.size() && sorted; ++k) {
    for_each_read(graph.nodes[k], [&](const std::string& name) {
      const auto it = producers.find(name);
      if (it != producers.end() && it->second >= static_cast<int64_t>(k)) sorted = false;
    });
  }
  return sorted;
}

// Outputs beyond the first that nobody reads, as if the file had left them out: where the operator lets it.
void leave_out_unread(Graph& graph) {
  std::unordered_set<std::string_view> read;
  for (const Node& n : graph.nodes) for_each_read(n, [&](const std::string& name) { read.insert(name); });
  for (const ValueInfo& v : graph.outputs) read.insert(v.name);
  for (Node& n : graph.nodes) {
    const Lowering* row = n.bodies().empty() ? find_lowering(n.domain, n.op_type) : nullptr;
    for (size_t i = 1; row != nullptr && i < n.outputs.size(); ++i) {
      if (n.outputs[i].empty() || read.contains(n.outputs[i])) continue;
      std::string kept;
      kept.swap(n.outputs[i]);
      if (!check_signature(row->signature, n)) n.outputs[i].swap(kept);
    }
  }
}

// Checks one graph after its bodies, sorts it, and leaves in `captures` what it reads from outside.
Status resolve(Graph& graph) {
  for (Node& n : graph.nodes) {
    for (Attribute& a : n.attributes) {
      std::vector<Graph*> bodies;
      if (a.g) bodies.push_back(a.g.get());
      for (const auto& g : a.graphs) bodies.push_back(g.get());
      for (Graph* body : bodies) {
        split_initializers(*body, nullptr);
        auto status = resolve(*body);
        if (!status) return fail(std::move(status.error()).at_node(n.name, n.op_type));
      }
    }
  }
  Producers producers;
  GRAFT_CHECK(define_all(graph, producers));
  std::set<std::string> outside;
  const auto note = [&](const std::string& name) {
    if (producers.find(name) == producers.end()) outside.insert(name);
  };
  for (const Node& n : graph.nodes) for_each_read(n, note);
  for (const ValueInfo& v : graph.outputs) {
    if (v.name.empty()) return fail(Code::invalid_model, format("graph '{}' has an output without a name", graph.name));
    note(v.name);
  }
  leave_out_unread(graph);
  graph.captures.assign(outside.begin(), outside.end());
  if (is_sorted(graph, producers)) return {};
  return sort_nodes(graph, producers);
}

// The node that reads a name which nothing makes, as deep inside as it is.
const Node* reader_of(const Graph& graph, const std::string& name) {
  for (const Node& n : graph.nodes) {
    for (const Graph* body : n.bodies()) {
      if (!std::binary_search(body->captures.begin(), body->captures.end(), name)) continue;
      const Node* inner = reader_of(*body, name);
      return inner != nullptr ? inner : &n;
    }
    if (std::find(n.inputs.begin(), n.inputs.end(), name) != n.inputs.end()) return &n;
  }
  return nullptr;
}

Status check_outside(Graph& graph) {
  if (graph.captures.empty()) return {};
  const std::string& name = graph.captures.front();
  if (const Node* n = reader_of(graph, name)) {
    return fail_at(*n, name, Code::invalid_model, "the node reads a value that no input, initializer or node makes");
  }
  return fail_on(name, Code::invalid_model, "a graph output that no input, initializer or node makes");
}

Status check_outputs(const Graph& graph) {
  std::set<std::string_view> names;
  for (const ValueInfo& v : graph.outputs) {
    if (!names.insert(v.name).second) return fail_on(v.name, Code::invalid_model, "listed twice as a graph output");
  }
  return {};
}

}  // namespace

Model with_inputs(const Model& model, const std::vector<std::string>& names) {
  Model fed = model;
  for (const std::string& name : names) {
    const ir::Constant& value = *fed.graph.find_initializer(name)->value;
    ValueInfo input;
    input.name = name;
    input.type.kind = ValueType::Kind::tensor;
    input.type.dtype = value.dtype();
    input.type.has_shape = true;
    for (const int64_t d : value.shape()) input.type.dims.push_back({d, {}});
    fed.graph.inputs.push_back(std::move(input));
    std::erase(fed.overridable, name);
    std::erase_if(fed.graph.initializers, [&](const Initializer& i) { return i.name == name; });
    fed.graph.index_initializers();
  }
  return fed;
}

Model with_constant(const Model& model, const std::string& input, ir::ConstantPtr value) {
  Model m = model;
  std::erase_if(m.graph.inputs, [&](const ValueInfo& v) { return v.name == input; });
  m.graph.initializers.push_back({input, std::move(value)});
  m.graph.index_initializers();
  return m;
}

Result<std::shared_ptr<const Model>> up_to(std::shared_ptr<const Model> model,
                                           const std::vector<std::string>& outputs) {
  if (outputs.empty()) return model;
  auto cut = std::make_shared<Model>(*model);
  Graph& graph = cut->graph;
  std::map<std::string_view, const ValueInfo*> known;
  for (const auto* list : {&model->graph.inputs, &model->graph.value_info, &model->graph.outputs}) {
    for (const ValueInfo& v : *list) known[v.name] = &v;
  }
  std::set<std::string> needed;  // by what is left
  graph.outputs.clear();
  for (const std::string& name : outputs) {
    const auto makes = [&](const Node& n) {
      return std::find(n.outputs.begin(), n.outputs.end(), name) != n.outputs.end();
    };
    const auto is = [&](const ValueInfo& v) { return v.name == name; };
    if (name.empty() ||
        (std::none_of(graph.nodes.begin(), graph.nodes.end(), makes) &&
         std::none_of(graph.inputs.begin(), graph.inputs.end(), is) && graph.find_initializer(name) == nullptr))
      return fail_in(Code::invalid_option, model->path, format("outputs: the graph has no value '{}'", name));
    if (!needed.insert(name).second)
      return fail_in(Code::invalid_option, model->path, format("outputs: '{}' is named twice", name));
    const auto at = known.find(name);
    ValueInfo output;
    if (at != known.end()) output = *at->second;
    output.name = name;
    graph.outputs.push_back(std::move(output));
  }
  std::vector<Node> nodes;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    Node& n = graph.nodes[i];
    if (std::none_of(n.outputs.begin(), n.outputs.end(), [&](const std::string& o) { return needed.contains(o); }))
      continue;
    for_each_read(n, [&](const std::string& name) { needed.insert(name); });
    nodes.push_back(std::move(n));
  }
  std::reverse(nodes.begin(), nodes.end());
  graph.nodes = std::move(nodes);
  std::erase_if(graph.inputs, [&](const ValueInfo& v) { return !needed.contains(v.name); });
  std::erase_if(graph.initializers, [&](const Initializer& i) { return !needed.contains(i.name); });
  std::erase_if(cut->overridable, [&](const std::string& name) { return !needed.contains(name); });
  graph.index_initializers();
  return std::shared_ptr<const Model>(std::move(cut));
}

Status prepare(Model& model, const Limits& limits) {
  GRAFT_CHECK(fix_opsets(model));
  GRAFT_CHECK(inline_functions(model, limits));
  GRAFT_CHECK(check_attributes(model.graph));
  split_initializers(model.graph, model.ir_version >= 4 ? &model.overridable : nullptr);
  GRAFT_CHECK(resolve(model.graph));
  GRAFT_CHECK(check_outside(model.graph));
  return check_outputs(model.graph);
}

}  // namespace graft::onnx
