// host_integer_matmul by the byte products of code_kernels.h.
#include "base/format.h"
#include "engine/native/integer.h"

namespace graft::engine {
namespace {

// A matrix [k, n] of codes as panels of signed bytes, then the sums of its columns.
struct Panels {
  int64_t k, n;
  int64_t count() const { return (n + code_products().width - 1) / code_products().width; }
  int64_t each() const { return code_products().panel_bytes(k); }
  size_t bytes() const {
    return align_up(static_cast<size_t>(count() * each())) +
           static_cast<size_t>(count() * code_products().width) * sizeof(int32_t);
  }
  int32_t* sums(std::byte* at) const {
    return reinterpret_cast<int32_t*>(at + align_up(static_cast<size_t>(count() * each())));
  }

  // Panels [begin, end).
  void pack(const uint8_t* codes, uint8_t mask, std::byte* to, int64_t begin, int64_t end) const {
    const CodeProducts& p = code_products();
    constexpr int64_t kLines = 64;  // a multiple of what is together
    std::array<int64_t, kLines> at, at_copies;
    for (int64_t i = 0; i < kLines; ++i) {
      at[static_cast<size_t>(i)] = i * n;
      at_copies[static_cast<size_t>(i)] = i * p.width;
    }
    for (int64_t i = begin; i < end; ++i) {
      auto* panel = reinterpret_cast<uint8_t*>(to) + i * each();
      const int64_t first = i * p.width, columns = std::min(p.width, n - first);
      for (int64_t row = 0; row < k; row += kLines) {
        const int64_t lines = std::min(kLines, k - row), steps = p.steps(lines);
        const uint8_t* from = codes + row * n + first;
        if (columns == p.width && lines % p.together == 0) {
          p.interleave(from, at.data(), steps, mask, panel + row * p.width);
          continue;
        }
        std::array<uint8_t, kLines * kMostColumns> copies;
        copies.fill(mask);  // becomes 0
        for (int64_t j = 0; j < lines; ++j)
          std::memcpy(copies.data() + j * p.width, from + j * n, static_cast<size_t>(columns));
        p.interleave(copies.data(), at_copies.data(), steps, mask, panel + row * p.width);
      }
      add_columns(panel, sums(to) + i * p.width);
    }
  }

 private:
  // Products with ones.
  void add_columns(const uint8_t* panel, int32_t* total) const {
    constexpr int64_t kOnes = 512;
    const CodeProducts& p = code_products();
    std::array<std::byte, kOnes * sizeof(int16_t)> ones;
    std::array<uint8_t, kOnes> codes;
    codes.fill(1);
    p.take_row(codes.data(), kOnes, 0, false, ones.data());
    std::array<int32_t, kMostColumns> part;
    std::fill_n(total, p.width, 0);
    for (int64_t at = 0; at < k; at += kOnes) {
      p.unsigned_rows(ones.data(), 0, panel + at * p.width, p.steps(std::min(kOnes, k - at)), 1, part.data());
      for (int64_t c = 0; c < p.width; ++c) total[c] += part[static_cast<size_t>(c)];
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
  size_t rows_at = 0, sums_at = 0, zeros_at = 0, columns_at = 0, panels_at = 0;
  Requantize after;

  uint8_t y_mask() const { return y_signed ? 0 : kTop; }
  void take_scratch() {
    const auto take = [&](int64_t bytes) {
      const size_t at = scratch;
      scratch += align_up(static_cast<size_t>(bytes));
      return at;
    };
    constexpr auto kItem = static_cast<int64_t>(sizeof(int32_t));
    rows_at = take(rows * code_products().row_bytes(panels.k));
    sums_at = take(rows * kItem);
    zeros_at = take(panels.n * kItem);
    columns_at = take(panels.n * kItem);
    if (fixed == nullptr) panels_at = take(static_cast<int64_t>(panels.bytes()));
  }

  Status run(const Frame& frame) const override {
    const CodeProducts& p = code_products();
    const int64_t stride = p.row_bytes(panels.k), row_pieces = (rows + p.rows - 1) / p.rows;
    const bool with_zeros = take_zeros(frame);
    const Results results(frame, after);
    for (int64_t b = 0; b < batches && !frame.cancelled(); ++b) {
      const auto* x = frame.in<uint8_t>(0) + b * x_step;
      std::byte* left = frame.scratch + rows_at;
      int32_t* sums = ints(frame, sums_at);
      frame.parallel_for(rows, std::max<int64_t>(1, 65536 / stride), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
          sums[r] = p.take_row(x + r * panels.k, panels.k, x_signed ? kTop : 0, false, left + r * stride);
      });
      const std::byte* right = fixed;
      if (right == nullptr) {
        std::byte* to = frame.scratch + panels_at;
        const uint8_t* y = frame.in<uint8_t>(1) + b * y_step;
        frame.parallel_for(panels.count(), std::max<int64_t>(1, 65536 / panels.each()),
                           [&](int64_t begin, int64_t end) { panels.pack(y, y_mask(), to, begin, end); });
        right = to;
      }
      if (b == 0 || fixed == nullptr) take_columns(frame, panels.sums(const_cast<std::byte*>(right)));
      // Panels stay in the cache while rows go by.
      const int64_t work = panels.k * p.width * p.rows;
      frame.parallel_for(
          row_pieces * panels.count(), std::max<int64_t>(1, 1'000'000 / work), [&](int64_t begin, int64_t end) {
            std::array<int32_t, kMostRows * kMostColumns> tile;
            int64_t panel = begin / row_pieces, first = begin % row_pieces * p.rows;
            for (int64_t i = begin; i < end; ++i) {
              const int64_t count = std::min(p.rows, rows - first);
              const auto* codes = reinterpret_cast<const uint8_t*>(right) + panel * panels.each();
              p.unsigned_rows(left + first * stride, stride, codes, p.steps(panels.k), count, tile.data());
              finish(frame, results, first, count, panel * p.width, with_zeros, (b * rows + first) * panels.n,
                     tile.data());
              first += p.rows;
              if (first < rows) continue;
              first = 0;
              ++panel;
            }
          });
    }
    return {};
  }

 private:
  static int32_t* ints(const Frame& frame, size_t at) { return reinterpret_cast<int32_t*>(frame.scratch + at); }

  // The zero points of y's columns, moved as its codes are. Are there others than 0?
  bool take_zeros(const Frame& frame) const {
    int32_t* zeros = ints(frame, zeros_at);
    bool some = false;
    for (int64_t c = 0; c < panels.n; ++c) {
      zeros[c] = zero_of(frame, y_zero, y_signed, zero_by_column ? c : 0) - (y_signed ? 0 : 128);
      some |= zeros[c] != 0;
    }
    return some;
  }
  // What a column adds to its sums.
  void take_columns(const Frame& frame, const int32_t* column_sums) const {
    const int32_t *zeros = ints(frame, zeros_at), xz = zero_of(frame, x_zero, x_signed, 0) + (x_signed ? 128 : 0);
    int32_t* columns = ints(frame, columns_at);
    for (int64_t c = 0; c < panels.n; ++c)
      columns[c] = i32(u32(xz) * (u32(panels.k) * u32(zeros[c]) - u32(column_sums[c])));
  }
  int32_t zero_of(const Frame& frame, int input, bool is_signed, int64_t i) const {
    if (input < 0) return 0;
    return zero_at(frame.in<void>(static_cast<size_t>(input)), is_signed ? DType::i8 : DType::u8, i);
  }

  // Sums of some rows at columns from `column` on; `to`: of the first row in the result.
  void finish(const Frame& frame, const Results& results, int64_t row, int64_t rows_here, int64_t column,
              bool with_zeros, int64_t to, const int32_t* tile) const {
    const int64_t width = code_products().width, n = std::min(width, panels.n - column);
    const int32_t* row_sums = ints(frame, sums_at) + row;
    Shift shift{.add = ints(frame, columns_at) + column,
                .times = with_zeros ? ints(frame, zeros_at) + column : nullptr};
    for (int64_t r = 0; r < rows_here; ++r, tile += width, to += panels.n) {
      shift.factor = row_sums[r];
      if (results.are_codes())
        results.make_codes(tile, n, shift, column, true, results.codes() + to + column);
      else
        code_kernels().shift(tile, n, shift, results.sums() + to + column);
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
                step->panels.pack(codes, step->y_mask(), to, 0, step->panels.count());
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
  step->take_scratch();
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine
