// Normalisations: statistics of a group of elements, then (x - mean) / deviation, then scale and shift. Two passes for
// the statistics: the mean first, then the squares of what differs from it. Longer than most files: one family.
#include "ops/blocks.h"
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr ir::Domain kNorm{.lo = -2, .hi = 2, .tolerance_f32 = 2e-5, .tolerance_f16 = 5e-3};

constexpr OpDef row(std::string_view name, std::string_view doc, std::span<const Variant> variants,
                    Status (*type)(const Call&, Types&), Status (*reference)(const Call&, Outputs&),
                    Kind kind = Kind::kernel) {
  return {.name = name,
          .family = "normalization",
          .doc = doc,
          .variants = variants,
          .host = kFloats,
          .infer = type,
          .reference = reference,
          .domain = kNorm,
          .kind = kind,
          .flops = flops_of_result<5>};
}

Status check_rank(const Call& call, int least) {
  if (call.in("x").rank() >= least) return {};
  return fail(Code::rank_mismatch, format("got x of rank {}, takes rank {} or more", call.in("x").rank(), least));
}

// Core ML's limit, where it is narrower than the operator's meaning.
template <int least, int most>
Status rank_limits(const Call& call) {
  const int rank = call.in("x").rank();
  if (rank >= least && rank <= most) return {};
  return fail(Code::unsupported_rank,
              format("{} of a rank-{} tensor, Core ML takes rank {} to {}", call.row().name(), rank, least, most));
}

// Elements k.. of an optional vector of parameters, or `fallback` where it was left out.
void load_or(const Call& call, std::string_view param, double fallback, int64_t k, int64_t n, double* dst) {
  if (call.has(param))
    load(call.in(param).value, k, 1, n, dst);
  else
    std::fill(dst, dst + n, fallback);
}
double value_or(const Call& call, std::string_view param, double fallback, int64_t k) {
  double v = 0;
  load_or(call, param, fallback, k, 1, &v);
  return v;
}

using Block = std::array<double, kBlock>;

struct Moments {
  double mean = 0, variance = 0;
};

// Of the elements of `group` from `base` on; `x` may be empty then (0 / 0).
Moments moments(const TensorView& x, int64_t base, const Runs& group) {
  const double count = static_cast<double>(group.count());
  Moments m;
  Block v;
  group.each([&](int64_t offset, int64_t stride, int64_t n) {
    load(x, base + offset, stride, n, v.data());
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) m.mean += v[i];
  });
  m.mean /= count;
  group.each([&](int64_t offset, int64_t stride, int64_t n) {
    load(x, base + offset, stride, n, v.data());
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) m.variance += (v[i] - m.mean) * (v[i] - m.mean);
  });
  m.variance /= count;
  return m;
}

// y = (x - mean) * factor + shift over `inner` elements that lie together.
void scale_plane(const TensorView& x, const MutableTensorView& y, int64_t base, int64_t inner, double mean,
                 double factor, double shift, Pace& pace) {
  Block v;
  for (int64_t i = 0; i < inner && pace.go_on(kBlock); i += kBlock) {
    const int64_t n = std::min(kBlock, inner - i);
    load(x, base + i, 1, n, v.data());
    for (size_t k = 0; k < static_cast<size_t>(n); ++k) v[k] = (v[k] - mean) * factor + shift;
    store(y, base + i, 1, n, v.data());
  }
}

// ---- batch_norm, instance_norm ------------------------------------------------------------------------------------

Status batch_norm_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_rank(call, 2));
  const Dims channels{call.in("x").dims()[1]};
  for (const std::string_view param : {"mean", "variance", "gamma", "beta"})
    GRAFT_CHECK(check_shape(call, param, channels));
  return infer_like_x(call, out);
}

Status batch_norm_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const int64_t channels = x.shape[1], inner = x.shape.product(2, x.rank());
  const double epsilon = call.f("epsilon");
  Pace pace = call.pace();
  for (int64_t plane = 0, n = x.shape[0] * channels; plane < n && pace.go_on(); ++plane) {
    const int64_t c = plane % channels;
    const double factor = value_or(call, "gamma", 1, c) / std::sqrt(value_or(call, "variance", 1, c) + epsilon);
    scale_plane(x, out[0], plane * inner, inner, value_or(call, "mean", 0, c), factor, value_or(call, "beta", 0, c),
                pace);
  }
  return {};
}

constexpr Variant kBatchNorm[] = {
    {Opset::ios15,
     "x:T; mean:const T; variance:const T; gamma?:const T=none; beta?:const T=none; epsilon?:const T=1e-05",
     "T={fp16,fp32}", rank_limits<3, 5>},
    {Opset::ios17,
     "x:T; mean:const U; variance:const U; gamma?:const U=none; beta?:const U=none; epsilon?:const U=1e-05",
     "T={fp16,fp32}; U={fp16,fp32}", rank_limits<3, 5>},
};
// x * scale[c] + shift[c]
Status batch_norm_by_channel(const Call& call, std::vector<std::vector<float>>& vectors) {
  vectors.resize(2);
  const double epsilon = call.f("epsilon");
  const auto at = [&](std::string_view param, double fallback, int64_t c) {
    return call.has(param) ? element_as_double(call.in(param).elements(), c) : fallback;
  };
  for (int64_t c = 0, n = call.in("mean").elements().count(); c < n; ++c) {
    const double scale = at("gamma", 1, c) / std::sqrt(at("variance", 1, c) + epsilon);
    vectors[0].push_back(static_cast<float>(scale));
    vectors[1].push_back(static_cast<float>(at("beta", 0, c) - scale * at("mean", 0, c)));
  }
  return {};
}
constexpr OpDef batch_norm = pointwise(
    with_fp16(row("batch_norm", "(x - mean[c]) / sqrt(variance[c] + epsilon) * gamma[c] + beta[c], c along dim 1",
                  kBatchNorm, batch_norm_type, batch_norm_reference),
              {.offsets = true}),
    {.function = Scalar::multiply_add, .by_channel = batch_norm_by_channel});

Status instance_norm_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_rank(call, 3));
  const Dims channels{call.in("x").dims()[1]};
  GRAFT_CHECK(check_shape(call, "gamma", channels));
  GRAFT_CHECK(check_shape(call, "beta", channels));
  return infer_like_x(call, out);
}

Status instance_norm_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const int64_t channels = x.shape[1], inner = x.shape.product(2, x.rank());
  const double epsilon = call.f("epsilon");
  Pace pace = call.pace();
  const Runs group(Shape{inner}, Ints{0}, pace);
  for (int64_t plane = 0, n = x.shape[0] * channels; plane < n && pace.go_on(); ++plane) {
    const int64_t c = plane % channels;
    const Moments m = moments(x, plane * inner, group);
    const double factor = value_or(call, "gamma", 1, c) / std::sqrt(m.variance + epsilon);
    scale_plane(x, out[0], plane * inner, inner, m.mean, factor, value_or(call, "beta", 0, c), pace);
  }
  return {};
}

constexpr Variant kInstanceNorm[] = {
    {Opset::ios15, "x:T; gamma?:const T=none; beta?:const T=none; epsilon?:const T=1e-05", "T={fp16,fp32}",
     rank_limits<3, 4>},
    {Opset::ios17, "x:T; gamma?:const U=none; beta?:const U=none; epsilon?:const U=1e-05",
     "T={fp16,fp32}; U={fp16,fp32}", rank_limits<3, 4>},
};
constexpr OpDef instance_norm =
    with_fp16(row("instance_norm",
                  "each channel of each sample normalised over its spatial dims, times gamma[c], "
                  "plus beta[c]",
                  kInstanceNorm, instance_norm_type, instance_norm_reference, Kind::instance_norm),
              {.offsets = true});

// ---- layer_norm ---------------------------------------------------------------------------------------------------

// In the order given, which is the order of gamma's dims.
Result<Ints> norm_axes(const Call& call) {
  GRAFT_TRY(const Ints axes, given_axes(call));
  for (int i = 0; i < axes.size(); ++i) {
    if (std::find(axes.begin(), axes.begin() + i, axes[i]) != axes.begin() + i)
      return fail(Code::value_out_of_range, format("axis {} is given twice", call.ints("axes")[i]));
  }
  return axes;
}

Status layer_norm_type(const Call& call, Types& out) {
  GRAFT_TRY(const Ints axes, norm_axes(call));
  Dims group;
  for (int64_t a : axes) group.push_back(call.in("x").dims()[static_cast<size_t>(a)]);
  GRAFT_CHECK(check_shape(call, "gamma", group));
  GRAFT_CHECK(check_shape(call, "beta", group));
  return infer_like_x(call, out);
}

Status layer_norm_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const Ints axes, norm_axes(call));
  const double epsilon = call.f("epsilon");
  Pace pace = call.pace();
  const Runs group(x.shape, axes, pace);
  Block v, gamma, beta;
  Runs(x.shape, other_axes(x.rank(), axes), pace).each_element([&](int64_t base) {
    const Moments m = moments(x, base, group);
    const double factor = 1 / std::sqrt(m.variance + epsilon);
    int64_t at = 0;
    group.each([&](int64_t offset, int64_t stride, int64_t n) {
      load(x, base + offset, stride, n, v.data());
      load_or(call, "gamma", 1, at, n, gamma.data());
      load_or(call, "beta", 0, at, n, beta.data());
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) v[i] = (v[i] - m.mean) * factor * gamma[i] + beta[i];
      store(out[0], base + offset, stride, n, v.data());
      at += n;
    });
  });
  return {};
}

constexpr Variant kLayerNorm[] = {
    {Opset::ios15, "x:T; axes?:const int32=all axes; gamma?:const T=none; beta?:const T=none; epsilon?:const T=1e-05",
     "T={fp16,fp32}"},
    {Opset::ios17, "x:T; axes?:const int32=all axes; gamma?:const U=none; beta?:const U=none; epsilon?:const U=1e-05",
     "T={fp16,fp32}; U={fp16,fp32}"},
};
constexpr OpDef layer_norm = with_fp16(
    row("layer_norm", "normalised over axes (none: all), times gamma, plus beta, both of the shape of those axes",
        kLayerNorm, layer_norm_type, layer_norm_reference, Kind::layer_norm),
    {.offsets = true});

// ---- l2_norm, local_response_norm ---------------------------------------------------------------------------------

Status l2_norm_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_rank(call, 3));
  return infer_like_x(call, out);
}

Status l2_norm_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const int64_t inner = x.shape.product(x.rank() - 3, x.rank()), outer = x.shape.product(0, x.rank() - 3);
  const double epsilon = call.f("epsilon");
  Pace pace = call.pace();
  const Runs group(Shape{inner}, Ints{0}, pace);
  Block v;
  for (int64_t at = 0; at < outer && pace.go_on(); ++at) {
    double sum = 0;
    group.each([&](int64_t offset, int64_t stride, int64_t n) {
      load(x, at * inner + offset, stride, n, v.data());
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) sum += v[i] * v[i];
    });
    scale_plane(x, out[0], at * inner, inner, 0, 1 / std::sqrt(sum + epsilon), 0, pace);
  }
  return {};
}

constexpr Variant kL2Norm[] = {
    {Opset::ios15, "x:T; epsilon?:const T=1e-06", "T={fp16,fp32}"},
    {Opset::ios17, "x:T; epsilon?:const U=1e-06", "T={fp16,fp32}; U={fp16,fp32}"},
};
constexpr OpDef l2_norm = with_fp16(row("l2_norm", "x / sqrt(sum of squares over the last three dims + epsilon)",
                                        kL2Norm, l2_norm_type, l2_norm_reference),
                                    {.overflows = true, .offsets = true});

Status local_response_norm_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_rank(call, 3));
  if (call.i("size") < 1) return fail(Code::value_out_of_range, format("size {}, takes 1 or more", call.i("size")));
  return infer_like_x(call, out);
}

Status local_response_norm_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  const int axis = x.rank() - 3;
  const int64_t channels = x.shape[axis], plane = x.shape.product(axis + 1, x.rank()), size = call.i("size");
  const double k = call.f("k"), alpha = call.f("alpha") / static_cast<double>(size), beta = call.f("beta");
  const int64_t before = (size - 1) / 2, after = size - 1 - before;  // of an even size the larger part is behind
  Pace pace = call.pace();
  Block v, sum;
  for (int64_t n = 0; n < x.shape.product(0, axis); ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t first = before < c ? c - before : 0, last = after < channels - 1 - c ? c + after : channels - 1;
      for (int64_t i = 0; i < plane && pace.go_on(kBlock); i += kBlock) {
        const int64_t count = std::min(kBlock, plane - i);
        sum.fill(0);
        for (int64_t j = first; j <= last && pace.go_on(count); ++j) {
          load(x, (n * channels + j) * plane + i, 1, count, v.data());
          for (size_t e = 0; e < static_cast<size_t>(count); ++e) sum[e] += v[e] * v[e];
        }
        load(x, (n * channels + c) * plane + i, 1, count, v.data());
        for (size_t e = 0; e < static_cast<size_t>(count); ++e) v[e] /= std::pow(k + alpha * sum[e], beta);
        store(out[0], (n * channels + c) * plane + i, 1, count, v.data());
      }
    }
  }
  return {};
}

constexpr Variant kLocalResponseNorm[] = {
    {Opset::ios15, "x:T; size:const int32; alpha?:const T=0.0001; beta?:const T=0.75; k?:const T=1.0", "T={fp16,fp32}",
     rank_limits<3, 5>},
    {Opset::ios17, "x:T; size:const int32; alpha?:const U=0.0001; beta?:const U=0.75; k?:const U=1.0",
     "T={fp16,fp32}; U={fp16,fp32}", rank_limits<3, 5>},
};
constexpr OpDef local_response_norm = row(
    "local_response_norm",
    "x / (k + alpha / size * sum of squares of `size` neighbours)^beta, neighbours along the third dim from the end",
    kLocalResponseNorm, local_response_norm_type, local_response_norm_reference);

constexpr const OpDef* kRows[] = {&batch_norm, &instance_norm, &layer_norm, &l2_norm, &local_response_norm};

}  // namespace

Rows normalization_rows() { return kRows; }

}  // namespace graft::ops
