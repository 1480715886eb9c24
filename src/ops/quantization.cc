// MIL's quantization_ops family: quantize and dequantize at run time, for the whole tensor or along an axis.
#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "quantization_ops";

// How an element finds its scale and zero point: entry (i / inner) % count, or the only one.
struct Channels {
  int64_t count = 1, inner = 1;
  int64_t at(int64_t i) const { return count == 1 ? 0 : i / inner % count; }
};

Status check_parameters(const Call& call) {
  const Operand &x = call.in("input"), &scale = call.in("scale");
  if (scale.rank() > 1) return fail(Code::rank_mismatch, format("scale is {}", scale.type->to_string()));
  const ir::Dims& zeros = call.has("zero_point") ? call.in("zero_point").dims() : scale.dims();
  if (zeros.size() != scale.dims().size() || (!zeros.empty() && ir::never_equal(zeros[0], scale.dims()[0]))) {
    return fail(Code::shape_mismatch, format("zero_point is {}, scale is {}", call.in("zero_point").type->to_string(),
                                             scale.type->to_string()));
  }
  if (scale.rank() == 0 || scale.dims()[0] == Dim(1)) return {};
  if (!call.has("axis")) return fail(Code::invalid_model, "a scale for each channel needs an axis");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  if (!ir::never_equal(x.dims()[static_cast<size_t>(axis)], scale.dims()[0])) return {};
  return fail(Code::shape_mismatch, format("scale has {} entries, axis {} of input {}", scale.dims()[0].to_string(),
                                           axis, x.dims()[static_cast<size_t>(axis)].to_string()));
}

Result<Channels> channels_of(const Call& call) {
  const TensorView x = call.in("input").value, scale = call.in("scale").value;
  const TensorView zero = call.in("zero_point").value;
  if (call.has("zero_point") && zero.count() != scale.count())
    return fail(Code::shape_mismatch, format("{} zero points, {} scales", zero.count(), scale.count()));
  if (scale.count() == 1) return Channels{};
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  if (x.shape[axis] != scale.count())
    return fail(Code::shape_mismatch, format("{} scales for an axis of {}", scale.count(), x.shape[axis]));
  return Channels{scale.count(), x.shape.product(axis + 1, x.rank())};
}

Result<DType> output_dtype(const Call& call) {
  const DType t = dtype_from_name(call.str("output_dtype"));
  if (DTypes{DType::i8, DType::u8}.has(t) && (!call.has("zero_point") || call.in("zero_point").dtype() == t)) return t;
  if (call.has("zero_point") && DTypes{DType::i8, DType::u8}.has(t))
    return fail(Code::dtype_mismatch,
                format("output_dtype {} with a zero point of {}", name(t), name(call.in("zero_point").dtype())));
  return fail(Code::invalid_attribute, format("output_dtype '{}', takes int8 or uint8", call.str("output_dtype")));
}

Status quantize_type(const Call& call, Types& out) {
  GRAFT_TRY(const DType t, output_dtype(call));
  GRAFT_CHECK(check_parameters(call));
  out.push_back(Type::tensor(t, call.in("input").dims()));
  return {};
}

Status quantize_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("input").value, scale = call.in("scale").value, zero = call.in("zero_point").value;
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  GRAFT_TRY(const Channels ch, channels_of(call));
  const bool is_signed = out[0].dtype == DType::i8;
  const double lo = is_signed ? -128 : 0, hi = is_signed ? 127 : 255;
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(); ++i) {
    const int64_t c = ch.at(i);
    const double z = call.has("zero_point") ? element_as_double(zero, c) : 0;
    const double q = std::nearbyint(element_as_double(x, i) / element_as_double(scale, c)) + z;
    const int64_t v = std::isnan(q) ? 0 : static_cast<int64_t>(std::fmin(std::fmax(q, lo), hi));
    out[0].as<uint8_t>()[i] = static_cast<uint8_t>(v);
  }
  return {};
}

Status dequantize_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_parameters(call));
  out.push_back(Type::tensor(call.in("scale").dtype(), call.in("input").dims()));
  return {};
}

Status dequantize_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("input").value, scale = call.in("scale").value, zero = call.in("zero_point").value;
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  GRAFT_TRY(const Channels ch, channels_of(call));
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      ok = true;
      for (int64_t i = 0, n = x.count(); i < n && pace.go_on(); ++i) {
        const int64_t c = ch.at(i);
        const double z = call.has("zero_point") ? element_as_double(zero, c) : 0;
        out[0].as<T>()[i] = narrow<T>((element_as_double(x, i) - z) * element_as_double(scale, c));
      }
    }
  });
  return ok ? Status{} : no_kernel(call, out[0].dtype);
}

std::vector<ir::ConstantPtr> dequantized(const Call& call, const Types& out) {
  const Operand& x = call.in("input");
  if (x.rank() == 0) return {};
  const auto axis = normal_axis(call.has("axis") ? call.i("axis") : 0, x.rank());
  if (!axis) return {};
  const ir::ConstantPtr zero = call.has("zero_point") ? call.in("zero_point").shared() : nullptr;
  return {ir::Constant::stored(out[0].dtype, out[0].shape(),
                               ir::form::Affine{x.shared(), call.in("scale").shared(), zero, *axis})};
}

constexpr Variant kQuantize[] = {{Opset::ios17,
                                  "input:SrcT; zero_point?:const DstT=none; scale:const SrcT; axis?:const int32=none; "
                                  "output_dtype:const string",
                                  "SrcT={fp16,fp32}; DstT={uint8,int8}"}};
constexpr OpDef quantize = {.name = "quantize",
                            .family = kFamily,
                            .doc = "clip(round(x / scale) + zero_point), halves to even",
                            .variants = kQuantize,
                            .infer = quantize_type,
                            .reference = quantize_reference,
                            .kind = ir::Kind::quantize};
constexpr Variant kDequantize[] = {{Opset::ios17,
                                    "input:SrcT; zero_point?:const SrcT=none; scale:const DstT; axis?:const int32=none",
                                    "DstT={fp16,fp32}; SrcT={uint8,int8}"}};
constexpr OpDef dequantize = {.name = "dequantize",
                              .family = kFamily,
                              .doc = "scale * (q - zero_point)",
                              .variants = kDequantize,
                              .infer = dequantize_type,
                              .reference = dequantize_reference,
                              .lazy = dequantized,
                              .kind = ir::Kind::dequantize};

constexpr const OpDef* kRows[] = {&quantize, &dequantize};

}  // namespace

Rows quantization_rows() { return kRows; }

}  // namespace graft::ops
