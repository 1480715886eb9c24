#include "onnx/int_ranges.h"

#include <algorithm>

#include "onnx/visit.h"
#include "ops/kernel.h"

namespace graft::onnx {
namespace {

using ir::Op;
using ir::Scalar;
using ops::Int128;
using ops::saturated;

constexpr IntRange kAll{};
constexpr IntRange kNone{INT64_MAX, INT64_MIN};

// An end stays one.
int64_t moved(int64_t bound, Int128 by) {
  return bound == INT64_MIN || bound == INT64_MAX ? bound : saturated(Int128{bound} + by);
}

// What `op` uses of its operand, when `result` is what is used of its result, and `other` is between what the operand
// beside it lies.
IntRange used_of_binary(const Op& op, bool first, IntRange result, IntRange other) {
  if (op.is(Scalar::add)) return {moved(result.lo, -Int128{other.hi}), moved(result.hi, -Int128{other.lo})};
  if (op.is(Scalar::sub) && first) return {moved(result.lo, other.lo), moved(result.hi, other.hi)};
  if (op.is(Scalar::sub)) {
    return {result.hi == INT64_MAX ? INT64_MIN : saturated(Int128{other.lo} - result.hi),
            result.lo == INT64_MIN ? INT64_MAX : saturated(Int128{other.hi} - result.lo)};
  }
  if (op.is(Scalar::minimum)) return {std::min(result.lo, other.hi), std::min(result.hi, other.hi)};
  if (op.is(Scalar::maximum)) return {std::max(result.lo, other.lo), std::max(result.hi, other.lo)};
  if (op.is(Scalar::mul) && other.hi <= -1 && other.lo > INT64_MIN) {
    result = {result.hi == INT64_MAX ? INT64_MIN : saturated(-Int128{result.hi}),
              result.lo == INT64_MIN ? INT64_MAX : saturated(-Int128{result.lo})};
    other = {-other.hi, -other.lo};
  }
  if (op.is(Scalar::mul) && other.lo >= 1) {
    return {result.lo == INT64_MIN ? INT64_MIN : std::min<int64_t>(result.lo / other.lo, 0) - 1,
            result.hi == INT64_MAX ? INT64_MAX : std::max<int64_t>(result.hi / other.lo, 0) + 1};
  }
  if (op.row->def->pointwise.compares) return {moved(other.lo, -1), moved(other.hi, 1)};
  return kAll;
}

}  // namespace

UsedRanges::UsedRanges(const ir::Function& function) {
  for (const ir::Value* v : function.body.outputs) use(v, kAll);
  for (size_t i = function.body.ops.size(); i-- > 0;) visit(*function.body.ops[i]);
}

IntRange UsedRanges::of(const ir::Value* value) const {
  const auto at = used_.find(value);
  return at == used_.end() ? kNone : at->second;
}

void UsedRanges::use(const ir::Value* value, IntRange range) {
  IntRange& all = used_.try_emplace(value, kNone).first->second;
  all = {std::min(all.lo, range.lo), std::max(all.hi, range.hi)};
}

void UsedRanges::visit(const Op& op) {
  for (const auto& block : op.blocks) {
    for (const auto& [v, times] : ir::count_uses(*block)) use(v, kAll);
  }
  IntRange result = kNone;
  for (const ir::Value* v : op.results) {
    const IntRange r = of(v);
    result = {std::min(result.lo, r.lo), std::max(result.hi, r.hi)};
  }
  if (result == kNone) return;  // nobody asks
  const ir::OpDef& def = *op.row->def;
  const bool known = op.deferred == nullptr && op.blocks.empty();
  const ir::Value *x = known ? op.arg("x") : nullptr, *y = known ? op.arg("y") : nullptr;
  const bool binary = op.kind() == ir::Kind::pointwise && x != nullptr && y != nullptr;
  for (size_t p = 0; p < op.args.size(); ++p) {
    for (const ir::Value* v : op.args[p]) {
      if (!known || !is_int(v->dtype())) {
        use(v, kAll);
      } else if (binary && (v == x) != (v == y)) {
        use(v, used_of_binary(op, v == x, result, (v == x ? y : x)->range));
      } else if (p == 0 && (def.reads_type_only || op.is(ir::Kind::sizes))) {
        continue;
      } else if (op.is(Scalar::cast)) {  // to another integer: what it holds passes
        const DType to = op.results[0]->dtype();
        use(v, is_int(to) && result.inside(int_range(to)) && v->range.inside(int_range(to)) ? result : kAll);
      } else if (const auto places = def.places == nullptr ? std::nullopt : def.places(ir::call_of(op), p)) {
        // One place further on both sides, which is as illegal as any beyond it.
        use(v, {moved(places->lo, -1), moved(places->hi, 1)});
      } else {
        const bool chosen = op.is(Scalar::select) && (v == op.arg("a") || v == op.arg("b"));
        use(v, chosen || ops::moves_elements_of(*op.row, p) ? result : kAll);
      }
    }
  }
}

namespace {

// Limits are only useful inside int32, with room for sums.
constexpr int64_t kMost = int64_t{1} << 30;

// How many results of nodes are not proven to fit the widest integer of Core ML.
int unproven(const HostProgram& program) {
  int count = 0;
  const IntRange fits = int_range(DType::i32);
  for (const NodeFacts& node : program.nodes) {
    for (const ir::Value* v : node.outputs) {
      count += v != nullptr && v->dtype() == DType::i64 && !v->is_constant() && !v->range.inside(fits);
    }
  }
  return count;
}

}  // namespace

Result<LowerOptions> with_int_limits(const HostProgram& program, LowerOptions options, const Bounds& bounds) {
  int best = unproven(program);
  if (best == 0) return options;
  const UsedRanges used(program.main());
  const IntRange fits = int_range(DType::i32);
  // Whether the program has no more than `most` such results with the limits of `tried`, which are kept then.
  const auto keeps = [&](LowerOptions tried, int most) -> Result<bool> {
    GRAFT_TRY(const HostProgram limited, lower_for_host(program.model, tried, bounds));
    const int left = unproven(limited);
    if (left > most) return false;
    best = left;
    options = std::move(tried);
    return true;
  };
  LowerOptions by_use = options;
  for (const Node& node : program.model->graph.nodes) {
    const NodeFacts& facts = program.nodes[static_cast<size_t>(node.id)];
    for (size_t i = 0; i < facts.outputs.size(); ++i) {
      const ir::Value* v = facts.outputs[i];
      if (v == nullptr || v->dtype() != DType::i64 || v->producer == nullptr || v->range.inside(fits)) continue;
      const ir::Value* x = v->producer->is(Scalar::cast) ? v->producer->arg("x") : nullptr;
      if (x == nullptr || !is_float(x->dtype())) continue;
      if (const IntRange r = used.of(v); r.inside({-kMost, kMost})) by_use.limits[node.outputs[i]] = r;
    }
  }
  for (const ir::Value* v : program.main().inputs) {
    if (!is_int(v->dtype())) continue;
    const IntRange r = used.of(v);
    if (r.lo <= r.hi && r.inside({-kMost, kMost}) && !v->range.inside(r)) by_use.limits[v->name] = r;
  }
  GRAFT_CHECK(keeps(by_use, best - 1));
  // Small numbers: ids of a vocabulary, positions, counts, masks.
  constexpr int kBits[] = {20, 16, 8};
  const auto small = [](int bits) { return IntRange{-(int64_t{1} << bits), int64_t{1} << bits}; };
  const LowerOptions used_only = options;
  for (const int bits : kBits) {
    if (best == 0) break;
    LowerOptions tried = used_only;
    for (const ir::Value* v : program.main().inputs) {
      if (is_int(v->dtype())) tried.limits.try_emplace(v->name, small(bits));
    }
    GRAFT_CHECK(keeps(std::move(tried), best - 1));
  }
  // Nothing is taken for granted in vain, nor more than it takes.
  for (const ir::Value* v : program.main().inputs) {
    if (!options.limits.contains(v->name)) continue;
    LowerOptions without = options;
    without.limits.erase(v->name);
    GRAFT_TRY(const bool in_vain, keeps(std::move(without), best));
    if (in_vain || used_only.limits.contains(v->name)) continue;
    for (const int bits : kBits) {
      if (options.limits[v->name] == small(bits)) break;
      LowerOptions larger = options;
      larger.limits[v->name] = small(bits);
      GRAFT_TRY(const bool enough, keeps(std::move(larger), best));
      if (enough) break;
    }
  }
  return options;
}

}  // namespace graft::onnx
