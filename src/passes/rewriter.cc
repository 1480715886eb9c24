#include "passes/rewriter.h"

#include <algorithm>

namespace graft::passes {

Rewriter::Rewriter(Function& function, const PassContext& context)
    : function_(&function), build_(function, context.target, context.bounds), uses_(ir::count_uses(function.body)) {}

int Rewriter::uses(const Value* v) const {
  const auto at = uses_.find(v);
  return at == uses_.end() ? 0 : at->second;
}

bool Rewriter::visible(const Block* block) const { return std::find(open_.begin(), open_.end(), block) != open_.end(); }

Value* Rewriter::now(Value* v) const {
  for (auto at = map_.find(v); at != map_.end(); at = map_.find(v)) v = at->second;
  return v;
}

void Rewriter::stop(Diag diag) {
  if (!error_) error_ = std::move(diag);
}

Values Rewriter::emit_again(const Op& op, const std::vector<std::vector<Value*>>& args) {
  std::vector<ir::Arg> list;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!args[i].empty()) list.emplace_back(op.row->params()[i].name, args[i]);
  }
  return build_.emit_all(op.type(), std::span<const ir::Arg>(list));
}

void Rewriter::set_argument(Op& op, size_t param, size_t index, Value* v) {
  Value*& at = op.args[param][index];
  ir::Provenance died;  // lives on in the operator that is kept
  retain(v, 1);
  release(at, 1, died);
  at = v;
}

Result<int> Rewriter::run(const Rule& rule) {
  walk(function_->body, rule);
  replaced_.clear();
  if (error_) return fail(std::move(*error_));
  return count_;
}

void Rewriter::walk(Block& block, const Rule& rule) {
  ir::Builder::BlockScope scope(build_, block);
  open_.push_back(&block);
  std::vector<std::unique_ptr<Op>> old;
  old.swap(block.ops);
  block.ops.reserve(old.size());
  for (std::unique_ptr<Op>& op : old) {
    for (auto& arg : op->args) {
      for (Value*& v : arg) v = now(v);
    }
    if (Status s = check(build_.bounds().cancel); !s) stop(std::move(s).error());
    if (!error_) {
      for (const auto& inner : op->blocks) walk(*inner, rule);
    }
    if (!error_ && apply(block, *op, rule)) {
      replaced_.push_back(std::move(op));
    } else {
      block.ops.push_back(std::move(op));
    }
  }
  for (Value*& v : block.outputs) v = now(v);
  if (at_end && !error_) {
    const size_t first_new = block.ops.size();
    at_end(block);
    count_new(block, first_new);
    if (!build_.ok()) stop(*build_.failure());
  }
  open_.pop_back();
}

bool Rewriter::apply(Block& block, Op& op, const Rule& rule) {
  const ir::Builder::Mark mark = build_.mark();
  build_.set_origin(op.origin);
  std::optional<Values> by = rule(op);
  if (!build_.ok()) {
    if (out_of_bounds(build_.failure()->code)) stop(*build_.failure());
    build_.rollback(mark);
    return false;
  }
  count_new(block, mark.ops);
  if (!by || error_) return false;
  replace(block, op, *by, mark.ops);
  ++count_;
  return true;
}

void Rewriter::replace(Block& block, Op& op, const Values& by, size_t first_new) {
  for (size_t i = 0; i < op.results.size(); ++i) {
    Value *was = op.results[i], *is = by[i];
    map_[was] = is;
    retain(is, uses(was));
    uses_.erase(was);
    if (is->name.empty()) is->name = was->name;
    // What was known of the old value is true of the new one.
    if (!is->content) is->content = was->content;
    is->range = {std::max(is->range.lo, was->range.lo), std::min(is->range.hi, was->range.hi)};
  }
  // Where it came from: the operator and all that lost its purpose with it.
  ir::Provenance origin = op.origin;
  for (const auto& arg : op.args) {
    for (const Value* v : arg) release(v, 1, origin);
  }
  for (size_t i = first_new; i < block.ops.size(); ++i) block.ops[i]->origin.merge(origin);
  for (Value* v : by) {
    if (v->producer != nullptr) {
      v->producer->origin.merge(origin);
    } else if (v->is_constant()) {
      v->origin.merge(origin);
    }
  }
}

void Rewriter::count_new(const Block& block, size_t first_new) {
  for (size_t i = first_new; i < block.ops.size(); ++i) {
    for (const auto& arg : block.ops[i]->args) {
      for (const Value* v : arg) retain(v, 1);
    }
  }
}

void Rewriter::retain(const Value* v, int n) {
  uses_[v] += n;
  if (n == 0 || v->producer == nullptr || dead_.erase(v->producer) == 0) return;
  for (const auto& arg : v->producer->args) {
    for (const Value* a : arg) retain(a, 1);
  }
}

void Rewriter::release(const Value* v, int n, ir::Provenance& died) {
  int& count = uses_[v];
  count -= n;
  const Op* op = v->producer;
  if (count > 0 || op == nullptr || !op->blocks.empty() || op->row->def->effects != ir::Effects::none) return;
  for (const Value* r : op->results) {
    if (uses(r) > 0) return;
  }
  if (!dead_.insert(op).second) return;
  died.merge(op->origin);
  for (const auto& arg : op->args) {
    for (const Value* a : arg) release(a, 1, died);
  }
}

}  // namespace graft::passes
