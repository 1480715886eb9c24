#include "passes/casts.h"

#include "passes/match.h"
#include "passes/rewriter.h"

namespace graft::passes {

bool holds_all(DType from, IntRange range, DType to) {
  if (from == to) return true;
  if (from == DType::boolean) return is_float(to) || is_int(to);
  if (is_int(from) && is_int(to)) return range.inside(int_range(to)) && from != DType::u64;
  if (is_int(from)) {
    const int digits = significand_digits(to);
    const int64_t counted = int64_t{1} << digits;
    return digits > 0 && range.inside({-counted, counted});
  }
  if (from == DType::f16 || from == DType::bf16) return to == DType::f32 || to == DType::f64;
  return from == DType::f32 && to == DType::f64;
}

namespace {

std::optional<Values> join(Rewriter& rewriter, const Op& op) {
  Value* x = op.arg("x");
  const DType to = op.result()->dtype();
  if (x->dtype() == to) return Values{x};
  const Op* inner = made_by(x, Scalar::cast);
  if (inner == nullptr) return std::nullopt;
  Value* source = inner->arg("x");
  if (!holds_all(source->dtype(), source->range, x->dtype())) return std::nullopt;
  if (source->dtype() == to) return Values{source};
  // Floats saturate on the way to an integer, integers wrap.
  if (is_int(source->dtype()) && is_float(x->dtype()) && is_int(to) && !source->range.inside(int_range(to)))
    return std::nullopt;
  return Values{rewriter.build().cast(source, to)};
}

}  // namespace

Result<int> join_casts(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  return rewriter.run([&](Op& op) { return op.is(Scalar::cast) ? join(rewriter, op) : std::nullopt; });
}

}  // namespace graft::passes
