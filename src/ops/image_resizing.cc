// MIL's image_resizing family: resizes over the five sampling grids, crop, grid sampling (resample, affine).
#include <algorithm>

#include "ops/moving.h"
#include "ops/sampling.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "image_resizing";
constexpr std::string_view kFloat = "T={fp16,fp32}";
constexpr int64_t kMaxSize = INT32_MAX;

// ---- grids --------------------------------------------------------------------------------------------------------

// Where output index i of `out` falls among `in` source elements, clamped to them.
double source_of(Grid grid, int64_t in, int64_t out, int64_t i) {
  const auto n = static_cast<double>(in);
  return std::clamp(place_on(grid, n, out, i), 0.0, std::max(0.0, n - 1));
}

enum class Sampling : uint8_t { linear, nearest, floor };

// One resized dim of a run: the two source elements of an output index, and the share of the second.
struct Taps {
  int64_t lo, hi;
  double share;
};
Taps taps_of(Sampling sampling, Grid grid, int64_t in, int64_t out, int64_t i) {
  if (sampling == Sampling::floor) {
    // floor(i * in / out), exactly.
    const int64_t at = std::min(in - 1, in <= INT32_MAX && out <= INT32_MAX ? i * in / out : 0);
    return {at, at, 0};
  }
  const double x = source_of(grid, in, out, i);
  if (sampling == Sampling::nearest) {
    const int64_t at = std::min(in - 1, static_cast<int64_t>(std::floor(x + 0.5)));
    return {at, at, 0};
  }
  const auto lo = static_cast<int64_t>(x);
  return {lo, std::min(in - 1, lo + 1), x - static_cast<double>(lo)};
}

// Resizes the last `dims` dims of x to those of y.
template <class T>
void resize_elements(const TensorView& x, MutableTensorView y, int dims, Sampling sampling, Grid grid, Pace pace) {
  const int lead = y.rank() - dims;
  const Ints strides = row_strides(x.shape);
  std::array<Taps, kMaxRank> taps{};
  Walk<1> walk(y.shape, {y.shape});
  for (int64_t i = 0, n = y.count(); i < n && pace.go_on(1 << dims); ++i, walk.next()) {
    int64_t base = 0;
    for (int d = 0; d < lead; ++d) base += walk.index()[d] * strides[d];
    for (int d = 0; d < dims; ++d) {
      taps[static_cast<size_t>(d)] =
          taps_of(sampling, grid, x.shape[lead + d], y.shape[lead + d], walk.index()[lead + d]);
    }
    double sum = 0;
    for (int corner = 0; corner < 1 << dims; ++corner) {
      double weight = 1;
      int64_t at = base;
      for (int d = 0; d < dims; ++d) {
        const Taps& t = taps[static_cast<size_t>(d)];
        const bool high = (corner >> d & 1) != 0;
        weight *= high ? t.share : 1 - t.share;
        at += (high ? t.hi : t.lo) * strides[lead + d];
      }
      if (weight != 0) sum += weight * static_cast<double>(widen(x.as<T>()[at]));
    }
    y.as<T>()[i] = narrow<T>(sum);
  }
}

// Nearest neighbours move elements whole: every dtype, and exactly.
void resize_moving(const TensorView& x, MutableTensorView y, int dims, Sampling sampling, Grid grid, Pace pace) {
  const int lead = y.rank() - dims;
  const Ints strides = row_strides(x.shape);
  Walk<1> walk(y.shape, {y.shape});
  for (int64_t i = 0, n = y.count(); i < n && pace.go_on(1 << dims); ++i, walk.next()) {
    int64_t at = 0;
    for (int d = 0; d < y.rank(); ++d) {
      const int64_t k = walk.index()[d];
      at += strides[d] * (d < lead ? k : taps_of(sampling, grid, x.shape[d], y.shape[d], k).lo);
    }
    copy_elements(x.dtype, x.data, at, y.data, i, 1, pace);
  }
}

Status resize_run(const Call& call, Outputs& out, int dims, Sampling sampling, Grid grid) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value;
  const MutableTensorView y = out[0];
  bool fits = x.rank() == y.rank() && dims <= x.rank();
  for (int d = 0; fits && d < x.rank(); ++d) {
    const bool resized = d >= x.rank() - dims;
    fits = resized ? (x.shape[d] > 0 || y.shape[d] == 0) : x.shape[d] == y.shape[d];
  }
  if (!fits)
    return fail(Code::shape_mismatch, format("cannot resize {} to {}", to_string(x.shape), to_string(y.shape)));
  if (sampling != Sampling::linear) {
    resize_moving(x, y, dims, sampling, grid, call.pace());
    return {};
  }
  const bool ok =
      visit_dtype(x.dtype, [&](auto tag) { resize_elements<decltype(tag)>(x, y, dims, sampling, grid, call.pace()); });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

Status need_rank(const Call& call, int rank) {
  if (call.in("x").rank() >= rank) return {};
  return fail(Code::rank_mismatch, format("takes rank {} or more, got {}", rank, call.in("x").type->to_string()));
}

// ---- resize_bilinear, resize_nearest_neighbor ---------------------------------------------------------------------

Status target_size_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_rank(call, 3));
  Dims dims = call.in("x").dims();
  const int64_t h = call.i("target_size_height"), w = call.i("target_size_width");
  for (int64_t v : {h, w}) {
    if (v < 1 || v > kMaxSize) return fail(Code::value_out_of_range, format("the target size is {} x {}", h, w));
  }
  dims[dims.size() - 2] = Dim(h);
  dims[dims.size() - 1] = Dim(w);
  out.push_back(Type::tensor(call.in("x").dtype(), std::move(dims)));
  return {};
}
constexpr Variant kResizeBilinear[] = {{Opset::ios15,
                                        "x:T; target_size_height?:const int32=1; target_size_width?:const int32=1; "
                                        "sampling_mode?:const string=\"DEFAULT\"",
                                        kFloat}};
constexpr OpDef resize_bilinear = {.name = "resize_bilinear",
                                   .family = kFamily,
                                   .doc = "bilinear resize of the last two dims to a size, over a sampling grid",
                                   .variants = kResizeBilinear,
                                   .host = kFloats,
                                   .infer = [](const Call& call, Types& out) -> Status {
                                     GRAFT_CHECK(grid_of(call.str("sampling_mode")));
                                     return target_size_type(call, out);
                                   },
                                   .reference = [](const Call& call, Outputs& out) -> Status {
                                     GRAFT_TRY(const Grid grid, grid_of(call.str("sampling_mode")));
                                     return resize_run(call, out, 2, Sampling::linear, grid);
                                   },
                                   .kind = ir::Kind::resize};
constexpr Variant kResizeNearest[] = {
    {Opset::ios15, "x:T; target_size_height:const int32; target_size_width:const int32", kFloat}};
constexpr OpDef resize_nearest_neighbor = {
    .name = "resize_nearest_neighbor",
    .family = kFamily,
    .doc = "nearest resize of the last two dims to a size: source index floor(i * in / out)",
    .variants = kResizeNearest,
    .host = kMovable,
    .infer = target_size_type,
    .reference = [](const Call& call,
                    Outputs& out) { return resize_run(call, out, 2, Sampling::floor, Grid::default_); },
    .range = range_of_inputs,
    .kind = ir::Kind::resize};

// ---- upsample_* ---------------------------------------------------------------------------------------------------

// floor(size * factor). Whole factors keep symbols; others of a symbol give a size that only a run can tell.
Result<Dim> scaled(const Call& call, const Dim& n, std::string_view param) {
  const double factor = call.f(param);
  if (!(factor > 0) || factor > static_cast<double>(kMaxSize))
    return fail(Code::value_out_of_range, format("{} is {}", param, factor));
  if (n.known()) {
    const double size = std::floor(static_cast<double>(n.value()) * factor);
    if (size > static_cast<double>(kMaxSize))
      return fail(Code::limit_exceeded, format("the result would have a size of {}", size));
    return Dim(static_cast<int64_t>(size));
  }
  if (factor == std::floor(factor)) return n * Dim(static_cast<int64_t>(factor));
  const double inverse = 1 / factor;
  if (inverse == std::floor(inverse)) return ir::floor_div(n, Dim(static_cast<int64_t>(inverse)));
  return call.fresh({0, kMaxSize});
}
Status upsample_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_rank(call, 3));
  Dims dims = call.in("x").dims();
  Dim &h = dims[dims.size() - 2], &w = dims[dims.size() - 1];
  GRAFT_TRY(h, scaled(call, h, "scale_factor_height"));
  GRAFT_TRY(w, scaled(call, w, "scale_factor_width"));
  out.push_back(Type::tensor(call.in("x").dtype(), std::move(dims)));
  return {};
}
Status upsample_bilinear_reference(const Call& call, Outputs& out) {
  const bool align = call.flag("align_corners");
  const bool half = call.has("half_pixel_centers") ? call.flag("half_pixel_centers") : !align;
  return resize_run(call, out, 2, Sampling::linear,
                    align  ? Grid::strict_align_corners
                    : half ? Grid::unalign_corners
                           : Grid::default_);
}
#define GRAFT_FACTORS "x:T; scale_factor_height?:const U=1; scale_factor_width?:const U=1"
constexpr Variant kUpsampleBilinear[] = {
    {Opset::ios15, GRAFT_FACTORS "; align_corners?:const bool=true", "T={fp16,fp32}; U={int32,fp32}"},
    {Opset::ios16, GRAFT_FACTORS "; align_corners?:const bool=true; half_pixel_centers?:const bool=none",
     "T={fp16,fp32}; U={int32,fp32}"}};
constexpr OpDef upsample_bilinear = {.name = "upsample_bilinear",
                                     .family = kFamily,
                                     .doc = "bilinear resize of the last two dims by factors",
                                     .variants = kUpsampleBilinear,
                                     .host = kFloats,
                                     .infer = upsample_type,
                                     .reference = upsample_bilinear_reference,
                                     .kind = ir::Kind::resize};
constexpr Variant kUpsampleNearest[] = {{Opset::ios15, GRAFT_FACTORS, "T={fp16,fp32}; U={fp32,int32}"}};
constexpr OpDef upsample_nearest_neighbor = {
    .name = "upsample_nearest_neighbor",
    .family = kFamily,
    .doc = "nearest resize of the last two dims by factors: source index floor(i * in / out)",
    .variants = kUpsampleNearest,
    .host = kMovable,
    .infer = upsample_type,
    .reference = [](const Call& call,
                    Outputs& out) { return resize_run(call, out, 2, Sampling::floor, Grid::default_); },
    .range = range_of_inputs,
    .kind = ir::Kind::resize};

// ---- resize -------------------------------------------------------------------------------------------------------

Result<Sampling> interpolation(const Call& call) {
  const std::string_view mode = call.str("interpolation_mode");
  if (mode == "LINEAR") return Sampling::linear;
  if (mode == "NEAREST_NEIGHBOR") return Sampling::nearest;
  return fail(Code::invalid_attribute, format("interpolation_mode '{}', takes LINEAR or NEAREST_NEIGHBOR", mode));
}

Status resize_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &shape = call.in("shape");
  GRAFT_CHECK(interpolation(call));
  GRAFT_CHECK(grid_of(call.str("sampling_mode")));
  GRAFT_CHECK(check_index_list(call, "shape"));
  const int64_t resized = call.i("resized_dims");
  // A longer list than resized_dims is legal: its last entries count, as Apple's own tests have it.
  if (resized < 1 || resized > x.rank() || shape.dims()[0].range().hi < resized) {
    return fail(Code::value_out_of_range, format("resized_dims {} with a shape {} and x {}", resized,
                                                 shape.type->to_string(), x.type->to_string()));
  }
  const std::optional<Dims> sizes = call.dims("shape");
  Dims dims = x.dims();
  for (int64_t k = 0; k < resized; ++k) {
    Dim& n = dims[dims.size() - static_cast<size_t>(resized - k)];
    if (!sizes) {
      n = call.fresh({0, kMaxSize});
      continue;
    }
    const Dim& size = (*sizes)[sizes->size() - static_cast<size_t>(resized - k)];
    if (size.range().hi < 0) return fail(Code::value_out_of_range, format("size {} is negative", size.to_string()));
    if (!(size == Dim(0))) n = size;  // 0 keeps the dim
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}
constexpr Variant kResize[] = {{Opset::ios17,
                                "x:T; shape:U; resized_dims:const uint32; interpolation_mode?:const string=\"LINEAR\"; "
                                "sampling_mode?:const string=\"DEFAULT\"",
                                "T={fp16,fp32,int32}; U={int32,int16,uint16,uint32}"}};
constexpr OpDef resize = {.name = "resize",
                          .family = kFamily,
                          .doc = "resize the last resized_dims dims to shape (0 keeps), linear or nearest, over a grid",
                          .variants = kResize,
                          .host = kNumbers,
                          .infer = resize_type,
                          .reference = [](const Call& call, Outputs& out) -> Status {
                            GRAFT_TRY(const Sampling sampling, interpolation(call));
                            GRAFT_TRY(const Grid grid, grid_of(call.str("sampling_mode")));
                            return resize_run(call, out,
                                              static_cast<int>(std::min<int64_t>(call.i("resized_dims"), kMaxRank)),
                                              sampling, grid);
                          },
                          .kind = ir::Kind::resize};

// ---- crop ---------------------------------------------------------------------------------------------------------

Status crop_type(const Call& call, Types& out) {
  GRAFT_CHECK(need_rank(call, 2));
  const Operand& x = call.in("x");
  Dims dims = x.dims();
  for (const auto& [param, back] : {std::pair{"crop_height", size_t{2}}, std::pair{"crop_width", size_t{1}}}) {
    const Ints crop = call.ints(param);
    if (crop.size() != 2 || crop[0] < 0 || crop[1] < 0)
      return fail(Code::value_out_of_range, format("{} is {}, takes (before, after)", param, to_string(crop)));
    Dim& n = dims[dims.size() - back];
    n = n - Dim(crop[0]) - Dim(crop[1]);
    if (n.range().hi < 0) return fail(Code::value_out_of_range, format("{} {} leaves nothing", param, to_string(crop)));
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}
Status crop_moves(const Call& call, Moves& moves) {
  const Shape x = shape_of(call.in("x"));
  const Ints h = call.ints("crop_height"), w = call.ints("crop_width");
  if (h.size() != 2 || w.size() != 2) return fail(Code::value_out_of_range, "crops are (before, after)");
  Shape shape = x;
  shape[x.size() - 2] -= h[0] + h[1];
  shape[x.size() - 1] -= w[0] + w[1];
  GRAFT_CHECK(check_result(call, moves.shape(0), shape));
  Strided from = dense(x);
  from.offset = h[0] * from.steps[x.size() - 2] + w[0];
  moves.copy("x", 0, to_ints(shape), from, 0, dense(shape));
  return {};
}
constexpr Variant kCrop[] = {{Opset::ios15, "x:T; crop_height:const int32; crop_width:const int32", kFloat}};
constexpr OpDef crop = moved({.name = "crop",
                              .family = kFamily,
                              .doc = "cut (before, after) from the last two dims",
                              .variants = kCrop,
                              .host = kMovable,
                              .infer = crop_type,
                              .range = range_of_inputs},
                             crop_moves);

// ---- resample, affine ---------------------------------------------------------------------------------------------

template <class T>
double sample(const Resample& r, const T* image, int64_t h, int64_t w, double x, double y) {
  const auto at = [&](double iy, double ix) {
    const int64_t row = element_at(r.outside, iy, h), col = element_at(r.outside, ix, w);
    return row < 0 || col < 0 ? r.padding : static_cast<double>(widen(image[row * w + col]));
  };
  if (r.nearest) return at(std::floor(y + 0.5), std::floor(x + 0.5));
  const double x0 = std::floor(x), y0 = std::floor(y), fx = x - x0, fy = y - y0;
  return at(y0, x0) * (1 - fx) * (1 - fy) + at(y0, x0 + 1) * fx * (1 - fy) + at(y0 + 1, x0) * (1 - fx) * fy +
         at(y0 + 1, x0 + 1) * fx * fy;
}

// y[b, c, i, j] = x[b, c] at point(b, i, j), which writes a coordinate pair (x, y) in pixels.
template <class Point>
Status sample_images(const Call& call, const Resample& r, MutableTensorView y, Point&& point) {
  const TensorView x = call.in("x").value;
  if (x.rank() != 4 || y.rank() != 4 || x.shape[0] != y.shape[0] || x.shape[1] != y.shape[1])
    return fail(Code::shape_mismatch, format("cannot sample {} into {}", to_string(x.shape), to_string(y.shape)));
  const int64_t h = x.shape[2], w = x.shape[3], plane = h * w, out_h = y.shape[2], out_w = y.shape[3];
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      ok = true;
      for (int64_t b = 0; b < y.shape[0]; ++b) {
        for (int64_t i = 0; i < out_h; ++i) {
          for (int64_t j = 0; j < out_w && pace.go_on(y.shape[1]); ++j) {
            double px = 0, py = 0;
            point(b, i, j, px, py);
            for (int64_t c = 0; c < y.shape[1]; ++c) {
              const int64_t image = b * y.shape[1] + c;
              const double v = plane == 0 ? r.padding : sample(r, x.as<T>() + image * plane, h, w, px, py);
              y.as<T>()[(image * out_h + i) * out_w + j] = narrow<T>(v);
            }
          }
        }
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

Status resample_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &grid = call.in("coordinates");
  GRAFT_CHECK(resample_of(call));
  if (x.rank() != 4 || grid.rank() != 4 || ir::never_equal(grid.dims()[3], Dim(2)) ||
      ir::never_equal(grid.dims()[0], x.dims()[0])) {
    return fail(Code::shape_mismatch, format("takes x [B, C, H, W] and coordinates [B, h, w, 2], got {} and {}",
                                             x.type->to_string(), grid.type->to_string()));
  }
  out.push_back(Type::tensor(x.dtype(), Dims{x.dims()[0], x.dims()[1], grid.dims()[1], grid.dims()[2]}));
  return {};
}
Status resample_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_TRY(const Resample r, resample_of(call));
  const TensorView x = call.in("x").value, grid = call.in("coordinates").value;
  const MutableTensorView y = out[0];
  if (y.rank() != 4 || !(grid.shape == Shape{y.shape[0], y.shape[2], y.shape[3], 2}))
    return fail(Code::shape_mismatch, format("coordinates {} for {}", to_string(grid.shape), to_string(y.shape)));
  return sample_images(call, r, y, [&](int64_t b, int64_t i, int64_t j, double& px, double& py) {
    const int64_t at = 2 * ((b * y.shape[2] + i) * y.shape[3] + j);
    px = pixel(r.coordinates, r.align_corners, element_as_double(grid, at), x.shape[3]);
    py = pixel(r.coordinates, r.align_corners, element_as_double(grid, at + 1), x.shape[2]);
  });
}
#define GRAFT_SAMPLING                                                                                            \
  "sampling_mode:const string; padding_mode:const string; padding_value:const T; coordinates_mode:const string; " \
  "align_corners:const bool"
constexpr Variant kResample[] = {
    {Opset::ios15, "x:T; coordinates:U; " GRAFT_SAMPLING, "T={fp16,fp32}; U={int32,fp32}"},
    {Opset::ios16, "x:T; coordinates:U; " GRAFT_SAMPLING, "T={fp16,fp32}; U={int32,fp16,fp32}"},
    {Opset::ios17, "x:T; coordinates:U; " GRAFT_SAMPLING,
     "T={fp16,fp32}; U={int8,uint8,int16,uint16,int32,fp16,fp32}"}};
constexpr OpDef resample = {.name = "resample",
                            .family = kFamily,
                            .doc = "grid sampling: y[b, :, i, j] is x[b] at coordinates[b, i, j] = (x, y)",
                            .variants = kResample,
                            .host = kFloats,
                            .infer = resample_type,
                            .reference = resample_reference,
                            .kind = ir::Kind::resample};

Status affine_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &m = call.in("transform_matrix");
  GRAFT_CHECK(resample_of(call));
  const int64_t h = call.i("output_height"), w = call.i("output_width");
  if (h < 1 || w < 1 || h > kMaxSize || w > kMaxSize)
    return fail(Code::value_out_of_range, format("the output size is {} x {}", h, w));
  if (x.rank() != 4 || m.rank() != 2 || ir::never_equal(m.dims()[1], Dim(6)) ||
      (!(m.dims()[0] == Dim(1)) && ir::never_equal(m.dims()[0], x.dims()[0]))) {
    return fail(Code::shape_mismatch, format("takes x [B, C, H, W] and a matrix [B or 1, 6], got {} and {}",
                                             x.type->to_string(), m.type->to_string()));
  }
  out.push_back(Type::tensor(x.dtype(), Dims{x.dims()[0], x.dims()[1], Dim(h), Dim(w)}));
  return {};
}
Status affine_reference(const Call& call, Outputs& out) {
  GRAFT_TRY(const Resample r, resample_of(call));
  const TensorView x = call.in("x").value, m = call.in("transform_matrix").value;
  const MutableTensorView y = out[0];
  const int64_t h = y.shape[2], w = y.shape[3];
  if (m.shape[0] != 1 && m.shape[0] != x.shape[0])
    return fail(Code::shape_mismatch, "one matrix an image, or one in all");
  const auto from_minus_one = [](int64_t i, int64_t n) {
    return n > 1 ? -1 + 2 * static_cast<double>(i) / static_cast<double>(n - 1) : -1.0;
  };
  return sample_images(call, r, y, [&](int64_t b, int64_t i, int64_t j, double& px, double& py) {
    const int64_t row = 6 * (m.shape[0] == 1 ? 0 : b);
    const auto a = [&](int64_t k) { return element_as_double(m, row + k); };
    const double gx = from_minus_one(j, w), gy = from_minus_one(i, h);
    px = pixel(r.coordinates, r.align_corners, a(0) * gx + a(1) * gy + a(2), x.shape[3]);
    py = pixel(r.coordinates, r.align_corners, a(3) * gx + a(4) * gy + a(5), x.shape[2]);
  });
}
constexpr Variant kAffine[] = {
    {Opset::ios15, "x:T; transform_matrix:T; output_height:const int32; output_width:const int32; " GRAFT_SAMPLING,
     kFloat, [](const Call& call) -> Status {
       if (call.str("sampling_mode") == "bilinear" && call.str("padding_mode") == "constant" &&
           call.f("padding_value") == 0 && call.str("coordinates_mode") == "normalized_minus_one_to_one" &&
           call.flag("align_corners"))
         return {};
       return fail(Code::unsupported_attribute,
                   "affine is bilinear, with constant 0 outside, coordinates -1..1 and aligned corners");
     }}};
constexpr OpDef affine = {.name = "affine",
                          .family = kFamily,
                          .doc = "warp images by a matrix a0 a1 a2 b0 b1 b2 from output to source coordinates",
                          .variants = kAffine,
                          .host = kFloats,
                          .infer = affine_type,
                          .reference = affine_reference};

constexpr const OpDef* kRows[] = {&resize_bilinear,
                                  &resize_nearest_neighbor,
                                  &upsample_bilinear,
                                  &upsample_nearest_neighbor,
                                  &resize,
                                  &crop,
                                  &resample,
                                  &affine};

}  // namespace

Rows image_resizing_rows() { return kRows; }

}  // namespace graft::ops
