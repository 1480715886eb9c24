#include "engine/executable.h"

#include <array>
#include <atomic>
#include <cstring>
#include <optional>

#include "base/format.h"
#include "base/list.h"
#include "engine/feeds.h"
#include "engine/step.h"

namespace graft::engine {

struct Executable::Impl {
  Core core;
  std::vector<Port> inputs, outputs, states;
  std::vector<const ir::Value*> values;  // of the program: the inputs, then the states
  std::vector<size_t> list_inputs;
  std::unordered_map<std::string_view, size_t> symbols;  // of the inputs' dims: numbered
  PlanCache plans[3];                                    // by mode

  Status check_input(size_t i, const TensorView& view, std::span<std::optional<int64_t>> bound) const;
  Status check_shape(size_t i, const Shape& shape, std::span<std::optional<int64_t>> bound) const;
  template <class ShapeOf>
  Result<std::shared_ptr<const Plan>> plan(const ShapeOf& shape_of, Mode mode, const CancelToken* cancel) const;
};

namespace {

Status check_runnable(const ir::Function& function) {
  std::optional<Diag> bad;
  ir::visit_ops(function.body, [&](ir::Op& op) {
    const ir::OpDef& def = *op.row->def;
    if (bad || op.deferred != nullptr) return;
    Diag d;
    if (ir::has_blocks(def.kind)) {
      // Blocks see the states of the function; they are no values that go through them.
      const auto is_state = [](const ir::Value* v) { return v->type.is_state(); };
      bool any = std::any_of(op.results.begin(), op.results.end(), is_state);
      for (const auto& arg : op.args) any |= std::any_of(arg.begin(), arg.end(), is_state);
      if (!any) return;
      d.code = Code::unsupported_operator;
      d.message = "a state as a variable of a loop or the result of a branch";
    } else {
      if (runnable(def)) return;
      d.code = Code::unsupported_operator;
      d.message = format("the engine does not run {} yet", def.name);
    }
    bad = std::move(d).at_node(op.results.empty() ? op.name : op.results[0]->name, op.type());
  });
  return bad ? fail(std::move(*bad)) : Status{};
}

constexpr size_t kFewSymbols = 32;

}  // namespace

Executable::Executable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Executable::~Executable() = default;
std::span<const Port> Executable::inputs() const { return impl_->inputs; }
std::span<const Port> Executable::outputs() const { return impl_->outputs; }
std::span<const Port> Executable::states() const { return impl_->states; }

Result<std::shared_ptr<const Executable>> Executable::load(std::shared_ptr<const ir::Program> program,
                                                           std::string_view function, std::shared_ptr<const Env> env,
                                                           const Options& options,
                                                           std::shared_ptr<MemoryLimit> memory) {
  auto impl = std::make_unique<Impl>();
  for (const auto& f : program->functions) {
    if (f->name == function) impl->core.function = f.get();
  }
  if (impl->core.function == nullptr)
    return fail(Code::invalid_argument, format("the program has no function '{}'", function));
  const ir::Function& f = *impl->core.function;
  GRAFT_CHECK(check_runnable(f));
  std::vector<const ir::Value*> states;
  for (const ir::Value* v : f.inputs) {
    if (v->type.is_state()) {
      const ir::Type& held = *v->type.element;
      if (!held.is_static() || holds_objects(held.dtype))
        return fail(Code::invalid_model,
                    format("state '{}' is {}, takes numbers of fixed shape", v->name, v->type.to_string()));
      impl->states.push_back({v->name, held});
      states.push_back(v);
      continue;
    }
    if (!v->type.is_tensor() && !v->type.is_list() && v->type.kind != ir::Type::Kind::unranked)
      return fail(Code::not_available_yet,
                  format("input '{}' is {}: the engine takes tensors, lists and states only, so far", v->name,
                         v->type.to_string()));
    if (v->type.is_list()) impl->list_inputs.push_back(impl->inputs.size());
    impl->inputs.push_back({v->name, v->type});
    impl->values.push_back(v);
  }
  impl->values.insert(impl->values.end(), states.begin(), states.end());
  for (size_t i = 0; i < f.body.outputs.size(); ++i) {
    const std::string& name = i < f.output_names.size() ? f.output_names[i] : f.body.outputs[i]->name;
    if (f.body.outputs[i]->type.is_state())
      return fail(Code::invalid_model, format("output '{}' is a state, which has to be read first", name));
    impl->outputs.push_back({name, f.body.outputs[i]->type});
  }
  for (const Port& p : impl->inputs) {
    for (const ir::Dim& d : p.type.dims) {
      if (const std::string_view s = d.symbol_name(); !s.empty()) impl->symbols.emplace(s, impl->symbols.size());
    }
  }
  impl->core.env = std::move(env);
  if (memory != nullptr) memory->add(impl->core.plans);
  impl->core.memory = std::move(memory);
  impl->core.options = options;
  for (const Provider& p : providers()) {
    if (!p.wanted(options)) continue;
    for (const Candidate& c : p.candidates) impl->core.candidates[c.kind].push_back(&c);
  }
  impl->core.program = std::move(program);
  return std::shared_ptr<const Executable>(new Executable(std::move(impl)));
}

Status Executable::Impl::check_shape(size_t i, const Shape& shape, std::span<std::optional<int64_t>> bound) const {
  const Port& port = inputs[i];
  const auto wrong = [&](std::string why) {
    Diag d;
    d.code = Code::invalid_argument;
    d.message = format("got {}, takes {}{}", to_string(shape), ir::to_string(port.type.dims), why);
    return fail(std::move(d).at_tensor(port.name));
  };
  if (port.type.kind == ir::Type::Kind::unranked) return checked_count(shape) < 0 ? wrong("") : Status{};
  if (shape.size() != port.type.rank()) return wrong("");
  for (int d = 0; d < shape.size(); ++d) {
    const ir::Dim& dim = port.type.dims[static_cast<size_t>(d)];
    if (shape[d] < 0) return wrong("");
    if (dim.known()) {
      if (dim.value() != shape[d]) return wrong("");
      continue;
    }
    const std::string_view symbol = dim.symbol_name();
    if (symbol.empty()) continue;  // an expression: checked with all symbols bound
    if (const IntRange r = dim.range(); shape[d] < r.lo || shape[d] > r.hi)
      return wrong(format(" with {} from {} to {}", symbol, r.lo, r.hi));
    const size_t at = symbols.at(symbol);
    if (bound[at] && *bound[at] != shape[d])
      return wrong(format(", and another input gave {} the size {}", symbol, *bound[at]));
    bound[at] = shape[d];
  }
  return {};
}

Status Executable::Impl::check_input(size_t i, const TensorView& view, std::span<std::optional<int64_t>> bound) const {
  const Port& port = inputs[i];
  const auto wrong = [&](std::string why) {
    Diag d;
    d.code = Code::invalid_argument;
    d.message = std::move(why);
    return fail(std::move(d).at_tensor(port.name));
  };
  if (view.dtype != port.type.stored())
    return wrong(format("got {}, takes {}", name(view.dtype), name(port.type.stored())));
  if (port.type.is_list()) {
    if (view.data == nullptr) return wrong("no data");
    if (Status s = check_list(port.type, *view.as<List>()); !s) return wrong(s.error().message);
    return {};
  }
  GRAFT_CHECK(check_shape(i, view.shape, bound));
  if (view.count() == 0) return {};
  if (view.data == nullptr) return wrong("no data");
  if (!view.aligned()) return wrong(format("the data is not aligned to its {} byte elements", item_size(view.dtype)));
  return {};
}

template <class ShapeOf>
Result<std::shared_ptr<const Plan>> Executable::Impl::plan(const ShapeOf& shape_of, Mode mode,
                                                           const CancelToken* cancel) const {
  const PlanCache& cache = plans[static_cast<size_t>(mode)];
  // Dims alone tell, but for what may have any rank: there the rank comes first.
  const auto any_rank = [&](size_t i) { return inputs[i].type.kind == ir::Type::Kind::unranked; };
  const auto same = [&](const std::vector<int64_t>& key) {
    size_t at = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (any_rank(i) && key[at++] != shape_of(i).size()) return false;
      for (int64_t d : shape_of(i)) {
        if (key[at++] != d) return false;
      }
    }
    return true;
  };
  std::shared_ptr<const Plan> found = cache.find(same);
  if (found != nullptr) return found;
  GRAFT_TRY(const auto lock, graft::lock(core.planning, cancel));
  if (found = cache.find(same); found != nullptr) return found;
  PlanRequest request;
  request.block = &core.function->body;
  request.mode = mode;
  request.cancel = cancel;
  std::vector<int64_t> key;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Shape& shape = shape_of(i);
    request.inputs.push_back({values[i], inputs[i].type.stored(), shape, nullptr});
    if (any_rank(i)) key.push_back(shape.size());
    key.insert(key.end(), shape.begin(), shape.end());
  }
  for (size_t i = 0; i < states.size(); ++i)
    request.inputs.push_back({values[inputs.size() + i], states[i].type.dtype, states[i].type.shape(), nullptr});
  GRAFT_TRY(found, make_plan(core, request));
  cache.insert(std::move(key), found);
  return found;
}

namespace {

struct KeptState final : backend::State {
  const Executable* owner = nullptr;
  std::vector<Tensor> tensors;
  std::atomic<bool> in_use{false};
};

// The caller's memory, or tensors made for the caller.
class CallerSink final : public Sink {
 public:
  CallerSink(std::span<OutputSlot> slots, std::span<const Port> ports, const std::shared_ptr<MemoryLimit>& limit)
      : slots_(slots), ports_(ports), limit_(limit) {}
  bool adopt(size_t i, Buffer& memory, DType dtype, const Shape& shape) override {
    if (given(slots_[i])) return false;
    slots_[i].owned = std::move(memory).to_tensor(dtype, shape);
    return true;
  }
  Result<void*> memory(size_t i, DType dtype, const Shape& shape) override {
    OutputSlot& slot = slots_[i];
    if (!given(slot)) {
      Result<Tensor> made = Tensor::allocate(dtype, shape, limit_);
      if (!made) return fail(std::move(made.error()).at_tensor(ports_[i].name));
      slot.owned = std::move(*made);
      return slot.owned.mutable_view().data;
    }
    const auto wrong = [&](std::string why) {
      Diag d;
      d.code = Code::invalid_argument;
      d.message = std::move(why);
      return fail(std::move(d).at_tensor(ports_[i].name));
    };
    if (slot.memory.dtype != dtype || !(slot.memory.shape == shape))
      return wrong(format("the result is {}, the memory given is for {}", describe(dtype, shape),
                          describe(slot.memory.dtype, slot.memory.shape)));
    const size_t size = std::max<size_t>(holds_objects(dtype) ? alignof(std::string) : item_size(dtype), 1);
    if (reinterpret_cast<uintptr_t>(slot.memory.data) % size != 0)
      return wrong(format("the memory given is not aligned to {} byte elements", size));
    return slot.memory.data;
  }

 private:
  static bool given(const OutputSlot& slot) {
    return slot.memory.data != nullptr || (slot.memory.dtype != DType::invalid && slot.memory.count() == 0);
  }

  std::span<OutputSlot> slots_;
  std::span<const Port> ports_;
  const std::shared_ptr<MemoryLimit>& limit_;
};

}  // namespace

Result<std::unique_ptr<backend::State>> Executable::new_state() const {
  auto state = std::make_unique<KeptState>();
  state->owner = this;
  for (const Port& p : impl_->states) {
    Result<Tensor> zeros = Tensor::allocate(p.type.dtype, p.type.shape(), impl_->core.memory);
    if (!zeros) return fail(std::move(zeros.error()).at_tensor(p.name));
    const MutableTensorView view = zeros->mutable_view();
    if (view.bytes() != 0) std::memset(view.data, 0, view.bytes());
    state->tensors.push_back(std::move(*zeros));
  }
  return state;
}

Status Executable::run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
                       const RunOptions& options) const {
  std::unique_ptr<backend::State> for_this_run;
  if (options.state == nullptr && !impl_->states.empty()) {
    GRAFT_TRY(for_this_run, new_state());
  }
  backend::State* const given = options.state != nullptr ? options.state : for_this_run.get();
  if (given == nullptr) return run_with(inputs, outputs, {}, options);
  auto* const state = dynamic_cast<KeptState*>(given);
  if (state == nullptr || state->owner != this)
    return fail(Code::invalid_argument, "the state was made for another model");
  if (state->in_use.exchange(true)) return fail(Code::invalid_argument, "the state is in use by another run");
  const Status ran = run_with(inputs, outputs, state->tensors, options);
  state->in_use = false;
  return ran;
}

Status Executable::run_with(std::span<const TensorView> inputs, std::span<OutputSlot> outputs, std::span<Tensor> states,
                            const RunOptions& options) const {
  const Impl& impl = *impl_;
  if (inputs.size() != impl.inputs.size())
    return fail(Code::invalid_argument, format("got {} inputs, takes {}", inputs.size(), impl.inputs.size()));
  if (outputs.size() != impl.outputs.size())
    return fail(Code::invalid_argument, format("got {} outputs, gives {}", outputs.size(), impl.outputs.size()));
  std::array<std::optional<int64_t>, kFewSymbols> few;
  std::vector<std::optional<int64_t>> many(impl.symbols.size() > kFewSymbols ? impl.symbols.size() : 0);
  const std::span<std::optional<int64_t>> bound = many.empty() ? std::span(few) : std::span(many);
  constexpr size_t kFewInputs = 64;
  std::array<const void*, kFewInputs> few_feeds;
  const size_t fed = inputs.size() + states.size();
  std::vector<const void*> many_feeds(fed > kFewInputs ? fed : 0);
  const std::span<const void*> feeds = many_feeds.empty() ? std::span(few_feeds).first(fed) : std::span(many_feeds);
  for (size_t i = 0; i < inputs.size(); ++i) {
    GRAFT_CHECK(impl.check_input(i, inputs[i], bound));
    feeds[i] = inputs[i].data;
  }
  for (size_t i = 0; i < states.size(); ++i) feeds[inputs.size() + i] = states[i].mutable_view().data;
  const auto shape_of = [&](size_t i) -> const Shape& { return inputs[i].shape; };
  GRAFT_TRY(std::shared_ptr<const Plan> plan,
            impl.plan(shape_of, options.observe ? Mode::observed : Mode::fast, options.cancel));
  const auto hold_nan = [&] {
    return std::any_of(inputs.begin(), inputs.end(),
                       [&](const TensorView& t) { return not_all_finite(t, options.cancel); }) ||
           std::any_of(states.begin(), states.end(),
                       [&](const Tensor& t) { return not_all_finite(t.view(), options.cancel); });
  };
  if ((plan->drops_nan || plan->stops) && plan->mode == Mode::fast && hold_nan()) {
    GRAFT_TRY(plan, impl.plan(shape_of, Mode::keep_nan, options.cancel));
  }
  // The witness keeps IEEE arithmetic; fast kernels would be slowed down many times by denormals.
  const FlushDenormals flush(!impl.core.options.reference);
  // What this run appends to is its own.
  std::vector<List> lists;
  lists.reserve(impl.list_inputs.size());
  for (size_t i : impl.list_inputs) {
    lists.push_back(*inputs[i].as<List>());
    lists.back().seal();
    feeds[i] = &lists.back();
  }
  CallerSink sink(outputs, impl.outputs, impl.core.memory);
  GRAFT_CHECK(plan->run(feeds, sink, options));
  for (OutputSlot& o : outputs) {
    const MutableTensorView made = o.owned.valid() ? o.owned.mutable_view() : o.memory;
    if (made.dtype == DType::list) made.as<List>()->seal();
  }
  return {};
}

Status Executable::prepare(std::span<const Shape> shapes, const CancelToken* cancel) const {
  const Result<std::vector<OperatorReport>> made = explain(shapes, cancel);
  return made ? Status{} : fail(made.error());
}

Result<std::vector<OperatorReport>> Executable::explain(std::span<const Shape> shapes,
                                                        const CancelToken* cancel) const {
  if (shapes.size() != impl_->inputs.size())
    return fail(Code::invalid_argument, format("got {} shapes, takes {}", shapes.size(), impl_->inputs.size()));
  std::vector<std::optional<int64_t>> bound(impl_->symbols.size());
  for (size_t i = 0; i < shapes.size(); ++i) GRAFT_CHECK(impl_->check_shape(i, shapes[i], bound));
  GRAFT_TRY(const std::shared_ptr<const Plan> plan,
            impl_->plan([&](size_t i) -> const Shape& { return shapes[i]; }, Mode::fast, cancel));
  std::vector<OperatorReport> list;
  const auto name_of = [](const ir::Op& op) { return op.results.empty() ? op.name : op.results[0]->name; };
  for (const auto& [op, why] : plan->no_work) list.push_back({std::string(op->type()), name_of(*op), why, "", {}});
  for (const auto& step : plan->steps) {
    if (step->ops.empty()) list.push_back({"reorder", "", std::string(step->provider), step->label, {}});
    for (const ir::Op* op : step->ops) {
      list.push_back({std::string(op->type()), name_of(*op), std::string(step->provider), step->label, step->declined});
    }
  }
  return list;
}

}  // namespace graft::engine
