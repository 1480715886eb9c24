#include "ir/program.h"

#include <algorithm>

#include "base/format.h"
#include "ir/enclosing.h"

namespace graft::ir {

Dim Value::dim(int i) const {
  const int r = rank();
  if (i < 0) i += r;
  return i < 0 || i >= r ? Dim(0) : type.dims[static_cast<size_t>(i)];
}

Value* Op::arg(std::string_view param) const {
  const int i = row->param_index(param);
  if (i < 0 || args[static_cast<size_t>(i)].empty()) return nullptr;
  return args[static_cast<size_t>(i)][0];
}

Function::Function(std::string function_name) : name(std::move(function_name)) {
  body.function = this;
  poison_.poison = true;
  poison_.name = "poison";
}

Value* Function::new_value(Type type, std::string value_name) {
  Value& v = values_.emplace_back();
  v.type = std::move(type);
  v.name = std::move(value_name);
  if (v.type.is_tensor()) v.range = int_range(v.type.dtype);
  return &v;
}

namespace {

IntRange range_of(const TensorView& elements) {
  const bool real = is_float(elements.dtype);
  if (!real && !is_int(elements.dtype) && elements.dtype != DType::boolean) return {};
  IntRange r{INT64_MAX, INT64_MIN};
  for (int64_t i = 0; i < elements.count(); ++i) {
    IntRange x;
    if (!real) {
      x.lo = x.hi = element_as_int(elements, i);
    } else {
      const double value = element_as_double(elements, i);
      if (std::isnan(value)) continue;
      x = enclosing(value, value);
    }
    r = {std::min(r.lo, x.lo), std::max(r.hi, x.hi)};
  }
  return r.lo <= r.hi ? r : IntRange{};
}

}  // namespace

Value* Function::new_constant(ConstantPtr constant, std::string value_name) {
  Value* v = new_value(Type::tensor(constant->dtype(), constant->shape()), std::move(value_name));
  // Small constants carry their exact range; big ones would have to be read, and other forms of floats computed.
  const bool read = constant->is_direct() || !is_float(constant->dtype());
  if (read && constant->count() > 0 && constant->count() <= 4096 && item_size(constant->dtype()) != 0)
    v->range = range_of(constant->view());
  v->constant = std::move(constant);
  return v;
}

Value* Function::add_input(Type type, std::string input_name) {
  Value* v = new_value(std::move(type), std::move(input_name));
  inputs.push_back(v);
  return v;
}

std::string Function::fresh_symbol() { return format("?{}", symbols_++); }

Function* Program::main() const {
  for (const auto& f : functions) {
    if (f->name == default_function) return f.get();
  }
  return functions.empty() ? nullptr : functions[0].get();
}

void visit_ops(const Block& block, const std::function<void(Op&)>& visit) {
  for (const auto& op : block.ops) {
    visit(*op);
    for (const auto& b : op->blocks) visit_ops(*b, visit);
  }
}

std::unordered_map<const Value*, int> count_uses(const Block& block) {
  std::unordered_map<const Value*, int> uses;
  const std::function<void(const Block&)> walk = [&](const Block& b) {
    for (const auto& op : b.ops) {
      for (const auto& arg : op->args) {
        for (const Value* v : arg) ++uses[v];
      }
      for (const auto& inner : op->blocks) walk(*inner);
    }
    for (const Value* v : b.outputs) ++uses[v];
  };
  walk(block);
  return uses;
}

void replace_uses(Block& block, const std::unordered_map<Value*, Value*>& replacements) {
  if (replacements.empty()) return;
  const auto final_of = [&](Value* v) {
    for (auto at = replacements.find(v); at != replacements.end(); at = replacements.find(v)) v = at->second;
    return v;
  };
  for (const auto& op : block.ops) {
    for (auto& arg : op->args) {
      for (Value*& v : arg) v = final_of(v);
    }
    for (const auto& inner : op->blocks) replace_uses(*inner, replacements);
  }
  for (Value*& v : block.outputs) v = final_of(v);
}

Operand operand_of(const Value& value) {
  Operand o;
  o.type = &value.type;
  o.range = value.range;
  if (value.content) o.content = &*value.content;
  if (value.constant == nullptr) return o;
  o.constant = true;
  o.source = value.constant.get();
  o.value = {o.source->dtype(), o.source->shape(), nullptr};
  return o;
}

Call call_of(const Op& op, std::function<Dim(IntRange)> fresh) {
  Call call(*op.row);
  for (size_t p = 0; p < op.args.size(); ++p) {
    std::vector<Operand> operands;
    operands.reserve(op.args[p].size());
    for (const Value* v : op.args[p]) operands.push_back(operand_of(*v));
    call.set(static_cast<int>(p), std::move(operands));
  }
  call.make_fresh = std::move(fresh);
  return call;
}

namespace {

void clone_block(const Block& from, Block& to, Function& fn, std::unordered_map<const Value*, Value*>& map) {
  const auto copy_value = [&](const Value* v) -> Value* {
    if (const auto at = map.find(v); at != map.end()) return at->second;
    Value* c = fn.new_value(v->type, v->name);
    c->result = v->result;
    c->constant = v->constant;
    c->content = v->content;
    c->range = v->range;
    c->origin = v->origin;
    return map[v] = c;
  };
  for (const Value* v : from.inputs) to.inputs.push_back(copy_value(v));
  for (const auto& op : from.ops) {
    auto c = std::make_unique<Op>();
    c->row = op->row;
    c->origin = op->origin;
    c->name = op->name;
    c->deferred = op->deferred;
    for (const auto& arg : op->args) {
      auto& list = c->args.emplace_back();
      for (const Value* v : arg) list.push_back(copy_value(v));
    }
    for (const auto& b : op->blocks) {
      auto inner = std::make_unique<Block>();
      inner->function = &fn;
      inner->parent = c.get();
      clone_block(*b, *inner, fn, map);
      c->blocks.push_back(std::move(inner));
    }
    for (const Value* v : op->results) {
      Value* r = copy_value(v);
      r->producer = c.get();
      c->results.push_back(r);
    }
    to.ops.push_back(std::move(c));
  }
  for (const Value* v : from.outputs) to.outputs.push_back(copy_value(v));
}

}  // namespace

std::unique_ptr<Function> clone(const Function& function) {
  auto c = std::make_unique<Function>(function.name);
  std::unordered_map<const Value*, Value*> map;
  for (const Value* v : function.inputs) {
    Value* i = c->add_input(v->type, v->name);
    i->content = v->content;
    i->range = v->range;
    map[v] = i;
  }
  c->output_names = function.output_names;
  c->default_dims = function.default_dims;
  clone_block(function.body, c->body, *c, map);
  return c;
}

}  // namespace graft::ir
