// Resize as gathers and products: exact in every mode, coordinates in fp32 as ONNX Runtime computes them.
#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"
#include "onnx/resize.h"

namespace graft::onnx {
namespace {

using ops::Coordinate;
using ops::Interpolation;
using ops::Nearest;

// Along one axis: for each result the places of its elements, and their weights (null: a single one, as it is).
struct Taps {
  std::vector<Value*> places, weights;
  Value* outside = nullptr;  // of the crop box; null: none
};

class ByTaps {
 public:
  ByTaps(NodeView& n, OpBuilder& b, const ResizeSpec& s) : n_(n), b_(b), s_(s) {}

  Value* operator()(Value* x) {
    const auto mode = ops::named(ops::kInterpolations, s_.mode);
    const auto coordinate = ops::named(ops::kCoordinates, s_.coordinate);
    const auto nearest = ops::named(ops::kNearest, s_.nearest);
    if (!mode || !coordinate || !nearest) return refuse("in an unknown mode");
    filter_ = {*mode, *coordinate, *nearest, s_.cubic_a, s_.exclude_outside, s_.antialias};
    if (*mode != Interpolation::nearest && x->dtype() != DType::f32 && x->dtype() != DType::f16)
      return refuse(format("of {} between elements", name(x->dtype())));
    for (int k = 0; k < s_.axes.size() && b_.ok(); ++k) x = along(x, k);
    return x;
  }

 private:
  Value* refuse(const std::string& what) {
    return n_.refuse(Code::host_only, format("Resize {} has no exact MIL form", what));
  }
  Taps none(const std::string& what) {
    refuse(what);
    return {};
  }
  Value* number(double v) { return b_.scalar(DType::f32, v); }
  Value* real(Value* v) { return b_.cast(v, DType::f32); }

  Value* along(Value* x, int k) {
    const int axis = static_cast<int>(s_.axes[k]);
    const auto at = static_cast<size_t>(k);
    const Dim in = x->dim(axis);
    const bool by_scale = s_.scales_in != nullptr;
    const bool same = by_scale ? !s_.scales.empty() && s_.scales[at] == 1 : s_.sizes && (*s_.sizes)[at] == in;
    if (same && filter_.coordinate != Coordinate::tf_crop_and_resize) return x;
    std::optional<int64_t> out;
    if (s_.sizes) {
      if ((*s_.sizes)[at].known()) out = (*s_.sizes)[at].value();
    } else if (in.known() && !s_.scales.empty()) {
      out = static_cast<int64_t>(std::floor(static_cast<float>(in.value()) * static_cast<float>(s_.scales[at])));
    }
    const bool known = in.known() && out && (!by_scale || !s_.scales.empty());
    const Taps taps = known ? constant(x->dtype(), k, in.value(), *out) : computed(x, axis, k);
    return b_.ok() ? applied(x, axis, taps) : b_.function().poison();
  }

  Value* applied(Value* x, int axis, const Taps& taps) {
    // A list along the axis.
    const auto broadcast = [&](Value* list) {
      Ints after;
      for (int d = axis + 1; d < x->rank(); ++d) after.push_back(d - axis);
      return b_.expand_dims(list, after);
    };
    Value* sum = nullptr;
    for (size_t i = 0; i < taps.places.size(); ++i) {
      Value* part = b_.gather(x, taps.places[i], axis);
      if (i < taps.weights.size()) part = b_.mul(part, broadcast(b_.cast(taps.weights[i], x->dtype())));
      sum = sum == nullptr ? part : b_.add(sum, part);
    }
    if (taps.outside == nullptr) return sum;
    return b_.select(broadcast(taps.outside), b_.like(x, s_.extrapolation), sum);
  }

  // ---- sizes that are known ---------------------------------------------------------------------------------------

  Taps constant(DType dtype, int k, int64_t in, int64_t out) {
    constexpr int kMostTaps = 32;  // a gather each
    constexpr int64_t kLongest = 1 << 20;
    Taps taps;
    if (in < 1 || out < 1 || out > kLongest) return none(format("from {} to {}", in, out));
    ops::ResizeAxis a{in, out, static_cast<float>(out) / static_cast<float>(in)};
    if (s_.scales_in != nullptr) a.scale = static_cast<float>(s_.scales[static_cast<size_t>(k)]);
    if (s_.roi != nullptr) {
      if (!s_.roi->is_constant()) return none("of a box that only the run knows");
      const TensorView roi = s_.roi->constant->view();
      a.start = static_cast<float>(element_as_double(roi, k));
      a.end = static_cast<float>(element_as_double(roi, k + s_.axes.size()));
    }
    const Result<ops::ResizeTaps> table = ops::resize_taps(filter_, a);
    if (!table) {
      b_.refuse(table.error());
      return taps;
    }
    if (table->width > kMostTaps) return none(format("from {} to {} by a filter of {}", in, out, table->width));
    const auto width = static_cast<size_t>(table->width), count = static_cast<size_t>(out);
    for (size_t t = 0; t < width; ++t) {
      std::vector<int64_t> places(count);
      Tensor weights(dtype == DType::f16 ? DType::f32 : dtype, Shape{out});
      bool any = filter_.mode == Interpolation::nearest;
      for (size_t i = 0; i < count; ++i) {
        places[i] = table->source[i * width + t];
        if (filter_.mode == Interpolation::nearest) continue;
        weights.span<float>()[i] = static_cast<float>(table->weight[i * width + t]);
        any |= table->weight[i * width + t] != 0;
      }
      if (!any) continue;  // where the results lie on elements
      taps.places.push_back(b_.ints(places));
      if (filter_.mode != Interpolation::nearest)
        taps.weights.push_back(b_.constant(ir::Constant::of(std::move(weights))));
    }
    if (std::any_of(table->outside.begin(), table->outside.end(), [](uint8_t o) { return o != 0; })) {
      Tensor outside(DType::boolean, Shape{out});
      std::transform(table->outside.begin(), table->outside.end(), outside.mutable_view().as<bool>(),
                     [](uint8_t o) { return o != 0; });
      taps.outside = b_.constant(ir::Constant::of(std::move(outside)));
    }
    return taps;
  }

  // ---- sizes that only a run knows --------------------------------------------------------------------------------

  Taps computed(Value* x, int axis, int k) {
    const auto at = static_cast<size_t>(k);
    Taps taps;
    if (filter_.coordinate == Coordinate::tf_crop_and_resize) return none("of a box in an open size");
    if (filter_.antialias && !grows(x->dim(axis), at)) return none("with antialias to a size that is open");
    Value* in = size_along(b_, x, axis);
    Value *scale = nullptr, *out = nullptr;
    if (s_.scales_in != nullptr) scale = b_.squeeze(sublist(b_, s_.scales_in, k, k + 1), {0});
    if (s_.sizes_in != nullptr) {
      out = b_.cast(b_.squeeze(sublist(b_, s_.sizes_in, k, k + 1), {0}), in->dtype());
    } else if (!s_.scales.empty() && s_.scales[at] == std::floor(s_.scales[at]) && s_.scales[at] < 1 << 20) {
      out = b_.scale(in, s_.scales[at]);  // keeps the symbol
    } else {
      out = b_.cast(b_.unary("floor", b_.mul(real(in), scale)), in->dtype());
    }
    if (scale == nullptr) scale = b_.div(real(out), real(in));
    Value* i = real(b_.emit("range_1d", {{"end", out}, {"start", b_.like(out, 0)}, {"step", b_.like(out, 1)}}));
    Value* place = place_of(i, real(in), real(out), scale);
    Value* last = b_.sub(in, b_.like(in, 1));
    const auto clipped = [&](Value* v) { return b_.maximum(b_.minimum(v, last), b_.like(v, 0)); };
    if (filter_.mode == Interpolation::nearest) {
      taps.places.push_back(clipped(b_.cast(nearest_to(place), in->dtype())));
      return taps;
    }
    Value* down = b_.unary("floor", place);
    Value* share = b_.sub(place, down);
    taps.weights = weights_of(share);
    Value* first = b_.cast(down, in->dtype());
    const int64_t reach = static_cast<int64_t>(taps.weights.size()) / 2;
    std::vector<Value*> unclipped;
    for (int64_t t = 0; t < 2 * reach; ++t) {
      unclipped.push_back(b_.add(first, b_.like(first, static_cast<double>(t + 1 - reach))));
      taps.places.push_back(clipped(unclipped.back()));
    }
    if (filter_.exclude_outside) exclude(unclipped, taps);
    return taps;
  }

  // No result lies between fewer elements than without antialias.
  bool grows(const Dim& in, size_t at) const {
    if (s_.scales_in != nullptr) return !s_.scales.empty() && s_.scales[at] >= 1;
    return s_.sizes && ((*s_.sizes)[at] - in).tight_range().lo >= 0;
  }

  // ops::resize_source for all results.
  Value* place_of(Value* i, Value* in, Value* out, Value* scale) {
    Value *half = number(0.5), *one = number(1);
    const auto half_pixel = [&] {
      Value* centre = b_.div(b_.add(i, half), scale);
      return b_.sub(centre, half);
    };
    switch (filter_.coordinate) {
      case Coordinate::half_pixel_symmetric: {
        if (s_.scales_in == nullptr) return half_pixel();  // the scale is exactly the quotient of the sizes
        Value* adjustment = b_.div(out, b_.mul(scale, in));
        Value* offset = b_.mul(b_.mul(in, half), b_.sub(one, adjustment));
        return b_.add(offset, half_pixel());
      }
      case Coordinate::pytorch_half_pixel: {  // a single result lies at 0
        Value* several = real(b_.binary("greater", out, one));
        return b_.mul(half_pixel(), several);
      }
      case Coordinate::tf_half_pixel_for_nn: return b_.div(b_.add(i, half), scale);
      case Coordinate::align_corners: {
        Value* steps = b_.maximum(b_.sub(out, one), one);  // a single result lies at 0
        return b_.div(b_.mul(i, b_.sub(in, one)), steps);
      }
      case Coordinate::asymmetric: return b_.div(i, scale);
      default: return half_pixel();
    }
  }

  // ops::resize_nearest for all places.
  Value* nearest_to(Value* place) {
    if (filter_.nearest == Nearest::ceil) return b_.unary("ceil", place);
    Value* down = b_.unary("floor", place);
    if (filter_.nearest == Nearest::floor) return down;
    Value* past = b_.sub(b_.sub(place, down), number(0.5));
    Value* up = filter_.nearest == Nearest::round_prefer_floor ? b_.binary("greater", past, number(1e-6))
                                                               : b_.binary("greater_equal", past, number(-1e-6));
    return b_.add(down, real(up));
  }

  // By how far a place lies behind the element below it.
  std::vector<Value*> weights_of(Value* share) {
    Value* rest = b_.sub(number(1), share);
    if (filter_.mode == Interpolation::linear) return {rest, share};
    const double a = filter_.cubic_a;
    const auto near = [&](Value* d) {
      Value* slope = b_.add(b_.scale(d, a + 2), number(-(a + 3)));
      return b_.add(b_.mul(slope, b_.mul(d, d)), number(1));
    };
    const auto far = [&](Value* d) {
      Value* inner = b_.add(b_.mul(b_.add(d, number(-5)), d), number(8));
      return b_.scale(b_.add(b_.mul(inner, d), number(-4)), a);
    };
    std::vector<Value*> weights;
    weights.push_back(far(b_.add(share, number(1))));
    weights.push_back(near(share));
    weights.push_back(near(rest));
    weights.push_back(far(b_.add(rest, number(1))));
    return weights;
  }

  // Elements that are not there weigh nothing, and the others more.
  void exclude(const std::vector<Value*>& unclipped, Taps& taps) {
    Value* sum = nullptr;
    for (size_t t = 0; t < taps.weights.size(); ++t) {
      Value* there = b_.binary("equal", unclipped[t], taps.places[t]);
      taps.weights[t] = b_.mul(taps.weights[t], real(there));
      sum = sum == nullptr ? taps.weights[t] : b_.add(sum, taps.weights[t]);
    }
    for (Value*& w : taps.weights) w = b_.div(w, sum);
  }

  NodeView& n_;
  OpBuilder& b_;
  const ResizeSpec& s_;
  ops::ResizeFilter filter_;
};

}  // namespace

Value* resize_by_taps(NodeView& n, OpBuilder& b, const ResizeSpec& s, Value* x) { return ByTaps(n, b, s)(x); }

}  // namespace graft::onnx
