#include "coreml/mlprogram/deferred.h"

#include <algorithm>

#include "base/format.h"

namespace graft::coreml {
namespace {

using ir::Type;

bool unranked(const Type& t) { return t.kind == Type::Kind::unranked; }

class DeferredOp final : public ir::Deferred {
 public:
  DeferredOp(const ir::OpTable& table, const ir::Op& op) : table_(table), row_(*op.row) {
    for (size_t p = 0; p < op.args.size(); ++p) {
      for (const ir::Value* v : op.args[p]) arguments_.push_back({p, v->constant});
    }
    for (const ir::Value* v : op.results) results_.push_back(v->dtype());
  }

  Result<std::unique_ptr<ir::Function>> build(std::span<const Type> arguments, const Bounds& bounds) const override {
    auto function = std::make_unique<ir::Function>(std::string(row_.name()));
    ir::Builder b(*function, table_, ir::Target(), bounds);
    std::vector<ir::Values> values(row_.params().size());
    for (size_t i = 0; i < arguments.size(); ++i) {
      ir::Value* v = function->add_input(arguments[i], format("{}", i));
      const auto& [param, constant] = arguments_[i];
      values[param].push_back(constant == nullptr ? v : b.constant(constant));
    }
    std::vector<ir::Arg> args;
    for (size_t p = 0; p < values.size(); ++p) {
      if (!values[p].empty()) args.emplace_back(row_.params()[p].name, std::move(values[p]));
    }
    const ir::Values made = b.emit_all(row_.name(), args);
    if (!b.ok()) return fail(*b.failure());
    if (made.size() != results_.size())
      return fail(Code::invalid_model,
                  format("{} results are declared, the operator has {}", results_.size(), made.size()));
    for (size_t i = 0; i < made.size(); ++i) {
      if (made[i]->dtype() != results_[i])
        return fail(Code::dtype_mismatch, format("result {} is declared as {}, the operator gives {}", i,
                                                 name(results_[i]), made[i]->type.to_string()));
      function->body.outputs.push_back(made[i]);
      function->output_names.push_back(format("{}", i));
    }
    return function;
  }

 private:
  struct Argument {
    size_t param;
    ir::ConstantPtr constant;  // null: of the run
  };
  const ir::OpTable& table_;  // outlives every program
  const ir::OpRow& row_;
  std::vector<Argument> arguments_;
  std::vector<DType> results_;
};

}  // namespace

bool reads_or_makes_unranked(std::span<const ir::Arg> args, std::span<const Type> declared) {
  return std::any_of(declared.begin(), declared.end(), unranked) ||
         std::any_of(args.begin(), args.end(), [](const ir::Arg& a) {
           const ir::Values& values = std::get<ir::Values>(a.value);
           return std::any_of(values.begin(), values.end(), [](const ir::Value* v) { return unranked(v->type); });
         });
}

ir::Values defer(ir::Builder& b, const ir::OpRow& row, std::span<const ir::Arg> args, ir::Types declared) {
  const auto plain = [](const Type& t) { return t.is_tensor() || unranked(t); };
  if (row.def->effects != ir::Effects::none || ir::has_blocks(row.def->kind) ||
      !std::all_of(declared.begin(), declared.end(), plain))
    return {b.refuse(Code::unsupported_operator, format("{} of a tensor whose rank is not known", row.name()))};
  auto op = std::make_unique<ir::Op>();
  op->row = &row;
  op->origin = b.origin();
  op->args.resize(row.params().size());
  for (const ir::Arg& a : args) {
    const ir::Values& values = std::get<ir::Values>(a.value);
    if (!std::all_of(values.begin(), values.end(), [&](const ir::Value* v) { return plain(v->type); }))
      return {b.refuse(Code::unsupported_operator, format("{} of a tensor whose rank is not known", row.name()))};
    op->args[static_cast<size_t>(row.param_index(a.name))] = values;
  }
  const auto fresh = [&](IntRange range) { return ir::Dim::symbol(b.function().fresh_symbol(), range); };
  for (Type& t : declared) {
    ir::Value* v = b.function().new_value(ir::with_new_sizes(std::move(t), fresh));
    v->producer = op.get();
    v->result = static_cast<int>(op->results.size());
    op->results.push_back(v);
  }
  op->deferred = std::make_shared<const DeferredOp>(b.table(), *op);
  ir::Values results = op->results;
  b.block().ops.push_back(std::move(op));
  return results;
}

}  // namespace graft::coreml
