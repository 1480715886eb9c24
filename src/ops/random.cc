// MIL's random family. Core ML's generators are not reproducible outside of it, so only the distribution is: element i
// is a function of the seed and i (splitmix64), the same on every machine and for every split of the work. A seed of
// -1 is one more seed; whoever wants operators to differ gives them different ones.
#include <numbers>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "random";
constexpr std::string_view kFloat = "T={fp16,fp32}";

uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
// Number i of a stream, uniform in [0, 1).
class Stream {
 public:
  explicit Stream(int64_t seed) : key_(mixed(static_cast<uint64_t>(seed) + kStep)) {}
  double at(int64_t i) const {
    return static_cast<double>(mixed(key_ + static_cast<uint64_t>(i + 1) * kStep) >> 11) * 0x1p-53;
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15ull;
  uint64_t key_;
};

// The dtype of the result is that of the distribution's parameters.
template <size_t n>
DType dtype_of(const Call& call, const std::string_view (&params)[n]) {
  for (std::string_view p : params) {
    if (call.has(p)) return call.in(p).dtype();
  }
  return DType::f32;
}

constexpr std::string_view kBernoulliParams[] = {"prob"}, kNormalParams[] = {"mean", "stddev"},
                           kUniformParams[] = {"low", "high"};

template <const auto& params>
Status shaped_type(const Call& call, Types& out) {
  for (std::string_view p : params) GRAFT_CHECK(check_scalar(call, p));
  GRAFT_TRY(Dims dims, dims_of(call, "shape"));
  out.push_back(Type::tensor(dtype_of(call, params), std::move(dims)));
  return {};
}

// y[i] = fn(i), which reads `work` elements.
template <class Fn>
Status generate(const Call& call, Outputs& out, Fn&& fn, int64_t work = 1) {
  GRAFT_CHECK(allocate_outputs(call, out));
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(out[0].dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      ok = true;
      for (int64_t i = 0, n = out[0].count(); i < n && pace.go_on(work); ++i) out[0].as<T>()[i] = narrow<T>(fn(i));
    }
  });
  return ok ? Status{} : no_kernel(call, out[0].dtype);
}

Status bernoulli(const Call& call, Outputs& out) {
  const Stream s(call.i("seed"));
  const double p = call.f("prob");
  return generate(call, out, [&](int64_t i) { return s.at(i) < p ? 1.0 : 0.0; });
}
Status normal(const Call& call, Outputs& out) {
  const Stream s(call.i("seed"));
  const double mean = call.f("mean"), stddev = call.f("stddev");
  return generate(call, out, [&](int64_t i) {  // Box and Muller's transform of two uniform numbers
    const double radius = std::sqrt(-2 * std::log(1 - s.at(2 * i)));
    return mean + stddev * radius * std::cos(2 * std::numbers::pi * s.at(2 * i + 1));
  });
}
Status uniform(const Call& call, Outputs& out) {
  const Stream s(call.i("seed"));
  const double low = call.f("low"), high = call.f("high");
  const bool half = call.in("low").dtype() == DType::f16 || call.in("high").dtype() == DType::f16;
  return generate(call, out, [&](int64_t i) {
    const double v = low + (high - low) * s.at(i);
    // Rounding may reach the upper end, which does not belong to the range.
    const double stored =
        half ? static_cast<double>(static_cast<float>(Half(v))) : static_cast<double>(static_cast<float>(v));
    return stored >= high && high > low ? low : v;
  });
}

Status categorical_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  const std::string_view mode = call.str("mode");
  if (mode != "logits" && mode != "probs")
    return fail(Code::invalid_attribute, format("mode '{}', takes logits or probs", mode));
  const int64_t size = call.i("size");
  if (x.rank() < 1 || x.dims().back() == Dim(0))
    return fail(Code::shape_mismatch, format("no classes in {}", x.type->to_string()));
  if (size < 0 || size > INT32_MAX) return fail(Code::value_out_of_range, format("size is {}", size));
  Dims dims = x.dims();
  dims.back() = Dim(size);
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

// Class k with probability weight(k) / sum: the first whose running sum passes the number drawn.
Status categorical(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const Stream s(call.i("seed"));
  const bool logits = call.str("mode") == "logits";
  const int64_t classes = x.shape.back(), size = call.i("size");
  if (classes < 1 || size < 0) return fail(Code::value_out_of_range, "no classes");
  Shape expect = x.shape;
  expect[x.rank() - 1] = size;
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_CHECK(check_output(call, out[0], expect));
  return generate(
      call, out,
      [&](int64_t i) {
        const int64_t row = i / size * classes;
        double top = 0;
        for (int64_t k = 0; logits && k < classes; ++k) {
          const double v = element_as_double(x, row + k);
          top = k == 0 ? v : std::fmax(top, v);
        }
        const auto weight = [&](int64_t k) {
          const double v = element_as_double(x, row + k);
          return logits ? std::exp(v - top) : v;
        };
        double sum = 0;
        for (int64_t k = 0; k < classes; ++k) sum += weight(k);
        double left = s.at(i) * sum;
        int64_t k = 0;
        for (; k + 1 < classes; ++k) {
          left -= weight(k);
          if (left < 0) break;
        }
        return static_cast<double>(k);
      },
      classes);
}

constexpr OpDef random_row(OpDef def) {
  def.host = kFloats | DTypes{DType::i64};
  def.effects = ir::Effects::random;
  return def;
}

constexpr Variant kBernoulli[] = {{Opset::ios15, "shape:int32; prob?:const T=0.5; seed?:const int32=-1", kFloat}};
constexpr OpDef random_bernoulli = random_row({.name = "random_bernoulli",
                                               .family = kFamily,
                                               .doc = "1 with probability prob, else 0",
                                               .variants = kBernoulli,
                                               .infer = shaped_type<kBernoulliParams>,
                                               .reference = bernoulli});
constexpr Variant kNormal[] = {
    {Opset::ios15, "shape:int32; mean?:const T=0.0; stddev?:const T=1.0; seed?:const int32=-1", kFloat}};
constexpr OpDef random_normal = random_row({.name = "random_normal",
                                            .family = kFamily,
                                            .doc = "normally distributed numbers",
                                            .variants = kNormal,
                                            .infer = shaped_type<kNormalParams>,
                                            .reference = normal});
constexpr Variant kUniform[] = {
    {Opset::ios15, "shape:int32; low?:const T=0.0; high?:const T=1.0; seed?:const int32=-1", kFloat}};
constexpr OpDef random_uniform = random_row({.name = "random_uniform",
                                             .family = kFamily,
                                             .doc = "numbers evenly distributed over low <= y < high",
                                             .variants = kUniform,
                                             .infer = shaped_type<kUniformParams>,
                                             .reference = uniform});
constexpr Variant kCategorical[] = {
    {Opset::ios15, "x:T; mode?:const string=\"logits\"; size?:const int32=1; seed?:const int32=-1", kFloat}};
constexpr OpDef random_categorical = random_row({.name = "random_categorical",
                                                 .family = kFamily,
                                                 .doc = "class indices drawn from logits or probabilities",
                                                 .variants = kCategorical,
                                                 .infer = categorical_type,
                                                 .reference = categorical});

constexpr const OpDef* kRows[] = {&random_bernoulli, &random_normal, &random_uniform, &random_categorical};

}  // namespace

Rows random_rows() { return kRows; }

}  // namespace graft::ops
