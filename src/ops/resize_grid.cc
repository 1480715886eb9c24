#include "ops/resize_grid.h"

#include <cmath>

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

}  // namespace graft::ops
