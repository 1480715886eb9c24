// What the tests of passes share: programs written by hand, a plain evaluator, and questions about the result.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "ops/op_builder.h"
#include "passes/pass.h"

namespace graft::passes {

using ir::Opset;
using ir::Value;
using ir::Values;

// A function under construction with its builder; the target limits what may be built.
struct Draft {
  ir::Function f{"main"};
  ops::OpBuilder b;
  explicit Draft(ir::Target target = {}) : b(f, target) {}

  Value* input(const std::string& name, const ir::Dims& dims, DType t = DType::f32) {
    return f.add_input(ir::Type::tensor(t, dims), name);
  }
  // A constant of reproducible numbers in lo..hi.
  Value* weights(const Shape& shape, unsigned seed, double lo = -1, double hi = 1);
  Value* numbers(const Shape& shape, const std::vector<float>& values);
  Value* number(double v) { return b.scalar(DType::f32, v); }
  void output(Value* v, const std::string& name = {});
};

Tensor random_tensor(DType t, const Shape& shape, unsigned seed, double lo = -2, double hi = 2);

// Runs the function operator by operator with the rows' reference kernels. `inputs` in the order of Function::inputs.
Result<std::vector<Tensor>> evaluate(const ir::Function& f, const std::vector<Tensor>& inputs);

// Inputs of the function's types; `size` for every symbol.
std::vector<Tensor> random_inputs(const ir::Function& f, int64_t size = 3, double lo = -2, double hi = 2);

// Evaluates both on the same random inputs (converted to each one's types) and expects outputs that differ by at most
// `tolerance` times the largest magnitude (at least 1).
void expect_same(const ir::Function& before, const ir::Function& after, double tolerance = 1e-5, int64_t size = 3,
                 double lo = -2, double hi = 2);

// "add relu add", in order, nested blocks in brackets.
std::string ops_of(const ir::Function& f);
std::string ops_of(const ir::Block& block);
int count(const ir::Function& f, std::string_view op);
// The function keeps the rules of ir/verify.h.
void expect_sound(const ir::Function& f);

}  // namespace graft::passes
