// The operators of ai.onnx.ml that stand around networks: labels, thresholds, columns. Classical models have none here.
#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

constexpr std::string_view kDomain = "ai.onnx.ml";

Values binarizer(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return {b.cast(b.binary("greater", x, b.like(x, n.f("threshold", 0))), x->dtype())};
}

// Columns of X, in the order of Y; a list is one row.
Values array_feature_extractor(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1);
  const Dim count = ir::product(y->dims());
  if (x->rank() == 0) return {n.refuse(Code::rank_mismatch, "X is a scalar, takes rows of features")};
  Value* indices = b.reshape(y, Dims{count});
  const Dim rows = x->rank() == 1 ? Dim(1) : x->dim(0);
  if (x->rank() > 2)
    return {n.refuse(Code::rank_mismatch, format("X has rank {}, takes a list or rows of features", x->rank()))};
  Value* picked =
      with_indices(n, b, indices, x, x->rank() - 1, [&](Value* at) { return b.gather(x, at, x->rank() - 1); });
  return {b.reshape(picked, Dims{rows, count})};
}

// Keys or values: a tensor, or a list of one of three types.
ir::ConstantPtr entries(NodeView& n, std::string_view what) {
  const auto named = [&](std::string_view kind) { return format("{}_{}", what, kind); };
  if (const Attribute* a = n.attr(named("tensor")); a != nullptr && a->type == Attribute::Type::tensor) return a->t;
  if (n.has_attr(named("strings"))) return list_constant(DType::string, n.strings(named("strings")));
  if (n.has_attr(named("int64s"))) return list_constant(DType::i64, n.ints(named("int64s")));
  if (n.has_attr(named("floats"))) {
    const std::vector<double> v = n.floats(named("floats"));
    return list_constant(DType::f32, std::vector<float>(v.begin(), v.end()));
  }
  return nullptr;
}

// What a key that is not there becomes.
ir::ConstantPtr fallback(NodeView& n, DType t) {
  if (const Attribute* a = n.attr("default_tensor"); a != nullptr && a->type == Attribute::Type::tensor) return a->t;
  if (t == DType::string) return ir::Constant::text(n.s("default_string", "_Unused"));
  if (is_int(t)) return ir::Constant::int_scalar(t, n.has_attr("default_int64") ? n.i("default_int64", 0) : -1);
  return ir::Constant::scalar(t, n.f("default_float", -0.0));
}

Values label_encoder(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (!b.ok()) return {n.refused()};
  const ir::ConstantPtr keys = entries(n, "keys"), values = entries(n, "values");
  if (keys == nullptr || values == nullptr || keys->count() != values->count())
    return {n.refuse(Code::invalid_attribute, format("{} keys and {} values", keys == nullptr ? 0 : keys->count(),
                                                     values == nullptr ? 0 : values->count()))};
  const ir::ConstantPtr other = fallback(n, values->dtype());
  if (other->count() != 1 || other->dtype() != values->dtype())
    return {n.refuse(Code::invalid_attribute,
                     format("a default of {} for values of {}", name(other->dtype()), name(values->dtype())))};
  const auto list = [&](const ir::ConstantPtr& c) { return b.constant(ir::Constant::reshape(c, Shape{c->count()})); };
  return {b.emit("host_label_encoder", {{"x", x},
                                        {"keys", list(keys)},
                                        {"values", list(values)},
                                        {"default", b.constant(ir::Constant::reshape(other, Shape{}))}})};
}

constexpr Lowering kRows[] = {
    {kDomain, "Binarizer", kSince<1>, "X -> Y; threshold", binarizer},
    {kDomain, "ArrayFeatureExtractor", kSince<1>, "X Y -> Z", array_feature_extractor},
    {kDomain, "LabelEncoder", kSince<2, 4>,
     "X -> Y; default_float default_int64 default_string default_tensor@4 keys_floats keys_int64s keys_strings "
     "keys_tensor@4 values_floats values_int64s values_strings values_tensor@4",
     label_encoder, "on the host only"},
};

}  // namespace

LoweringRows ml_lowerings() { return kRows; }

}  // namespace graft::onnx
