// Activation functions: one operand, the shape of the result that of x. Comparisons are written so that NaN stays NaN.
#include "ops/blocks.h"
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr Variant kPlain[] = {{Opset::ios15, "x:T", "T={fp16,fp32}"}};
constexpr Variant kAlpha[] = {
    {Opset::ios15, "x:T; alpha:const T", "T={fp16,fp32}"},
    {Opset::ios17, "x:T; alpha:const U", "T={fp16,fp32}; U={fp16,fp32}"},
};
constexpr Variant kAlphaBeta[] = {
    {Opset::ios15, "x:T; alpha:const T; beta:const T", "T={fp16,fp32}"},
    {Opset::ios17, "x:T; alpha:const U; beta:const U", "T={fp16,fp32}; U={fp16,fp32}"},
};

constexpr ir::Domain kDomain{.lo = -4, .hi = 4, .tolerance_f32 = 1e-5, .tolerance_f16 = 2e-3};

constexpr OpDef row(std::string_view name, std::string_view doc, std::span<const Variant> variants,
                    const Pointwise& function, DTypes host = kFloats) {
  return pointwise({.name = name,
                    .family = "activation",
                    .doc = doc,
                    .variants = variants,
                    .host = host,
                    .infer = infer_like_x,
                    .domain = kDomain},
                   function);
}

template <auto fn, Scalar function = Scalar::other>
constexpr OpDef plain(std::string_view name, std::string_view doc) {
  return row(name, doc, kPlain, of_one<fn, Takes::floats>(function));
}
// fn(x, alpha, beta)
template <auto fn, Scalar function>
constexpr OpDef with_alpha(std::string_view name, std::string_view doc) {
  return row(name, doc, kAlpha, with_numbers<fn, Takes::floats>(function, "alpha"));
}
template <auto fn, Scalar function>
constexpr OpDef with_alpha_beta(std::string_view name, std::string_view doc) {
  return row(name, doc, kAlphaBeta, with_numbers<fn, Takes::floats>(function, "alpha", "beta"));
}

// ---- without parameters -------------------------------------------------------------------------------------------

constexpr OpDef relu = [] {
  OpDef def = row("relu", "max(x, 0)", kPlain,
                  of_one<[](auto x) { return x < decltype(x){0} ? decltype(x){0} : x; }>(Scalar::relu), kNumbers);
  def.range = [](const Call& call) {
    const IntRange r = call.in("x").range;
    return IntRange{std::max<int64_t>(0, r.lo), std::max<int64_t>(0, r.hi)};
  };
  return with_corners(def);
}();
constexpr OpDef relu6 = [] {
  OpDef def = plain<[](double x) { return x < 0 ? 0 : (x > 6) ? 6 : x; }, Scalar::clip>("relu6", "min(max(x, 0), 6)");
  def.pointwise.numbers = {0, 6};
  return with_corners(def);
}();
constexpr OpDef sigmoid = with_corners(
    plain<[](double x) { return 1 / (1 + std::exp(-x)); }, Scalar::sigmoid>("sigmoid", "1 / (1 + exp(-x))"));
constexpr OpDef silu = plain<[](double x) { return x / (1 + std::exp(-x)); }, Scalar::silu>("silu", "x * sigmoid(x)");
// ln(1 + e^x) without overflow: max(x, 0) + ln(1 + e^-|x|).
double log_one_plus_exp(double x) { return (x < 0 ? 0 : x) + std::log1p(std::exp(-std::abs(x))); }
constexpr OpDef softplus = with_corners(
    with_fp16(plain<[](double x) { return log_one_plus_exp(x); }, Scalar::softplus>("softplus", "ln(1 + exp(x))"),
              {.overflows = true}));
constexpr OpDef softsign =
    with_corners(plain<[](double x) { return x / (1 + std::abs(x)); }, Scalar::softsign>("softsign", "x / (1 + |x|)"));

// ---- scalar parameters --------------------------------------------------------------------------------------------

constexpr OpDef leaky_relu =
    with_alpha<[](double x, double alpha, double) { return x < 0 ? alpha * x : x; }, Scalar::leaky_relu>(
        "leaky_relu", "x where x >= 0, else alpha * x");
constexpr OpDef elu =
    with_alpha<[](double x, double alpha, double) { return x <= 0 ? alpha * std::expm1(x) : x; }, Scalar::elu>(
        "elu", "x where x > 0, else alpha * (exp(x) - 1)");
constexpr OpDef thresholded_relu =
    with_alpha<[](double x, double alpha, double) { return x < alpha ? 0 : x; }, Scalar::thresholded_relu>(
        "thresholded_relu", "x where x >= alpha, else 0");
constexpr OpDef clamped_relu =
    with_alpha_beta<[](double x, double alpha, double beta) {
      const double v = x < 0 ? alpha * x : x;
      return (v > beta) ? beta : v;
    },
                    Scalar::clamped_relu>("clamped_relu", "min(beta, x where x >= 0 else alpha * x)");
constexpr OpDef linear_activation =
    with_alpha_beta<[](double x, double alpha, double beta) { return alpha * x + beta; }, Scalar::linear>(
        "linear_activation", "alpha * x + beta");
constexpr OpDef scaled_tanh =
    with_alpha_beta<[](double x, double alpha, double beta) { return alpha * std::tanh(beta * x); },
                    Scalar::scaled_tanh>("scaled_tanh", "alpha * tanh(beta * x)");
constexpr OpDef sigmoid_hard =
    with_corners(with_alpha_beta<[](double x, double alpha, double beta) {
      const double v = alpha * x + beta;
      return v < 0 ? 0 : (v > 1) ? 1 : v;
    },
                                 Scalar::sigmoid_hard>("sigmoid_hard", "min(max(alpha * x + beta, 0), 1)"));

// ---- gelu ---------------------------------------------------------------------------------------------------------

constexpr double kRootHalf = 0.70710678118654752440, kRootTwoByPi = 0.79788456080286535588;
constexpr auto kGelu = [](double x) { return 0.5 * x * (1 + std::erf(x * kRootHalf)); };
constexpr auto kGeluTanh = [](double x) {
  return 0.5 * x * (1 + std::tanh(kRootTwoByPi * (x + 0.044715 * x * x * x)));
};
constexpr auto kGeluSigmoid = [](double x) { return x / (1 + std::exp(-1.702 * x)); };

Status gelu_type(const Call& call, Types& out) {
  const std::string_view mode = call.str("mode");
  if (mode != "EXACT" && mode != "TANH_APPROXIMATION" && mode != "SIGMOID_APPROXIMATION") {
    return fail(Code::invalid_attribute,
                format("mode '{}', takes EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION", mode));
  }
  return infer_like_x(call, out);
}

void choose_gelu(const Call& call, Pointwise& f) {
  const std::string_view mode = call.str("mode");
  if (mode == "TANH_APPROXIMATION") f = of_one<kGeluTanh, Takes::floats>(Scalar::gelu_tanh);
  if (mode == "SIGMOID_APPROXIMATION") f = of_one<kGeluSigmoid, Takes::floats>(Scalar::gelu_sigmoid);
}

constexpr Variant kGeluVariants[] = {{Opset::ios15, "x:T; mode?:const string=\"EXACT\"", "T={fp16,fp32}"}};
constexpr OpDef gelu = [] {
  OpDef def = row("gelu",
                  "x * the normal distribution's cumulative probability of x; mode EXACT (by erf), TANH_APPROXIMATION "
                  "or SIGMOID_APPROXIMATION (x * sigmoid(1.702 x))",
                  kGeluVariants, of_one<kGelu, Takes::floats>(Scalar::gelu));
  def.infer = gelu_type;
  def.pointwise.choose = choose_gelu;
  return def;
}();

// ---- one parameter a channel --------------------------------------------------------------------------------------

// fn(x, alpha, beta) where the parameters are vectors over dim 1.
template <auto fn>
Status by_channel(const Call& call, Outputs& out, const TensorView& alpha, const TensorView& beta) {
  const TensorView x = call.in("x").value;
  const int64_t channels = x.shape[1], inner = x.shape.product(2, x.rank());
  Pace pace = call.pace();
  std::array<double, kBlock> v;
  for (int64_t plane = 0, n = x.shape[0] * channels; plane < n && pace.go_on(); ++plane) {
    const double a = element_as_double(alpha, plane % channels), b = element_as_double(beta, plane % channels);
    for (int64_t i = 0; i < inner && pace.go_on(kBlock); i += kBlock) {
      const int64_t count = std::min(kBlock, inner - i);
      load(x, plane * inner + i, 1, count, v.data());
      for (size_t k = 0; k < static_cast<size_t>(count); ++k) v[k] = fn(v[k], a, b);
      store(out[0], plane * inner + i, 1, count, v.data());
    }
  }
  return {};
}

Status check_vector(const Call& call, std::string_view param) {
  const Operand &x = call.in("x"), &p = call.in(param);
  if (p.rank() != 1 || ir::never_equal(p.dims()[0], x.dims()[1])) {
    return fail(Code::shape_mismatch, format("got {} of shape {}, takes one number for each of {} channels", param,
                                             ir::to_string(p.dims()), x.dims()[1].to_string()));
  }
  return {};
}

Status by_channel_type(const Call& call, Types& out) {
  if (call.in("x").rank() < 2)
    return fail(Code::rank_mismatch, format("got x of rank {}, takes rank 2 or more", call.in("x").rank()));
  GRAFT_CHECK(check_vector(call, "alpha"));
  if (call.row().param_index("beta") >= 0) GRAFT_CHECK(check_vector(call, "beta"));
  return infer_like_x(call, out);
}

// Core ML runs a rank-3 or rank-5 prelu only when it is a leaky_relu in disguise.
Status prelu_limits(const Call& call) {
  const int rank = call.in("x").rank();
  if (rank < 3 || rank > 5)
    return fail(Code::unsupported_rank, format("prelu of a rank-{} tensor, Core ML takes rank 3 to 5", rank));
  const TensorView alpha = call.in("alpha").elements();
  for (int64_t i = 1; rank != 4 && i < alpha.count(); ++i) {
    if (element_as_double(alpha, i) != element_as_double(alpha, 0)) {
      return fail(Code::unsupported_rank,
                  format("prelu of a rank-{} tensor with differing alphas, Core ML takes rank 4", rank));
    }
  }
  return {};
}

constexpr Variant kPrelu[] = {
    {Opset::ios15, "x:T; alpha:const T", "T={fp16,fp32}", prelu_limits},
    {Opset::ios17, "x:T; alpha:const U", "T={fp16,fp32}; U={fp16,fp32}", prelu_limits},
};
// fn(x, alpha[c]) or fn(x, alpha[c], beta[c])
template <auto fn, int kParams>
constexpr OpDef of_channels(std::string_view name, std::string_view doc, std::span<const Variant> variants,
                            Scalar function) {
  OpDef def = row(name, doc, variants, {.function = function, .kernels = kernels_of<fn, Takes::floats, 1 + kParams>()});
  def.infer = by_channel_type;
  def.reference = [](const Call& call, Outputs& out) -> Status {
    const TensorView alpha = call.in("alpha").value;
    constexpr auto kFn = [](double x, double a, double b) {
      if constexpr (kParams == 1)
        return (void)b, fn(x, a);
      else
        return fn(x, a, b);
    };
    return by_channel<kFn>(call, out, alpha, kParams == 1 ? alpha : call.in("beta").value);
  };
  def.pointwise.by_channel = [](const Call& call, std::vector<std::vector<float>>& vectors) -> Status {
    for (const std::string_view param : {"alpha", "beta"}) {
      if (static_cast<int>(vectors.size()) == kParams) break;
      const TensorView v = call.in(param).elements();
      std::vector<float>& list = vectors.emplace_back();
      for (int64_t i = 0; i < v.count(); ++i) list.push_back(static_cast<float>(element_as_double(v, i)));
    }
    return {};
  };
  return def;
}

constexpr OpDef prelu = of_channels<[](double x, double a) { return x <= 0 ? a * x : x; }, 1>(
    "prelu", "x where x > 0, else alpha[c] * x, c along dim 1", kPrelu, Scalar::prelu);
constexpr OpDef softplus_parametric = with_fp16(
    of_channels<[](double x, double a, double b) { return a * log_one_plus_exp(b * x); }, 2>(
        "softplus_parametric", "alpha[c] * ln(1 + exp(beta[c] * x)), c along dim 1", kAlphaBeta, Scalar::other),
    {.overflows = true});

// ---- softmax ------------------------------------------------------------------------------------------------------

Status softmax_type(const Call& call, Types& out) {
  GRAFT_CHECK(normal_axis(call.i("axis"), call.in("x").rank()));
  return infer_like_x(call, out);
}

Status softmax_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  Pace pace = call.pace();
  const Runs along(x.shape, Ints{axis}, pace);
  std::array<double, kBlock> v;
  Runs(x.shape, other_axes(x.rank(), Ints{axis}), pace).each_element([&](int64_t base) {
    double largest = -INFINITY, sum = 0;
    const auto each = [&](auto fn) {
      along.each([&](int64_t offset, int64_t stride, int64_t n) {
        load(x, base + offset, stride, n, v.data());
        fn(base + offset, stride, n);
      });
    };
    each(
        [&](int64_t, int64_t, int64_t n) { largest = std::max(largest, *std::max_element(v.begin(), v.begin() + n)); });
    each([&](int64_t, int64_t, int64_t n) {
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) sum += std::exp(v[i] - largest);
    });
    each([&](int64_t offset, int64_t stride, int64_t n) {
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) v[i] = std::exp(v[i] - largest) / sum;
      store(out[0], offset, stride, n, v.data());
    });
  });
  return {};
}

constexpr Variant kSoftmax[] = {{Opset::ios15, "x:T; axis?:const int32=-1", "T={fp16,fp32}"}};
constexpr OpDef softmax = {.name = "softmax",
                           .family = "activation",
                           .doc = "exp(x - max) / sum of the same, along one axis",
                           .variants = kSoftmax,
                           .host = kFloats,
                           .infer = softmax_type,
                           .reference = softmax_reference,
                           .range =
                               [](const Call&) {
                                 return IntRange{0, 1};
                               },
                           .domain = kDomain,
                           .kind = Kind::softmax,
                           .flops = flops_of_result<5>};

constexpr const OpDef* kRows[] = {
    &relu,
    &relu6,
    &sigmoid,
    &silu,
    &softplus,
    &softsign,
    &leaky_relu,
    &elu,
    &thresholded_relu,
    &clamped_relu,
    &scaled_tanh,
    &sigmoid_hard,
    &gelu,
    &prelu,
    &softplus_parametric,
    &softmax,
    &linear_activation,
};

}  // namespace

Rows activation_rows() { return kRows; }

}  // namespace graft::ops
