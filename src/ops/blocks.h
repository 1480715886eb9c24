// What the reference kernels of dot products, reductions, windows and norms are made of: elements of any dtype read and
// written as wide values a block at a time, and the order in which blocks are visited. With it such a kernel is written
// once, not once a dtype, and mixed dtypes (fp16 data, fp32 parameters) cost nothing. Nothing here allocates.
#pragma once

#include <array>

#include "ops/kernel.h"

namespace graft::ops {

// Elements in a block: what kernels keep on the stack.
inline constexpr int64_t kBlock = 256;

// dst[i] = t[offset + i * stride] for i < n, widened. double reads every number type; int64_t and uint64_t are for
// integers (a signed element is sign-extended, so that wrapping arithmetic may be done in either).
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, double* dst);
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, int64_t* dst);
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, uint64_t* dst);
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, bool* dst);
// t[offset + i * stride] = src[i], rounded or wrapped to the dtype of t; a double truncates into an integer.
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const double* src);
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const int64_t* src);
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const uint64_t* src);
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const bool* src);
// The same for a type that is known at run time only.
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, ir::WideType wide, void* dst);
void store(const MutableTensorView& t, int64_t offset, int64_t n, ir::WideType wide, const void* src);
// dst[i] = t[base + index[i]], or 0 where index[i] is negative.
void gather(const TensorView& t, int64_t base, const int64_t* index, int64_t n, double* dst);

// The elements of some dims of a tensor, the others held at 0, in the order of `axes`: as runs of elements a fixed
// stride apart, none longer than kBlock. Dims that lie behind one another in memory are one run.
class Runs {
 public:
  Runs(const Shape& shape, std::span<const int64_t> axes, Pace& pace);
  int64_t count() const { return sizes_.product(); }
  // fn(offset, stride, n) for each run, as long as the pace goes on.
  template <class Fn>
  void each(Fn&& fn) const {
    if (count() == 0) return;
    const int last = sizes_.size() - 1;
    Shape at(last, 0);
    int64_t base = 0;
    for (;;) {
      for (int64_t i = 0; i < sizes_[last]; i += kBlock) {
        const int64_t n = std::min(kBlock, sizes_[last] - i);
        if (!pace_->go_on(n)) return;
        fn(base + i * strides_[last], strides_[last], n);
      }
      int d = last - 1;
      for (; d >= 0; --d) {
        base += strides_[d];
        if (++at[d] < sizes_[d]) break;
        base -= strides_[d] * sizes_[d];
        at[d] = 0;
      }
      if (d < 0) return;
    }
  }
  // fn(offset) for each element.
  template <class Fn>
  void each_element(Fn&& fn) const {
    each([&](int64_t offset, int64_t stride, int64_t n) {
      for (int64_t i = 0; i < n && pace_->go_on(); ++i) fn(offset + i * stride);
    });
  }

 private:
  Shape sizes_, strides_;  // at least one dim
  Pace* pace_;
};

// The parameter `axes`, counted from the front, in the order given; none given: all.
Result<Ints> given_axes(const Call& call);
// The axes that a reduction reduces: the same, ascending and without duplicates.
Result<Ints> reduced_axes(const Call& call);
// The axes of a rank that are not in `axes`, in order.
Ints other_axes(int rank, const Ints& axes);

// A block of results of a matrix product, summed in place: acc[r][c] += a[r] * row[c]. The sizes are constants so that
// the compiler makes vector code of the inner loop.
template <class W>
struct Tile {
  static constexpr int kRows = 16, kCols = 64;
  std::array<std::array<W, kCols>, kRows> acc;
  std::array<W, kRows> a;
  std::array<W, kCols> row;

  // Columns beyond those that are loaded later stay 0.
  void clear() {
    for (auto& r : acc) r.fill(W{});
    row.fill(W{});
  }
  void add_product(int rows) {
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) add_scaled(row.data(), a[r], acc[r].data());
  }

 private:
  // g++ -O2 makes vector code of this only where it need not ask whether the two overlap.
  static void add_scaled(const W* __restrict terms, W scale, W* __restrict sums) {
    for (size_t c = 0; c < kCols; ++c) sums[c] += scale * terms[c];
  }
};

}  // namespace graft::ops
