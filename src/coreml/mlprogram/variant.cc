#include "coreml/mlprogram/variant.h"

#include "base/format.h"
#include "coreml/mlprogram/defaults.h"

namespace graft::coreml {

using ir::Opset;

namespace {

tl::unexpected<Diag> later(const ir::Op& op, std::string message) {
  Diag d;
  d.code = Code::needs_later_target;
  d.op = std::string(op.type());
  d.message = std::move(message);
  return fail(std::move(d));
}

}  // namespace

Result<FittedOp> fit(const ir::Op& op, Opset opset) {
  const ir::OpRow& row = *op.row;
  GRAFT_CHECK(ir::Target::mlprogram(opset).has(row));
  const ir::Signature* signature = row.at(opset);
  if (signature == nullptr) {
    return later(op, format("{} needs {} or later, the target is {}", row.name(),
                            info(row.signatures.front().variant->since).name, info(opset).name));
  }
  FittedOp fitted{signature, ir::Call(row)};
  for (size_t i = 0; i < op.args.size(); ++i) {
    const ir::Param& param = row.params()[i];
    if (op.args[i].empty() || param.kind == ir::Param::Kind::block) continue;
    if (signature->find(param.name) == nullptr) {
      const ir::Value* v = op.args[i][0];
      const ir::Value* x = op.arg(row.params()[0].name);
      const ir::ConstantPtr fallback = default_constant(param, v->dtype(), x == nullptr ? 0 : x->rank());
      if (!v->is_constant() || fallback == nullptr || !fallback->same_as(*v->constant))
        return later(op, format("parameter '{}' of {} needs a later target than {}, unless it has its default ({})",
                                param.name, row.name(), info(opset).name, param.fallback));
      continue;
    }
    std::vector<ir::Operand> operands;
    for (const ir::Value* v : op.args[i]) operands.push_back(ir::operand_of(*v));
    fitted.call.set(static_cast<int>(i), std::move(operands));
  }
  if (op.deferred != nullptr) return fitted;  // what is put off is checked when there are ranks
  GRAFT_CHECK(check_arguments(fitted.call, *signature, false));
  if (signature->variant->check != nullptr) GRAFT_CHECK(signature->variant->check(fitted.call));
  return fitted;
}

}  // namespace graft::coreml
