#include <cmath>
#include <cstring>
#include <unordered_set>

#include "base/format.h"
#include "ir/names.h"
#include "ir/text.h"

namespace graft::ir {
namespace {

std::string quote(std::string_view s) {
  std::string q = "\"";
  for (const char c : s) {
    if (c == '\n') {
      q += "\\n";
    } else {
      if (c == '"' || c == '\\') q += '\\';
      q += c;
    }
  }
  return q + '"';
}

std::string element(const TensorView& v, int64_t i) {
  if (v.dtype == DType::string) return quote(v.as<std::string>()[i]);
  if (v.dtype == DType::boolean) return element_as_int(v, i) != 0 ? "true" : "false";
  if (v.dtype == DType::u64) {  // whose upper half no int64 holds
    uint64_t u = 0;
    std::memcpy(&u, v.as<char>() + i * 8, sizeof u);
    return format("{}", u);
  }
  if (is_int(v.dtype)) return format("{}", element_as_int(v, i));
  const double d = element_as_double(v, i);
  return std::isfinite(d) ? format("{:a}", d) : std::isnan(d) ? "nan" : d < 0 ? "-inf" : "inf";
}

// Types whose elements are written one by one; the rest (8-bit floats, packed and complex types) as bytes.
bool has_elements(DType t) {
  switch (t) {
    case DType::string:
    case DType::boolean:
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::f64: return true;
    default: return is_int(t) && item_size(t) != 0;
  }
}

class Printer {
 public:
  explicit Printer(const TextOptions& options) : options_(options) {}

  std::string print(const Program& program) {
    out_ = "program(1.3)\n";
    if (program.default_function != "main")
      out_ += format("[defaultFunction = string({})]\n", quote(program.default_function));
    if (!program.metadata.empty()) {
      out_ += "[metadata = dict<string, string>({";
      for (const char* comma = ""; const auto& [key, value] : program.metadata) {
        out_ += format("{}{{{}, {}}}", comma, quote(key), quote(value));
        comma = ", ";
      }
      out_ += "})]\n";
    }
    out_ += "{\n";
    for (const auto& f : program.functions) function(*f);
    return out_ + "}\n";
  }

  std::string print(const Function& f) {
    out_ = "program(1.3)\n{\n";
    function(f);
    return out_ + "}\n";
  }

 private:
  using Scope = std::vector<const Value*>;

  void function(const Function& f) {
    pool_ = NamePool();
    names_.clear();
    symbols_.clear();
    function_ = &f;
    const std::string_view opset = options_.opset == Opset::host ? "host" : info(options_.opset).text_name;
    out_ += format("  func {}<{}>(", legal_name(f.name), opset);
    for (size_t i = 0; i < f.inputs.size(); ++i) {
      const Value* v = f.inputs[i];
      out_ += format("{}{} {}", i == 0 ? "" : ", ", type_text(v->type, true), named(v, v->name));
      if (names_[v] != v->name) out_ += format(" = {}", quote(v->name));
    }
    out_ += ") {\n";
    Scope scope;
    statements(f.body, scope, 4);
    out_ += "  } -> (";
    for (size_t i = 0; i < f.body.outputs.size(); ++i) {
      const std::string& name = names_[f.body.outputs[i]];
      out_ += format("{}{}", i == 0 ? "" : ", ", name);
      if (f.output_names[i] != name) out_ += format(" = {}", quote(f.output_names[i]));
    }
    out_ += ");\n";
  }

  const std::string& named(const Value* v, std::string_view hint) { return names_[v] = pool_.take(hint); }

  static std::string symbol_text(std::string_view name) {
    return legal_name(name) == name && name != "inf" ? std::string(name) : quote(name);  // -inf would be a number
  }

  // With the range where a symbol is met first.
  std::string symbol_text(std::string_view symbol, IntRange range) {
    std::string text = symbol_text(symbol);
    if (!symbols_.emplace(symbol).second) return text;
    text += format(": {}..", range.lo);
    if (range.hi != INT64_MAX) text += format("{}", range.hi);
    const auto size = function_->default_dims.find(std::string(symbol));
    return size == function_->default_dims.end() ? text : text + format(" = {}", size->second);
  }

  std::string dim_text(const Dim& d, bool declare) {
    bool unnamed = false;
    std::unordered_map<std::string_view, IntRange> ranges;
    d.visit_symbols([&](std::string_view s, IntRange range) {
      unnamed |= s.starts_with('?');
      ranges[s] = range;
    });
    if (unnamed) return "?";
    return d.to_string([&](std::string_view s) { return declare ? symbol_text(s, ranges[s]) : symbol_text(s); });
  }

  std::string type_text(const Type& t, bool declare = false) {
    switch (t.kind) {
      case Type::Kind::tensor: {
        if (t.dims.empty()) return std::string(name(t.dtype));
        std::string s = format("tensor<{}, [", name(t.dtype));
        for (size_t i = 0; i < t.dims.size(); ++i)
          s += format("{}{}", i == 0 ? "" : ", ", dim_text(t.dims[i], declare));
        return s + "]>";
      }
      case Type::Kind::unranked: return t.to_string();
      case Type::Kind::list: return format("list<{}, {}>", type_text(*t.element), dim_text(t.length, false));
      case Type::Kind::state: return format("state<{}>", type_text(*t.element, declare));
      case Type::Kind::dictionary: return format("dict<{}, {}>", type_text(*t.key), type_text(*t.element));
      case Type::Kind::optional: return format("optional<{}>", type_text(*t.element, declare));
      case Type::Kind::none: break;
    }
    return "none";
  }

  std::string value_text(const Constant& c) {
    const std::string type = type_text(Type::tensor(c.dtype(), c.shape()));
    if (c.count() > options_.max_elements) return format("{}(ELIDED(hash = \"{:016x}\"))", type, c.hash());
    const TensorView v = c.view();
    std::string s = type + "(";
    if (!has_elements(c.dtype())) {
      s += "HEX(\"";
      for (const uint8_t b : std::span(static_cast<const uint8_t*>(v.data), v.bytes())) s += format("{:02x}", b);
      return s + "\"))";
    }
    if (c.rank() == 0) return s + element(v, 0) + ")";
    s += "[";
    for (int64_t i = 0; i < v.count(); ++i) {
      if (i != 0) s += ", ";
      s += element(v, i);
    }
    return s + "])";
  }

  const std::string& use(const Value* v, std::string_view hint, Scope& scope, int indent) {
    if (const auto at = names_.find(v); at != names_.end()) return at->second;
    const std::string& name = named(v, v->name.empty() ? hint : v->name);
    scope.push_back(v);
    if (v->constant != nullptr) {
      out_ += format("{:{}}{} {} = const()[name = string(\"{}\"), val = {}];\n", "", indent, type_text(v->type), name,
                     name, value_text(*v->constant));
    }
    return name;
  }

  std::string argument(const Param& param, const std::vector<Value*>& values) {
    if (param.kind != Param::Kind::tuple) return names_[values[0]];
    std::string s = "(";
    for (size_t i = 0; i < values.size(); ++i) s += format("{}{}", i == 0 ? "" : ", ", names_[values[i]]);
    return s + ")";
  }

  void operation(const Op& op, Scope& scope, int indent) {
    std::vector<std::string> results;
    for (const Value* v : op.results) results.push_back(pool_.take(v->name.empty() ? op.type() : v->name));
    const std::string name = !op.name.empty() ? op.name : results.empty() ? std::string(op.type()) : results[0];
    for (size_t i = 0; i < op.args.size(); ++i) {
      for (const Value* v : op.args[i]) {
        const std::string hint = format("{}_{}_0", results.empty() ? op.type() : results[0], op.row->params()[i].name);
        use(v, hint, scope, indent);
      }
    }
    out_.append(static_cast<size_t>(indent), ' ');
    for (size_t i = 0; i < results.size(); ++i)
      out_ += format("{}{} {}", i == 0 ? "" : ", ", type_text(op.results[i]->type), results[i]);
    out_ += format("{}{}(", results.empty() ? "" : " = ", op.type());
    for (const char* comma = ""; const Param& p : op.row->params()) {
      const auto& values = op.args[static_cast<size_t>(op.row->param_index(p.name))];
      if (values.empty()) continue;
      out_ += format("{}{} = {}", comma, p.name, argument(p, values));
      comma = ", ";
    }
    out_ += format(")[name = string({})]", quote(name));
    for (size_t i = 0; i < op.blocks.size(); ++i) {
      out_ += i == 0 ? " {\n" : "";
      nested(*op.blocks[i], indent + 2);
      if (i + 1 == op.blocks.size()) out_ += format("{:{}}}}", "", indent);
    }
    out_ += ";\n";
    for (size_t i = 0; i < results.size(); ++i) {
      names_[op.results[i]] = results[i];
      scope.push_back(op.results[i]);
    }
  }

  void nested(const Block& block, int indent) {
    Scope scope;
    out_ += format("{:{}}(", "", indent);
    for (size_t i = 0; i < block.inputs.size(); ++i) {
      const Value* v = block.inputs[i];
      scope.push_back(v);
      out_ += format("{}{} {}", i == 0 ? "" : ", ", type_text(v->type, true),
                     named(v, v->name.empty() ? "input" : v->name));
    }
    out_ += ") {\n";
    statements(block, scope, indent + 2);
    out_ += format("{:{}}}} -> (", "", indent);
    for (size_t i = 0; i < block.outputs.size(); ++i)
      out_ += format("{}{}", i == 0 ? "" : ", ", names_[block.outputs[i]]);
    out_ += ");\n";
    for (const Value* v : scope) names_.erase(v);
  }

  void statements(const Block& block, Scope& scope, int indent) {
    for (const auto& op : block.ops) operation(*op, scope, indent);
    for (const Value* v : block.outputs) use(v, "output", scope, indent);
  }

  const TextOptions& options_;
  const Function* function_ = nullptr;
  std::string out_;
  NamePool pool_;
  std::unordered_map<const Value*, std::string> names_;  // visible where we are
  std::unordered_set<std::string> symbols_;              // whose range is printed already
};

}  // namespace

std::string to_text(const Program& program, const TextOptions& options) { return Printer(options).print(program); }
std::string to_text(const Function& function, const TextOptions& options) { return Printer(options).print(function); }

}  // namespace graft::ir
