// One operator on literal tensors, for tests of rows: checked, inferred and run by its reference kernel.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "ops/table.h"

namespace graft::ops::test {

// A tensor of any number type or bool from numbers.
Tensor tensor(DType dtype, const Shape& shape, std::span<const double> values);
inline Tensor tensor(DType dtype, const Shape& shape, std::initializer_list<double> values) {
  return tensor(dtype, shape, std::span<const double>(values.begin(), values.size()));
}
inline Tensor f32(const Shape& shape, std::initializer_list<double> values) {
  return tensor(DType::f32, shape, values);
}
// first, first + step, ... in row-major order.
Tensor iota(DType dtype, const Shape& shape, double first = 0, double step = 1);
std::vector<double> values_of(const TensorView& t);

// Parameters are constants, as they are in a program; run_time() makes one an operand of the run, symbolic() one that
// is known by type (and content) only.
class OpCall {
 public:
  explicit OpCall(std::string_view op);
  OpCall& in(std::string_view param, Tensor t);
  OpCall& in(std::string_view param, std::initializer_list<Tensor> tuple);
  OpCall& run_time(std::string_view param, Tensor t);
  OpCall& symbolic(std::string_view param, DType dtype, ir::Dims dims);
  OpCall& content(std::string_view param, ir::Dims content);                    // of an int32 vector
  OpCall& ints(std::string_view param, std::initializer_list<int64_t> values);  // int32, rank 1
  OpCall& i(std::string_view param, int64_t value);                             // int32, rank 0
  OpCall& f(std::string_view param, double value, DType dtype = DType::f32);    // rank 0
  OpCall& flag(std::string_view param, bool value);
  OpCall& text(std::string_view param, std::string value);

  const ir::Call& call() const { return call_; }
  Result<ir::Types> infer() const;  // arguments checked as for the host
  Result<Tensor> run() const;       // of an operator with one result
  Result<ir::Opset> oldest(ir::Opset newest = ir::Opset::ios18) const { return ir::oldest_opset(call_, newest); }

 private:
  ir::Operand operand(Tensor t, bool constant);
  void set(std::string_view param, std::vector<ir::Operand> operands);

  // What the operands point into; copies of an OpCall share it.
  struct Store {
    std::deque<ir::Type> types;
    std::deque<Tensor> tensors;
    std::deque<ir::Dims> contents;
  };
  std::shared_ptr<Store> store_ = std::make_shared<Store>();
  ir::Call call_;
};

// The result has this shape and these values, each within `tolerance` (relative above 1).
void expect_result(const OpCall& op, const Shape& shape, std::span<const double> values, double tolerance = 1e-6);
inline void expect_result(const OpCall& op, const Shape& shape, std::initializer_list<double> values,
                          double tolerance = 1e-6) {
  expect_result(op, shape, std::span<const double>(values.begin(), values.size()), tolerance);
}
// Inference, arguments included, fails with this code, and the message has these words.
void expect_refused(const OpCall& op, Code code, std::string_view words);
// Core ML up to `newest` refuses it with this code.
void expect_illegal(const OpCall& op, ir::Opset newest, Code code, std::string_view words);
void expect_type(const OpCall& op, std::string_view type);  // as printed by Type::to_string

}  // namespace graft::ops::test
