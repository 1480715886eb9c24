// What a recurrent step is made of: products with packed weights, and gates, one vector version for each instruction
// set. Rows of gates are a multiple of kGateUnit long, so that all vectors are whole; what is behind the last unit is
// computed too, and nobody reads it.
#pragma once

#include <cstdint>

#include "ir/op_kind.h"

namespace graft::engine {

inline constexpr int64_t kGateUnit = 16;

struct RecurrentKernels {
  // Columns that lie together in packed weights: [columns / panel, inner, panel].
  int64_t panel;
  // y[r, c] = start[r, c] + the sum over k < inner of x[r, k] * weights[k, c]; the steps lead from row to row.
  // `columns` is a multiple of the panel; y may be start.
  void (*product)(const float* x, int64_t x_step, int64_t rows, int64_t inner, const float* packed, int64_t columns,
                  const float* start, int64_t start_step, float* y, int64_t y_step);
  void (*sigmoid)(float* v, int64_t n);
  void (*tanh)(float* v, int64_t n);
  void (*clip)(float* v, float limit, int64_t n);                                             // to -limit..limit
  void (*multiply)(const float* a, const float* b, float* y, int64_t n);                      // a * b
  void (*multiply_add)(const float* a, const float* b, const float* c, float* y, int64_t n);  // a * b + c
  // a * b + c * d
  void (*two_products)(const float* a, const float* b, const float* c, const float* d, float* y, int64_t n);
  // (1 - share) * a + share * b
  void (*between)(const float* share, const float* a, const float* b, float* y, int64_t n);
};
const RecurrentKernels& recurrent_kernels();

}  // namespace graft::engine
