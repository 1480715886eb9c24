// Products of 8-bit codes, summed in 32 bits and exact, modulo 2^32. One vector version for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graft::engine {

// Sums over a dim that is counted in steps of `together` codes, the last one filled up with zeros. One side are rows
// of such steps; the other are panels: `width` columns side by side, the codes of a step of each column together, so
// that a panel is [steps][width][together] bytes. One side is unsigned, the other signed. Rows lie as the instruction
// set wants them, which take_row() makes.
struct CodeProducts {
  int64_t width;     // columns of a panel: a multiple of 8, 32 at most
  int64_t rows;      // at most in one call of a product: 8 at most
  int64_t together;  // codes of a step
  int64_t item;      // bytes of a code in a row

  int64_t steps(int64_t k) const { return (k + together - 1) / together; }
  int64_t row_bytes(int64_t k) const { return steps(k) * together * item; }
  int64_t panel_bytes(int64_t k) const { return steps(k) * together * width; }

  // A row of n codes, each first `^ mask`; its sum.
  int32_t (*take_row)(const uint8_t* codes, int64_t n, uint8_t mask, bool is_signed, std::byte* to);
  // Steps of a panel from lines of `width` codes, each `^ mask`, that lie at from + at[0], at[1], ...
  void (*interleave)(const uint8_t* from, const int64_t* at, int64_t steps, uint8_t mask, uint8_t* panel);
  // out[r][width] for each of the rows, `stride` bytes apart. Which side is unsigned is in the name.
  void (*unsigned_rows)(const std::byte* rows, int64_t stride, const uint8_t* panel, int64_t steps, int64_t count,
                        int32_t* out);
  void (*signed_rows)(const std::byte* rows, int64_t stride, const uint8_t* panel, int64_t steps, int64_t count,
                      int32_t* out);
  // sums[i] = the sum over taps of weights[t] * x[at[t] + i], of unsigned x. An even number of taps. Reads up to
  // kBehind bytes behind the last element that it needs, and writes up to that many sums.
  static constexpr int64_t kBehind = 32;
  void (*correlate)(const uint8_t* x, const int64_t* at, const int16_t* weights, int64_t taps, int64_t n,
                    int32_t* sums);
  // to[i] = from[i] ^ mask, or from[2 * i] ^ mask
  void (*copy)(const uint8_t* from, int64_t n, uint8_t mask, uint8_t* to);
  void (*every_second)(const uint8_t* from, int64_t n, uint8_t mask, uint8_t* to);
};
const CodeProducts& code_products();

}  // namespace graft::engine
