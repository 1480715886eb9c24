#include "passes/precision.h"

#include <limits>

#include "base/format.h"
#include "passes/match.h"
#include "passes/precision_plan.h"
#include "passes/rewriter.h"

namespace graft::passes {
namespace {

class MixedPrecision {
 public:
  MixedPrecision(Rewriter& rewriter, PrecisionPlan plan) : rewriter_(&rewriter), plan_(std::move(plan)) {}

  std::optional<Values> operator()(Op& op) {
    if (op.is(Scalar::cast)) return cast(op);
    if (!touched(op)) return std::nullopt;
    if (!movable(op)) return keep_types(op);
    const bool half = !plan_.wide.contains(&op) && !follows_island(op);
    // In fp16 first; what the target takes in fp32 only is refused and tried again.
    for (const bool in_half : {true, false}) {
      if (in_half && !half) continue;
      const auto args = arguments(op, in_half);
      const ir::Builder::Mark mark = rewriter_->build().mark();
      Values results = rewriter_->emit_again(op, args);
      if (rewriter_->build().ok()) return adopt(op, std::move(results), in_half);
      rewriter_->build().rollback(mark);
    }
    // Not legal for the target to begin with; needed_opset() says so and why.
    for (const Value* r : op.results) islands_.insert(r);
    return keep_types(op);
  }

  // Types at the end of a block do not change.
  void close(Block& block) {
    for (Value*& v : block.outputs) v = original(v);
  }

  int halved() const { return halved_; }

 private:
  ops::OpBuilder& build() { return rewriter_->build(); }
  static bool real(const Value* v) {
    return v->type.is_tensor() && (v->dtype() == DType::f32 || v->dtype() == DType::f16);
  }

  bool touched(const Op& op) const {
    const auto needs = [&](const Value* v) { return v->dtype() == DType::f32 || halves_.contains(v); };
    for (const auto& arg : op.args) {
      for (const Value* v : arg) {
        if (needs(v)) return true;
      }
    }
    for (const Value* v : op.results) {
      if (needs(v)) return true;
    }
    return false;
  }

  // Control flow keeps the types of what it carries; states and lists have one type for good.
  static bool movable(const Op& op) {
    if (!op.blocks.empty() || op.row->def->infer == nullptr) return false;
    if (ir::touches_state(op.row->def->effects)) return false;
    const auto tensor = [](const Value* v) { return v->type.is_tensor(); };
    for (const auto& arg : op.args) {
      if (!std::all_of(arg.begin(), arg.end(), tensor)) return false;
    }
    return std::all_of(op.results.begin(), op.results.end(), tensor);
  }

  std::optional<Values> keep_types(Op& op) {
    for (size_t p = 0; p < op.args.size(); ++p) {
      for (size_t i = 0; i < op.args[p].size(); ++i) {
        if (Value* v = op.args[p][i]; halves_.contains(v)) rewriter_->set_argument(op, p, i, original(v));
      }
    }
    return std::nullopt;
  }

  std::optional<Values> cast(Op& op) {
    Value* x = op.arg("x");
    const DType to = op.result()->dtype();
    if (to == DType::f32 && x->dtype() != DType::f16) {
      if (plan_.wide.contains(&op)) {
        islands_.insert(op.result());
        return std::nullopt;
      }
      return adopt(op, {build().emit("cast", {{"x", x}, {"dtype", "fp16"}})}, true);
    }
    if (to == DType::f16 && halves_.contains(x)) return Values{x};
    return std::nullopt;
  }

  // An operator that only moves what an island made does so in the island's dtype.
  bool follows_island(const Op& op) const {
    if (!only_moves(op)) return false;
    for (const auto& arg : op.args) {
      for (const Value* v : arg) {
        if (v->dtype() == DType::f32 && v->producer != nullptr && islands_.contains(v)) return true;
      }
    }
    return false;
  }

  std::vector<std::vector<Value*>> arguments(const Op& op, bool half) {
    std::vector<std::vector<Value*>> args = op.args;
    for (size_t p = 0; p < args.size(); ++p) {
      const ir::Param& param = op.row->params()[p];
      const bool can = param.kind == ir::Param::Kind::tuple ||
                       (!param.letter.empty() && param.dtypes.has(DType::f16)) || param.dtypes.has(DType::f16) ||
                       param.kind == ir::Param::Kind::any;
      if (args[p].empty()) {
        if (const auto at = plan_.constants.find({&op, p, 0}); at != plan_.constants.end() && half)
          args[p].push_back(constant(at->second, half));
        continue;
      }
      for (size_t i = 0; i < args[p].size(); ++i) {
        Value*& v = args[p][i];
        if (!real(v) || (v->dtype() == DType::f16 && !halves_.contains(v))) continue;
        if (const auto at = plan_.constants.find({&op, p, i}); at != plan_.constants.end()) {
          v = constant(at->second, half);
        } else {
          v = half && can ? as(v, DType::f16) : original(v);
        }
      }
    }
    return args;
  }

  Value* constant(const PrecisionPlan::Constant& c, bool half) {
    return build().constant(half && !c.stays ? ir::Constant::cast(c.fp32, DType::f16) : c.fp32);
  }

  Values adopt(const Op& op, Values results, bool half) {
    for (size_t i = 0; i < results.size(); ++i) {
      if (op.results[i]->dtype() != DType::f32) continue;
      if (results[i]->dtype() == DType::f16) {
        halves_.insert(results[i]);
      } else {
        islands_.insert(results[i]);
      }
    }
    halved_ += half;
    return results;
  }

  Value* original(Value* v) { return halves_.contains(v) ? as(v, DType::f32) : v; }

  Value* as(Value* v, DType t) {
    if (v->dtype() == t) return v;
    // fp16 that was widened goes back without loss.
    if (const Op* c = made_by(v, Scalar::cast); c != nullptr && t == DType::f16 && c->arg("x")->dtype() == t)
      return c->arg("x");
    std::vector<Cast>& casts = casts_[v];
    std::erase_if(casts, [&](const Cast& c) { return c.block != nullptr && !rewriter_->visible(c.block); });
    for (const Cast& c : casts) {
      if (c.value->dtype() == t) return c.value;
    }
    Value* made = v->is_constant()
                      ? build().constant(ir::Constant::cast(v->constant, t))
                      : build().emit("cast", {{"x", t == DType::f16 && plan_.masks.contains(v) ? bounded_mask(v) : v},
                                              {"dtype", name(t)}});
    if (v->is_constant()) made->name = v->name;
    casts.push_back({made, v->is_constant() ? nullptr : &rewriter_->block()});
    return made;
  }

  // max(v, kMask), but infinities stay.
  Value* bounded_mask(Value* v) {
    const auto number = [&](double x) { return build().constant(ir::Constant::scalar(DType::f32, x)); };
    const double lowest = std::numeric_limits<float>::lowest();
    Value* above = build().binary("greater_equal", v, number(lowest));
    return build().select(above, build().binary("maximum", v, number(kMask)), v);
  }

  struct Cast {
    Value* value;
    Block* block;  // null: a constant, visible everywhere
  };

  Rewriter* rewriter_;
  PrecisionPlan plan_;
  std::unordered_set<const Value*> halves_;   // fp16 values in the place of fp32 ones
  std::unordered_set<const Value*> islands_;  // fp32 values made by what stays in fp32
  std::unordered_map<const Value*, std::vector<Cast>> casts_;
  int halved_ = 0;
};

}  // namespace

Result<int> half_precision(Function& function, PassContext& context) {
  PrecisionPlan plan = plan_precision(function, context.target, context.keep_fp32);
  for (Diag& d : plan.findings) context.findings.push_back(std::move(d));
  plan.findings.clear();
  Rewriter rewriter(function, context);
  MixedPrecision mixed(rewriter, std::move(plan));
  rewriter.at_end = [&](Block& block) { mixed.close(block); };
  GRAFT_CHECK(rewriter.run([&](Op& op) { return mixed(op); }));
  return mixed.halved();
}

}  // namespace graft::passes
