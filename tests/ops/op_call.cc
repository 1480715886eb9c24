#include "ops/op_call.h"

#include <cmath>

#include "base/half.h"
#include "ops/kernel.h"

namespace graft::ops::test {

Tensor tensor(DType dtype, const Shape& shape, std::span<const double> values) {
  Tensor t(dtype, shape);
  EXPECT_EQ(t.count(), static_cast<int64_t>(values.size()));
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (size_t i = 0; i < static_cast<size_t>(t.count()); ++i) t.span<T>()[i] = narrow<T>(values[i]);
  });
  return t;
}

Tensor iota(DType dtype, const Shape& shape, double first, double step) {
  std::vector<double> v(static_cast<size_t>(shape.product()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = first + step * static_cast<double>(i);
  return tensor(dtype, shape, v);
}

std::vector<double> values_of(const TensorView& t) {
  std::vector<double> v;
  for (int64_t i = 0; i < t.count(); ++i) v.push_back(element_as_double(t, i));
  return v;
}

OpCall::OpCall(std::string_view op) : call_(*table().find(op)) {
  call_.make_fresh = [](IntRange r) { return ir::Dim::symbol("fresh", r); };
}

ir::Operand OpCall::operand(Tensor t, bool constant) {
  store_->types.push_back(ir::Type::tensor(t.dtype(), t.shape()));
  store_->tensors.push_back(std::move(t));
  const IntRange range =
      is_float(store_->tensors.back().dtype()) ? IntRange{} : int_range(store_->tensors.back().dtype());
  return {&store_->types.back(), store_->tensors.back().view(), nullptr, constant, range};
}

void OpCall::set(std::string_view param, std::vector<ir::Operand> operands) {
  const int i = call_.row().param_index(param);
  ASSERT_GE(i, 0) << call_.row().name() << " has no parameter " << param;
  call_.set(i, std::move(operands));
}

OpCall& OpCall::in(std::string_view param, Tensor t) {
  set(param, {operand(std::move(t), true)});
  return *this;
}

OpCall& OpCall::in(std::string_view param, std::initializer_list<Tensor> tuple) {
  std::vector<ir::Operand> list;
  for (const Tensor& t : tuple) list.push_back(operand(t, false));
  set(param, std::move(list));
  return *this;
}

OpCall& OpCall::run_time(std::string_view param, Tensor t) {
  set(param, {operand(std::move(t), false)});
  return *this;
}

OpCall& OpCall::symbolic(std::string_view param, DType dtype, ir::Dims dims) {
  store_->types.push_back(ir::Type::tensor(dtype, std::move(dims)));
  set(param, {{&store_->types.back(), {}, nullptr, false, {}}});
  return *this;
}

OpCall& OpCall::content(std::string_view param, ir::Dims content) {
  store_->types.push_back(ir::Type::tensor(DType::i32, Shape{static_cast<int64_t>(content.size())}));
  store_->contents.push_back(std::move(content));
  set(param, {{&store_->types.back(), {}, &store_->contents.back(), false, {}}});
  return *this;
}

OpCall& OpCall::ints(std::string_view param, std::initializer_list<int64_t> values) {
  std::vector<double> v(values.begin(), values.end());
  return in(param, tensor(DType::i32, Shape{static_cast<int64_t>(v.size())}, v));
}

OpCall& OpCall::i(std::string_view param, int64_t value) {
  return in(param, tensor(DType::i32, {}, {static_cast<double>(value)}));
}

OpCall& OpCall::f(std::string_view param, double value, DType dtype) { return in(param, tensor(dtype, {}, {value})); }

OpCall& OpCall::flag(std::string_view param, bool value) {
  return in(param, tensor(DType::boolean, {}, {value ? 1.0 : 0.0}));
}

OpCall& OpCall::text(std::string_view param, std::string value) {
  return in(param, Tensor::of<std::string>(DType::string, {}, std::span<const std::string>(&value, 1)));
}

Result<ir::Types> OpCall::infer() const {
  GRAFT_CHECK(ir::check_arguments(call_, call_.row().newest(), true));
  ir::Types types;
  GRAFT_CHECK(ir::infer(call_, types));
  return types;
}

Result<Tensor> OpCall::run() const {
  GRAFT_TRY(const ir::Types types, infer());
  GRAFT_TRY(ir::HeapOutputs out, ir::HeapOutputs::for_types(types));
  GRAFT_CHECK(call_.row().def->reference(call_, out));
  return out.take(0);
}

void expect_result(const OpCall& op, const Shape& shape, std::span<const double> values, double tolerance) {
  const Result<Tensor> got = op.run();
  ASSERT_TRUE(got) << render(got.error());
  EXPECT_EQ(to_string(got->shape()), to_string(shape));
  const std::vector<double> v = values_of(got->view());
  ASSERT_EQ(v.size(), values.size());
  for (size_t i = 0; i < v.size(); ++i) {
    if (std::isnan(values[i]) || std::isinf(values[i])) {
      EXPECT_TRUE(std::isnan(values[i]) ? std::isnan(v[i]) : v[i] == values[i]) << "element " << i << " is " << v[i];
    } else {
      EXPECT_NEAR(v[i], values[i], tolerance * std::max(1.0, std::abs(values[i]))) << "element " << i;
    }
  }
}

void expect_refused(const OpCall& op, Code code, std::string_view words) {
  const Result<ir::Types> got = op.infer();
  ASSERT_FALSE(got) << "inferred " << (*got)[0].to_string();
  EXPECT_EQ(info(got.error().code).name, info(code).name);
  EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
}

void expect_illegal(const OpCall& op, ir::Opset newest, Code code, std::string_view words) {
  const Result<ir::Opset> got = op.oldest(newest);
  ASSERT_FALSE(got) << "legal from " << ir::info(*got).name;
  EXPECT_EQ(info(got.error().code).name, info(code).name);
  EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message;
}

void expect_type(const OpCall& op, std::string_view type) {
  const Result<ir::Types> got = op.infer();
  ASSERT_TRUE(got) << render(got.error());
  EXPECT_EQ((*got)[0].to_string(), type);
}

}  // namespace graft::ops::test
