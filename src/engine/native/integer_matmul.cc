// host_integer_matmul by the byte products of code_kernels.h.
#include "base/format.h"
#include "engine/native/integer.h"

namespace graft::engine {
namespace {

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

}  // namespace graft::engine
