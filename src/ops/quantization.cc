// MIL's quantization_ops family: quantize and dequantize at run time, for the whole tensor or along an axis; and the
// same for ONNX's other types and for blocks.
#include "base/store_element.h"
#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "quantization_ops";

// How an element finds its scale and zero point: entry (i / inner) % count, or the only one; with blocks along a dim of
// `size`, the entry of its block.
struct Channels {
  int64_t count = 1, inner = 1, block = 0, size = 1;
  int64_t at(int64_t i) const {
    if (block == 0) return count == 1 ? 0 : i / inner % count;
    const int64_t blocks = (size + block - 1) / block;
    return (i / (inner * size) * blocks + i / inner % size / block) * inner + i % inner;
  }
};

// What ONNX Runtime's division gives: in fp32, unless the number is wider.
double quotient(double x, double scale, bool wide) {
  return wide ? x / scale : static_cast<double>(static_cast<float>(x) / static_cast<float>(scale));
}

Status check_scales(const Call& call) {
  const Operand &x = call.in("input"), &scale = call.in("scale");
  if (scale.rank() > 1) return fail(Code::rank_mismatch, format("scale is {}", scale.type->to_string()));
  if (scale.rank() == 0 || scale.dims()[0] == Dim(1)) return {};
  if (!call.has("axis")) return fail(Code::invalid_model, "a scale for each channel needs an axis");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  if (!ir::never_equal(x.dims()[static_cast<size_t>(axis)], scale.dims()[0])) return {};
  return fail(Code::shape_mismatch, format("scale has {} entries, axis {} of input {}", scale.dims()[0].to_string(),
                                           axis, x.dims()[static_cast<size_t>(axis)].to_string()));
}

// MIL's own, as Apple's tools read them.
Status check_axis(const Call& call) {
  if (call.in("scale").rank() > 0 || !call.has("axis")) return {};
  return fail(Code::invalid_model, "an axis is for a list of scales, and scale is one");
}

Status check_parameters(const Call& call) {
  const Operand& scale = call.in("scale");
  if (scale.rank() > 1) return check_scales(call);
  const ir::Dims& zeros = call.has("zero_point") ? call.in("zero_point").dims() : scale.dims();
  if (zeros.size() != scale.dims().size() || (!zeros.empty() && ir::never_equal(zeros[0], scale.dims()[0]))) {
    return fail(Code::shape_mismatch, format("zero_point is {}, scale is {}", call.in("zero_point").type->to_string(),
                                             scale.type->to_string()));
  }
  return check_scales(call);
}

Result<Channels> channels_of_scale(const Call& call) {
  const TensorView x = call.in("input").value, scale = call.in("scale").value;
  if (scale.count() == 1) return Channels{};
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  if (x.shape[axis] != scale.count())
    return fail(Code::shape_mismatch, format("{} scales for an axis of {}", scale.count(), x.shape[axis]));
  return Channels{scale.count(), x.shape.product(axis + 1, x.rank())};
}

Result<Channels> channels_of(const Call& call) {
  const TensorView scale = call.in("scale").value, zero = call.in("zero_point").value;
  if (call.has("zero_point") && zero.count() != scale.count())
    return fail(Code::shape_mismatch, format("{} zero points, {} scales", zero.count(), scale.count()));
  return channels_of_scale(call);
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
  GRAFT_CHECK(check_axis(call));
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
    const double q = std::nearbyint(quotient(element_as_double(x, i), element_as_double(scale, c), false)) + z;
    const auto v = static_cast<int64_t>(std::fmin(std::fmax(q, lo), hi));  // NaN: lo
    out[0].as<uint8_t>()[i] = static_cast<uint8_t>(v);
  }
  return {};
}

Status dequantize_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_axis(call));
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

// ---- ONNX's forms that MIL does not have --------------------------------------------------------------------------

// Scales: one, one for each place along axis, or one for each block of block_size along it.
Status check_blocks(const Call& call) {
  const Operand &x = call.in("input"), &scale = call.in("scale");
  const int64_t block = call.i("block_size");
  if (block == 0) return check_parameters(call);
  if (block < 0) return fail(Code::value_out_of_range, format("block_size {}, takes 0 or more", block));
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  Dims want = x.dims();
  want[static_cast<size_t>(axis)] = ir::ceil_div(want[static_cast<size_t>(axis)], Dim(block));
  for (const std::string_view p : {"scale", "zero_point"}) {
    if (!call.has(p)) continue;
    const Dims& got = call.in(p).dims();
    bool fits = got.size() == want.size();
    for (size_t d = 0; fits && d < want.size(); ++d) fits = !ir::never_equal(got[d], want[d]);
    if (!fits)
      return fail(Code::shape_mismatch,
                  format("{} is {}, blocks of {} along axis {} of {} take {}", p, ir::to_string(got), block, axis,
                         x.type->to_string(), ir::to_string(want)));
  }
  return scale.rank() == x.rank() ? Status{} : fail(Code::rank_mismatch, "blocks of a scalar");
}

Result<Channels> blocks_of(const Call& call) {
  const int64_t block = call.i("block_size");
  if (block == 0) return channels_of(call);
  const TensorView x = call.in("input").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  for (const std::string_view p : {"scale", "zero_point"}) {
    Shape want = x.shape;
    want[axis] = (want[axis] + block - 1) / block;
    if (call.has(p) && !(call.in(p).value.shape == want))
      return fail(Code::shape_mismatch,
                  format("{} is {}, takes {}", p, to_string(call.in(p).value.shape), to_string(want)));
  }
  return Channels{0, x.shape.product(axis + 1, x.rank()), block, x.shape[axis]};
}

constexpr DTypes kCodes{DType::i8,     DType::u8,         DType::i16,   DType::u16,      DType::i4,
                        DType::u4,     DType::i2,         DType::u2,    DType::f8e4m3fn, DType::f8e4m3fnuz,
                        DType::f8e5m2, DType::f8e5m2fnuz, DType::f4e2m1};

Status codes_type(const Call& call, Types& out) {
  const DType t = dtype_from_name(call.str("output_dtype"));
  if (!kCodes.has(t))
    return fail(Code::invalid_attribute,
                format("output_dtype '{}', takes {}", call.str("output_dtype"), kCodes.to_string()));
  if (call.has("zero_point") && call.in("zero_point").dtype() != t)
    return fail(Code::dtype_mismatch,
                format("output_dtype {} with a zero point of {}", name(t), name(call.in("zero_point").dtype())));
  GRAFT_CHECK(check_blocks(call));
  out.push_back(Type::tensor(t, call.in("input").dims()));
  return {};
}

Status codes_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("input").value, scale = call.in("scale").value, zero = call.in("zero_point").value;
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  GRAFT_TRY(const Channels ch, blocks_of(call));
  const DType t = out[0].dtype;
  const bool real = is_float(t), saturate = call.flag("saturate"), wide = x.dtype == DType::f64;
  const IntRange range = real ? IntRange{} : int_range(t);
  const double lo = static_cast<double>(range.lo), hi = static_cast<double>(range.hi);
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(); ++i) {
    const int64_t c = ch.at(i);
    const double z = call.has("zero_point") ? element_as_double(zero, c) : 0;
    const double q = quotient(element_as_double(x, i), element_as_double(scale, c), wide);
    store_element(out[0], i, real ? q + z : std::fmin(std::fmax(std::nearbyint(q) + z, lo), hi), saturate);
  }
  return {};
}

Status numbers_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_blocks(call));
  out.push_back(Type::tensor(call.in("scale").dtype(), call.in("input").dims()));
  return {};
}

Status numbers_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("input").value, scale = call.in("scale").value, zero = call.in("zero_point").value;
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  GRAFT_TRY(const Channels ch, blocks_of(call));
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(); ++i) {
    const int64_t c = ch.at(i);
    const double z = call.has("zero_point") ? element_as_double(zero, c) : 0;
    const auto v = static_cast<float>(element_as_double(x, i) - z);
    store_element(out[0], i, static_cast<double>(v * static_cast<float>(element_as_double(scale, c))));
  }
  return {};
}

// Sums of products of codes to codes again.
Status requantize_type(const Call& call, Types& out) {
  GRAFT_TRY(const DType t, output_dtype(call));
  GRAFT_CHECK(check_scales(call));
  if (call.has("zero_point") && !call.in("zero_point").dims().empty())
    return fail(Code::rank_mismatch,
                format("zero_point is {}, takes a scalar", call.in("zero_point").type->to_string()));
  out.push_back(Type::tensor(t, call.in("input").dims()));
  return {};
}

Status requantize_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("input").value, scale = call.in("scale").value, zero = call.in("zero_point").value;
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  GRAFT_TRY(const Channels ch, channels_of_scale(call));
  const IntRange range = int_range(out[0].dtype);
  const double z = call.has("zero_point") ? element_as_double(zero, 0) : 0;
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(); ++i) {
    const int64_t c = ch.at(i);
    const float product = static_cast<float>(x.as<int32_t>()[i]) * scale.as<float>()[c];
    const double q = static_cast<double>(std::nearbyint(product)) + z;
    store_element(out[0], i, std::fmin(std::fmax(q, static_cast<double>(range.lo)), static_cast<double>(range.hi)));
  }
  return {};
}

#define GRAFT_CODES "{int8,uint8,int16,uint16,int4,uint4,int2,uint2,fp8e4m3fn,fp8e4m3fnuz,fp8e5m2,fp8e5m2fnuz,fp4e2m1}"

constexpr Variant kHostQuantize[] = {
    {Opset::host,
     "input:T; zero_point?:Q=none; scale:S; axis?:const int32=0; block_size?:const int32=0; output_dtype:const string; "
     "saturate?:const bool=true",
     "T={fp16,fp32,fp64,bf16,int32}; S={fp16,fp32,fp64,bf16}; Q=" GRAFT_CODES}};
constexpr OpDef host_quantize = {.name = "host_quantize",
                                 .family = "host",
                                 .doc =
                                     "ONNX QuantizeLinear: quantize to any type of codes, with one scale, one for each "
                                     "place along axis, or one for each block_size of them",
                                 .variants = kHostQuantize,
                                 .infer = codes_type,
                                 .reference = codes_reference,
                                 .kind = ir::Kind::quantize};
constexpr Variant kHostDequantize[] = {
    {Opset::host, "input:Q; zero_point?:Q=none; scale:S; axis?:const int32=0; block_size?:const int32=0",
     "Q={int8,uint8,int16,uint16,int32,int4,uint4,int2,uint2,fp8e4m3fn,fp8e4m3fnuz,fp8e5m2,fp8e5m2fnuz,fp4e2m1,fp8e8m0}"
     "; "
     "S={fp16,fp32,fp64,bf16}"}};
constexpr OpDef host_dequantize = {
    .name = "host_dequantize",
    .family = "host",
    .doc = "ONNX DequantizeLinear: dequantize of any type of codes, scales as host_quantize",
    .variants = kHostDequantize,
    .infer = numbers_type,
    .reference = numbers_reference,
    .kind = ir::Kind::dequantize};
constexpr Variant kRequantize[] = {{Opset::host,
                                    "input:int32; zero_point?:Q=none; scale:fp32; axis?:const int32=0; "
                                    "output_dtype:const string",
                                    "Q={int8,uint8}"}};
constexpr OpDef host_requantize = {.name = "host_requantize",
                                   .family = "host",
                                   .doc = "clip(round(x * scale) + zero_point) of sums of products of codes, in fp32",
                                   .variants = kRequantize,
                                   .infer = requantize_type,
                                   .reference = requantize_reference,
                                   .kind = ir::Kind::quantize};

constexpr const OpDef* kRows[] = {&quantize, &dequantize, &host_quantize, &host_dequantize, &host_requantize};

}  // namespace

Rows quantization_rows() { return kRows; }

}  // namespace graft::ops
