#include "onnx/deferred.h"

#include <set>

#include "base/format.h"
#include "onnx/visit.h"

namespace graft::onnx {
namespace {

using ir::Type;
using ir::Types;

constexpr int kMaxDeferrals = 2;  // of nodes in bodies of deferred nodes

bool unranked(const Type& type) { return type.kind == Type::Kind::unranked; }

class DeferredNode final : public ir::Deferred {
 public:
  DeferredNode(const Lowerer& outer, const Node& node)
      : model_(outer.model), node_(node), deferrals_(outer.deferrals + 1) {}
  std::vector<std::string> names;                          // of the arguments
  std::unordered_map<std::string, ir::ConstantPtr> known;  // what else the node reads

  Result<std::unique_ptr<ir::Function>> build(std::span<const Type> arguments, const Bounds& bounds) const override {
    auto fn = std::make_unique<ir::Function>(node_.name);
    OpBuilder b(*fn, {}, bounds);
    Lowerer lowerer(b, [&](const std::string& name) -> Value* {
      const auto at = known.find(name);
      return at == known.end() ? nullptr : b.constant(at->second, name);
    });
    lowerer.model = model_;
    lowerer.deferrals = deferrals_;
    lowerer.outer_constant = [&](const std::string& name) {
      const auto at = known.find(name);
      return at == known.end() ? nullptr : at->second;
    };
    for (size_t i = 0; i < names.size(); ++i) lowerer.define(names[i], fn->add_input(arguments[i], names[i]));
    GRAFT_TRY(const Values out, lowerer.lower(node_));
    std::set<const Value*> returned(fn->inputs.begin(), fn->inputs.end());
    for (size_t i = 0; i < out.size() && i < node_.outputs.size(); ++i) {
      Value* v = out[i];
      if (!v->is_constant() && !returned.insert(v).second) v = b.identity(v);  // a result of its own
      if (b.failure()) return fail(*b.failure());
      fn->body.outputs.push_back(v);
      fn->output_names.push_back(format("{}", i));
    }
    return fn;
  }

 private:
  std::shared_ptr<const Model> model_;  // owns the node
  const Node& node_;
  int deferrals_;
};

// The types of the results, as far as they are the same for every rank, or for all sizes, that the node takes.
class ResultTypes {
 public:
  ResultTypes(ir::Function& fn, const DeferredNode& node, const Types& arguments, const Bounds& bounds) : fn_(fn) {
    int open = 0;
    for (const Type& t : arguments) open += unranked(t) ? 1 : 0;
    if (open > 0)
      try_ranks(node, arguments, bounds, open > 1);
    else
      try_sizes(node, arguments, bounds);
  }
  Result<Types> take() && {
    if (out_of_bounds(failure_.code) || types_.empty()) return fail(std::move(failure_));
    return std::move(types_);
  }

 private:
  Dim fresh() { return Dim::symbol(fn_.fresh_symbol(), kAnySize); }
  // False when there is no use in going on.
  bool attempt(const DeferredNode& node, const Types& arguments, const Bounds& bounds) {
    Result<std::unique_ptr<ir::Function>> built = node.build(arguments, bounds);
    if (built) {
      add((*built)->body.outputs);
      return true;
    }
    failure_ = std::move(built).error();
    return !out_of_bounds(failure_.code);
  }
  // `many`: there are more sets of ranks than can be tried.
  void try_ranks(const DeferredNode& node, const Types& arguments, const Bounds& bounds, bool many) {
    for (int rank : {1, 2, 3, 4, 0, 5, 6, 7, 8}) {
      Types ranked = arguments;
      for (Type& t : ranked) {
        if (!unranked(t)) continue;
        t = Type::tensor(t.dtype, Dims{});
        for (int d = 0; d < rank; ++d) t.dims.push_back(fresh());
      }
      if (!attempt(node, ranked, bounds)) return;
      if (many && !types_.empty()) break;
    }
    for (Type& t : types_) settle(t, many ? Keep::nothing : Keep::sizes);
  }
  // Every open size at once: two that fit tell the rank.
  void try_sizes(const DeferredNode& node, const Types& arguments, const Bounds& bounds) {
    int fitting = 0;
    for (int64_t size : {2, 4, 1, 8, 3, 16}) {
      Types sized = arguments;
      for (Type& t : sized) {
        for (Dim& d : t.dims) d = Dim(d.eval([&](std::string_view) { return std::optional(size); }).value_or(size));
      }
      const size_t before = tried_;
      if (!attempt(node, sized, bounds)) return;
      if (tried_ > before && ++fitting == 2) break;
    }
    for (Type& t : types_) settle(t, fitting == 2 ? Keep::rank : Keep::nothing);
  }
  void add(const Values& outputs) {
    ++tried_;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (i == types_.size())
        types_.push_back(outputs[i]->type);
      else
        types_[i] = joined(types_[i], outputs[i]->type, [&](IntRange) { return fresh(); });
    }
  }
  // What a trial's types tell of others. Its symbols mean nothing outside of it.
  enum class Keep { nothing, rank, sizes };
  void settle(Type& t, Keep keep) {
    if (t.is_tensor() && keep == Keep::nothing) t = Type::unranked(t.dtype);
    for (Dim& d : t.dims) {
      if (keep != Keep::sizes || !d.known()) d = fresh();
    }
    if (!t.is_list()) return;
    Type element = *t.element;
    settle(element, keep);
    t.element = std::make_shared<const Type>(std::move(element));
  }

  ir::Function& fn_;
  Types types_;
  size_t tried_ = 0;  // with success
  Diag failure_;
};

}  // namespace

bool reads_unranked(Lowerer& lowerer, const Node& node) {
  for (const std::string& name : node.inputs) {
    if (!name.empty() && unranked(lowerer.value(name)->type)) return true;
  }
  return false;
}

Values defer(Lowerer& lowerer, const Node& node, Types results) {
  OpBuilder& b = lowerer.builder();
  if (lowerer.deferrals >= kMaxDeferrals)
    return {b.refuse(Code::limit_exceeded, "tensors of unknown rank are nested too deep")};
  auto deferred = std::make_shared<DeferredNode>(lowerer, node);
  Values arguments;
  Types types;
  std::set<std::string> seen;
  visit_reads(node, [&](const std::string& name) {
    if (!seen.insert(name).second) return;
    Value* v = lowerer.value(name);
    if (v->is_constant()) {
      deferred->known[name] = v->constant;
      return;
    }
    deferred->names.push_back(name);
    arguments.push_back(v);
    types.push_back(v->type);
  });
  if (!b.ok()) return {b.function().poison()};
  if (results.empty()) {
    Result<Types> found = ResultTypes(b.function(), *deferred, types, b.bounds()).take();
    if (!found) return {b.refuse(std::move(found).error())};
    results = std::move(*found);
  }
  constexpr std::string_view kRow = "host_deferred";
  const ir::OpRow* row = b.table().find(kRow);
  if (row == nullptr) return {b.refuse(Code::internal, format("no row for operator '{}'", kRow))};
  auto op = std::make_unique<ir::Op>();
  op->row = row;
  op->origin = b.origin();
  op->args = {arguments};
  op->deferred = std::move(deferred);
  for (Type& t : results) {
    Value* v = b.function().new_value(std::move(t));
    v->producer = op.get();
    v->result = static_cast<int>(op->results.size());
    op->results.push_back(v);
  }
  Values out = op->results;
  b.block().ops.push_back(std::move(op));
  return out;
}

}  // namespace graft::onnx
