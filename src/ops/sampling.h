// Images sampled between their elements: where the elements of a resized image lie, and which element a whole
// coordinate stands for that lies outside.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "ir/call.h"

namespace graft::ops {

// MIL's sampling modes.
enum class Grid : uint8_t { strict_align_corners, align_corners, default_, offset_corners, unalign_corners };
Result<Grid> grid_of(std::string_view name);
// Where element i of `out` lies in a line of n, 0 to n - 1. With aligned corners n may be anything; else what would lie
// outside is moved to the line's ends.
double place_on(Grid grid, double n, int64_t out, int64_t i);

// What lies outside of an image: a constant, its border, or its mirror image about the last element's middle
// (reflection) or end (symmetric).
enum class Outside : uint8_t { constant, border, reflection, symmetric };

// -1: the constant. Anything that is no number is outside.
inline int64_t element_at(Outside outside, double v, int64_t size) {
  const auto n = static_cast<double>(size);
  if (v >= 0 && v < n) return static_cast<int64_t>(v);
  if (outside == Outside::constant || !std::isfinite(v)) return outside == Outside::constant || size == 0 ? -1 : 0;
  if (outside == Outside::border) return v < 0 ? 0 : size - 1;
  const double period = outside == Outside::reflection ? 2 * (n - 1) : 2 * n;
  if (period <= 0) return 0;
  double m = std::fmod(v, period);
  if (m < 0) m += period;
  if (m > n - 1) m = outside == Outside::reflection ? 2 * (n - 1) - m : 2 * n - 1 - m;
  return std::clamp<int64_t>(static_cast<int64_t>(m), 0, size - 1);
}

// MIL's resample and affine.
enum class Coordinates : uint8_t { unnormalized, minus_one_to_one, zero_to_one };
struct Resample {
  bool nearest, align_corners;
  Outside outside;
  Coordinates coordinates;
  double padding;
};

Result<Resample> resample_of(const ir::Call& call);
// Where a coordinate lies in a line of `size` elements, of which element i is at i.
double pixel(Coordinates coordinates, bool align_corners, double v, int64_t size);

// Keys' cubic convolution: the weight of an element at this distance.
inline double cubic_weight(double distance, double a) {
  const double d = std::abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((d - 5) * d + 8) * d * a - 4 * a;
  return 0;
}

}  // namespace graft::ops
