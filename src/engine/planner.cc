// Makes a plan: infers every shape with the numbers of this run, folds what is known, stops where data decides a size,
// selects steps, places memory. Longer than most files because these passes share one state.
#include <unordered_set>

#include "base/format.h"
#include "engine/step.h"

namespace graft::engine {

namespace {

// Results up to this size are folded when their operands are known in this plan (constants of the program are folded
// once for all plans, as far as the budget goes).
constexpr size_t kFoldBytes = 64 << 10;
// Integer operands up to this many elements may decide a shape; more than a kernel reads as a parameter.
constexpr int64_t kAskBytes = 8 * Ints::capacity;

void collect_free(const ir::Block& block, std::unordered_set<const ir::Value*>& known,
                  std::vector<const ir::Value*>& free) {
  const auto use = [&](const ir::Value* v) {
    if (!v->is_constant() && known.insert(v).second) free.push_back(v);
  };
  for (const ir::Value* v : block.inputs) known.insert(v);
  for (const auto& op : block.ops) {
    for (const auto& arg : op->args) {
      for (const ir::Value* v : arg) use(v);
    }
    for (const auto& b : op->blocks) collect_free(*b, known, free);
    for (const ir::Value* v : op->results) known.insert(v);
  }
  for (const ir::Value* v : block.outputs) use(v);
}

void note_reads(const ir::Op& op, size_t place, LastReads& last) {
  for (const auto& arg : op.args) {
    for (const ir::Value* v : arg) last[v] = place;
  }
  for (const auto& b : op.blocks) {
    for (const auto& inner : b->ops) note_reads(*inner, place, last);
    for (const ir::Value* v : b->outputs) last[v] = place;
  }
}

Diag at_op(Diag d, const ir::Op& op) {
  return std::move(d).at_node(op.results.empty() ? op.name : op.results[0]->name, op.type());
}

}  // namespace

const LastReads& last_reads(const Core& core, const ir::Block& block) {
  const auto [at, fresh] = core.last_reads.try_emplace(&block);
  if (!fresh) return at->second;
  LastReads& last = at->second;
  for (size_t i = 0; i < block.ops.size(); ++i) note_reads(*block.ops[i], i, last);
  for (const ir::Value* v : block.outputs) last[v] = block.ops.size();
  return last;
}

std::vector<const ir::Value*> free_values(const ir::Block& block) {
  std::unordered_set<const ir::Value*> known;
  std::vector<const ir::Value*> free;
  collect_free(block, known, free);
  return free;
}

tl::unexpected<Diag> decline(std::string why) { return fail(Code::not_worth_it, std::move(why)); }

int Selection::arg(int n, std::string_view param) const {
  const Node& at = node(n);
  if (at.op->deferred != nullptr) return -1;  // it has one list of all that it reads
  const int i = at.op->row->param_index(param);
  return i < 0 || at.args[static_cast<size_t>(i)].empty() ? -1 : at.args[static_cast<size_t>(i)][0];
}

ir::Call Selection::call(int n) const {
  const Node& at = node(n);
  ir::Call call(*at.op->row);
  call.cancel = cancel_;
  for (size_t p = 0; p < at.args.size(); ++p) {
    std::vector<ir::Operand> operands;
    operands.reserve(at.args[p].size());
    for (int i : at.args[p]) {
      const PlanValue& v = value(i);
      ir::Operand o;
      o.type = &v.type;
      if (v.value != nullptr) o.range = v.value->range;
      if (v.where == PlanValue::Where::constant) {
        o.constant = true;
        o.source = v.constant.get();
        o.value = {v.dtype(), v.shape, nullptr};
      }
      operands.push_back(o);
    }
    call.set(static_cast<int>(p), std::move(operands));
  }
  return call;
}

int Selection::sole_consumer(int i) const {
  const PlanValue& v = value(i);
  return !v.kept && v.consumers.size() == 1 ? v.consumers[0] : -1;
}

class Planner {
 public:
  Planner(const Core& core, const PlanRequest& request)
      : core_(core), request_(request), plan_(std::make_shared<Plan>()) {
    plan_->core = &core;
    plan_->block = request.block;
    plan_->mode = request.mode;
    s_.core_ = &core;
    s_.plan_ = plan_.get();
    s_.cancel_ = request.cancel;
  }

  Result<std::shared_ptr<const Plan>> make() {
    for (const PlanInput& e : request_.inputs) {
      const int i = add_value(e.value, e.type());
      if (e.known != nullptr) {
        set_constant(i, e.known);
      } else {
        values()[i].where = PlanValue::Where::input;
        values()[i].ready = true;
        plan_->inputs.push_back(i);
      }
    }
    GRAFT_CHECK(walk());
    GRAFT_CHECK(mark_kept());
    drop_dead();
    GRAFT_CHECK(check_sizes());
    GRAFT_CHECK(select());
    finish_results();
    GRAFT_CHECK(place_constants());
    place_memory();
    core_.plans->add(plan_);
    return std::shared_ptr<const Plan>(plan_);
  }

 private:
  struct Values {
    std::vector<PlanValue>& list;
    PlanValue& operator[](int i) const { return list[static_cast<size_t>(i)]; }
  };
  Values values() { return {plan_->values}; }

  int add_value(const ir::Value* value, ir::Type type) {
    const int i = static_cast<int>(plan_->values.size());
    PlanValue& v = plan_->values.emplace_back();
    v.value = value;
    if (const ir::Type& held = type.is_state() ? *type.element : type; held.is_static()) v.shape = held.shape();
    v.type = std::move(type);
    v.root = i;
    if (value != nullptr) index_[value] = i;
    return i;
  }
  void set_constant(int i, ir::ConstantPtr c) {
    PlanValue& v = values()[i];
    v.where = PlanValue::Where::constant;
    v.constant = std::move(c);
    v.ready = true;
  }
  Result<int> index_of(const ir::Value* v) {
    if (const auto at = index_.find(v); at != index_.end()) return at->second;
    if (!v->is_constant()) return fail(Code::internal, format("value '{}' is used before it exists", v->name));
    const int i = add_value(v, ir::Type::tensor(v->constant->dtype(), v->constant->shape()));
    set_constant(i, v->constant);
    return i;
  }

  // ---- shapes ----

  Status walk() {
    const auto& ops = request_.block->ops;
    for (size_t i = request_.first; i < ops.size(); ++i) {
      GRAFT_CHECK(check(request_.cancel));
      Status s = add_op(*ops[i], i);
      if (!s) return fail(at_op(std::move(s).error(), *ops[i]));
      if (plan_->stops) break;
    }
    return {};
  }

  Status add_op(const ir::Op& op, size_t position) {
    const ir::OpDef& def = *op.row->def;
    if (ir::has_blocks(def.kind) || op.deferred != nullptr) return add_control_flow(op, position);
    if (!runnable(def)) return fail(Code::unsupported_operator, format("the engine does not run {} yet", def.name));
    GRAFT_TRY(const int n, add_node(op));
    const ir::Call call = s_.call(n);
    ir::Types types;
    Status inferred = ir::infer(call, types);
    const bool sized =
        inferred && std::all_of(types.begin(), types.end(), [](const ir::Type& t) { return t.is_sized(); });
    if (!sized) {
      const std::vector<int> asked = def.kernel_sized ? std::vector<int>{} : undecided(n);
      if (!asked.empty()) {
        s_.nodes_.pop_back();
        plan_->stops = true;
        plan_->stop.next_op = position;
        plan_->stop.values = asked;
        return {};
      }
      GRAFT_CHECK(inferred);
    }
    for (const ir::Type& t : types) {
      if (!t.is_tensor() && t.stored() != DType::list && t.kind != ir::Type::Kind::unranked)
        return fail(Code::not_available_yet, format("the engine does not hold values of type {} yet", t.to_string()));
      if (t.is_static() && checked_count(t.shape()) < 0)
        return fail(Code::out_of_memory, format("a result {} is too large", t.to_string()));
    }
    GRAFT_CHECK(as_built(op, types));
    if (sized) {
      GRAFT_TRY(const bool folded, fold(n, call, types));
      if (folded) return {};
    }
    for (size_t k = 0; k < op.results.size(); ++k) add_result(n, op.results[k], types[k]);
    if (!sized) stop_after(n, position);
    return {};
  }

  // What is inferred from a run's sizes fits what was inferred without them: what was taken to be 1 is 1.
  static Status as_built(const ir::Op& op, const ir::Types& types) {
    for (size_t k = 0; k < op.results.size(); ++k) {
      if (!op.results[k]->type.is_tensor()) continue;  // nothing was known
      const ir::Dims &built = op.results[k]->type.dims, &now = types[k].dims;
      bool fits = built.size() == now.size();
      for (size_t d = 0; fits && d < now.size(); ++d) fits = !built[d].known() || !now[d].known() || built[d] == now[d];
      if (fits) continue;
      return fail(Code::shape_mismatch,
                  format("the result is {}, must be {}", ir::to_string(now), ir::to_string(built)));
    }
    return {};
  }

  Result<int> add_node(const ir::Op& op) {
    Node node;
    node.op = &op;
    for (const auto& arg : op.args) {
      std::vector<int>& list = node.args.emplace_back();
      for (const ir::Value* v : arg) {
        GRAFT_TRY(const int i, index_of(v));
        list.push_back(i);
      }
    }
    s_.nodes_.push_back(std::move(node));
    return s_.node_count() - 1;
  }
  Node& node(int n) { return s_.nodes_[static_cast<size_t>(n)]; }

  void add_result(int n, const ir::Value* value, const ir::Type& type) {
    const int r = add_value(value, type);
    values()[r].producer = n;
    node(n).results.push_back(r);
  }

  void stop_after(int n, size_t position) {
    plan_->stops = true;
    plan_->stop.next_op = position + 1;
    // One rule for all results of such a step: its kernel allocates them.
    plan_->stop.shapes = node(n).results;
  }

  // Small integer operands whose elements are not known: they may be what inference lacks.
  std::vector<int> undecided(int n) {
    std::vector<int> list;
    for (const auto& arg : node(n).args) {
      for (int i : arg) {
        const PlanValue& v = values()[i];
        if (v.dtype() == DType::list || v.type.is_state()) continue;
        const bool integral = is_int(v.dtype()) || v.dtype() == DType::boolean || is_float(v.dtype());
        if (v.where == PlanValue::Where::constant || !integral || item_size(v.dtype()) == 0) continue;
        if (is_float(v.dtype()) && v.shape.size() != 0) continue;  // range_1d takes float scalars
        if (static_cast<int64_t>(v.bytes()) <= kAskBytes && std::find(list.begin(), list.end(), i) == list.end())
          list.push_back(i);
      }
    }
    return list;
  }

  // ---- folding ----

  Result<bool> fold(int n, const ir::Call& call, const ir::Types& types) {
    const ir::Op& op = *node(n).op;
    const ir::OpDef& def = *op.row->def;
    const auto any_list = [](const ir::Type& t) { return t.stored() == DType::list; };
    if (def.effects != ir::Effects::none || std::any_of(types.begin(), types.end(), any_list)) return false;
    bool known = true, constant = true;
    for (const auto& arg : node(n).args) {
      for (int i : arg) {
        known &= values()[i].where == PlanValue::Where::constant;
        constant &= values()[i].value != nullptr && values()[i].value->is_constant();
      }
    }
    std::vector<ir::ConstantPtr> made;
    if (known) {
      if (const auto at = core_.folded.find(&op); constant && at != core_.folded.end()) {
        made = at->second;
      } else {
        size_t bytes = 0;
        for (const ir::Type& t : types) bytes += byte_size(t.dtype, t.shape().product());
        // What leaves the plan is made where it goes: folded, it would lie in memory twice.
        if (bytes > kFoldBytes && (!constant || leaves(op))) return false;
        if (constant) {
          GRAFT_TRY(made, fold_within_budget(n, call, types, bytes));
          core_.folded.emplace(&op, made);
        } else {
          GRAFT_TRY(made, compute(op, call, types, nullptr));
        }
      }
      if (made.size() != types.size()) return false;
    } else if (types.size() == 1 && def.symbolic != nullptr && is_int(types[0].dtype) && types[0].rank() <= 1) {
      ir::Dims content;
      if (!def.symbolic(call, content) || !ir::all_known(content)) return false;
      std::vector<int64_t> ints;
      for (const ir::Dim& d : content) ints.push_back(d.value());
      if (static_cast<int64_t>(ints.size()) != types[0].shape().product()) return false;
      made = {ir::Constant::reshape(ir::Constant::ints(types[0].dtype, ints), types[0].shape())};
    } else {
      return false;
    }
    for (size_t k = 0; k < op.results.size(); ++k) {
      add_result(n, op.results[k], types[k]);
      set_constant(node(n).results[k], made[k]);
    }
    node(n).folded = node(n).taken = true;
    plan_->no_work.emplace_back(&op, "folded");
    return true;
  }

  // Without results where it would take too much.
  Result<std::vector<ir::ConstantPtr>> fold_within_budget(int n, const ir::Call& call, const ir::Types& types,
                                                          size_t bytes) {
    size_t source = 0;
    for (const auto& arg : node(n).args) {
      for (int i : arg) {
        bytes += values()[i].constant->bytes();
        source = std::max(source, values()[i].constant->source_bytes());
      }
    }
    Result<std::vector<ir::ConstantPtr>> made;
    const bool folded = core_.folding.fold(
        source, bytes, [&](int64_t& allowance) { made = compute(*node(n).op, call, types, &allowance, source); });
    if (!folded && (made || !out_of_bounds(made.error().code))) return std::vector<ir::ConstantPtr>{};
    return made;
  }

  Result<std::vector<ir::ConstantPtr>> compute(const ir::Op& op, const ir::Call& call, const ir::Types& types,
                                               int64_t* allowance, size_t source = SIZE_MAX) const {
    GRAFT_TRY(ir::HeapOutputs out, ir::HeapOutputs::for_types(types, core_.memory));
    GRAFT_TRY(ir::Call full, call.with_values({request_.cancel, core_.memory}));
    full.allowance = allowance;
    const Status computed = op.row->def->reference(full, out);
    GRAFT_CHECK(check(request_.cancel));
    GRAFT_CHECK(computed);
    std::vector<ir::ConstantPtr> made;
    for (size_t k = 0; k < types.size(); ++k)
      made.push_back(ir::Constant::folded(out.take(static_cast<int>(k)), source));
    return made;
  }

  bool leaves(const ir::Op& op) const {
    const std::vector<ir::Value*>& out = request_.block->outputs;
    return std::any_of(op.results.begin(), op.results.end(),
                       [&](const ir::Value* v) { return std::find(out.begin(), out.end(), v) != out.end(); });
  }

  // ---- control flow ----

  PlanInput input_of(const ir::Value* v) {
    const auto at = index_.find(v);
    if (at == index_.end()) return {v, DType::invalid, {}, v->constant};
    const PlanValue& p = values()[at->second];
    return {v, p.dtype(), p.shape, p.where == PlanValue::Where::constant ? p.constant : nullptr};
  }

  Status add_control_flow(const ir::Op& op, size_t position) {
    std::vector<PlanInput> arguments;
    GRAFT_TRY(const int n, add_node(op));
    for (const auto& arg : op.args) {
      for (const ir::Value* v : arg) arguments.push_back(input_of(v));
    }
    GRAFT_TRY(ControlFlow made, control_flow(
                                    core_, op, arguments, [this](const ir::Value* v) { return input_of(v); },
                                    request_.mode, request_.cancel));
    plan_->drops_nan = request_.mode == Mode::fast;  // not known before the blocks are planned
    std::vector<int> in;
    for (const auto& arg : node(n).args) in.insert(in.end(), arg.begin(), arg.end());
    for (const ir::Value* v : made.captured) {
      GRAFT_TRY(const int i, index_of(v));
      in.push_back(i);
    }
    node(n).args = {in};
    bool sized = true;
    for (size_t k = 0; k < op.results.size(); ++k) {
      add_result(n, op.results[k], made.types[k]);
      sized &= made.types[k].is_sized();
    }
    prepared_[n] = std::move(made.step);
    if (!sized) stop_after(n, position);
    return {};
  }

  // ---- uses ----

  Status mark_kept() {
    if (!plan_->stops) {
      for (const ir::Value* v : request_.block->outputs) {
        GRAFT_TRY(const int i, index_of(v));
        values()[i].kept = true;
        plan_->results.push_back({i, false});
      }
      return {};
    }
    for (int i : plan_->stop.values) values()[i].kept = true;
    const LastReads& last = last_reads(core_, *request_.block);
    for (size_t i = 0; i < plan_->values.size(); ++i) {
      PlanValue& v = plan_->values[i];
      if (v.value == nullptr || v.where == PlanValue::Where::constant) continue;
      const auto at = last.find(v.value);
      if (at == last.end() || at->second < plan_->stop.next_op) continue;
      v.kept = true;
      plan_->passed.push_back(static_cast<int>(i));
      plan_->passed_names.push_back(v.value);
    }
    return {};
  }

  void drop_dead() {
    const std::unordered_set<int> sized(plan_->stop.shapes.begin(), plan_->stop.shapes.end());
    for (int n = s_.node_count() - 1; n >= 0; --n) {
      Node& at = node(n);
      if (at.folded) continue;
      bool live = at.op->row->def->effects != ir::Effects::none || request_.mode == Mode::observed;
      for (int r : at.results) {
        live |= values()[r].kept || !values()[r].consumers.empty() || sized.contains(r);
      }
      if (!live) {
        at.taken = true;
        plan_->no_work.emplace_back(at.op, "folded");
        continue;
      }
      for (const auto& arg : at.args) {
        for (int i : arg) values()[i].consumers.push_back(n);
      }
    }
  }

  // ---- steps ----

  // The value in this layout: itself, or a copy that a reorder step makes.
  int in_layout(int i, Layout layout) {
    const PlanValue& v = values()[i];
    if (v.layout == layout || (v.layout.same_as_plain(v.shape) && layout.same_as_plain(v.shape))) return i;
    for (const auto& [l, copy] : v.copies) {
      if (l == layout) return copy;
    }
    if (!v.layout.plain() && !layout.plain()) return in_layout(in_layout(i, Layout{}), layout);
    auto step = reorder_step(v.dtype(), v.shape, v.layout, layout);
    const int copy = add_value(nullptr, values()[i].type);
    PlanValue& c = values()[copy];
    c.layout = layout;
    c.ready = true;
    values()[i].copies.emplace_back(layout, copy);
    step->in = {i};
    step->out = {copy};
    plan_->steps.push_back(std::move(step));
    return copy;
  }

  void commit(Prepared p) {
    for (const Prepared::In& in : p.in) p.step->in.push_back(in_layout(in.value, in.layout));
    for (const Prepared::Out& out : p.out) {
      values()[out.value].layout = out.layout;
      values()[out.value].ready = true;
      p.step->out.push_back(out.value);
    }
    const bool named = !p.step->label.empty();
    for (int n : p.nodes) {
      node(n).taken = true;
      p.step->ops.push_back(node(n).op);
      if (!named) p.step->label.append(p.step->label.empty() ? "" : "+").append(node(n).op->type());
    }
    plan_->steps.push_back(std::move(p.step));
  }

  void commit_plain(std::unique_ptr<Step> step, int n) {
    Prepared p;
    for (const auto& arg : node(n).args) {
      for (int i : arg) p.in.push_back({i});
    }
    for (int r : node(n).results) p.out.push_back({r});
    p.nodes = {n};
    p.step = std::move(step);
    commit(std::move(p));
  }

  // Layouts and steps count elements and bytes without a thought of overflow: what no machine holds gets no plan.
  Status check_sizes() {
    constexpr int64_t kMost = int64_t{1} << 40;
    const auto held = [&](int i) {
      const int64_t count = checked_count(values()[i].shape);
      return count >= 0 && count <= kMost;
    };
    for (int n = 0; n < s_.node_count(); ++n) {
      if (node(n).taken) continue;
      std::vector<int> touched = node(n).results;
      for (const auto& arg : node(n).args) touched.insert(touched.end(), arg.begin(), arg.end());
      const auto at = std::find_if_not(touched.begin(), touched.end(), held);
      if (at == touched.end()) continue;
      const PlanValue& v = values()[*at];
      Diag d;
      d.code = Code::out_of_memory;
      d.message = format("a tensor {} is too large", describe(v.dtype(), v.shape));
      return fail(at_op(std::move(d), *node(n).op));
    }
    return {};
  }

  Status select() {
    for (int n = 0; n < s_.node_count(); ++n) {
      if (node(n).taken) continue;
      GRAFT_CHECK(check(request_.cancel));
      const ir::Op& op = *node(n).op;
      if (const auto at = prepared_.find(n); at != prepared_.end()) {
        commit_plain(std::move(at->second), n);
      } else if (op.kind() == ir::Kind::view && plan_->stop.shapes != node(n).results) {
        view(n);
      } else {
        Status s = select_step(n);
        if (!s) return fail(at_op(std::move(s).error(), op));
      }
    }
    return {};
  }

  void view(int n) {
    const int from = in_layout(node(n).args[0][0], Layout{});
    const int to = node(n).results[0];
    if (request_.mode == Mode::observed) {  // the observer is shown every result: steps are what it hears of
      commit_plain(reference_step(s_, n), n);
      return;
    }
    values()[to].root = values()[from].root;
    values()[to].ready = true;
    node(n).taken = true;
    plan_->no_work.emplace_back(node(n).op, "view");
  }

  Status select_step(int n) {
    const ir::Op& op = *node(n).op;
    std::vector<std::string> declined;
    // Candidates know where elements lie from their size: not those of objects. (Constant strings are parameters.)
    const auto plain = [&](int i) {
      return !holds_objects(values()[i].dtype()) || values()[i].where == PlanValue::Where::constant;
    };
    const bool fixed = std::all_of(node(n).results.begin(), node(n).results.end(),
                                   [&](int r) { return values()[r].type.is_static() && plain(r); }) &&
                       std::all_of(node(n).args.begin(), node(n).args.end(), [&](const std::vector<int>& arg) {
                         return std::all_of(arg.begin(), arg.end(), plain);
                       });
    if (const auto list = core_.candidates.find(op.kind()); list != core_.candidates.end() && fixed) {
      for (const Candidate* c : list->second) {
        Result<Prepared> p = c->prepare(s_, n);
        if (!p) {
          if (out_of_bounds(p.error().code)) return fail(p.error());
          declined.push_back(std::move(p).error().message);
          continue;
        }
        p->step->declined = std::move(declined);
        commit(std::move(*p));
        return {};
      }
    }
    auto step = ir::touches_state(op.row->def->effects) ? state_step(*op.row->def) : reference_step(s_, n);
    step->declined = std::move(declined);
    commit_plain(std::move(step), n);
    return {};
  }

  // ---- memory ----

  void finish_results() {
    for (PlanResult& r : plan_->results) {
      const int plain = in_layout(r.value, Layout{});
      values()[plain].kept = true;
      r.value = plain;
    }
    for (int& t : plan_->passed) {
      const int plain = in_layout(t, Layout{});
      values()[plain].kept = true;
      t = plain;
    }
  }

  // Only what is read: most constants are packed weights by now, and reading those again would copy them, as files do
  // not align them.
  Status place_constants() {
    std::vector<bool> read(plan_->values.size(), false);
    const auto mark = [&](int v) { read[root_of(v)] = read[static_cast<size_t>(v)] = true; };
    for (const auto& step : plan_->steps) std::for_each(step->in.begin(), step->in.end(), mark);
    for (const PlanResult& r : plan_->results) mark(r.value);
    std::for_each(plan_->passed.begin(), plan_->passed.end(), mark);
    for (size_t i = 0; i < read.size(); ++i) {
      const PlanValue& r = plan_->values[root_of(static_cast<int>(i))];
      if (!read[i] || r.where != PlanValue::Where::constant) continue;
      Result<TensorView> view = r.constant->aligned_view({request_.cancel, core_.memory});
      if (!view)
        return fail(std::move(view.error()).at_tensor(r.value == nullptr ? std::string_view() : r.value->name));
      plan_->constants.emplace_back(static_cast<int>(i), view->data);
    }
    return {};
  }

  // Storages are roots; where a step may work in place, the storages of its operand and its result become one.
  void place_memory() {
    Plan& p = *plan_;
    const size_t count = p.values.size();
    const int end = static_cast<int>(p.steps.size());
    std::vector<Storage> life(count);
    std::vector<bool> kept(count, false), outside(count, false);
    for (size_t v = 0; v < count; ++v) {
      const size_t root = static_cast<size_t>(p.values[v].root);
      life[v].first = end;
      life[v].last = -1;
      if (p.values[v].kept) kept[root] = true;
      if (p.values[v].where != PlanValue::Where::computed || holds_objects(p.values[v].dtype())) outside[v] = true;
    }
    for (int r : p.stop.shapes) outside[static_cast<size_t>(r)] = true;
    for (int s = 0; s < end; ++s) {
      const Step& step = *p.steps[static_cast<size_t>(s)];
      for (int i : step.in) touch(life[root_of(i)], s);
      for (int o : step.out) touch(life[root_of(o)], s);
    }
    for (size_t v = 0; v < count; ++v) {
      if (kept[v]) life[v].last = end;
      life[v].bytes = p.values[v].root == static_cast<int>(v) && !outside[v] ? p.values[v].bytes() : 0;
    }
    for (int s = 0; s < end; ++s) join_in_place(s, life, kept, outside);
    for (PlanValue& v : p.values) v.root = static_cast<int>(root_of(v.root));

    for (PlanResult& r : p.results) {  // results that steps may write into the caller's memory
      const size_t root = root_of(r.value);
      if (outside[root] || p.values[static_cast<size_t>(r.value)].bytes() != life[root].bytes) continue;
      outside[root] = true;
      life[root].bytes = 0;
      r.direct = true;
    }
    for (int s = 0; s < end; ++s) life.push_back({p.steps[static_cast<size_t>(s)]->scratch, s, s, 0});
    for (size_t v = 0; v < count; ++v) {
      const PlanValue& value = p.values[v];
      const bool grows =
          std::find(p.stop.shapes.begin(), p.stop.shapes.end(), static_cast<int>(v)) != p.stop.shapes.end();
      if (holds_objects(value.dtype()) && value.where == PlanValue::Where::computed &&
          value.root == static_cast<int>(v) && !grows)
        p.objects.push_back(static_cast<int>(v));
    }
    p.arena_bytes = place(life);
    p.offsets.assign(count, SIZE_MAX);
    for (size_t v = 0; v < count; ++v) {
      if (p.values[v].root == static_cast<int>(v) && !outside[v]) p.offsets[v] = life[v].offset;
    }
    for (int s = 0; s < end; ++s)
      p.steps[static_cast<size_t>(s)]->scratch_offset = life[count + static_cast<size_t>(s)].offset;
  }

  // Storages that were joined are chains of roots, shortened as they are followed.
  size_t root_of(int v) {
    while (values()[v].root != v) v = values()[v].root = values()[values()[v].root].root;
    return static_cast<size_t>(v);
  }
  static void touch(Storage& life, int step) {
    life.first = std::min(life.first, step);
    life.last = std::max(life.last, step);
  }

  void join_in_place(int s, std::vector<Storage>& life, const std::vector<bool>& kept,
                     const std::vector<bool>& outside) {
    const Step& step = *plan_->steps[static_cast<size_t>(s)];
    for (const auto& [o, i] : step.in_place) {
      const size_t to = root_of(step.out[static_cast<size_t>(o)]), from = root_of(step.in[static_cast<size_t>(i)]);
      const auto uses = std::count_if(step.in.begin(), step.in.end(), [&](int v) { return root_of(v) == from; });
      if (to == from || outside[from] || outside[to] || kept[from] || life[from].last != s || uses != 1) continue;
      if (life[to].first != s || life[to].bytes != life[from].bytes) continue;
      life[to].first = life[from].first;
      life[from].bytes = 0;
      plan_->values[from].root = static_cast<int>(to);
    }
  }

  const Core& core_;
  const PlanRequest& request_;
  std::shared_ptr<Plan> plan_;
  Selection s_;
  std::unordered_map<const ir::Value*, int> index_;
  std::unordered_map<int, std::unique_ptr<Step>> prepared_;  // control flow, by node
};

Result<std::shared_ptr<const Plan>> make_plan(const Core& core, const PlanRequest& request) {
  return Planner(core, request).make();
}

}  // namespace graft::engine
