// read_state and write_state. A state lies outside of all plans and is fed to them like an input, which write_state
// alone writes to; steps run in the order of their operators, and what was read is a copy.
#include "engine/step.h"

namespace graft::engine {
namespace {

class StateStep final : public Step {
 public:
  explicit StateStep(bool writes) : writes_(writes) { provider = "native"; }
  Status run(const Frame& frame) const override {
    const PlanValue& state = frame.plan.values[static_cast<size_t>(in[0])];
    void* held = frame.context.pointers[static_cast<size_t>(in[0])];
    copy_values(state.dtype(), writes_ ? frame.in(1) : held, writes_ ? held : frame.out(0), state.shape.product());
    return {};
  }

 private:
  const bool writes_;
};

}  // namespace

std::unique_ptr<Step> state_step(const ir::OpDef& def) {
  return std::make_unique<StateStep>(def.effects == ir::Effects::writes_state);
}

}  // namespace graft::engine
