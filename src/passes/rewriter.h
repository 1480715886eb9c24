// The one mechanism of all passes that replace operators: walk the old operators in order, emit new ones through a
// Builder, remember which value stands for which.
//
// A rule sees one operator at a time, its arguments already replaced, and either keeps it or returns values that stand
// for its results, emitting what it needs through build(). Patterns are matched backwards from their last operator,
// along Value::producer. What the builder refuses (illegal for the target, types that do not fit) is dropped and the
// old operator kept: whether a rewrite is possible is found by trying it. Operators that lose their last use stay in
// place until dead_code, but no longer count as users.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ops/op_builder.h"
#include "passes/pass.h"

namespace graft::passes {

using ir::Block;
using ir::Function;
using ir::Op;
using ir::Value;
using ir::Values;

class Rewriter {
 public:
  // Values for the operator's results, or nullopt to keep it (what was emitted before stays: new arguments of it, say).
  using Rule = std::function<std::optional<Values>(Op& op)>;

  Rewriter(Function& function, const PassContext& context);

  // One walk over the whole function, nested blocks before the operator that owns them. Returns the number of
  // replacements. A failure set by stop() ends the walk.
  Result<int> run(const Rule& rule);
  // Called before the outputs of each block are fixed (its outputs are replaced already); may emit and change them.
  std::function<void(Block&)> at_end;

  ops::OpBuilder& build() { return build_; }
  Block& block() { return *open_.back(); }
  // Uses of a value by operators that still count, and as block outputs.
  int uses(const Value* v) const;
  bool used_once(const Value* v) const { return uses(v) == 1; }
  // Whether a value made in this block can be used at the current place.
  bool visible(const Block* block) const;
  // What stands for an old value now.
  Value* now(Value* v) const;
  // Emits the operator again with other arguments (in the order of the row's parameters).
  Values emit_again(const Op& op, const std::vector<std::vector<Value*>>& args);
  // Changes an argument of an operator that is kept.
  void set_argument(Op& op, size_t param, size_t index, Value* v);
  // Ends the walk with an error: a rule found the program broken.
  void stop(Diag diag);

 private:
  void walk(Block& block, const Rule& rule);
  bool apply(Block& block, Op& op, const Rule& rule);
  void replace(Block& block, Op& op, const Values& by, size_t first_new);
  void count_new(const Block& block, size_t first_new);
  void retain(const Value* v, int n);
  void release(const Value* v, int n, ir::Provenance& died);

  Function* function_;
  ops::OpBuilder build_;
  std::unordered_map<Value*, Value*> map_;
  std::unordered_map<const Value*, int> uses_;
  std::unordered_set<const Op*> dead_;
  std::vector<std::unique_ptr<Op>> replaced_;  // old operators, alive until the walk is over
  std::vector<Block*> open_;
  std::optional<Diag> error_;
  int count_ = 0;
};

}  // namespace graft::passes
