// Between the plain layout and blocked ones: for every sample and block, a transpose of [channels, space].
#include <cstring>

#include "base/format.h"
#include "engine/step.h"

namespace graft::engine {
namespace {

constexpr int64_t kTile = 64;  // points in space at a time: both sides of the transpose stay in the first cache

template <class T>
void to_blocked(const T* src, T* dst, int64_t channels, int64_t space, int64_t block, int64_t from, int64_t to) {
  for (int64_t s0 = from; s0 < to; s0 += kTile) {
    const int64_t s1 = std::min(s0 + kTile, to);
    for (int64_t c = 0; c < channels; ++c) {
      const T* in = src + c * space;
      T* out = dst + c;
      for (int64_t s = s0; s < s1; ++s) out[s * block] = in[s];
    }
    for (int64_t c = channels; c < block; ++c) {
      for (int64_t s = s0; s < s1; ++s) dst[s * block + c] = T{};
    }
  }
}

template <class T>
void to_plain(const T* src, T* dst, int64_t channels, int64_t space, int64_t block, int64_t from, int64_t to) {
  for (int64_t s0 = from; s0 < to; s0 += kTile) {
    const int64_t s1 = std::min(s0 + kTile, to);
    for (int64_t c = 0; c < channels; ++c) {
      const T* in = src + c;
      T* out = dst + c * space;
      for (int64_t s = s0; s < s1; ++s) out[s] = in[s * block];
    }
  }
}

template <class T>
void reorder(const Frame& frame, const Shape& shape, Layout from, Layout to) {
  const bool blocking = from.plain();
  const int64_t block = blocking ? to.block : from.block;
  const int64_t n = shape[0], c = shape[1], space = shape.product(2, shape.size());
  const int64_t blocks = (c + block - 1) / block;
  const T* src = frame.in<T>(0);
  T* dst = frame.out<T>(0);
  const int64_t pieces = block > 64 ? (space + kTile - 1) / kTile : 1;  // channels-last: few blocks, so cut space
  frame.parallel_for(n * blocks * pieces, std::max<int64_t>(1, 16384 / (block * (space / pieces + 1))),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i) {
                         const int64_t piece = i % pieces, at = i / pieces, b = at % blocks, sample = at / blocks;
                         const int64_t lo = space * piece / pieces, hi = space * (piece + 1) / pieces;
                         const int64_t channels = std::min(block, c - b * block);
                         const int64_t plain = (sample * c + b * block) * space, blocked = at * space * block;
                         if (blocking)
                           to_blocked(src + plain, dst + blocked, channels, space, block, lo, hi);
                         else
                           to_plain(src + blocked, dst + plain, channels, space, block, lo, hi);
                       }
                     });
}

class ReorderStep final : public Step {
 public:
  ReorderStep(DType dtype, const Shape& shape, Layout from, Layout to)
      : size_(item_size(dtype)), shape_(shape), from_(from), to_(to) {
    provider = "native";
    label = format("reorder {}>{}", from.block, to.block);
  }
  Status run(const Frame& frame) const override {
    if (!from_.plain() && !to_.plain()) return fail(Code::internal, "a reorder between two blocked layouts");
    if (shape_.product() == 0) return {};
    switch (size_) {
      case 1: reorder<uint8_t>(frame, shape_, from_, to_); return {};
      case 2: reorder<uint16_t>(frame, shape_, from_, to_); return {};
      case 4: reorder<uint32_t>(frame, shape_, from_, to_); return {};
      case 8: reorder<uint64_t>(frame, shape_, from_, to_); return {};
      default: return fail(Code::internal, format("a reorder of {} byte elements", size_));
    }
  }

 private:
  size_t size_;
  Shape shape_;
  Layout from_, to_;
};

}  // namespace

std::unique_ptr<Step> reorder_step(DType dtype, const Shape& shape, Layout from, Layout to) {
  return std::make_unique<ReorderStep>(dtype, shape, from, to);
}

}  // namespace graft::engine
