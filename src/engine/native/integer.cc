// Products of codes: host_integer_matmul and host_integer_conv by the byte products of code_kernels.h, with what makes
// codes of the sums again, where that follows. The kernels take one unsigned and one signed side; codes of the other
// sign are moved by 128, and their zero points with them.
#include <array>
#include <cstring>
#include <map>

#include "base/format.h"
#include "engine/native/code_kernels.h"
#include "engine/native/kernels.h"
#include "ops/kernel.h"
#include "ops/window.h"

namespace graft::engine {
namespace {

constexpr uint8_t kTop = 0x80;

int64_t fours_of(int64_t k) { return (k + 3) / 4; }

// The sum of a row of bytes, as what they are on their side.
int32_t sum_of(const uint8_t* row, int64_t n, bool is_signed) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += is_signed ? static_cast<int8_t>(row[i]) : row[i];
  return sum;
}

int32_t zero_at(const void* zeros, DType t, int64_t i) {
  if (zeros == nullptr) return 0;
  return t == DType::i8 ? static_cast<const int8_t*>(zeros)[i] : static_cast<const uint8_t*>(zeros)[i];
}

// sum - x zero * sum of y - y zero * sum of x + k * both zeros, modulo 2^32.
int32_t moved(int32_t sum, int32_t xz, int32_t y_sum, int32_t yz, int32_t x_sum, int64_t k) {
  const auto u = [](int64_t v) { return static_cast<uint32_t>(v); };
  return static_cast<int32_t>(u(sum) - u(xz) * u(y_sum) - u(yz) * u(x_sum) + u(k) * u(xz) * u(yz));
}

// What makes codes of the sums of row or column c: clip(round(sum * scale) + zero).
struct Requantize {
  int scale = -1, zero = -1;  // inputs of the step, -1: the sums are the result; no zero
  bool by_channel = false;
  DType to = DType::u8;

  void apply(const Frame& frame, const int32_t* sums, int64_t n, int64_t channel, uint8_t* y) const {
    const int64_t c = by_channel ? channel : 0;
    const float s = frame.in<float>(static_cast<size_t>(scale))[c];
    const void* z = zero < 0 ? nullptr : frame.in<void>(static_cast<size_t>(zero));
    const IntRange range = int_range(to);
    code_kernels().requantize(sums, n, s, static_cast<float>(zero_at(z, to, 0)), static_cast<float>(range.lo),
                              static_cast<float>(range.hi), y);
  }
};

// The step's operator, with what follows it if that is the row of Requantize along `axis` (or with one scale).
Requantize take_over(const Selection& s, Prepared& made, int n, int axis) {
  int result = s.node(n).results[0];
  Requantize r;
  made.nodes = {n};
  const int next = s.fusing() ? s.sole_consumer(result) : -1;
  if (next >= 0 && s.node(next).op->kind() == ir::Kind::quantize &&
      s.node(next).op->row->param_index("block_size") < 0) {
    const int scale = s.arg(next, "scale"), zero = s.arg(next, "zero_point");
    const PlanValue &y = s.value(s.node(next).results[0]), &of = s.value(scale);
    const ir::Call call = s.call(next);
    const int64_t count = of.shape.product();
    const Result<int> along = ops::normal_axis(call.i("axis"), y.shape.size());
    const bool fits = count == 1 || (along && *along == axis && y.shape[axis] == count);
    if (s.arg(next, "input") == result && fits && s.available(scale) && (zero < 0 || s.available(zero)) &&
        (zero < 0 || s.value(zero).shape.product() == 1) && of.dtype() == DType::f32) {
      r.by_channel = count != 1;
      r.to = y.dtype();
      r.scale = static_cast<int>(made.in.size());
      made.in.push_back({scale});
      if (zero >= 0) {
        r.zero = static_cast<int>(made.in.size());
        made.in.push_back({zero});
      }
      result = s.node(next).results[0];
      made.nodes.push_back(next);
    }
  }
  made.out = {{result}};
  return r;
}

// ---- panels -------------------------------------------------------------------------------------------------------

// A matrix [k, n] of codes as panels of signed bytes, then the sums of its columns.
struct Panels {
  int64_t k, n;
  int64_t count() const { return (n + code_kernels().width - 1) / code_kernels().width; }
  int64_t each() const { return fours_of(k) * 4 * code_kernels().width; }
  size_t bytes() const {
    return align_up(static_cast<size_t>(count() * each())) +
           static_cast<size_t>(count() * code_kernels().width) * sizeof(int32_t);
  }
  int32_t* sums(std::byte* at) const {
    return reinterpret_cast<int32_t*>(at + align_up(static_cast<size_t>(count() * each())));
  }

  // Panels [begin, end).
  void pack(const uint8_t* codes, bool flip, std::byte* to, int64_t begin, int64_t end) const {
    const CodeKernels& kernels = code_kernels();
    const int64_t width = kernels.width, fours = fours_of(k);
    for (int64_t p = begin; p < end; ++p) {
      auto* panel = reinterpret_cast<uint8_t*>(to) + p * each();
      const int64_t first = p * width, columns = std::min(width, n - first);
      for (int64_t f = 0; f < fours; ++f) {
        uint8_t* step = panel + f * 4 * width;
        const uint8_t* row = codes + 4 * f * n + first;
        if (columns == width && 4 * f + 4 <= k) {
          const std::array<const uint8_t*, 4> from{row, row + n, row + 2 * n, row + 3 * n};
          kernels.interleave(from.data(), step);
          if (flip) turn(step, 4 * width);
          continue;
        }
        std::memset(step, 0, static_cast<size_t>(4 * width));
        for (int64_t j = 0; j < std::min<int64_t>(4, k - 4 * f); ++j) {
          for (int64_t c = 0; c < columns; ++c)
            step[4 * c + j] = static_cast<uint8_t>(row[j * n + c] ^ (flip ? kTop : 0));
        }
      }
      add_columns(panel, fours, sums(to) + p * width);
    }
  }

 private:
  // Codes to those of the other sign; a multiple of 16.
  static void turn(uint8_t* codes, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) {
      for (int64_t j = i; j < i + 16; ++j) codes[j] ^= kTop;
    }
  }
  // Products with ones.
  static void add_columns(const uint8_t* panel, int64_t fours, int32_t* total) {
    constexpr int64_t kOnes = 256;
    static constexpr auto ones = [] {
      std::array<uint8_t, 4 * kOnes> a{};
      a.fill(1);
      return a;
    }();
    const CodeKernels& kernels = code_kernels();
    std::array<int32_t, 32> part;
    std::fill_n(total, kernels.width, 0);
    for (int64_t f = 0; f < fours; f += kOnes) {
      kernels.unsigned_rows(ones.data(), 0, panel + f * 4 * kernels.width, std::min(kOnes, fours - f), 1, part.data());
      for (int64_t c = 0; c < kernels.width; ++c) total[c] += part[static_cast<size_t>(c)];
    }
  }
};

// Packed weights by constant, and by groups of a convolution (0: a matrix).
struct CodesState final : ProviderState {
  std::map<std::pair<const ir::Constant*, int64_t>, std::pair<ir::ConstantPtr, std::byte*>> packed;
};

// Packed once for all plans, by pack(codes, to).
template <class Pack>
Result<const std::byte*> packed(const Selection& s, const ir::ConstantPtr& c, int64_t groups, size_t bytes,
                                Pack&& pack) {
  std::unique_ptr<ProviderState>& slot = s.core().states["codes"];
  if (slot == nullptr) slot = std::make_unique<CodesState>();
  auto& entries = static_cast<CodesState&>(*slot).packed;
  if (const auto at = entries.find({c.get(), groups}); at != entries.end()) return at->second.second;
  GRAFT_TRY(const TensorView view, c->aligned_view({s.cancel(), s.core().memory}));
  GRAFT_TRY(std::byte * to, s.core().weights.take(bytes, s.core().memory));
  pack(view.as<uint8_t>(), to);
  entries[{c.get(), groups}] = {c, to};
  return to;
}

// ---- matmul -------------------------------------------------------------------------------------------------------

class IntegerMatmulStep final : public Step {
 public:
  int64_t batches = 1, rows = 0, x_step = 0, y_step = 0;  // elements from one matrix to the next; 0 repeats
  Panels panels{};
  bool x_signed = false, y_signed = false;
  int x_zero = -1, y_zero = -1;  // inputs
  bool zero_by_column = false;
  const std::byte* fixed = nullptr;  // packed y
  size_t rows_at = 0, sums_at = 0, panels_at = 0;
  Requantize after;

  Status run(const Frame& frame) const override {
    const CodeKernels& k = code_kernels();
    const int64_t fours = fours_of(panels.k), stride = 4 * fours, row_pieces = (rows + k.rows - 1) / k.rows;
    const int32_t xz = zero_of(frame, x_zero, x_signed, 0) + (x_signed ? 128 : 0);
    for (int64_t b = 0; b < batches && !frame.cancelled(); ++b) {
      const auto* x = frame.in<uint8_t>(0) + b * x_step;
      auto* left = reinterpret_cast<uint8_t*>(frame.scratch + rows_at);
      auto* sums = reinterpret_cast<int32_t*>(frame.scratch + sums_at);
      const uint8_t mask = x_signed ? kTop : 0;
      frame.parallel_for(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(stride, 1)),
                         [&](int64_t begin, int64_t end) {
                           for (int64_t r = begin; r < end; ++r) {
                             uint8_t* to = left + r * stride;
                             const uint8_t* from = x + r * panels.k;
                             for (int64_t i = 0; i < panels.k; ++i) to[i] = static_cast<uint8_t>(from[i] ^ mask);
                             std::memset(to + panels.k, 0, static_cast<size_t>(stride - panels.k));
                             sums[r] = sum_of(to, panels.k, false);
                           }
                         });
      const std::byte* right = fixed;
      if (right == nullptr) {
        std::byte* to = frame.scratch + panels_at;
        if (b == 0 || y_step != 0) {
          const uint8_t* y = frame.in<uint8_t>(1) + b * y_step;
          frame.parallel_for(panels.count(), std::max<int64_t>(1, 65536 / std::max<int64_t>(panels.each(), 1)),
                             [&](int64_t begin, int64_t end) { panels.pack(y, !y_signed, to, begin, end); });
        }
        right = to;
      }
      const int32_t* columns = panels.sums(const_cast<std::byte*>(right));
      // Panels stay in the cache while rows go by, or the other way round.
      const int64_t work = std::max<int64_t>(1, panels.k * k.width * k.rows);
      frame.parallel_for(
          row_pieces * panels.count(), std::max<int64_t>(1, 1'000'000 / work), [&](int64_t begin, int64_t end) {
            std::array<int32_t, 8 * 32> tile;
            for (int64_t i = begin; i < end; ++i) {
              const int64_t p = i / row_pieces, first = i % row_pieces * k.rows, count = std::min(k.rows, rows - first);
              const auto* panel = reinterpret_cast<const uint8_t*>(right) + p * panels.each();
              k.unsigned_rows(left + first * stride, stride, panel, fours, count, tile.data());
              finish(frame, b, first, count, p, tile.data(), sums, columns, xz);
            }
          });
    }
    return {};
  }

 private:
  int32_t zero_of(const Frame& frame, int input, bool is_signed, int64_t i) const {
    if (input < 0) return 0;
    return zero_at(frame.in<void>(static_cast<size_t>(input)), is_signed ? DType::i8 : DType::u8, i);
  }

  void finish(const Frame& frame, int64_t b, int64_t first, int64_t count, int64_t p, int32_t* tile,
              const int32_t* sums, const int32_t* columns, int32_t xz) const {
    const int64_t width = code_kernels().width, c0 = p * width, n = std::min(width, panels.n - c0);
    std::array<int32_t, 32> yz;
    for (int64_t c = 0; c < n; ++c)
      yz[static_cast<size_t>(c)] = zero_of(frame, y_zero, y_signed, zero_by_column ? c0 + c : 0) - (y_signed ? 0 : 128);
    for (int64_t r = 0; r < count; ++r) {
      int32_t* row = tile + r * width;
      for (int64_t c = 0; c < n; ++c)
        row[c] = moved(row[c], xz, columns[c0 + c], yz[static_cast<size_t>(c)], sums[first + r], panels.k);
      const int64_t to = (b * rows + first + r) * panels.n + c0;
      if (after.scale < 0) {
        std::memcpy(frame.out<int32_t>(0) + to, row, static_cast<size_t>(n) * sizeof(int32_t));
      } else if (!after.by_channel) {
        after.apply(frame, row, n, 0, frame.out<uint8_t>(0) + to);
      } else {
        for (int64_t c = 0; c < n; ++c) after.apply(frame, row + c, 1, c0 + c, frame.out<uint8_t>(0) + to + c);
      }
    }
  }
};

// ---- conv ---------------------------------------------------------------------------------------------------------

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

bool one_or(const Selection& s, int value, int64_t count) {
  return value < 0 || s.value(value).shape.product() == 1 || s.value(value).shape.product() == count;
}

}  // namespace

Result<Prepared> prepare_integer_matmul(const Selection& s, int n) {
  const int xi = s.arg(n, "x"), yi = s.arg(n, "y"), xz = s.arg(n, "x_zero_point"), yz = s.arg(n, "y_zero_point");
  const PlanValue &x = s.value(xi), &y = s.value(yi), &out = s.value(s.node(n).results[0]);
  if (x.shape.product() == 0 || y.shape.product() == 0) return decline("no elements");
  if (x.shape.size() < 1 || y.shape.size() < 2) return decline("a vector");
  if (!one_or(s, xz, 1)) return decline("a zero point for each row");
  const int64_t k = x.shape.back(), columns = y.shape.back();
  if (k > INT32_MAX / 65536) return decline("sums that are not exact");
  const int64_t y_matrices = y.shape.product(0, y.shape.size() - 2);
  const int64_t x_rows = x.shape.size() == 1 ? 1 : x.shape[x.shape.size() - 2];
  const int64_t x_matrices = x.shape.size() == 1 ? 1 : x.shape.product(0, x.shape.size() - 2);
  if (!one_or(s, yz, columns) || (yz >= 0 && s.value(yz).shape.product() != 1 && y_matrices != 1))
    return decline("zero points of several matrices");
  auto step = std::make_unique<IntegerMatmulStep>();
  step->provider = "native";
  step->panels = {k, columns};
  step->x_signed = x.dtype() == DType::i8;
  step->y_signed = y.dtype() == DType::i8;
  if (y_matrices == 1) {
    step->rows = x_matrices * x_rows;
  } else {
    step->batches = out.shape.product() / (x_rows * columns);
    step->rows = x_rows;
    step->y_step = k * columns;
    step->x_step = x_matrices == 1 ? 0 : x_rows * k;
    if (y_matrices != step->batches || (x_matrices != 1 && x_matrices != step->batches))
      return decline("batches that repeat");
  }
  Prepared made;
  made.in = {{xi}};
  if (y.where == PlanValue::Where::constant && y_matrices == 1) {
    GRAFT_TRY(step->fixed, packed(s, y.constant, 0, step->panels.bytes(), [&](const uint8_t* codes, std::byte* to) {
                step->panels.pack(codes, !step->y_signed, to, 0, step->panels.count());
              }));
  } else {
    made.in.push_back({yi});
  }
  const auto input = [&](int value) {
    if (value < 0) return -1;
    made.in.push_back({value});
    return static_cast<int>(made.in.size()) - 1;
  };
  step->x_zero = input(xz);
  step->y_zero = input(yz);
  step->zero_by_column = yz >= 0 && s.value(yz).shape.product() != 1;
  step->after = take_over(s, made, n, out.shape.size() - 1);
  const auto take = [&](size_t bytes) {
    const size_t at = step->scratch;
    step->scratch += align_up(bytes);
    return at;
  };
  step->rows_at = take(static_cast<size_t>(step->rows * 4 * fours_of(k)));
  step->sums_at = take(static_cast<size_t>(step->rows) * sizeof(int32_t));
  if (step->fixed == nullptr) step->panels_at = take(step->panels.bytes());
  made.step = std::move(step);
  return made;
}

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
