// Rule 6 of precision.h: constants that fp16 does not have.
#include <algorithm>

#include "base/format.h"
#include "passes/precision.h"
#include "passes/precision_planner.h"

namespace graft::passes {

using ir::Op;
using ir::Param;
using ir::Value;

namespace {

bool takes_half(const Op& op, size_t param) {
  const Param& p = op.row->params()[param];
  return p.kind == Param::Kind::tuple || p.dtypes.has(DType::f16);
}

// A number that is 0 or 1: made from a bool, or 1 minus a number made from integers (a padding mask).
bool is_indicator(const Value* v, int depth) {
  const Op* op = v == nullptr ? nullptr : v->producer;
  if (op == nullptr || depth == 0) return false;
  if (op->is(Scalar::cast))
    return is_int(op->arg("x")->dtype()) || op->arg("x")->dtype() == DType::boolean ||
           is_indicator(op->arg("x"), depth - 1);
  if (op->is(Scalar::sub)) return is_scalar(op->arg("x"), 1) && is_indicator(op->arg("y"), depth - 1);
  return only_moves(*op) && is_indicator(op->arg("x"), depth - 1);
}

}  // namespace

const ConstantFacts& PrecisionPlanner::facts(const Value* v) {
  const auto [at, added] = facts_.try_emplace(v->constant.get());
  if (added) at->second = facts_of(*v->constant);
  return at->second;
}

void PrecisionPlanner::by_constants(const Op& op) {
  if (!op.blocks.empty() || op.is(Scalar::cast)) return;
  if (op.is(Kind::softmax)) masks_from_outside(op, op.arg("x"), kDepth);
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

// What is filled in becomes part of a sum, in which fp16's end would become infinite.
bool PrecisionPlanner::is_added(const Value* v, int depth) const {
  const auto at = users_.find(v);
  if (at == users_.end() || depth == 0) return false;
  return std::any_of(at->second.begin(), at->second.end(), [&](const Op* user) {
    return user->is(Scalar::add) || (only_moves(*user) && is_added(user->results[0], depth - 1));
  });
}

// A mask that is made elsewhere comes in with -3.4e38, which fp16 has not, and a row that is masked everywhere would be
// nothing but infinities.
void PrecisionPlanner::masks_from_outside(const Op& softmax, const Value* v, int depth) {
  if (v == nullptr || depth == 0 || wide(softmax)) return;
  const Op* op = v->producer;
  if (op == nullptr) return;
  const bool sum = op->is(Scalar::add);
  if (!sum && !only_moves(*op)) return;
  for (const auto& arg : op->args) {
    for (const Value* from : arg) {
      const Value* root = from;
      while (root->producer != nullptr && only_moves(*root->producer) && root->producer->arg("x") != nullptr)
        root = root->producer->arg("x");
      if (sum && root->dtype() == DType::f32 && inputs_.contains(root)) {
        if (plan_.masks.insert(root).second)
          note(Code::fp16_range, softmax,
               format("the mask '{}' comes from outside: finite values below {} become that in fp16", root->name,
                      kMask));
      } else {
        masks_from_outside(softmax, from, depth - 1);
      }
    }
  }
}

void PrecisionPlanner::replace(const Op& op, size_t p, size_t i, ir::ConstantPtr by, bool stays) {
  plan_.constants[{&op, p, i}] = {std::move(by), stays};
}

void PrecisionPlanner::too_big(const Op& op, size_t p, size_t i, const ConstantFacts& f) {
  const Value* v = op.args[p][i];
  const bool negative = f.too_big_positive == 0;
  // A 0/1 factor times -3.4e38 is a mask in the making; it must not become infinite in an island either.
  if (op.is(Scalar::mul) && negative && v->constant->count() == 1 && is_indicator(other_operand(op, v), kDepth))
    return mask(op, p, i, f);
  if (wide(op)) return;
  if (op.is(Scalar::add) && negative && f.rest_is_zero && v->constant->count() > 1) return mask(op, p, i, f);
  if (op.is(Scalar::select) && is_added(op.result(), kDepth)) return mask(op, p, i, f);
  if (op.row->def->fp16.saturates) {
    replace(op, p, i, saturated(*v->constant, -kHalfMax, kHalfMax));
    return note(
        Code::fp16_range, op,
        format("the bound or fill value {} became {} in fp16", f.extreme, f.extreme < 0 ? -kHalfMax : kHalfMax));
  }
  if (may_stay(op, p)) return stay(op, p, f);
  open_island(Code::fp16_range, op,
              format("kept in fp32: '{}' has values up to {:g}, fp16 ends at {}", name_of(op, p), f.largest, kHalfMax));
}

void PrecisionPlanner::mask(const Op& op, size_t p, size_t i, const ConstantFacts& f) {
  replace(op, p, i, saturated(*op.args[p][i]->constant, kMask, kHalfMax));
  note(Code::fp16_range, op, format("the mask value {:g} became {} in fp16", f.extreme, kMask));
}

void PrecisionPlanner::too_small(const Op& op, size_t p, size_t i, const ConstantFacts& f) {
  if (wide(op)) return;
  const Value* v = op.args[p][i];
  const bool offset = op.row->def->fp16.offsets;
  // Small beside others of the same tensor, or small and merely added: rounding is all that happens.
  if (f.largest >= kHalfNormal || (offset && f.vanished == 0)) return;
  if (offset && small_rows(op, f.largest)) return;
  if (may_stay(op, p)) return stay(op, p, f);
  if (offset) {
    replace(op, p, i, raised(*v->constant));
    return note(Code::precision_note, op,
                format("'{}' {:g} became {:g}, the smallest fp16", name_of(op, p), f.largest, kHalfLeast));
  }
  open_island(Code::precision_note, op,
              format("kept in fp32: '{}' is {:g} at most, too small for fp16", name_of(op, p), f.largest));
}

const ir::Signature& PrecisionPlanner::signature(const Op& op) const {
  const ir::Signature* s = op.row->at(target_.opset());
  return s != nullptr ? *s : op.row->signatures.front();
}

// Parameters of a letter of their own may keep fp32 beside fp16 activations; done where all of the letter are small.
bool PrecisionPlanner::may_stay(const Op& op, size_t p) const {
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
void PrecisionPlanner::stay(const Op& op, size_t p, const ConstantFacts& f) {
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
void PrecisionPlanner::left_out_epsilon(const Op& op) {
  const int p = op.row->param_index("epsilon");
  if (p < 0 || !op.args[static_cast<size_t>(p)].empty() || !on_floats(op)) return;
  const double eps = float_of(op, "epsilon");
  if (eps == 0 || eps > 0x1p-25) return;
  if (op.row->def->fp16.offsets && small_rows(op, eps)) return;
  if (may_stay(op, static_cast<size_t>(p))) {
    replace(op, static_cast<size_t>(p), 0, ir::Constant::scalar(DType::f32, eps), true);
  } else if (op.row->def->fp16.offsets) {
    replace(op, static_cast<size_t>(p), 0, ir::Constant::scalar(DType::f32, kHalfLeast));
  } else {
    open_island(Code::precision_note, op, format("kept in fp32: its epsilon {:g} is too small for fp16", eps));
  }
}

}  // namespace graft::passes
