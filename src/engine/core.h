// What all plans of one executable share: the program, the options, packed weights, folded constants.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "engine/plan.h"
#include "ir/folding.h"

namespace graft::engine {

struct Candidate;

// What a provider keeps for all plans of an executable: packed weights, say.
class ProviderState {
 public:
  virtual ~ProviderState() = default;
};

// All plans of an executable, which keep contexts for the next run: idle memory.
class PlanList final : public IdleMemory {
 public:
  void add(const std::shared_ptr<const Plan>& plan);
  void drop() override;

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<const Plan>> plans_;
};

// By value: the place in a block of the last operator that reads it, itself or in a body; past the end for what the
// block returns.
using LastReads = std::unordered_map<const ir::Value*, size_t>;

class Core {
 public:
  std::shared_ptr<const ir::Program> program;
  const ir::Function* function = nullptr;
  std::shared_ptr<const Env> env;
  std::shared_ptr<MemoryLimit> memory;  // counts weights, folded constants, contexts and results; may be null
  Options options;
  std::map<ir::Kind, std::vector<const Candidate*>> candidates;  // best first

  // Held while a plan is made; guards what follows.
  mutable std::mutex planning;
  mutable std::unordered_map<const ir::Op*, std::vector<ir::ConstantPtr>> folded;  // empty: it would take too much
  mutable ir::FoldBudget folding;
  mutable Slab weights;  // packed ones
  mutable std::unordered_map<const ir::Block*, LastReads> last_reads;
  // Operators that were put off, as they were built for dtypes and ranks (or sizes); never dropped: plans point inside.
  mutable std::map<std::pair<const ir::Op*, std::vector<int64_t>>, std::unique_ptr<ir::Function>> deferred;
  mutable std::map<std::string_view, std::unique_ptr<ProviderState>> states;  // by provider
  // How often each operator with random results has run, whatever the plan; counted by steps, without the lock.
  mutable std::map<const ir::Op*, std::atomic<uint64_t>> draws;
  std::shared_ptr<PlanList> plans = std::make_shared<PlanList>();
};

// What is asked of the planner: run `block` from operator `first` on.
struct PlanInput {
  const ir::Value* value = nullptr;
  DType dtype = DType::invalid;
  Shape shape;
  ir::ConstantPtr known;  // its elements, where the plan may rely on them: then it is not fed

  // What no shape tells: a list's elements, that it is a state.
  ir::Type type() const {
    return dtype == DType::list || value->type.is_state() ? value->type : ir::Type::tensor(dtype, shape);
  }
};
struct PlanRequest {
  const ir::Block* block = nullptr;
  size_t first = 0;
  std::vector<PlanInput> inputs;
  Mode mode = Mode::fast;
  const CancelToken* cancel = nullptr;
};

// core.planning must be held. Errors carry operator and value: what inference and folding report, memory_limit,
// cancelled.
Result<std::shared_ptr<const Plan>> make_plan(const Core& core, const PlanRequest& request);

// Whether steps can be made for a row that has no blocks.
inline bool runnable(const ir::OpDef& def) {
  return def.infer != nullptr && (def.reference != nullptr || ir::touches_state(def.effects));
}

// core.planning must be held.
const LastReads& last_reads(const Core& core, const ir::Block& block);

// Values that `block` uses (nested blocks included) or returns, and does not define there, in order of first use;
// constants left out.
std::vector<const ir::Value*> free_values(const ir::Block& block);

}  // namespace graft::engine
