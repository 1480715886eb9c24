#include "coreml/mlprogram/defaults.h"

#include <charconv>
#include <optional>

namespace graft::coreml {
namespace {

std::optional<double> number(std::string_view s) {
  double v = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  return error == std::errc() && end == s.data() + s.size() ? std::optional(v) : std::nullopt;
}

// "[1]*S", "[0]*2S" (S: spatial dims), "[0]"
ir::ConstantPtr list(std::string_view s, DType dtype, int x_rank) {
  const size_t close = s.find(']');
  if (close == std::string_view::npos) return nullptr;
  const std::optional<double> v = number(s.substr(1, close - 1));
  const std::string_view times = s.substr(close + 1);
  const int spatial = std::max(0, x_rank - 2);
  const int count = times == "*2S" ? 2 * spatial : times == "*S" ? spatial : times.empty() ? 1 : -1;
  if (!v || count < 0) return nullptr;
  const std::vector<int64_t> values(static_cast<size_t>(count), static_cast<int64_t>(*v));
  return ir::Constant::ints(dtype, values);
}

}  // namespace

ir::ConstantPtr default_constant(const ir::Param& param, DType dtype, int x_rank) {
  const std::string_view s = param.fallback;
  if (s.empty() || s == "none") return nullptr;
  if (s.size() >= 2 && s.front() == '"') return ir::Constant::text(s.substr(1, s.size() - 2));
  if (s == "true" || s == "false") return ir::Constant::int_scalar(DType::boolean, s == "true");
  if (s.front() == '[') return list(s, dtype, x_rank);
  const std::optional<double> v = number(s);
  return v ? ir::Constant::scalar(dtype, *v) : nullptr;
}

DType default_dtype(const ir::Param& param, const ir::Signature& signature, const ir::Call& call) {
  const auto first = [&](DTypes set) {
    for (int t = 1; t < static_cast<int>(DType::count_); ++t) {
      if (set.has(static_cast<DType>(t))) return static_cast<DType>(t);
    }
    return DType::invalid;
  };
  if (param.letter.empty()) return first(param.dtypes);
  DType of_x = DType::invalid;
  for (const ir::Param& p : signature.params) {
    const std::span<const ir::Operand> given = call.all(p.name);
    if (given.empty() || !given[0].type->is_tensor()) continue;
    if (p.letter == param.letter) return given[0].dtype();
    if (p.name == "x") of_x = given[0].dtype();
  }
  return param.dtypes.has(of_x) ? of_x : first(param.dtypes);
}

}  // namespace graft::coreml
