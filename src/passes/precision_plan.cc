#include "passes/precision_plan.h"

#include <algorithm>

#include "base/format.h"
#include "ops/kernel.h"
#include "passes/precision.h"
#include "passes/precision_planner.h"

namespace graft::passes {

using ir::Op;
using ir::Value;

bool only_moves(const Op& op) { return op.row->def->symbolic == ops::symbolic_by_moving; }
bool elementwise(const Op& op) { return op.row->def->family.starts_with("elementwise") && !op.is(Scalar::cast); }
bool reduces(const Op& op) { return op.row->def->family == "reduction"; }

namespace {

// fp16 counts integers exactly up to here.
constexpr IntRange kCountable{-2048, 2048};

// The most elements that one result sums, INT64_MAX when not known.
int64_t summed(const Op& op) {
  const Value* x = op.arg("x");
  if (x == nullptr) return 0;
  Ints axes;
  if (op.row->param_index("axes") >= 0 && op.arg("axes") != nullptr) {
    axes = ints_of(op, "axes").value_or(Ints{});
  } else if (op.row->param_index("axis") >= 0) {
    axes = {int_of(op, "axis")};
  } else {
    for (int i = 0; i < x->rank(); ++i) axes.push_back(i);
  }
  int64_t n = 1;
  for (int64_t a : axes) {
    const int64_t hi = x->dim(static_cast<int>(a)).range().hi;
    if (__builtin_mul_overflow(n, std::max<int64_t>(hi, 1), &n)) return INT64_MAX;
  }
  return n;
}

bool magnifies(const Op& op) {
  if (op.row->def->fp16.magnifies) return true;
  if (op.is(Scalar::mul)) return op.arg("x") == op.arg("y");
  if (op.is(Scalar::pow)) return scalar_of(op.arg("y")).value_or(0) > 1;
  return false;
}

// Whether v is a square or a power of e, possibly moved or scaled since; the operators from there to v.
bool magnified(const Value* v, std::vector<const Op*>& chain, int depth) {
  const Op* op = v == nullptr ? nullptr : v->producer;
  if (op == nullptr || depth == 0 || op->results.size() != 1) return false;
  chain.push_back(op);
  if (magnifies(*op)) return true;
  if (only_moves(*op) && op->arg("x") != nullptr) return magnified(op->arg("x"), chain, depth - 1);
  if (const auto c = elementwise(*op) && op->row->param_index("y") >= 0 ? with_constant(*op) : std::nullopt)
    return magnified(c->other, chain, depth - 1);
  return false;
}

int64_t largest(IntRange r) { return r.lo == INT64_MIN ? r.hi : std::max(r.hi, -r.lo); }

}  // namespace

PrecisionPlanner::PrecisionPlanner(const ir::Function& function, const ir::Target& target, const KeptNodes& kept)
    : target_(target), kept_(kept), inputs_(function.inputs.begin(), function.inputs.end()), ranges_(function) {
  ir::visit_ops(function.body, [&](Op& op) {
    ops_.push_back(&op);
    for (const auto& arg : op.args) {
      for (Value* v : arg) users_[v].push_back(&op);
    }
  });
}

PrecisionPlan PrecisionPlanner::plan() && {
  for (Op* op : ops_) by_request(*op);
  for (Op* op : ops_) by_row(*op);
  for (Op* op : ops_) by_loop(*op);
  for (Op* op : ops_) by_integers(*op);
  for (Op* op : ops_) by_digits(*op);
  for (Op* op : ops_) by_constants(*op);
  tell_costs();
  return std::move(plan_);
}

void PrecisionPlanner::note(Code code, const Op& op, std::string message) {
  Diag d;
  d.code = code;
  d.op = std::string(op.type());
  d.origin = op.origin.nodes();
  d.tensor = op.results.empty() ? std::string() : op.results[0]->name;
  d.message = std::move(message);
  plan_.findings.push_back(std::move(d));
}

bool PrecisionPlanner::on_floats(const Op& op) {
  const auto real = [](const Value* v) { return v->dtype() == DType::f32; };
  if (std::any_of(op.results.begin(), op.results.end(), real)) return true;
  return std::any_of(op.args.begin(), op.args.end(),
                     [&](const auto& arg) { return std::any_of(arg.begin(), arg.end(), real); });
}

// ---- islands ---------------------------------------------------------------------------------------------------

void PrecisionPlanner::open_island(Code code, const Op& op, std::string why) {
  island_ = kNone;
  if (!wide(op)) {
    islands_.push_back({plan_.findings.size(), {}});
    note(code, op, std::move(why));
    island_ = islands_.size() - 1;
  }
  keep(op);
}

bool PrecisionPlanner::keep(const Op& op) {
  if (!plan_.wide.insert(&op).second) return false;
  if (island_ != kNone) islands_[island_].ops.push_back(&op);
  return true;
}

// Casts stand where a value crosses between fp16 and fp32; the function's inputs, its outputs and constants are fp32 to
// begin with.
void PrecisionPlanner::tell_costs() {
  for (const Island& island : islands_) {
    std::unordered_set<const Value*> crossing;
    for (const Op* op : island.ops) {
      for (const auto& arg : op->args) {
        for (const Value* v : arg) {
          if (v->dtype() == DType::f32 && v->producer != nullptr && !wide(*v->producer)) crossing.insert(v);
        }
      }
      for (const Value* r : op->results) {
        const auto at = users_.find(r);
        if (r->dtype() != DType::f32 || at == users_.end()) continue;
        if (std::any_of(at->second.begin(), at->second.end(), [&](const Op* user) { return !wide(*user); }))
          crossing.insert(r);
      }
    }
    const auto plural = [](size_t n) { return n == 1 ? "" : "s"; };
    const size_t operators = island.ops.size(), casts = crossing.size();
    plan_.findings[island.finding].message +=
        format(" ({} operator{} in fp32, {} cast{})", operators, plural(operators), casts, plural(casts));
  }
}

// ---- rules 1 to 3, 5 -------------------------------------------------------------------------------------------

void PrecisionPlanner::by_row(const Op& op) {
  if (!on_floats(op)) return;
  const ir::Fp16& row = op.row->def->fp16;
  if (row.overflows) {
    open_island(Code::precision_note, op, format("kept in fp32: {} works with values beyond fp16's range", op.type()));
    if (reduces(op)) spread(op.results[0], kDepth);
    return;
  }
  if (row.places) {
    open_island(Code::precision_note, op,
                format("kept in fp32: {} is told places, which need more digits than fp16 has", op.type()));
    for (size_t p = 0; p < op.args.size(); ++p) {
      if (op.row->params()[p].name == "x") continue;
      for (const Value* v : op.args[p]) trace(v, kDepth);
    }
    return;
  }
  if (row.accumulates && summed(op) > kLongSum) {
    open_island(Code::precision_note, op, format("kept in fp32: sums more than {} elements", kLongSum));
    spread(op.results[0], kDepth);
  }
  if (!reduces(op)) return;
  std::vector<const Op*> chain;
  if (!magnified(op.arg("x"), chain, kDepth)) return;
  open_island(Code::precision_note, op,
              format("kept in fp32 with its operand: reduces the result of {}, which outgrows fp16 first",
                     chain.back()->type()));
  for (const Op* c : chain) keep(*c);
  spread(chain.back()->results[0], kDepth);  // exp(x) / sum(exp(x)): the quotient brings it back
  spread(op.results[0], kDepth);
}

void PrecisionPlanner::trace(const Value* v, int depth) {
  const Op* op = v->producer;
  if (op == nullptr || depth == 0 || !on_floats(*op) || !(elementwise(*op) || only_moves(*op))) return;
  if (!keep(*op)) return;
  for (const auto& arg : op->args) {
    for (const Value* from : arg) trace(from, depth - 1);
  }
}

void PrecisionPlanner::spread(const Value* v, int depth) {
  const auto at = users_.find(v);
  if (at == users_.end() || depth == 0) return;
  for (const Op* user : at->second) {
    const bool moves = only_moves(*user);
    if (!moves && !elementwise(*user)) continue;
    if (!keep(*user) || user->results.size() != 1) continue;
    const bool still_large =
        moves || (user->row->param_index("y") >= 0 && !user->is(Scalar::pow) && with_constant(*user));
    if (still_large) spread(user->results[0], depth - 1);
  }
}

// ---- rule 4 ----------------------------------------------------------------------------------------------------

void PrecisionPlanner::by_integers(const Op& op) {
  if (!on_floats(op)) return;
  if (op.is(Scalar::cast)) {
    const Value* x = op.arg("x");
    if (!is_int(x->dtype()) || x->range.inside(kCountable)) return;
    open_island(Code::precision_note, op,
                format("kept in fp32: integers up to {}, more than fp16 can count", largest(x->range)));
    counted_.emplace(op.results[0], island_);
    if (x->producer != nullptr && x->producer->kind() == Kind::matmul) sums_.insert(op.results[0]);
    return;
  }
  // Sums of products of integers are large until a scale brings them back.
  if (op.is(Scalar::mul)) {
    for (const Value* sum : {op.arg("x"), op.arg("y")}) {
      if (!sums_.contains(sum)) continue;
      island_ = counted_.at(sum);
      keep(op);
      return;
    }
  }
  const bool product = op.row->def->family == "linear";
  if (!elementwise(op) && !only_moves(op) && !product) return;
  const size_t* island = nullptr;
  for (const auto& arg : op.args) {
    for (const Value* v : arg) {
      if (v->dtype() != DType::f32 || v->is_constant()) continue;
      const auto at = counted_.find(v);
      if (at == counted_.end()) return;  // it meets data
      island = &at->second;
    }
  }
  if (island == nullptr) return;
  island_ = *island;
  keep(op);
  // sin, exp, ...: what comes out is no count any more.
  if (op.row->def->family == "elementwise_binary" || only_moves(op) || product) {
    for (const Value* r : op.results) counted_.emplace(r, island_);
  }
}

// ---- rule 9 ----------------------------------------------------------------------------------------------------

void PrecisionPlanner::by_request(const Op& op) {
  if (kept_.empty() || !on_floats(op)) return;
  for (const int32_t node : op.origin.nodes()) {
    if (!kept_.contains(node)) continue;
    const auto [at, first] = asked_.emplace(node, kNone);
    if (first) {
      open_island(Code::precision_note, op, "kept in fp32 as asked");
      at->second = island_;
    }
    island_ = at->second;
    keep(op);
    return;
  }
}

// ---- rule 10 ---------------------------------------------------------------------------------------------------

void PrecisionPlanner::by_loop(const Op& op) {
  if (!op.is(Kind::loop)) return;
  bool first = true;
  const auto trace_all = [&](const Op& reader) {
    for (const auto& arg : reader.args) {
      for (const Value* v : arg) trace(v, kDepth);
    }
  };
  for (const auto& block : op.blocks) {
    ir::visit_ops(*block, [&](Op& inner) {
      if (!on_floats(inner) || ir::is_product(inner.kind()) || ir::has_blocks(inner.kind())) return;
      if (first) {
        open_island(Code::precision_note, inner,
                    "kept in fp32 with the rest of a loop's body and what it reads: it rounds in every turn");
        trace_all(op);
        first = false;
      } else {
        keep(inner);
      }
      trace_all(inner);
    });
  }
}

PrecisionPlan plan_precision(const ir::Function& function, const ir::Target& target, const KeptNodes& kept) {
  return PrecisionPlanner(function, target, kept).plan();
}

}  // namespace graft::passes
