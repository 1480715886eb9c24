// The last candidate of every operator: its row's reference kernel.
#include <optional>

#include "base/format.h"
#include "engine/step.h"

namespace graft::engine {
namespace {

class StepOutputs final : public ir::Outputs {
 public:
  StepOutputs(const Plan& plan, const Step& step) {
    for (int o : step.out) {
      const PlanValue& v = plan.values[static_cast<size_t>(o)];
      views_.push_back({v.dtype(), v.shape, nullptr});
    }
  }
  // Results that only the kernel can size have no dtype yet: that is how kernels know.
  Status bind(const Frame& frame) {
    frame_ = &frame;
    for (size_t i = 0; i < views_.size(); ++i) {
      const PlanValue& v = frame.plan.values[static_cast<size_t>(frame.step.out[i])];
      if (!v.type.is_sized()) {
        views_[i] = {};
      } else if (frame.sized_by_run(i)) {
        GRAFT_TRY(void* data, frame.allocate(i, v.dtype(), v.shape));
        views_[i].data = data;
      } else {
        views_[i].data = frame.out(i);
      }
    }
    return {};
  }
  Status allocate(int i, DType dtype, const Shape& shape) override {
    MutableTensorView& view = views_[static_cast<size_t>(i)];
    const PlanValue& v = frame_->plan.values[static_cast<size_t>(frame_->step.out[static_cast<size_t>(i)])];
    if (v.type.is_sized()) {  // planned: the kernel may ask all the same
      if (v.dtype() == dtype && v.shape == shape) return {};
      return fail(Code::internal, format("a kernel makes {} where {} was inferred", describe(dtype, shape),
                                         describe(v.dtype(), v.shape)));
    }
    GRAFT_TRY(void* data, frame_->allocate(static_cast<size_t>(i), dtype, shape));
    view = {dtype, shape, data};
    return {};
  }
  std::shared_ptr<MemoryLimit> limit() const override { return frame_->plan.core->memory; }

 private:
  const Frame* frame_ = nullptr;
};

struct ReferenceState final : StepState {
  ReferenceState(const ir::OpRow& row, StepOutputs o) : call(row), outputs(std::move(o)) {}
  ir::Call call;
  StepOutputs outputs;
  int32_t seed = 0;  // of the run, where results are random
};

// Kernels give the same numbers for the same seed. So that an operator's numbers go on from run to run, each run but
// the first has a seed of its own, made of the operator's and of how many runs there were before.
class Draws {
 public:
  Draws(const Core& core, const ir::Op& op, int64_t seed)
      : count_(core.draws[&op]), seed_(seed), param_(op.row->param_index("seed")) {}
  int param() const { return param_; }
  void bind(ReferenceState& state) const {
    static const ir::Type kSeed = ir::Type::tensor(DType::i32, ir::Dims{});
    ir::Operand o;
    o.type = &kSeed;
    o.constant = true;
    o.value = {DType::i32, {}, &state.seed};
    state.call.set(param_, {o});
  }
  int32_t next() const {
    const uint64_t run = count_.fetch_add(1, std::memory_order_relaxed);
    const auto own = static_cast<uint64_t>(seed_);
    return static_cast<int32_t>(static_cast<uint32_t>(run == 0 ? own : hash((own << 32) + run)));
  }

 private:
  // splitmix64's last step.
  static uint64_t hash(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::atomic<uint64_t>& count_;
  int64_t seed_;
  int param_;
};

class ReferenceStep final : public Step {
 public:
  ReferenceStep(const Selection& s, int node) : row_(s.node(node).op->row) {
    provider = "reference";
    label = std::string(row_->name());
    for (const auto& arg : s.node(node).args) counts_.push_back(arg.size());
    if (row_->def->effects == ir::Effects::random) draws_.emplace(s.core(), *s.node(node).op, s.call(node).i("seed"));
  }

  std::unique_ptr<StepState> make_state(const Plan& plan) const override {
    auto state = std::make_unique<ReferenceState>(*row_, StepOutputs(plan, *this));
    size_t at = 0;
    for (size_t p = 0; p < counts_.size(); ++p) {
      std::vector<ir::Operand> operands;
      for (size_t k = 0; k < counts_[p]; ++k) {
        const PlanValue& v = plan.values[static_cast<size_t>(in[at++])];
        ir::Operand o;
        o.type = &v.type;
        o.constant = v.where == PlanValue::Where::constant;
        o.value = {v.dtype(), v.shape, nullptr};
        if (v.value != nullptr) o.range = v.value->range;
        operands.push_back(o);
      }
      state->call.set(static_cast<int>(p), std::move(operands));
    }
    if (draws_) draws_->bind(*state);
    return state;
  }

  Status run(const Frame& frame) const override {
    auto& state = static_cast<ReferenceState&>(*frame.state);
    size_t at = 0;
    for (size_t p = 0; p < counts_.size(); ++p) {
      if (draws_ && static_cast<int>(p) == draws_->param())
        at += counts_[p];
      else
        for (ir::Operand& o : state.call.slot(static_cast<int>(p))) o.value.data = frame.in(at++);
    }
    if (draws_) state.seed = draws_->next();
    GRAFT_CHECK(state.outputs.bind(frame));
    state.call.cancel = frame.options.cancel;
    Status s = row_->def->reference(state.call, state.outputs);
    if (s && state.call.error()) s = fail(*state.call.error());
    return s;
  }

 private:
  const ir::OpRow* row_;
  std::vector<size_t> counts_;  // arguments by parameter
  std::optional<Draws> draws_;  // where results are random
};

}  // namespace

std::unique_ptr<Step> reference_step(const Selection& s, int node) { return std::make_unique<ReferenceStep>(s, node); }

}  // namespace graft::engine
