// Casts: an element-by-element operator whose result may have any dtype.
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr Variant kCast[] = {
    {Opset::ios15, "x:T; dtype:const string", "T={fp16,fp32,int32,bool}",
     [](const Call& call) -> Status {
       const DType t = dtype_from_name(call.str("dtype"));
       if (DTypes{DType::f16, DType::f32, DType::i32, DType::boolean}.has(t)) return {};
       return fail(Code::unsupported_dtype,
                   format("cast to {} needs iOS17 or does not exist in Core ML", call.str("dtype")));
     }},
    {Opset::ios17, "x:T; dtype:const string", "T={fp16,fp32,int8,uint8,int16,uint16,int32,bool}",
     [](const Call& call) -> Status {
       const DType t = dtype_from_name(call.str("dtype"));
       constexpr DTypes kAll{DType::f16, DType::f32, DType::i8,  DType::u8,
                             DType::i16, DType::u16, DType::i32, DType::boolean};
       if (kAll.has(t)) return {};
       return fail(Code::unsupported_dtype, format("cast to {}, Core ML has {}", call.str("dtype"), kAll.to_string()));
     }},
};

Status cast_type(const Call& call, Types& out) {
  const DType t = dtype_from_name(call.str("dtype"));
  if (!(kNumbers | DTypes{DType::boolean}).has(t))
    return fail(Code::dtype_mismatch, format("cannot cast to '{}'", call.str("dtype")));
  out.push_back(Type::tensor(t, call.in("x").dims()));
  return {};
}

void choose_cast(const Call& call, Pointwise& f) {
  const DType from = call.in("x").dtype(), to = dtype_from_name(call.str("dtype"));
  // A register may hold more than its fp16 tensor does, but a cast is asked to round.
  if (to == DType::f16 && from == DType::f32)
    f.function = Scalar::to_half;
  else
    f.function = to == DType::boolean ? Scalar::truth : Scalar::copy;
}

bool cast_symbolic(const Call& call, Dims& content) {
  const std::optional<Dims> d = call.dims("x");
  const IntRange fits = int_range(dtype_from_name(call.str("dtype")));
  if (!d || !is_int(call.in("x").dtype())) return false;
  for (const Dim& v : *d) {
    // A size beyond int32 exists in no tensor this runs on; a shape's element keeps its symbol through a cast to int32.
    if (v.known() && !IntRange{v.value(), v.value()}.inside(fits)) return false;
  }
  content = *d;
  return true;
}

IntRange cast_range(const Call& call) {
  const IntRange fits = int_range(dtype_from_name(call.str("dtype")));
  const Operand& x = call.in("x");
  // The range of uint64 ends at INT64_MAX, its values may not.
  if (x.dtype() == DType::u64 && x.range.hi == INT64_MAX) return fits;
  const bool saturates = is_float(x.dtype()) && !is_float(dtype_from_name(call.str("dtype")));
  if (!saturates) return x.range.inside(fits) ? x.range : fits;
  // NaN gives 0.
  const auto end = [&](int64_t bound) { return std::clamp(bound, fits.lo, fits.hi); };
  return {std::min<int64_t>(0, end(x.range.lo)), std::max<int64_t>(0, end(x.range.hi))};
}

std::vector<ir::ConstantPtr> cast_lazy(const Call& call, const Types& out) {
  const ir::ConstantPtr x = call.in("x").shared();
  // Float to float only: the values of the others are decided by the reference kernel.
  if (!is_float(x->dtype()) || !kFloats.has(x->dtype()) || !is_float(out[0].dtype)) return {};
  return {ir::Constant::cast(x, out[0].dtype)};
}

// The function does nothing: loads widen, stores round or wrap.
constexpr OpDef cast = [] {
  OpDef def = pointwise(
      {.name = "cast",
       .family = "elementwise_unary",
       .doc =
           "convert to the dtype named by the string; float to integer truncates towards zero, saturates, NaN gives 0",
       .variants = kCast,
       .host = kNumbers | DTypes{DType::boolean},
       .infer = cast_type,
       .symbolic = cast_symbolic,
       .range = cast_range,
       .lazy = cast_lazy},
      of_one<[](auto x) { return x; }, Takes::all>(Scalar::cast));
  def.flops = nullptr;
  def.pointwise.choose = choose_cast;
  def.fp16 = {.steps = true};  // to integers
  return def;
}();

constexpr const OpDef* kRows[] = {&cast};

}  // namespace

Rows cast_rows() { return kRows; }

}  // namespace graft::ops
