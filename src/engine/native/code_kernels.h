// Kernels on codes: numbers to codes, and weights of 4 bits. One vector version for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graft::engine {

// What is added to sums of products before anything else is made of them: base + add[i] - factor * times[i], modulo
// 2^32. No `add` or no `times`: without that.
struct Shift {
  int32_t base = 0, factor = 0;
  const int32_t *add = nullptr, *times = nullptr;
};

struct CodeKernels {
  // y = clip(round(x * scale) + zero) or, of numbers, clip(round(x / scale) + zero), halves to even; lo..hi is the
  // range. NaN gives lo. A scale for each element where `scale_step` is 1, one for all where it is 0.
  void (*requantize)(const int32_t* x, int64_t n, const Shift& shift, const float* scale, int64_t scale_step,
                     float zero, float lo, float hi, uint8_t* y);
  void (*shift)(const int32_t* x, int64_t n, const Shift& shift, int32_t* y);  // in place, too
  void (*quantize)(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint8_t* y);
  void (*quantize_wide)(const float* x, int64_t n, float scale, float zero, float lo, float hi, uint16_t* y);
  // y = (x - zero) * scale
  void (*dequantize)(const uint8_t* x, int64_t n, bool is_signed, float scale, float zero, float* y);
  // The sum of x[i] * code[i] over blocks of `block` codes of 4 bits (a multiple of 32), each sum times its scale; the
  // codes mean code - zero. x lies apart: even places of each 32, then odd ones; x_sums are its sums by block.
  float (*dot_of_nibbles)(const float* x, const float* x_sums, const uint8_t* codes, const float* scales,
                          const float* zeros, int64_t blocks, int64_t block);
};
const CodeKernels& code_kernels();

}  // namespace graft::engine
