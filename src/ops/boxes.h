// Boxes of images and how far they overlap. Arithmetic is in fp32, as boxes are: what lies at a threshold is decided
// the same way as elsewhere.
#pragma once

#include <algorithm>

#include "base/diag.h"
#include "base/format.h"

namespace graft::ops {

struct Box {
  float y0, x0, y1, x1;
  float area() const { return (y1 - y0) * (x1 - x0); }
};

inline Box box_around(float x, float y, float width, float height) {
  return {y - height / 2, x - width / 2, y + height / 2, x + width / 2};
}

// The image that a box names by its index among so many.
inline Result<int64_t> image_of(double index, int64_t images) {
  if (index >= 0 && index < static_cast<double>(images)) return static_cast<int64_t>(index);
  return fail(Code::value_out_of_range, format("a box of image {}, there are {}", index, images));
}

// The shared area is more than this part of what the two cover. Boxes without area overlap nothing.
inline bool overlaps(const Box& a, const Box& b, float threshold) {
  const float h = std::min(a.y1, b.y1) - std::max(a.y0, b.y0), w = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  if (!(h > 0) || !(w > 0) || !(a.area() > 0) || !(b.area() > 0)) return false;
  const float inter = h * w;
  return inter / (a.area() + b.area() - inter) > threshold;
}

}  // namespace graft::ops
