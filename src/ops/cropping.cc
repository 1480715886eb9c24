// crop_resize, of MIL's image_resizing family: boxes of images, resized to one size. The form up to iOS16 takes regions
// [n, 1, 4 or 5, 1, 1]: boxes for every image, or each with its image's index before it. From iOS17 on it takes boxes
// [n, 4] and a list of indices.
#include "ops/boxes.h"
#include "ops/moving.h"
#include "ops/sampling.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

struct Crop {
  Grid grid;
  bool width_first, center_size, normalized;
  double scale, padding;
};

Result<Crop> crop_of(const Call& call) {
  Crop c{};
  GRAFT_TRY(c.grid, grid_of(call.str("sampling_mode")));
  const std::string_view mode = call.str("box_coordinate_mode");
  constexpr std::string_view kCorners = "CORNERS_", kCenter = "CENTER_SIZE_";
  c.center_size = mode.starts_with(kCenter);
  const std::string_view order = mode.substr(std::min(mode.size(), (c.center_size ? kCenter : kCorners).size()));
  c.width_first = order == "WIDTH_FIRST";
  if ((!c.center_size && !mode.starts_with(kCorners)) || (!c.width_first && order != "HEIGHT_FIRST"))
    return fail(
        Code::invalid_attribute,
        format("box_coordinate_mode '{}', takes CORNERS_ or CENTER_SIZE_, and HEIGHT_FIRST or WIDTH_FIRST", mode));
  c.normalized = call.flag("normalized_coordinates");
  c.scale = call.f("spatial_scale");
  c.padding = call.f("pad_value");
  if (call.error()) return fail(*call.error());
  return c;
}

Status crop_resize_type(const Call& call, Types& out) {
  GRAFT_TRY(const Crop crop, crop_of(call));
  const Operand& x = call.in("x");
  const int64_t height = call.i("target_height"), width = call.i("target_width");
  if (height < 1 || width < 1) return fail(Code::value_out_of_range, format("boxes of {} x {}", height, width));
  if (x.rank() != 4) return fail(Code::rank_mismatch, format("takes x [B, C, H, W], got {}", x.type->to_string()));
  if (call.has("roi")) {
    const Operand& roi = call.in("roi");
    const bool five = roi.rank() == 5 && roi.dims()[2] == Dim(5);
    bool fits = five || (roi.rank() == 5 && roi.dims()[2] == Dim(4));
    for (const size_t d : {1u, 3u, 4u}) fits = fits && !ir::never_equal(roi.dims()[d], Dim(1));
    if (!fits)
      return fail(Code::shape_mismatch, format("takes roi [n, 1, 4 or 5, 1, 1], got {}", roi.type->to_string()));
    out.push_back(Type::tensor(x.dtype(),
                               Dims{roi.dims()[0], five ? Dim(1) : x.dims()[0], x.dims()[1], Dim(height), Dim(width)}));
    return {};
  }
  const Operand &boxes = call.in("boxes"), &images = call.in("box_indices");
  if (boxes.rank() != 2 || ir::never_equal(boxes.dims()[1], Dim(4)))
    return fail(Code::shape_mismatch, format("takes boxes [n, 4], got {}", boxes.type->to_string()));
  if (crop.normalized && !is_float(boxes.dtype()))
    return fail(Code::dtype_mismatch, format("normalized boxes are floats, got {}", boxes.type->to_string()));
  if (call.has("box_indices")) {
    GRAFT_CHECK(check_index_list(call, "box_indices"));
    if (ir::never_equal(images.dims()[0], boxes.dims()[0]))
      return fail(Code::shape_mismatch, format("takes an image's index for each box of {}, got {}",
                                               boxes.type->to_string(), images.type->to_string()));
  }
  out.push_back(Type::tensor(x.dtype(), Dims{boxes.dims()[0], x.dims()[1], Dim(height), Dim(width)}));
  return {};
}

// The boxes of a run, in pixels, by whichever form.
class Regions {
 public:
  Regions(const Call& call, const Crop& crop, const Shape& x)
      : crop_(crop), older_(call.has("roi")), boxes_(call.in(older_ ? "roi" : "boxes").value), x_(x) {
    if (older_)
      entries_ = boxes_.rank() == 5 ? boxes_.shape[2] : 0;
    else if (call.has("box_indices"))
      images_ = call.in("box_indices").value;
    every_image_ = older_ && entries_ == 4;
  }
  bool every_image() const { return every_image_; }
  int64_t count() const { return boxes_.shape[0]; }
  Status check(const Call& call, const MutableTensorView& y) const {
    const bool fits = entries_ >= 4 && entries_ <= (older_ ? 5 : 4) && boxes_.count() == count() * entries_ &&
                      (images_.data == nullptr || images_.count() == count());
    if (!fits) return fail(Code::shape_mismatch, format("boxes {}", to_string(boxes_.shape)));
    const Shape crops = older_ ? Shape{count(), every_image_ ? x_[0] : 1} : Shape{count()};
    Shape expect = crops;
    for (const int64_t d :
         {x_[1], y.shape.size() > 1 ? y.shape[y.rank() - 2] : 0, y.shape.empty() ? 0 : y.shape.back()})
      expect.push_back(d);
    return check_output(call, y, expect);
  }
  Result<int64_t> image(int64_t r) const {
    const double index = images_.data != nullptr ? element_as_double(images_, r)
                         : older_                ? element_as_double(boxes_, r * entries_)
                                                 : static_cast<double>(r);
    return image_of(index, x_[0]);
  }
  struct Side {
    double start, end;
  };
  Side side(int64_t r, bool height) const {
    const int64_t first = r * entries_ + (entries_ - 4), at = height != crop_.width_first ? 0 : 1;
    const double most = crop_.normalized ? static_cast<double>(x_[height ? 2 : 3] - 1) : 1;
    const double a = element_as_double(boxes_, first + at) * crop_.scale * most;
    const double b = element_as_double(boxes_, first + at + 2) * crop_.scale * most;
    return crop_.center_size ? Side{a - b / 2, a + b / 2} : Side{a, b};
  }

 private:
  const Crop& crop_;
  bool older_, every_image_ = false;
  TensorView boxes_, images_;
  Shape x_;
  int64_t entries_ = 4;
};

// The elements that a place lies between, and the share of the second.
struct Between {
  bool inside = false;
  int64_t lo = 0, hi = 0;
  double share = 0;
};
Between between(Grid grid, const Regions::Side& side, int64_t size, int64_t out, int64_t i) {
  const double v = side.start + place_on(grid, side.end - side.start + 1, out, i);
  if (!(v >= 0 && v <= static_cast<double>(size - 1))) return {};
  const auto lo = static_cast<int64_t>(v);
  return {true, lo, std::min(lo + 1, size - 1), v - static_cast<double>(lo)};
}

Status crop_resize_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_TRY(const Crop crop, crop_of(call));
  const TensorView x = call.in("x").value;
  const MutableTensorView y = out[0];
  const Regions regions(call, crop, x.shape);
  GRAFT_CHECK(regions.check(call, y));
  const int64_t channels = x.shape[1], h = x.shape[2], w = x.shape[3];
  const int64_t out_h = y.shape[y.rank() - 2], out_w = y.shape.back(), each = channels * out_h * out_w;
  Pace pace = call.pace();
  Status status = no_kernel(call, x.dtype);
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      const auto one = [&](int64_t r, int64_t image, T* to) {
        const Regions::Side rows = regions.side(r, true), columns = regions.side(r, false);
        for (int64_t p = 0; p < out_h * out_w && pace.go_on(channels); ++p) {
          const Between v = between(crop.grid, rows, h, out_h, p / out_w);
          const Between u = between(crop.grid, columns, w, out_w, p % out_w);
          for (int64_t c = 0; c < channels; ++c) {
            double sum = crop.padding;
            if (v.inside && u.inside) {
              const T* plane = x.as<T>() + (image * channels + c) * h * w;
              const auto at = [&](int64_t i, int64_t j) { return static_cast<double>(widen(plane[i * w + j])); };
              sum = (1 - v.share) * ((1 - u.share) * at(v.lo, u.lo) + u.share * at(v.lo, u.hi)) +
                    v.share * ((1 - u.share) * at(v.hi, u.lo) + u.share * at(v.hi, u.hi));
            }
            to[c * out_h * out_w + p] = narrow<T>(sum);
          }
        }
      };
      status = {};
      for (int64_t r = 0; status && r < regions.count(); ++r) {
        if (regions.every_image()) {
          for (int64_t b = 0; b < x.shape[0]; ++b) one(r, b, y.as<T>() + (r * x.shape[0] + b) * each);
          continue;
        }
        const Result<int64_t> image = regions.image(r);
        if (image)
          one(r, *image, y.as<T>() + r * each);
        else
          status = fail(image.error());
      }
    }
  });
  return status;
}

#define GRAFT_CROPPING                                                                                         \
  "target_height?:const int32=1; target_width?:const int32=1; normalized_coordinates?:const bool=false; "      \
  "spatial_scale?:const fp32=1.0; box_coordinate_mode?:const string=\"CORNERS_HEIGHT_FIRST\"; sampling_mode?:" \
  "const string=\"DEFAULT\""
constexpr Variant kCropResize[] = {
    {Opset::ios15, "x:T; roi:T; " GRAFT_CROPPING, "T={fp16,fp32}"},
    {Opset::ios16, "x:T; roi:T; " GRAFT_CROPPING "; pad_value?:const T=0.0", "T={fp16,fp32}"},
    {Opset::ios17, "x:T; boxes:BOX_T; box_indices?:BOX_INDEX_T=[0]; " GRAFT_CROPPING "; pad_value?:const T=0.0",
     "T={fp16,fp32}; BOX_T={fp16,fp32,uint16}; BOX_INDEX_T={uint16,int32}", [](const Call& call) -> Status {
       const Dim& count = call.in("boxes").dims()[0];
       if (count.known()) return {};
       return fail(Code::dynamic_shape, format("Apple's tools count the boxes, and there are {}", count.to_string()));
     }}};
constexpr OpDef crop_resize = {
    .name = "crop_resize",
    .family = "image_resizing",
    .doc = "boxes of images resized to one size, over a grid; pad_value outside of the image",
    .variants = kCropResize,
    .host = kFloats,
    .infer = crop_resize_type,
    .reference = crop_resize_reference,
    .defined = [](const Call& call) -> Status {
      // Of the other grids nobody says how they lie in a box, and a box of another image may not be named.
      if (call.has("boxes") && call.has("box_indices") && call.str("sampling_mode") == "ALIGN_CORNERS") return {};
      return fail(Code::unsupported_attribute, "boxes are defined with indices and the sampling_mode ALIGN_CORNERS");
    },
    .fp16 = {.places = true},
    .flops = flops_of_result<8>};

constexpr const OpDef* kRows[] = {&crop_resize};

}  // namespace

Rows cropping_rows() { return kRows; }

}  // namespace graft::ops
