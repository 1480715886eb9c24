// A plan: what one run does for one set of input shapes. Steps in order, one arena, pointers by plan value. Plans are
// immutable and shared by threads; what a run changes is in a Context, and contexts are pooled, so that a run whose
// shapes were seen before allocates nothing.
//
// A plan reaches as far as shapes can be told. Where a size depends on data it stops: the run looks at the values (or
// at the shapes that a kernel made) and goes on with another plan made for them, its continuation, which may stop
// again.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/executable.h"
#include "engine/layout.h"
#include "engine/plan_memory.h"

namespace graft::engine {

class Core;
class Plan;
class Step;

// What a plan may do.
enum class Mode : uint8_t {
  fast,
  keep_nan,  // NaN survives wherever the reference kernels keep it: nothing fused that drops it
  observed,  // every result lies in memory at its time: nothing is fused or done in place
};

// A value as a plan sees it.
struct PlanValue {
  enum class Where : uint8_t { constant, input, computed };
  const ir::Value* value = nullptr;  // null: a reordered copy made by the plan
  ir::Type type;                     // static, except for results that only a kernel can size
  Shape shape;
  Layout layout;
  Where where = Where::computed;
  ir::ConstantPtr constant;                    // constant: its elements
  int root = -1;                               // the value whose memory this one is (itself, unless it is a view)
  int producer = -1;                           // node
  std::vector<int> consumers;                  // nodes, one entry a use
  bool kept = false;                           // needed after the last step: a result, or by the continuation
  bool ready = false;                          // its memory is filled by the steps emitted so far
  std::vector<std::pair<Layout, int>> copies;  // the same elements in other layouts

  DType dtype() const { return type.stored(); }
  size_t bytes() const { return byte_size(dtype(), layout.count(shape)); }
};

// What a step sees while it runs.
struct Frame {
  const Plan& plan;
  Context& context;
  const Step& step;
  StepState* state;
  std::byte* scratch;  // step.scratch bytes, 64-byte aligned
  const Env& env;
  const RunOptions& options;

  template <class T = void>
  const T* in(size_t i) const;
  template <class T = void>
  T* out(size_t i) const;
  // True for results of a step with one that the plan could not size: their memory comes from allocate().
  bool sized_by_run(size_t i) const;
  Result<void*> allocate(size_t i, DType dtype, const Shape& shape) const;
  // Or the result is there already: it changes places with what the result had. False where the plan has its place.
  bool adopt(size_t i, Buffer& memory, DType dtype, const Shape& shape) const;
  Grown* grown(size_t i) const;  // null where the plan sized it
  bool cancelled() const { return options.cancel != nullptr && options.cancel->cancelled(); }
  // As Env::parallel_for, denormals flushed in every chunk, which ends early once the run is cancelled: what it left
  // undone is never looked at. `body` is called through a reference: nothing is allocated.
  template <class Body>
  void parallel_for(int64_t count, int64_t grain, const Body& body) const;
};

class Step {
 public:
  virtual ~Step() = default;
  virtual std::unique_ptr<StepState> make_state(const Plan&) const { return nullptr; }
  virtual Status run(const Frame&) const = 0;

  std::vector<int> in, out;                   // plan values
  std::vector<std::pair<int, int>> in_place;  // out[first] may take over the memory of in[second] where that one dies
  size_t scratch = 0, scratch_offset = 0;
  std::string_view provider;
  std::string label;
  std::vector<const ir::Op*> ops;
  std::vector<std::string> declined;
};

// Where results go; sizes are known when it is asked.
class Sink {
 public:
  virtual ~Sink() = default;
  // Memory that is then filled with the result.
  virtual Result<void*> memory(size_t i, DType dtype, const Shape& shape) = 0;
  // Or the result's own memory, where the run has no more use for it. False: not wanted, nothing was taken.
  virtual bool adopt(size_t /*i*/, Buffer& /*memory*/, DType, const Shape&) { return false; }
};

// Where a plan stops and what selects the plan that goes on.
struct Stop {
  size_t next_op = 0;       // in the block
  std::vector<int> values;  // small integer values: their elements are part of the key
  std::vector<int> shapes;  // results of the last step whose shapes are part of the key
};

struct PlanResult {
  int value = -1;
  bool direct = false;  // steps write into the sink's memory; else copied after the last step
};

class Plan {
 public:
  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  const Core* core = nullptr;
  const ir::Block* block = nullptr;
  Mode mode = Mode::fast;
  bool drops_nan = false;  // a step may turn NaN into a number: inputs that hold one want a keep_nan plan
  std::vector<PlanValue> values;
  std::vector<int> inputs;  // fed by the caller, in this order
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<PlanResult> results;  // of a plan that does not stop
  std::vector<size_t> offsets;      // in the arena, by value; SIZE_MAX: not there
  std::vector<int> objects;         // values of the context that are lists or strings
  // Where the constants that steps and results read lie, by value; aligned for their element type.
  std::vector<std::pair<int, const void*>> constants;
  size_t arena_bytes = 0;
  bool stops = false;
  Stop stop;
  // What the continuation may use, and which values of the program they are.
  std::vector<int> passed;
  std::vector<const ir::Value*> passed_names;
  std::vector<std::pair<const ir::Op*, std::string>> no_work;  // folded and view operators, for explain()

  // Runs all of it, continuations included. `feeds` by inputs.
  Status run(std::span<const void* const> feeds, Sink& sink, const RunOptions& options) const;
  // Frees the contexts that no run uses.
  void drop_idle() const;

 private:
  struct RunContexts;
  Result<std::unique_ptr<Context>> make_context() const;
  Diag largest(Diag d) const;
  Result<std::unique_ptr<Context>> take_context() const;
  void give_back(std::unique_ptr<Context> context) const;
  Status begin(Context& c, std::span<const void* const> feeds, Sink& sink) const;
  void show(const Step& step, const Context& c, const RunOptions& options) const;  // to options.observe
  // `first`: the context that the run began with; its own is the last of the chain.
  Status give_results(Context& first, Context& c, Sink& sink) const;
  Result<std::shared_ptr<const Plan>> continuation(Context& c, const CancelToken* cancel) const;
  Result<std::shared_ptr<const Plan>> make_continuation(const Context& c, const CancelToken* cancel) const;

  mutable std::mutex pool_mutex_;
  mutable std::vector<std::unique_ptr<Context>> pool_;
  PlanCache continuations_;
};

template <class T>
const T* Frame::in(size_t i) const {
  return static_cast<const T*>(context.pointers[static_cast<size_t>(step.in[i])]);
}
template <class T>
T* Frame::out(size_t i) const {
  return static_cast<T*>(context.pointers[static_cast<size_t>(step.out[i])]);
}
template <class Body>
void Frame::parallel_for(int64_t count, int64_t grain, const Body& body) const {
  // The token is asked between pieces of some milliseconds; a grain is some tens of microseconds.
  constexpr int64_t kGrains = 128;
  const int64_t piece = options.cancel == nullptr ? INT64_MAX : kGrains * std::max<int64_t>(grain, 1);
  const auto chunk = [&](int64_t begin, int64_t end) {
    const FlushDenormals flush(true);
    for (int64_t at = begin; at < end && !cancelled();) {
      const int64_t next = end - at > piece ? at + piece : end;
      body(at, next);
      at = next;
    }
  };
  env.parallel_for(count, grain, std::ref(chunk));
}

}  // namespace graft::engine
