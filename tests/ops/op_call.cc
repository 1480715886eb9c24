#include "ops/op_call.h"

#include <cmath>
#include <cstring>

#include "base/format.h"
#include "base/half.h"
#include "ops/kernel.h"

namespace graft::ops::test {

Tensor tensor(DType dtype, const Shape& shape, const std::vector<double>& values) {
  Tensor t(dtype, shape);
  EXPECT_EQ(t.count(), static_cast<int64_t>(values.size()));
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    for (size_t i = 0; i < static_cast<size_t>(t.count()); ++i) t.span<T>()[i] = narrow<T>(values[i]);
  });
  return t;
}

Tensor strings(const Shape& shape, const std::vector<std::string>& values) {
  return Tensor::of<std::string>(DType::string, shape, values);
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
  call_.make_fresh = [n = 0](IntRange r) mutable { return ir::Dim::symbol(format("?{}", n++), r); };
}

namespace {

// As most of those in files lie: not at a multiple of anything.
ir::ConstantPtr misaligned(const Tensor& t) {
  if (t.dtype() == DType::string) return ir::Constant::of(t);
  const std::shared_ptr<char[]> memory(new char[t.view().bytes() + 1]);
  if (t.view().bytes() != 0) std::memcpy(memory.get() + 1, t.view().data, t.view().bytes());
  return ir::Constant::borrow({t.dtype(), t.shape(), memory.get() + 1}, memory);
}

}  // namespace

ir::Operand OpCall::operand(Tensor t, bool constant) {
  store_->types.push_back(ir::Type::tensor(t.dtype(), t.shape()));
  ir::Operand o;
  o.type = &store_->types.back();
  o.constant = constant;
  o.range = is_float(t.dtype()) ? IntRange{} : int_range(t.dtype());
  if (constant) {
    store_->constants.push_back(misaligned(t));
    o.source = store_->constants.back().get();
    o.value = {t.dtype(), t.shape(), nullptr};
  } else {
    store_->tensors.push_back(std::move(t));
    o.value = store_->tensors.back().view();
  }
  return o;
}

OpCall& OpCall::set(std::string_view param, std::vector<ir::Operand> operands) {
  const int i = call_.row().param_index(param);
  EXPECT_GE(i, 0) << call_.row().name() << " has no parameter " << param;
  if (i < 0) return *this;
  std::vector<ir::Operand>& slot = call_.slot(i);
  if (call_.row().params()[static_cast<size_t>(i)].kind != ir::Param::Kind::tuple) slot.clear();
  slot.insert(slot.end(), operands.begin(), operands.end());
  return *this;
}

OpCall& OpCall::in(std::string_view param, Tensor t) { return set(param, {operand(std::move(t), true)}); }

OpCall& OpCall::in(std::string_view param, std::initializer_list<Tensor> tuple) {
  std::vector<ir::Operand> list;
  for (const Tensor& t : tuple) list.push_back(operand(t, false));
  return set(param, std::move(list));
}

OpCall& OpCall::run_time(std::string_view param, Tensor t) { return set(param, {operand(std::move(t), false)}); }

OpCall& OpCall::typed(std::string_view param, DType dtype, ir::Dims dims) {
  store_->types.push_back(ir::Type::tensor(dtype, std::move(dims)));
  return set(param, {{&store_->types.back(), {}, nullptr, false, is_float(dtype) ? IntRange{} : int_range(dtype)}});
}

OpCall& OpCall::content(std::string_view param, ir::Dims content, DType dtype) {
  store_->types.push_back(ir::Type::tensor(dtype, Shape{static_cast<int64_t>(content.size())}));
  store_->contents.push_back(std::move(content));
  return set(param, {{&store_->types.back(), {}, &store_->contents.back(), false, {}}});
}

OpCall& OpCall::scalar_content(std::string_view param, const ir::Dim& d, DType dtype) {
  content(param, {d}, dtype);
  store_->types.back().dims.clear();
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

OpCall& OpCall::text(std::string_view param, std::string value) { return in(param, strings({}, {std::move(value)})); }

Result<ir::Types> OpCall::infer() const {
  GRAFT_CHECK(ir::check_arguments(call_, call_.row().form_of(call_), true));
  ir::Types types;
  GRAFT_CHECK(ir::infer(call_, types));
  return types;
}

std::string OpCall::type(size_t result) const {
  const Result<ir::Types> t = infer();
  return t ? (*t)[result].to_string() : t.error().message;
}

namespace {

// Results of a few elements may be made before the kernel first looks at the token.
constexpr int64_t kFew = 8;

// Every kernel is also asked to stop at once: it does no harm, and does not do its work.
void expect_to_stop(ir::Call call, const ir::Types& types, const std::vector<Tensor>& results) {
  CancelToken token;
  token.cancel();
  call.cancel = &token;
  Result<ir::HeapOutputs> out = ir::HeapOutputs::for_types(types);
  ASSERT_TRUE(out);
  constexpr int kUntouched = 0xa5;
  const auto whole_bytes = [](const TensorView& t) {
    return t.dtype != DType::string && item_size(t.dtype) != 0 && t.data != nullptr;
  };
  for (int i = 0; i < out->size(); ++i) {
    if (whole_bytes((*out)[i])) std::memset((*out)[i].data, kUntouched, (*out)[i].bytes());
  }
  (void)call.row().def->reference(call, *out);
  for (size_t i = 0; i < results.size(); ++i) {
    const TensorView got = (*out)[static_cast<int>(i)], want = results[i].view();
    if (!whole_bytes(got) || want.count() <= kFew || !(got.shape == want.shape)) continue;
    EXPECT_NE(std::memcmp(got.data, want.data, want.bytes()), 0) << call.row().name() << " does not stop";
  }
}

}  // namespace

Result<std::vector<Tensor>> OpCall::run() const {
  GRAFT_TRY(const ir::Types types, infer());
  GRAFT_TRY(ir::HeapOutputs out, ir::HeapOutputs::for_types(types));
  GRAFT_CHECK(call_.row().def->reference(call_.with_values(), out));
  std::vector<Tensor> results;
  for (int i = 0; i < out.size(); ++i) {
    results.push_back(out.take(i));
    if (types[static_cast<size_t>(i)].is_static()) {
      EXPECT_EQ(results.back().shape(), types[static_cast<size_t>(i)].shape());
    }
    EXPECT_EQ(results.back().dtype(), types[static_cast<size_t>(i)].stored());
  }
  expect_to_stop(call_.with_values(), types, results);
  return results;
}

Result<Tensor> OpCall::result() const {
  GRAFT_TRY(const std::vector<Tensor> all, run());
  return all[0];
}

std::vector<double> OpCall::numbers(size_t i) const {
  const Result<std::vector<Tensor>> r = run();
  if (!r) ADD_FAILURE() << render(r.error());
  return r && i < r->size() ? values_of((*r)[i].view()) : std::vector<double>{};
}

std::string OpCall::described(size_t i) const {
  const Result<std::vector<Tensor>> r = run();
  return r ? describe((*r)[i].dtype(), (*r)[i].shape()) : r.error().message;
}

std::string OpCall::error() const {
  const Result<std::vector<Tensor>> r = run();
  return r ? "no error" : r.error().message;
}

Code OpCall::code() const {
  const Result<std::vector<Tensor>> r = run();
  return r ? Code::cancelled : r.error().code;
}

std::string OpCall::symbolic() const {
  ir::Dims content;
  const ir::OpDef& def = *call_.row().def;
  return def.symbolic != nullptr && def.symbolic(call_, content) ? ir::to_string(content) : "none";
}

void expect_result(const OpCall& op, const Shape& shape, const std::vector<double>& values, double tolerance) {
  const Result<Tensor> got = op.result();
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
