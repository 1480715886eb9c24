// Matrix products.
#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

Values matmul(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1);
  return {b.matmul(x, y)};
}

// A number times x; integers take whole factors only.
Value* scaled(NodeView& n, OpBuilder& b, Value* x, double factor, std::string_view what) {
  if (factor == 1) return x;
  if (!is_float(x->dtype()) && factor != static_cast<double>(static_cast<int64_t>(factor)))
    return n.refuse(Code::unsupported_attribute,
                    format("{} {} on {}, takes a whole number", what, factor, name(x->dtype())));
  return b.scale(x, factor);
}

constexpr Lowering kRows[] = {
    {"", "MatMul", kSince<1, 9, 13>, "A B -> Y", matmul},
    {"", "Gemm", kSince<1, 6, 7, 9, 11, 13>, "A B C<11 C?@11 -> Y; alpha beta broadcast<7 transA transB", gemm},
    {"", "Det", kSince<11, 22>, "X -> Y", same_unary<"host_det">, "on the host only"},
};

}  // namespace

// alpha * op(A) * op(B) + beta * C. A constant B takes alpha: it is folded then. (`linear` is made by a pass.)
Values gemm(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *w = n.in(1), *c = n.optional_in(2);
  if (x->rank() != 2 || w->rank() != 2)
    return {n.refuse(Code::rank_mismatch,
                     format("got {} and {}, takes two matrices", x->type.to_string(), w->type.to_string()))};
  const double alpha = n.f("alpha", 1), beta = n.f("beta", 1);
  if (w->is_constant()) w = scaled(n, b, w, alpha, "alpha");
  const bool scale_result = n.in(1) == w;
  Value* y =
      b.emit("matmul", {{"x", x}, {"y", w}, {"transpose_x", n.flag("transA")}, {"transpose_y", n.flag("transB")}});
  if (scale_result) y = scaled(n, b, y, alpha, "alpha");
  if (c == nullptr || beta == 0) return {y};
  if (c->rank() > 2) return {n.refuse(Code::rank_mismatch, format("C is {}, takes rank 0 to 2", c->type.to_string()))};
  return {b.add(y, scaled(n, b, c, beta, "beta"))};
}

LoweringRows linear_lowerings() { return kRows; }

}  // namespace graft::onnx
