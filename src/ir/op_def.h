// What an operator is: one row holds its name, parameters by opset, type inference, reference kernel and documentation.
// The rows themselves are in src/ops. The signature of each variant is written in the notation of MIL's own tables:
//
//   "x:T; weight:U; bias?:const U=none; strides?:const int32=[1]*S; pad_type?:const string=\"valid\""
//   "T={fp16,fp32}; U={fp16,fp32}"
//
// `?` optional, `const` must be a constant, a letter is a type domain shared by the inputs that name it, `tuple` takes
// several values, S is the number of spatial dims of x (rank - 2), `none` means absent.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/tensor.h"
#include "ir/constant.h"
#include "ir/op_kind.h"
#include "ir/target.h"
#include "ir/type.h"

namespace graft::ir {

class Call;
class Outputs;
struct Recurrence;
using Types = std::vector<Type>;

// Effects order operators: elimination, scheduling and partitioning treat them as ordered.
enum class Effects : uint8_t { none, reads_state, writes_state, random };
constexpr bool touches_state(Effects e) { return e == Effects::reads_state || e == Effects::writes_state; }

struct Variant {
  Opset since;
  std::string_view inputs, domains;
  // Limits of this variant beyond its signature (a rank, a mode): the refusal says what would fit.
  Status (*check)(const Call&) = nullptr;
  // Has parameters that the newest form lacks: readers rewrite it into the newest. Only constants are written as it.
  bool read_only = false;
};
// Variants may also be forms of their own, with parameters that later ones lack and have others for: then an operator
// is of the newest form that has all its arguments, and the row's functions ask which those are.

// Where tests draw inputs from and how close a fast path must come. Absolute tolerances are relative to the largest
// expected magnitude when that is above 1.
struct Domain {
  double lo = -2, hi = 2;
  double tolerance_f32 = 1e-5, tolerance_f16 = 2e-3;
};

// What fp16 does to an operator beyond rounding its operands and its result. The precision pass decides by this.
struct Fp16 {
  bool overflows = false;    // works with values far beyond its operands and result: stays in fp32
  bool magnifies = false;    // the result can be far beyond the operands (x * x, e^x): reduced, it stays in fp32
  bool accumulates = false;  // a sum that grows with the number of elements: in fp32 when there are many
  bool saturates = false;    // constants are bounds or fill values: beyond fp16's range its end means the same
  bool places = false;       // operands (but x) say where things lie: stays in fp32, and what computes them does
  bool offsets = false;      // a tiny constant only keeps things away from zero: fp16's smallest number does too
  bool steps = false;        // the result jumps where operands cross a step: floats that become integers, remainders
  bool turns = false;        // periodic: of the operand counts what whole turns leave, in absolute digits
  bool poles = false;        // grows without end as its last operand nears zero: how near counts
};

struct OpDef {
  std::string_view name, family, doc;
  std::span<const Variant> variants;  // oldest first; a single {host, …} for host operators
  // Element types that the host takes beyond the newest variant's domains, for every letter and untyped input that has
  // more than one type. int64 add is add: merely not legal for Core ML.
  DTypes host = {};
  Effects effects = Effects::none;
  Status (*infer)(const Call&, Types& out) = nullptr;
  // Obviously right, slow, allocation-free. Null for constants, operators with blocks and states, which the engine runs
  // itself.
  Status (*reference)(const Call&, Outputs&) = nullptr;
  // Where Core ML's result is documented and the same for every target: what Graft makes stays inside, programs that
  // others made may go beyond. The refusal says what would fit. Null: everywhere.
  Status (*defined)(const Call&) = nullptr;
  // The content of a small integer result when operands hold symbolic dims; false when it cannot be told.
  bool (*symbolic)(const Call&, Dims& content) = nullptr;
  // Integers between which the elements of call.result lie, NaN aside; of a float rounded outwards, and beyond +-2^53
  // nothing is said. Null: what its dtype holds.
  IntRange (*range)(const Call&) = nullptr;
  // What an integer operand that names places in another may hold: anything else is an error on every runtime. Null, or
  // none: it names no places.
  std::optional<IntRange> (*places)(const Call&, size_t param) = nullptr;
  // Folding without computing: constants for the results of a call on constants that keep the arguments' storage
  // (views, casts, transposes, compressed forms). Null, or none: fold with `reference`.
  std::vector<ConstantPtr> (*lazy)(const Call&, const Types& out) = nullptr;
  Domain domain = {};
  Fp16 fp16 = {};
  Kind kind = Kind::kernel;
  Reduction reduction = Reduction::other;                // of Kind::reduction
  const ReduceKernel* reduce = nullptr;                  // of Kind::reduction, three: by WideType, but no logical ones
  Pointwise pointwise = {};                              // of Kind::pointwise
  Status (*moves)(const Call&, Moves&) = nullptr;        // of rows that move elements; an error: not by copies alone
  Status (*indexing)(const Call&, Indexing&) = nullptr;  // of Kind::gather (x) and Kind::scatter (data)
  Status (*recurrence)(const Call&, Recurrence&) = nullptr;  // of Kind::recurrent
  bool reads_type_only = false;  // nothing of the first operand but its dims and dtype matters
  bool kernel_sized = false;     // only the kernel can tell the size of its result, whatever is known
  // Floating-point operations that give the first result (a multiply-add counts two); null: none, data is moved.
  double (*flops)(const Call&, const Type& result, const SizeOf&) = nullptr;
};

// The row with its range, for rows that a helper makes.
constexpr OpDef with_range(OpDef def, IntRange (*range)(const Call&)) {
  def.range = range;
  return def;
}

// The row with its fp16 facts, likewise.
constexpr OpDef with_fp16(OpDef def, Fp16 fp16) {
  def.fp16 = fp16;
  return def;
}

// One input of a signature, parsed.
struct Param {
  // A list that has to be constant is a constant of rank 1.
  enum class Kind : uint8_t { tensor, tuple, list, state, block, any };
  std::string_view name;
  Kind kind = Kind::tensor;
  bool optional = false;
  bool constant = false;
  std::string_view letter;    // type domain, empty for a fixed type
  DTypes dtypes;              // allowed (fixed type, or the letter's domain)
  std::string_view fallback;  // text of the default; empty or "none": absent
};

struct Signature {
  const Variant* variant = nullptr;
  std::vector<Param> params;
  const Param* find(std::string_view name) const;
};

// A row and its parsed signatures. Operators in a program point to one of these; the table outlives every program.
struct OpRow {
  const OpDef* def = nullptr;
  std::vector<Signature> signatures;  // as def->variants
  // Arguments of an operator are stored in the order of this list: the newest signature's parameters, and after them
  // what only older forms have.
  std::vector<Param> all;
  const std::vector<Param>& params() const { return all; }
  const Signature& newest() const { return signatures.back(); }
  // The newest form with all parameters that are given; the newest of all where no form has them together.
  const Signature& form_of(const Call& call) const;
  // The form that programs of a Core ML opset are written in; null if it has none.
  const Signature* at(Opset opset) const;
  int param_index(std::string_view name) const;  // -1 if there is none
  std::string_view name() const { return def->name; }
  bool host_only() const { return signatures.back().variant->since == Opset::host; }
};

// Immutable after construction; safe to share between threads.
class OpTable {
 public:
  // Rows must outlive the table. A signature that does not parse is a programming error: the constructor throws
  // std::logic_error.
  explicit OpTable(std::span<const OpDef* const> rows);
  const OpRow* find(std::string_view name) const;                            // null if there is none
  const std::vector<std::unique_ptr<OpRow>>& rows() const { return rows_; }  // sorted by name

 private:
  std::vector<std::unique_ptr<OpRow>> rows_;
  std::unordered_map<std::string_view, const OpRow*> by_name_;
};

}  // namespace graft::ir
