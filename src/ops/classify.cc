// classify, MIL's family of one: what a classifier's program ends with.
#include "ops/lists.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

Status classify_type(const Call& call, Types& out) {
  const Operand &p = call.in("probabilities"), &classes = call.in("classes");
  if (!classes.known()) return fail(Code::needs_constant, "classes must be a constant");
  if (classes.rank() != 1 || !(classes.dtype() == DType::string || classes.dtype() == DType::i64))
    return fail(Code::dtype_mismatch,
                format("takes a list of strings or int64 as classes, got {}", classes.type->to_string()));
  const Dim count = ir::product(p.dims());
  if (classes.dims()[0] == Dim(0) || ir::never_equal(count, classes.dims()[0]))
    return fail(Code::shape_mismatch, format("takes a probability for each of {} classes, got {}",
                                             classes.dims()[0].to_string(), p.type->to_string()));
  const Type label = Type::tensor(classes.dtype(), Shape{});
  out.push_back(label);
  out.push_back(Type::dictionary(label, Type::tensor(DType::f64, Shape{})));
  return {};
}

Status classify_reference(const Call& call, Outputs& out) {
  const TensorView p = call.in("probabilities").value, classes = call.in("classes").elements();
  const int64_t n = p.count();
  if (n < 1 || classes.count() != n)
    return fail(Code::shape_mismatch, format("{} probabilities for {} classes", n, classes.count()));
  GRAFT_TRY(Tensor values, Tensor::allocate(DType::f64, Shape{n}, out.limit()));
  GRAFT_TRY(Tensor keys, Tensor::copy_of(classes, out.limit()));
  int64_t best = 0;
  const std::span<double> each = values.span<double>();
  for (int64_t i = 0; i < n; ++i) {
    const double v = each[static_cast<size_t>(i)] = element_as_double(p, i);
    const double most = each[static_cast<size_t>(best)];
    if (v > most || (std::isnan(most) && !std::isnan(v))) best = i;
  }
  if (classes.dtype == DType::string)
    *out[0].as<std::string>() = classes.as<std::string>()[best];
  else
    *out[0].as<int64_t>() = element_as_int(classes, best);
  GRAFT_TRY(*out[1].as<List>(), List::of({std::move(keys), std::move(values)}, out.limit()));
  return {};
}

constexpr Variant kVariants[] = {{Opset::ios15, "probabilities:fp32; classes:const list", ""}};
constexpr OpDef classify = {
    .name = "classify",
    .family = "classify",
    .doc = "the class of the largest probability, and the probabilities by class: the outputs of a classifier",
    .variants = kVariants,
    .infer = classify_type,
    .reference = classify_reference,
    .kind = ir::Kind::classify};

constexpr const OpDef* kRows[] = {&classify};

}  // namespace

Rows classify_rows() { return kRows; }

}  // namespace graft::ops
