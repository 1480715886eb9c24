// Emits operators: checks arguments, infers types, folds what is constant, and refuses what the target cannot take.
//
// After the first refusal every result is poison, a scalar without a type that may be asked anything, and every further
// emission is silent, so that lowerings read straight; the refusal is in failure(). Inside a transaction the builder
// only appends: rollback() is truncation. One builder belongs to one thread.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/folding.h"
#include "ir/program.h"

namespace graft::ir {

using Values = std::vector<Value*>;

// An argument by name. Numbers become constants of the dtype that the parameter asks for: a plain number given to a
// letter takes the dtype of the other arguments of that letter.
struct Arg {
  using Literal =
      std::variant<std::monostate, Values, int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<bool>>;
  std::string_view name;
  Literal value;

  Arg(std::string_view n, Value* v)
      : name(n), value(v == nullptr ? Literal() : Literal(Values{v})) {}  // null: left out
  Arg(std::string_view n, Values v) : name(n), value(std::move(v)) {}
  Arg(std::string_view n, std::integral auto v) : name(n), value(static_cast<int64_t>(v)) {}
  Arg(std::string_view n, bool v) : name(n), value(v) {}
  Arg(std::string_view n, double v) : name(n), value(v) {}
  Arg(std::string_view n, const char* v) : name(n), value(std::string(v)) {}
  Arg(std::string_view n, std::string_view v) : name(n), value(std::string(v)) {}
  Arg(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  Arg(std::string_view n, std::vector<int64_t> v) : name(n), value(std::move(v)) {}
  Arg(std::string_view n, std::vector<bool> v) : name(n), value(std::move(v)) {}
  Arg(std::string_view n, const Ints& v) : name(n), value(std::vector<int64_t>(v.begin(), v.end())) {}
  Arg(std::string_view n, const Shape& v) : name(n), value(std::vector<int64_t>(v.begin(), v.end())) {}
};
using Args = std::initializer_list<Arg>;

class Builder {
 public:
  // On a Core ML target only what `target` accepts is emitted, and int64 is int32 where that is proven safe. `bounds`:
  // folding keeps to them; what goes beyond is refused as memory_limit, and everything as cancelled.
  Builder(Function& function, const OpTable& table, Target target, Bounds bounds = {});
  // Appends to another block (a branch's body) for the lifetime of the scope.
  class BlockScope {
   public:
    BlockScope(Builder& b, Block& block) : b_(b), saved_(b.block_) { b.block_ = &block; }
    ~BlockScope() { b_.block_ = saved_; }
    BlockScope(const BlockScope&) = delete;
    BlockScope& operator=(const BlockScope&) = delete;

   private:
    Builder& b_;
    Block* saved_;
  };

  // From now on refuses too what the target takes but OpDef::defined does not answer for: for who makes programs. Who
  // rewrites accepted ones need not prove it again.
  void keep_to_defined() { keeps_to_defined_ = true; }

  const Target& target() const { return target_; }
  Function& function() { return *function_; }
  Block& block() { return *block_; }
  const OpTable& table() const { return *table_; }
  const Bounds& bounds() const { return bounds_; }

  // Emits one operator; poison on refusal. The single-result form refuses rows with several results.
  Value* emit(std::string_view op, Args args);
  Values emit_all(std::string_view op, Args args);
  Values emit_all(std::string_view op, std::span<const Arg> args);
  // An operator with nested blocks whose contents are built already (cond, while_loop): types are those of the blocks'
  // outputs.
  Values emit_blocks(std::string_view op, Args args, std::vector<std::unique_ptr<Block>> blocks, Types results);

  Value* constant(ConstantPtr c, std::string name = {});
  Value* scalar(DType dtype, double v) { return constant(Constant::scalar(dtype, v)); }
  Value* ints(std::span<const int64_t> v, DType dtype = DType::i32);  // int64 where dtype cannot hold one of them
  // A rank-1 int32 value with this content: a constant when known, else built from `shape` operators of `hints`, values
  // whose dims mention the symbols. Used for shapes that are only known symbolically.
  Value* dims_value(const Dims& dims, std::span<Value* const> hints);

  // Refuse what is being lowered: the first refusal counts. Returns poison. One that is out_of_bounds() is the end: it
  // is never cleared.
  Value* refuse(Diag diag);
  Value* refuse(Code code, std::string message);
  bool ok() const { return !failure_.has_value(); }
  // Whether no run gives the value an element outside. Ranges are inferred from inputs within int32, which only Core
  // ML's borders see to: on the host they prove nothing.
  bool proven_within(const Value* v, const IntRange& outer) const { return !target_.host() && v->range.inside(outer); }
  const std::optional<Diag>& failure() const { return failure_; }
  void clear_failure() {
    if (!cut_off()) failure_.reset();
  }

  // Transactions: operators emitted since mark() are dropped by rollback(), and the failure with them. Their values
  // stay with the function, unused: somebody may still hold one.
  struct Mark {
    Block* block;
    size_t ops;
    Opset needed;
  };
  Mark mark() const { return {block_, block_->ops.size(), needed_}; }
  void rollback(const Mark& m);

  // Forms of one meaning, best first: callables that emit and all return Value* or all Values. The first one counts
  // that the target takes and that needs no later opset than another one does; what the others emitted is dropped, and
  // a form may be run twice. Only limits of the target make room for the next form: what breaks the operator's own
  // rules is refused as it is. When the target takes none, the refusal of the last one stands.
  template <class Form>
  auto first_of(Form&& form) {
    return form();
  }
  template <class Form, class... Others>
  auto first_of(Form&& form, Others&&... others) {
    if (!ok()) return form();
    const Mark start = mark();
    auto direct = form();
    if (!ok() ? !refused_by_target() : needed_ == start.needed) return direct;
    const bool taken = ok();
    const Opset needs = needed_;
    rollback(start);
    auto other = first_of(std::forward<Others>(others)...);
    if (!taken || (ok() && needed_ < needs)) return other;
    rollback(start);
    return form();
  }

  // Stamped on everything emitted until changed: the ONNX node being lowered.
  void set_origin(Provenance origin) { origin_ = std::move(origin); }
  const Provenance& origin() const { return origin_; }
  // The newest opset that any emitted operator needed so far (ios15 at least), in a Core ML build.
  Opset needed() const { return needed_; }

 private:
  bool cut_off() const { return failure_ && out_of_bounds(failure_->code); }
  // The failure is a limit of Core ML, nobody's fault.
  bool refused_by_target() const { return !target_.host() && failure_ && failure_->fault() == Fault::none; }
  Value* literal(const Arg& arg, const Param& param, const std::vector<std::pair<std::string_view, DType>>& letters);
  Status bind(const OpRow& row, std::span<const Arg> args, Op& op);
  Status legal(const Call& call, const Types& types);
  Status legal(std::span<const std::unique_ptr<Block>> blocks, const Types& results) const;
  bool fold(const Op& op, const Call& call, const Types& types, Values& results);
  std::optional<Diag> compute(const OpDef& def, const Call& call, const Types& types, int64_t& allowance,
                              std::vector<Tensor>& made) const;
  Value* result_value(Call& call, size_t result, Type type);

  Function* function_;
  Block* block_;
  const OpTable* table_;
  Target target_;
  Bounds bounds_;
  FoldBudget folding_;
  std::optional<Diag> failure_;
  Provenance origin_;
  Opset needed_ = Target::oldest().opset();
  bool keeps_to_defined_ = false;
};

}  // namespace graft::ir
