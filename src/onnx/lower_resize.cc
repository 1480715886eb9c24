// Resize and Upsample: one MIL operator where it gives exactly this, else gathers and products (resize_taps.cc).
#include <algorithm>
#include <array>
#include <cmath>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"
#include "onnx/resize.h"

namespace graft::onnx {
namespace {

// Whether the nearest neighbours are those of MIL's nearest operators: floor(i * in / out).
bool floors(const ResizeSpec& s, const ops::ResizeAxis& a) {
  constexpr int64_t kMost = 1 << 20;
  const auto coordinate = ops::named(ops::kCoordinates, s.coordinate);
  const auto nearest = ops::named(ops::kNearest, s.nearest);
  if (a.out > kMost || !coordinate || !nearest) return false;
  for (int64_t i = 0; i < a.out; ++i) {
    const int64_t at = ops::resize_nearest(*nearest, ops::resize_source(*coordinate, a, i));
    if (std::clamp<int64_t>(at, 0, a.in - 1) != i * a.in / a.out) return false;
  }
  return true;
}

const char* grid_of(const ResizeSpec& s) {
  if (s.coordinate == "align_corners") return "STRICT_ALIGN_CORNERS";
  if (s.coordinate == "asymmetric") return "DEFAULT";
  return "UNALIGN_CORNERS";
}

// One of the last two dims.
struct Axis {
  int64_t in = -1, out = -1;  // -1: not known
  Dim to = -1;                // of the result; -1: not even symbolically known
  double scale = 1;           // 0: of sizes, and no whole factor
  bool resized = false;
  int entry = 0;  // of sizes or scales
};

// n times a scale, where that is a whole number for every n; else -1.
Dim scaled(const Dim& n, double scale) {
  constexpr int64_t kFinest = 64;
  for (int64_t parts = 1; parts <= kFinest; parts *= 2) {
    const double times = scale * static_cast<double>(parts);
    if (times != std::floor(times) || times > 1 << 20) continue;
    const Dim whole = n * Dim(static_cast<int64_t>(times)), size = ir::floor_div(whole, Dim(parts));
    return ir::always_equal(size * Dim(parts), whole) ? size : Dim(-1);
  }
  return -1;
}

// Known sizes; linear needs a scale that is exactly their quotient.
bool axis_fits(const ResizeSpec& s, const Axis& a) {
  if (a.in < 1 || a.out < 1) return false;
  const bool by_scale = !s.scales.empty() && a.resized;
  const float scale = by_scale ? static_cast<float>(a.scale) : static_cast<float>(a.out) / static_cast<float>(a.in);
  if (s.mode == "nearest") return floors(s, {a.in, a.out, scale});
  if (by_scale && a.scale * static_cast<double>(a.in) != static_cast<double>(a.out)) return false;
  if (s.coordinate == "pytorch_half_pixel" && a.out == 1 && a.in != 1) return false;
  return !s.antialias || a.out >= a.in;
}

bool modes_fit(const ResizeSpec& s) {
  if (s.mode == "cubic" || s.coordinate == "tf_crop_and_resize" || s.policy != "stretch") return false;
  return s.mode == "nearest" || (s.mode == "linear" && s.coordinate != "tf_half_pixel_for_nn");
}

bool whole(double scale) { return scale >= 1 && scale <= 1024 && scale == std::floor(scale); }

// Sizes that are open: only whole factors are exact for all of them. Nearest neighbours then repeat.
Value* by_factors(const ResizeSpec& s, OpBuilder& b, Value* x, const Axis& h, const Axis& w) {
  if (!whole(h.scale) || !whole(w.scale)) return nullptr;
  const std::vector<std::pair<const Axis*, int64_t>> both{{&h, static_cast<int64_t>(h.scale)},
                                                          {&w, static_cast<int64_t>(w.scale)}};
  if (s.mode == "nearest") {
    constexpr int64_t kSample = 16;  // the pattern of a whole factor repeats, align_corners aside
    for (const auto& [axis, factor] : both) {
      if (s.coordinate == "align_corners" || !floors(s, {kSample, kSample * factor, static_cast<float>(factor)}))
        return nullptr;
    }
    return b.emit("upsample_nearest_neighbor",
                  {{"x", x}, {"scale_factor_height", both[0].second}, {"scale_factor_width", both[1].second}});
  }
  // A result of 1 is an input of 1 here, so that pytorch_half_pixel is half_pixel.
  Value* centres = s.coordinate == "asymmetric" ? b.scalar(DType::boolean, 0) : nullptr;
  return b.emit("upsample_bilinear", {{"x", x},
                                      {"scale_factor_height", both[0].second},
                                      {"scale_factor_width", both[1].second},
                                      {"align_corners", s.coordinate == "align_corners"},
                                      {"half_pixel_centers", centres}});
}

// How often `in` goes into `out` in every run, where that is a whole number; else 0.
int64_t factor_of(const Dim& in, const Dim& out) {
  const IntRange from = in.range(), to = out.range();
  const int64_t factor = from.lo > 0 ? to.lo / from.lo : 0;
  return factor > 0 && out == in * Dim(factor) ? factor : 0;
}

// The last two dims; nullopt where another one is resized. Sizes and scales are known, if only symbolically.
std::optional<std::array<Axis, 2>> last_two(const ResizeSpec& s, const Value* x) {
  const int rank = x->rank();
  std::array<Axis, 2> two;
  for (int k = 0; k < 2 && rank >= 2; ++k) {
    const Dim& d = x->dims()[static_cast<size_t>(rank - 2 + k)];
    two[static_cast<size_t>(k)].in = two[static_cast<size_t>(k)].out = d.known() ? d.value() : -1;
    two[static_cast<size_t>(k)].to = d;
  }
  for (int k = 0; k < s.axes.size(); ++k) {
    const Dim in = x->dim(static_cast<int>(s.axes[k]));
    const auto at = static_cast<size_t>(k);
    const bool same = s.scales.empty() ? (*s.sizes)[at] == in : s.scales[at] == 1;
    if (same) continue;
    if (s.axes[k] < rank - 2) return std::nullopt;
    Axis& a = two[static_cast<size_t>(s.axes[k] - (rank - 2))];
    a.resized = true;
    a.entry = k;
    a.out = -1;
    if (s.scales.empty()) {
      a.to = (*s.sizes)[at];
      a.scale = static_cast<double>(factor_of(in, a.to));
      if (a.to.known()) a.out = a.to.value();
      continue;
    }
    a.scale = s.scales[at];
    a.to = scaled(in, a.scale);
    if (a.in >= 0) a.out = static_cast<int64_t>(std::floor(static_cast<float>(a.in) * static_cast<float>(a.scale)));
  }
  return two;
}

Ints leading(const Value* x) {
  Ints lead;
  for (int d = x->rank(); d < 3; ++d) lead.push_back(d - x->rank());
  return lead;
}

// Null: no operator with sizes or factors as constants gives exactly this.
Value* exact(const ResizeSpec& s, OpBuilder& b, Value* x) {
  if (!modes_fit(s) || (x->dtype() != DType::f32 && x->dtype() != DType::f16)) return nullptr;
  const auto two = last_two(s, x);
  if (!two) return nullptr;
  const auto& [h, w] = *two;
  if (!h.resized && !w.resized) return x;
  const Ints lead = leading(x);
  Value* y = nullptr;
  if (axis_fits(s, h) && axis_fits(s, w)) {
    Value* wide = b.expand_dims(x, lead);
    y = s.mode == "nearest" ? b.emit("resize_nearest_neighbor",
                                     {{"x", wide}, {"target_size_height", h.out}, {"target_size_width", w.out}})
                            : b.emit("resize_bilinear", {{"x", wide},
                                                         {"target_size_height", h.out},
                                                         {"target_size_width", w.out},
                                                         {"sampling_mode", grid_of(s)}});
  } else if (x->rank() >= 3) {
    y = by_factors(s, b, x, h, w);
  }
  return y == nullptr ? nullptr : b.squeeze(y, lead);
}

// Whether `resize` to sizes that only a run knows gives exactly this: linear, on a grid of the sizes alone.
bool grid_fits(const ResizeSpec& s, const Value* x) {
  const bool known = !s.scales.empty() || s.sizes.has_value();
  if (!known || s.mode != "linear" || !modes_fit(s) || (x->dtype() != DType::f32 && x->dtype() != DType::f16))
    return false;
  const auto two = last_two(s, x);
  if (!two) return false;
  for (size_t k = 0; k < 2; ++k) {
    const Axis& a = (*two)[k];
    if (!a.resized) continue;
    const Dim in = x->dim(static_cast<int>(k) - 2);
    if (a.to == Dim(-1)) return false;
    if (s.coordinate == "pytorch_half_pixel" && a.to.range().lo < 2 && !(in == Dim(1))) return false;
    if (s.antialias && (a.to - in).tight_range().lo < 0) return false;
  }
  return true;
}

Value* to_sizes_of_the_run(const ResizeSpec& s, OpBuilder& b, Value* x) {
  const auto two = last_two(s, x);
  std::vector<Part> sizes;
  for (const Axis& a : *two) {
    Value* hints[] = {x};
    if (a.to.known())
      sizes.push_back(Part::of(a.to.value()));
    else if (a.resized && s.sizes_in != nullptr)
      sizes.push_back(Part::element(s.sizes_in, a.entry));
    else
      sizes.push_back(Part::element(b.dims_value({a.to}, hints), 0));
  }
  const Ints lead = leading(x);
  Value* shape = b.cast(list_of(b, sizes), DType::i32);
  Value* y = b.emit("resize", {{"x", b.expand_dims(x, lead)},
                               {"shape", shape},
                               {"resized_dims", 2},
                               {"interpolation_mode", "LINEAR"},
                               {"sampling_mode", grid_of(s)}});
  return b.squeeze(y, lead);
}

// ---- reading the node ---------------------------------------------------------------------------------------------

bool given(NodeView& n, int i) { return n.has(i) && !(n.in(i)->dim(0) == Dim(0)); }

std::vector<double> numbers(const Value* v) {
  std::vector<double> out;
  const TensorView view = v->constant->view();
  for (int64_t i = 0; i < view.count(); ++i) out.push_back(element_as_double(view, i));
  return out;
}

// keep_aspect_ratio_policy: one scale for all axes, from the sizes; the results are rounded, halves up.
void keep_aspect_ratio(NodeView& n, OpBuilder& b, ResizeSpec& s, Value* x) {
  if (s.policy == "stretch") return;
  if (s.policy != "not_larger" && s.policy != "not_smaller") {
    n.refuse(Code::invalid_attribute,
             format("keep_aspect_ratio_policy '{}', takes stretch, not_larger or not_smaller", s.policy));
    return;
  }
  if (s.sizes_in == nullptr) return;
  bool known = s.sizes.has_value();
  for (int k = 0; known && k < s.axes.size(); ++k)
    known = x->dim(static_cast<int>(s.axes[k])).known() && (*s.sizes)[static_cast<size_t>(k)].known();
  if (!known) {
    Value* in = b.cast(b.gather(b.shape(x), b.ints(std::vector<int64_t>(s.axes.begin(), s.axes.end())), 0), DType::f32);
    Value* scales = b.div(b.cast(s.sizes_in, DType::f32), in);
    Value* best = b.reduce(s.policy == "not_larger" ? "reduce_min" : "reduce_max", scales, {0}, true);
    Value* size = b.mul(in, best);
    s.sizes_in = b.cast(b.unary("floor", b.add(size, b.like(size, 0.5))), n.inside(DType::i64));
    s.scales_in = b.add(b.scale(in, 0), best);
    s.sizes.reset();
    return;
  }
  float best = 0;
  for (int k = 0; k < s.axes.size(); ++k) {
    const Dim in = x->dim(static_cast<int>(s.axes[k])), out = (*s.sizes)[static_cast<size_t>(k)];
    if (in.value() < 1) {
      n.refuse(Code::shape_mismatch, format("keep_aspect_ratio_policy for {}", x->type.to_string()));
      return;
    }
    const float scale = static_cast<float>(out.value()) / static_cast<float>(in.value());
    best = k == 0 ? scale : s.policy == "not_larger" ? std::min(best, scale) : std::max(best, scale);
  }
  std::vector<int64_t> sizes;
  Tensor scales(DType::f32, Shape{s.axes.size()});
  for (int k = 0; k < s.axes.size(); ++k) {
    const auto in = static_cast<float>(x->dim(static_cast<int>(s.axes[k])).value());
    sizes.push_back(static_cast<int64_t>(std::round(in * best)));
    scales.span<float>()[static_cast<size_t>(k)] = best;
  }
  s.sizes_in = b.ints(sizes, n.inside(DType::i64));
  s.sizes = Dims(sizes.begin(), sizes.end());
  s.scales = std::vector<double>(sizes.size(), best);
  s.scales_in = b.constant(ir::Constant::of(std::move(scales)));
}

bool read_spec(NodeView& n, OpBuilder& b, ResizeSpec& s, Value* x) {
  const bool upsample = n.node().op_type == "Upsample", old = upsample || n.version() < 11;
  s.mode = n.s("mode", "nearest");
  if (old && s.mode == "bilinear") s.mode = "linear";
  s.coordinate = old ? "asymmetric" : n.s("coordinate_transformation_mode", "half_pixel");
  s.nearest = old ? "floor" : n.s("nearest_mode", "round_prefer_floor");
  s.antialias = n.version() >= 18 && n.flag("antialias");
  s.cubic_a = n.f("cubic_coeff_a", -0.75);
  s.exclude_outside = n.flag("exclude_outside");
  s.extrapolation = n.f("extrapolation_value", 0);
  s.policy = n.version() >= 18 ? n.s("keep_aspect_ratio_policy", "stretch") : "stretch";
  if (n.version() >= 18 && n.has_attr("axes")) {
    for (int64_t a : n.ints("axes")) s.axes.push_back(normal_axis(n, a, x->rank()));
  } else {
    for (int d = 0; d < x->rank(); ++d) s.axes.push_back(d);
  }
  const int scales_at = upsample || n.version() < 11 ? 1 : 2;
  if (upsample && n.version() < 9) {
    s.scales = n.floats("scales");
    Tensor t(DType::f32, Shape{static_cast<int64_t>(s.scales.size())});
    for (size_t i = 0; i < s.scales.size(); ++i) t.span<float>()[i] = static_cast<float>(s.scales[i]);
    s.scales_in = b.constant(ir::Constant::of(std::move(t)));
  } else if (given(n, scales_at) && (old || !given(n, 3) || n.in(scales_at)->dim(0).known())) {
    s.scales_in = n.in(scales_at);
    if (s.scales_in->is_constant()) s.scales = numbers(s.scales_in);
  }
  if (!old && s.scales_in == nullptr && given(n, 3)) {
    s.sizes_in = n.in(3);
    s.sizes = n.dims(3);
  }
  if (s.coordinate == "tf_crop_and_resize" && n.has(1)) s.roi = n.in(1);
  if (s.scales_in == nullptr && s.sizes_in == nullptr) n.refuse(Code::invalid_model, "needs scales or sizes");
  const auto count = static_cast<size_t>(s.axes.size());
  if ((!s.scales.empty() && s.scales.size() != count) || (s.sizes && s.sizes->size() != count)) {
    n.refuse(Code::shape_mismatch,
             format("{} scales or sizes for {} axes", s.sizes ? s.sizes->size() : s.scales.size(), count));
  }
  keep_aspect_ratio(n, b, s, x);
  return b.ok();
}

// Every form but the operators with constant sizes.
Value* general(NodeView& n, OpBuilder& b, const ResizeSpec& s, Value* x) {
  const auto direct = [&] {
    return b.emit("host_resize", {{"x", x},
                                  {"sizes", s.sizes_in},
                                  {"scales", s.scales_in},
                                  {"roi", s.roi},
                                  {"axes", s.axes},
                                  {"mode", s.mode},
                                  {"coordinate_transformation_mode", s.coordinate},
                                  {"nearest_mode", s.nearest},
                                  {"cubic_coeff_a", s.cubic_a},
                                  {"exclude_outside", s.exclude_outside},
                                  {"extrapolation_value", s.extrapolation},
                                  {"antialias", s.antialias}});
  };
  if (grid_fits(s, x)) return b.first_of(direct, [&] { return to_sizes_of_the_run(s, b, x); });
  return b.first_of(direct, [&] { return resize_by_taps(n, b, s, x); });
}

Values resize(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  ResizeSpec s;
  if (!read_spec(n, b, s, x)) return {n.refused()};
  // Before version 11 nearest neighbours round down where the tensor grows and up where it shrinks.
  const bool may_shrink = s.scales.empty() || *std::min_element(s.scales.begin(), s.scales.end()) < 1;
  const bool shrinks = n.version() < 11 && s.mode == "nearest" && may_shrink;
  const bool known = !s.scales.empty() || s.sizes.has_value();
  if (known && !shrinks) {
    if (Value* y = exact(s, b, x)) return {y};
  }
  if (!shrinks) return {general(n, b, s, x)};
  const auto part = [&](Value* from, std::string_view nearest, Value* scales) {
    ResizeSpec half = s;
    half.nearest = nearest;
    half.scales_in = scales;
    half.scales = scales->is_constant() ? numbers(scales) : std::vector<double>();
    return general(n, b, half, from);
  };
  Value* one = b.like(s.scales_in, 1);
  Value* y = part(x, "ceil", b.minimum(s.scales_in, one));
  return {part(y, "floor", b.maximum(s.scales_in, one))};
}

constexpr Lowering kRows[] = {
    {"", "Resize", kSince<10, 11, 13, 18, 19>,
     "X scales<11 roi@11<13 scales@11<13 roi?@13 scales?@13 sizes?@11 -> Y; antialias@18 axes@18 "
     "coordinate_transformation_mode@11 cubic_coeff_a@11 exclude_outside@11 extrapolation_value@11 "
     "keep_aspect_ratio_policy@18 mode nearest_mode@11",
     resize, "crop boxes and antialiased shrinking to open sizes on the host"},
    {"", "Upsample", kSince<7, 9>, "X scales@9 -> Y; mode scales<9", resize,
     "crop boxes and antialiased shrinking to open sizes on the host"},
};

}  // namespace

LoweringRows resize_lowerings() { return kRows; }

}  // namespace graft::onnx
