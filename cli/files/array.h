// Numbers in memory: what is read from files and fed to models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <graft/graft.h>

namespace cli {

// Dense, row-major, little-endian; aligned for every element type.
struct Array {
  graft_dtype dtype = GRAFT_DTYPE_INVALID;
  std::vector<int64_t> shape;
  std::shared_ptr<std::byte[]> data;  // not initialised
  size_t bytes = 0;

  static Array make(graft_dtype dtype, std::vector<int64_t> shape, size_t bytes) {
    return {dtype, std::move(shape), std::shared_ptr<std::byte[]>(new std::byte[bytes]), bytes};
  }
};

}  // namespace cli
