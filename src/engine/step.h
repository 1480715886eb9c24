// How operators become steps. A candidate looks at an operator of the plan (and at what follows it), and either
// prepares a step, packing weights and choosing layouts, or says why not. Candidates are tried in order; the row's
// reference kernel is the last.
#pragma once

#include "engine/core.h"

namespace graft::engine {

// An operator of the plan with everything known.
struct Node {
  const ir::Op* op = nullptr;
  std::vector<std::vector<int>> args;  // plan values by row->params()
  std::vector<int> results;
  bool taken = false;
  bool folded = false;
};

// What a prepared step needs and makes.
struct Prepared {
  struct In {
    int value;
    Layout layout = {};  // reordered to this before the step where it is not so already
  };
  struct Out {
    int value;
    Layout layout = {};
  };
  std::unique_ptr<Step> step;
  std::vector<In> in;
  std::vector<Out> out;
  std::vector<int> nodes;  // all operators that the step carries out, the first one at whose place it runs
};

class Selection;

// How a provider makes a step of operators of one kind.
struct Candidate {
  ir::Kind kind;
  Result<Prepared> (*prepare)(const Selection&, int node);
};

// What candidates see.
class Selection {
 public:
  const Core& core() const { return *core_; }
  const Plan& plan() const { return *plan_; }
  const Node& node(int i) const { return nodes_[static_cast<size_t>(i)]; }
  int node_count() const { return static_cast<int>(nodes_.size()); }
  const PlanValue& value(int i) const { return plan_->values[static_cast<size_t>(i)]; }

  // The argument's value, -1 when it was left out.
  int arg(int node, std::string_view param) const;
  // The operator as rows see it: shapes of this plan, constants' elements. For reading parameters.
  ir::Call call(int node) const;
  // Computed before the operator whose step is being prepared: usable as an input of it.
  bool available(int value) const { return this->value(value).ready; }
  // The one operator that uses the value, -1 when there are more or it is needed beyond this plan.
  int sole_consumer(int value) const;
  // Work on many elements while planning asks it now and then; what was asked for it then gives `cancelled`.
  const CancelToken* cancel() const { return cancel_; }
  bool fusing() const { return plan_->mode != Mode::observed; }
  // May the step being prepared turn NaN into a number? Not in a keep_nan plan; else the plan remembers that it did.
  bool may_drop_nan() const {
    if (plan_->mode == Mode::keep_nan) return false;
    plan_->drops_nan = true;
    return true;
  }

 private:
  friend class Planner;
  const Core* core_ = nullptr;
  Plan* plan_ = nullptr;
  const CancelToken* cancel_ = nullptr;
  std::vector<Node> nodes_;
};

tl::unexpected<Diag> decline(std::string why);

// The steps that need no provider.
std::unique_ptr<Step> reference_step(const Selection& s, int node);
std::unique_ptr<Step> state_step(const ir::OpDef& def);
std::unique_ptr<Step> reorder_step(DType dtype, const Shape& shape, Layout from, Layout to);
// cond, while_loop and operators that were put off. `sized`: results that only the run can size. core.planning is held.
struct ControlFlow {
  std::unique_ptr<Step> step;
  std::vector<ir::Type> types;  // of the results; not static: the run sizes them
  std::vector<const ir::Value*> captured;
};
Result<ControlFlow> control_flow(const Core& core, const ir::Op& op, std::span<const PlanInput> arguments,
                                 const std::function<PlanInput(const ir::Value*)>& outer, Mode mode,
                                 const CancelToken* cancel);

// Who makes steps. Those that the build has, in the order in which they are asked (providers.cc).
struct Provider {
  std::span<const Candidate> candidates;
  bool (*wanted)(const Options&);
};
std::vector<Provider> providers();

}  // namespace graft::engine
