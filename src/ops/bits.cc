// The bits of integers: ONNX's operators, which MIL does not have.
#include <cstring>

#include "ops/moving.h"
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kTypes = "T={int8,int16,int32,int64,uint8,uint16,uint32,uint64}";
constexpr Variant kOne[] = {{Opset::host, "x:T", kTypes}};
constexpr Variant kTwo[] = {{Opset::host, "x:T; y:T", kTypes}};

template <auto fn>
constexpr OpDef bits(std::string_view name, std::string_view doc) {
  return pointwise({.name = name, .family = "host", .doc = doc, .variants = kTwo, .infer = infer_broadcast},
                   of_two<fn, Takes::integers>(Scalar::other));
}

// Values are as wide as they get here: what a shift moves beyond the width of their dtype is lost when they are stored.
constexpr auto kShiftLeft = []<class W>(W x, W by) {
  const auto n = static_cast<uint64_t>(by), v = static_cast<uint64_t>(x);
  return static_cast<W>(n < 64 ? v << n : 0);
};
constexpr auto kShiftRight = []<class W>(W x, W by) {
  const auto n = static_cast<uint64_t>(by);
  if (n < 64) return static_cast<W>(x >> n);
  return static_cast<W>(x < W{0} ? -1 : 0);
};

constexpr OpDef and_ = bits<[](auto x, auto y) { return x & y; }>("host_bitwise_and", "the bits that x and y have");
constexpr OpDef or_ = bits<[](auto x, auto y) { return x | y; }>("host_bitwise_or", "the bits that x or y has");
constexpr OpDef xor_ = bits<[](auto x, auto y) { return x ^ y; }>("host_bitwise_xor", "the bits that x or y alone has");
constexpr OpDef left = bits<kShiftLeft>("host_shift_left", "x * 2^y: zeros come in; y counts as unsigned");
constexpr OpDef right =
    bits<kShiftRight>("host_shift_right", "x / 2^y, rounded down: the sign's bit comes in; y counts as unsigned");
constexpr OpDef not_ = pointwise({.name = "host_bitwise_not",
                                  .family = "host",
                                  .doc = "the bits that x lacks",
                                  .variants = kOne,
                                  .infer = infer_like_x},
                                 of_one<[](auto x) { return ~x; }, Takes::integers>(Scalar::other));

// ---- host_bit_cast ------------------------------------------------------------------------------------------------

Status bit_cast_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  const DType to = dtype_from_name(call.str("dtype"));
  if (to == DType::invalid || to == DType::string || item_size(to) == 0 || item_size(to) != item_size(x.dtype()))
    return fail(Code::dtype_mismatch, format("the bits of {} are none of '{}'", name(x.dtype()), call.str("dtype")));
  out.push_back(Type::tensor(to, x.dims()));
  return {};
}
constexpr Variant kBitCast[] = {{Opset::host, "x:T; dtype:const string",
                                 "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64,bool}"}};
constexpr OpDef bit_cast = {.name = "host_bit_cast",
                            .family = "host",
                            .doc = "ONNX BitCast: the same bits, read as another dtype of their width",
                            .variants = kBitCast,
                            .infer = bit_cast_type,
                            .reference = [](const Call& call, Outputs& out) -> Status {
                              const TensorView x = call.in("x").value;
                              GRAFT_CHECK(check_output(call, out[0], x.shape));
                              if (const size_t n = x.bytes(); n > 0) std::memcpy(out[0].data, x.data, n);
                              return {};
                            }};

constexpr const OpDef* kRows[] = {&and_, &or_, &xor_, &not_, &left, &right, &bit_cast};

}  // namespace

Rows bits_rows() { return kRows; }

}  // namespace graft::ops
