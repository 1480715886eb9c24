#include "coreml/mlprogram/writer.h"

#include <unordered_map>
#include <unordered_set>

#include "base/format.h"
#include "coreml/mlprogram/defaults.h"
#include "coreml/mlprogram/encode.h"
#include "coreml/mlprogram/storage_form.h"
#include "coreml/mlprogram/variant.h"
#include "ir/builder.h"
#include "ir/names.h"

namespace graft::coreml {
namespace {

using protozero::pbf_builder;
using BlockOut = pbf_builder<proto::Block>;
using OperationOut = pbf_builder<proto::Operation>;

class FunctionWriter {
 public:
  FunctionWriter(const ir::Function& function, FunctionInterface& face, ir::Opset opset, BlobWriter& blobs)
      : function_(function), face_(face), opset_(opset), blobs_(blobs) {}

  Status write(pbf_builder<proto::Function> out) {
    name_interface();
    for (const ir::Value* v : function_.inputs) named_type({out, proto::Function::inputs}, names_.at(v), v->type);
    const std::string_view opset = info(opset_).file_name;
    out.add_string(proto::Function::opset, opset.data(), opset.size());
    pbf_builder<proto::MapEntry> entry(out, proto::Function::block_specializations);
    entry.add_string(proto::MapEntry::key, opset.data(), opset.size());
    return write_block({entry, proto::MapEntry::value}, function_.body, &face_.outputs);
  }

 private:
  // What a block has named; forgotten at its end, because no other block sees it.
  using Scope = std::vector<const ir::Value*>;

  // Interface names come first, so that nothing inside can take them. A value that is one output and no input bears
  // the output's name.
  void name_interface() {
    size_t input = 0, state = 0;
    for (const ir::Value* v : function_.inputs) {
      Feature& f = v->type.kind == ir::Type::Kind::state ? face_.states[state++] : face_.inputs[input++];
      f.file_name = names_[v] = pool_.take(f.name);
    }
    for (size_t i = 0; i < face_.outputs.size(); ++i) {
      const ir::Value* v = function_.body.outputs[i];
      Feature& f = face_.outputs[i];
      f.file_name = pool_.take(f.name);
      if (v->producer != nullptr) output_names_.try_emplace(v, f.file_name);
    }
  }

  static void named_type(pbf_builder<proto::NamedValueType> out, const std::string& name, const ir::Type& type) {
    out.add_string(proto::NamedValueType::name, name);
    encode_type({out, proto::NamedValueType::type}, type);
  }

  void string_attribute(OperationOut& out, std::string_view key, std::string_view text) {
    pbf_builder<proto::MapEntry> entry(out, proto::Operation::attributes);
    entry.add_string(proto::MapEntry::key, key.data(), key.size());
    encode_string({entry, proto::MapEntry::value}, text);
  }

  void value_attribute(OperationOut& out, std::string_view key, const ir::ConstantPtr& constant) {
    pbf_builder<proto::MapEntry> entry(out, proto::Operation::attributes);
    entry.add_string(proto::MapEntry::key, key.data(), key.size());
    encode_value({entry, proto::MapEntry::value}, constant, info(opset_).spec_version, blobs_);
  }

  static void type_name(OperationOut& out, std::string_view type) {
    out.add_string(proto::Operation::type, type.data(), type.size());
  }

  void write_const(BlockOut& block, const std::string& name, const ir::ConstantPtr& constant) {
    OperationOut out(block, proto::Block::operations);
    type_name(out, "const");
    named_type({out, proto::Operation::outputs}, name, ir::Type::tensor(constant->dtype(), constant->shape()));
    string_attribute(out, "name", name);
    value_attribute(out, "val", constant);
  }

  // An argument: the names of values, or one inline.
  struct Bound {
    std::string_view param;
    std::vector<std::string> names;
    ir::ConstantPtr constant = nullptr;
    bool list = false;  // the constant's elements are one
  };

  // Returns the names of the results.
  std::vector<std::string> write_constexpr(BlockOut& block, const std::string& name, const ConstexprOp& op) {
    std::vector<Bound> bound;
    std::vector<std::string> before;  // the results behind the argument before
    for (const auto& [param, constant] : op.args) {
      if (constant == nullptr) {
        bound.push_back({param, {before[0]}});
        continue;
      }
      // A part that is cast is not worth an operator.
      const bool inlined = !op.inputs || !op.nests || constant->as<ir::form::Cast>() != nullptr;
      const auto inner = inlined ? std::nullopt : constexpr_of(constant, opset_);
      if (inner) before = write_constexpr(block, pool_.take(format("{}_{}", name, param)), *inner);
      bound.push_back(inner ? Bound{param, {before[inner->result]}} : Bound{param, {}, constant});
    }
    std::vector<std::string> results;
    for (size_t i = 0; i < op.results.size(); ++i)
      results.push_back(i == op.result ? name : pool_.take(format("{}_mask", name)));
    OperationOut out(block, proto::Block::operations);
    type_name(out, op.type);
    if (op.inputs) encode_bound(out, bound);
    for (size_t i = 0; i < results.size(); ++i) named_type({out, proto::Operation::outputs}, results[i], op.results[i]);
    string_attribute(out, "name", name);
    for (const Bound& b : bound) {
      if (!op.inputs) value_attribute(out, b.param, b.constant);
    }
    return results;
  }

  // In the form in which it is stored, where the target has that and a dense one would go to the blob file: small ones
  // have nothing to gain, and may be parameters whose value Apple's tools want to see.
  void write_constant(BlockOut& block, const std::string& name, const ir::ConstantPtr& constant) {
    const bool big = is_float(constant->dtype()) && goes_to_blob(*constant, info(opset_).spec_version);
    const auto op = big ? constexpr_of(constant, opset_) : std::nullopt;
    if (op)
      write_constexpr(block, name, *op);
    else
      write_const(block, name, constant);
  }

  // The name of a value that an operator uses; a constant is written here when this block does not see it yet.
  Result<std::string> name_of(BlockOut& block, Scope& scope, const ir::Value* v, std::string_view hint) {
    if (const auto at = names_.find(v); at != names_.end()) return at->second;
    if (v->constant == nullptr)
      return fail(Code::internal, format("value '{}' is used where it is not defined", v->name));
    if (!target_.constants().has(v->dtype())) {
      Diag d;
      d.code = Code::unsupported_dtype;
      d.tensor = v->name;
      d.message = format("Core ML has no constants of {}", name(v->dtype()));
      return fail(std::move(d));
    }
    const std::string name = pool_.take(v->name.empty() ? hint : v->name);
    write_constant(block, name, v->constant);
    names_[v] = name;
    scope.push_back(v);
    return name;
  }

  // Arguments as names, with the constants they need written before the operator; optional parameters get their
  // defaults written out.
  Result<std::vector<Bound>> bind(BlockOut& block, Scope& scope, const ir::Op& op, const FittedOp& fitted,
                                  const std::string& op_name) {
    std::vector<Bound> bound;
    const ir::Value* x = op.row->params().empty() ? nullptr : op.arg(op.row->params()[0].name);
    for (const ir::Param& param : fitted.signature->params) {
      if (param.kind == ir::Param::Kind::block) continue;
      const size_t i = static_cast<size_t>(op.row->param_index(param.name));
      const std::string hint = format("{}_{}_0", op_name, param.name);
      Bound b{param.name, {}};
      if (param.kind == ir::Param::Kind::list && param.constant) {
        b.constant = op.args[i].empty() ? nullptr : op.args[i][0]->constant;
        b.list = true;
        bound.push_back(std::move(b));
        continue;
      }
      for (const ir::Value* v : op.args[i]) {
        GRAFT_TRY(std::string name, name_of(block, scope, v, hint));
        b.names.push_back(std::move(name));
      }
      if (b.names.empty()) {
        const ir::Param& newest = op.row->params()[i];  // an absent argument means the newest default
        const DType dtype = default_dtype(param, *fitted.signature, fitted.call);
        const ir::ConstantPtr fallback = default_constant(newest, dtype, x == nullptr ? 0 : x->rank());
        if (fallback == nullptr) continue;
        b.names.push_back(pool_.take(hint));
        write_const(block, b.names[0], fallback);
      }
      bound.push_back(std::move(b));
    }
    return bound;
  }

  void encode_bound(OperationOut& out, const std::vector<Bound>& bound) {
    for (const Bound& b : bound) {
      pbf_builder<proto::MapEntry> entry(out, proto::Operation::inputs);
      entry.add_string(proto::MapEntry::key, b.param.data(), b.param.size());
      pbf_builder<proto::Argument> argument(entry, proto::MapEntry::value);
      for (const std::string& name : b.names) {
        pbf_builder<proto::Binding> binding(argument, proto::Argument::arguments);
        binding.add_string(proto::Binding::name, name);
      }
      if (b.constant == nullptr) continue;
      pbf_builder<proto::Binding> binding(argument, proto::Argument::arguments);
      if (b.list)
        encode_list({binding, proto::Binding::value}, b.constant);
      else
        encode_value({binding, proto::Binding::value}, b.constant, info(opset_).spec_version, blobs_);
    }
  }

  Status write_op(BlockOut& block, Scope& scope, const ir::Op& op) {
    if (!op.is(ir::Kind::classify) && op.deferred == nullptr) {
      for (const ir::Value* v : op.results) GRAFT_CHECK(target_.accepts(v->type));
    }
    GRAFT_TRY(const FittedOp fitted, fit(op, opset_));
    if (op.type().starts_with("constexpr_"))
      return fail(Code::limit_exceeded, format("compressed weights nest deeper than {}", ir::Constant::kMaxDepth));

    std::vector<std::string> results;
    for (const ir::Value* v : op.results) {
      const auto output = output_names_.find(v);
      results.push_back(output != output_names_.end() ? output->second
                                                      : pool_.take(v->name.empty() ? op.type() : v->name));
    }
    const std::string op_name = !results.empty() ? results[0] : pool_.take(op.name.empty() ? op.type() : op.name);
    GRAFT_TRY(const std::vector<Bound> bound, bind(block, scope, op, fitted, op_name));

    OperationOut out(block, proto::Block::operations);
    type_name(out, op.type());
    encode_bound(out, bound);
    for (size_t i = 0; i < results.size(); ++i)
      named_type({out, proto::Operation::outputs}, results[i], op.results[i]->type);
    for (const auto& inner : op.blocks) GRAFT_CHECK(write_block({out, proto::Operation::blocks}, *inner, nullptr));
    string_attribute(out, "name", op_name);
    for (size_t i = 0; i < results.size(); ++i) {
      names_[op.results[i]] = results[i];
      scope.push_back(op.results[i]);
    }
    return {};
  }

  // A block returns what its own operators made, each once; anything else goes through an identity.
  Result<std::string> returned(BlockOut& block, Scope& scope, const ir::Value* v, const std::string* wanted) {
    std::string name = wanted != nullptr ? *wanted : pool_.take(v->name.empty() ? "identity" : v->name);
    GRAFT_TRY(const std::string source, name_of(block, scope, v, name + "_x_0"));
    OperationOut out(block, proto::Block::operations);
    type_name(out, "identity");
    encode_bound(out, {{"x", {source}}});
    named_type({out, proto::Operation::outputs}, name, v->type);
    string_attribute(out, "name", name);
    return name;
  }

  Status write_block(BlockOut out, const ir::Block& block, const std::vector<Feature>* features) {
    Scope scope;
    for (const ir::Value* v : block.inputs) {
      names_[v] = pool_.take(v->name.empty() ? "input" : v->name);
      scope.push_back(v);
      named_type({out, proto::Block::inputs}, names_[v], v->type);
    }
    std::unordered_set<const ir::Value*> own;
    for (const auto& op : block.ops) {
      if (Status s = write_op(out, scope, *op); !s) {
        Diag d = std::move(s).error();
        const std::string_view where = op->results.empty() ? op->name : op->results[0]->name;
        return fail(std::move(d).at_node(where, op->type()));
      }
      own.insert(op->results.begin(), op->results.end());
    }
    std::vector<std::string> outputs;
    for (size_t i = 0; i < block.outputs.size(); ++i) {
      const ir::Value* v = block.outputs[i];
      const std::string* wanted = features == nullptr ? nullptr : &(*features)[i].file_name;
      const auto named = names_.find(v);
      if (own.erase(v) == 1 && (wanted == nullptr || named->second == *wanted)) {
        outputs.push_back(named->second);
        continue;
      }
      GRAFT_TRY(std::string name, returned(out, scope, v, wanted));
      outputs.push_back(std::move(name));
    }
    for (const std::string& name : outputs) out.add_string(proto::Block::outputs, name);
    for (const ir::Value* v : scope) names_.erase(v);
    return {};
  }

  const ir::Function& function_;
  FunctionInterface& face_;
  const ir::Opset opset_;
  const ir::Target target_ = ir::Target::mlprogram(opset_);
  BlobWriter& blobs_;
  ir::NamePool pool_;
  std::unordered_map<const ir::Value*, std::string> names_;         // visible where we are
  std::unordered_map<const ir::Value*, std::string> output_names_;  // values that bear an output's name
};

}  // namespace

Status encode_program(pbf_builder<proto::Program> out, const ir::Program& program, ir::Opset opset,
                      Interface& interface, BlobWriter& blobs) {
  out.add_int64(proto::Program::version, 1);
  for (size_t i = 0; i < program.functions.size(); ++i) {
    FunctionWriter writer(*program.functions[i], interface.functions[i], opset, blobs);
    pbf_builder<proto::MapEntry> entry(out, proto::Program::functions);
    entry.add_string(proto::MapEntry::key, interface.functions[i].name);
    GRAFT_CHECK(writer.write({entry, proto::MapEntry::value}));
  }
  return {};
}

}  // namespace graft::coreml
