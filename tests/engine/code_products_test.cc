// The products of codes against plain loops, at the ends of their range, where narrower sums would saturate.
#include "engine/native/code_products.h"

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace graft::engine {
namespace {

std::vector<uint8_t> random_codes(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> codes(static_cast<size_t>(n));
  for (uint8_t& c : codes) {
    constexpr uint8_t kEnds[] = {0, 127, 128, 255};
    c = random() % 3 == 0 ? static_cast<uint8_t>(random()) : kEnds[random() % 4];
  }
  return codes;
}
int value_of(uint8_t code, bool is_signed) { return is_signed ? int{static_cast<int8_t>(code)} : int{code}; }

// Rows [m, k] by lines [k, width], by packed rows and a panel.
void expect_products(int64_t m, int64_t k, bool unsigned_rows) {
  const CodeProducts& p = code_products();
  const int64_t lines = p.steps(k) * p.together, stride = p.row_bytes(k);
  const std::vector<uint8_t> x = random_codes(m * k, 1);
  std::vector<uint8_t> y = random_codes(lines * p.width, 2);
  std::fill(y.begin() + k * p.width, y.end(), uint8_t{7});  // meets what fills up the rows
  std::vector<std::byte> rows(static_cast<size_t>(m * stride));
  for (int64_t r = 0; r < m; ++r) {
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += value_of(x[static_cast<size_t>(r * k + i)] ^ 0x80, !unsigned_rows);
    EXPECT_EQ(p.take_row(x.data() + r * k, k, 0x80, !unsigned_rows, rows.data() + r * stride), sum);
  }
  std::vector<int64_t> at(static_cast<size_t>(lines));
  for (size_t i = 0; i < at.size(); ++i) at[i] = static_cast<int64_t>(i) * p.width;
  std::vector<uint8_t> panel(static_cast<size_t>(p.panel_bytes(k)));
  p.interleave(y.data(), at.data(), p.steps(k), 0x80, panel.data());
  std::vector<int32_t> out(static_cast<size_t>(m * p.width));
  (unsigned_rows ? p.unsigned_rows : p.signed_rows)(rows.data(), stride, panel.data(), p.steps(k), m, out.data());
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t c = 0; c < p.width; ++c) {
      int32_t sum = 0;
      for (int64_t i = 0; i < k; ++i) {
        sum += value_of(x[static_cast<size_t>(r * k + i)] ^ 0x80, !unsigned_rows) *
               value_of(y[static_cast<size_t>(i * p.width + c)] ^ 0x80, unsigned_rows);
      }
      ASSERT_EQ(out[static_cast<size_t>(r * p.width + c)], sum) << "row " << r << ", column " << c << ", k " << k;
    }
  }
}

TEST(CodeProducts, EveryNumberOfRowsAndLengthsOfAnyKind) {
  for (int64_t m = 1; m <= code_products().rows; ++m) {
    for (const int64_t k : {1, 2, 3, 4, 7, 31, 130}) {
      expect_products(m, k, true);
      expect_products(m, k, false);
    }
  }
}

TEST(CodeProducts, Correlations) {
  const CodeProducts& p = code_products();
  const std::vector<uint8_t> x = random_codes(700, 3);
  const std::vector<int64_t> at = {0, 1, 2, 57, 300, 300};
  const std::vector<int16_t> weights = {-128, 127, -128, -128, 5, 0};
  for (const int64_t n : {1, 15, 32, 33, 250}) {
    std::vector<int32_t> sums(static_cast<size_t>(n + CodeProducts::kBehind));
    p.correlate(x.data(), at.data(), weights.data(), static_cast<int64_t>(at.size()), n, sums.data());
    for (int64_t i = 0; i < n; ++i) {
      int32_t sum = 0;
      for (size_t t = 0; t < at.size(); ++t) sum += weights[t] * x[static_cast<size_t>(at[t] + i)];
      ASSERT_EQ(sums[static_cast<size_t>(i)], sum) << i << " of " << n;
    }
  }
}

// Nothing beyond n is written, and nothing beyond the last element is read (the sanitizers look).
TEST(CodeProducts, Copies) {
  const CodeProducts& p = code_products();
  for (int64_t n = 1; n < 100; ++n) {
    const std::vector<uint8_t> x = random_codes(n, 4), wide = random_codes(2 * n - 1, 5);
    std::vector<uint8_t> y(static_cast<size_t>(n)), z(static_cast<size_t>(n));
    p.copy(x.data(), n, 0x80, y.data());
    p.every_second(wide.data(), n, 0x80, z.data());
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_EQ(y[i], x[i] ^ 0x80) << i << " of " << n;
      ASSERT_EQ(z[i], wide[2 * i] ^ 0x80) << i << " of " << n;
    }
  }
}

}  // namespace
}  // namespace graft::engine
