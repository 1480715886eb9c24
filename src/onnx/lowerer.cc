#include "onnx/lowerer.h"

#include <algorithm>

#include "base/format.h"
#include "onnx/deferred.h"
#include "onnx/node_view.h"
#include "onnx/signature.h"

namespace graft::onnx {

Value* Lowerer::value(const std::string& name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto at = scope->values.find(name); at != scope->values.end()) return at->second;
    if (scope->graph == nullptr) continue;
    if (const Initializer* init = scope->graph->find_initializer(name)) {
      Value* v = constant(init->value, name, false);
      if (!v->poison) scope->values[name] = v;
      return v;
    }
  }
  Value* v = resolve_ ? resolve_(name) : nullptr;
  if (v == nullptr) return b_.refuse(Code::invalid_model, format("value '{}' is not known here", name));
  if (!v->poison) scopes_.front().values[name] = v;
  return v;
}

Value* Lowerer::constant(const ir::ConstantPtr& c, const std::string& name, bool saturate) {
  // A weight of the file comes from no node.
  const auto plain = [&](ir::ConstantPtr value) {
    Value* v = b_.constant(std::move(value), name);
    v->origin.clear();
    return v;
  };
  const DType inside = b_.target().inside(c->dtype());
  if (inside == c->dtype()) return plain(c);
  if (is_float(inside)) return plain(ir::Constant::cast(c, inside));
  const IntRange i32 = int_range(inside);
  const TensorView view = c->view();
  bool fits = true;
  for (int64_t i = 0; i < view.count() && fits; ++i) {
    const int64_t v = element_as_int(view, i);
    fits = v >= i32.lo && v <= i32.hi;
  }
  if (fits) return plain(ir::Constant::cast(c, inside));
  if (!saturate) {
    Diag d;
    d.code = Code::int64_range;
    d.tensor = name;
    d.message = "an int64 constant has values outside int32, the widest integer Core ML has";
    return b_.refuse(std::move(d));
  }
  Result<Tensor> t = Tensor::allocate(inside, c->shape(), b_.bounds().memory);
  if (!t) return b_.refuse(std::move(std::move(t).error()).at_tensor(name));
  for (int64_t i = 0; i < view.count(); ++i) {
    t->span<int32_t>()[static_cast<size_t>(i)] =
        static_cast<int32_t>(std::clamp(element_as_int(view, i), i32.lo, i32.hi));
  }
  return plain(ir::Constant::of(std::move(*t)));
}

bool Lowerer::refused(const std::string& name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto at = scope->values.find(name); at != scope->values.end()) return at->second->poison;
  }
  return false;
}

ir::ConstantPtr Lowerer::constant_of(const std::string& name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (scope->graph != nullptr) {
      if (const Initializer* init = scope->graph->find_initializer(name)) return init->value;
    }
    // The innermost definition counts, constant or not.
    if (const auto at = scope->values.find(name); at != scope->values.end() && &*scope != &scopes_.front())
      return at->second->constant;
  }
  if (outer_constant) {
    if (ir::ConstantPtr c = outer_constant(name)) return c;
  }
  const auto at = scopes_.front().values.find(name);
  return at == scopes_.front().values.end() ? nullptr : at->second->constant;
}

std::optional<int> Lowerer::stated_rank(const std::string& name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (scope->graph == nullptr) continue;
    for (const auto* list : {&scope->graph->outputs, &scope->graph->value_info}) {
      for (const ValueInfo& v : *list) {
        if (v.name == name && v.type.has_shape) return static_cast<int>(v.type.dims.size());
      }
    }
  }
  return outer_rank ? outer_rank(name) : std::nullopt;
}

// In a Core ML build an int64 output is an int32 value: only where the host program proves that it fits.
Status Lowerer::check_ranges(const Node& node) {
  if (facts == nullptr || static_cast<size_t>(node.id) >= facts->size()) return {};
  const ir::Target& target = b_.target();
  const NodeFacts& f = (*facts)[static_cast<size_t>(node.id)];
  for (size_t i = 0; i < f.outputs.size(); ++i) {
    const Value* v = f.outputs[i];
    if (v == nullptr || v->is_constant() || !is_int(v->dtype()) || target.inside(v->dtype()) == v->dtype() ||
        v->range.inside(int_range(target.inside(v->dtype()))))
      continue;
    Diag d;
    d.code = Code::int64_range;
    d.tensor = node.outputs[i];
    d.message = "int64 values are not proven to fit int32, the widest integer Core ML has";
    if (v->range.lo != INT64_MIN || v->range.hi != INT64_MAX)
      d.message += format(" (they may reach {}..{})", v->range.lo, v->range.hi);
    return fail(std::move(d));
  }
  return {};
}

Status Lowerer::run_row(const Node& node, Values& out) {
  const Lowering* row = find_lowering(node.domain, node.op_type);
  const std::string full_name = node.domain.empty() ? node.op_type : node.domain + "." + node.op_type;
  if (row == nullptr)
    return fail(Code::unsupported_operator, format("unsupported operator {} (version {})", full_name, node.version));
  if (node.version < row->versions.front()) {
    return fail(Code::unsupported_operator,
                format("unsupported operator version: {} {} is older than {}, the oldest that is handled", full_name,
                       node.version, row->versions.front()));
  }
  GRAFT_CHECK(check_signature(row->signature, node));
  if (b_.target().host() && !row->any_rank && reads_unranked(*this, node)) {
    out = defer(*this, node);
  } else {
    NodeView view(*this, node, b_);
    out = row->lower(view, b_);
  }
  if (b_.failure()) return fail(*b_.failure());
  GRAFT_CHECK(check_ranges(node));
  size_t wanted = 0;
  for (size_t i = 0; i < node.outputs.size(); ++i) wanted = node.outputs[i].empty() ? wanted : i + 1;
  if (out.size() < wanted)
    return fail(Code::internal, format("the lowering of {} gives {} of {} outputs", full_name, out.size(), wanted));
  return {};
}

Result<Values> Lowerer::lower(const Node& node) {
  const ir::Provenance outer = b_.origin();
  ir::Provenance origin = outer;
  origin.merge({node.id});
  b_.set_origin(std::move(origin));
  const ir::Builder::Mark mark = b_.mark();
  Values out;
  Status s = run_row(node, out);
  if (!s && s.error().code == Code::dynamic_shape && b_.target().host() && deferrals == 0) {
    // What the sizes do not tell here they do in a run.
    b_.rollback(mark);
    out = defer(*this, node);
    if (b_.ok()) s = {};
    if (b_.failure() && out_of_bounds(b_.failure()->code)) s = fail(*b_.failure());
  }
  b_.set_origin(outer);
  if (!s) {
    Diag d = std::move(s).error();
    std::move(d).at_node(node.name, node.op_type);
    d.op = node.op_type;
    if (d.origin.empty()) d.origin = {node.id};
    b_.rollback(mark);
    if (on_node) on_node(node, {}, &d);
    return fail(std::move(d));
  }
  for (size_t i = 0; i < node.outputs.size() && i < out.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    if (out[i]->name.empty()) out[i]->name = node.outputs[i];
    define(node.outputs[i], out[i]);
  }
  if (on_node) on_node(node, out, nullptr);
  return out;
}

Values Lowerer::lower_body(const Graph& body, std::span<Value* const> inputs) {
  constexpr int kMaxDepth = 64;
  if (++depth_ > kMaxDepth) {
    --depth_;
    return {b_.refuse(Code::limit_exceeded, format("bodies are nested more than {} deep", kMaxDepth))};
  }
  Scope& scope = scopes_.emplace_back();
  scope.graph = &body;
  for (size_t i = 0; i < body.inputs.size() && i < inputs.size(); ++i) scope.values[body.inputs[i].name] = inputs[i];
  std::vector<Diag> refusals;
  for (const Node& n : body.nodes) {
    // One refusal may not hide another: what comes after is lowered as far as its inputs are known.
    if (std::any_of(n.inputs.begin(), n.inputs.end(), [&](const std::string& name) { return refused(name); })) {
      for (const std::string& o : n.outputs) define(o, b_.function().poison());
      continue;
    }
    if (Result<Values> r = lower(n); !r) {
      refusals.push_back(std::move(r).error());
      if (!b_.ok()) break;  // for good
      for (const std::string& o : n.outputs) define(o, b_.function().poison());
    }
  }
  b_.clear_failure();
  Values out;
  for (const ValueInfo& o : body.outputs) {
    out.push_back(refusals.empty() ? value(o.name) : b_.function().poison());
    // Nothing in here was refused, but something around it that this body returns.
    if (refusals.empty() && b_.ok() && out.back()->poison)
      b_.refuse(Code::unknown_type, format("'{}' is not known behind a node that cannot be taken", o.name));
  }
  scopes_.pop_back();
  --depth_;
  if (!refusals.empty()) {
    Diag d;
    d.code = refusals[0].code;
    d.message = format("{} of the nodes of body '{}' cannot be taken", refusals.size(), body.name);
    d.inner = std::move(refusals);
    b_.refuse(std::move(d));
  }
  return out;
}

}  // namespace graft::onnx
