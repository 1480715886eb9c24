// cond and while_loop: nested blocks are plans of their own, fed with the outer values that they use.
#include "base/format.h"
#include "engine/step.h"

namespace graft::engine {
namespace {

using Outer = std::function<PlanInput(const ir::Value*)>;

// A result as far as it is known without the run: lists have no sizes.
ir::Type unsized(const ir::Value& result) {
  return result.type.is_list() ? result.type : ir::Type::unranked(result.dtype());
}

// A nested block: what it is asked with, and where each feed is among the step's inputs.
struct Nested {
  PlanRequest request;
  std::vector<size_t> captured_in;  // step inputs of the captured values, in feed order after the block's inputs
};

// Values that the step's blocks capture, in the order in which they are step inputs.
struct Captured {
  std::vector<const ir::Value*>& list;
  std::unordered_map<const ir::Value*, size_t> places;
  size_t place_of(const ir::Value* v) {
    const auto [at, fresh] = places.emplace(v, list.size());
    if (fresh) list.push_back(v);
    return at->second;
  }
};

// The first of `captured` (shared by the step's blocks) is step input `base`.
Result<Nested> nested(const ir::Block& block, std::span<const PlanInput> inputs, const Outer& outer, size_t base,
                      Captured& captured, Mode mode, const CancelToken* cancel) {
  Nested n;
  n.request.block = &block;
  n.request.mode = mode;
  n.request.cancel = cancel;
  for (size_t i = 0; i < block.inputs.size(); ++i)
    n.request.inputs.push_back({block.inputs[i], inputs[i].dtype, inputs[i].shape, nullptr});
  for (const ir::Value* v : free_values(block)) {
    PlanInput e = outer(v);
    if (e.known == nullptr) {
      if (e.dtype == DType::invalid)
        return fail(Code::internal, format("value '{}' is used before it exists", v->name));
      n.captured_in.push_back(base + captured.place_of(v));
    }
    n.request.inputs.push_back(std::move(e));
  }
  return n;
}

// Results go where the plan put them, or are sized by the run.
class FrameSink final : public Sink {
 public:
  explicit FrameSink(const Frame& frame) : frame_(frame) {}
  Result<void*> memory(size_t i, DType dtype, const Shape& shape) override {
    if (frame_.sized_by_run(i)) return frame_.allocate(i, dtype, shape);
    return frame_.out(i);
  }
  bool adopt(size_t i, Buffer& memory, DType dtype, const Shape& shape) override {
    return frame_.adopt(i, memory, dtype, shape);
  }

 private:
  const Frame& frame_;
};

struct Feeds final : StepState {
  std::vector<const void*> list;
};

class CondStep final : public Step {
 public:
  CondStep() { provider = "native"; }
  std::unique_ptr<StepState> make_state(const Plan&) const override {
    auto feeds = std::make_unique<Feeds>();
    feeds->list.reserve(std::max(branch[0].captured_in.size(), branch[1].captured_in.size()));
    return feeds;
  }
  Status run(const Frame& frame) const override {
    const size_t b = *frame.in<uint8_t>(0) != 0 ? 0 : 1;
    if (impossible[b]) return fail(*impossible[b]);
    auto& feeds = static_cast<Feeds&>(*frame.state).list;
    feeds.clear();
    for (size_t i : branch[b].captured_in) feeds.push_back(frame.in(i));
    FrameSink sink(frame);
    return plans[b]->run(feeds, sink, frame.options);
  }

  Nested branch[2];
  std::shared_ptr<const Plan> plans[2];  // one is null when the predicate was known
  std::optional<Diag> impossible[2];     // why a branch has no plan for these sizes: it may be for others
};

Result<ControlFlow> make_cond(const Core& core, const ir::Op& op, const PlanInput& pred, const Outer& outer, Mode mode,
                              const CancelToken* cancel) {
  if (op.blocks.size() != 2) return fail(Code::invalid_model, format("cond has {} blocks, takes 2", op.blocks.size()));
  auto step = std::make_unique<CondStep>();
  ControlFlow made;
  Captured captured{made.captured, {}};
  bool sized = true;
  int only = -1;
  if (pred.known != nullptr && pred.known->count() == 1) only = element_as_int(pred.known->view(), 0) != 0 ? 0 : 1;
  const Plan* first = nullptr;
  for (size_t b = 0; b < 2; ++b) {
    if (only >= 0 && static_cast<int>(b) != only) continue;
    if (op.blocks[b]->outputs.size() != op.results.size())
      return fail(Code::invalid_model, format("a branch returns {} values, the operator {}",
                                              op.blocks[b]->outputs.size(), op.results.size()));
    GRAFT_TRY(step->branch[b], nested(*op.blocks[b], {}, outer, 1, captured, mode, cancel));
    Result<std::shared_ptr<const Plan>> planned = make_plan(core, step->branch[b].request);
    if (!planned) {
      const bool last = only >= 0 || (b == 1 && step->plans[0] == nullptr);
      if (last || out_of_bounds(planned.error().code)) return fail(std::move(planned).error());
      step->impossible[b] = std::move(planned).error();
      continue;
    }
    step->plans[b] = *planned;
    const Plan& plan = *step->plans[b];
    sized &= !plan.stops;
    if (!sized) continue;
    if (first == nullptr) first = &plan;
    for (size_t k = 0; k < plan.results.size(); ++k) {
      const auto type_of = [k](const Plan& p) -> const ir::Type& {
        return p.values[static_cast<size_t>(p.results[k].value)].type;
      };
      if (type_of(plan).stored() != type_of(*first).stored())
        return fail(Code::dtype_mismatch, "the two branches return different element types");
      sized &= type_of(plan).is_list() || type_of(plan) == type_of(*first);
    }
  }
  for (size_t k = 0; k < op.results.size(); ++k) {
    const ir::Value& result = *op.results[k];
    made.types.push_back(sized && !result.type.is_list()
                             ? first->values[static_cast<size_t>(first->results[k].value)].type
                             : unsized(result));
  }
  made.step = std::move(step);
  return made;
}

// ---- operators that were put off ----

class DeferredStep final : public Step {
 public:
  DeferredStep() { provider = "native"; }
  std::unique_ptr<StepState> make_state(const Plan&) const override {
    auto feeds = std::make_unique<Feeds>();
    feeds->list.reserve(fed.size());
    return feeds;
  }
  Status run(const Frame& frame) const override {
    auto& feeds = static_cast<Feeds&>(*frame.state).list;
    feeds.clear();
    for (size_t i : fed) feeds.push_back(frame.in(i));
    FrameSink sink(frame);
    return plan->run(feeds, sink, frame.options);
  }

  std::vector<size_t> fed;  // step inputs that the plan does not know
  std::shared_ptr<const Plan> plan;
};

// By the ranks alone, so that one function serves all sizes; where that does not do, for these sizes.
Result<const ir::Function*> built_for(const Core& core, const ir::Op& op, std::span<const PlanInput> arguments,
                                      const Bounds& bounds) {
  constexpr size_t kMost = 4096;
  Result<const ir::Function*> made = fail(Code::internal, "nothing was built");
  for (const bool sizes : {false, true}) {
    std::vector<int64_t> key{sizes ? 1 : 0};
    ir::Types types;
    for (size_t i = 0; i < arguments.size(); ++i) {
      const PlanInput& e = arguments[i];
      key.push_back(static_cast<int64_t>(e.dtype));
      key.push_back(e.shape.size());
      if (sizes) key.insert(key.end(), e.shape.begin(), e.shape.end());
      types.push_back(e.type());
      for (size_t d = 0; !sizes && d < types.back().dims.size(); ++d)
        types.back().dims[d] = ir::Dim::symbol(format("{}_{}", i, d), {0, INT32_MAX});
    }
    const auto at = core.deferred.find({&op, key});
    if (at != core.deferred.end()) return at->second.get();
    if (core.deferred.size() >= kMost)
      return fail(Code::limit_exceeded, format("{} forms of operators on tensors of unknown rank", kMost));
    Result<std::unique_ptr<ir::Function>> function = op.deferred->build(types, bounds);
    if (function) return (core.deferred[{&op, std::move(key)}] = std::move(*function)).get();
    made = fail(std::move(function).error());
    if (out_of_bounds(made.error().code)) break;
  }
  return made;
}

Result<ControlFlow> make_deferred(const Core& core, const ir::Op& op, std::span<const PlanInput> arguments, Mode mode,
                                  const CancelToken* cancel) {
  GRAFT_TRY(const ir::Function* function, built_for(core, op, arguments, {cancel, core.memory}));
  auto step = std::make_unique<DeferredStep>();
  PlanRequest request;
  request.block = &function->body;
  request.mode = mode;
  request.cancel = cancel;
  for (size_t i = 0; i < arguments.size(); ++i) {
    PlanInput e = arguments[i];
    if (e.known == nullptr) step->fed.push_back(i);
    e.value = function->inputs[i];
    request.inputs.push_back(std::move(e));
  }
  GRAFT_TRY(step->plan, make_plan(core, request));
  ControlFlow made;
  for (size_t k = 0; k < op.results.size(); ++k) {
    const ir::Value& result = *op.results[k];
    made.types.push_back(step->plan->stops || result.type.is_list()
                             ? unsized(result)
                             : step->plan->values[static_cast<size_t>(step->plan->results[k].value)].type);
  }
  made.step = std::move(step);
  return made;
}

// ---- while_loop ----

struct LoopState final : StepState {
  std::vector<const void*> feeds;
  std::vector<Grown> sets[2];  // the loop's variables, in turn
  std::vector<const void*> now;
  std::vector<Shape> shapes;

  // What a variable's value lies in; null while it is the loop's input.
  Grown* holding(size_t i) {
    for (auto& set : sets) {
      if (now[i] != nullptr && set[i].data() == now[i]) return &set[i];
    }
    return nullptr;
  }
};

// What lists hold ends with the run.
struct DropLists {
  LoopState& state;
  ~DropLists() {
    for (auto& set : state.sets) {
      for (Grown& g : set) g.list = List();
    }
  }
};

class LoopSink final : public Sink {
 public:
  LoopSink(std::vector<Grown>& set, const std::shared_ptr<MemoryLimit>& limit) : set_(set), limit_(limit) {}
  Result<void*> memory(size_t i, DType dtype, const Shape& shape) override {
    return set_[i].take(dtype, shape, limit_);
  }
  bool adopt(size_t i, Buffer& memory, DType dtype, const Shape& shape) override {
    set_[i].adopt(memory, dtype, shape);
    return true;
  }

 private:
  std::vector<Grown>& set_;
  const std::shared_ptr<MemoryLimit>& limit_;
};

class FlagSink final : public Sink {
 public:
  Result<void*> memory(size_t, DType dtype, const Shape& shape) override {
    if (dtype != DType::boolean || shape.product() != 1)
      return fail(Code::invalid_model, format("the condition is {}, takes one bool", describe(dtype, shape)));
    return static_cast<void*>(&flag);
  }
  bool flag = false;
};

class WhileStep final : public Step {
 public:
  explicit WhileStep(const Core& core) : core_(core) { provider = "native"; }
  std::unique_ptr<StepState> make_state(const Plan&) const override {
    auto state = std::make_unique<LoopState>();
    state->feeds.reserve(count_ + std::max(cond_.captured_in.size(), body_.captured_in.size()));
    for (auto& set : state->sets) set.resize(count_);
    state->now.resize(count_);
    state->shapes.resize(count_);
    return state;
  }

  Status run(const Frame& frame) const override {
    auto& state = static_cast<LoopState&>(*frame.state);
    const DropLists after{state};
    for (size_t i = 0; i < count_; ++i) {
      state.now[i] = frame.in(i);
      state.shapes[i] = frame.plan.values[static_cast<size_t>(frame.step.in[i])].shape;
    }
    for (size_t turn = 0;; turn ^= 1) {
      if (frame.cancelled()) return {};  // whoever runs the step sees it too
      FlagSink flag;
      GRAFT_CHECK(run_block(frame, state, cond_, cond_plans_, flag));
      if (!flag.flag) break;
      LoopSink sink(state.sets[turn], core_.memory);
      GRAFT_CHECK(run_block(frame, state, body_, body_plans_, sink));
      for (size_t i = 0; i < count_; ++i) {
        Grown& g = state.sets[turn][i];
        state.now[i] = g.data();
        state.shapes[i] = g.shape;
      }
    }
    FrameSink sink(frame);
    for (size_t i = 0; i < count_; ++i) {
      const DType dtype = dtypes_[i];
      Grown* last = holds_objects(dtype) ? nullptr : state.holding(i);
      if (last != nullptr && sink.adopt(i, last->memory, dtype, state.shapes[i])) continue;
      GRAFT_TRY(void* to, sink.memory(i, dtype, state.shapes[i]));
      copy_values(dtype, state.now[i], to, state.shapes[i].product());
    }
    return {};
  }

  static Result<ControlFlow> make(const Core& core, const ir::Op& op, std::span<const PlanInput> vars,
                                  const Outer& outer, Mode mode, const CancelToken* cancel) {
    if (op.blocks.size() != 2 || op.blocks[0]->inputs.size() != vars.size() ||
        op.blocks[1]->inputs.size() != vars.size() || op.blocks[1]->outputs.size() != vars.size() ||
        op.blocks[0]->outputs.size() != 1 || op.results.size() != vars.size()) {
      return fail(Code::invalid_model, "the blocks of a while_loop do not fit its loop variables");
    }
    auto step = std::make_unique<WhileStep>(core);
    ControlFlow made;
    Captured captured{made.captured, {}};
    step->count_ = vars.size();
    for (const PlanInput& e : vars) step->dtypes_.push_back(e.dtype);
    GRAFT_TRY(step->cond_, nested(*op.blocks[0], vars, outer, vars.size(), captured, mode, cancel));
    GRAFT_TRY(step->body_, nested(*op.blocks[1], vars, outer, vars.size(), captured, mode, cancel));
    std::vector<int64_t> key;
    for (const PlanInput& e : vars) {
      key.push_back(e.shape.size());
      key.insert(key.end(), e.shape.begin(), e.shape.end());
    }
    GRAFT_TRY(std::shared_ptr<const Plan> cond, make_plan(core, step->cond_.request));
    GRAFT_TRY(std::shared_ptr<const Plan> body, make_plan(core, step->body_.request));
    bool sized = !body->stops;
    for (size_t i = 0; sized && i < vars.size(); ++i) {
      const PlanValue& v = body->values[static_cast<size_t>(body->results[i].value)];
      if (v.dtype() != vars[i].dtype)
        return fail(Code::dtype_mismatch,
                    format("loop variable {} changes from {} to {}", i, name(vars[i].dtype), name(v.dtype())));
      sized &= v.shape == vars[i].shape;
    }
    step->cond_plans_.insert(key, std::move(cond));
    step->body_plans_.insert(std::move(key), std::move(body));
    for (size_t i = 0; i < vars.size(); ++i) {
      const ir::Value& result = *op.results[i];
      made.types.push_back(sized && !result.type.is_list() ? vars[i].type() : unsized(result));
    }
    made.step = std::move(step);
    return made;
  }

 private:
  Status run_block(const Frame& frame, LoopState& state, const Nested& block, const PlanCache& cache,
                   Sink& sink) const {
    const auto same = [&](const std::vector<int64_t>& key) {
      size_t at = 0;
      for (const Shape& s : state.shapes) {
        if (key[at++] != s.size()) return false;
        for (int64_t d : s) {
          if (key[at++] != d) return false;
        }
      }
      return true;
    };
    std::shared_ptr<const Plan> plan = cache.find(same);
    if (plan == nullptr) {
      GRAFT_TRY(const auto lock, graft::lock(core_.planning, frame.options.cancel));
      PlanRequest request = block.request;
      request.cancel = frame.options.cancel;
      std::vector<int64_t> key;
      for (size_t i = 0; i < count_; ++i) {
        request.inputs[i].shape = state.shapes[i];
        key.push_back(state.shapes[i].size());
        key.insert(key.end(), state.shapes[i].begin(), state.shapes[i].end());
      }
      GRAFT_TRY(plan, make_plan(core_, request));
      cache.insert(std::move(key), plan);
    }
    state.feeds.assign(state.now.begin(), state.now.end());
    for (size_t i : block.captured_in) state.feeds.push_back(frame.in(i));
    return plan->run(state.feeds, sink, frame.options);
  }

  const Core& core_;
  size_t count_ = 0;
  std::vector<DType> dtypes_;
  Nested cond_, body_;
  PlanCache cond_plans_, body_plans_;
};

}  // namespace

Result<ControlFlow> control_flow(const Core& core, const ir::Op& op, std::span<const PlanInput> arguments,
                                 const Outer& outer, Mode mode, const CancelToken* cancel) {
  if (op.deferred != nullptr) return make_deferred(core, op, arguments, mode, cancel);
  if (op.kind() == ir::Kind::loop) return WhileStep::make(core, op, arguments, outer, mode, cancel);
  if (arguments.empty()) return fail(Code::invalid_model, "cond has no predicate");
  return make_cond(core, op, arguments[0], outer, mode, cancel);
}

}  // namespace graft::engine
