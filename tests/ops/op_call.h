// One operator on literal tensors, outside of any program, for tests of rows: checked, inferred and run by its
// reference kernel. Expected values in the tests are literals worked out with numpy.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "ir/call.h"
#include "ops/table.h"

namespace graft::ops::test {

// A tensor of any number type or bool from numbers.
Tensor tensor(DType dtype, const Shape& shape, const std::vector<double>& values);
Tensor strings(const Shape& shape, const std::vector<std::string>& values);
inline Tensor f32(const Shape& shape, const std::vector<double>& v) { return tensor(DType::f32, shape, v); }
inline Tensor i32(const Shape& shape, const std::vector<double>& v) { return tensor(DType::i32, shape, v); }
inline Tensor i64(const Shape& shape, const std::vector<double>& v) { return tensor(DType::i64, shape, v); }
inline Tensor bools(const Shape& shape, const std::vector<double>& v) { return tensor(DType::boolean, shape, v); }
inline Tensor ints(const std::vector<double>& v) { return i32(Shape{static_cast<int64_t>(v.size())}, v); }
inline Tensor scalar(double v) { return i32(Shape{}, {v}); }
inline Tensor real(double v) { return f32(Shape{}, {v}); }
inline Tensor text(std::string_view v) { return strings(Shape{}, {std::string(v)}); }
// first, first + step, ... in row-major order.
Tensor iota(DType dtype, const Shape& shape, double first = 0, double step = 1);
std::vector<double> values_of(const TensorView& t);

// Parameters are constants, as they are in a program; run_time() makes one an operand of the run, typed() one of which
// only the type is known, content() one whose elements are known as dims. A member of a tuple is appended, anything
// else replaced.
class OpCall {
 public:
  explicit OpCall(std::string_view op);
  OpCall& in(std::string_view param, Tensor t);
  OpCall& in(std::string_view param, std::initializer_list<Tensor> tuple);  // of the run
  OpCall& run_time(std::string_view param, Tensor t);
  OpCall& typed(std::string_view param, DType dtype, ir::Dims dims);
  OpCall& content(std::string_view param, ir::Dims content, DType dtype = DType::i32);  // rank 1
  OpCall& scalar_content(std::string_view param, const ir::Dim& d, DType dtype = DType::i32);
  OpCall& ints(std::string_view param, std::initializer_list<int64_t> values);  // int32, rank 1
  OpCall& i(std::string_view param, int64_t value);                             // int32, rank 0
  OpCall& f(std::string_view param, double value, DType dtype = DType::f32);    // rank 0
  OpCall& flag(std::string_view param, bool value);
  OpCall& text(std::string_view param, std::string value);

  const ir::Call& call() const { return call_; }
  Result<ir::Types> infer() const;                  // arguments checked as for the host
  std::string type(size_t result = 0) const;        // inferred, or the error's message
  Result<std::vector<Tensor>> run() const;          // inference and kernel
  Result<Tensor> result() const;                    // the first one of run()
  std::vector<double> numbers(size_t i = 0) const;  // of result i; a failure fails the test
  std::string described(size_t i = 0) const;        // "fp32[2, 3]" of result i, or the error's message
  std::string error() const;                        // the message, from inference or from the kernel; else "no error"
  Code code() const;                                // of the error; else one that no kernel gives
  std::string symbolic() const;  // the symbolic content of the result, "none" where it cannot be told
  IntRange range() const { return call_.row().def->range(call_); }
  Result<ir::Opset> oldest(ir::Opset newest = ir::Opset::ios18) const {
    return ir::Target::mlprogram(newest).accepts(call_, {});
  }

 private:
  ir::Operand operand(Tensor t, bool constant);
  OpCall& set(std::string_view param, std::vector<ir::Operand> operands);

  // What the operands point into; copies of an OpCall share it.
  struct Store {
    std::deque<ir::Type> types;
    std::deque<Tensor> tensors;
    std::deque<ir::ConstantPtr> constants;
    std::deque<ir::Dims> contents;
  };
  std::shared_ptr<Store> store_ = std::make_shared<Store>();
  ir::Call call_;
};

// The result has this shape and these values, each within `tolerance` (relative above 1).
void expect_result(const OpCall& op, const Shape& shape, const std::vector<double>& values, double tolerance = 1e-6);
// Inference, arguments included, fails with this code, and the message has these words.
void expect_refused(const OpCall& op, Code code, std::string_view words);
// Core ML up to `newest` refuses it with this code.
void expect_illegal(const OpCall& op, ir::Opset newest, Code code, std::string_view words);
void expect_type(const OpCall& op, std::string_view type);  // as printed by Type::to_string

}  // namespace graft::ops::test
