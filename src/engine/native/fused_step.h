// What a chain of element-wise operators runs as: a program over registers, each a block of floats.
#pragma once

#include "engine/native/vector_functions.h"
#include "engine/step.h"

namespace graft::engine {

inline constexpr int kMostRegisters = 14;
inline constexpr int kMostOperands = 12;

// Something read from memory. Strides are by the step's dims, 0 where it repeats.
struct FusedOperand {
  int value = -1;  // plan value; -1: `made`
  std::shared_ptr<const std::vector<float>> made;
  size_t in = 0;  // step input
  DType dtype = DType::f32;
  bool full = false;
  Shape strides;
  int reg = 0;
};
struct Instruction {
  VectorKernel kernel;  // null: the row's own function, in double
  ir::ScalarKernel scalar;
  int operands;
  int a, b, c, y;
  double p[2];
};
struct FusedOutput {
  int reg;
  DType dtype;
};
struct Splat {
  int reg;
  float value;
};

class FusedStep final : public Step {
 public:
  Shape dims;  // at least one
  std::vector<FusedOperand> operands;
  std::vector<Splat> splats;
  std::vector<Instruction> code;
  std::vector<FusedOutput> outputs;
  int registers = 0;

  // The output that the last instruction makes, if it is fp32 and the only one (others are stored after it, and may
  // share memory with an operand).
  void find_last_output() {
    if (outputs.size() == 1 && !code.empty() && outputs[0].dtype == DType::f32 && outputs[0].reg == code.back().y)
      last_output_ = 0;
  }

  Status run(const Frame& frame) const override;

 private:
  const float* load(const Frame& frame, const FusedOperand& o, int64_t at, int64_t n, float* into) const;

  int last_output_ = -1;
};

}  // namespace graft::engine
