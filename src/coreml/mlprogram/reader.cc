// Longer than most files because operators, blocks and functions refer to each other.
#include "coreml/mlprogram/reader.h"

#include <algorithm>
#include <unordered_map>

#include "base/format.h"
#include "coreml/mlprogram/constexpr_upgrade.h"
#include "coreml/mlprogram/deferred.h"
#include "ir/assemble.h"

namespace graft::coreml {
namespace {

constexpr int kMaxBlockDepth = 32;
// How much larger than its arguments a decompressed weight may be, beyond a megabyte: a bit of a sparse or palettized
// weight is at most a few numbers.
constexpr size_t kMaxExpansion = 1024;

tl::unexpected<Diag> invalid(std::string message) { return fail(Code::invalid_model, std::move(message)); }

struct Named {
  std::string_view name, message;
};

// An operation before its parts are decoded.
struct OperationView {
  std::string_view type;
  std::vector<Named> inputs, attributes;
  std::vector<std::string_view> outputs, blocks;

  explicit OperationView(std::string_view message) {
    for (Fields f(message); f.next();) {
      switch (f.tag<proto::Operation>()) {
        case proto::Operation::type: type = f.bytes(); break;
        case proto::Operation::inputs: add(inputs, f.bytes()); break;
        case proto::Operation::attributes: add(attributes, f.bytes()); break;
        case proto::Operation::outputs: outputs.push_back(f.bytes()); break;
        case proto::Operation::blocks: blocks.push_back(f.bytes()); break;
        default: f.skip();
      }
    }
  }
  static void add(std::vector<Named>& to, std::string_view entry) {
    const Entry e = read_entry(entry);
    to.push_back({e.key, e.value});
  }
};

// Operators that Apple's tools know and no ML Program can be run with.
std::string_view why_unsupported(std::string_view op) {
  if (op == "custom_layer") return ": its code is in an application, not in the package";
  if (op == "conv_quantized")
    return ": an experiment; conv with a weight of constexpr_affine_dequantize means the same";
  return "";
}

class FunctionReader {
 public:
  FunctionReader(ir::Function& function, const FunctionInterface& face, const ir::OpTable& table,
                 const BlobSource& blobs, const Bounds& bounds)
      : function_(function), builder_(function, table, ir::Target(), bounds), blobs_(blobs) {
    for (const Feature& f : face.inputs) inputs_.emplace(f.file_name, &f);
    for (const Feature& f : face.states) inputs_.emplace(f.file_name, &f);
    for (const Feature& f : face.outputs) outputs_.emplace(f.file_name, &f);
  }

  Status read_input(std::string_view message) {
    const NamedType n = decode_named_type(message);
    const auto described = inputs_.find(n.name);
    const Feature* feature = described != inputs_.end() ? described->second : nullptr;
    const auto unknown = [&](int axis) { return input_dim(n.name, axis, feature); };
    GRAFT_TRY(ir::Type type, decode_type(n.type, unknown));
    ir::Value* v = function_.add_input(std::move(type), feature != nullptr ? feature->name : std::string(n.name));
    return define(n.name, v);
  }

  Status read_body(std::string_view block) {
    GRAFT_TRY(const std::vector<std::string_view> outputs, read_block(block, function_.body));
    for (const std::string_view name : outputs) {
      const auto feature = outputs_.find(name);
      function_.output_names.push_back(feature != outputs_.end() ? feature->second->name : std::string(name));
    }
    return {};
  }

 private:
  // An unknown dim of an input: what the description allows there.
  ir::Dim input_dim(std::string_view input, int axis, const Feature* feature) {
    IntRange range{1, INT64_MAX};
    const std::string symbol = format("{}_d{}", input, axis);
    const size_t a = static_cast<size_t>(axis);
    if (feature != nullptr) {
      if (a < feature->ranges.size()) {
        range = feature->ranges[a];
      } else if (!feature->enumerated.empty()) {
        range = {INT64_MAX, 0};
        for (const Shape& s : feature->enumerated) {
          if (axis < s.size()) range = {std::min(range.lo, s[axis]), std::max(range.hi, s[axis])};
        }
        if (range.lo > range.hi) range = {1, INT64_MAX};
      } else if (axis < feature->shape.size()) {
        range = {feature->shape[axis], feature->shape[axis]};
      }
      if (axis < feature->shape.size()) function_.default_dims[symbol] = feature->shape[axis];
    }
    if (range.lo == range.hi) {
      function_.default_dims.erase(symbol);
      return ir::Dim(range.lo);
    }
    return ir::Dim::symbol(symbol, range);
  }

  ir::Dim fresh() { return ir::Dim::symbol(function_.fresh_symbol()); }

  Status define(std::string_view name, ir::Value* v) {
    if (name.empty()) return invalid("a value without name");
    if (!scope_.emplace(name, v).second) return invalid(format("'{}' is defined twice", name));
    defined_.push_back(name);
    return {};
  }

  Result<ir::Value*> lookup(std::string_view name) const {
    const auto at = scope_.find(name);
    if (at == scope_.end()) return invalid(format("'{}' is used, but not defined before", name));
    return at->second;
  }

  // Reads a block's operators and outputs; what it defines is forgotten at its end.
  Result<std::vector<std::string_view>> read_block(std::string_view message, ir::Block& block) {
    if (++depth_ > kMaxBlockDepth)
      return fail(Code::limit_exceeded, format("blocks nest deeper than {}", kMaxBlockDepth));
    const ir::Builder::BlockScope here(builder_, block);
    const size_t outer = defined_.size();
    std::vector<std::string_view> inputs, operations, outputs;
    for (Fields f(message); f.next();) {
      switch (f.tag<proto::Block>()) {
        case proto::Block::inputs: inputs.push_back(f.bytes()); break;
        case proto::Block::operations: operations.push_back(f.bytes()); break;
        case proto::Block::outputs: outputs.push_back(f.bytes()); break;
        default: f.skip();
      }
    }
    for (const std::string_view i : inputs) {
      const NamedType n = decode_named_type(i);
      GRAFT_TRY(ir::Type type, decode_type(n.type, [&](int) { return fresh(); }));
      block.inputs.push_back(function_.new_value(std::move(type), std::string(n.name)));
      GRAFT_CHECK(define(n.name, block.inputs.back()));
    }
    for (const std::string_view operation : operations) GRAFT_CHECK(read_operation(operation));
    for (const std::string_view name : outputs) {
      GRAFT_TRY(ir::Value * v, lookup(name));
      block.outputs.push_back(v);
    }
    for (; defined_.size() > outer; defined_.pop_back()) scope_.erase(defined_.back());
    --depth_;
    return outputs;
  }

  Status read_operation(std::string_view message) {
    const OperationView op(message);
    Status s;
    if (op.type == "const")
      s = read_const(op);
    else if (op.type.starts_with("constexpr_"))
      s = read_constexpr(op);
    else if (op.type == "cond" || op.type == "while_loop")
      s = read_with_blocks(op);
    else
      s = read_plain(op);
    if (s) return s;
    const std::string_view where = op.outputs.empty() ? std::string_view() : decode_named_type(op.outputs[0]).name;
    Diag d = std::move(s).error();
    return fail(std::move(d).at_node(where, op.type));
  }

  Result<const ir::OpRow*> row_of(const OperationView& op) const {
    if (const ir::OpRow* row = builder_.table().find(op.type); row != nullptr && !row->host_only()) return row;
    return fail(Code::unsupported_operator, format("unsupported operator '{}'{}", op.type, why_unsupported(op.type)));
  }

  Status read_const(const OperationView& op) {
    for (const Named& a : op.attributes) {
      if (a.name != "val") continue;
      GRAFT_TRY(ir::ConstantPtr c, decode_value(a.message, blobs_));
      return name_results(op, {builder_.constant(std::move(c))});
    }
    return invalid("a const without 'val'");
  }

  // The values that an Argument binds. Inline values become constants.
  Result<ir::Values> bindings(std::string_view argument) {
    ir::Values values;
    for (Fields f(argument); f.next();) {
      if (f.tag<proto::Argument>() != proto::Argument::arguments) {
        f.skip();
        continue;
      }
      for (Fields b(f.bytes()); b.next();) {
        switch (b.tag<proto::Binding>()) {
          case proto::Binding::name: {
            GRAFT_TRY(ir::Value * v, lookup(b.bytes()));
            values.push_back(v);
            break;
          }
          case proto::Binding::value: {
            GRAFT_TRY(ir::ConstantPtr c, decode_value(b.bytes(), blobs_));
            values.push_back(builder_.constant(std::move(c)));
            break;
          }
          default: b.skip();
        }
      }
    }
    return values;
  }

  // Weights of the compressed kinds become constants that are stored so. Nothing is decompressed.
  Status read_constexpr(const OperationView& op) {
    GRAFT_TRY(const ir::OpRow* row, row_of(op));
    NamedConstants given;
    for (const Named& a : op.attributes) {
      if (a.name == "name") continue;
      GRAFT_TRY(ir::ConstantPtr c, decode_value(a.message, blobs_));
      given.emplace_back(a.name, std::move(c));
    }
    for (const Named& i : op.inputs) {
      GRAFT_TRY(const ir::Values values, bindings(i.message));
      if (values.size() != 1 || !values[0]->is_constant())
        return fail(Code::needs_constant, format("argument '{}' must be one constant", i.name));
      given.emplace_back(i.name, values[0]->constant);
    }
    GRAFT_CHECK(upgrade_constexpr(op.type, given));
    size_t bytes = 0;
    std::vector<ir::Arg> args;
    for (const auto& [name, constant] : given) {
      if (row->param_index(name) < 0) return invalid(format("no parameter '{}'", name));
      args.emplace_back(name, builder_.constant(constant));
      bytes += constant->stored_bytes();
    }
    const ir::Values results = builder_.emit_all(op.type, args);
    if (!builder_.ok()) return fail(*builder_.failure());
    for (const ir::Value* v : results) {
      if (!v->is_constant())
        return fail(Code::limit_exceeded, format("compressed weights nest deeper than {}", ir::Constant::kMaxDepth));
      if (v->constant->bytes() / kMaxExpansion > bytes + kMaxExpansion)
        return fail(Code::limit_exceeded, format("a weight of {} from {} bytes", v->type.to_string(), bytes));
    }
    return name_results(op, results);
  }

  Status read_plain(const OperationView& op) {
    GRAFT_TRY(const ir::OpRow* row, row_of(op));
    if (!op.blocks.empty()) return invalid("this operator has no blocks");
    std::vector<ir::Arg> args;
    for (const Named& i : op.inputs) {
      if (row->param_index(i.name) < 0) return invalid(format("no parameter '{}'", i.name));
      GRAFT_TRY(ir::Values values, bindings(i.message));
      if (values.empty()) return invalid(format("argument '{}' is empty", i.name));
      args.emplace_back(i.name, std::move(values));
    }
    ir::Types declared;
    for (const std::string_view output : op.outputs) {
      GRAFT_TRY(ir::Type type, decode_type(decode_named_type(output).type, [](int) { return ir::Dim::symbol("?"); }));
      declared.push_back(std::move(type));
    }
    const ir::Values results = reads_or_makes_unranked(args, declared)
                                   ? defer(builder_, *row, args, std::move(declared))
                                   : builder_.emit_all(op.type, args);
    if (!builder_.ok()) return fail(*builder_.failure());
    if (!results.empty() && results[0]->producer != nullptr) results[0]->producer->name = operator_name(op);
    return name_results(op, results);
  }

  std::string operator_name(const OperationView& op) {
    for (const Named& a : op.attributes) {
      if (a.name != "name") continue;
      if (Result<ir::ConstantPtr> c = decode_value(a.message, blobs_)) return (*c)->string_value();
    }
    return {};
  }

  Status name_results(const OperationView& op, const ir::Values& results) {
    if (results.size() != op.outputs.size())
      return invalid(format("{} outputs are declared, the operator has {}", op.outputs.size(), results.size()));
    for (size_t i = 0; i < results.size(); ++i) {
      const NamedType n = decode_named_type(op.outputs[i]);
      GRAFT_TRY(const ir::Type declared, decode_type(n.type, [](int) { return ir::Dim::symbol("?"); }));
      if (Status s = accept_declared(*results[i], declared); !s) {
        Diag d = std::move(s).error();
        return fail(std::move(d).at_tensor(n.name));
      }
      results[i]->name = std::string(n.name);
      GRAFT_CHECK(define(n.name, results[i]));
    }
    return {};
  }

  // The only values of an argument, by name.
  Result<ir::Values> argument(const OperationView& op, std::string_view name) {
    for (const Named& i : op.inputs) {
      if (i.name == name) return bindings(i.message);
    }
    return invalid(format("argument '{}' is missing", name));
  }

  Status read_with_blocks(const OperationView& op) {
    GRAFT_TRY(const ir::OpRow* row, row_of(op));
    const bool loop = row->name() == "while_loop";
    GRAFT_TRY(const ir::Values values, argument(op, loop ? "loop_vars" : "pred"));
    std::vector<std::unique_ptr<ir::Block>> blocks;
    for (const std::string_view message : op.blocks) {
      blocks.push_back(std::make_unique<ir::Block>());
      blocks.back()->function = &function_;
      GRAFT_CHECK(read_block(message, *blocks.back()));
    }
    GRAFT_TRY(const ir::Values results, loop ? assemble_while(builder_, values, std::move(blocks))
                                             : assemble_cond(builder_, values, std::move(blocks)));
    return name_results(op, results);
  }

  ir::Function& function_;
  ir::Builder builder_;
  const BlobSource& blobs_;
  std::unordered_map<std::string_view, const Feature*> inputs_, outputs_;  // by file name; inputs: states too
  std::unordered_map<std::string_view, ir::Value*> scope_;
  std::vector<std::string_view> defined_;  // in order, to forget a block's
  int depth_ = 0;
};

Result<std::unique_ptr<ir::Function>> read_function(std::string_view name, std::string_view message,
                                                    const FunctionInterface& face, const ir::OpTable& table,
                                                    const BlobSource& blobs, const Bounds& bounds, ir::Opset& newest) {
  auto function = std::make_unique<ir::Function>(std::string(name));
  std::vector<std::string_view> inputs;
  std::vector<Entry> blocks;
  std::string_view opset_name;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::Function>()) {
      case proto::Function::inputs: inputs.push_back(f.bytes()); break;
      case proto::Function::opset: opset_name = f.bytes(); break;
      case proto::Function::block_specializations: blocks.push_back(read_entry(f.bytes())); break;
      default: f.skip();
    }
  }
  const ir::OpsetInfo* opset = ir::opset_from_file_name(opset_name);
  if (opset == nullptr)
    return fail(Code::unsupported_format, format("function '{}' has the unknown opset '{}'", name, opset_name));
  newest = std::max(newest, opset->opset);
  const auto block = std::find_if(blocks.begin(), blocks.end(), [&](const Entry& e) { return e.key == opset_name; });
  if (block == blocks.end()) return invalid(format("function '{}' has no block for opset {}", name, opset_name));
  FunctionReader reader(*function, face, table, blobs, bounds);
  for (const std::string_view i : inputs) GRAFT_CHECK(reader.read_input(i));
  GRAFT_CHECK(reader.read_body(block->value));
  return function;
}

}  // namespace

Result<ProgramParts> decode_program(std::string_view message, const Interface& interface, const ir::OpTable& table,
                                    const BlobSource& blobs, const Bounds& bounds) {
  ProgramParts parts;
  parts.program = std::make_shared<ir::Program>();
  parts.program->default_function = interface.default_function;
  std::map<std::string_view, std::string_view> functions;  // map fields have no order of their own
  for (Fields f(message); f.next();) {
    if (f.tag<proto::Program>() != proto::Program::functions) {
      f.skip();
      continue;
    }
    const Entry e = read_entry(f.bytes());
    functions[e.key] = e.value;
  }
  if (functions.empty()) return invalid("the program has no functions");
  for (const auto& [name, body] : functions) {
    const auto face = std::find_if(interface.functions.begin(), interface.functions.end(),
                                   [&, n = name](const FunctionInterface& f) { return f.name == n; });
    if (face == interface.functions.end()) return invalid(format("function '{}' is not described", name));
    GRAFT_TRY(auto function, read_function(name, body, *face, table, blobs, bounds, parts.opset));
    parts.program->functions.push_back(std::move(function));
  }
  if (!functions.contains(interface.default_function))
    return invalid(format("the default function '{}' does not exist", interface.default_function));
  return parts;
}

}  // namespace graft::coreml
