// A constant's elements in order, computed from its parts as they are asked for.
#pragma once

#include <array>
#include <cstring>

#include "ir/constant.h"

namespace graft::ir {

inline constexpr int64_t kStep = 1024;  // elements that streams work on at a time

class ConstantStream {
 public:
  virtual ~ConstantStream() = default;
  // The next n elements. Packed ones begin at the first bit of dst, and n is a multiple of 8 but at the end.
  virtual void next(int64_t n, void* dst) = 0;
  // From element `first` on, a multiple of 8 for packed ones. The constant must outlive the stream; no strings.
  static std::unique_ptr<ConstantStream> open(const Constant& constant, int64_t first);
};

// Of the compressed forms.
std::unique_ptr<ConstantStream> open_affine(const form::Affine& f, const Constant& c, int64_t first);
std::unique_ptr<ConstantStream> open_blockwise(const form::Blockwise& f, const Constant& c, int64_t first);
std::unique_ptr<ConstantStream> open_palette(const form::Palette& f, const Constant& c, int64_t first);
std::unique_ptr<ConstantStream> open_sparse(const form::Sparse& f, int64_t first);
std::unique_ptr<ConstantStream> open_nonzero(const form::Nonzero& f, int64_t first);

// Element i of packed ones.
inline uint64_t get_bits(const void* packed, int width, int64_t i) {
  const auto* bytes = static_cast<const uint8_t*>(packed);
  uint64_t v = 0;
  for (int b = 0; b < width; ++b) {
    const int64_t at = i * width + b;
    v |= static_cast<uint64_t>(bytes[at / 8] >> (at % 8) & 1) << b;
  }
  return v;
}

inline void put_bits(void* packed, int width, int64_t i, uint64_t v) {
  auto* bytes = static_cast<uint8_t*>(packed);
  for (int b = 0; b < width; ++b) {
    const int64_t at = i * width + b;
    const auto bit = static_cast<uint8_t>(1u << (at % 8));
    bytes[at / 8] = static_cast<uint8_t>((v >> b & 1) != 0 ? bytes[at / 8] | bit : bytes[at / 8] & ~bit);
  }
}

// dst[j] = src[i], packed elements too; no strings.
inline void copy_element(DType dtype, const void* src, int64_t i, void* dst, int64_t j) {
  const auto move = [&](auto x) {
    std::memcpy(&x, static_cast<const char*>(src) + i * static_cast<int64_t>(sizeof x), sizeof x);
    std::memcpy(static_cast<char*>(dst) + j * static_cast<int64_t>(sizeof x), &x, sizeof x);
  };
  switch (item_size(dtype)) {
    case 0: return put_bits(dst, bits(dtype), j, get_bits(src, bits(dtype), i));
    case 1: return move(uint8_t{});
    case 2: return move(uint16_t{});
    case 4: return move(uint32_t{});
    case 8: return move(uint64_t{});
    default: return move(std::array<uint64_t, 2>{});
  }
}

// dst[i] = the element as an element of `dtype`; as an integer it is v.
void store_element(DType dtype, void* dst, int64_t i, double d, int64_t v);
// n elements of src from `first` on.
void cast_elements(const TensorView& src, int64_t first, int64_t n, DType dtype, void* dst);

}  // namespace graft::ir
