#include "engine/native/integer_points.h"

#include "base/format.h"

namespace graft::engine {

void Points::fill(const uint8_t* x, uint8_t zero, uint8_t mask, uint8_t* to) const {
  if (part == in && stride == decltype(stride){1, 1, 1} && before == decltype(before){}) {
    code_products().copy(x, channel(), mask, to);
    return;
  }
  std::memset(to, zero ^ mask, static_cast<size_t>(channel()));
  for (int64_t s = 0; s < stride[2]; ++s) fill_lines(x, s, mask, to);
}

// The elements of each line of x that are at places s, s + stride, ... of its padded line.
void Points::fill_lines(const uint8_t* x, int64_t s, uint8_t mask, uint8_t* to) const {
  const int64_t first = std::max<int64_t>(0, (before[2] - s + stride[2] - 1) / stride[2]);
  const int64_t count = std::min(part[2], (in[2] + before[2] - s + stride[2] - 1) / stride[2]) - first;
  if (count <= 0) return;
  for (int64_t z = 0; z < in[0]; ++z) {
    const int64_t in_part = (z + before[0]) / stride[0], which = (z + before[0]) % stride[0] * stride[1];
    if (in_part >= part[0]) continue;
    int64_t line = before[1] / stride[1], phase = before[1] % stride[1];
    for (int64_t y = 0; y < in[1] && line < part[1]; ++y) {
      const uint8_t* from = x + (z * in[1] + y) * in[2] + s - before[2] + first * stride[2];
      uint8_t* row =
          to + ((which + phase) * stride[2] + s) * part_size() + (in_part * part[1] + line) * part[2] + first;
      if (stride[2] == 2) {
        code_products().every_second(from, count, mask, row);
      } else if (stride[2] == 1) {
        code_products().copy(from, count, mask, row);
      } else {
        for (int64_t i = 0; i < count; ++i) row[i] = static_cast<uint8_t>(from[i * stride[2]] ^ mask);
      }
      if (++phase == stride[1]) {
        phase = 0;
        ++line;
      }
    }
  }
}

size_t Points::lines(int64_t first, int64_t count, Line* lines) const {
  size_t found = 0;
  int64_t c = first % part[2], row = first / part[2] % part[1], z = first / (part[2] * part[1]);
  for (int64_t at = 0; at < count;) {
    const int64_t length = std::min(count - at, part[2] - c);
    if (row < out[1] && c < out[2] && z < out[0])
      lines[found++] = {at, std::min(length, out[2] - c), (z * out[1] + row) * out[2] + c};
    at += length;
    c = 0;
    if (++row == part[1]) {
      row = 0;
      ++z;
    }
  }
  return found;
}

int32_t IntegerConv::zero_of_x(const Frame& frame) const {
  return x_zero < 0 ? 0 : zero_at(frame.in<void>(static_cast<size_t>(x_zero)), x_signed ? DType::i8 : DType::u8, 0);
}

int32_t IntegerConv::moved_zero_of_w(const Frame& frame, int64_t channel) const {
  const int32_t zero = w_zero < 0 ? 0
                                  : zero_at(frame.in<void>(static_cast<size_t>(w_zero)),
                                            w_signed ? DType::i8 : DType::u8, zero_by_channel ? channel : 0);
  return zero - (w_signed ? 0 : 128);
}

void IntegerConv::lay_out(const Frame& frame, int64_t n, uint8_t* image) const {
  const int64_t plane = x.product(2, x.size());
  const uint8_t* from = frame.in<uint8_t>(0) + n * x[1] * plane;
  const auto zero = static_cast<uint8_t>(zero_of_x(frame));
  frame.parallel_for(x[1], std::max<int64_t>(1, 65536 / points.channel()), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) points.fill(from + c * plane, zero, x_mask(), image + c * points.channel());
  });
}

// With room for what kernels read behind its end.
size_t IntegerConv::image_bytes() const {
  return align_up(static_cast<size_t>(x[1] * points.channel() + points.part[2] + 2 * CodeProducts::kBehind));
}

Shift IntegerConv::shift_of(const Frame& frame, int64_t channel, int32_t weight_sum) const {
  const int32_t xz = moved_zero_of_x(frame), wz = moved_zero_of_w(frame, channel);
  const uint32_t more = bias < 0 ? 0 : u32(frame.in<int32_t>(static_cast<size_t>(bias))[channel]);
  return {i32(u32(k()) * u32(xz) * u32(wz) - u32(xz) * u32(weight_sum) + more), wz};
}

void IntegerConv::finish(const Results& results, int64_t n, int64_t channel, std::span<const Points::Line> lines,
                         int64_t count, const Shift& shift, int32_t* sums) const {
  const int64_t plane = (n * y[1] + channel) * y.product(2, y.size());
  if (!results.are_codes()) {
    code_kernels().shift(sums, count, shift, sums);
    for (const Points::Line& l : lines)
      std::memcpy(results.sums() + plane + l.to, sums + l.at, static_cast<size_t>(l.length) * sizeof(int32_t));
    return;
  }
  std::array<uint8_t, kPiece> codes;
  results.make_codes(sums, count, shift, channel, false, codes.data());
  for (const Points::Line& l : lines)
    std::memcpy(results.codes() + plane + l.to, codes.data() + l.at, static_cast<size_t>(l.length));
}

Result<IntegerConv> read_integer_conv(const Selection& s, int n, Prepared& made) {
  const int xi = s.arg(n, "x"), wi = s.arg(n, "weight"), wz = s.arg(n, "weight_zero_point");
  const PlanValue &x = s.value(xi), &w = s.value(wi), &y = s.value(s.node(n).results[0]);
  if (x.shape.product() == 0 || w.shape.product() == 0 || y.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  const int spatial = x.shape.size() - 2;
  GRAFT_TRY(const ops::Window window, ops::read_window(call, {w.shape.begin() + 2, static_cast<size_t>(spatial)}));
  IntegerConv conv{x.shape, y.shape, Points(window, x.shape, y.shape)};
  conv.groups = call.i("groups");
  if (call.error()) return fail(*call.error());
  constexpr double kMost = double{1 << 30};
  double room = static_cast<double>(x.shape[1]);
  for (size_t d = 0; d < Points::kDims; ++d)
    room *= static_cast<double>(conv.points.part[d]) * static_cast<double>(conv.points.stride[d]);
  if (room > kMost) return decline("strides or padding that take too much room");
  conv.taps = w.shape.product(2, w.shape.size());
  conv.x_signed = x.dtype() == DType::i8;
  conv.w_signed = w.dtype() == DType::i8;
  if (conv.k() > INT32_MAX / 65536) return decline("sums that are not exact");
  if (!one_or(s, wz, y.shape[1])) return decline("zero points that do not fit the channels");
  // Zero points that are all 0, moved as the codes are.
  if (wz < 0) {
    conv.zeros_are_0 = conv.w_signed;
  } else if (s.value(wz).where == PlanValue::Where::constant) {
    const TensorView zeros = s.value(wz).constant->view();
    conv.zeros_are_0 = true;
    for (int64_t i = 0; i < zeros.count(); ++i)
      conv.zeros_are_0 &= element_as_int(zeros, i) == (conv.w_signed ? 0 : 128);
  }
  const auto input = [&](int value) {
    if (value < 0) return -1;
    made.in.push_back({value});
    return static_cast<int>(made.in.size()) - 1;
  };
  input(xi);
  if (w.where != PlanValue::Where::constant) input(wi);
  conv.x_zero = input(s.arg(n, "x_zero_point"));
  conv.w_zero = input(wz);
  conv.bias = input(s.arg(n, "bias"));
  conv.zero_by_channel = wz >= 0 && s.value(wz).shape.product() != 1;
  conv.after = take_over(s, made, n, 1);
  return conv;
}

}  // namespace graft::engine
