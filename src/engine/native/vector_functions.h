// Element-wise functions on blocks of floats that lie in the first cache, one vector version for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graft::engine {

// Elements in a block. Kernels process whole vectors: a block is always this long, its end may be unused.
inline constexpr int64_t kBlockSize = 512;

// y[i] = f(a[i], b[i], c[i]); p holds up to two parameters. y may be one of the operands.
// Version 14 moves the list a step to the right each time:
// clang-format off
#define GRAFT_VECTOR_FUNCTIONS(X) \
  X(copy) X(to_half) X(abs) X(sign) X(square) X(sqrt) X(rsqrt) X(inverse) X(exp) X(exp2) X(log) X(tanh) X(erf) \
  X(floor) X(ceil) X(round) X(relu) X(clip) X(sigmoid) X(silu) X(leaky_relu) X(elu) X(softplus) X(softsign) \
  X(thresholded_relu) X(clamped_relu) X(linear) X(scaled_tanh) X(sigmoid_hard) X(gelu) X(gelu_tanh) X(gelu_sigmoid) \
  X(threshold) X(logical_not) X(add) X(sub) X(mul) X(div) X(maximum) X(minimum) X(equal) X(not_equal) X(less) \
  X(less_equal) X(greater) X(greater_equal) X(logical_and) X(logical_or) X(logical_xor) X(prelu) X(multiply_add) \
  X(select)
// clang-format on

enum class VectorFunction : uint8_t {
#define GRAFT_X(name) name##_,
  GRAFT_VECTOR_FUNCTIONS(GRAFT_X)
#undef GRAFT_X
};

using VectorKernel = void (*)(const float* a, const float* b, const float* c, float* y, const float* p);

// The kernel for this CPU. Results of comparisons and of logic are 1 and 0.
VectorKernel vector_kernel(VectorFunction f);

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
};
const RowKernels& row_kernels();

}  // namespace graft::engine
