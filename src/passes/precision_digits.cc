// Rules 7 and 8 of precision.h: operators that make much of the digits that fp16 drops.
#include <algorithm>

#include "base/format.h"
#include "passes/precision.h"
#include "passes/precision_planner.h"

namespace graft::passes {

using ir::Op;
using ir::Value;

namespace {

// Half a percent of a turn's amplitude.
constexpr double kTurnError = 0x1p-7;
// fp16 has all integers up to here, and thresholds among them.
constexpr double kCounts = 2048;
// Beside integers up to here fp16 keeps fractions to 1/256.
constexpr double kSmallStep = 8;

// Tables are weights: in fp32 they would be twice the bytes.
bool reads_table(const Op& op) {
  constexpr int64_t kSmall = 1024;
  return std::any_of(op.args.begin(), op.args.end(), [](const auto& arg) {
    return std::any_of(arg.begin(), arg.end(), [](const Value* v) {
      return v->dtype() == DType::f32 && v->is_constant() && v->constant->count() > kSmall;
    });
  });
}

}  // namespace

// ---- where operands come from ----------------------------------------------------------------------------------

void PrecisionPlanner::look_back(const Value* v, Source& source, std::unordered_set<const Op*>& seen) const {
  constexpr size_t kMost = 64;
  if (v->is_constant()) return;
  const Op* op = v->producer;
  const bool test = v->dtype() == DType::boolean && op != nullptr && op->is(Kind::pointwise);
  if (v->dtype() != DType::f32 && !test) return;
  if (op == nullptr) {
    source.exact = source.exact && inputs_.contains(v);
    return;
  }
  const bool running = op->is(Kind::cumsum);
  if (!(op->is(Kind::pointwise) || running || only_moves(*op)) || reads_table(*op) || seen.size() == kMost) {
    source.exact = false;
    return;
  }
  if (!seen.insert(op).second) return;
  source.ops.push_back(op);
  source.sums = source.sums || running;
  for (const auto& arg : op->args) {
    for (const Value* from : arg) look_back(from, source, seen);
  }
}

PrecisionPlanner::Source PrecisionPlanner::source_of(const Op& op) const {
  Source source;
  std::unordered_set<const Op*> seen;
  for (const auto& arg : op.args) {
    for (const Value* v : arg) look_back(v, source, seen);
  }
  return source;
}

void PrecisionPlanner::keep_digits(const Op& op, const Source& source, std::string why) {
  open_island(Code::precision_note, op, std::move(why));
  for (const Op* from : source.ops) keep(*from);
}

// ---- rule 7: steps, turns, comparisons -------------------------------------------------------------------------

// Whether what rounding does to the operands may change the result by more than rounding.
bool PrecisionPlanner::decided_by_rounding(const Op& op) const {
  const ir::Fp16& row = op.row->def->fp16;
  double error = 0, constants = 0, thresholds = 0;
  for (const auto& arg : op.args) {
    for (const Value* v : arg) {
      if (v->dtype() != DType::f32) continue;
      const ErrorRange r = ranges_.of(v);
      error = std::max(error, r.error);
      if (!v->is_constant()) continue;
      constants = std::max(constants, r.error);
      thresholds = std::max(thresholds, r.largest());
    }
  }
  if (row.turns) return error > kTurnError;
  if (row.steps) return error > 0 && !(op.is(Scalar::cast) && !is_int(op.result()->dtype()));
  if (!op.row->def->pointwise.compares || error == 0) return false;
  // With a threshold that fp16 has, only what lies next to it may change sides; so much is any rounding.
  return thresholds == 0 ? with_constant(op) == std::nullopt : constants > 0 || thresholds > kCounts;
}

void PrecisionPlanner::by_digits(const Op& op) {
  if (!on_floats(op) || !(op.is(Kind::pointwise) || op.row->def->fp16.steps)) return;
  by_poles(op);
  if (!decided_by_rounding(op)) return goes_on_counting(op);
  const ir::Fp16& row = op.row->def->fp16;
  const Source source = source_of(op);
  if (source.exact) {
    keep_digits(op, source,
                row.turns
                    ? format("kept in fp32 with what computes its operand: of large arguments {} needs more "
                             "digits than fp16 has",
                             op.type())
                    : format("kept in fp32 with what computes its operand: rounding to fp16 may decide {}", op.type()));
    // What is left of x beside its integer part has few digits as soon as that has some.
    if (row.steps && ranges_.of(op.result()).largest() > kSmallStep) counted_.emplace(op.result(), island_);
    return;
  }
  // What was computed from weights has been rounded before. A phase that sums it up must not be rounded again, and what
  // becomes an integer in the end is told.
  if (row.turns && source.sums)
    return keep_digits(op, source,
                       format("kept in fp32 with the running sum that computes its operand: of large "
                              "arguments {} needs more digits than fp16 has",
                              op.type()));
  if (op.is(Scalar::cast))
    keep_digits(op, source,
                "kept in fp32 with what computes its operand; what comes before is in fp16, so an integer "
                "may still become its neighbour");
}

// x - 8 * floor(x / 8): arithmetic on what counts beyond fp16, with nothing but what is exact.
void PrecisionPlanner::goes_on_counting(const Op& op) {
  if (op.row->def->family != "elementwise_binary" || op.result()->dtype() != DType::f32) return;
  for (const auto& arg : op.args) {
    for (const Value* v : arg) {
      const auto at = counted_.find(v);
      if (at == counted_.end() || wide(op)) continue;
      if (!source_of(op).exact) return;
      island_ = at->second;
      keep(op);
      counted_.emplace(op.result(), island_);
    }
  }
}

// ---- rule 8: logarithms and quotients of what is kept from zero by less than fp16 has ----------------------------

void PrecisionPlanner::by_poles(const Op& op) {
  if (!op.row->def->fp16.poles || op.is(Kind::kernel)) return;
  const auto& operands = op.row->def->pointwise.operands;
  const Value* near = op.arg(operands[1].empty() ? operands[0] : operands[1]);
  // x / (|x| + eps) is what it was however small eps is; 1 / (x + eps) is not.
  if (const Value* x = op.arg(operands[0]); x != near && !x->is_constant()) return;
  for (int depth = 0; near->producer != nullptr && only_moves(*near->producer) && depth < kDepth; ++depth) {
    if (near->producer->arg("x") == nullptr) return;
    near = near->producer->arg("x");
  }
  const Op* guard = near->producer;
  if (guard == nullptr || !guard->is(Kind::pointwise)) return;
  if (!guard->row->def->fp16.offsets && !guard->row->def->fp16.saturates) return;
  double least = 0;
  for (const auto& arg : guard->args) {
    for (const Value* v : arg) {
      if (v->dtype() != DType::f32) continue;
      if (const double c = std::fabs(scalar_of(v).value_or(0)); c != 0 && c < kHalfNormal) least = c;
    }
  }
  if (least == 0) return;
  keep_digits(
      op, source_of(op),
      format("kept in fp32 with what computes its operand: {:g}, which keeps it from zero, is too small for fp16",
             least));
  if (1 / least > kHalfMax) spread(op.result(), kDepth);
}

// A norm of rows that may be as small as its epsilon, which fp16 does not have.
bool PrecisionPlanner::small_rows(const Op& op, double epsilon) {
  if (op.is(Kind::pointwise) || epsilon > 0x1p-25) return false;
  const Source source = source_of(op);
  if (!source.exact) return false;
  keep_digits(op, source,
              format("kept in fp32: its epsilon {:g} is too small for fp16, and rows may be as small", epsilon));
  return true;
}

}  // namespace graft::passes
