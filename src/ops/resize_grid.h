// Where ONNX's Resize looks in its input: one arithmetic for host_resize and for the lowering that seeks a MIL operator
// with the same result.
//
// Coordinates are in fp32, where a tie like 1 / (2 / 7) = 3.5 comes out beside the half: the rounding modes take what
// is within 1e-6 of it for one, and floor and ceil take the coordinate as it is. That is ONNX Runtime's rule, which
// decides where ONNX's reference, in fp64, differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diag.h"

namespace graft::ops {

enum class Coordinate : uint8_t {
  half_pixel,
  half_pixel_symmetric,
  pytorch_half_pixel,
  tf_half_pixel_for_nn,
  align_corners,
  asymmetric,
  tf_crop_and_resize
};
enum class Nearest : uint8_t { round_prefer_floor, round_prefer_ceil, floor, ceil };
enum class Interpolation : uint8_t { nearest, linear, cubic };

inline constexpr std::pair<std::string_view, Coordinate> kCoordinates[] = {
    {"half_pixel", Coordinate::half_pixel},
    {"half_pixel_symmetric", Coordinate::half_pixel_symmetric},
    {"pytorch_half_pixel", Coordinate::pytorch_half_pixel},
    {"tf_half_pixel_for_nn", Coordinate::tf_half_pixel_for_nn},
    {"align_corners", Coordinate::align_corners},
    {"asymmetric", Coordinate::asymmetric},
    {"tf_crop_and_resize", Coordinate::tf_crop_and_resize}};
inline constexpr std::pair<std::string_view, Nearest> kNearest[] = {{"round_prefer_floor", Nearest::round_prefer_floor},
                                                                    {"round_prefer_ceil", Nearest::round_prefer_ceil},
                                                                    {"floor", Nearest::floor},
                                                                    {"ceil", Nearest::ceil}};

inline constexpr std::pair<std::string_view, Interpolation> kInterpolations[] = {
    {"nearest", Interpolation::nearest}, {"linear", Interpolation::linear}, {"cubic", Interpolation::cubic}};

template <class E, size_t n>
constexpr std::optional<E> named(const std::pair<std::string_view, E> (&names)[n], std::string_view name) {
  for (const auto& [known, value] : names) {
    if (known == name) return value;
  }
  return std::nullopt;
}

// One resized dim.
struct ResizeAxis {
  int64_t in = 0, out = 0;
  float scale = 1;
  float start = 0, end = 1;  // of the box that tf_crop_and_resize cuts out, in sizes of the input
};

// The place in the input, not clamped to it, of element i of the output.
float resize_source(Coordinate mode, const ResizeAxis& axis, int64_t i);
// The element nearest to such a place, not clamped to the input either.
int64_t resize_nearest(Nearest mode, float place);

// How many elements one of the output is made of, and of which.
struct ResizeFilter {
  Interpolation mode = Interpolation::nearest;
  Coordinate coordinate = Coordinate::half_pixel;
  Nearest nearest = Nearest::round_prefer_floor;
  double cubic_a = -0.75;
  bool exclude_outside = false, antialias = false;
};

// For each output index of a dim: `width` source elements with their weights, or that it lies outside the crop box.
struct ResizeTaps {
  int width = 1;
  std::vector<int64_t> source;
  std::vector<double> weight;
  std::vector<uint8_t> outside;
};
Result<ResizeTaps> resize_taps(const ResizeFilter& filter, const ResizeAxis& axis);

}  // namespace graft::ops
