// Images read between their elements, or at places that data names: grids, boxes, deformed windows.
#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"
#include "onnx/windows.h"

namespace graft::onnx {
namespace {

// MIL's resample is the bilinear one of images. Its nearest element is another one half-way between two.
Values grid_sample(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *grid = n.in(1);
  std::string mode = n.s("mode", n.version() >= 20 ? "linear" : "bilinear");
  if (mode == "bilinear" || mode == "bicubic") mode = mode.substr(2);
  const std::string padding = n.s("padding_mode", "zeros");
  const bool align = n.flag("align_corners");
  if (mode != "linear" || x->rank() != 4) {
    return {b.emit("host_grid_sample",
                   {{"x", x}, {"grid", grid}, {"mode", mode}, {"padding_mode", padding}, {"align_corners", align}})};
  }
  if (padding != "zeros" && padding != "border" && padding != "reflection")
    return {n.refuse(Code::invalid_attribute, format("padding_mode '{}', takes zeros, border or reflection", padding))};
  return {b.emit("resample", {{"x", x},
                              {"coordinates", grid},
                              {"sampling_mode", "bilinear"},
                              {"padding_mode", padding == "zeros"    ? "constant"
                                               : padding == "border" ? "border"
                                               : align               ? "reflection"
                                                                     : "symmetric"},
                              {"padding_value", 0.0},
                              {"coordinates_mode", "normalized_minus_one_to_one"},
                              {"align_corners", align}})};
}

// The places along a dim of this size, -1..1: their middles, or with both ends among them.
Value* grid_places(OpBuilder& b, Value* size, DType dtype, bool align) {
  Value* count = b.cast(b.squeeze(size, {0}), DType::i32);
  Value* at = b.cast(b.emit("range_1d", {{"start", 0}, {"end", count}, {"step", 1}}), dtype);
  Value* number = b.cast(count, dtype);
  if (!align) return b.div(b.sub(b.add(b.scale(at, 2), b.like(at, 1)), number), number);
  // A dim of one element has it at its end.
  Value* alone = b.maximum(b.sub(b.like(number, 2), number), b.like(number, 0));
  Value* steps = b.maximum(b.sub(number, b.like(number, 1)), b.like(number, 1));
  return b.sub(b.div(b.scale(b.add(at, alone), 2), steps), b.like(at, 1));
}

// theta times (x, y, 1), or (x, y, z, 1), of every place of a grid.
Values affine_grid(NodeView& n, OpBuilder& b) {
  Value *theta = n.in(0), *size = n.in_saturated(1);
  const bool align = n.flag("align_corners");
  if (theta->rank() != 3 || size->rank() != 1)
    return {n.refuse(Code::rank_mismatch, format("takes matrices and a list of sizes, got {} and {}",
                                                 theta->type.to_string(), size->type.to_string()))};
  Dim rows = theta->dim(1);
  if (!rows.known()) rows = theta->dim(2) - Dim(1);
  if (!rows.known()) rows = size->dim(0) - Dim(2);
  if (const std::optional<int> rank = n.stated_rank(0); rank && !rows.known()) rows = Dim(*rank - 2);
  if (!rows.known()) {
    if (std::optional<Values> later = n.put_off({ir::Type::unranked(theta->dtype())})) return *later;
    return {n.refuse(Code::dynamic_shape, "neither theta nor the sizes tell how many dims the grid has")};
  }
  if ((rows.value() != 2 && rows.value() != 3) || ir::never_equal(theta->dim(1), rows) ||
      ir::never_equal(theta->dim(2), rows + Dim(1)) || ir::never_equal(size->dim(0), rows + Dim(2))) {
    return {
        n.refuse(Code::shape_mismatch, format("takes theta [n, 2, 3] and 4 sizes, or [n, 3, 4] and 5, got {} and {}",
                                              theta->type.to_string(), size->type.to_string()))};
  }
  theta = b.reshape(theta, {theta->dim(0), rows, rows + Dim(1)});
  const auto spatial = static_cast<int>(rows.value());
  size = of_length(b, size, spatial + 2);
  // Each dim adds its column of theta times its places, the last one is added as it is; all as [n, D..., spatial].
  const auto column = [&](int k) {
    std::vector<int64_t> begin{0, 0, k}, count{-1, -1, 1};
    Value* v = b.emit("slice_by_size", {{"x", theta}, {"begin", begin}, {"size", count}});
    Dims dims(static_cast<size_t>(spatial) + 2, Dim(1));
    dims.front() = theta->dim(0);
    dims.back() = Dim(spatial);
    return b.reshape(b.squeeze(v, {2}), dims);
  };
  Value* y = column(spatial);
  for (int k = 0; k < spatial; ++k) {
    const int d = spatial - 1 - k;  // x is the last dim
    Value* places = grid_places(b, sublist(b, size, d + 2, d + 3), theta->dtype(), align);
    Ints around{0};
    for (int e = 0; e < spatial + 1; ++e) {
      if (e != d) around.push_back(e + 1);
    }
    Value* factors = column(k);
    y = b.add(y, b.mul(factors, b.expand_dims(places, around)));
  }
  return {y};
}

// ---- boxes --------------------------------------------------------------------------------------------------------

struct RoiAlign {
  int64_t height, width, ratio;  // bins, and samples along each side of one
  double scale;
  bool half_pixel;
};

// MIL crops boxes with samples from side to side: those of all bins, which begin and end half a sample inside of the
// box. The mean of each bin is pooled. ONNX's samples up to one element outside of the image are the border's, those
// beyond are zeros: so the image gets a border of one first.
Value* roi_align_by_crops(OpBuilder& b, const RoiAlign& r, Value* x, Value* rois, Value* images) {
  const int64_t rows = r.height * r.ratio, columns = r.width * r.ratio;
  const auto corner = [&](int64_t at) {
    Value* v = b.emit("slice_by_size", {{"x", rois}, {"begin", Ints{0, at}}, {"size", Ints{-1, 2}}});
    v = b.scale(v, r.scale);
    return r.half_pixel ? b.sub(v, b.like(v, 0.5)) : v;
  };
  Value *start = corner(0), *size = b.sub(corner(2), start);
  if (!r.half_pixel) size = b.maximum(size, b.like(size, 1));
  if (!b.ok()) return size;
  const float half[] = {0.5f / static_cast<float>(columns), 0.5f / static_cast<float>(rows)};  // x first
  Value* inside =
      b.mul(size, b.cast(b.constant(ir::Constant::of(Tensor::of<float>(DType::f32, {1, 2}, half))), size->dtype()));
  Value* first = b.add(b.add(start, inside), b.like(start, 1));
  Value* last = b.add(b.sub(b.add(start, size), inside), b.like(start, 1));
  Value* bordered =
      b.emit("pad", {{"x", x}, {"pad", Ints{0, 0, 0, 0, 1, 1, 1, 1}}, {"mode", "replicate"}, {"constant_val", 0.0}});
  Value* y = b.emit("crop_resize", {{"x", bordered},
                                    {"boxes", b.concat({first, last}, 1)},
                                    {"box_indices", images},
                                    {"target_height", rows},
                                    {"target_width", columns},
                                    {"box_coordinate_mode", "CORNERS_WIDTH_FIRST"},
                                    {"sampling_mode", "ALIGN_CORNERS"}});
  if (r.ratio == 1) return y;
  return b.emit(
      "avg_pool",
      {{"x", y}, {"kernel_sizes", Ints{r.ratio, r.ratio}}, {"strides", Ints{r.ratio, r.ratio}}, {"pad_type", "valid"}});
}

Values roi_align(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *rois = n.in(1), *images = n.in(2);
  const std::string mode = n.s("mode", "avg");
  if (mode != "avg" && mode != "max")
    return {n.refuse(Code::invalid_attribute, format("mode '{}', takes avg or max", mode))};
  const std::string places =
      n.version() >= 16 ? n.s("coordinate_transformation_mode", "half_pixel") : "output_half_pixel";
  if (places != "half_pixel" && places != "output_half_pixel")
    return {n.refuse(Code::invalid_attribute,
                     format("coordinate_transformation_mode '{}', takes half_pixel or output_half_pixel", places))};
  const RoiAlign r{n.i("output_height", 1), n.i("output_width", 1), n.i("sampling_ratio", 0), n.f("spatial_scale", 1),
                   places == "half_pixel"};
  return {b.first_of(
      [&] {
        return b.emit("host_roi_align", {{"x", x},
                                         {"rois", rois},
                                         {"batch_indices", images},
                                         {"output_height", r.height},
                                         {"output_width", r.width},
                                         {"spatial_scale", r.scale},
                                         {"sampling_ratio", r.ratio},
                                         {"half_pixel", r.half_pixel},
                                         {"mode", mode}});
      },
      [&]() -> Value* {
        constexpr int64_t kMost = 4096;  // samples along a side
        if (mode != "avg")
          return n.refuse(Code::unsupported_attribute, "MIL has the mean of samples, here the largest is asked for");
        if (r.ratio < 1)
          return n.refuse(Code::unsupported_attribute,
                          "sampling_ratio 0 takes as many samples as a box is large, MIL the same for all; set it");
        if (std::min(r.height, r.width) < 1 || std::max(r.height, r.width) > kMost / r.ratio)
          return n.refuse(Code::limit_exceeded,
                          format("{} x {} bins of {} samples a side", r.height, r.width, r.ratio));
        if (x->rank() != 4 || rois->rank() != 2 || images->rank() != 1 || ir::never_equal(rois->dim(1), Dim(4)))
          return n.refuse(Code::shape_mismatch,
                          format("takes images, boxes [any, 4] and their images, got {}, {} and {}",
                                 x->type.to_string(), rois->type.to_string(), images->type.to_string()));
        return roi_align_by_crops(b, r, x, rois, images);
      })};
}

Values max_roi_pool(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *rois = n.in(1);
  const std::vector<int64_t> shape = n.ints("pooled_shape");
  if (shape.size() != 2)
    return {n.refuse(Code::invalid_attribute, format("pooled_shape has {} entries, takes 2", shape.size()))};
  return {b.emit("host_max_roi_pool", {{"x", x},
                                       {"rois", rois},
                                       {"output_height", shape[0]},
                                       {"output_width", shape[1]},
                                       {"spatial_scale", n.f("spatial_scale", 1)}})};
}

Values crop_and_resize(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *rois = n.in(1), *images = n.in(2), *size = n.in(3);
  return {b.emit("host_crop_and_resize", {{"x", x},
                                          {"rois", rois},
                                          {"batch_indices", images},
                                          {"crop_size", size},
                                          {"mode", n.s("mode", "bilinear")},
                                          {"extrapolation_value", n.f("extrapolation_value", 0)}})};
}

// ---- deformed windows ---------------------------------------------------------------------------------------------

// The moved elements of all windows as columns, and a product by group.
Values deform_conv(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *w = n.in(1), *offset = n.in(2), *bias = n.optional_in(3), *mask = n.optional_in(4);
  if (x->rank() != 4 || w->rank() != 4)
    return {n.refuse(Code::unsupported_rank, format("got {} and a weight {}, windows are deformed on rank 4",
                                                    x->type.to_string(), w->type.to_string()))};
  const Ints kernel = kernel_of(n, b, w);
  const std::optional<WindowAttributes> window = read_window(n, x, kernel);
  if (!window) return {n.refused()};
  if (window->open()) {
    if (std::optional<Values> later = n.put_off_sizes(x->dtype(), {4})) return *later;
    return {n.refuse(Code::dynamic_shape, "the weight's kernel sizes must be known")};
  }
  const int64_t group = n.i("group", 1);
  const Dim rows = w->dim(0), depth = w->dim(1) * Dim(kernel.product());
  if (group < 1 || (rows.known() && rows.value() % group != 0) || ir::never_equal(x->dim(1), w->dim(1) * Dim(group)))
    return {n.refuse(Code::shape_mismatch,
                     format("a weight {} in {} groups for {}", w->type.to_string(), group, x->type.to_string()))};
  Value* columns = b.emit("host_deform_columns", {{"x", x},
                                                  {"offset", offset},
                                                  {"mask", mask},
                                                  {"kernel_sizes", kernel},
                                                  {"strides", window->stride},
                                                  {"pad_type", "custom"},
                                                  {"pad", pairs(window->before, window->after)},
                                                  {"dilations", window->dilation},
                                                  {"offset_groups", n.i("offset_group", 1)}});
  if (!b.ok()) return {n.refused()};
  Value* hints[] = {columns, w, x};
  const Dim batch = columns->dim(0), height = columns->dim(2), width = columns->dim(3);
  const Dim each = ir::floor_div(rows, Dim(group));
  Value* right = b.reshape(columns, {batch, Dim(group), depth, height * width}, hints);
  Value* left = b.reshape(w, {Dim(1), Dim(group), each, depth}, hints);
  Value* y = b.reshape(b.matmul(left, right), {batch, rows, height, width}, hints);
  return {bias == nullptr ? y : add_bias(b, y, bias)};
}

constexpr Lowering kRows[] = {
    {"", "GridSample", kSince<16, 20, 22>, "X grid -> Y; align_corners mode padding_mode", grid_sample,
     "in Core ML bilinear, of rank 4"},
    {"", "AffineGrid", kSince<20>, "theta size -> grid; align_corners", affine_grid},
    {"", "RoiAlign", kSince<10, 16, 22>,
     "X rois batch_indices -> Y; coordinate_transformation_mode@16 mode output_height output_width sampling_ratio "
     "spatial_scale",
     roi_align, "in Core ML means of a given sampling_ratio"},
    {"", "MaxRoiPool", kSince<1, 22>, "X rois -> Y; pooled_shape spatial_scale", max_roi_pool, "on the host only"},
    {"", "DeformConv", kSince<19, 22>,
     "X W offset B? mask? -> Y; dilations group kernel_shape offset_group pads strides", deform_conv,
     "on the host only"},
    {"com.microsoft", "GridSample", kSince<1>, "X Grid -> Y; align_corners mode padding_mode", grid_sample,
     "in Core ML bilinear, of rank 4"},
    {"com.microsoft", "CropAndResize", kSince<1>, "X rois batch_indices crop_size -> Y; extrapolation_value mode",
     crop_and_resize, "on the host only"},
};

}  // namespace

LoweringRows sampling_lowerings() { return kRows; }

}  // namespace graft::onnx
