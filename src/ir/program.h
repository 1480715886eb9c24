// The program: functions, blocks, operators, values. This is MIL; where it comes from (ONNX, a package, text) and where
// it goes (a package, the engine) does not show here.
//
// A constant is a Value without a producer: it is in no block, and writers emit `const` operators where they need them.
// A Function owns all values and, through its blocks, all operators; pointers stay valid until it is destroyed or the
// thing is erased. Not safe for concurrent changes; any number of threads may read.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/call.h"
#include "ir/provenance.h"

namespace graft::ir {

struct Op;
struct Block;
class Function;

struct Value {
  Type type;
  std::string name;             // a hint while building; unique in what a reader made or a writer named
  Op* producer = nullptr;       // null: constant, function input, block input, or poison
  int result = 0;               // index in producer->results
  ConstantPtr constant;         // constants only
  std::optional<Dims> content;  // integer tensors of rank 0 or 1 whose elements are known symbolically
  IntRange range;               // proven bounds; of floats integers that enclose them, NaN aside
  Provenance origin;            // of a constant: the nodes folded into it
  bool poison = false;          // the result of something refused; every operator on it is refused silently

  bool is_constant() const { return constant != nullptr; }
  DType dtype() const { return type.dtype; }
  int rank() const { return type.rank(); }
  // Dim i, negative from the end; Dim(0) when there is none, so that code on poison stays harmless.
  Dim dim(int i) const;
  const Dims& dims() const { return type.dims; }
};

// How an operator is built that cannot be before the run, which knows the ranks of its arguments. For the host only.
class Deferred {
 public:
  virtual ~Deferred() = default;
  // A function of values of these types that gives the operator's results. Called by one thread at a time.
  virtual Result<std::unique_ptr<Function>> build(std::span<const Type> arguments, const Bounds& bounds) const = 0;
};

struct Op {
  const OpRow* row = nullptr;
  std::vector<std::vector<Value*>> args;  // by row->params(); empty: left out
  std::vector<Value*> results;
  std::vector<std::unique_ptr<Block>> blocks;
  Provenance origin;
  std::string name;                          // operator name in files; empty: writers use the first result's
  std::shared_ptr<const Deferred> deferred;  // null: the row says all

  std::string_view type() const { return row->def->name; }
  // Of what is lowered in the run nothing is known yet that others could build on.
  Kind kind() const { return deferred == nullptr ? row->def->kind : Kind::kernel; }
  bool is(Kind k) const { return kind() == k; }
  bool is(Scalar function) const { return kind() == Kind::pointwise && row->def->pointwise.function == function; }
  bool is(Reduction how) const { return kind() == Kind::reduction && row->def->reduction == how; }
  Value* arg(std::string_view param) const;  // the single argument, null when left out
  Value* result() const { return results[0]; }
};

struct Block {
  Function* function = nullptr;
  Op* parent = nullptr;        // null for a function's body
  std::vector<Value*> inputs;  // nested blocks of while_loop; a function's inputs are Function::inputs
  std::vector<std::unique_ptr<Op>> ops;
  std::vector<Value*> outputs;
};

class Function {
 public:
  explicit Function(std::string name);
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  std::string name;
  std::vector<Value*> inputs;
  std::vector<std::string> output_names;  // interface names of body.outputs
  Block body;
  std::map<std::string, int64_t> default_dims;  // per symbol: the size that flexible inputs have by default

  Value* new_value(Type type, std::string name = {});
  Value* new_constant(ConstantPtr constant, std::string name = {});
  Value* add_input(Type type, std::string name);
  Value* poison() { return &poison_; }
  // A symbol name not used before in this function.
  std::string fresh_symbol();

 private:
  std::deque<Value> values_;
  Value poison_;
  int symbols_ = 0;
};

struct Program {
  std::vector<std::unique_ptr<Function>> functions;  // "main" unless there are several
  std::string default_function = "main";
  std::map<std::string, std::string> metadata;

  Function* main() const;  // the default function
};

// Visits every operator of a block and of the blocks nested in it, operators before their blocks' contents.
void visit_ops(const Block& block, const std::function<void(Op&)>& visit);
// How often each value is used as an argument or block output, nested blocks included.
std::unordered_map<const Value*, int> count_uses(const Block& block);
// Replaces uses (arguments, block outputs, nested blocks included) by the mapped values, following chains.
void replace_uses(Block& block, const std::unordered_map<Value*, Value*>& replacements);
// A Call on the operator's arguments, for checks and inference: constants are not read yet, so that lazy ones stay lazy
// (see Call::with_values). `fresh` names sizes only a run can tell.
Call call_of(const Op& op, std::function<Dim(IntRange)> fresh = nullptr);
Operand operand_of(const Value& value);
// A deep copy of a function (constants shared).
std::unique_ptr<Function> clone(const Function& function);

}  // namespace graft::ir
