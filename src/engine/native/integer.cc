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
    code_kernels().requantize(sums, n, s, static_cast<float>(zero_at(z, to, c)), static_cast<float>(range.lo),
                              static_cast<float>(range.hi), y);
  }
};

// The step's operator, with what follows it if that is the row of Requantize along `axis` (or with one scale).
Requantize take_over(const Selection& s, Prepared& made, int n, int axis, bool channels) {
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
    const bool fits = count == 1 || (channels && call.i("axis") == axis && y.shape[axis] == count);
    if (s.arg(next, "input") == result && fits && s.available(scale) && (zero < 0 || s.available(zero)) &&
        (zero < 0 || s.value(zero).shape.product() == count) && of.dtype() == DType::f32) {
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
    const int64_t width = code_kernels().width;
    const uint8_t mask = flip ? kTop : 0;
    for (int64_t p = begin; p < end; ++p) {
      auto* panel = reinterpret_cast<uint8_t*>(to) + p * each();
      int32_t* total = sums(to) + p * width;
      const int64_t first = p * width, columns = std::min(width, n - first);
      std::memset(panel, 0, static_cast<size_t>(each()));
      std::fill_n(total, width, 0);
      for (int64_t i = 0; i < k; ++i) {
        const uint8_t* row = codes + i * n + first;
        uint8_t* out = panel + i / 4 * 4 * width + i % 4;
        for (int64_t c = 0; c < columns; ++c) {
          const auto v = static_cast<uint8_t>(row[c] ^ mask);
          out[4 * c] = v;
          total[c] += static_cast<int8_t>(v);
        }
      }
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

// Where one tap of the kernel reads for the points of a panel: stretches of the input's plane, or padding.
struct Stretch {
  int32_t at, length;
  int64_t from;  // -1: padding
};

class IntegerConvStep final : public Step {
 public:
  ops::Window window;
  Shape x, y;
  int64_t groups = 1, taps = 1;
  bool x_signed = false, w_signed = false, with_sums = true;
  int x_zero = -1, w_zero = -1, bias = -1;
  bool zero_by_channel = false;
  const std::byte* fixed = nullptr;  // packed weights
  int64_t chunks = 1;
  size_t weights_at = 0, chunks_at = 0, chunk_bytes = 0;
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

  // A panel, stretches of each tap and the numbers of them, rows to gather into, and sums.
  void plan_chunks(int threads) {
    const int64_t width = code_kernels().width;
    const int64_t panels = (y.product(2, y.size()) + width - 1) / width, items = y[0] * groups * panels;
    chunks = std::clamp<int64_t>(items, 1, 4 * threads);
    chunk_bytes = align_up(static_cast<size_t>(stride() * width)) +
                  align_up(static_cast<size_t>(taps * width) * sizeof(Stretch)) +
                  align_up(static_cast<size_t>(taps) * sizeof(int64_t)) + align_up(static_cast<size_t>(5 * width)) +
                  align_up(static_cast<size_t>((outs() + 1 + 8) * width) * sizeof(int32_t));
  }

  Status run(const Frame& frame) const override {
    const std::byte* weights = fixed;
    if (weights == nullptr) {
      pack(frame.in<uint8_t>(1), frame.scratch + weights_at);
      weights = frame.scratch + weights_at;
    }
    const int64_t width = code_kernels().width, plane = y.product(2, y.size());
    const int64_t panels = (plane + width - 1) / width, items = y[0] * groups * panels;
    frame.parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        std::byte* scratch = frame.scratch + chunks_at + static_cast<size_t>(c) * chunk_bytes;
        for (int64_t i = items * c / chunks; i < items * (c + 1) / chunks && !frame.cancelled(); ++i)
          panel_of(frame, weights, scratch, i / (groups * panels), i / panels % groups, i % panels * width);
      }
    });
    return {};
  }

 private:
  void panel_of(const Frame& frame, const std::byte* weights, std::byte* scratch, int64_t image, int64_t group,
                int64_t first) const {
    const CodeKernels& kernels = code_kernels();
    const int64_t width = kernels.width, plane = y.product(2, y.size()), in_plane = x.product(2, x.size());
    const int64_t n = std::min(width, plane - first), fours = fours_of(k());
    auto* panel = reinterpret_cast<uint8_t*>(scratch);
    scratch += align_up(static_cast<size_t>(stride() * width));
    auto* stretches = reinterpret_cast<Stretch*>(scratch);
    scratch += align_up(static_cast<size_t>(taps * width) * sizeof(Stretch));
    auto* counts = reinterpret_cast<int64_t*>(scratch);
    scratch += align_up(static_cast<size_t>(taps) * sizeof(int64_t));
    auto* lines = reinterpret_cast<uint8_t*>(scratch);
    scratch += align_up(static_cast<size_t>(5 * width));
    auto* sums = reinterpret_cast<int32_t*>(scratch);
    const DType xt = x_signed ? DType::i8 : DType::u8, wt = w_signed ? DType::i8 : DType::u8;
    const int32_t zero = x_zero < 0 ? 0 : zero_at(frame.in<void>(static_cast<size_t>(x_zero)), xt, 0);
    for (int64_t tap = 0; tap < taps; ++tap) counts[tap] = stretches_of(tap, first, n, stretches + tap * width);
    const uint8_t* planes = frame.in<uint8_t>(0) + (image * x[1] + group * ins()) * in_plane;
    std::memset(lines + 4 * width, 0, static_cast<size_t>(width));
    int64_t ic = 0, tap = 0;
    for (int64_t f = 0; f < fours; ++f) {
      std::array<const uint8_t*, 4> from;
      for (size_t j = 0; j < 4; ++j) {
        from[j] = lines + 4 * width;
        if (ic == ins()) continue;
        const Stretch* s = stretches + tap * width;
        const uint8_t* channel = planes + ic * in_plane;
        if (counts[tap] == 1 && s->length == width && s->from >= 0) {
          from[j] = channel + s->from;
        } else {
          uint8_t* line = lines + static_cast<int64_t>(j) * width;
          for (int64_t i = 0; i < counts[tap]; ++i) {
            if (s[i].from < 0)
              std::memset(line + s[i].at, zero, static_cast<size_t>(s[i].length));
            else if (s[i].length == 1)
              line[s[i].at] = channel[s[i].from];
            else
              std::memcpy(line + s[i].at, channel + s[i].from, static_cast<size_t>(s[i].length));
          }
          from[j] = line;
        }
        if (++tap == taps) {
          tap = 0;
          ++ic;
        }
      }
      kernels.interleave(from.data(), panel + f * 4 * width);
    }
    if (x_signed) {
      for (int64_t i = 0; i < stride() * width; ++i) panel[i] ^= kTop;
    }
    const auto* rows = reinterpret_cast<const uint8_t*>(weights) + group * (outs() + 1) * stride();
    const int64_t count = outs() + (with_sums ? 1 : 0);
    for (int64_t r = 0; r < count; r += kernels.rows)
      kernels.signed_rows(rows + r * stride(), stride(), panel, fours, std::min(kernels.rows, count - r),
                          sums + r * width);
    const int32_t* row_sums = weight_sums(const_cast<std::byte*>(weights));
    const int32_t xz = zero + (x_signed ? 128 : 0);
    const int32_t* column_sums = sums + outs() * width;
    for (int64_t o = 0; o < outs(); ++o) {
      const int64_t channel = group * outs() + o;
      int32_t* row = sums + o * width;
      const int32_t wz =
          (w_zero < 0 ? 0 : zero_at(frame.in<void>(static_cast<size_t>(w_zero)), wt, zero_by_channel ? channel : 0)) -
          (w_signed ? 0 : 128);
      const int32_t more = bias < 0 ? 0 : frame.in<int32_t>(static_cast<size_t>(bias))[channel];
      for (int64_t c = 0; c < n; ++c) {
        const int32_t v = moved(row[c], xz, row_sums[channel], wz, with_sums ? column_sums[c] : 0, k());
        row[c] = static_cast<int32_t>(static_cast<uint32_t>(v) + static_cast<uint32_t>(more));
      }
      const int64_t to = (image * y[1] + channel) * plane + first;
      if (after.scale < 0)
        std::memcpy(frame.out<int32_t>(0) + to, row, static_cast<size_t>(n) * sizeof(int32_t));
      else
        after.apply(frame, row, n, channel, frame.out<uint8_t>(0) + to);
    }
  }

  // Where a tap reads for the points first.. of the result's plane.
  int64_t stretches_of(int64_t tap, int64_t first, int64_t n, Stretch* to) const {
    const int d = window.spatial, last = d - 1;
    std::array<int64_t, ops::kMaxSpatial> at{}, offset{};
    int64_t rest = tap, point = first;
    for (int i = last; i >= 0; --i) {
      const auto e = static_cast<size_t>(i);
      offset[e] = rest % window.kernel[i] * window.dilation[i] - window.before(i, x[i + 2]);
      rest /= window.kernel[i];
      at[e] = point % y[i + 2];
      point /= y[i + 2];
    }
    int64_t count = 0, done = 0;
    while (done < n) {
      // The line of the input that these points lie in; outside, all of them are padding.
      int64_t line = 0;
      for (int i = 0; i < last && line >= 0; ++i) {
        const int64_t p = at[static_cast<size_t>(i)] * window.stride[i] + offset[static_cast<size_t>(i)];
        line = p < 0 || p >= x[i + 2] ? -1 : line * x[i + 2] + p;
      }
      const auto e = static_cast<size_t>(last);
      const int64_t in = x[last + 2], step = window.stride[last];
      const int64_t here = std::min(n - done, y[last + 2] - at[e]);
      int64_t i = 0;
      while (i < here) {
        const int64_t p = (at[e] + i) * step + offset[e];
        int64_t length = 1, from = -1;
        if (line < 0) {
          length = here - i;
        } else if (p < 0) {
          length = std::min(here - i, (-p + step - 1) / step);
        } else if (p >= in) {
          length = here - i;
        } else {
          from = line * in + p;
          if (step == 1) length = std::min(here - i, in - p);
        }
        if (count > 0 && step == 1 && from >= 0 && to[count - 1].from >= 0 &&
            to[count - 1].from + to[count - 1].length == from)
          to[count - 1].length += static_cast<int32_t>(length);
        else
          to[count++] = {static_cast<int32_t>(done + i), static_cast<int32_t>(length), from};
        i += length;
      }
      done += here;
      at[e] = 0;
      for (int j = last - 1; j >= 0 && ++at[static_cast<size_t>(j)] == y[j + 2]; --j) at[static_cast<size_t>(j)] = 0;
    }
    return count;
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
  step->after = take_over(s, made, n, out.shape.size() - 1, true);
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
  auto step = std::make_unique<IntegerConvStep>();
  GRAFT_TRY(step->window, ops::read_window(call, {w.shape.begin() + 2, static_cast<size_t>(spatial)}));
  step->groups = call.i("groups");
  if (call.error()) return fail(*call.error());
  step->provider = "native";
  step->x = x.shape;
  step->y = y.shape;
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
  step->after = take_over(s, made, n, 1, true);
  step->plan_chunks(s.core().env->threads());
  step->chunks_at = step->scratch;
  step->scratch += static_cast<size_t>(step->chunks) * step->chunk_bytes;
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine
