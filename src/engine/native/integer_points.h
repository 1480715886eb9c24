// How convolutions of codes read an image.
#pragma once

#include <span>

#include "engine/native/integer.h"
#include "ops/window.h"

namespace graft::engine {

// The input of an image is laid out first so that every tap of the kernel reads the points of a panel as one stretch:
// padded by the zero point, and parted by the strides (the places 0, s, 2s, ... of each dim, then those from 1 on,
// ...). Points are counted in lines as long as those parts: what lies behind a line's end is computed and dropped.
struct Points {
  static constexpr size_t kDims = ops::kMaxSpatial;
  std::array<int64_t, kDims> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  std::array<int64_t, kDims> before{0, 0, 0}, part{1, 1, 1};  // sizes of a part

  Points(const ops::Window& w, const Shape& x, const Shape& y) {
    for (int d = 0; d < w.spatial; ++d) {
      const size_t i = kDims - static_cast<size_t>(w.spatial - d);
      in[i] = x[d + 2];
      out[i] = y[d + 2];
      kernel[i] = w.kernel[d];
      stride[i] = w.stride[d];
      dilation[i] = w.dilation[d];
      before[i] = w.before(d, x[d + 2]);
      part[i] = (out[i] - 1) + (kernel[i] - 1) * dilation[i] / stride[i] + 1;
    }
  }
  int64_t part_size() const { return part[0] * part[1] * part[2]; }
  int64_t channel() const { return part_size() * stride[0] * stride[1] * stride[2]; }
  int64_t points() const { return ((out[0] - 1) * part[1] + out[1] - 1) * part[2] + out[2]; }
  // Where a tap's first point lies in a channel.
  int64_t offset(int64_t tap) const {
    std::array<int64_t, kDims> at{};
    for (size_t i = kDims; i-- > 0; tap /= kernel[i]) at[i] = tap % kernel[i] * dilation[i];
    int64_t which = 0, place = 0;
    for (size_t i = 0; i < kDims; ++i) {
      which = which * stride[i] + at[i] % stride[i];
      place = place * part[i] + at[i] / stride[i];
    }
    return which * part_size() + place;
  }
  // One channel; `mask` moves codes to the other sign.
  void fill(const uint8_t* x, uint8_t zero, uint8_t mask, uint8_t* to) const;
  // A stretch of points that are of the result: from the `at`-th on, and where they go in the result's plane.
  struct Line {
    int64_t at, length, to;
  };
  // Of `count` points from `first` on; their number.
  size_t lines(int64_t first, int64_t count, Line* lines) const;

 private:
  void fill_lines(const uint8_t* x, int64_t s, uint8_t mask, uint8_t* to) const;
};

// What all candidates of host_integer_conv know. Codes of x become unsigned ones and those of the weights signed ones.
struct IntegerConv {
  Shape x, y;
  Points points;
  int64_t groups = 1, taps = 1;
  bool x_signed = false, w_signed = false;
  int x_zero = -1, w_zero = -1, bias = -1;  // inputs
  bool zero_by_channel = false, zeros_are_0 = false;
  Requantize after{};

  int64_t ins() const { return x[1] / groups; }
  int64_t outs() const { return y[1] / groups; }
  int64_t k() const { return ins() * taps; }
  uint8_t x_mask() const { return x_signed ? kTop : 0; }
  uint8_t w_mask() const { return w_signed ? 0 : kTop; }
  // As they are, and of the moved codes.
  int32_t zero_of_x(const Frame& frame) const;
  int32_t moved_zero_of_x(const Frame& frame) const { return zero_of_x(frame) + (x_signed ? 128 : 0); }
  int32_t moved_zero_of_w(const Frame& frame, int64_t channel) const;
  // Image n with its padding: ready for the offsets of points.
  void lay_out(const Frame& frame, int64_t n, uint8_t* image) const;
  size_t image_bytes() const;
  // What the sums of a channel get once for all points: zero points by the sum of its weights, and its bias.
  Shift shift_of(const Frame& frame, int64_t channel, int32_t weight_sum) const;
  // Makes results of `count` sums of a channel, at most kPiece of them. The sums are lost.
  static constexpr int64_t kPiece = 512;
  void finish(const Results& results, int64_t n, int64_t channel, std::span<const Points::Line> lines, int64_t count,
              const Shift& shift, int32_t* sums) const;
};
// Declines what none of them takes. `made` gets inputs, results and nodes; the weights are its input 1 unless they are
// a constant.
Result<IntegerConv> read_integer_conv(const Selection& s, int n, Prepared& made);

}  // namespace graft::engine
