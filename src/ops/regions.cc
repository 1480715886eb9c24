// Boxes of images, pooled or resized to one size: ONNX's RoiAlign and MaxRoiPool, and ONNX Runtime's CropAndResize.
// Places are computed in the boxes' own type, as elsewhere: where a box counts as one sample wider hangs on the last
// bit.
#include "ops/boxes.h"
#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFloatTypes = "T={fp16,fp32,fp64,bf16}; I={int32,int64}";

// The result has the size (height, width) for each box, which is a list of `entries` numbers.
Status regions_type(const Call& call, Types& out, int64_t entries, const Dim& height, const Dim& width) {
  const Operand &x = call.in("x"), &rois = call.in("rois");
  if (x.rank() != 4 || rois.rank() != 2 || ir::never_equal(rois.dims()[1], Dim(entries))) {
    return fail(Code::shape_mismatch, format("takes x [n, c, h, w] and boxes [any, {}], got {} and {}", entries,
                                             x.type->to_string(), rois.type->to_string()));
  }
  if (call.row().param_index("batch_indices") >= 0) {
    const Operand& batch = call.in("batch_indices");
    if (batch.rank() != 1 || ir::never_equal(batch.dims()[0], rois.dims()[0]))
      return fail(Code::shape_mismatch, format("takes an image's index for each box of {}, got {}",
                                               rois.type->to_string(), batch.type->to_string()));
  }
  for (const Dim* d : {&height, &width}) {
    if (d->range().hi < 1 || (d->known() && d->value() > INT32_MAX))
      return fail(Code::value_out_of_range, format("boxes of {} x {} elements", height.to_string(), width.to_string()));
  }
  out.push_back(Type::tensor(x.dtype(), Dims{rois.dims()[0], x.dims()[1], height, width}));
  return {};
}
Status sized_regions_type(const Call& call, Types& out) {
  return regions_type(call, out, call.row().param_index("batch_indices") >= 0 ? 4 : 5, Dim(call.i("output_height")),
                      Dim(call.i("output_width")));
}

// fn(T{}, G{}, y) with the elements' type and the one to compute places in.
template <class Fn>
Status visit_regions(const Call& call, Outputs& out, int64_t entries, Fn&& fn) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value, rois = call.in("rois").value;
  if (rois.shape[1] != entries || out[0].shape[0] != rois.shape[0] || out[0].shape[1] != x.shape[1])
    return fail(Code::shape_mismatch, format("boxes {} of {}", to_string(rois.shape), to_string(x.shape)));
  if (call.row().param_index("batch_indices") >= 0 && call.in("batch_indices").value.count() != rois.shape[0])
    return fail(Code::shape_mismatch, "an image's index for each box");
  Status status = no_kernel(call, x.dtype);
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) status = fn(T{}, std::conditional_t<std::is_same_v<T, double>, double, float>{});
  });
  return status;
}

// ---- host_roi_align -----------------------------------------------------------------------------------------------

// The two elements along one dim that a place lies between, and the share of the second.
template <class G>
struct Between {
  int64_t lo, hi;
  G share;
};
// False: outside.
template <class G>
bool between(G v, int64_t size, Between<G>& b) {
  if (!(v >= -1) || v > static_cast<G>(size)) return false;
  v = std::max(v, G{0});
  b.lo = std::min(static_cast<int64_t>(v), size - 1);
  b.hi = std::min(b.lo + 1, size - 1);
  b.share = b.lo == size - 1 ? G{0} : v - static_cast<G>(b.lo);
  return true;
}

Status roi_align_reference(const Call& call, Outputs& out) {
  constexpr int64_t kChannels = 64, kMaxSamples = 1 << 16;
  const std::string_view mode = call.str("mode");
  const bool largest = mode == "max";
  if (!largest && mode != "avg") return fail(Code::invalid_attribute, format("mode '{}', takes avg or max", mode));
  const TensorView x = call.in("x").value, rois = call.in("rois").value, batch = call.in("batch_indices").value;
  const bool half_pixel = call.flag("half_pixel");
  const double scale = call.f("spatial_scale");
  const int64_t ratio = call.i("sampling_ratio");
  Pace pace = call.pace();
  return visit_regions(call, out, 4, [&](auto element, auto number) -> Status {
    using T = decltype(element);
    using G = decltype(number);
    const MutableTensorView y = out[0];
    const int64_t channels = x.shape[1], h = x.shape[2], w = x.shape[3], out_h = y.shape[2], out_w = y.shape[3];
    for (int64_t r = 0; r < rois.shape[0]; ++r) {
      GRAFT_TRY(const int64_t image, image_of(element_as_double(batch, r), x.shape[0]));
      const auto corner = [&](int64_t k) {
        return static_cast<G>(element_as_double(rois, 4 * r + k)) * static_cast<G>(scale) -
               (half_pixel ? G(0.5) : G(0));
      };
      const G left = corner(0), top = corner(1);
      G width = corner(2) - left, height = corner(3) - top;
      if (!half_pixel) {
        width = std::max(width, G{1});
        height = std::max(height, G{1});
      }
      const G bin_h = height / static_cast<G>(out_h), bin_w = width / static_cast<G>(out_w);
      const auto samples = [&](G bin) { return ratio > 0 ? static_cast<G>(ratio) : std::ceil(bin); };
      if (!(samples(bin_h) <= G(kMaxSamples)) || !(samples(bin_w) <= G(kMaxSamples))) {
        return fail(Code::value_out_of_range,
                    format("box {} is {} x {} elements large, takes {} samples a bin", r, height, width, kMaxSamples));
      }
      const auto rows = static_cast<int64_t>(samples(bin_h)), columns = static_cast<int64_t>(samples(bin_w));
      const auto count = static_cast<double>(std::max<int64_t>(rows * columns, 1));
      const auto place = [](G start, int64_t bin, G size, int64_t i, int64_t n) {
        return start + static_cast<G>(bin) * size + (static_cast<G>(i) + G(0.5)) * size / static_cast<G>(n);
      };
      for (int64_t bin = 0; bin < out_h * out_w; ++bin) {
        for (int64_t first = 0; first < channels; first += kChannels) {
          const int64_t some = std::min(kChannels, channels - first);
          std::array<double, kChannels> sum{};
          bool any = false;
          for (int64_t i = 0; i < rows; ++i) {
            Between<G> v{}, u{};
            if (!between(place(top, bin / out_w, bin_h, i, rows), h, v)) v.lo = -1;
            for (int64_t j = 0; j < columns && pace.go_on(some); ++j) {
              const bool inside = v.lo >= 0 && between(place(left, bin % out_w, bin_w, j, columns), w, u);
              if (!inside && !largest) continue;
              const T* plane = x.as<T>() + (image * channels + first) * h * w;
              for (int64_t c = 0; c < some; ++c, plane += h * w) {
                const auto at = [&](int64_t row, int64_t column) {
                  return static_cast<double>(widen(plane[row * w + column]));
                };
                const auto sv = static_cast<double>(v.share), su = static_cast<double>(u.share);
                double& to = sum[static_cast<size_t>(c)];
                if (largest) {
                  // The largest of the four terms, not of their sums.
                  const double most =
                      !inside ? 0
                              : std::max({(1 - sv) * (1 - su) * at(v.lo, u.lo), (1 - sv) * su * at(v.lo, u.hi),
                                          sv * (1 - su) * at(v.hi, u.lo), sv * su * at(v.hi, u.hi)});
                  to = any ? std::max(to, most) : most;
                } else {
                  to += (1 - sv) * (1 - su) * at(v.lo, u.lo) + (1 - sv) * su * at(v.lo, u.hi) +
                        sv * (1 - su) * at(v.hi, u.lo) + sv * su * at(v.hi, u.hi);
                }
              }
              any = true;
            }
          }
          for (int64_t c = 0; c < some; ++c) {
            const double v = sum[static_cast<size_t>(c)];
            y.as<T>()[(r * channels + first + c) * out_h * out_w + bin] = narrow<T>(largest ? v : v / count);
          }
        }
      }
    }
    return {};
  });
}

constexpr Variant kRoiAlign[] = {
    {Opset::host,
     "x:T; rois:T; batch_indices:I; output_height?:const int64=1; output_width?:const int64=1; spatial_scale?:const "
     "fp32=1.0; sampling_ratio?:const int64=0; half_pixel?:const bool=true; mode?:const string=\"avg\"",
     kFloatTypes}};
constexpr OpDef host_roi_align = {
    .name = "host_roi_align",
    .family = "host",
    .doc = "ONNX RoiAlign: bilinear samples of each bin of a box, averaged or the largest",
    .variants = kRoiAlign,
    .host = kNumbers,
    .infer = sized_regions_type,
    .reference = roi_align_reference};

// ---- host_max_roi_pool --------------------------------------------------------------------------------------------

// Elements [first, last) of the bin along one dim.
struct Bin {
  int64_t first, last;
};
Bin bin_of(double start, double size, int64_t at, int64_t bins, int64_t limit) {
  const float each = static_cast<float>(size) / static_cast<float>(bins);
  const auto place = [&](float v) {
    return static_cast<int64_t>(std::clamp(static_cast<double>(v) + start, 0.0, static_cast<double>(limit)));
  };
  return {place(std::floor(static_cast<float>(at) * each)), place(std::ceil(static_cast<float>(at + 1) * each))};
}

Status max_roi_pool_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, rois = call.in("rois").value;
  const auto scale = static_cast<float>(call.f("spatial_scale"));
  Pace pace = call.pace();
  return visit_regions(call, out, 5, [&](auto element, auto) -> Status {
    using T = decltype(element);
    const MutableTensorView y = out[0];
    const int64_t channels = x.shape[1], h = x.shape[2], w = x.shape[3], out_h = y.shape[2], out_w = y.shape[3];
    for (int64_t r = 0; r < rois.shape[0]; ++r) {
      GRAFT_TRY(const int64_t image, image_of(element_as_double(rois, 5 * r), x.shape[0]));
      std::array<double, 4> box{};
      for (int64_t k = 0; k < 4; ++k) {
        const double v = std::round(static_cast<float>(element_as_double(rois, 5 * r + 1 + k)) * scale);
        if (!(std::abs(v) <= INT32_MAX))
          return fail(Code::value_out_of_range, format("box {} has a corner at {}", r, v));
        box[static_cast<size_t>(k)] = v;
      }
      const double width = std::max(box[2] - box[0] + 1, 1.0), height = std::max(box[3] - box[1] + 1, 1.0);
      for (int64_t c = 0; c < channels; ++c) {
        const T* plane = x.as<T>() + (image * channels + c) * h * w;
        for (int64_t bin = 0; bin < out_h * out_w; ++bin) {
          const Bin rows = bin_of(box[1], height, bin / out_w, out_h, h);
          const Bin columns = bin_of(box[0], width, bin % out_w, out_w, w);
          const bool empty = rows.first >= rows.last || columns.first >= columns.last;
          double most = empty ? 0 : -INFINITY;
          for (int64_t i = rows.first; i < rows.last && pace.go_on(columns.last - columns.first + 1); ++i) {
            for (int64_t j = columns.first; j < columns.last; ++j)
              most = std::max(most, static_cast<double>(widen(plane[i * w + j])));
          }
          y.as<T>()[(r * channels + c) * out_h * out_w + bin] = narrow<T>(most);
        }
      }
    }
    return {};
  });
}

constexpr Variant kMaxRoiPool[] = {{Opset::host,
                                    "x:T; rois:T; output_height:const int64; output_width:const int64; "
                                    "spatial_scale?:const fp32=1.0",
                                    "T={fp16,fp32,fp64,bf16}"}};
constexpr OpDef host_max_roi_pool = {.name = "host_max_roi_pool",
                                     .family = "host",
                                     .doc = "ONNX MaxRoiPool: the largest element of each bin of a box",
                                     .variants = kMaxRoiPool,
                                     .host = kNumbers,
                                     .infer = sized_regions_type,
                                     .reference = max_roi_pool_reference};

// ---- host_crop_and_resize -----------------------------------------------------------------------------------------

Status crop_and_resize_type(const Call& call, Types& out) {
  const std::string_view mode = call.str("mode");
  if (mode != "bilinear" && mode != "nearest")
    return fail(Code::invalid_attribute, format("mode '{}', takes bilinear or nearest", mode));
  GRAFT_CHECK(check_index_list(call, "crop_size"));
  if (ir::never_equal(call.in("crop_size").dims()[0], Dim(2)))
    return fail(Code::shape_mismatch,
                format("crop_size is {}, takes 2 values", call.in("crop_size").type->to_string()));
  const std::optional<Dims> size = call.dims("crop_size");
  const bool known = size && size->size() == 2;
  const Dim height = known ? (*size)[0] : call.fresh({0, INT32_MAX});
  const Dim width = known ? (*size)[1] : call.fresh({0, INT32_MAX});
  return regions_type(call, out, 4, height, width);
}

Status crop_and_resize_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, rois = call.in("rois").value, batch = call.in("batch_indices").value;
  const bool nearest = call.str("mode") == "nearest";
  const double outside = call.f("extrapolation_value");
  Pace pace = call.pace();
  return visit_regions(call, out, 4, [&](auto element, auto number) -> Status {
    using T = decltype(element);
    using G = decltype(number);
    const MutableTensorView y = out[0];
    const int64_t channels = x.shape[1], h = x.shape[2], w = x.shape[3], out_h = y.shape[2], out_w = y.shape[3];
    for (int64_t r = 0; r < rois.shape[0]; ++r) {
      GRAFT_TRY(const int64_t image, image_of(element_as_double(batch, r), x.shape[0]));
      // Where element i of n lies: the first and the last on the box's edges, one alone in its middle.
      const auto place = [&](int64_t side, int64_t i, int64_t n, int64_t size) {
        const auto start = static_cast<G>(element_as_double(rois, 4 * r + side));
        const auto end = static_cast<G>(element_as_double(rois, 4 * r + 2 + side));
        const auto last = static_cast<G>(size - 1);
        if (n == 1) return static_cast<G>(0.5 * static_cast<double>((start + end) * last));
        if (i == n - 1) return end * last;
        return start * last + static_cast<G>(i) * ((end - start) * last / static_cast<G>(n - 1));
      };
      for (int64_t p = 0; p < out_h * out_w && pace.go_on(channels); ++p) {
        const G v = place(0, p / out_w, out_h, h), u = place(1, p % out_w, out_w, w);
        const bool inside = v >= 0 && v <= static_cast<G>(h - 1) && u >= 0 && u <= static_cast<G>(w - 1);
        for (int64_t c = 0; c < channels; ++c) {
          const T* plane = x.as<T>() + (image * channels + c) * h * w;
          const auto at = [&](G row, G column) {
            return static_cast<double>(widen(plane[static_cast<int64_t>(row) * w + static_cast<int64_t>(column)]));
          };
          double value = outside;
          if (inside && nearest) {
            value = at(std::round(v), std::round(u));
          } else if (inside) {
            const auto sv = static_cast<double>(v - std::floor(v)), su = static_cast<double>(u - std::floor(u));
            const double top = at(std::floor(v), std::floor(u)) * (1 - su) + at(std::floor(v), std::ceil(u)) * su;
            const double bottom = at(std::ceil(v), std::floor(u)) * (1 - su) + at(std::ceil(v), std::ceil(u)) * su;
            value = top * (1 - sv) + bottom * sv;
          }
          y.as<T>()[(r * channels + c) * out_h * out_w + p] = narrow<T>(value);
        }
      }
    }
    return {};
  });
}

constexpr Variant kCropAndResize[] = {
    {Opset::host,
     "x:T; rois:T; batch_indices:I; crop_size:I; mode?:const string=\"bilinear\"; extrapolation_value?:const fp32=0.0",
     kFloatTypes}};
constexpr OpDef host_crop_and_resize = {
    .name = "host_crop_and_resize",
    .family = "host",
    .doc = "ONNX Runtime CropAndResize: boxes y0 x0 y1 x1 (0..1) of images, resized with aligned corners",
    .variants = kCropAndResize,
    .host = kNumbers,
    .infer = crop_and_resize_type,
    .reference = crop_and_resize_reference};

constexpr const OpDef* kRows[] = {&host_roi_align, &host_max_roi_pool, &host_crop_and_resize};

}  // namespace

Rows regions_rows() { return kRows; }

}  // namespace graft::ops
