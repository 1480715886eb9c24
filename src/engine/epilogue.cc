#include "engine/epilogue.h"

namespace graft::engine {
namespace {

using Part = Epilogue::Part;

// Operators that are one part.
struct Absorbed {
  Part part;
  std::vector<int> nodes;
  int result;
};

// The function that this operator applies to its `x`, if the kernel has it.
std::optional<Absorbed> function_of(const Selection& s, int n, const EpilogueAbilities& kernel) {
  if (s.node(n).op->kind() != ir::Kind::pointwise) return std::nullopt;
  const ir::Call call = s.call(n);
  const ir::Pointwise f = ir::pointwise_of(call);
  const Part part{Part::Kind::function, f.function, static_cast<float>(f.numbers[0]), static_cast<float>(f.numbers[1])};
  if (call.error() || !kernel.has(part)) return std::nullopt;
  if (!kernel.keeps_nan(part) && !s.may_drop_nan()) return std::nullopt;
  return Absorbed{part, {n}, s.node(n).results[0]};
}

// The function applied to `value` by its only use, or by x * f(x).
std::optional<Absorbed> function_behind(const Selection& s, int value, const EpilogueAbilities& kernel) {
  if (const int n = s.sole_consumer(value); n >= 0)
    return s.arg(n, "x") == value ? function_of(s, n, kernel) : std::nullopt;
  const PlanValue& v = s.value(value);
  if (v.kept || v.consumers.size() != 2) return std::nullopt;
  for (const int n : v.consumers) {
    std::optional<Absorbed> f = function_of(s, n, kernel);
    if (!f) continue;
    f->part.times_x = true;
    const int product = s.sole_consumer(f->result);
    if (!kernel.has(f->part) || product < 0 || !s.node(product).op->is(ir::Scalar::mul)) continue;
    const int a = s.arg(product, "x"), b = s.arg(product, "y");
    if (!((a == value && b == f->result) || (b == value && a == f->result))) continue;
    f->nodes.push_back(product);
    f->result = s.node(product).results[0];
    return f;
  }
  return std::nullopt;
}

// The other operand of an addition that is the only use of `value` and has its shape; -1 if there is none.
int added_to(const Selection& s, int value, int& node) {
  node = s.sole_consumer(value);
  if (node < 0 || !s.node(node).op->is(ir::Scalar::add)) return -1;
  const int a = s.arg(node, "x"), b = s.arg(node, "y");
  const int other = a == value ? b : a;
  if (other == value || !s.available(other) || s.value(other).dtype() != s.value(value).dtype()) return -1;
  return s.value(other).shape == s.value(value).shape ? other : -1;
}

bool dies_in_sum(const Selection& s, int other, const std::vector<int>& head_in) {
  const PlanValue& v = s.value(other);
  return v.where == PlanValue::Where::computed && v.root == other && v.consumers.size() == 1 && !v.kept &&
         v.copies.empty() && v.dtype() == DType::f32 &&
         std::find(head_in.begin(), head_in.end(), other) == head_in.end();
}

}  // namespace

Epilogue only_head(int head, int result) {
  Epilogue e;
  e.nodes = {head};
  e.result = result;
  return e;
}

Epilogue absorb(const Selection& s, int head, int result, const std::vector<int>& head_in, bool by_sum,
                const EpilogueAbilities& kernel) {
  Epilogue e = only_head(head, result);
  constexpr size_t kMost = 4;
  while (s.fusing() && e.parts.size() < kMost) {
    if (const auto f = function_behind(s, e.result, kernel)) {
      e.parts.push_back(f->part);
      e.nodes.insert(e.nodes.end(), f->nodes.begin(), f->nodes.end());
      e.result = f->result;
      continue;
    }
    int node = -1;
    const int other = added_to(s, e.result, node);
    if (other < 0) break;
    if (by_sum && e.added.empty() && dies_in_sum(s, other, head_in)) e.sum = true;
    e.added_at.push_back(static_cast<int>(e.parts.size()));
    e.parts.push_back({e.sum && e.added.empty() ? Part::Kind::sum : Part::Kind::add});
    e.added.push_back(other);
    e.nodes.push_back(node);
    e.result = s.node(node).results[0];
  }
  return e;
}

}  // namespace graft::engine
