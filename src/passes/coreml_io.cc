#include "passes/coreml_io.h"

#include <algorithm>
#include <unordered_set>

#include "base/format.h"
#include "ops/op_builder.h"
#include "passes/match.h"

namespace graft::passes {
namespace {

using ir::Function;
using ir::Op;
using ir::Value;
using Ops = std::vector<std::unique_ptr<Op>>;

tl::unexpected<Diag> refuse(const Value& v, std::string_view what, std::string_view port,
                            const ir::Provenance& origin) {
  Diag d;
  d.code = Code::unsupported_dtype;
  d.tensor = std::string(port);
  d.message = format("the {} is {}, which Core ML programs cannot compute with", what, name(v.dtype()));
  d.origin = origin.nodes();
  return fail(std::move(d));
}

class Interface {
 public:
  Interface(Function& f, const PassContext& c) : f_(f), target_(c.target), build_(f, c.target, c.bounds) {}

  Result<int> legalise() && {
    GRAFT_CHECK(inputs());
    GRAFT_CHECK(outputs());
    if (!build_.ok()) return fail(*build_.failure());
    return changes_;
  }

 private:
  bool exists_at_run_time(DType t) const { return target_.values().has(t); }

  Status inputs() {
    Ops rest;
    rest.swap(f_.body.ops);  // the casts come first
    std::unordered_map<Value*, Value*> inside;
    Status status;
    for (Value* v : f_.inputs) {
      if (status) status = input(v, rest, inside);
    }
    rest.swap(f_.body.ops);
    ir::replace_uses(f_.body, inside);
    f_.body.ops.insert(f_.body.ops.begin(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    return status;
  }

  Status input(Value* v, const Ops& rest, std::unordered_map<Value*, Value*>& inside) {
    if (!v->type.is_tensor()) return {};
    const DType from = v->dtype(), to = target_.port(from);
    const bool impossible = to == DType::invalid || (!exists_at_run_time(from) && more_than_cast(rest).contains(v));
    if (impossible) return refuse(*v, "input", v->name, readers(v, rest));
    if (to != from) {
      v->type.dtype = to;
      v->range = {std::max(v->range.lo, int_range(to).lo), std::min(v->range.hi, int_range(to).hi)};
      ++changes_;
    }
    Value* inner = v;
    if (v->rank() == 0) {
      v->type.dims = {ir::Dim(1)};
      inner = build_.emit("squeeze", {{"x", v}, {"axes", std::vector<int64_t>{0}}});
    }
    if (to != from && exists_at_run_time(from)) inner = build_.cast(inner, from);
    if (inner != v) inside[v] = inner;
    return {};
  }

  // The values that something else than a cast reads.
  const std::unordered_set<const Value*>& more_than_cast(const Ops& rest) {
    if (more_than_cast_) return *more_than_cast_;
    auto& values = more_than_cast_.emplace(f_.body.outputs.begin(), f_.body.outputs.end());
    const std::function<void(const Ops&)> look = [&](const Ops& ops) {
      for (const auto& op : ops) {
        for (const auto& arg : op->args) {
          if (!op->is(Scalar::cast)) values.insert(arg.begin(), arg.end());
        }
        for (const auto& b : op->blocks) {
          values.insert(b->outputs.begin(), b->outputs.end());
          look(b->ops);
        }
      }
    };
    look(rest);
    return values;
  }

  // The nodes whose operators read v, those that own a body in which one does included.
  static ir::Provenance readers(const Value* v, const Ops& rest) {
    ir::Provenance nodes;
    const std::function<void(const Ops&)> look = [&](const Ops& ops) {
      for (const auto& op : ops) {
        for (const auto& arg : op->args) {
          if (std::find(arg.begin(), arg.end(), v) != arg.end()) nodes.merge(op->origin);
        }
        for (const auto& b : op->blocks) {
          if (std::find(b->outputs.begin(), b->outputs.end(), v) != b->outputs.end()) nodes.merge(op->origin);
          look(b->ops);
        }
      }
    };
    look(rest);
    return nodes;
  }

  Status outputs() {
    for (size_t i = 0; i < f_.body.outputs.size(); ++i) {
      Value*& v = f_.body.outputs[i];
      if (!v->type.is_tensor()) continue;
      const std::string& port = i < f_.output_names.size() ? f_.output_names[i] : v->name;
      const DType from = v->dtype(), to = target_.port(from);
      if (to == DType::invalid) return refuse(*v, "output", port, maker(v));
      if (to != from) {
        GRAFT_TRY(v, converted(v, to, port));
        ++changes_;
      }
    }
    return {};
  }

  Result<Value*> converted(Value* v, DType to, std::string_view port) {
    if (exists_at_run_time(v->dtype())) return build_.cast(v, to);
    if (const Op* c = made_by(v, Scalar::cast); c != nullptr && exists_at_run_time(c->arg("x")->dtype())) {
      return build_.cast(c->arg("x"), to);
    }
    if (v->is_constant() && (is_float(to) || v->range.inside(int_range(to))))
      return build_.constant(ir::Constant::cast(v->constant, to));
    return refuse(*v, "output", port, maker(v));
  }

  static ir::Provenance maker(const Value* v) { return v->producer != nullptr ? v->producer->origin : v->origin; }

  Function& f_;
  const ir::Target target_;
  ops::OpBuilder build_;
  std::optional<std::unordered_set<const Value*>> more_than_cast_;
  int changes_ = 0;
};

}  // namespace

Result<int> coreml_io(Function& function, PassContext& context) { return Interface(function, context).legalise(); }

namespace {

// An identity that is not folded: a constant needs an operator too that makes it an output.
Value* copied(Function& f, Value* v) {
  auto op = std::make_unique<Op>();
  op->row = ops::table().find("identity");
  op->args = {{v}};
  op->origin = v->producer != nullptr ? v->producer->origin : v->origin;
  Value* y = f.new_value(v->type, v->name);
  y->producer = op.get();
  y->range = v->range;
  y->content = v->content;
  op->results = {y};
  f.body.ops.push_back(std::move(op));
  return y;
}

}  // namespace

Result<int> own_ports(Function& function, PassContext& context) {
  (void)context;
  int made = 0;
  std::unordered_set<const Value*> seen;
  for (Value*& v : function.body.outputs) {
    if (v->producer == nullptr || !seen.insert(v).second) {
      v = copied(function, v);
      ++made;
    }
  }
  const auto uses = ir::count_uses(function.body);
  for (Value* v : function.inputs) {
    const auto at = uses.find(v);
    if (v->type.kind == ir::Type::Kind::state || (at != uses.end() && at->second > 0)) continue;
    copied(function, v);
    ++made;
  }
  return made;
}

}  // namespace graft::passes
