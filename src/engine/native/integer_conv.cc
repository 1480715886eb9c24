// host_integer_conv by the byte products of code_kernels.h.
#include "base/format.h"
#include "engine/native/integer.h"
#include "ops/window.h"

namespace graft::engine {
namespace {

// The input of an image is laid out first so that every tap of the kernel reads the points of a panel as one stretch:
// padded by the zero point, and parted by the strides (the places 0, s, 2s, ... of each dim, then those from 1 on,
// ...). Points are counted in lines as long as those parts: what lies behind a line's end is computed and dropped.
struct Layout3 {
  static constexpr size_t kDims = ops::kMaxSpatial;
  std::array<int64_t, kDims> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  std::array<int64_t, kDims> before{0, 0, 0}, part{1, 1, 1};  // sizes of a part

  Layout3(const ops::Window& w, const Shape& x, const Shape& y) {
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
  void fill(const uint8_t* x, uint8_t zero, uint8_t mask, uint8_t* to) const {
    std::memset(to, zero ^ mask, static_cast<size_t>(channel()));
    for (int64_t z = 0; z < in[0]; ++z) {
      for (int64_t y = 0; y < in[1]; ++y, x += in[2]) {
        const std::array<int64_t, 2> at{z + before[0], y + before[1]};
        if (at[0] / stride[0] >= part[0] || at[1] / stride[1] >= part[1]) continue;
        const int64_t lines = at[0] % stride[0] * stride[1] + at[1] % stride[1];
        const int64_t line = (at[0] / stride[0] * part[1] + at[1] / stride[1]) * part[2];
        for (int64_t s = 0; s < stride[2]; ++s) {
          uint8_t* row = to + (lines * stride[2] + s) * part_size() + line;
          const int64_t first = std::max<int64_t>(0, (before[2] - s + stride[2] - 1) / stride[2]);
          const int64_t end = std::min(part[2], (in[2] + before[2] - s + stride[2] - 1) / stride[2]);
          const uint8_t* from = x + s - before[2];
          if (stride[2] == 1) {
            for (int64_t i = first; i < end; ++i) row[i] = static_cast<uint8_t>(from[i] ^ mask);
          } else {
            for (int64_t i = first; i < end; ++i) row[i] = static_cast<uint8_t>(from[i * stride[2]] ^ mask);
          }
        }
      }
    }
  }
};

class IntegerConvStep final : public Step {
 public:
  IntegerConvStep(const ops::Window& window, const Shape& from, const Shape& to)
      : x(from), y(to), layout(window, from, to) {
    provider = "native";
  }
  Shape x, y;
  Layout3 layout;
  int64_t groups = 1, taps = 1;
  bool x_signed = false, w_signed = false, with_sums = true;
  int x_zero = -1, w_zero = -1, bias = -1;
  bool zero_by_channel = false;
  const std::byte* fixed = nullptr;  // packed weights
  std::vector<int64_t> offsets;      // of the elements of a weight, from the first channel of its group on
  int64_t chunks = 1;
  size_t weights_at = 0, image_at = 0, chunks_at = 0, chunk_bytes = 0;
  Requantize after;

  int64_t ins() const { return x[1] / groups; }
  int64_t outs() const { return y[1] / groups; }
  int64_t k() const { return ins() * taps; }
  int64_t stride() const { return 4 * fours_of(k()); }
  // Rows of each group, then one of ones, whose products are the sums of the columns; then the sums of the rows.
  size_t weight_bytes() const {
    return align_up(static_cast<size_t>(groups * (outs() + 1) * stride())) +
           static_cast<size_t>(y[1]) * sizeof(int32_t);
  }
  int32_t* weight_sums(std::byte* at) const {
    return reinterpret_cast<int32_t*>(at + align_up(static_cast<size_t>(groups * (outs() + 1) * stride())));
  }
  void pack(const uint8_t* codes, std::byte* to) const {
    const uint8_t mask = w_signed ? 0 : kTop;
    auto* rows = reinterpret_cast<uint8_t*>(to);
    std::memset(rows, 0, static_cast<size_t>(groups * (outs() + 1) * stride()));
    for (int64_t c = 0; c < y[1]; ++c) {
      uint8_t* row = rows + (c / outs() * (outs() + 1) + c % outs()) * stride();
      for (int64_t i = 0; i < k(); ++i) row[i] = static_cast<uint8_t>(codes[c * k() + i] ^ mask);
      weight_sums(to)[c] = sum_of(row, k(), true);
    }
    for (int64_t g = 0; g < groups; ++g)
      std::memset(rows + (g * (outs() + 1) + outs()) * stride(), 1, static_cast<size_t>(k()));
  }

  // The image with room for what panels read behind its end; a panel and sums for each chunk of the work.
  void plan(int threads) {
    const int64_t width = code_kernels().width;
    for (int64_t i = 0; i < stride(); ++i) {
      const int64_t e = std::min(i, k() - 1);  // those behind the end meet weights of 0
      offsets.push_back(e / taps * layout.channel() + layout.offset(e % taps));
    }
    image_at = scratch;
    scratch += align_up(static_cast<size_t>(x[1] * layout.channel() + layout.part[2] + 2 * width));
    const int64_t items = groups * panels();
    chunks = std::clamp<int64_t>(items, 1, 4 * threads);
    chunks_at = scratch;
    chunk_bytes = align_up(static_cast<size_t>(stride() * width)) +
                  align_up(static_cast<size_t>((outs() + 1 + code_kernels().rows) * width) * sizeof(int32_t));
    scratch += static_cast<size_t>(chunks) * chunk_bytes;
  }

  Status run(const Frame& frame) const override {
    const std::byte* weights = fixed;
    if (weights == nullptr) {
      pack(frame.in<uint8_t>(1), frame.scratch + weights_at);
      weights = frame.scratch + weights_at;
    }
    auto* image = reinterpret_cast<uint8_t*>(frame.scratch + image_at);
    const int64_t in_plane = x.product(2, x.size()), items = groups * panels(), width = code_kernels().width;
    const auto zero = static_cast<uint8_t>(zero_of_x(frame));
    for (int64_t n = 0; n < x[0] && !frame.cancelled(); ++n) {
      const uint8_t* from = frame.in<uint8_t>(0) + n * x[1] * in_plane;
      frame.parallel_for(x[1], std::max<int64_t>(1, 65536 / layout.channel()), [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; ++c)
          layout.fill(from + c * in_plane, zero, x_signed ? kTop : 0, image + c * layout.channel());
      });
      frame.parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; ++c) {
          std::byte* room = frame.scratch + chunks_at + static_cast<size_t>(c) * chunk_bytes;
          for (int64_t i = items * c / chunks; i < items * (c + 1) / chunks && !frame.cancelled(); ++i)
            panel_of(frame, weights, image, room, n, i / panels(), i % panels() * width);
        }
      });
    }
    return {};
  }

 private:
  int64_t panels() const { return (layout.points() + code_kernels().width - 1) / code_kernels().width; }
  int32_t zero_of_x(const Frame& frame) const {
    return x_zero < 0 ? 0 : zero_at(frame.in<void>(static_cast<size_t>(x_zero)), x_signed ? DType::i8 : DType::u8, 0);
  }

  void panel_of(const Frame& frame, const std::byte* weights, const uint8_t* image, std::byte* room, int64_t n,
                int64_t group, int64_t first) const {
    const CodeKernels& kernels = code_kernels();
    const int64_t width = kernels.width, fours = fours_of(k());
    auto* panel = reinterpret_cast<uint8_t*>(room);
    auto* sums = reinterpret_cast<int32_t*>(room + align_up(static_cast<size_t>(stride() * width)));
    const uint8_t* from = image + group * ins() * layout.channel() + first;
    for (int64_t f = 0; f < fours; ++f) {
      const int64_t* at = offsets.data() + 4 * f;
      const std::array<const uint8_t*, 4> lines{from + at[0], from + at[1], from + at[2], from + at[3]};
      kernels.interleave(lines.data(), panel + f * 4 * width);
    }
    const auto* rows = reinterpret_cast<const uint8_t*>(weights) + group * (outs() + 1) * stride();
    const int64_t count = outs() + (with_sums ? 1 : 0);
    for (int64_t r = 0; r < count; r += kernels.rows)
      kernels.signed_rows(rows + r * stride(), stride(), panel, fours, std::min(kernels.rows, count - r),
                          sums + r * width);
    const int32_t* row_sums = weight_sums(const_cast<std::byte*>(weights));
    const int32_t* column_sums = sums + outs() * width;
    const int32_t xz = zero_of_x(frame) + (x_signed ? 128 : 0);
    const int64_t points = std::min(width, layout.points() - first), plane = y.product(2, y.size());
    std::array<uint8_t, 32> made;
    for (int64_t o = 0; o < outs(); ++o) {
      const int64_t channel = group * outs() + o;
      int32_t* row = sums + o * width;
      const int32_t wz = w_zero < 0 ? 0
                                    : zero_at(frame.in<void>(static_cast<size_t>(w_zero)),
                                              w_signed ? DType::i8 : DType::u8, zero_by_channel ? channel : 0);
      const int32_t yz = wz - (w_signed ? 0 : 128);
      const auto more = static_cast<uint32_t>(bias < 0 ? 0 : frame.in<int32_t>(static_cast<size_t>(bias))[channel]);
      const auto fixed_part =
          static_cast<int32_t>(static_cast<uint32_t>(moved(0, xz, row_sums[channel], yz, 0, k())) + more);
      for (int64_t c = 0; c < points; ++c) {
        const uint32_t sum = static_cast<uint32_t>(row[c]) + static_cast<uint32_t>(fixed_part);
        row[c] = static_cast<int32_t>(
            sum - (with_sums ? static_cast<uint32_t>(yz) * static_cast<uint32_t>(column_sums[c]) : 0));
      }
      if (after.scale >= 0) after.apply(frame, row, points, channel, made.data());
      each_line(first, points, [&](int64_t at, int64_t length, int64_t to) {
        to += (n * y[1] + channel) * plane;
        if (after.scale < 0)
          std::memcpy(frame.out<int32_t>(0) + to, row + at, static_cast<size_t>(length) * sizeof(int32_t));
        else
          std::memcpy(frame.out<uint8_t>(0) + to, made.data() + at, static_cast<size_t>(length));
      });
    }
  }

  // fn(first, count, place in the result's plane) for the stretches of points that are of the result.
  template <class Fn>
  void each_line(int64_t first, int64_t count, Fn&& fn) const {
    const auto &p = layout.part, &o = layout.out;
    for (int64_t at = 0; at < count;) {
      const int64_t point = first + at, c = point % p[2], row = point / p[2] % p[1], z = point / (p[2] * p[1]);
      const int64_t length = std::min(count - at, p[2] - c);
      if (row < o[1] && c < o[2] && z < o[0]) fn(at, std::min(length, o[2] - c), (z * o[1] + row) * o[2] + c);
      at += length;
    }
  }
};

}  // namespace

Result<Prepared> prepare_integer_conv(const Selection& s, int n) {
  const int xi = s.arg(n, "x"), wi = s.arg(n, "weight"), xz = s.arg(n, "x_zero_point");
  const int wz = s.arg(n, "weight_zero_point"), bias = s.arg(n, "bias");
  const PlanValue &x = s.value(xi), &w = s.value(wi), &y = s.value(s.node(n).results[0]);
  if (x.shape.product() == 0 || w.shape.product() == 0 || y.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  const int spatial = x.shape.size() - 2;
  GRAFT_TRY(const ops::Window window, ops::read_window(call, {w.shape.begin() + 2, static_cast<size_t>(spatial)}));
  auto step = std::make_unique<IntegerConvStep>(window, x.shape, y.shape);
  step->groups = call.i("groups");
  if (call.error()) return fail(*call.error());
  constexpr double kMost = double{1 << 30};
  double room = static_cast<double>(x.shape[1]);
  for (size_t d = 0; d < Layout3::kDims; ++d)
    room *= static_cast<double>(step->layout.part[d]) * static_cast<double>(step->layout.stride[d]);
  if (room > kMost) return decline("strides or padding that take too much room");
  step->taps = w.shape.product(2, w.shape.size());
  step->x_signed = x.dtype() == DType::i8;
  step->w_signed = w.dtype() == DType::i8;
  if (step->k() > INT32_MAX / 65536) return decline("sums that are not exact");
  if (!one_or(s, wz, y.shape[1])) return decline("zero points that do not fit the channels");
  Prepared made;
  made.in = {{xi}};
  // Zero points that are all 0, moved as the codes are, need no sums of columns.
  if (wz < 0) {
    step->with_sums = !step->w_signed;
  } else if (s.value(wz).where == PlanValue::Where::constant) {
    const TensorView zeros = s.value(wz).constant->view();
    step->with_sums = false;
    for (int64_t i = 0; i < zeros.count(); ++i)
      step->with_sums |= element_as_int(zeros, i) != (step->w_signed ? 0 : 128);
  }
  if (w.where == PlanValue::Where::constant) {
    GRAFT_TRY(step->fixed, packed(s, w.constant, step->groups, step->weight_bytes(),
                                  [&](const uint8_t* codes, std::byte* to) { step->pack(codes, to); }));
  } else {
    made.in.push_back({wi});
    step->weights_at = 0;
    step->scratch = align_up(step->weight_bytes());
  }
  const auto input = [&](int value) {
    if (value < 0) return -1;
    made.in.push_back({value});
    return static_cast<int>(made.in.size()) - 1;
  };
  step->x_zero = input(xz);
  step->w_zero = input(wz);
  step->bias = input(bias);
  step->zero_by_channel = wz >= 0 && s.value(wz).shape.product() != 1;
  step->after = take_over(s, made, n, 1);
  step->plan(s.core().env->threads());
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine
