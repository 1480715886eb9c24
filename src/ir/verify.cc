#include "ir/verify.h"

#include <unordered_set>

#include "base/format.h"

namespace graft::ir {
namespace {

class Verifier {
 public:
  explicit Verifier(const Function& function) : function_(function) {}

  Status run() {
    GRAFT_CHECK(names());
    for (const Value* v : function_.inputs) {
      if (v->producer != nullptr || v->constant != nullptr) return bad(nullptr, "an input is produced inside");
      GRAFT_CHECK(define(nullptr, v));
    }
    return block(function_.body, nullptr);
  }

 private:
  tl::unexpected<Diag> bad(const Op* op, std::string message) const {
    Diag d;
    d.code = Code::internal;
    d.message = format("function '{}': {}", function_.name, message);
    if (op != nullptr) {
      d.op = std::string(op->type());
      d.node = op->results.empty() || op->results[0] == nullptr ? op->name : op->results[0]->name;
    }
    return fail(std::move(d));
  }

  Status names() const {
    if (function_.output_names.size() != function_.body.outputs.size())
      return bad(nullptr,
                 format("{} outputs, {} output names", function_.body.outputs.size(), function_.output_names.size()));
    std::unordered_set<std::string_view> inputs, outputs;
    for (const Value* v : function_.inputs) {
      if (v->name.empty() || !inputs.insert(v->name).second)
        return bad(nullptr, format("the input name '{}' is empty or not unique", v->name));
    }
    for (const std::string& n : function_.output_names) {
      if (n.empty() || !outputs.insert(n).second)
        return bad(nullptr, format("the output name '{}' is empty or not unique", n));
    }
    return {};
  }

  Status define(const Op* op, const Value* v) {
    if (v == nullptr || v->poison) return bad(op, "defines no value, or poison");
    if (!visible_.insert(v).second) return bad(op, format("'{}' is defined twice", v->name));
    order_.push_back(v);
    return {};
  }

  Status used(const Op* op, const Value* v) const {
    if (v == nullptr) return bad(op, "uses a null value");
    if (v->poison) return bad(op, "uses the result of something refused");
    if (v->constant != nullptr) {
      if (v->producer != nullptr) return bad(op, format("the constant '{}' has a producer", v->name));
      if (v->type.dtype != v->constant->dtype() || !v->type.is_static() || !(v->type.shape() == v->constant->shape()))
        return bad(op, format("the constant '{}' has type {}", v->name, v->type.to_string()));
      return {};
    }
    if (visible_.contains(v)) return {};
    return bad(op, format("'{}' is used where it is not defined", v->name));
  }

  Status block(const Block& b, const Op* parent) {
    if (b.function != &function_ || b.parent != parent) return bad(parent, "a block points to the wrong owner");
    const size_t outer = order_.size();
    for (const Value* v : b.inputs) GRAFT_CHECK(define(parent, v));
    for (const auto& op : b.ops) GRAFT_CHECK(operation(*op));
    for (const Value* v : b.outputs) GRAFT_CHECK(used(parent, v));
    for (; order_.size() > outer; order_.pop_back()) visible_.erase(order_.back());
    return {};
  }

  Status operation(const Op& op) {
    if (op.row == nullptr) return bad(nullptr, "an operator without row");
    if (op.args.size() != op.row->params().size())
      return bad(&op, format("{} arguments, the row has {}", op.args.size(), op.row->params().size()));
    Call call(*op.row);
    for (size_t i = 0; i < op.args.size(); ++i) {
      std::vector<Operand> operands;
      for (const Value* v : op.args[i]) {
        GRAFT_CHECK(used(&op, v));
        operands.push_back(operand_of(*v));
      }
      call.set(static_cast<int>(i), std::move(operands));
    }
    if (op.deferred == nullptr) {
      if (Status s = check_arguments(call, op.row->form_of(call), true); !s) return bad(&op, s.error().message);
    }
    for (const auto& inner : op.blocks) GRAFT_CHECK(block(*inner, &op));
    GRAFT_CHECK(result_types(op, call));
    for (size_t i = 0; i < op.results.size(); ++i) {
      const Value* v = op.results[i];
      if (v == nullptr || v->producer != &op || v->result != static_cast<int>(i) || v->constant != nullptr)
        return bad(&op, format("result {} does not point back to its operator", i));
      GRAFT_CHECK(define(&op, v));
    }
    return {};
  }

  static bool fits(const Type& have, const Type& inferred) {
    if (have.kind == Type::Kind::unranked) return !inferred.is_list() && have.dtype == inferred.dtype;
    if (have.kind != inferred.kind || have.dtype != inferred.dtype || have.rank() != inferred.rank()) return false;
    for (size_t d = 0; d < have.dims.size(); ++d) {
      if (never_equal(have.dims[d], inferred.dims[d])) return false;
    }
    return true;
  }

  Status result_types(const Op& op, const Call& call) const {
    Types types;
    if (op.deferred != nullptr) return {};
    if (!op.blocks.empty()) {  // the last block's outputs: a branch, or the loop's body
      for (const Value* v : op.blocks.back()->outputs) types.push_back(v->type);
    } else if (Status s = infer(call, types); !s) {
      return bad(&op, s.error().message);
    }
    if (types.size() != op.results.size())
      return bad(&op, format("{} results, {} are inferred", op.results.size(), types.size()));
    for (size_t i = 0; i < types.size(); ++i) {
      if (op.results[i] != nullptr && !fits(op.results[i]->type, types[i]))
        return bad(&op,
                   format("result {} is {}, inferred {}", i, op.results[i]->type.to_string(), types[i].to_string()));
    }
    return {};
  }

  const Function& function_;
  std::unordered_set<const Value*> visible_;
  std::vector<const Value*> order_;  // of visible_, to forget a block's
};

}  // namespace

Status verify(const Function& function) { return Verifier(function).run(); }

Status verify(const Program& program) {
  std::unordered_set<std::string_view> names;
  for (const auto& f : program.functions) {
    if (!names.insert(f->name).second) return fail(Code::internal, format("two functions are named '{}'", f->name));
    GRAFT_CHECK(verify(*f));
  }
  if (!names.contains(program.default_function))
    return fail(Code::internal, format("the default function '{}' does not exist", program.default_function));
  return {};
}

Status verify_in_debug(const Function& function, std::string_view after) {
#ifndef NDEBUG
  constexpr size_t kMost = 2000;
  if (function.body.ops.size() > kMost) return {};
  if (Status s = verify(function); !s) {
    Diag d = std::move(s).error();
    d.message = format("after {}: {}", after, d.message);
    return fail(std::move(d));
  }
#endif
  (void)after, (void)function;
  return {};
}

}  // namespace graft::ir
