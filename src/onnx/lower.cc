#include "onnx/lower.h"

#include <algorithm>

#include "base/format.h"
#include "onnx/lowerer.h"
#include "onnx/visit.h"

namespace graft::onnx {
namespace {

// What a list holds, as the file states it. Elements differ in the sizes that it leaves open.
std::optional<ir::Type> list_type(const ValueType& type, const std::string& name) {
  switch (type.kind) {
    case ValueType::Kind::tensor: {
      if (type.dtype == DType::invalid) return std::nullopt;
      if (!type.has_shape || type.dims.size() > static_cast<size_t>(kMaxRank)) return ir::Type::unranked(type.dtype);
      Dims dims;
      for (const DimInfo& d : type.dims)
        dims.push_back(d.known() ? Dim(d.value) : Dim::symbol(format("?{}_d{}", name, dims.size()), kAnySize));
      return ir::Type::tensor(type.dtype, std::move(dims));
    }
    case ValueType::Kind::sequence:
    case ValueType::Kind::optional: {
      const bool sequence = type.kind == ValueType::Kind::sequence;
      if (type.element == nullptr || (sequence && type.element->kind != ValueType::Kind::tensor)) return std::nullopt;
      std::optional<ir::Type> element = list_type(*type.element, name);
      if (!element || element->kind == ir::Type::Kind::optional) return std::nullopt;
      return sequence ? ir::Type::list(std::move(*element), ir::unknown_length())
                      : ir::Type::optional(std::move(*element), ir::unknown_length());
    }
    default: return std::nullopt;
  }
}

// Dims of a graph input: the file's, narrowed by --shapes. A named dim that one input fixes is fixed for all.
class InputTypes {
 public:
  InputTypes(const Graph& graph, const LowerOptions& options) : graph_(graph), options_(options) {}

  Status prepare(ir::Function& fn) {
    for (const auto& given : options_.shapes) {
      const std::string& input = given.first;
      const std::vector<DimSpec>& dims = given.second;
      const auto at =
          std::find_if(graph_.inputs.begin(), graph_.inputs.end(), [&](const ValueInfo& v) { return v.name == input; });
      if (at == graph_.inputs.end()) return unknown_input(input);
      GRAFT_CHECK(apply(*at, dims, fn));
    }
    fn.default_dims.insert(options_.default_sizes.begin(), options_.default_sizes.end());
    return {};
  }

  Result<ir::Type> type_of(const ValueInfo& v) const {
    if (v.type.kind == ValueType::Kind::sequence || v.type.kind == ValueType::Kind::optional) {
      const std::optional<ir::Type> type = list_type(v.type, v.name);
      return type
                 ? Result<ir::Type>(*type)
                 : problem(v, Code::unsupported_format, "sequences and optionals hold tensors, or optionals sequences");
    }
    if (v.type.kind != ValueType::Kind::tensor)
      return problem(v, Code::unsupported_format, "only tensors, sequences and optionals can be graph inputs so far");
    if (v.type.dtype == DType::invalid) return problem(v, Code::invalid_model, "has no element type");
    const auto given = options_.shapes.find(v.name);
    if (!v.type.has_shape && given == options_.shapes.end()) {
      return problem(v, Code::dynamic_shape, "not even the rank is known; give its shape (--shapes)");
    }
    const size_t rank = v.type.has_shape ? v.type.dims.size() : given->second.size();
    if (rank > kMaxRank)
      return problem(v, Code::limit_exceeded, format("rank {}, at most {} are supported", rank, kMaxRank));
    Dims dims;
    for (size_t i = 0; i < rank; ++i) dims.push_back(dim_of(v, i));
    return ir::Type::tensor(v.type.dtype, std::move(dims));
  }

 private:
  Dim dim_of(const ValueInfo& v, size_t i) const {
    if (v.type.has_shape && v.type.dims[i].known()) return Dim(v.type.dims[i].value);
    const std::string symbol = symbol_of(v, i);
    const auto at = ranges_.find(symbol);
    const auto open = options_.open_dims.find(symbol);
    if (at == ranges_.end()) return open == options_.open_dims.end() ? Dim::symbol(symbol, kAnySize) : open->second;
    return at->second.lo == at->second.hi ? Dim(at->second.lo) : Dim::symbol(symbol, at->second);
  }

  Status apply(const ValueInfo& v, const std::vector<DimSpec>& dims, ir::Function& fn) {
    if (v.type.has_shape && v.type.dims.size() != dims.size()) {
      return problem(v, Code::invalid_option,
                     format("the shape given has rank {}, the input has rank {}", dims.size(), v.type.dims.size()));
    }
    for (size_t i = 0; i < dims.size(); ++i) {
      const DimSpec& d = dims[i];
      if (v.type.has_shape && v.type.dims[i].known()) {
        if (d.lo == v.type.dims[i].value && d.hi == d.lo) continue;
        return problem(v, Code::invalid_option, format("dim {} is fixed to {} by the model", i, v.type.dims[i].value));
      }
      const std::string symbol = symbol_of(v, i);
      const IntRange range{d.lo, d.hi};
      const auto [at, fresh] = ranges_.emplace(symbol, range);
      if (!fresh && !(at->second == range)) {
        return problem(v, Code::invalid_option,
                       format("dim {} ('{}') is given as {}..{} and as {}..{}", i, symbol, at->second.lo, at->second.hi,
                              d.lo, d.hi));
      }
      if (d.preferred) fn.default_dims[symbol] = *d.preferred;
    }
    return {};
  }

  static tl::unexpected<Diag> problem(const ValueInfo& v, Code code, std::string message) {
    Diag d;
    d.code = code;
    d.tensor = v.name;
    d.message = std::move(message);
    return fail(std::move(d));
  }
  tl::unexpected<Diag> unknown_input(const std::string& name) const {
    std::vector<std::string> names;
    for (const ValueInfo& v : graph_.inputs) names.push_back(v.name);
    return fail(Code::invalid_option,
                format("--shapes: the model has no input '{}'; its inputs are {}", name, join(names, ", ")));
  }

  const Graph& graph_;
  const LowerOptions& options_;
  std::map<std::string, IntRange> ranges_;
};

class HostLowering {
 public:
  HostLowering(std::shared_ptr<const Model> model, const LowerOptions& options, const Bounds& bounds)
      : options_(options), bounds_(bounds) {
    host_.model = std::move(model);
    host_.program = std::make_shared<ir::Program>();
    host_.program->functions.push_back(std::make_unique<ir::Function>("main"));
    host_.nodes.resize(static_cast<size_t>(host_.model->next_id));
    host_.program->metadata = host_.model->metadata;
    host_.limits = options.limits;
  }

  Result<HostProgram> run() {
    const Graph& graph = host_.model->graph;
    ir::Function& fn = *host_.program->functions[0];
    OpBuilder b(fn, {}, bounds_);
    Lowerer lowerer(b, [&](const std::string& name) { return initializer(graph, name, b); });
    lowerer.outer_constant = [&](const std::string& name) -> ir::ConstantPtr {
      const Initializer* init = graph.find_initializer(name);
      return init == nullptr ? nullptr : init->value;
    };
    lowerer.model = host_.model;
    lowerer.limits = &host_.limits;
    lowerer.on_node = [&](const Node& n, const Values& out, const Diag* failure) { record(n, out, failure); };
    GRAFT_CHECK(add_inputs(graph, fn, lowerer));
    for (const ValueInfo& v : graph.value_info) declared_[v.name] = &v;
    for (const ValueInfo& v : graph.outputs) declared_[v.name] = &v;
    lowerer.outer_rank = [&](const std::string& name) -> std::optional<int> {
      const auto at = declared_.find(name);
      if (at == declared_.end() || !at->second->type.has_shape) return std::nullopt;
      return static_cast<int>(at->second->type.dims.size());
    };
    for (const Node& n : graph.nodes) {
      lower_node(n, lowerer, fn);
      if (!host_.problems.empty() && out_of_bounds(host_.problems.back().code))
        return fail(std::move(host_.problems.back()));
    }
    for (const ValueInfo& o : graph.outputs) add_output(o, lowerer, fn);
    return std::move(host_);
  }

 private:
  Value* initializer(const Graph& graph, const std::string& name, OpBuilder& b) {
    const Initializer* init = graph.find_initializer(name);
    if (init == nullptr) return nullptr;
    Value* v = b.constant(init->value, name);
    v->origin.clear();  // a weight of the file comes from no node
    return host_.values[name] = v;
  }

  Status add_inputs(const Graph& graph, ir::Function& fn, Lowerer& lowerer) {
    InputTypes types(graph, options_);
    GRAFT_CHECK(types.prepare(fn));
    for (const ValueInfo& v : graph.inputs) {
      GRAFT_TRY(ir::Type type, types.type_of(v));
      Value* value = fn.add_input(std::move(type), v.name);
      if (value->dtype() == DType::i64) value->range = int_range(DType::i32);
      if (const auto limit = options_.limits.find(v.name); limit != options_.limits.end()) value->range = limit->second;
      lowerer.define(v.name, value);
      host_.values[v.name] = value;
    }
    return {};
  }

  void lower_node(const Node& n, Lowerer& lowerer, ir::Function& fn) {
    NodeFacts& facts = host_.nodes[static_cast<size_t>(n.id)];
    std::optional<std::string> unknown;
    visit_reads(n, [&](const std::string& name) {
      const auto at = host_.values.find(name);
      if (!unknown && at != host_.values.end() && at->second->poison) unknown = name;
    });
    if (unknown) {
      facts.blocked = true;
      Diag d;
      d.code = Code::unknown_type;
      d.message = format("the type of its input '{}' is not known behind an unsupported operator", *unknown);
      std::move(d).at_node(n.name, n.op_type);
      facts.failure = std::move(d);
      return stand_in(n, lowerer, fn);
    }
    Result<Values> out = lowerer.lower(n);
    if (!out) {
      host_.problems.push_back(std::move(out).error());
      return stand_in(n, lowerer, fn);
    }
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      if (!n.outputs[i].empty()) host_.values[n.outputs[i]] = (*out)[i];
    }
  }

  // What a failed node would have given, with the type the file declares, so that the rest can still be looked at.
  void stand_in(const Node& n, Lowerer& lowerer, ir::Function& fn) {
    for (const std::string& o : n.outputs) {
      if (o.empty()) continue;
      const auto at = declared_.find(o);
      const std::optional<ir::Type> type = at == declared_.end() ? std::nullopt : type_of(*at->second);
      Value* v = type ? fn.new_value(*type, o) : fn.poison();
      lowerer.define(o, v);
      host_.values[o] = v;
      host_.nodes[static_cast<size_t>(n.id)].outputs.push_back(v);
    }
  }

  void record(const Node& n, const Values& out, const Diag* failure) {
    NodeFacts& f = host_.nodes[static_cast<size_t>(n.id)];
    f.outputs.assign(out.begin(), out.end());
    f.outputs.resize(n.outputs.size());
    if (failure != nullptr) {
      f.outputs.clear();
      f.failure = *failure;
    } else {
      f.failure.reset();
    }
  }

  void add_output(const ValueInfo& o, Lowerer& lowerer, ir::Function& fn) {
    const auto at = host_.values.find(o.name);
    Value* v = at != host_.values.end() ? at->second : lowerer.value(o.name);
    lowerer.builder().clear_failure();
    fn.body.outputs.push_back(v);
    fn.output_names.push_back(o.name);
    host_.values.emplace(o.name, v);
  }

  const LowerOptions& options_;
  const Bounds& bounds_;
  HostProgram host_;
  std::unordered_map<std::string, const ValueInfo*> declared_;
};

}  // namespace

Result<std::vector<ir::Type>> input_types(const Graph& graph, LowerOptions options) {
  options.open_dims.clear();
  InputTypes types(graph, options);
  ir::Function scratch("inputs");
  GRAFT_CHECK(types.prepare(scratch));
  std::vector<ir::Type> found;
  for (const ValueInfo& v : graph.inputs) {
    GRAFT_TRY(found.emplace_back(), types.type_of(v));
  }
  return found;
}

std::string symbol_of(const ValueInfo& input, size_t axis) {
  const bool named = input.type.has_shape && !input.type.dims[axis].symbol.empty();
  return named ? input.type.dims[axis].symbol : format("{}_d{}", input.name, axis);
}

std::optional<ir::Type> type_of(const ValueInfo& info) {
  if (info.type.kind != ValueType::Kind::tensor || info.type.dtype == DType::invalid || !info.type.has_shape)
    return std::nullopt;
  if (info.type.dims.size() > static_cast<size_t>(kMaxRank)) return std::nullopt;
  Dims dims;
  for (size_t i = 0; i < info.type.dims.size(); ++i) {
    const DimInfo& d = info.type.dims[i];
    dims.push_back(d.known() ? Dim(d.value)
                             : Dim::symbol(d.symbol.empty() ? format("{}_d{}", info.name, i) : d.symbol, kAnySize));
  }
  return ir::Type::tensor(info.type.dtype, std::move(dims));
}

Result<HostProgram> lower_for_host(std::shared_ptr<const Model> model, const LowerOptions& options,
                                   const Bounds& bounds) {
  const std::string path = model->path;
  Result<HostProgram> r = HostLowering(std::move(model), options, bounds).run();
  if (!r) return fail(std::move(std::move(r).error()).in_file(path));
  for (Diag& d : r->problems) d.file = path;
  return r;
}

// ---- partitions
// -------------------------------------------------------------------------------------------------------

namespace {

// What the host program knows of outer names, for lowerings that read constants and ONNX dtypes.
void connect(Lowerer& lowerer, const HostProgram& host) {
  lowerer.model = host.model;
  lowerer.limits = &host.limits;
  lowerer.outer_constant = [&host](const std::string& name) -> ir::ConstantPtr {
    if (const auto at = host.values.find(name); at != host.values.end()) return at->second->constant;
    const Initializer* init = host.model->graph.find_initializer(name);
    return init == nullptr ? nullptr : init->value;
  };
  lowerer.outer_dtype = [&host](const std::string& name) {
    const auto at = host.values.find(name);
    return at == host.values.end() ? DType::invalid : at->second->dtype();
  };
  lowerer.outer_rank = [&host](const std::string& name) -> std::optional<int> {
    const auto at = host.values.find(name);
    if (at == host.values.end() || at->second->poison) return std::nullopt;
    return at->second->type.kind == ir::Type::Kind::unranked ? std::nullopt : std::optional(at->second->rank());
  };
}

// Values of a partition's function that stand for what the host program knows outside of it.
class BoundaryValues {
 public:
  // `ports`: what the values have to be.
  BoundaryValues(const HostProgram& host, OpBuilder& b, ir::Function& fn, const ir::Target& ports)
      : host_(host), b_(b), fn_(fn), ports_(ports) {}
  Lowerer* lowerer = nullptr;
  std::vector<ir::BoundaryPort> inputs;
  ir::Opset needed = ir::Target::oldest().opset();  // by the inputs alone

  Value* operator()(const std::string& name) {
    const auto at = host_.values.find(name);
    const Initializer* init = at == host_.values.end() ? host_.model->graph.find_initializer(name) : nullptr;
    if (init != nullptr) return lowerer->constant(init->value, name, false);
    if (at == host_.values.end()) return nullptr;
    const Value& fact = *at->second;
    if (fact.poison)
      return b_.refuse(Code::unknown_type,
                       format("the type of '{}' is not known behind an unsupported operator", name));
    if (fact.is_constant()) {
      Value* v = lowerer->constant(fact.constant, name, false);
      if (!v->poison) v->origin = fact.origin;
      return v;
    }
    return placeholder(name, fact);
  }

 private:
  Value* placeholder(const std::string& name, const Value& fact) {
    ir::Type type = fact.type;
    if (type.is_list())
      return b_.refuse(Code::host_only,
                       format("'{}' is {}, inputs of Core ML programs are tensors", name, type.to_string()));
    type.dtype = b_.target().inside(type.dtype);
    if (Status s = ports_.accepts(type); !s && s.error().code != Code::unsupported_dtype)
      return b_.refuse(std::move(std::move(s).error()).at_tensor(name));
    if (Status s = cross(type.dtype); !s) return b_.refuse(std::move(std::move(s).error()).at_tensor(name));
    Value* v = fn_.add_input(type, name);
    v->content = fact.content;
    v->range = fact.range;
    if (type.dtype != fact.type.dtype) {
      const IntRange i32 = int_range(DType::i32);
      v->range = {std::max(v->range.lo, i32.lo), std::min(v->range.hi, i32.hi)};
    }
    inputs.push_back({name, fact.type, std::move(type)});
    return v;
  }

  // What is no port's type is cast there, if the target has such a cast.
  Status cross(DType t) {
    const DType port_type = b_.target().port(t);
    if (port_type == t || port_type == DType::invalid || !b_.target().values().has(t)) return {};
    ir::Function port("port");
    OpBuilder b(port, b_.target());
    b.cast(port.add_input(ir::Type::tensor(t, Dims{}), "x"), port_type);
    if (b.failure()) return fail(*b.failure());
    needed = std::max(needed, b.needed());
    return {};
  }

  const HostProgram& host_;
  OpBuilder& b_;
  ir::Function& fn_;
  ir::Target ports_;
};

// A node that hands on what it gets emits nothing, so no row has looked at the type.
Status check_outputs(const ir::Target& target, const Node& node, const Values& out) {
  for (size_t i = 0; i < node.outputs.size() && i < out.size(); ++i) {
    if (node.outputs[i].empty() || out[i]->is_constant()) continue;
    Diag d;
    if (out[i]->type.is_list()) {
      d.code = Code::host_only;
      d.tensor = node.outputs[i];
      d.message = format("it is {}, outputs of Core ML programs are tensors", out[i]->type.to_string());
    } else if (Status s = target.accepts(out[i]->type); !s) {
      d = std::move(std::move(s).error()).at_tensor(node.outputs[i]);
    } else if (target.port(out[i]->dtype()) == DType::invalid) {
      d.code = Code::unsupported_dtype;
      d.tensor = node.outputs[i];
      d.message = format("Core ML has no {} tensors at inputs and outputs", name(out[i]->dtype()));
    } else {
      continue;
    }
    return fail(std::move(d).at_node(node.name, node.op_type));
  }
  return {};
}

}  // namespace

Result<ir::Opset> SubgraphLowerer::attempt(const Node& node) const {
  const NodeFacts& facts = host_.nodes[static_cast<size_t>(node.id)];
  if (facts.failure) return fail(*facts.failure);
  ir::Function fn("attempt");
  OpBuilder b(fn, target_, bounds_);
  b.keep_to_defined();
  BoundaryValues boundary(host_, b, fn, target_);
  Lowerer lowerer(b, [&](const std::string& name) { return boundary(name); });
  boundary.lowerer = &lowerer;
  connect(lowerer, host_);
  lowerer.facts = &host_.nodes;
  GRAFT_TRY(const Values out, lowerer.lower(node));
  GRAFT_CHECK(check_outputs(target_, node, out));
  return std::max(b.needed(), boundary.needed);
}

OrRefusals<LoweredSubgraph> SubgraphLowerer::build(std::string name, std::span<const Node* const> nodes,
                                                   std::span<const std::string> outputs) const {
  LoweredSubgraph partition;
  partition.function = std::make_unique<ir::Function>(std::move(name));
  ir::Function& fn = *partition.function;
  fn.default_dims = host_.main().default_dims;
  OpBuilder b(fn, target_, bounds_);
  b.keep_to_defined();
  BoundaryValues boundary(host_, b, fn, ports_);
  Lowerer lowerer(b, [&](const std::string& value) -> Value* { return boundary(value); });
  boundary.lowerer = &lowerer;
  connect(lowerer, host_);
  lowerer.facts = &host_.nodes;
  Refusals refusals;
  for (const Node* n : nodes) {
    if (Result<Values> r = lowerer.lower(*n); !r) refusals.push_back(std::move(r).error());
    if (!b.ok()) break;  // for good
  }
  if (!refusals.empty()) return tl::unexpected(std::move(refusals));
  for (const std::string& o : outputs) {
    Value* v = lowerer.value(o);
    if (b.failure()) return tl::unexpected(Refusals{*b.failure()});
    // Constants of other types become what their ports are.
    if (Status s = ports_.accepts(v->type); !s && !(v->is_constant() && s.error().code == Code::unsupported_dtype)) {
      Diag d = std::move(std::move(s).error()).at_tensor(o);
      if (v->producer != nullptr) d.origin = v->producer->origin.nodes();
      return tl::unexpected(Refusals{std::move(d)});
    }
    fn.body.outputs.push_back(v);
    fn.output_names.push_back(o);
    partition.outputs.push_back({o, host_.values.at(o)->type, v->type});
  }
  partition.inputs = std::move(boundary.inputs);
  partition.needed = std::max(b.needed(), boundary.needed);
  return partition;
}

}  // namespace graft::onnx
