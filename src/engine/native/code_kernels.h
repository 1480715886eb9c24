// Kernels on codes: products of 8-bit integers, numbers to codes, and weights of 4 bits. One vector version for each
// instruction set; integer results are exact.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graft::engine {

// Sums of products of one unsigned and one signed byte each, over a dim whose length is counted in fours. One side are
// rows of such fours; the other are panels: `width` columns side by side, the four bytes of each column together, so
// that a panel is [fours][width][4].
struct CodeKernels {
  int64_t width;  // columns of a panel
  int64_t rows;   // at most in one call of a product
  // out[r][width] for each of the rows, `stride` bytes apart. Which side is unsigned is in the name.
  void (*unsigned_rows)(const uint8_t* rows, int64_t stride, const uint8_t* panel, int64_t fours, int64_t count,
                        int32_t* out);
  void (*signed_rows)(const uint8_t* rows, int64_t stride, const uint8_t* panel, int64_t fours, int64_t count,
                      int32_t* out);
  // Four rows of `width` bytes to one step of a panel.
  void (*interleave)(const uint8_t* const* from, uint8_t* to);
  // y = clip(round(x * scale) + zero) or, of numbers, clip(round(x / scale) + zero), halves to even; lo..hi is the
  // range. NaN gives lo.
  void (*requantize)(const int32_t* x, int64_t n, float scale, float zero, float lo, float hi, uint8_t* y);
  void (*quantize)(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint8_t* y);
  void (*quantize_wide)(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint16_t* y);
  // The sum of x[i] * code[i] over blocks of `block` codes of 4 bits (a multiple of 32), each sum times its scale; the
  // codes mean code - zero. x lies apart: even places of each 32, then odd ones; x_sums are its sums by block.
  float (*dot_of_nibbles)(const float* x, const float* x_sums, const uint8_t* codes, const float* scales,
                          const float* zeros, int64_t blocks, int64_t block);
};
const CodeKernels& code_kernels();

}  // namespace graft::engine
