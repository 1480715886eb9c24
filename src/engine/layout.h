// How the elements of a tensor [n, channels, spatial...] lie in memory. Layouts exist in plans only, never in the IR.
#pragma once

#include "base/tensor.h"

namespace graft::engine {

// Channels in blocks: [n, ceil(c / block), spatial, block], padded with zeros to whole blocks. Block 1 is plain
// row-major; a block of all channels is channels-last. Only tensors of rank 3 and more have a block other than 1.
struct Layout {
  int64_t block = 1;

  bool plain() const { return block == 1; }
  bool operator==(const Layout&) const = default;
  // Elements that a tensor of this shape takes, padding included.
  int64_t count(const Shape& shape) const {
    if (plain()) return shape.product();
    return shape[0] * ((shape[1] + block - 1) / block) * block * shape.product(2, shape.size());
  }
  bool padded(const Shape& shape) const { return !plain() && shape[1] % block != 0; }
  // True when the elements lie as in the plain layout: one point in space and no padding.
  bool same_as_plain(const Shape& shape) const {
    return plain() || (!padded(shape) && (shape.product(2, shape.size()) == 1 || shape[1] == 1));
  }
};

}  // namespace graft::engine
