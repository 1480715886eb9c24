// host_grid_sample and host_deform_columns: images and volumes read at places that data names, as ONNX has it and MIL
// has not. Places and sums are in double.
#include "ops/sampling.h"

#include "ops/moving.h"
#include "ops/table.h"
#include "ops/window.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFloatTypes = "T={fp16,fp32,fp64,bf16}; U={fp16,fp32,fp64,bf16}";

// ---- host_grid_sample ---------------------------------------------------------------------------------------------

enum class Mode : uint8_t { nearest, linear, cubic };
struct GridSample {
  Mode mode;
  Outside outside;
  bool align_corners;
};

Result<GridSample> grid_sample_of(const Call& call) {
  GridSample g{};
  const std::string_view mode = call.str("mode"), padding = call.str("padding_mode");
  g.align_corners = call.flag("align_corners");
  if (mode == "nearest")
    g.mode = Mode::nearest;
  else if (mode == "linear")
    g.mode = Mode::linear;
  else if (mode == "cubic")
    g.mode = Mode::cubic;
  else
    return fail(Code::invalid_attribute, format("mode '{}', takes nearest, linear or cubic", mode));
  if (padding == "zeros")
    g.outside = Outside::constant;
  else if (padding == "border")
    g.outside = Outside::border;
  else if (padding == "reflection")
    g.outside = g.align_corners ? Outside::reflection : Outside::symmetric;
  else
    return fail(Code::invalid_attribute, format("padding_mode '{}', takes zeros, border or reflection", padding));
  return g;
}

Status grid_sample_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &grid = call.in("grid");
  GRAFT_CHECK(grid_sample_of(call));
  if (x.rank() < 3 || x.rank() > 5 || grid.rank() != x.rank() || ir::never_equal(grid.dims()[0], x.dims()[0]) ||
      ir::never_equal(grid.dims().back(), Dim(x.rank() - 2))) {
    return fail(Code::shape_mismatch,
                format("takes x [n, c, D...] of rank 3 to 5 and a grid [n, d..., as many as D], got {} and {}",
                       x.type->to_string(), grid.type->to_string()));
  }
  Dims dims{x.dims()[0], x.dims()[1]};
  dims.insert(dims.end(), grid.dims().begin() + 1, grid.dims().end() - 1);
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

// The elements along one dim that a place is made of; -1: zero.
struct Taps {
  int count;
  std::array<int64_t, 4> at;
  std::array<double, 4> weight;
};

Taps taps_of(const GridSample& g, double v, int64_t size) {
  Taps t{};
  if (g.mode == Mode::nearest) {
    t.count = 1;
    t.at[0] = element_at(g.outside, std::nearbyint(v), size);
    t.weight[0] = 1;
    return t;
  }
  const double floor = std::floor(v), share = v - floor;
  t.count = g.mode == Mode::linear ? 2 : 4;
  for (int k = 0; k < t.count; ++k) {
    const auto j = static_cast<size_t>(k);
    const double place = g.mode == Mode::linear ? k : k - 1;
    t.at[j] = element_at(g.outside, floor + place, size);
    t.weight[j] = g.mode == Mode::linear ? (k == 0 ? 1 - share : share) : cubic_weight(place - share, -0.75);
  }
  return t;
}

Status grid_sample_reference(const Call& call, Outputs& out) {
  constexpr int kMaxTaps = 64;
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_TRY(const GridSample g, grid_sample_of(call));
  const TensorView x = call.in("x").value, grid = call.in("grid").value;
  const MutableTensorView y = out[0];
  const int spatial = x.rank() - 2;
  Shape expect{x.shape[0], x.shape[1]};
  for (int d = 0; d < spatial; ++d) expect.push_back(grid.shape[d + 1]);
  GRAFT_CHECK(check_output(call, y, expect));
  if (grid.shape[0] != x.shape[0] || grid.shape.back() != spatial)
    return fail(Code::shape_mismatch, format("a grid {} for {}", to_string(grid.shape), to_string(x.shape)));
  const Ints steps = row_strides(x.shape);
  const int64_t channels = x.shape[1], places = expect.product(2, y.rank()), plane = x.shape.product(2, x.rank());
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      ok = true;
      std::array<int64_t, kMaxTaps> at{};
      std::array<double, kMaxTaps> weight{};
      for (int64_t p = 0; p < x.shape[0] * places; ++p) {
        // The products of the dims' taps, those outside left out.
        size_t count = 1;
        at[0] = 0;
        weight[0] = 1;
        for (int d = 0; d < spatial; ++d) {
          const double v = element_as_double(grid, p * spatial + (spatial - 1 - d));  // x first
          const int64_t size = x.shape[d + 2];
          const Taps t = taps_of(g, pixel(Coordinates::minus_one_to_one, g.align_corners, v, size), size);
          std::array<int64_t, kMaxTaps> next{};
          std::array<double, kMaxTaps> next_weight{};
          size_t made = 0;
          for (size_t k = 0; k < count; ++k) {
            for (size_t j = 0; j < static_cast<size_t>(t.count); ++j) {
              if (t.at[j] < 0) continue;
              next[made] = at[k] + t.at[j] * steps[d + 2];
              next_weight[made++] = weight[k] * t.weight[j];
            }
          }
          at = next;
          weight = next_weight;
          count = made;
        }
        if (!pace.go_on(channels * static_cast<int64_t>(count + 1))) return;
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t image = p / places * channels + c;
          double sum = 0;
          for (size_t k = 0; k < count; ++k)
            sum += weight[k] * static_cast<double>(widen(x.as<T>()[image * plane + at[k]]));
          y.as<T>()[image * places + p % places] = narrow<T>(sum);
        }
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

constexpr Variant kGridSample[] = {{Opset::host,
                                    "x:T; grid:U; mode?:const string=\"linear\"; padding_mode?:const "
                                    "string=\"zeros\"; align_corners?:const bool=false",
                                    kFloatTypes}};
constexpr OpDef host_grid_sample = {.name = "host_grid_sample",
                                    .family = "host",
                                    .doc = "ONNX GridSample, all modes: x read at the places of grid, -1..1",
                                    .variants = kGridSample,
                                    .host = kFloats,
                                    .infer = grid_sample_type,
                                    .reference = grid_sample_reference};

// ---- host_deform_columns ------------------------------------------------------------------------------------------

Result<Window> deform_window(const Call& call) {
  const Operand &x = call.in("x"), &offset = call.in("offset");
  if (x.rank() != 4 || offset.rank() != 4 || (call.has("mask") && call.in("mask").rank() != 4))
    return fail(Code::rank_mismatch, format("takes images, offsets and a mask of rank 4, got {} and {}",
                                            x.type->to_string(), offset.type->to_string()));
  const Ints kernel = call.ints("kernel_sizes");
  if (kernel.size() != 2) return fail(Code::shape_mismatch, "kernel_sizes takes 2 entries");
  return read_window(call, kernel);
}

Status deform_type(const Call& call, Types& out) {
  GRAFT_TRY(const Window w, deform_window(call));
  const Operand &x = call.in("x"), &offset = call.in("offset");
  const int64_t groups = call.i("offset_groups"), taps = w.kernel.product();
  if (groups < 1 || groups > INT32_MAX || taps > INT32_MAX)
    return fail(Code::value_out_of_range, format("offset_groups {} and kernels of {}", groups, taps));
  Dims window;
  GRAFT_CHECK(append_window_dims(w, x.dims(), window));
  const auto fits = [&](const Operand& o, int64_t each) {
    return !ir::never_equal(o.dims()[0], x.dims()[0]) && !ir::never_equal(o.dims()[1], Dim(each * groups * taps)) &&
           !ir::never_equal(o.dims()[2], window[0]) && !ir::never_equal(o.dims()[3], window[1]);
  };
  if (!fits(offset, 2) || (call.has("mask") && !fits(call.in("mask"), 1)) ||
      (x.dims()[1].known() && x.dims()[1].value() % groups != 0)) {
    return fail(Code::shape_mismatch,
                format("x {} with {} offset groups takes offsets [n, {}, {}, {}] and half as much mask, got {}",
                       x.type->to_string(), groups, 2 * groups * taps, window[0].to_string(), window[1].to_string(),
                       offset.type->to_string()));
  }
  out.push_back(Type::tensor(x.dtype(), Dims{x.dims()[0], x.dims()[1] * Dim(taps), window[0], window[1]}));
  return {};
}

Status deform_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_TRY(const Window w, deform_window(call));
  const TensorView x = call.in("x").value, offset = call.in("offset").value, mask = call.in("mask").value;
  const MutableTensorView y = out[0];
  const int64_t groups = call.i("offset_groups"), taps = w.kernel.product(), channels = x.shape[1];
  const int64_t h = x.shape[2], wide = x.shape[3], plane = h * wide, places = y.shape[2] * y.shape[3];
  const auto fits = [&](const TensorView& t, int64_t each) {
    return t.shape == Shape{x.shape[0], each * groups * taps, y.shape[2], y.shape[3]};
  };
  GRAFT_CHECK(check_output(call, y, {x.shape[0], channels * taps, y.shape[2], y.shape[3]}));
  if (groups < 1 || channels % groups != 0 || !fits(offset, 2) || (call.has("mask") && !fits(mask, 1)))
    return fail(Code::shape_mismatch, format("offsets {} for {} and windows {}", to_string(offset.shape),
                                             to_string(x.shape), to_string(y.shape)));
  const int64_t in_group = channels / groups;
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      ok = true;
      // By image, group, element of the kernel and window: the same place in all channels of the group.
      for (int64_t row = 0; row < x.shape[0] * groups * taps; ++row) {
        const int64_t tap = row % taps, group = row / taps % groups, n = row / taps / groups;
        const int64_t i = tap / w.kernel[1], j = tap % w.kernel[1];
        for (int64_t p = 0; p < places && pace.go_on(in_group); ++p) {
          const double v = static_cast<double>(p / y.shape[3] * w.stride[0] - w.before(0, h) + i * w.dilation[0]) +
                           element_as_double(offset, 2 * row * places + p);
          const double u = static_cast<double>(p % y.shape[3] * w.stride[1] - w.before(1, wide) + j * w.dilation[1]) +
                           element_as_double(offset, (2 * row + 1) * places + p);
          const double factor = call.has("mask") ? element_as_double(mask, row * places + p) : 1;
          const double top = std::floor(v), left = std::floor(u);
          const std::array<int64_t, 2> rows{element_at(Outside::constant, top, h),
                                            element_at(Outside::constant, top + 1, h)},
              columns{element_at(Outside::constant, left, wide), element_at(Outside::constant, left + 1, wide)};
          const std::array<double, 2> by_row{1 - (v - top), v - top}, by_column{1 - (u - left), u - left};
          for (int64_t c = 0; c < in_group; ++c) {
            const int64_t channel = group * in_group + c;
            const T* image = x.as<T>() + (n * channels + channel) * plane;
            double sum = 0;
            for (size_t a = 0; a < 2; ++a) {
              for (size_t b = 0; b < 2; ++b) {
                if (rows[a] >= 0 && columns[b] >= 0)
                  sum += by_row[a] * by_column[b] * static_cast<double>(widen(image[rows[a] * wide + columns[b]]));
              }
            }
            y.as<T>()[((n * channels + channel) * taps + tap) * places + p] = narrow<T>(sum * factor);
          }
        }
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

constexpr Variant kDeformColumns[] = {
    {Opset::host,
     "x:T; offset:U; mask?:U=none; kernel_sizes:const int32; strides?:const int32=[1]*S; pad_type?:const "
     "string=\"valid\"; pad?:const int32=[0]*2S; dilations?:const int32=[1]*S; offset_groups?:const int64=1",
     kFloatTypes}};
constexpr OpDef host_deform_columns = {
    .name = "host_deform_columns",
    .family = "host",
    .doc = "ONNX DeformConv before its product: the windows' elements, each moved by its offset, times mask",
    .variants = kDeformColumns,
    .host = kNumbers,
    .infer = deform_type,
    .reference = deform_reference};

constexpr const OpDef* kRows[] = {&host_grid_sample, &host_deform_columns};

}  // namespace

Rows sampling_rows() { return kRows; }

}  // namespace graft::ops
