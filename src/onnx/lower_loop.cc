// Loop and Scan, as MIL's while_loop. Each scan output is a list, which a turn writes its element to and which is
// stacked in the end, so that no number of turns has to be known before.
#include <algorithm>
#include <set>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

using ir::Type;
using ir::Types;

// What one turn gives.
struct Turn {
  Value* go = nullptr;  // whether another one follows; null: nobody asks
  Values variables, elements;
};
struct Turns {
  Value* trips = nullptr;  // at most so many; null: no bound
  Value* go = nullptr;     // whether there is a first one; null: yes
  Values variables;
  size_t elements = 0;
  Value* prefilled = nullptr;  // the length of the lists before the first turn; null: none
  std::function<Turn(Value* i, Value* go, const Values& variables)> body;
};
struct Looped {
  Values variables, lists;
  Value* turns = nullptr;  // how many there were
};

// The types of variables that hold in every turn. A dim that a turn changes is open: any size fits it from then on.
class VariableTypes {
 public:
  VariableTypes(OpBuilder& b, const Values& initial) : b_(b) {
    for (const Value* v : initial) types_.push_back(v->type);
  }
  const Types& list() const { return types_; }
  void open_all() {
    for (Type& t : types_) {
      for (Dim& d : t.dims) d = open_dim();
    }
  }
  // Whether these are of the types; if not, they are from now on. A dtype that changes refuses the node.
  bool hold(const Values& next) {
    bool same = true;
    for (size_t i = 0; i < types_.size(); ++i) {
      Type got = next[i]->type;
      close(got, types_[i]);
      if (got == types_[i]) continue;
      Type wide = joined(types_[i], got, [&](IntRange) { return open_dim(); });
      if (wide.kind == Type::Kind::none) {
        b_.refuse(Code::dtype_mismatch, format("variable {} is {} before and {} after a turn", i, types_[i].to_string(),
                                               next[i]->type.to_string()));
        return true;
      }
      same &= wide == types_[i];
      types_[i] = std::move(wide);
    }
    return same;
  }
  // Types for what the loop gives: its open dims are not those of a turn.
  Types results() {
    Types out = types_;
    for (Type& t : out) rename(t);
    return out;
  }

 private:
  Dim open_dim() {
    const std::string name = b_.function().fresh_symbol();
    open_.insert(name);
    return Dim::symbol(name, kAnySize);
  }
  bool is_open(const Dim& d) const { return open_.contains(std::string(d.symbol_name())); }
  // Takes open dims for the same.
  void close(Type& got, const Type& type) const {
    if (got.kind != type.kind) return;
    if (got.is_list() && got.element->kind == type.element->kind) {
      Type inner = *got.element;
      close(inner, *type.element);
      got.element = std::make_shared<const Type>(std::move(inner));
      if (!type.length.known()) got.length = type.length;
    }
    for (size_t d = 0; got.rank() == type.rank() && d < got.dims.size(); ++d) {
      if (is_open(type.dims[d])) got.dims[d] = type.dims[d];
    }
  }
  void rename(Type& t) {
    for (Dim& d : t.dims) {
      if (is_open(d)) d = open_dim();
    }
    if (!t.is_list()) return;
    Type inner = *t.element;
    rename(inner);
    t.element = std::make_shared<const Type>(std::move(inner));
  }

  OpBuilder& b_;
  Types types_;
  std::set<std::string> open_;
};

// What one turn's element tells of all: a size that a turn found is its own.
Type element_type(OpBuilder& b, const Type& type) {
  return ir::with_new_sizes(type, [&](IntRange) { return Dim::symbol(b.function().fresh_symbol(), kAnySize); });
}

// A list of `like`'s type without elements, or with as many as `length` says.
Value* empty_list(OpBuilder& b, const Type& element, Value* length) {
  Values sizes;
  for (const Dim& d : element.dims)
    sizes.push_back(
        b.constant(d.known() ? ir::Constant::int_scalar(DType::i32, d.value()) : ir::Constant::text(d.to_string())));
  length = length == nullptr ? b.scalar(DType::i32, 0) : b.cast(length, DType::i32);
  if (!element.is_tensor()) return b.emit("host_sequence", {{"values", Values{}}, {"dtype", name(element.dtype)}});
  Value* list = b.emit(
      "make_list",
      {{"init_length", length}, {"dynamic_length", true}, {"elem_shape", sizes}, {"dtype", name(element.dtype)}});
  // The names of sizes that a row cannot know.
  if (b.ok()) list->type.element = std::make_shared<const Type>(element);
  return list;
}

// While i < trips and go: the body, with i = 0, 1, … `n` is the node whose bodies are lowered.
Looped run_turns(NodeView& n, OpBuilder& b, Turns t) {
  const DType counter = n.inside(DType::i64);
  ir::Function& fn = b.function();
  VariableTypes types(b, t.variables);
  if (n.nested() > 3) types.open_all();  // a body is lowered until its types hold, and so is each body in it
  // A condition that never changes is no variable: that is found out first.
  bool asks = t.go != nullptr && !t.go->is_constant();
  if (t.go != nullptr) t.go = scalar_of(b, t.go);
  if (t.trips != nullptr) t.trips = scalar_of(b, t.trips);
  IntRange counts{0, INT64_MAX - 1};
  if (t.trips != nullptr) counts.hi = std::max<int64_t>(t.trips->range.hi - 1, 0);
  const auto count_input = [&] {
    Value* i = fn.new_value(Type::tensor(counter, Dims{}), "i");
    i->range = {0, std::min(counts.hi, int_range(counter).hi)};
    return i;
  };

  std::unique_ptr<ir::Block> body;
  Values lists, list_inputs;
  for (bool stable = false; !stable && b.ok();) {
    const ir::Builder::Mark mark = b.mark();
    Values inputs{count_input()};
    if (asks) inputs.push_back(fn.new_value(Type::tensor(DType::boolean, Dims{}), "go"));
    Value* go = asks ? inputs[1] : t.go != nullptr ? t.go : b.scalar(DType::boolean, 1);
    Values variables;
    for (const Type& type : types.list()) variables.push_back(fn.new_value(type));
    inputs.insert(inputs.end(), variables.begin(), variables.end());
    lists.clear();
    list_inputs.clear();
    Types elements;
    body = n.block_of(inputs, [&]() -> Values {
      Turn turn = t.body(inputs[0], go, variables);
      if (!b.ok()) return {};
      stable = types.hold(turn.variables);
      const bool steady =
          turn.go == nullptr || (turn.go->is_constant() && element_as_int(turn.go->constant->view(), 0) != 0);
      if (!asks && !steady) stable = false, asks = true;
      if (!stable || !b.ok()) return {};
      Values next{b.add(inputs[0], b.like(inputs[0], 1))};
      if (asks) next.push_back(scalar_of(b, turn.go));
      next.insert(next.end(), turn.variables.begin(), turn.variables.end());
      for (Value* e : turn.elements) {
        elements.push_back(element_type(b, e->type));
        if (e->type.is_list()) {
          b.refuse(Code::dtype_mismatch, format("a scan output is {}, takes tensors", e->type.to_string()));
          return {};
        }
        list_inputs.push_back(fn.new_value(Type::list(elements.back(), ir::unknown_length())));
        next.push_back(b.emit("list_write", {{"ls", list_inputs.back()}, {"index", inputs[0]}, {"value", e}}));
      }
      return next;
    });
    if (!b.ok()) return {};
    if (!stable) {
      b.rollback(mark);
      continue;
    }
    body->inputs.insert(body->inputs.end(), list_inputs.begin(), list_inputs.end());
    for (const Type& e : elements) lists.push_back(empty_list(b, e, t.prefilled));
  }
  if (!b.ok()) return {};

  Values initial{b.constant(ir::Constant::int_scalar(counter, 0))};
  if (asks) initial.push_back(t.go != nullptr ? t.go : b.scalar(DType::boolean, 1));
  initial.insert(initial.end(), t.variables.begin(), t.variables.end());
  initial.insert(initial.end(), lists.begin(), lists.end());
  Values inputs;
  for (const Value* v : body->inputs) inputs.push_back(fn.new_value(v->type));
  std::vector<std::unique_ptr<ir::Block>> blocks;
  blocks.push_back(n.block_of(inputs, [&]() -> Values {
    Value* more = t.trips == nullptr ? nullptr : b.binary("less", inputs[0], t.trips);
    if (asks) more = more == nullptr ? inputs[1] : b.binary("logical_and", more, inputs[1]);
    if (!asks && t.go != nullptr) more = more == nullptr ? t.go : b.binary("logical_and", more, t.go);
    return {more == nullptr ? b.scalar(DType::boolean, 1) : more};
  }));
  blocks.push_back(std::move(body));
  Types results{Type::tensor(counter, Dims{})};
  if (asks) results.push_back(Type::tensor(DType::boolean, Dims{}));
  for (Type& type : types.results()) results.push_back(std::move(type));
  for (const Value* list : lists) results.push_back(list->type);
  const Values out = b.emit_blocks("while_loop", {{"loop_vars", initial}}, std::move(blocks), std::move(results));
  if (!b.ok()) return {};
  Looped done;
  const auto at = out.begin() + (asks ? 2 : 1);
  done.variables.assign(at, at + static_cast<std::ptrdiff_t>(t.variables.size()));
  done.lists.assign(at + static_cast<std::ptrdiff_t>(t.variables.size()), out.end());
  done.turns = out[0];
  out[0]->range = {0, counts.hi == INT64_MAX - 1 ? INT64_MAX : counts.hi + 1};
  const bool always = !asks && (t.go == nullptr || element_as_int(t.go->constant->view(), 0) != 0);
  if (always && t.trips != nullptr && t.trips->is_constant())
    done.turns = b.constant(
        ir::Constant::int_scalar(counter, std::max<int64_t>(element_as_int(t.trips->constant->view(), 0), 0)));
  return done;
}

// The first `count` elements of a list along a new first dim, the last one first where `reversed`.
Value* stacked(OpBuilder& b, Value* list, Value* count, bool reversed = false) {
  Value* one = b.like(count, 1);
  Value* places = b.emit("range_1d", {{"start", b.like(count, 0)}, {"end", count}, {"step", one}});
  if (reversed) places = b.sub(b.sub(count, one), places);
  return b.emit("list_gather", {{"ls", list}, {"indices", places}});
}

// ---- Loop ---------------------------------------------------------------------------------------------------------

Values loop(NodeView& n, OpBuilder& b) {
  Turns t;
  t.trips = n.has(0) ? n.in_saturated(0) : nullptr;
  t.go = n.optional_in(1);
  t.variables = n.all(2);
  const Graph* body = n.body("body");
  if (body == nullptr || !b.ok()) return {n.refused()};
  const size_t vars = t.variables.size();
  if (body->inputs.size() != vars + 2 || body->outputs.size() < vars + 1 ||
      body->outputs.size() - 1 != static_cast<size_t>(n.outputs())) {
    return {n.refuse(Code::invalid_model,
                     format("the body has {} inputs and {} outputs, the node {} variables and {} outputs",
                            body->inputs.size(), body->outputs.size(), vars, n.outputs()))};
  }
  for (const auto& [v, what] : {std::pair(t.trips, "the trip count"), std::pair(t.go, "the condition")}) {
    if (v != nullptr && (!v->type.is_tensor() || ir::never_equal(ir::product(v->dims()), Dim(1))))
      return {n.refuse(Code::shape_mismatch, format("{} is {}, takes one value", what, v->type.to_string()))};
  }
  if (t.go != nullptr && t.go->dtype() != DType::boolean)
    return {n.refuse(Code::dtype_mismatch, format("the condition is {}, takes bool", t.go->type.to_string()))};
  t.elements = body->outputs.size() - 1 - vars;
  // A variable that is optional before the first turn may be what it holds after it: an optional that is there.
  std::vector<bool> held(vars, false);
  t.body = [&](Value* i, Value* go, const Values& variables) {
    Values in{i, go};
    in.insert(in.end(), variables.begin(), variables.end());
    const Values out = n.inline_body(*body, in);
    Turn turn;
    if (!b.ok()) return turn;
    turn.go = out[0];
    if (!turn.go->type.is_tensor() || turn.go->dtype() != DType::boolean)
      b.refuse(Code::dtype_mismatch, format("the body's condition is {}, takes bool", turn.go->type.to_string()));
    const auto at = out.begin() + 1 + static_cast<std::ptrdiff_t>(vars);
    turn.variables.assign(out.begin() + 1, at);
    turn.elements.assign(at, out.end());
    constexpr auto kOptional = Type::Kind::optional;
    for (size_t k = 0; k < vars; ++k) {
      held[k] = variables[k]->type.kind == kOptional && turn.variables[k]->type.kind != kOptional;
      if (held[k]) turn.variables[k] = b.emit("host_optional", {{"x", turn.variables[k]}});
    }
    return turn;
  };
  const Looped done = run_turns(n, b, std::move(t));
  if (!b.ok()) return {n.refused()};
  Values out = done.variables;
  for (size_t k = 0; k < vars; ++k) {
    if (held[k]) out[k] = b.emit("host_optional_element", {{"x", out[k]}});
  }
  for (Value* list : done.lists) out.push_back(stacked(b, list, done.turns));
  return out;
}

// ---- Scan ---------------------------------------------------------------------------------------------------------

struct Scanned {
  Values inputs;
  std::vector<int64_t> axes;
  std::vector<bool> reversed;
};

// The size that the values have in common, each along its axis: how many turns there are.
Value* common_size(NodeView& n, OpBuilder& b, const Values& values, const std::vector<int64_t>& axes) {
  const DType counter = n.inside(DType::i64);
  const Dim first = values[0]->dim(static_cast<int>(axes[0]));
  Values sizes;
  bool agreed = true;
  for (size_t k = 0; k < values.size(); ++k) {
    const int axis = static_cast<int>(axes[k]);
    const Dim& size = values[k]->dim(axis);
    if (ir::never_equal(size, first))
      return b.refuse(Code::shape_mismatch,
                      format("scan input {} has length {}, another one {}", k, size.to_string(), first.to_string()));
    agreed &= size == first;
    if (size.known()) {
      sizes.push_back(b.constant(ir::Constant::int_scalar(counter, size.value())));
      continue;
    }
    Value* one = b.emit("slice_by_index", {{"x", b.shape(values[k])}, {"begin", Ints{axis}}, {"end", Ints{axis + 1}}});
    sizes.push_back(b.cast(scalar_of(b, one), counter));
  }
  return agreed ? sizes[0] : b.emit("host_agreed", {{"values", sizes}});
}

// `length`: the number of turns, at most the inputs' size.
Looped scan_over(NodeView& n, OpBuilder& b, const Graph& body, Values states, const Scanned& scanned, Value* length,
                 Value* prefilled) {
  Turns t;
  t.trips = length;
  t.variables = std::move(states);
  const size_t vars = t.variables.size();
  t.elements = body.outputs.size() - vars;
  t.prefilled = prefilled;
  t.body = [&](Value* i, Value*, const Values& variables) {
    Values in = variables;
    Value* back = nullptr;
    for (size_t k = 0; k < scanned.inputs.size(); ++k) {
      if (scanned.reversed[k] && back == nullptr) back = b.sub(b.sub(length, b.like(i, 1)), i);
      in.push_back(b.gather(scanned.inputs[k], scanned.reversed[k] ? back : i, scanned.axes[k]));
    }
    Turn turn;
    if (!b.ok()) return turn;
    const Values out = n.inline_body(body, in);
    if (!b.ok()) return turn;
    turn.variables.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(vars));
    turn.elements.assign(out.begin() + static_cast<std::ptrdiff_t>(vars), out.end());
    return turn;
  };
  return run_turns(n, b, std::move(t));
}

// The attribute `directions`, checked.
std::vector<bool> directions(NodeView& n, std::string_view attribute, size_t count) {
  const std::vector<int64_t> list = n.ints(attribute);
  std::vector<bool> reversed(count, false);
  if (list.empty()) return reversed;
  if (list.size() != count) {
    n.refuse(Code::invalid_attribute, format("{} has {} entries, takes {}", attribute, list.size(), count));
    return reversed;
  }
  for (size_t i = 0; i < count; ++i) {
    if (list[i] != 0 && list[i] != 1)
      n.refuse(Code::invalid_attribute, format("{} has {}, takes 0 and 1", attribute, list[i]));
    reversed[i] = list[i] == 1;
  }
  return reversed;
}

Values scan_once(NodeView& n, OpBuilder& b, const Graph& body, Values states, const Scanned& scanned,
                 const std::vector<int64_t>& axes, const std::vector<bool>& reversed) {
  Value* length = common_size(n, b, scanned.inputs, scanned.axes);
  if (!b.ok()) return {n.refused()};
  const Looped done = scan_over(n, b, body, std::move(states), scanned, length, nullptr);
  if (!b.ok()) return {n.refused()};
  Values out = done.variables;
  for (size_t k = 0; k < done.lists.size(); ++k) {
    Value* y = stacked(b, done.lists[k], done.turns, reversed[k]);
    const int64_t given = axes.empty() ? 0 : axes[k];
    if (given < -y->rank() || given >= y->rank())
      return {b.refuse(Code::value_out_of_range, format("scan output {} has no axis {}", k, given))};
    const int axis = static_cast<int>(given < 0 ? given + y->rank() : given);
    Ints perm;
    for (int d = 1; d < y->rank(); ++d) perm.push_back(d);
    perm.insert(axis, 0);
    out.push_back(b.transpose(y, perm));
  }
  return out;
}

// Scan before version 9: a scan for each entry of a batch, over as many steps as sequence_lens says. What a shorter one
// does not make is zero.
Values scan_batches(NodeView& n, OpBuilder& b, const Graph& body, const Values& states, const Scanned& scanned,
                    size_t lists) {
  Values all = states;
  all.insert(all.end(), scanned.inputs.begin(), scanned.inputs.end());
  for (const Value* v : all) {
    if (!v->type.is_tensor() || v->rank() == 0)
      return {n.refuse(Code::rank_mismatch, format("got {}, takes a batch", v->type.to_string()))};
  }
  Value* lengths = n.has(0) ? n.in(0) : nullptr;
  if (lengths != nullptr && lengths->rank() != 1)
    return {n.refuse(Code::rank_mismatch, format("sequence_lens must be a list, got {}", lengths->type.to_string()))};
  Turns t;
  t.trips = common_size(n, b, all, std::vector<int64_t>(all.size(), 0));
  t.elements = states.size() + lists;
  t.body = [&](Value* i, Value*, const Values&) {
    Values mine;
    for (Value* v : all) mine.push_back(b.gather(v, i, 0));
    Turn turn;
    if (!b.ok()) return turn;
    Scanned part = scanned;
    part.inputs.assign(mine.begin() + static_cast<std::ptrdiff_t>(states.size()), mine.end());
    mine.resize(states.size());
    Value* length = common_size(n, b, part.inputs, part.axes);
    Value* steps = lengths == nullptr ? length : b.cast(b.gather(lengths, i, 0), i->dtype());
    if (!b.ok()) return turn;
    const Looped done = scan_over(n, b, body, std::move(mine), part, steps, lengths == nullptr ? nullptr : length);
    if (!b.ok()) return turn;
    turn.elements = done.variables;
    for (Value* list : done.lists) turn.elements.push_back(stacked(b, list, length));
    return turn;
  };
  const Looped done = run_turns(n, b, std::move(t));
  if (!b.ok()) return {n.refused()};
  Values out;
  for (Value* list : done.lists) out.push_back(stacked(b, list, done.turns));
  return out;
}

Values scan(NodeView& n, OpBuilder& b) {
  const bool batched = n.version() < 9;
  if (batched) n.optional_in(0);
  Values in = n.all(batched ? 1 : 0);
  const Graph* body = n.body("body");
  const int64_t scans = n.required_i("num_scan_inputs");
  if (body == nullptr || !b.ok()) return {n.refused()};
  if (scans < 1 || static_cast<size_t>(scans) > in.size() || body->inputs.size() != in.size() ||
      body->outputs.size() != static_cast<size_t>(n.outputs()) ||
      body->outputs.size() < in.size() - static_cast<size_t>(scans)) {
    return {
        n.refuse(Code::invalid_model,
                 format("the body has {} inputs and {} outputs, the node {} inputs, {} of them scanned, and {} outputs",
                        body->inputs.size(), body->outputs.size(), in.size(), scans, n.outputs()))};
  }
  const size_t states = in.size() - static_cast<size_t>(scans), lists = body->outputs.size() - states;
  Scanned scanned;
  scanned.inputs.assign(in.begin() + static_cast<std::ptrdiff_t>(states), in.end());
  scanned.reversed = directions(n, batched ? "directions" : "scan_input_directions", scanned.inputs.size());
  const std::vector<int64_t> axes = batched ? std::vector<int64_t>{} : n.ints("scan_input_axes"),
                             out_axes = batched ? std::vector<int64_t>{} : n.ints("scan_output_axes");
  const std::vector<bool> out_reversed =
      batched ? std::vector<bool>(lists, false) : directions(n, "scan_output_directions", lists);
  for (const auto& [list, count, what] : {std::tuple(&axes, scanned.inputs.size(), "scan_input_axes"),
                                          std::tuple(&out_axes, lists, "scan_output_axes")}) {
    if (!list->empty() && list->size() != count)
      n.refuse(Code::invalid_attribute, format("{} has {} entries, takes {}", what, list->size(), count));
  }
  if (!b.ok()) return {n.refused()};
  for (size_t k = 0; k < scanned.inputs.size(); ++k) {
    const Value* x = scanned.inputs[k];
    const int64_t given = axes.empty() ? 0 : axes[k], rank = x->type.is_tensor() ? x->rank() : 0;
    if (given < -rank || given >= rank || (batched && rank < 2))
      return {n.refuse(Code::value_out_of_range,
                       format("scan input {} is {}, it has no axis {}", k, x->type.to_string(), batched ? 1 : given))};
    scanned.axes.push_back(given < 0 ? given + rank : given);
  }
  in.resize(states);
  return batched ? scan_batches(n, b, *body, in, scanned, lists)
                 : scan_once(n, b, *body, in, scanned, out_axes, out_reversed);
}

// ---- SequenceMap --------------------------------------------------------------------------------------------------

Values sequence_map(NodeView& n, OpBuilder& b) {
  const Values in = n.all();
  const Graph* body = n.body("body");
  if (body == nullptr || !b.ok()) return {n.refused()};
  if (body->inputs.size() != in.size() || body->outputs.size() != static_cast<size_t>(n.outputs())) {
    return {n.refuse(Code::invalid_model, format("the body has {} inputs and {} outputs, the node {} and {}",
                                                 body->inputs.size(), body->outputs.size(), in.size(), n.outputs()))};
  }
  if (in[0]->type.kind != Type::Kind::list)
    return {n.refuse(Code::dtype_mismatch, format("got {}, takes a sequence", in[0]->type.to_string()))};
  Turns t;
  Values lengths;
  for (Value* v : in) {
    if (v->type.kind == Type::Kind::list)
      lengths.push_back(b.cast(b.emit("list_length", {{"ls", v}}), n.inside(DType::i64)));
  }
  if (!b.ok()) return {n.refused()};
  t.trips = lengths.size() == 1 ? lengths[0] : b.emit("host_agreed", {{"values", lengths}});
  for (const ValueInfo& o : body->outputs) {
    const DType dtype = o.type.dtype == DType::invalid ? in[0]->type.element->dtype : o.type.dtype;
    t.variables.push_back(b.emit("host_sequence", {{"values", Values{}}, {"dtype", name(dtype)}}));
  }
  t.body = [&](Value* i, Value*, const Values& made) {
    Values mine;
    for (Value* v : in)
      mine.push_back(v->type.kind == Type::Kind::list ? b.emit("host_sequence_at", {{"ls", v}, {"index", i}}) : v);
    Turn turn;
    if (!b.ok()) return turn;
    const Values out = n.inline_body(*body, mine);
    for (size_t k = 0; k < made.size() && b.ok(); ++k)
      turn.variables.push_back(b.emit("host_sequence_insert", {{"ls", made[k]}, {"value", out[k]}}));
    return turn;
  };
  const Looped done = run_turns(n, b, std::move(t));
  if (!b.ok()) return {n.refused()};
  return done.variables;
}

constexpr Lowering kRows[] = {
    {.domain = "",
     .op_type = "Loop",
     .versions = kSince<1, 11, 13, 16, 19, 21, 23, 24, 25>,
     .signature = "M? cond? v_initial+<11 v_initial*@11 -> v_final_and_scan_outputs+; body",
     .lower = loop,
     .any_rank = true},
    {"", "Scan", kSince<8, 9, 11, 16, 19, 21, 23, 24, 25>,
     "sequence_lens?<9 initial_state_and_scan_inputs+ -> final_state_and_scan_outputs+; body num_scan_inputs "
     "directions<9 "
     "scan_input_axes@9 scan_input_directions@9 scan_output_axes@9 scan_output_directions@9",
     scan},
    {"", "SequenceMap", kSince<17>, "input_sequence additional_inputs* -> out_sequence+; body", sequence_map},
};

}  // namespace

LoweringRows loop_lowerings() { return kRows; }

}  // namespace graft::onnx
