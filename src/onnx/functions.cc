// Longer than most files: one recursion over nodes, attributes and bodies, whose parts mean nothing apart.
#include "onnx/functions.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "base/format.h"

namespace graft::onnx {
namespace {

using Opsets = std::map<std::string, int>;

std::string_view plain_domain(std::string_view domain) { return domain == "ai.onnx" ? std::string_view() : domain; }

tl::unexpected<Diag> fail_at(const Node& node, Code code, std::string message) {
  Diag d;
  d.code = code;
  d.message = std::move(message);
  return fail(std::move(d).at_node(node.name, node.op_type));
}

std::string title(const Function& f) {
  return format("{}{}{}{}{}", f.domain, f.domain.empty() ? "" : ".", f.name, f.overload.empty() ? "" : ":", f.overload);
}

// Every name that a graph or one of its bodies mentions.
void collect_names(const Graph& graph, std::unordered_set<std::string>& names) {
  for (const auto* list : {&graph.inputs, &graph.outputs}) {
    for (const ValueInfo& v : *list) names.insert(v.name);
  }
  for (const Initializer& i : graph.initializers) names.insert(i.name);
  for (const Node& n : graph.nodes) {
    names.insert(n.inputs.begin(), n.inputs.end());
    names.insert(n.outputs.begin(), n.outputs.end());
    for (const Graph* body : n.bodies()) collect_names(*body, names);
  }
}

class Inliner {
 public:
  Inliner(Model& model, const Limits& limits) : model_(model), limits_(limits), memory_(limits.memory) {}
  Status run();

 private:
  // One call that is being written out: what the function's names mean at the place of the call.
  struct Call {
    const Function& function;
    const Node& node;
    std::string prefix;  // "<name of the call>/"
    std::unordered_map<std::string, std::string> names;
    std::unordered_set<std::string_view> formal_inputs, formals;
  };
  // Where nodes are written: the opsets that hold there, how deep it is, and what comes before names.
  struct Place {
    const Opsets& opsets;
    const std::string& prefix;
    int depth;
    std::vector<ValueInfo>& value_info;
  };

  Status index_functions();
  Status expand(Graph& graph, const Opsets& opsets, const std::string& prefix, int depth);
  Status place(Node node, const Place& at, std::vector<Node>& out);
  Status place_call(const Node& node, const Function& function, const Place& at, std::vector<Node>& out);
  Status bind_outputs(Call& call, std::vector<Node>& identities);
  const Function* function_of(const Node& node) const;
  int version_of(const Node& node, const Opsets& opsets) const;
  void stamp_versions(Node& call, const Opsets& opsets) const;

  Result<Node> copy_node(const Node& node, Call& call, bool in_body);
  Result<std::shared_ptr<Graph>> copy_graph(const Graph& graph, Call& call);
  Result<std::shared_ptr<Graph>> copy_graph(const Graph& graph);  // as it is
  Status copy_attribute(const Attribute& a, Call& call, std::vector<Attribute>& out);
  Result<Attribute> copy_attribute(const Attribute& a);
  Status define(const std::string& name, Call& call, bool in_body, std::string& out);
  Result<std::string> renamed(const std::string& name, Call& call);
  Status charge(size_t bytes);

  Model& model_;
  const Limits& limits_;
  size_t memory_;
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, const Function*> functions_;
  std::vector<const Function*> active_;         // calls that we are inside of
  std::unordered_set<std::string> names_;       // every value name in the model so far
  std::unordered_map<std::string, int> taken_;  // how often a wanted name was not free
};

Status Inliner::charge(size_t bytes) {
  GRAFT_CHECK(check(limits_.cancel));
  if (bytes > memory_) return fail(Code::limit_exceeded, "the model's functions expand to too much");
  memory_ -= bytes;
  return {};
}

Status Inliner::index_functions() {
  for (Function& f : model_.functions) {
    f.domain = plain_domain(f.domain);
    if (f.name.empty()) return fail(Code::invalid_model, "a function without a name");
    if (!functions_
             .emplace(std::tuple(std::string_view(f.domain), std::string_view(f.name), std::string_view(f.overload)),
                      &f)
             .second) {
      return fail(Code::invalid_model, format("two functions {}", title(f)));
    }
    std::unordered_set<std::string_view> formals;
    for (const std::string& name : f.inputs) {
      if (name.empty() || !formals.insert(name).second) {
        return fail(Code::invalid_model, format("function {}: two inputs '{}', or one without a name", title(f), name));
      }
    }
  }
  return {};
}

Status Inliner::run() {
  GRAFT_CHECK(index_functions());
  if (!functions_.empty()) collect_names(model_.graph, names_);
  const std::string no_prefix;
  GRAFT_CHECK(expand(model_.graph, model_.opsets, no_prefix, 0));
  functions_.clear();
  model_.functions.clear();
  return {};
}

const Function* Inliner::function_of(const Node& node) const {
  const auto it = functions_.find({node.domain, node.op_type, node.overload});
  return it == functions_.end() ? nullptr : it->second;
}

int Inliner::version_of(const Node& node, const Opsets& opsets) const {
  if (node.version != 0) return node.version;  // a front door may know better
  if (const auto it = opsets.find(node.domain); it != opsets.end()) return it->second;
  const auto it = model_.opsets.find(node.domain);
  return it == model_.opsets.end() ? 0 : it->second;
}

// Graphs that a call passes as attributes keep the opsets of the place where they were written.
void Inliner::stamp_versions(Node& call, const Opsets& opsets) const {
  const auto stamp = [&](Graph& g) {
    for (Node& n : g.nodes) {
      n.domain = plain_domain(n.domain);
      n.version = version_of(n, opsets);
      stamp_versions(n, opsets);
    }
  };
  for (Attribute& a : call.attributes) {
    if (a.g) stamp(*a.g);
    for (auto& g : a.graphs) stamp(*g);
  }
}

Status Inliner::expand(Graph& graph, const Opsets& opsets, const std::string& prefix, int depth) {
  if (depth > limits_.depth)
    return fail(Code::limit_exceeded, format("bodies and calls nested over {} deep", limits_.depth));
  std::vector<Node> nodes;
  nodes.reserve(graph.nodes.size());
  for (Node& node : graph.nodes) GRAFT_CHECK(place(std::move(node), {opsets, prefix, depth, graph.value_info}, nodes));
  graph.nodes = std::move(nodes);
  return {};
}

Status Inliner::place(Node node, const Place& at, std::vector<Node>& out) {
  if (model_.next_id >= limits_.nodes) {
    return fail(Code::limit_exceeded, format("over {} nodes with functions inlined", limits_.nodes));
  }
  node.id = model_.next_id++;
  node.domain = plain_domain(node.domain);
  if (node.name.empty()) node.name = format("{}_{}", node.op_type, node.id);
  node.name.insert(0, at.prefix);
  node.version = version_of(node, at.opsets);
  if (const Function* f = function_of(node)) {
    stamp_versions(node, at.opsets);
    return place_call(node, *f, at, out);
  }
  for (Attribute& a : node.attributes) {
    if (!a.ref_attr_name.empty()) {
      return fail_at(node, Code::invalid_model,
                     format("attribute '{}' refers to a caller's, but this is no function", a.name));
    }
    if (a.g) GRAFT_CHECK(expand(*a.g, at.opsets, at.prefix, at.depth + 1));
    for (auto& g : a.graphs) GRAFT_CHECK(expand(*g, at.opsets, at.prefix, at.depth + 1));
  }
  out.push_back(std::move(node));
  return {};
}

Status Inliner::place_call(const Node& node, const Function& f, const Place& at, std::vector<Node>& out) {
  if (at.depth >= limits_.depth) {
    // Only now: a function may well be met again inside of itself, in a graph that a call passes as an attribute.
    if (std::find(active_.begin(), active_.end(), &f) != active_.end()) {
      return fail_at(node, Code::invalid_model, format("function {} calls itself without end", title(f)));
    }
    return fail_at(node, Code::limit_exceeded, format("bodies and calls nested over {} deep", limits_.depth));
  }
  active_.push_back(&f);
  if (node.inputs.size() > f.inputs.size() || node.outputs.size() > f.outputs.size()) {
    return fail_at(node, Code::invalid_model,
                   format("function {} takes {} inputs and gives {} outputs; the call has {} and {}", title(f),
                          f.inputs.size(), f.outputs.size(), node.inputs.size(), node.outputs.size()));
  }
  Call call{f, node, node.name + "/", {}, {f.inputs.begin(), f.inputs.end()}, {}};
  call.formals = call.formal_inputs;
  for (size_t i = 0; i < f.inputs.size(); ++i) call.names[f.inputs[i]] = node.has_input(i) ? node.inputs[i] : "";
  std::vector<Node> identities;
  GRAFT_CHECK(bind_outputs(call, identities));
  const Place inside{f.opsets, call.prefix, at.depth + 1, at.value_info};
  for (const Node& n : f.nodes) {
    auto copy = copy_node(n, call, false);
    if (!copy) return fail(std::move(copy.error()).at_node(node.name, node.op_type));
    GRAFT_CHECK(place(std::move(*copy), inside, out));
  }
  for (Node& n : identities) GRAFT_CHECK(place(std::move(n), inside, out));
  for (const ValueInfo& v : f.value_info) {
    const auto it = call.names.find(v.name);
    if (it == call.names.end() || call.formals.count(v.name) != 0) continue;  // the caller's own names have their own
    GRAFT_CHECK(charge(sizeof(ValueInfo) + it->second.size() + v.type.dims.size() * sizeof(DimInfo)));
    at.value_info.push_back({it->second, v.type});
  }
  active_.pop_back();
  return {};
}

// The function's outputs get the caller's names. One that is an input handed through, or is listed twice, needs a node.
Status Inliner::bind_outputs(Call& call, std::vector<Node>& identities) {
  const Function& f = call.function;
  for (size_t i = 0; i < call.node.outputs.size(); ++i) {
    const std::string& actual = call.node.outputs[i];
    if (actual.empty()) continue;
    const auto [it, fresh] = call.names.emplace(f.outputs[i], actual);
    call.formals.insert(f.outputs[i]);
    if (fresh) continue;
    if (it->second.empty()) {
      return fail_at(call.node, Code::invalid_model,
                     format("output '{}' of function {} is its input '{}', which the call leaves out", actual, title(f),
                            it->first));
    }
    GRAFT_CHECK(charge(2 * sizeof(Node)));
    Node identity;
    identity.op_type = "Identity";
    identity.inputs = {it->second};
    identity.outputs = {actual};
    identity.version = version_of(identity, f.opsets);
    if (identity.version == 0) identity.version = 13;  // nobody imports ai.onnx; Identity never changed for tensors
    identities.push_back(std::move(identity));
  }
  return {};
}

Result<std::string> Inliner::renamed(const std::string& name, Call& call) {
  if (name.empty()) return std::string();
  if (const auto it = call.names.find(name); it != call.names.end()) return it->second;
  std::string wanted = call.prefix + name;
  GRAFT_CHECK(charge(4 * (wanted.size() + 2 * sizeof(std::string))));
  std::string free = wanted;
  while (!names_.insert(free).second) free = format("{}_{}", wanted, ++taken_[wanted]);
  call.names.emplace(name, free);
  return free;
}

Status Inliner::define(const std::string& name, Call& call, bool in_body, std::string& out) {
  if (in_body ? call.formals.count(name) != 0 : call.formal_inputs.count(name) != 0) {
    return fail(Code::invalid_model, format("function {} defines '{}', which is its own {}", title(call.function), name,
                                            call.formal_inputs.count(name) != 0 ? "input" : "output"));
  }
  GRAFT_TRY(out, renamed(name, call));
  return charge(out.size());
}

Result<Node> Inliner::copy_node(const Node& node, Call& call, bool in_body) {
  GRAFT_CHECK(charge(2 * sizeof(Node) + node.name.size() + node.doc.size() + call.prefix.size() +
                     (node.inputs.size() + node.outputs.size()) * sizeof(std::string)));
  Node copy;
  copy.name = node.name;
  copy.op_type = node.op_type;
  copy.domain = node.domain;
  copy.overload = node.overload;
  copy.version = node.version;
  copy.doc = node.doc;
  for (const auto& [key, value] : node.metadata) {
    GRAFT_CHECK(charge(64 + key.size() + value.size()));
    copy.metadata.emplace(key, value);
  }
  for (const std::string& name : node.inputs) {
    GRAFT_TRY(std::string mine, renamed(name, call));
    GRAFT_CHECK(charge(mine.size()));
    copy.inputs.push_back(std::move(mine));
  }
  for (const std::string& name : node.outputs) GRAFT_CHECK(define(name, call, in_body, copy.outputs.emplace_back()));
  for (const Attribute& a : node.attributes) GRAFT_CHECK(copy_attribute(a, call, copy.attributes));
  return copy;
}

Result<std::shared_ptr<Graph>> Inliner::copy_graph(const Graph& graph, Call& call) {
  auto copy = std::make_shared<Graph>();
  GRAFT_CHECK(charge(sizeof(Graph) + graph.doc.size() + graph.name.size() +
                     (graph.inputs.size() + graph.outputs.size()) * sizeof(ValueInfo)));
  copy->name = graph.name;
  copy->doc = graph.doc;
  const auto dims_size = [](const ValueInfo& v) { return v.type.dims.size() * sizeof(DimInfo); };
  for (const ValueInfo& v : graph.inputs) {
    GRAFT_CHECK(charge(dims_size(v)));
    GRAFT_CHECK(define(v.name, call, true, copy->inputs.emplace_back(v).name));
  }
  for (const Initializer& i : graph.initializers) {
    GRAFT_CHECK(charge(2 * sizeof(Initializer)));
    GRAFT_CHECK(define(i.name, call, true, copy->initializers.emplace_back(i).name));
  }
  for (const Node& n : graph.nodes) {
    GRAFT_TRY(Node mine, copy_node(n, call, true));
    copy->nodes.push_back(std::move(mine));
  }
  for (const auto* list : {&graph.outputs, &graph.value_info}) {
    for (const ValueInfo& v : *list) {
      GRAFT_CHECK(charge(2 * sizeof(ValueInfo) + dims_size(v)));
      GRAFT_TRY(std::string mine, renamed(v.name, call));
      (list == &graph.outputs ? copy->outputs : copy->value_info).push_back({std::move(mine), v.type});
    }
  }
  return copy;
}

Result<std::shared_ptr<Graph>> Inliner::copy_graph(const Graph& graph) {
  // Names stay: the caller wrote this graph and its names mean the same where it goes. A call with itself as function
  // and every name bound to itself would do the same; copying plainly is cheaper.
  size_t size = sizeof(Graph) + graph.initializers.size() * sizeof(Initializer) +
                (graph.inputs.size() + graph.outputs.size() + graph.value_info.size()) * sizeof(ValueInfo);
  for (const Initializer& i : graph.initializers) size += i.name.size();
  for (const auto* list : {&graph.inputs, &graph.outputs, &graph.value_info}) {
    for (const ValueInfo& v : *list) size += v.name.size() + v.type.dims.size() * sizeof(DimInfo);
  }
  for (const Node& n : graph.nodes) {
    size += 2 * sizeof(Node) + n.name.size() + n.doc.size() + n.metadata.size() * 64;
    for (const auto& [key, value] : n.metadata) size += key.size() + value.size();
    for (const auto* list : {&n.inputs, &n.outputs}) {
      for (const std::string& s : *list) size += sizeof(std::string) + s.size();
    }
  }
  GRAFT_CHECK(charge(size));
  auto copy = std::make_shared<Graph>(graph);
  for (Node& n : copy->nodes) {
    for (Attribute& a : n.attributes) {
      GRAFT_TRY(a, copy_attribute(a));
    }
  }
  return copy;
}

Result<Attribute> Inliner::copy_attribute(const Attribute& a) {
  size_t size = 2 * sizeof(Attribute) + a.name.size() + a.s.size() + a.ints.size() * sizeof(int64_t) +
                a.floats.size() * sizeof(float) + a.tensors.size() * sizeof(ir::ConstantPtr) +
                a.types.size() * sizeof(ValueType) + a.strings.size() * sizeof(std::string);
  for (const std::string& s : a.strings) size += s.size();
  GRAFT_CHECK(charge(size));
  Attribute copy = a;
  if (a.g) {
    GRAFT_TRY(copy.g, copy_graph(*a.g));
  }
  for (auto& g : copy.graphs) {
    GRAFT_TRY(g, copy_graph(*g));
  }
  return copy;
}

Status Inliner::copy_attribute(const Attribute& a, Call& call, std::vector<Attribute>& out) {
  if (a.ref_attr_name.empty()) {
    Attribute plain = a;  // shares its graphs for a moment; they are replaced below
    plain.g.reset();
    plain.graphs.clear();
    GRAFT_TRY(Attribute copy, copy_attribute(plain));
    if (a.g) {
      GRAFT_TRY(copy.g, copy_graph(*a.g, call));
    }
    for (const auto& g : a.graphs) {
      GRAFT_TRY(copy.graphs.emplace_back(), copy_graph(*g, call));
    }
    out.push_back(std::move(copy));
    return {};
  }
  const Function& f = call.function;
  const Attribute* given = call.node.find(a.ref_attr_name);
  if (given == nullptr) {
    const auto it = std::find_if(f.defaults.begin(), f.defaults.end(),
                                 [&](const Attribute& d) { return d.name == a.ref_attr_name; });
    if (it == f.defaults.end()) return {};  // left out by the caller: left out here, too
    given = &*it;
  }
  if (a.type != Attribute::Type::none && a.type != given->type) {
    return fail(Code::invalid_attribute, format("attribute '{}' is {}; function {} uses it as {}", a.ref_attr_name,
                                                name(given->type), title(f), name(a.type)));
  }
  GRAFT_TRY(Attribute copy, copy_attribute(*given));
  copy.name = a.name;
  out.push_back(std::move(copy));
  return {};
}

}  // namespace

Status inline_functions(Model& model, const Limits& limits) { return Inliner(model, limits).run(); }

}  // namespace graft::onnx
