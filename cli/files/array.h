// Numbers and strings in memory: what is read from files and fed to models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <graft/graft.h>

namespace cli {

// Dense, row-major, little-endian; aligned for every element type. Strings: data is an array of const char*.
struct Array {
  graft_dtype dtype = GRAFT_DTYPE_INVALID;
  std::vector<int64_t> shape;
  std::shared_ptr<std::byte[]> data;  // not initialised
  size_t bytes = 0;
  std::shared_ptr<const std::vector<std::string>> strings = {};  // what data points to

  static Array make(graft_dtype dtype, std::vector<int64_t> shape, size_t bytes) {
    return {dtype, std::move(shape), std::shared_ptr<std::byte[]>(new std::byte[bytes]), bytes};
  }
  static Array of_strings(std::vector<std::string> list, std::vector<int64_t> shape) {
    Array a = make(GRAFT_DTYPE_STRING, std::move(shape), list.size() * sizeof(const char*));
    a.strings = std::make_shared<const std::vector<std::string>>(std::move(list));
    for (size_t i = 0; i < a.strings->size(); ++i) {
      const char* s = (*a.strings)[i].c_str();
      std::memcpy(a.data.get() + i * sizeof s, &s, sizeof s);
    }
    return a;
  }
};

}  // namespace cli
