#include "evaluate.h"

#include <deque>
#include <unordered_map>

#include "base/format.h"

namespace graft::test {
namespace {

class Evaluation {
 public:
  void set(const ir::Value* v, Tensor t) { values_[v] = std::move(t); }

  Result<Tensor> get(const ir::Value* v) const {
    const auto at = values_.find(v);
    if (at != values_.end()) return at->second;
    if (!v->is_constant()) return fail(Code::internal, format("'{}' has no value", v->name));
    const TensorView c = v->constant->aligned_view();
    GRAFT_TRY(Tensor t, Tensor::allocate(c.dtype, c.shape));
    if (c.dtype == DType::string) {
      std::copy(c.as<std::string>(), c.as<std::string>() + c.count(), t.mutable_view().as<std::string>());
    } else if (c.bytes() != 0) {
      std::memcpy(t.mutable_view().data, c.data, c.bytes());
    }
    return t;
  }

  Status run(const ir::Block& block) {
    for (const auto& op : block.ops) {
      Status s = op->type() == "cond" ? branch(*op) : step(*op);
      if (!s) {
        Diag d = std::move(s).error();
        if (d.op.empty()) d.op = std::string(op->type());
        return fail(std::move(d));
      }
    }
    return {};
  }

 private:
  Status branch(const ir::Op& op) {
    GRAFT_TRY(const Tensor pred, get(op.arg("pred")));
    const ir::Block& block = *op.blocks[element_as_int(pred.view(), 0) != 0 ? 0 : 1];
    GRAFT_CHECK(run(block));
    for (size_t i = 0; i < op.results.size(); ++i) {
      GRAFT_TRY(Tensor t, get(block.outputs[i]));
      set(op.results[i], std::move(t));
    }
    return {};
  }

  Status step(const ir::Op& op) {
    std::deque<ir::Type> types;
    std::vector<Tensor> keep;
    ir::Call call = ir::call_of(op);
    for (size_t p = 0; p < op.args.size(); ++p) {
      for (size_t i = 0; i < op.args[p].size(); ++i) {
        GRAFT_TRY(Tensor t, get(op.args[p][i]));
        ir::Operand& o = call.slot(static_cast<int>(p))[i];
        o.type = &types.emplace_back(ir::Type::tensor(t.dtype(), t.shape()));
        o.value = t.view();
        o.content = nullptr;
        keep.push_back(std::move(t));
      }
    }
    ir::Types out;
    GRAFT_CHECK(ir::infer(call, out));
    GRAFT_TRY(ir::HeapOutputs outputs, ir::HeapOutputs::for_types(out));
    if (op.row->def->reference == nullptr) return fail(Code::unsupported_operator, "no reference kernel");
    GRAFT_CHECK(op.row->def->reference(call, outputs));
    for (size_t i = 0; i < op.results.size(); ++i) {
      Tensor t = outputs.take(static_cast<int>(i));
      GRAFT_CHECK(compare(*op.results[i], t));
      set(op.results[i], std::move(t));
    }
    return {};
  }

  // What was inferred while building must hold for what came out.
  static Status compare(const ir::Value& v, const Tensor& t) {
    const ir::Type& type = v.type;
    bool fits = type.dtype == t.dtype() && type.rank() == t.shape().size();
    for (int d = 0; fits && d < type.rank(); ++d)
      fits = !type.dims[static_cast<size_t>(d)].known() || type.dims[static_cast<size_t>(d)].value() == t.shape()[d];
    if (!fits)
      return fail(Code::internal, format("inferred {}, got {}", type.to_string(), describe(t.dtype(), t.shape())));
    if (!is_int(t.dtype()) || t.shape().size() > 1) return {};
    for (int64_t i = 0; i < t.view().count(); ++i) {
      const int64_t e = element_as_int(t.view(), i);
      if (e < v.range.lo || e > v.range.hi)
        return fail(Code::internal, format("{} is outside the proven range {}..{}", e, v.range.lo, v.range.hi));
    }
    return {};
  }

  std::unordered_map<const ir::Value*, Tensor> values_;
};

}  // namespace

Result<std::vector<Tensor>> evaluate(const ir::Function& function, std::span<const Tensor> inputs) {
  Evaluation e;
  if (inputs.size() != function.inputs.size())
    return fail(Code::invalid_argument, format("{} inputs given, takes {}", inputs.size(), function.inputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i) e.set(function.inputs[i], inputs[i]);
  GRAFT_CHECK(e.run(function.body));
  std::vector<Tensor> out;
  for (const ir::Value* v : function.body.outputs) {
    GRAFT_TRY(Tensor t, e.get(v));
    out.push_back(std::move(t));
  }
  return out;
}

}  // namespace graft::test
