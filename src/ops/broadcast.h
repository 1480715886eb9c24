// Operands that broadcast to one shape.
#pragma once

#include <array>

#include "base/shape.h"

namespace graft::ops {

// The strides of an operand over the dims of the result: 0 where it repeats.
Shape broadcast_strides(const Shape& operand, const Shape& result);

// Neighbouring dims that every operand walks alike become one: there is at least one dim afterwards. `stride(k)` is the
// Shape of strides of operand k < count.
template <class StrideOf>
void collapse(Shape& dims, int count, const StrideOf& stride) {
  if (dims.empty()) {
    dims.push_back(1);
    for (int k = 0; k < count; ++k) stride(k).push_back(0);
  }
  for (int d = dims.size() - 2; d >= 0; --d) {
    bool together = true;
    for (int k = 0; k < count && together; ++k) {
      const Shape& s = stride(k);
      together = dims[d] == 1 || dims[d + 1] == 1 || s[d] == s[d + 1] * dims[d + 1];
    }
    if (!together) continue;
    for (int k = 0; k < count; ++k) {
      Shape& s = stride(k);
      if (dims[d + 1] == 1) s[d + 1] = s[d];
      s.erase(d);
    }
    dims[d + 1] *= dims[d];
    dims.erase(d);
  }
}

// The offset of element `at`, and its place in each dim.
inline int64_t seek(const Shape& dims, const Shape& strides, int64_t at, Shape& index) {
  index = Shape(dims.size(), 0);
  int64_t offset = 0;
  for (int d = dims.size() - 1; d >= 0; --d) {
    index[d] = at % dims[d];
    at /= dims[d];
    offset += index[d] * strides[d];
  }
  return offset;
}

// fn(offset, step, n) for runs along the last dim that are together `count` elements from element `at` on.
template <class Fn>
void each_run(const Shape& dims, const Shape& strides, int64_t at, int64_t count, Fn&& fn) {
  const int last = dims.size() - 1;
  Shape index;
  int64_t offset = seek(dims, strides, at, index);
  while (count > 0) {
    const int64_t run = std::min(count, dims[last] - index[last]);
    fn(offset, strides[last], run);
    count -= run;
    offset -= index[last] * strides[last];
    index[last] = 0;
    for (int d = last - 1; d >= 0; --d) {
      offset += strides[d];
      if (++index[d] < dims[d]) break;
      offset -= strides[d] * dims[d];
      index[d] = 0;
    }
  }
}

// Walks the elements of a shape in order, in runs along the last dim, for up to N operands.
template <int N>
class Broadcast {
 public:
  using Offsets = std::array<int64_t, N>;
  explicit Broadcast(const Shape& shape) : result_(shape), dims_(shape) {}
  void add(const Shape& operand) { strides_[static_cast<size_t>(count_++)] = broadcast_strides(operand, result_); }

  // fn(at, n, from, step): n elements of the result from `at` on, operand k's are from[k], from[k] + step[k], … . Ends
  // where fn gives false.
  template <class Fn>
  void each(int64_t longest, Fn&& fn) {
    if (result_.product() == 0) return;
    collapse(dims_, count_, [&](int k) -> Shape& { return strides_[static_cast<size_t>(k)]; });
    const int last = dims_.size() - 1;
    Shape index(last, 0);
    Offsets base{}, from{}, step{};
    for (int k = 0; k < count_; ++k) step[static_cast<size_t>(k)] = stride(k, last);
    for (int64_t row = 0;;) {
      for (int64_t i = 0; i < dims_[last]; i += longest) {
        for (size_t k = 0; k < static_cast<size_t>(count_); ++k) from[k] = base[k] + i * step[k];
        if (!fn(row + i, std::min(longest, dims_[last] - i), from, step)) return;
      }
      row += dims_[last];
      int d = last - 1;
      for (; d >= 0; --d) {
        const bool more = ++index[d] < dims_[d];
        for (int k = 0; k < count_; ++k)
          base[static_cast<size_t>(k)] += more ? stride(k, d) : -stride(k, d) * (dims_[d] - 1);
        if (more) break;
        index[d] = 0;
      }
      if (d < 0) return;
    }
  }

 private:
  int64_t stride(int k, int d) const { return strides_[static_cast<size_t>(k)][d]; }

  Shape result_, dims_;
  std::array<Shape, N> strides_;
  int count_ = 0;
};

}  // namespace graft::ops
