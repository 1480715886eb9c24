#include "ops/op_builder.h"

#include <algorithm>
#include <limits>

#include "ops/kernel.h"

namespace graft::ops {

std::optional<std::vector<int64_t>> constant_shape(const Dims& from, const Dims& to) {
  std::vector<int64_t> shape;
  int open = 0;
  for (const Dim& d : to) {
    if (d == Dim(0)) return std::nullopt;
    open += d.known() ? 0 : 1;
    shape.push_back(d.known() ? d.value() : -1);
  }
  if (open > 1 || (open == 1 && !ir::always_equal(ir::product(from), ir::product(to)))) return std::nullopt;
  return shape;
}

Value* OpBuilder::like(const Value* x, double v) {
  if (x->poison) return function().poison();
  if (!(kNumbers | DTypes{DType::boolean}).has(x->dtype()))
    return refuse(Code::dtype_mismatch, format("got {}, takes numbers", name(x->dtype())));
  if (is_float(x->dtype())) return scalar(x->dtype(), v);
  return constant(ir::Constant::int_scalar(x->dtype(), static_cast<int64_t>(v)));
}

namespace {
double largest_finite(DType t) {
  switch (t) {
    case DType::f16: return 65504;
    case DType::bf16: return 0x1.fep127;
    case DType::f32: return std::numeric_limits<float>::max();
    default: return std::numeric_limits<double>::max();
  }
}
}  // namespace

Value* OpBuilder::clamp(Value* x, Value* lo, Value* hi) {
  if (target().host() && is_float(x->dtype())) {
    const double largest = largest_finite(x->dtype());
    if (lo == nullptr) lo = like(x, -largest);
    if (hi == nullptr) hi = like(x, largest);
  }
  const auto number = [](const Value* v) { return element_as_double(v->constant->view(), 0); };
  const bool constant = lo != nullptr && hi != nullptr && lo->is_constant() && hi->is_constant();
  if (constant && is_float(x->dtype()) && number(lo) < number(hi))
    return emit("clip", {{"x", x}, {"alpha", lo}, {"beta", hi}});
  if (lo == nullptr && hi == nullptr) return identity(x);
  if (lo != nullptr) x = maximum(x, lo);
  return hi == nullptr ? x : minimum(x, hi);
}

Value* OpBuilder::transpose(Value* x, const Ints& perm) {
  bool moves = false;
  for (int i = 0; i < perm.size(); ++i) moves |= perm[i] != i;
  return moves ? emit("transpose", {{"x", x}, {"perm", perm}}) : x;
}

Value* OpBuilder::reshape(Value* x, const Dims& dims, std::span<Value* const> hints) {
  if (x->poison || x->dims() == dims) return x;
  if (std::optional<std::vector<int64_t>> shape = constant_shape(x->dims(), dims))
    return emit("reshape", {{"x", x}, {"shape", std::move(*shape)}});
  const Type type = Type::tensor(x->dtype(), dims);
  if (type.is_static() && ir::product(x->dims()) == Dim(0) && ir::product(dims) == Dim(0))
    return constant(ir::Constant::of(Tensor(type.dtype, type.shape())));  // nothing is left to compute
  Value* own[] = {x};
  Value* shape = dims_value(dims, hints.empty() ? own : hints);
  const auto of_any_size = [&] { return emit("host_reshape", {{"x", x}, {"shape", shape}, {"allowzero", true}}); };
  if (std::find(dims.begin(), dims.end(), Dim(0)) != dims.end()) return of_any_size();
  return first_of(of_any_size, [&] { return reshape(x, shape); });
}

}  // namespace graft::ops
