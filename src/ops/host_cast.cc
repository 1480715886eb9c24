// ONNX casts to the types that MIL's cast does not know.
#include "base/store_element.h"
#include "ops/host_rows.h"
#include "ops/kernel.h"

namespace graft::ops {
namespace {

Status cast_type(const Call& call, Types& out) {
  const DType t = dtype_from_name(call.str("dtype"));
  if (!kSmall.has(t))
    return fail(Code::dtype_mismatch, format("cannot cast to '{}', takes {}", call.str("dtype"), kSmall.to_string()));
  const std::string_view mode = call.str("round_mode");
  if (mode != "up" && mode != "down" && mode != "nearest")
    return fail(Code::invalid_attribute, format("round_mode '{}', takes up, down or nearest", mode));
  out.push_back(Type::tensor(t, call.in("x").dims()));
  return {};
}

// An integer type keeps its lowest bits, of halves rounded away from zero; what no integer is near gives 0.
double wrapped(double v, DType t) {
  const double whole = std::round(v);
  if (!(std::fabs(whole) < 0x1p62)) return 0;
  const auto low = static_cast<int64_t>(static_cast<uint64_t>(static_cast<int64_t>(whole)) << (64 - bits(t)));
  return static_cast<double>(int_range(t).lo < 0 ? low >> (64 - bits(t))
                                                 : static_cast<int64_t>(static_cast<uint64_t>(low) >> (64 - bits(t))));
}

// A power of two: the next above where nothing else is asked for; halfway between two, that above.
double towards(std::string_view mode, double v) {
  if (mode == "up" || !(v > 0x1p-127) || !std::isfinite(v)) return v;
  const double below = std::ldexp(1.0, std::ilogb(v));
  return mode == "down" || v / below < 1.5 ? below : v;
}

Status cast_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const DType t = out[0].dtype;
  const bool saturate = call.flag("saturate"), whole = is_int(t);
  const std::string_view mode = call.str("round_mode");
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(); ++i) {
    double v = whole && is_int(x.dtype) ? static_cast<double>(element_as_int(x, i) & 0xff) : element_as_double(x, i);
    if (whole) v = wrapped(v, t);
    if (t == DType::f8e8m0) {
      v = towards(mode, v);
      if (!saturate && v > 0x1p127) v = NAN;
    }
    store_element(out[0], i, v, saturate);
  }
  return {};
}

constexpr Variant kVariants[] = {
    {Opset::host, "x:T; dtype:const string; saturate?:const bool=true; round_mode?:const string=\"up\"",
     "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64,bool,int4,uint4,int2,uint2}"}};
constexpr OpDef host_cast = {.name = "host_cast",
                             .family = "host",
                             .doc =
                                 "cast to integers of less than a byte, which keep the lowest bits, and to floats of "
                                 "less than two bytes",
                             .variants = kVariants,
                             .infer = cast_type,
                             .reference = cast_reference};

}  // namespace

const OpDef& host_cast_row() { return host_cast; }

}  // namespace graft::ops
