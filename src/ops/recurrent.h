// What the recurrent rows share: ir::Recurrence says what a row means, one kernel walks it.
#pragma once

#include "ir/recurrence.h"
#include "ops/kernel.h"

namespace graft::ops {

// Carries out what the row's OpDef::recurrence says.
Status recurrent_reference(const Call& call, Outputs& out);
// Where there are lengths, whether each lies within 0..steps.
Status check_lengths(const TensorView& lengths, int64_t steps);
// To 8 bits and back, as ONNX Runtime does: one scale and zero point for numbers between lo and hi.
struct EightBits {
  EightBits(float lo, float hi);
  float scale, zero;
  float operator()(float v) const {
    return (std::fmin(std::fmax(std::nearbyint(v / scale) + zero, 0.0F), 255.0F) - zero) * scale;
  }
};

// The function of an activation row, and these numbers where it has parameters.
Result<ir::Recurrence::Activation> activation_of(std::string_view row, double alpha, double beta);
double recurrent_flops(const Call& call, const Type& result, const ir::SizeOf& size);

}  // namespace graft::ops
