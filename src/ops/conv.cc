// conv and conv_transpose, 1-D to 3-D. Both are one loop over windows: a result is the sum over taps (kernel positions)
// and input channels of weight times the input element that the tap sees; the two differ in which element that is.
#include "ops/blocks.h"
#include "ops/host_rows.h"
#include "ops/table.h"
#include "ops/window.h"

namespace graft::ops {
namespace {

constexpr ir::Domain kDot{.lo = -1, .hi = 1, .tolerance_f32 = 2e-5, .tolerance_f16 = 5e-3};

// ---- inference ----------------------------------------------------------------------------------------------------

bool kernel_known(const Call& call) {
  const Dims& w = call.in("weight").dims();
  return ir::all_known(Dims(w.begin() + 2, w.end()));
}

// x, weight and bias fit together; `outputs` is the number of output channels.
Status check_operands(const Call& call, const Dim& inputs, const Dim& outputs) {
  const Operand &x = call.in("x"), &w = call.in("weight");
  if (ir::never_equal(x.dims()[1], inputs)) {
    return fail(Code::shape_mismatch,
                format("got x with {} channels, weight {} in {} groups takes {}", x.dims()[1].to_string(),
                       ir::to_string(w.dims()), call.i("groups"), inputs.to_string()));
  }
  const int64_t groups = call.i("groups");
  for (const Dim* d : {&inputs, &outputs}) {
    if (d->known() && d->value() % groups != 0) {
      return fail(Code::shape_mismatch, format("got weight {}: {} channels do not divide into {} groups",
                                               ir::to_string(w.dims()), d->value(), groups));
    }
  }
  if (call.has("bias")) {
    const Operand& bias = call.in("bias");
    if (bias.rank() != 1 || ir::never_equal(bias.dims()[0], outputs)) {
      return fail(Code::shape_mismatch,
                  format("got bias of shape {}, takes [{}]", ir::to_string(bias.dims()), outputs.to_string()));
    }
  }
  return {};
}

Result<Window> conv_window(const Call& call) {
  const Operand &x = call.in("x"), &w = call.in("weight");
  GRAFT_CHECK(check_spatial(x));
  if (w.rank() != x.rank()) {
    return fail(Code::rank_mismatch, format("got weight of rank {}, takes rank {} as x has", w.rank(), x.rank()));
  }
  const int64_t groups = call.i("groups");
  if (groups < 1) return fail(Code::value_out_of_range, format("groups {}, takes 1 or more", groups));
  // Kernel sizes that only a run tells are 1 here: what is read then does not depend on them.
  Ints kernel;
  for (size_t d = 2; d < w.dims().size(); ++d) kernel.push_back(w.dims()[d].known() ? w.dims()[d].value() : 1);
  return read_window(call, kernel);
}

Status conv_dims(const Call& call, Dims& dims) {
  GRAFT_TRY(const Window window, conv_window(call));
  const Operand &x = call.in("x"), &w = call.in("weight");
  GRAFT_CHECK(check_operands(call, w.dims()[1] * Dim(call.i("groups")), w.dims()[0]));
  dims = {x.dims()[0], w.dims()[0]};
  if (kernel_known(call)) return append_window_dims(window, x.dims(), dims);
  for (int d = 0; d < window.spatial; ++d) dims.push_back(call.fresh({0, INT64_MAX}));
  return {};
}

Status conv_type(const Call& call, Types& out) {
  Dims dims;
  GRAFT_CHECK(conv_dims(call, dims));
  out.push_back(Type::tensor(call.in("x").dtype(), std::move(dims)));
  return {};
}

Status conv_transpose_type(const Call& call, Types& out) {
  GRAFT_TRY(const Window window, conv_window(call));
  const Operand &x = call.in("x"), &w = call.in("weight");
  const Dim channels = w.dims()[1] * Dim(call.i("groups"));
  GRAFT_CHECK(check_operands(call, w.dims()[0], channels));
  Dims dims{x.dims()[0], channels};
  for (int d = 0; d < window.spatial; ++d) {
    if (!kernel_known(call)) {
      dims.push_back(call.fresh({0, INT64_MAX}));
      continue;
    }
    dims.push_back(window.transposed_out(d, x.dims()[static_cast<size_t>(d) + 2]));
    if (dims.back().range().hi < 1 && !call.has("output_shape"))
      return fail(Code::shape_mismatch, format("padding leaves nothing of spatial dim {}", d));
  }
  if (call.has("output_shape")) {
    const std::optional<Dims> want = call.dims("output_shape");
    if (!want) return fail(Code::dynamic_shape, "output_shape must be known");
    bool ok = want->size() == dims.size();
    for (size_t d = 0; ok && d < dims.size(); ++d)
      ok = d < 2 ? !ir::never_equal((*want)[d], dims[d]) : (*want)[d].range().hi >= 1;
    if (!ok) {
      return fail(Code::shape_mismatch, format("got output_shape {}, takes {} with other positive spatial sizes",
                                               ir::to_string(*want), ir::to_string(dims)));
    }
    dims = *want;
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

// ---- the loop -----------------------------------------------------------------------------------------------------

using Three = std::array<int64_t, kMaxSpatial>;  // spatial sizes, 1 in front of those that are missing

Three spatial_sizes(const Shape& shape) {
  Three t{1, 1, 1};
  const int lead = kMaxSpatial + 2 - shape.size();
  for (int d = 2; d < shape.size(); ++d) t[static_cast<size_t>(lead + d - 2)] = shape[d];
  return t;
}

struct Geometry {
  Three in, out, kernel, stride{1, 1, 1}, dilation{1, 1, 1}, before{0, 0, 0};
  bool transposed;

  Geometry(const Window& w, const Shape& x, const Shape& y, bool is_transposed)
      : in(spatial_sizes(x)), out(spatial_sizes(y)), kernel{1, 1, 1}, transposed(is_transposed) {
    for (int d = 0; d < w.spatial; ++d) {
      const size_t i = static_cast<size_t>(kMaxSpatial - w.spatial + d);
      kernel[i] = w.kernel[d];
      stride[i] = w.stride[d];
      dilation[i] = w.dilation[d];
      before[i] = transposed ? w.transposed_before(d, in[i], out[i]) : w.before(d, in[i]);
    }
  }

  // The position along dim d that `tap` sees from `at`, or -1 if it lies outside or between the elements.
  int64_t source(size_t d, int64_t at, int64_t tap) const {
    int64_t i = transposed ? at + before[d] - tap * dilation[d] : at * stride[d] - before[d] + tap * dilation[d];
    if (transposed) {
      if (i < 0 || i % stride[d] != 0) return -1;
      i /= stride[d];
    }
    return i < 0 || i >= in[d] ? -1 : i;
  }

  // For the results first.. of a plane: the element of the input plane that the tap sees, or -1.
  void sources(int64_t first, int64_t count, int64_t tap, int64_t* index) const {
    const int64_t kz = tap / (kernel[1] * kernel[2]), ky = tap / kernel[2] % kernel[1], kx = tap % kernel[2];
    int64_t z = first / (out[1] * out[2]), y = first / out[2] % out[1], x = first % out[2];
    int64_t iz = source(0, z, kz), iy = source(1, y, ky);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t ix = source(2, x, kx);
      index[i] = iz < 0 || iy < 0 || ix < 0 ? -1 : (iz * in[1] + iy) * in[2] + ix;
      if (++x < out[2]) continue;
      x = 0;
      if (++y == out[1]) {
        y = 0;
        iz = source(0, ++z, kz);
      }
      iy = source(1, y, ky);
    }
  }
};

struct Weights {
  TensorView t;
  int64_t group_step, in_step, out_step;  // per group, input channel, output channel; taps lie together
};

// What counts as zero, of elements and of weights (null: 0): one, or one for each output channel.
struct Zeros {
  double x = 0;
  const TensorView* weights = nullptr;
  double of_channel(int64_t c) const {
    return weights == nullptr ? 0 : element_as_double(*weights, weights->count() == 1 ? 0 : c);
  }
};

Status run(const Call& call, const MutableTensorView& y, const Geometry& g, const Weights& w, int64_t groups,
           const Zeros& zeros = {}) {
  using T = Tile<double>;
  const TensorView x = call.in("x").value;
  const bool has_bias = call.has("bias");
  const TensorView bias = has_bias ? call.in("bias").value : TensorView();
  const int64_t ins = x.shape[1] / groups, outs = y.shape[1] / groups;
  const int64_t in_plane = x.shape.product(2, x.rank()), out_plane = y.shape.product(2, y.rank());
  const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  Pace pace = call.pace();
  T tile;
  std::array<int64_t, T::kCols> index;
  for (int64_t n = 0; n < x.shape[0]; ++n) {
    for (int64_t group = 0; group < groups; ++group) {
      for (int64_t first = 0; first < out_plane && pace.go_on(); first += T::kCols) {
        const int64_t width = std::min<int64_t>(T::kCols, out_plane - first);
        for (int64_t oc = 0; oc < outs; oc += T::kRows) {
          const int height = static_cast<int>(std::min<int64_t>(T::kRows, outs - oc));
          tile.clear();
          for (int64_t tap = 0; tap < taps && pace.go_on(ins * T::kCols); ++tap) {
            g.sources(first, width, tap, index.data());
            for (int64_t ic = 0; ic < ins; ++ic) {
              gather(x, (n * x.shape[1] + group * ins + ic) * in_plane, index.data(), width, tile.row.data());
              load(w.t, group * w.group_step + ic * w.in_step + oc * w.out_step + tap, w.out_step, height,
                   tile.a.data());
              if (zeros.x != 0) {
                for (size_t i = 0; i < static_cast<size_t>(width); ++i) {
                  if (index[i] >= 0) tile.row[i] -= zeros.x;
                }
              }
              if (zeros.weights != nullptr) {
                for (int r = 0; r < height; ++r)
                  tile.a[static_cast<size_t>(r)] -= zeros.of_channel(group * outs + oc + r);
              }
              tile.add_product(height);
            }
          }
          for (int r = 0; r < height; ++r) {
            std::array<double, T::kCols>& sums = tile.acc[static_cast<size_t>(r)];
            const int64_t channel = group * outs + oc + r;
            if (has_bias) {
              const double b = element_as_double(bias, channel);
              for (double& v : sums) v += b;
            }
            store(y, (n * y.shape[1] + channel) * out_plane + first, 1, width, sums.data());
          }
        }
      }
    }
  }
  return {};
}

Status convolve(const Call& call, const MutableTensorView& y, const Zeros& zeros) {
  GRAFT_TRY(const Window window, conv_window(call));
  const TensorView w = call.in("weight").value;
  const int64_t groups = call.i("groups"), taps = w.shape.product(2, w.rank());
  const int64_t per_output = w.shape[1] * taps;
  const Weights weights{w, w.shape[0] / groups * per_output, taps, per_output};
  return run(call, y, Geometry(window, call.in("x").value.shape, y.shape, false), weights, groups, zeros);
}

Status conv_reference(const Call& call, Outputs& out) { return convolve(call, out[0], {}); }

// ---- of codes -----------------------------------------------------------------------------------------------------

Status integer_conv_type(const Call& call, Types& out) {
  Dims dims;
  GRAFT_CHECK(conv_dims(call, dims));
  for (const std::string_view p : {"x_zero_point", "weight_zero_point"}) {
    if (!call.has(p)) continue;
    const Dims& d = call.in(p).dims();
    const bool one = d.empty() || d == Dims{Dim(1)};
    const bool each = p == "weight_zero_point" && d.size() == 1 && !ir::never_equal(d[0], dims[1]);
    if (!one && !each)
      return fail(Code::shape_mismatch, format("{} is {}, takes one number{}", p, call.in(p).type->to_string(),
                                               p == "weight_zero_point" ? " or one for each output channel" : ""));
  }
  out.push_back(Type::tensor(DType::i32, std::move(dims)));
  return {};
}

// Sums of products of codes are exact in double.
Status integer_conv_reference(const Call& call, Outputs& out) {
  Zeros zeros;
  TensorView weights;
  if (call.has("x_zero_point")) zeros.x = element_as_double(call.in("x_zero_point").value, 0);
  if (call.has("weight_zero_point")) {
    weights = call.in("weight_zero_point").value;
    zeros.weights = &weights;
    if (weights.count() != 1 && weights.count() != out[0].shape[1])
      return fail(Code::shape_mismatch, format("{} zero points for {} channels", weights.count(), out[0].shape[1]));
  }
  return convolve(call, out[0], zeros);
}

Status conv_transpose_reference(const Call& call, Outputs& out) {
  GRAFT_TRY(const Window window, conv_window(call));
  const TensorView w = call.in("weight").value;
  const int64_t groups = call.i("groups"), taps = w.shape.product(2, w.rank());
  const int64_t per_input = w.shape[1] * taps;
  const Weights weights{w, w.shape[0] / groups * per_input, per_input, taps};
  return run(call, out[0], Geometry(window, call.in("x").value.shape, out[0].shape, true), weights, groups);
}

// ---- limits and rows ----------------------------------------------------------------------------------------------

Status kernel_limit(const Call& call) {
  if (kernel_known(call)) return {};
  return fail(Code::dynamic_shape, format("weight {} has an unknown kernel size", call.in("weight").type->to_string()));
}

// A weight that a run computes is taken only without dilation.
Status dynamic_weight_limit(const Call& call) {
  GRAFT_CHECK(kernel_limit(call));
  if (call.in("weight").constant) return {};
  for (int64_t d : call.ints("dilations")) {
    if (d != 1)
      return fail(Code::needs_constant,
                  format("weight must be a constant with dilations {}", to_string(call.ints("dilations"))));
  }
  return {};
}

Status conv_limits_ios15(const Call& call) {
  if (call.str("pad_type") == "same_lower")
    return fail(Code::needs_later_target, "pad_type same_lower does not exist in iOS15, custom does");
  return dynamic_weight_limit(call);
}

constexpr std::string_view kConvInputs15 =
    "x:T; weight:T; bias?:const T=none; strides?:const int32=[1]*S; pad_type?:const string=\"valid\"; "
    "pad?:const int32=[0]*2S; dilations?:const int32=[1]*S; groups?:const int32=1";
constexpr std::string_view kConvInputs17 =
    "x:T; weight:U; bias?:U=none; strides?:const int32=[1]*S; pad_type?:const string=\"valid\"; "
    "pad?:const int32=[0]*2S; dilations?:const int32=[1]*S; groups?:const int32=1";
constexpr Variant kConv[] = {
    {Opset::ios15, kConvInputs15, "T={fp16,fp32}", conv_limits_ios15},
    {Opset::ios16, kConvInputs15, "T={fp16,fp32}", dynamic_weight_limit},
    {Opset::ios17, kConvInputs17, "T={fp16,fp32}; U={fp16,fp32}", dynamic_weight_limit},
};
// Each element meets all elements of one filter.
double filtered(double elements, const Call& call, const ir::SizeOf& size) {
  const Dims& w = call.in("weight").dims();
  return 2 * elements * size(w) / std::max(1.0, size({w[0]}));
}
double conv_flops(const Call& call, const Type& result, const ir::SizeOf& size) {
  return filtered(size(result.dims), call, size);
}
double conv_transpose_flops(const Call& call, const Type&, const ir::SizeOf& size) {
  return filtered(size(call.in("x").dims()), call, size);
}

constexpr OpDef conv = {.name = "conv",
                        .family = "conv",
                        .doc =
                            "1-D to 3-D cross-correlation; weight [out, in / groups, kernel...]; pad_type valid, "
                            "custom (pad holds before, after for each dim), same (the odd element behind) or "
                            "same_lower (in front)",
                        .variants = kConv,
                        .host = kFloats,
                        .infer = conv_type,
                        .reference = conv_reference,
                        .domain = kDot,
                        .kind = ir::Kind::convolution,
                        .flops = conv_flops};

Status conv_transpose_limits(const Call& call) {
  GRAFT_CHECK(kernel_limit(call));
  if (call.str("pad_type") != "same_lower") return {};
  return fail(Code::unsupported_attribute, "conv_transpose has no pad_type same_lower in Core ML, it has custom");
}

constexpr Variant kConvTranspose[] = {
    {Opset::ios15,
     "x:T; weight:const T; bias?:const T=none; pad?:const int32=[0]*2S; output_shape?:const int32=none; "
     "pad_type?:const string=\"valid\"; strides?:const int32=[1]*S; dilations?:const int32=[1]*S; "
     "groups?:const int32=1",
     "T={fp16,fp32}", conv_transpose_limits},
    {Opset::ios17,
     "x:T; weight:U; bias?:U=none; pad?:const int32=[0]*2S; output_shape?:const int32=none; "
     "pad_type?:const string=\"valid\"; strides?:const int32=[1]*S; dilations?:const int32=[1]*S; "
     "groups?:const int32=1",
     "T={fp16,fp32}; U={fp16,fp32}", conv_transpose_limits},
};
constexpr OpDef conv_transpose = {.name = "conv_transpose",
                                  .family = "conv",
                                  .doc =
                                      "the transpose of conv: each element adds its window to the result; weight "
                                      "[in, out / groups, kernel...]; pad cuts the result's ends, output_shape "
                                      "(all dims) says its size where strides leave a choice",
                                  .variants = kConvTranspose,
                                  .host = kFloats,
                                  .infer = conv_transpose_type,
                                  .reference = conv_transpose_reference,
                                  .domain = kDot,
                                  .kind = ir::Kind::transposed_convolution,
                                  .flops = conv_transpose_flops};

constexpr Variant kIntegerConv[] = {
    {Opset::host,
     "x:T; x_zero_point?:T=none; weight:U; weight_zero_point?:U=none; bias?:int32=none; strides?:const int32=[1]*S; "
     "pad_type?:const string=\"valid\"; pad?:const int32=[0]*2S; dilations?:const int32=[1]*S; groups?:const int32=1",
     "T={int8,uint8}; U={int8,uint8}"}};
constexpr OpDef host_integer_conv = {.name = "host_integer_conv",
                                     .family = "host",
                                     .doc =
                                         "ONNX ConvInteger: conv of x - x_zero_point with weight - weight_zero_point, "
                                         "plus bias, in int32",
                                     .variants = kIntegerConv,
                                     .infer = integer_conv_type,
                                     .reference = integer_conv_reference,
                                     .kind = ir::Kind::integer_convolution,
                                     .flops = conv_flops};

constexpr const OpDef* kRows[] = {&conv, &conv_transpose};

}  // namespace

Rows conv_rows() { return kRows; }
const OpDef& host_integer_conv_row() { return host_integer_conv; }

}  // namespace graft::ops
