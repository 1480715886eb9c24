#include "passes/precision_plan.h"

#include <algorithm>

#include "base/format.h"
#include "ops/kernel.h"
#include "passes/constant_facts.h"
#include "passes/match.h"
#include "passes/precision.h"

namespace graft::passes {

using ir::Op;
using ir::Param;
using ir::Value;

bool only_moves(const Op& op) { return op.row->def->symbolic == ops::symbolic_by_moving; }

namespace {

bool elementwise(const Op& op) { return op.row->def->family.starts_with("elementwise") && !op.is(Scalar::cast); }
bool reduces(const Op& op) { return op.row->def->family == "reduction"; }

// fp16 counts integers exactly up to here.
constexpr IntRange kCountable{-2048, 2048};
// How far patterns look back.
constexpr int kDepth = 8;

class PrecisionPlanner {
 public:
  PrecisionPlanner(const ir::Function& function, const ir::Target& target) : target_(target) {
    ir::visit_ops(function.body, [&](Op& op) {
      ops_.push_back(&op);
      for (const auto& arg : op.args) {
        for (Value* v : arg) users_[v].push_back(&op);
      }
    });
  }

  PrecisionPlan plan() && {
    for (Op* op : ops_) by_row(*op);
    for (Op* op : ops_) by_turns(*op);
    for (Op* op : ops_) by_index(*op);
    for (Op* op : ops_) by_integers(*op);
    for (Op* op : ops_) by_constants(*op);
    return std::move(plan_);
  }

 private:
  bool wide(const Op& op) const { return plan_.wide.contains(&op); }

  void note(Code code, const Op& op, std::string message) {
    Diag d;
    d.code = code;
    d.op = std::string(op.type());
    d.tensor = op.results.empty() ? std::string() : op.results[0]->name;
    d.message = std::move(message);
    plan_.findings.push_back(std::move(d));
  }

  static bool on_floats(const Op& op) {
    const auto real = [](const Value* v) { return v->dtype() == DType::f32; };
    if (std::any_of(op.results.begin(), op.results.end(), real)) return true;
    return std::any_of(op.args.begin(), op.args.end(),
                       [&](const auto& arg) { return std::any_of(arg.begin(), arg.end(), real); });
  }

  void widen(const Op& op, std::string why) {
    if (!plan_.wide.insert(&op).second) return;
    if (!why.empty()) note(Code::precision_note, op, std::move(why));
  }

  // ---- rules 1 to 3, 5, 6
  // -----------------------------------------------------------------------------------------------

  void by_row(const Op& op) {
    if (!on_floats(op)) return;
    const ir::Fp16& row = op.row->def->fp16;
    if (row.overflows) {
      widen(op, format("kept in fp32: {} works with values beyond fp16's range", op.type()));
      if (reduces(op)) spread(op.results[0], kDepth);
      return;
    }
    if (row.places) {
      widen(op, format("kept in fp32: {} is told places, which need more digits than fp16 has", op.type()));
      for (size_t p = 0; p < op.args.size(); ++p) {
        if (op.row->params()[p].name == "x") continue;
        for (const Value* v : op.args[p]) trace(v, kDepth);
      }
      return;
    }
    if (row.accumulates && summed(op) > kLongSum) {
      widen(op, format("kept in fp32: sums more than {} elements", kLongSum));
      spread(op.results[0], kDepth);
    }
    if (!reduces(op)) return;
    std::vector<const Op*> chain;
    if (!magnified(op.arg("x"), chain, kDepth)) return;
    widen(op, format("kept in fp32 with its operand: reduces the result of {}, which outgrows fp16 first",
                     chain.back()->type()));
    for (const Op* c : chain) plan_.wide.insert(c);
    spread(chain.back()->results[0], kDepth);  // exp(x) / sum(exp(x)): the quotient brings it back
    spread(op.results[0], kDepth);
  }

  // What computes v one element at a time stays in fp32.
  void trace(const Value* v, int depth) {
    const Op* op = v->producer;
    if (op == nullptr || depth == 0 || !on_floats(*op) || !(elementwise(*op) || only_moves(*op))) return;
    if (!plan_.wide.insert(op).second) return;
    for (const auto& arg : op->args) {
      for (const Value* from : arg) trace(from, depth - 1);
    }
  }

  // The most elements that one result sums, INT64_MAX when not known.
  static int64_t summed(const Op& op) {
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

  static bool magnifies(const Op& op) {
    if (op.row->def->fp16.magnifies) return true;
    if (op.is(Scalar::mul)) return op.arg("x") == op.arg("y");
    if (op.is(Scalar::pow)) return scalar_of(op.arg("y")).value_or(0) > 1;
    return false;
  }

  // Whether v is a square or a power of e, possibly moved or scaled since; the operators from there to v.
  static bool magnified(const Value* v, std::vector<const Op*>& chain, int depth) {
    const Op* op = v == nullptr ? nullptr : v->producer;
    if (op == nullptr || depth == 0 || op->results.size() != 1) return false;
    chain.push_back(op);
    if (magnifies(*op)) return true;
    if (only_moves(*op) && op->arg("x") != nullptr) return magnified(op->arg("x"), chain, depth - 1);
    if (const auto c = elementwise(*op) && op->row->param_index("y") >= 0 ? with_constant(*op) : std::nullopt)
      return magnified(c->other, chain, depth - 1);
    return false;
  }

  // v may be beyond fp16's range: what is done to it stays in fp32 until something brings it back.
  void spread(const Value* v, int depth) {
    const auto at = users_.find(v);
    if (at == users_.end() || depth == 0) return;
    for (const Op* user : at->second) {
      const bool moves = only_moves(*user);
      if (!moves && !elementwise(*user)) continue;
      if (!plan_.wide.insert(user).second || user->results.size() != 1) continue;
      const bool still_large =
          moves || (user->row->param_index("y") >= 0 && !user->is(Scalar::pow) && with_constant(*user));
      if (still_large) spread(user->results[0], depth - 1);
    }
  }

  // ---- rule 4 -----------------------------------------------------------------------------------------------------

  // What a loop carries from turn to turn is rounded in each of them, and decides how many there are.
  void by_turns(const Op& op) {
    if (!op.is(Kind::loop)) return;
    for (const auto& arg : op.args) {
      for (const Value* v : arg) trace(v, kDepth);
    }
    for (const auto& block : op.blocks) {
      ir::visit_ops(*block, [&](Op& inner) {
        if (!on_floats(inner) || ir::is_product(inner.kind()) || has_blocks(inner.kind())) return;
        plan_.wide.insert(&inner);
        for (const auto& arg : inner.args) {
          for (const Value* v : arg) trace(v, kDepth);  // what it reads from around the loop
        }
      });
    }
  }

  // A place or a size that is computed from integers and becomes one again: a fraction of it is lost in fp16.
  void by_index(const Op& op) {
    constexpr int kLongest = 32;
    if (!op.is(Scalar::cast) || !is_int(op.result()->dtype()) || op.arg("x")->dtype() != DType::f32) return;
    std::unordered_set<const Op*> chain;
    if (!of_integers(op.arg("x"), chain, kLongest)) return;
    chain.insert(&op);
    for (const Op* c : chain) {
      plan_.wide.insert(c);
      for (const Value* r : c->results) counted_.insert(r);
    }
  }

  // Whether v is computed from integers and constants alone, one element at a time; the operators from there to v.
  static bool of_integers(const Value* v, std::unordered_set<const Op*>& chain, int depth) {
    if (v->is_constant() || !is_float(v->dtype())) return true;
    const Op* op = v->producer;
    if (op == nullptr || depth == 0) return false;
    if (!chain.insert(op).second) return true;
    if (op->is(Scalar::cast) && is_int(op->arg("x")->dtype())) return true;
    if (op->is(Scalar::cast) && op->arg("x")->dtype() == DType::boolean) op = op->arg("x")->producer;  // of a test
    if (op == nullptr || !(elementwise(*op) || only_moves(*op))) return false;
    return std::all_of(op->args.begin(), op->args.end(), [&](const auto& arg) {
      return std::all_of(arg.begin(), arg.end(), [&](const Value* x) { return of_integers(x, chain, depth - 1); });
    });
  }

  void by_integers(const Op& op) {
    if (!on_floats(op)) return;
    if (op.is(Scalar::cast)) {
      const Value* x = op.arg("x");
      if (!is_int(x->dtype()) || x->range.inside(kCountable)) return;
      plan_.wide.insert(&op);
      counted_.insert(op.results[0]);
      if (x->producer != nullptr && x->producer->kind() == Kind::matmul) sums_.insert(op.results[0]);
      return;
    }
    // Sums of products of integers are large until a scale brings them back.
    if (op.is(Scalar::mul) && (sums_.contains(op.arg("x")) || sums_.contains(op.arg("y")))) {
      plan_.wide.insert(&op);
      return;
    }
    const bool product = op.row->def->family == "linear";
    if (!elementwise(op) && !only_moves(op) && !product) return;
    bool any = false;
    for (const auto& arg : op.args) {
      for (const Value* v : arg) {
        if (v->dtype() != DType::f32 || v->is_constant()) continue;
        if (!counted_.contains(v)) return;  // it meets data
        any = true;
      }
    }
    if (!any) return;
    plan_.wide.insert(&op);
    // sin, exp, ...: what comes out is no count any more.
    if (op.row->def->family == "elementwise_binary" || only_moves(op) || product) {
      for (const Value* r : op.results) counted_.insert(r);
    }
  }

  // ---- rule 7 -----------------------------------------------------------------------------------------------------

  const ConstantFacts& facts(const Value* v) {
    const auto [at, added] = facts_.try_emplace(v->constant.get());
    if (added) at->second = facts_of(*v->constant);
    return at->second;
  }

  void by_constants(const Op& op) {
    if (!op.blocks.empty() || op.is(Scalar::cast)) return;
    for (size_t p = 0; p < op.args.size(); ++p) {
      for (size_t i = 0; i < op.args[p].size(); ++i) {
        const Value* v = op.args[p][i];
        if (v->dtype() != DType::f32 || !v->is_constant() || !takes_half(op, p)) continue;
        const ConstantFacts& f = facts(v);
        if (f.too_big != 0) {
          too_big(op, p, i, f);
        } else if (f.vanished != 0 || f.loses_digits()) {
          too_small(op, p, i, f);
        }
      }
    }
    if (!wide(op)) left_out_epsilon(op);
  }

  static bool takes_half(const Op& op, size_t param) {
    const Param& p = op.row->params()[param];
    return p.kind == Param::Kind::tuple || p.dtypes.has(DType::f16);
  }

  void replace(const Op& op, size_t p, size_t i, ir::ConstantPtr by, bool stays = false) {
    plan_.constants[{&op, p, i}] = {std::move(by), stays};
  }

  void too_big(const Op& op, size_t p, size_t i, const ConstantFacts& f) {
    const Value* v = op.args[p][i];
    const bool negative = f.too_big_positive == 0;
    // A 0/1 factor times -3.4e38 is a mask in the making; it must not become infinite in an island either.
    if (op.is(Scalar::mul) && negative && v->constant->count() == 1 && is_indicator(other_operand(op, v), kDepth))
      return mask(op, p, i, f);
    if (wide(op)) return;
    if (op.is(Scalar::add) && negative && f.rest_is_zero && v->constant->count() > 1) return mask(op, p, i, f);
    if (op.row->def->fp16.saturates) {
      replace(op, p, i, saturated(*v->constant, -kHalfMax, kHalfMax));
      return note(
          Code::fp16_range, op,
          format("the bound or fill value {} became {} in fp16", f.extreme, f.extreme < 0 ? -kHalfMax : kHalfMax));
    }
    if (may_stay(op, p)) return stay(op, p, f);
    plan_.wide.insert(&op);
    note(Code::fp16_range, op,
         format("kept in fp32: '{}' has values up to {:g}, fp16 ends at {}", name_of(op, p), f.largest, kHalfMax));
  }

  void mask(const Op& op, size_t p, size_t i, const ConstantFacts& f) {
    replace(op, p, i, saturated(*op.args[p][i]->constant, kMask, kHalfMax));
    note(Code::fp16_range, op, format("the mask value {:g} became {} in fp16", f.extreme, kMask));
  }

  // A number that is 0 or 1: made from a bool, or 1 minus a number made from integers (a padding mask).
  static bool is_indicator(const Value* v, int depth) {
    const Op* op = v == nullptr ? nullptr : v->producer;
    if (op == nullptr || depth == 0) return false;
    if (op->is(Scalar::cast))
      return is_int(op->arg("x")->dtype()) || op->arg("x")->dtype() == DType::boolean ||
             is_indicator(op->arg("x"), depth - 1);
    if (op->is(Scalar::sub)) return is_scalar(op->arg("x"), 1) && is_indicator(op->arg("y"), depth - 1);
    return only_moves(*op) && is_indicator(op->arg("x"), depth - 1);
  }

  void too_small(const Op& op, size_t p, size_t i, const ConstantFacts& f) {
    if (wide(op)) return;
    const Value* v = op.args[p][i];
    const bool offset = op.row->def->fp16.offsets;
    // Small beside others of the same tensor, or small and merely added: rounding is all that happens.
    if (f.largest >= kHalfNormal || (offset && f.vanished == 0)) return;
    if (may_stay(op, p)) return stay(op, p, f);
    if (offset) {
      replace(op, p, i, raised(*v->constant));
      return note(Code::precision_note, op,
                  format("'{}' {:g} became {:g}, the smallest fp16", name_of(op, p), f.largest, kHalfLeast));
    }
    plan_.wide.insert(&op);
    note(Code::precision_note, op,
         format("kept in fp32: '{}' is {:g} at most, too small for fp16", name_of(op, p), f.largest));
  }

  static std::string_view name_of(const Op& op, size_t p) { return op.row->params()[p].name; }

  const ir::Signature& signature(const Op& op) const {
    const ir::Signature* s = op.row->at(target_.opset());
    return s != nullptr ? *s : op.row->signatures.front();
  }

  // Parameters of a letter of their own may keep fp32 beside fp16 activations; done where all of the letter are small.
  bool may_stay(const Op& op, size_t p) const {
    const ir::Signature& s = signature(op);
    const Param* own = s.find(name_of(op, p));
    if (own == nullptr || own->letter.empty() || own->letter == s.params[0].letter) return false;
    for (const Param& other : s.params) {
      if (other.letter != own->letter) continue;
      const Value* v = op.arg(other.name);
      if (v != nullptr && (!v->is_constant() || v->rank() > 1)) return false;
    }
    return true;
  }

  // All of the letter stay: they must have one dtype.
  void stay(const Op& op, size_t p, const ConstantFacts& f) {
    const ir::Signature& s = signature(op);
    const std::string_view letter = s.find(name_of(op, p))->letter;
    for (const Param& other : s.params) {
      const Value* v = op.arg(other.name);
      if (other.letter != letter || v == nullptr) continue;
      replace(op, static_cast<size_t>(op.row->param_index(other.name)), 0, v->constant, true);
    }
    note(Code::precision_note, op,
         format("parameter '{}' ({:g}) stays fp32", name_of(op, p), f.extreme != 0 ? f.extreme : f.largest));
  }

  // An epsilon that is left out has the row's default, which may not fit either.
  void left_out_epsilon(const Op& op) {
    const int p = op.row->param_index("epsilon");
    if (p < 0 || !op.args[static_cast<size_t>(p)].empty() || !on_floats(op)) return;
    const double eps = float_of(op, "epsilon");
    if (eps == 0 || eps > 0x1p-25) return;
    if (may_stay(op, static_cast<size_t>(p))) {
      replace(op, static_cast<size_t>(p), 0, ir::Constant::scalar(DType::f32, eps), true);
    } else if (op.row->def->fp16.offsets) {
      replace(op, static_cast<size_t>(p), 0, ir::Constant::scalar(DType::f32, kHalfLeast));
    } else {
      widen(op, format("kept in fp32: its epsilon {:g} is too small for fp16", eps));
    }
  }

  const ir::Target target_;
  PrecisionPlan plan_;
  std::vector<Op*> ops_;
  std::unordered_map<const Value*, std::vector<const Op*>> users_;
  std::unordered_set<const Value*> counted_;  // numbers made from integers
  std::unordered_set<const Value*> sums_;     // of integer products, as floats
  std::unordered_map<const ir::Constant*, ConstantFacts> facts_;
};

}  // namespace

PrecisionPlan plan_precision(const ir::Function& function, const ir::Target& target) {
  return PrecisionPlanner(function, target).plan();
}

}  // namespace graft::passes
