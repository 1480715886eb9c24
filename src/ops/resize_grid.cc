#include "ops/resize_grid.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "base/shape.h"
#include "ops/sampling.h"

namespace graft::ops {

float resize_source(Coordinate mode, const ResizeAxis& a, int64_t i) {
  const auto x = static_cast<float>(i), in = static_cast<float>(a.in), out = static_cast<float>(a.out);
  switch (mode) {
    case Coordinate::half_pixel: return (x + 0.5f) / a.scale - 0.5f;
    case Coordinate::half_pixel_symmetric: {
      const float adjustment = out / (a.scale * in), offset = in / 2 * (1 - adjustment);
      return static_cast<float>(static_cast<double>(offset) +
                                (static_cast<double>(x) + 0.5) / static_cast<double>(a.scale) - 0.5);
    }
    case Coordinate::pytorch_half_pixel: return a.out > 1 ? (x + 0.5f) / a.scale - 0.5f : 0;
    case Coordinate::tf_half_pixel_for_nn: return (x + 0.5f) / a.scale;
    case Coordinate::align_corners: return a.out > 1 ? x * (in - 1) / (out - 1) : 0;
    case Coordinate::asymmetric: return x / a.scale;
    case Coordinate::tf_crop_and_resize:
      return a.out > 1 ? a.start * (in - 1) + x * (a.end - a.start) * (in - 1) / (out - 1)
                       : 0.5f * (a.start + a.end) * (in - 1);
  }
  return 0;
}

int64_t resize_nearest(Nearest mode, float place) {
  const float down = std::floor(place);
  const bool tie = std::abs(place - down - 0.5f) <= 1e-6f;
  switch (mode) {
    case Nearest::round_prefer_floor: return static_cast<int64_t>(tie ? down : std::round(place));
    case Nearest::round_prefer_ceil: return static_cast<int64_t>(tie ? down + 1 : std::round(place));
    case Nearest::floor: return static_cast<int64_t>(down);
    case Nearest::ceil: return static_cast<int64_t>(std::ceil(place));
  }
  return 0;
}

namespace {

// Source elements that a tap may touch on each side; antialiasing widens the filter when shrinking.
int64_t reach_of(const ResizeFilter& r, double shrink) {
  const double support = r.mode == Interpolation::cubic ? 2 : 1;
  return static_cast<int64_t>(std::ceil(support / shrink));
}

}  // namespace

Result<ResizeTaps> resize_taps(const ResizeFilter& r, const ResizeAxis& a) {
  ResizeTaps t;
  const double shrink = r.antialias ? std::min(1.0, static_cast<double>(a.scale)) : 1.0;
  const int64_t reach = r.mode == Interpolation::nearest ? 0 : reach_of(r, shrink);
  const int64_t width = std::max<int64_t>(1, 2 * reach);
  if (width > 1 << 20 || checked_count(Shape{width, a.out}) < 0 || width * a.out > int64_t{1} << 32)
    return fail(Code::limit_exceeded, format("{} filter taps for a dim of {}", width, a.out));
  t.width = static_cast<int>(width);
  t.source.resize(static_cast<size_t>(width * a.out));
  t.weight.resize(t.source.size(), 1.0);
  t.outside.resize(static_cast<size_t>(a.out), 0);
  for (int64_t i = 0; i < a.out; ++i) {
    const float x = resize_source(r.coordinate, a, i);
    if (!std::isfinite(x) || std::abs(x) > 1e15f)
      return fail(Code::value_out_of_range, format("output index {} samples at {}", i, x));
    t.outside[static_cast<size_t>(i)] =
        r.coordinate == Coordinate::tf_crop_and_resize && (x < 0 || x > static_cast<float>(a.in - 1));
    int64_t* source = &t.source[static_cast<size_t>(i * width)];
    double* weight = &t.weight[static_cast<size_t>(i * width)];
    if (r.mode == Interpolation::nearest) {
      *source = std::clamp<int64_t>(resize_nearest(r.nearest, x), 0, a.in - 1);
      continue;
    }
    const auto floor = static_cast<int64_t>(std::floor(x));
    double sum = 0;
    for (int64_t k = 0; k < width; ++k) {
      const int64_t at = floor + 1 - reach + k;
      const double distance = (static_cast<double>(at) - static_cast<double>(x)) * shrink;
      weight[k] =
          r.mode == Interpolation::cubic ? cubic_weight(distance, r.cubic_a) : std::max(0.0, 1 - std::abs(distance));
      if (r.exclude_outside && (at < 0 || at >= a.in)) weight[k] = 0;
      source[k] = std::clamp<int64_t>(at, 0, a.in - 1);
      sum += weight[k];
    }
    // A filter cut off or stretched no longer sums to 1.
    if ((r.exclude_outside || shrink < 1) && sum != 0) {
      for (int64_t k = 0; k < width; ++k) weight[k] /= sum;
    }
  }
  return t;
}

}  // namespace graft::ops
