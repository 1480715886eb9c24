// Element-wise functions on blocks of floats that lie in the first cache, one vector version for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ir/op_kind.h"

namespace graft::engine {

// Elements in a block. Kernels process whole vectors: a block is always this long, its end may be unused.
inline constexpr int64_t kBlockSize = 512;

// y[i] = f(a[i], b[i], c[i]); p holds two parameters, kNoParameters where there are none. y may be one of the operands.
// Results of comparisons and of logic are 1 and 0.
inline constexpr float kNoParameters[2] = {};
using VectorKernel = void (*)(const float* a, const float* b, const float* c, float* y, const float* p);

// The kernel for this CPU; null for functions that have none.
VectorKernel vector_kernel(ir::Scalar f);

// Rows of floats, any length and alignment.
struct RowKernels {
  void (*softmax)(const float* x, float* y, int64_t n);
  // y = (x - mean) / sqrt(variance + epsilon) * gamma + beta; gamma and beta may be null.
  void (*normalize)(const float* x, const float* gamma, const float* beta, float* y, int64_t n, float epsilon);
  float (*sum)(const float* x, int64_t n);
  float (*maximum)(const float* x, int64_t n);
  // acc[i] += the sum over rows r of x[r * inner + i], i < inner. False where inner does not suit the vectors.
  bool (*sum_rows)(const float* x, int64_t rows, int64_t inner, float* acc);
  // acc[i] += x[i]
  void (*accumulate)(const float* x, float* acc, int64_t n);
  // sums[i] += x[i]; y[i], which may be x[i], is the sum with it or without it.
  void (*add_up)(const float* x, double* sums, float* y, int64_t n, bool with);
};
const RowKernels& row_kernels();

}  // namespace graft::engine
