#include "engine/plan.h"

#include <chrono>
#include <cstring>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "base/format.h"
#include "engine/core.h"

namespace graft::engine {

FlushDenormals::FlushDenormals(bool on) : saved_(0), on_(on) {
  if (!on_) return;
#if defined(__SSE2__)
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  saved_ = _mm_getcsr();
  _mm_setcsr(static_cast<unsigned>(saved_) | kFlushToZero | kDenormalsAreZero);
#elif defined(__aarch64__)
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" : : "r"(saved_ | (uint64_t{1} << 24)));
#endif
}

FlushDenormals::~FlushDenormals() {
  if (!on_) return;
#if defined(__SSE2__)
  _mm_setcsr(static_cast<unsigned>(saved_));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(saved_));
#endif
}

void PlanCache::insert(std::vector<int64_t> key, std::shared_ptr<const Plan> plan) const {
  std::lock_guard lock(mutex_);
  if (entries_.size() >= kCapacity) {
    const auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                         [](const Entry& a, const Entry& b) { return a.used < b.used; });
    entries_.erase(oldest);
  }
  entries_.push_back({std::move(key), std::move(plan), ++clock_});
}

std::vector<std::shared_ptr<const Plan>> PlanCache::take_all() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Plan>> plans;
  for (Entry& e : entries_) plans.push_back(std::move(e.plan));
  entries_.clear();
  return plans;
}

Result<void*> Grown::take(DType of, const Shape& sizes, const std::shared_ptr<MemoryLimit>& limit) {
  if (of == DType::string) {
    if (!strings.valid() || !(strings.shape() == sizes)) {
      GRAFT_TRY(strings, Tensor::allocate(of, sizes, limit));
    }
  } else if (of != DType::list) {
    GRAFT_CHECK(memory.ensure(std::max<size_t>(byte_size(of, sizes.product()), 1), limit));
  }
  dtype = of;
  shape = sizes;
  return data();
}

void Grown::adopt(Buffer& other, DType of, const Shape& sizes) {
  std::swap(memory, other);
  dtype = of;
  shape = sizes;
}

void Context::drop_lists() {
  for (Grown& g : objects) g.list = List();
  for (Grown& g : grown) g.list = List();
}

bool Frame::sized_by_run(size_t i) const { return grown(i) != nullptr; }

Grown* Frame::grown(size_t i) const {
  const std::vector<int>& sized = plan.stop.shapes;
  const auto at = std::find(sized.begin(), sized.end(), step.out[i]);
  return at == sized.end() ? nullptr : &context.grown[static_cast<size_t>(at - sized.begin())];
}

Result<void*> Frame::allocate(size_t i, DType dtype, const Shape& shape) const {
  Grown* g = grown(i);
  if (g == nullptr) return fail(Code::internal, format("{} sizes a result whose shape was planned", step.label));
  if (checked_count(shape) < 0)
    return fail(Code::out_of_memory, format("a tensor {} is too large", describe(dtype, shape)));
  GRAFT_TRY(void* memory, g->take(dtype, shape, plan.core->memory));
  context.pointers[static_cast<size_t>(step.out[i])] = memory;
  return memory;
}

bool Frame::adopt(size_t i, Buffer& memory, DType dtype, const Shape& shape) const {
  Grown* g = grown(i);
  if (g == nullptr) return false;
  g->adopt(memory, dtype, shape);
  context.pointers[static_cast<size_t>(step.out[i])] = g->memory.data();
  return true;
}

// Contexts for the time of a run: the plan's, and those of the plans that it goes on with. What a later one reads lies
// in the contexts before its own.
struct Plan::RunContexts {
  const Plan& plan;
  std::unique_ptr<Context> context;
  explicit RunContexts(const Plan& p) : plan(p) {}
  RunContexts(const RunContexts&) = delete;
  RunContexts& operator=(const RunContexts&) = delete;
  ~RunContexts() {
    const Plan* owner = &plan;
    std::shared_ptr<const Plan> held;
    while (context != nullptr) {
      std::unique_ptr<Context> next = std::move(context->next);
      std::shared_ptr<const Plan> next_owner = std::move(context->next_plan);
      owner->give_back(std::move(context));
      context = std::move(next);
      held = std::move(next_owner);
      owner = held.get();
    }
  }
};

void Plan::drop_idle() const {
  std::vector<std::unique_ptr<Context>> idle;
  std::lock_guard lock(pool_mutex_);
  idle.swap(pool_);
}

void PlanList::add(const std::shared_ptr<const Plan>& plan) {
  std::lock_guard lock(mutex_);
  if (plans_.size() == plans_.capacity()) std::erase_if(plans_, [](const auto& p) { return p.expired(); });
  plans_.push_back(plan);
}

void PlanList::drop() {
  std::vector<std::weak_ptr<const Plan>> all;
  {
    std::lock_guard lock(mutex_);
    all = plans_;
  }
  for (const auto& p : all) {
    if (const auto plan = p.lock()) plan->drop_idle();
  }
}

namespace {

Diag at_value(Diag d, const PlanValue& v) {
  if (v.value == nullptr) return d;
  if (const ir::Op* op = v.value->producer) std::move(d).at_node(op->results[0]->name, op->type());
  return std::move(d).at_tensor(v.value->name);
}

}  // namespace

// The error names the value that takes most of the arena, of those that have a name.
Diag Plan::largest(Diag d) const {
  const PlanValue* most = nullptr;
  for (const PlanValue& v : values) {
    if (offsets[static_cast<size_t>(v.root)] == SIZE_MAX || v.value == nullptr || v.value->name.empty()) continue;
    if (most == nullptr || v.bytes() > most->bytes()) most = &v;
  }
  if (most == nullptr) return d;
  d.message =
      format("memory for intermediate values, {} among them: {}", describe(most->dtype(), most->shape), d.message);
  return at_value(std::move(d), *most);
}

Result<std::unique_ptr<Context>> Plan::take_context() const {
  {
    std::lock_guard lock(pool_mutex_);
    if (!pool_.empty()) {
      std::unique_ptr<Context> c = std::move(pool_.back());
      pool_.pop_back();
      return c;
    }
  }
  return make_context();
}

void Plan::give_back(std::unique_ptr<Context> context) const {
  constexpr size_t kMostIdle = 64;
  context->drop_lists();
  std::lock_guard lock(pool_mutex_);
  if (pool_.size() < kMostIdle) pool_.push_back(std::move(context));
}

// A chain of continuations may be thousands long, where data decides thousands of sizes: they are freed one by one.
Plan::~Plan() {
  std::vector<std::shared_ptr<const Plan>> list = continuations_.take_all();
  while (!list.empty()) {
    const std::shared_ptr<const Plan> last = std::move(list.back());
    list.pop_back();
    if (last.use_count() > 1) continue;
    std::vector<std::shared_ptr<const Plan>> more = last->continuations_.take_all();
    std::move(more.begin(), more.end(), std::back_inserter(list));
  }
}

Result<std::unique_ptr<Context>> Plan::make_context() const {
  auto c = std::make_unique<Context>();
  if (Status s = c->arena.ensure(std::max<size_t>(arena_bytes, 1), core->memory); !s) return fail(largest(s.error()));
  c->pointers.assign(values.size(), nullptr);
  for (size_t v = 0; v < values.size(); ++v) {
    const size_t root = static_cast<size_t>(values[v].root);
    if (offsets[root] != SIZE_MAX) c->pointers[v] = c->arena.data() + offsets[root];
  }
  for (const auto& [v, data] : constants) c->pointers[static_cast<size_t>(v)] = const_cast<void*>(data);
  c->grown.resize(stop.shapes.size());
  c->objects.resize(objects.size());
  for (size_t k = 0; k < objects.size(); ++k) {
    const PlanValue& v = values[static_cast<size_t>(objects[k])];
    GRAFT_TRY(c->pointers[static_cast<size_t>(objects[k])], c->objects[k].take(v.dtype(), v.shape, core->memory));
  }
  c->next_feeds.reserve(passed.size());
  c->key.reserve(16 * (stop.values.size() + stop.shapes.size()) + 1);
  c->result_memory.resize(results.size());
  for (const auto& s : steps) c->states.push_back(s->make_state(*this));
  return c;
}

namespace {

Diag at_step(Diag d, const Step& step) {
  if (step.ops.empty()) return d;
  const ir::Op& op = *step.ops[0];
  // The first result of a loop has no name; where none has, the loop around it is named.
  const auto named =
      std::find_if(op.results.begin(), op.results.end(), [](const ir::Value* v) { return !v->name.empty(); });
  return std::move(d).at_node(named == op.results.end() ? op.name : (*named)->name, op.type());
}

}  // namespace

void Plan::show(const Step& step, const Context& c, const RunOptions& options) const {
  for (int out : step.out) {
    const PlanValue& v = values[static_cast<size_t>(out)];
    if (step.ops.empty() || v.value == nullptr || !v.layout.plain() || v.dtype() == DType::list) continue;
    const auto at = std::find(stop.shapes.begin(), stop.shapes.end(), out);
    const Shape& shape =
        at == stop.shapes.end() ? v.shape : c.grown[static_cast<size_t>(at - stop.shapes.begin())].shape;
    options.observe(*v.value, {v.dtype(), shape, c.pointers[static_cast<size_t>(out)]});
  }
}

Status Plan::run(std::span<const void* const> feeds, Sink& sink, const RunOptions& options) const {
  using Clock = std::chrono::steady_clock;
  RunContexts contexts(*this);
  GRAFT_TRY(contexts.context, take_context());
  const Plan* plan = this;
  for (Context* c = contexts.context.get();;
       c = c->next.get()) {  // no recursion: there may be thousands of continuations
    GRAFT_CHECK(plan->begin(*c, feeds, sink));
    GRAFT_CHECK(check(options.cancel));
    for (size_t i = 0; i < plan->steps.size(); ++i) {
      const Step& step = *plan->steps[i];
      const Clock::time_point start = options.profile ? Clock::now() : Clock::time_point();
      const Status ran =
          step.run({*plan, *c, step, c->states[i].get(), c->arena.data() + step.scratch_offset, *core->env, options});
      if (options.profile) options.profile(step.label, std::chrono::duration<double>(Clock::now() - start).count());
      // First the token: a step that stops half-way may complain, or may not.
      if (Status s = check(options.cancel); !s) return fail(at_step(std::move(s).error(), step));
      if (!ran) return fail(at_step(ran.error(), step));
      if (mode == Mode::observed) plan->show(step, *c, options);
    }
    if (!plan->stops) return plan->give_results(*contexts.context, *c, sink);
    GRAFT_TRY(c->next_plan, plan->continuation(*c, options.cancel));
    GRAFT_TRY(c->next, c->next_plan->take_context());
    plan = c->next_plan.get();
    feeds = c->next_feeds;
  }
}

// What is fed and where results go, before the first step.
Status Plan::begin(Context& c, std::span<const void* const> feeds, Sink& sink) const {
  for (size_t i = 0; i < inputs.size(); ++i) c.pointers[static_cast<size_t>(inputs[i])] = const_cast<void*>(feeds[i]);
  if (!stops) {
    for (size_t i = 0; i < results.size(); ++i) {
      const PlanValue& v = values[static_cast<size_t>(results[i].value)];
      c.result_memory[i] = nullptr;
      if (values[static_cast<size_t>(v.root)].where == PlanValue::Where::input) continue;  // it is there already
      Result<void*> memory = sink.memory(i, v.dtype(), v.shape);
      if (!memory) return fail(at_value(std::move(memory).error(), v));
      c.result_memory[i] = *memory;
      if (results[i].direct) c.pointers[static_cast<size_t>(v.root)] = c.result_memory[i];
    }
  }
  // Views of what is fed or written outside of the arena.
  for (size_t v = 0; v < values.size(); ++v) {
    if (const int root = values[v].root; root != static_cast<int>(v))
      c.pointers[v] = c.pointers[static_cast<size_t>(root)];
  }
  return {};
}

namespace {

// The memory of a kernel's result that lies at `data`, where some plan of this run left its size to the kernel.
Buffer* grown_at(Context& first, const void* data) {
  for (Context* c = &first; c != nullptr; c = c->next.get()) {
    for (Grown& g : c->grown) {
      if (g.memory.data() == data) return &g.memory;
    }
  }
  return nullptr;
}

}  // namespace

Status Plan::give_results(Context& first, Context& c, Sink& sink) const {
  constexpr size_t kCopied = size_t{1} << 20;  // less is copied, so that a context keeps its memory for the next run
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].direct) continue;
    const PlanValue& v = values[static_cast<size_t>(results[i].value)];
    const void* from = c.pointers[static_cast<size_t>(results[i].value)];
    if (c.result_memory[i] == nullptr) {
      Buffer* own = holds_objects(v.dtype()) || v.bytes() < kCopied ? nullptr : grown_at(first, from);
      if (own != nullptr && own->size() / 2 <= v.bytes() && sink.adopt(i, *own, v.dtype(), v.shape)) continue;
      Result<void*> memory = sink.memory(i, v.dtype(), v.shape);
      if (!memory) return fail(at_value(std::move(memory).error(), v));
      c.result_memory[i] = *memory;
    }
    copy_values(v.dtype(), from, c.result_memory[i], v.layout.count(v.shape));
  }
  return {};
}

// The plan that goes on from here, and what it is fed with.
Result<std::shared_ptr<const Plan>> Plan::continuation(Context& c, const CancelToken* cancel) const {
  c.key.clear();
  for (int a : stop.values) {
    const PlanValue& v = values[static_cast<size_t>(a)];
    const TensorView view{v.dtype(), v.shape, c.pointers[static_cast<size_t>(a)]};
    for (int64_t i = 0; i < view.count(); ++i) c.key.push_back(element_as_int(view, i));
  }
  for (const Grown& g : c.grown) {
    c.key.push_back(g.shape.size());
    for (int64_t d : g.shape) c.key.push_back(d);
  }
  const auto same = [&](const std::vector<int64_t>& key) { return key == c.key; };
  std::shared_ptr<const Plan> next = continuations_.find(same);
  if (next == nullptr) {
    GRAFT_TRY(const auto lock, graft::lock(core->planning, cancel));
    next = continuations_.find(same);
    if (next == nullptr) {
      GRAFT_TRY(next, make_continuation(c, cancel));
      continuations_.insert(c.key, next);
    }
  }
  c.next_feeds.clear();
  for (int v : passed) {
    if (std::find(stop.values.begin(), stop.values.end(), v) == stop.values.end())
      c.next_feeds.push_back(c.pointers[static_cast<size_t>(v)]);
  }
  return next;
}

Result<std::shared_ptr<const Plan>> Plan::make_continuation(const Context& c, const CancelToken* cancel) const {
  PlanRequest request;
  request.block = block;
  request.first = stop.next_op;
  request.mode = mode;
  request.cancel = cancel;
  for (size_t k = 0; k < passed.size(); ++k) {
    const int i = passed[k];
    const PlanValue& v = values[static_cast<size_t>(i)];
    PlanInput e{passed_names[k], v.dtype(), v.shape, nullptr};
    const void* data = c.pointers[static_cast<size_t>(i)];
    const auto sized = std::find(stop.shapes.begin(), stop.shapes.end(), i);
    if (sized != stop.shapes.end()) {
      const Grown& g = c.grown[static_cast<size_t>(sized - stop.shapes.begin())];
      e.dtype = g.dtype;
      e.shape = g.shape;
    }
    if (std::find(stop.values.begin(), stop.values.end(), i) != stop.values.end())
      e.known = ir::Constant::of(Tensor::copy_of({e.dtype, e.shape, data}));
    request.inputs.push_back(std::move(e));
  }
  // What was known while this plan was made is known to its continuation.
  const LastReads& last = last_reads(*core, *block);
  for (const PlanValue& v : values) {
    if (v.where != PlanValue::Where::constant || v.value == nullptr || v.value->is_constant()) continue;
    if (const auto at = last.find(v.value); at != last.end() && at->second >= stop.next_op)
      request.inputs.push_back({v.value, v.dtype(), v.shape, v.constant});
  }
  return make_plan(*core, request);
}

}  // namespace graft::engine
