// Pooling: a reduction of each window of each channel. Padding is what the window leaves out: a maximum never sees it,
// an average counts it or not, as told.
#include "ops/kernel.h"
#include "ops/table.h"
#include "ops/window.h"

namespace graft::ops {
namespace {

Status pool_type(const Call& call, Types& out) {
  GRAFT_TRY(const Window window, pool_window(call));
  const Operand& x = call.in("x");
  Dims dims{x.dims()[0], x.dims()[1]};
  GRAFT_CHECK(append_window_dims(window, x.dims(), dims));
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

// One window: `inside` elements of the input, `padded` elements with the padding around it.
template <class W>
struct Maximum {
  W best = std::is_same_v<W, double> ? W(-INFINITY) : std::numeric_limits<W>::lowest();
  void add(W v) {
    if (v > best || is_nan(v)) best = v;
  }
  W result(int64_t, int64_t, bool) const { return best; }
};
template <class W>
struct Average {
  double sum = 0;
  void add(W v) { sum += static_cast<double>(v); }
  double result(int64_t inside, int64_t padded, bool exclude_padding) const {
    const int64_t n = exclude_padding ? inside : padded;
    return n == 0 ? 0 : sum / static_cast<double>(n);
  }
};
template <class W>
struct Length {
  double squares = 0;
  void add(W v) { squares += static_cast<double>(v) * static_cast<double>(v); }
  double result(int64_t, int64_t, bool) const { return std::sqrt(squares); }
};

// Where a window meets the input along one dim, and how much of it is input or padding. With ceil_mode the last window
// may reach beyond the padding: that part counts for nothing.
struct Span {
  int64_t first, last, padded;  // [first, last)
};
Span span_of(const Window& w, int d, int64_t in, int64_t at) {
  const int64_t before = w.before(d, in), start = at * w.stride[d] - before;
  const int64_t end = start + w.kernel[d];
  return {std::max<int64_t>(0, start), std::min(in, end), std::min(end, in + w.after(d, in)) - start};
}

template <template <class> class Accumulator, class T>
void pool(const TensorView& x, const MutableTensorView& y, const Window& window, bool exclude_padding, Pace pace) {
  // Missing spatial dims are in front, of size 1.
  std::array<int64_t, kMaxSpatial> in{1, 1, 1}, out{1, 1, 1};
  const int lead = kMaxSpatial - window.spatial;
  for (int d = 0; d < window.spatial; ++d) {
    in[static_cast<size_t>(lead + d)] = x.shape[d + 2];
    out[static_cast<size_t>(lead + d)] = y.shape[d + 2];
  }
  const auto span = [&](int d, int64_t at) {
    return d < lead ? Span{0, 1, 1} : span_of(window, d - lead, in[static_cast<size_t>(d)], at);
  };
  T* dst = y.as<T>();
  for (int64_t plane = 0, n = x.shape[0] * x.shape[1]; plane < n; ++plane) {
    const T* src = x.as<T>() + plane * in[0] * in[1] * in[2];
    for (int64_t oz = 0; oz < out[0]; ++oz) {
      const Span sz = span(0, oz);
      for (int64_t oy = 0; oy < out[1] && pace.go_on(out[2]); ++oy) {
        const Span sy = span(1, oy);
        for (int64_t ox = 0; ox < out[2]; ++ox) {
          const Span sx = span(2, ox);
          Accumulator<Wide<T>> a;
          int64_t inside = 0;
          for (int64_t z = sz.first; z < sz.last; ++z) {
            for (int64_t v = sy.first; v < sy.last && pace.go_on(sx.last - sx.first); ++v) {
              for (int64_t u = sx.first; u < sx.last; ++u, ++inside) a.add(widen(src[(z * in[1] + v) * in[2] + u]));
            }
          }
          *dst++ = narrow<T>(a.result(inside, sz.padded * sy.padded * sx.padded, exclude_padding));
        }
      }
    }
  }
}

template <template <class> class Accumulator, bool integers>
Status pool_reference(const Call& call, Outputs& out) {
  GRAFT_TRY(const Window window, pool_window(call));
  constexpr std::string_view kExclude = "exclude_padding_from_average";
  const bool exclude = call.row().param_index(kExclude) >= 0 && call.flag(kExclude);
  const TensorView x = call.in("x").value;
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T> || (integers && !std::is_same_v<T, bool>)) {
      ok = true;
      pool<Accumulator, T>(x, out[0], window, exclude, call.pace());
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

// ceil_mode is taken for 1-D and 2-D with symmetric padding.
Status ceil_limits(const Call& call) {
  if (!call.flag("ceil_mode")) return {};
  if (call.in("x").rank() > 4)
    return fail(Code::unsupported_attribute, "ceil_mode in 3-D, Core ML takes it in 1-D and 2-D");
  const Ints pad = call.str("pad_type") == "custom" ? call.ints("pad") : Ints();
  for (int d = 0; d + 1 < pad.size(); d += 2) {
    if (pad[d] != pad[d + 1]) {
      return fail(Code::unsupported_attribute,
                  format("ceil_mode with pad {}, Core ML takes equal padding before and after", to_string(pad)));
    }
  }
  return {};
}
Status pool_limits_ios15(const Call& call) {
  if (call.str("pad_type") == "same_lower")
    return fail(Code::needs_later_target, "pad_type same_lower does not exist in iOS15, custom does");
  return ceil_limits(call);
}

Status l2_limits(const Call& call) {
  if (call.in("x").rank() > 4)
    return fail(Code::unsupported_rank,
                format("l2_pool of a rank-{} tensor, Core ML takes rank 3 and 4", call.in("x").rank()));
  return ceil_limits(call);
}
Status l2_limits_ios15(const Call& call) {
  GRAFT_CHECK(pool_limits_ios15(call));
  return l2_limits(call);
}

constexpr std::string_view kAverageInputs =
    "exclude_padding_from_average?:const bool=false; x:T; kernel_sizes:const int32; strides?:const int32=[1]*S; "
    "pad_type:const string; pad?:const int32=[0]*2S; ceil_mode?:const bool=false";
constexpr std::string_view kPoolInputs =
    "x:T; kernel_sizes:const int32; strides?:const int32=[1]*S; pad_type:const string; pad?:const int32=[0]*2S; "
    "ceil_mode?:const bool=false";
constexpr std::string_view kPoolDomains = "T={fp16,fp32}";
// iOS16 has the same parameters with one more pad_type.
constexpr Variant kAverage[] = {{Opset::ios15, kAverageInputs, kPoolDomains, pool_limits_ios15},
                                {Opset::ios16, kAverageInputs, kPoolDomains, ceil_limits}};
constexpr Variant kMaximum[] = {{Opset::ios15, kPoolInputs, kPoolDomains, pool_limits_ios15},
                                {Opset::ios16, kPoolInputs, kPoolDomains, ceil_limits}};
constexpr Variant kLength[] = {{Opset::ios15, kPoolInputs, kPoolDomains, l2_limits_ios15},
                               {Opset::ios16, kPoolInputs, kPoolDomains, l2_limits}};

// One for each element of each window.
double pool_flops(const Call& call, const Type& result, const ir::SizeOf& size) {
  double window = 1;
  if (call.known("kernel_sizes")) {
    for (int64_t k : call.ints("kernel_sizes")) window *= static_cast<double>(k);
  }
  return size(result.dims) * window;
}

constexpr OpDef row(std::string_view name, std::string_view doc, std::span<const Variant> variants, DTypes host,
                    Status (*reference)(const Call&, Outputs&), ir::Kind kind = ir::Kind::kernel) {
  return {.name = name,
          .family = "pool",
          .doc = doc,
          .variants = variants,
          .host = host,
          .infer = pool_type,
          .reference = reference,
          .domain = {.lo = -2, .hi = 2, .tolerance_f32 = 1e-5, .tolerance_f16 = 2e-3},
          .kind = kind,
          .flops = pool_flops};
}

constexpr OpDef avg_pool =
    row("avg_pool", "mean of each window; padding counts as zeros unless exclude_padding_from_average", kAverage,
        kFloats, pool_reference<Average, false>, ir::Kind::average_pool);
constexpr OpDef max_pool = row("max_pool", "maximum of each window; padding never wins, NaN does", kMaximum, kNumbers,
                               pool_reference<Maximum, true>, ir::Kind::max_pool);
constexpr OpDef l2_pool =
    row("l2_pool", "square root of the sum of squares of each window", kLength, kFloats, pool_reference<Length, false>);

constexpr const OpDef* kRows[] = {&avg_pool, &max_pool, &l2_pool};

}  // namespace

Rows pool_rows() { return kRows; }

}  // namespace graft::ops
