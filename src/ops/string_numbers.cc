// Numbers as strings and back, as ONNX Cast says and ONNX Runtime writes them.
#include <charconv>
#include <cmath>

#include "base/format.h"
#include "base/store_element.h"
#include "ir/constant_stream.h"
#include "ops/host_rows.h"
#include "ops/kernel.h"

namespace graft::ops {
namespace {

constexpr std::string_view kNumberTypes =
    "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64,bool}";

// Eight digits, which is what fp32 needs at most times to be told from its neighbours; more are not in ONNX's text.
std::string written(const TensorView& x, int64_t i) {
  if (x.dtype == DType::u64) return format("{}", x.as<uint64_t>()[i]);
  if (!is_float(x.dtype)) return format("{}", element_as_int(x, i));
  const double v = element_as_double(x, i);
  if (std::isnan(v)) return "NaN";
  return std::isinf(v) ? (v < 0 ? "-INF" : "INF") : format("{:.8g}", v);
}

Status to_string_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(8); ++i) out[0].as<std::string>()[i] = written(x, i);
  return {};
}

constexpr Variant kToString[] = {{Opset::host, "x:T", kNumberTypes}};
constexpr OpDef host_to_string = {
    .name = "host_to_string",
    .family = "host",
    .doc = "numbers in decimal: floats with up to 8 digits, INF, -INF and NaN; bools as 1 and 0",
    .variants = kToString,
    .infer = [](const Call& call, Types& out) -> Status {
      out.push_back(Type::tensor(DType::string, call.in("x").dims()));
      return {};
    },
    .reference = to_string_reference};

// What stands at the beginning, after white space and a sign; what follows is not looked at.
struct Spelled {
  std::string_view digits;
  bool negative = false;
};
Spelled spelled(std::string_view s) {
  s.remove_prefix(std::min(s.find_first_not_of(" \t\n\v\f\r"), s.size()));
  const bool negative = s.starts_with('-');
  if (negative || s.starts_with('+')) s.remove_prefix(1);
  return {s, negative};
}

std::optional<double> read_real(std::string_view s) {
  auto [digits, negative] = spelled(s);
  const bool hex = digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
  if (hex) digits.remove_prefix(2);
  double v = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), v,
                                            hex ? std::chars_format::hex : std::chars_format::general);
  if (error != std::errc()) return std::nullopt;
  return negative ? -v : v;
}

// As 64 bits, negative ones in two's complement. Unsigned types take a sign too, as C's own functions do.
std::optional<uint64_t> read_int(std::string_view s, bool is_signed) {
  const auto [digits, negative] = spelled(s);
  uint64_t v = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), v);
  constexpr uint64_t kEnd = uint64_t{1} << 63;
  if (error != std::errc() || (is_signed && v >= kEnd + (negative ? 1 : 0))) return std::nullopt;
  return negative ? uint64_t{0} - v : v;
}

Status from_string_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const DType t = out[0].dtype;
  Pace pace = call.pace();
  for (int64_t i = 0, n = x.count(); i < n && pace.go_on(8); ++i) {
    const std::string& s = x.as<std::string>()[i];
    const auto wrong = [&] {
      return fail(Code::value_out_of_range, format("element {} is '{}', which is no {}", i, s.substr(0, 40), name(t)));
    };
    if (is_float(t)) {
      const std::optional<double> v = read_real(s);
      if (!v) return wrong();
      store_element(out[0], i, *v, false);
    } else {
      const std::optional<uint64_t> v = read_int(s, is_int(t) && int_range(t).lo < 0);
      if (!v) return wrong();
      ir::store_element(t, out[0].data, i, *v == 0 ? 0 : 1, static_cast<int64_t>(*v));
    }
  }
  return {};
}

constexpr Variant kFromString[] = {{Opset::host, "x:T; dtype:const string", "T={string}"}};
constexpr OpDef host_from_string = {
    .name = "host_from_string",
    .family = "host",
    .doc = "the number at the beginning of each string, in decimal; floats in hex too, INF and NaN in any case",
    .variants = kFromString,
    .infer = [](const Call& call, Types& out) -> Status {
      const DType t = dtype_from_name(call.str("dtype"));
      const bool number =
          t == DType::boolean || ((is_int(t) || is_float(t)) && item_size(t) != 0 && t != DType::f8e8m0);
      if (!number || (is_float(t) && bits(t) < 16))
        return fail(Code::dtype_mismatch, format("no strings are read as '{}'", call.str("dtype")));
      out.push_back(Type::tensor(t, call.in("x").dims()));
      return {};
    },
    .reference = from_string_reference};

constexpr const OpDef* kRows[] = {&host_to_string, &host_from_string};

}  // namespace

Rows string_numbers_rows() { return kRows; }

}  // namespace graft::ops
