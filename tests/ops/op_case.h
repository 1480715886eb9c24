// Runs one row outside of any program: arguments by name, inference, then the reference kernel. Expected values in the
// tests are literals worked out with numpy.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "base/format.h"
#include "ops/table.h"

namespace graft::ops::test {

inline Tensor strings(const Shape& shape, const std::vector<std::string>& values) {
  return Tensor::of<std::string>(DType::string, shape, values);
}
// Values of any real dtype, given as doubles.
inline Tensor numbers(DType dtype, const Shape& shape, const std::vector<double>& values) {
  Tensor t(dtype, Shape{static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) {
    const ir::ConstantPtr one = ir::Constant::scalar(dtype, values[i]);
    std::memcpy(static_cast<char*>(t.mutable_view().data) + i * item_size(dtype), one->view().data, item_size(dtype));
  }
  return t.reshaped(shape);
}
inline Tensor f32(const Shape& shape, const std::vector<double>& v) { return numbers(DType::f32, shape, v); }
inline Tensor i32(const Shape& shape, const std::vector<double>& v) { return numbers(DType::i32, shape, v); }
inline Tensor i64(const Shape& shape, const std::vector<double>& v) { return numbers(DType::i64, shape, v); }
inline Tensor bools(const Shape& shape, const std::vector<double>& v) { return numbers(DType::boolean, shape, v); }
inline Tensor ints(const std::vector<double>& v) { return i32(Shape{static_cast<int64_t>(v.size())}, v); }
inline Tensor scalar(double v) { return i32(Shape{}, {v}); }
inline Tensor real(double v) { return f32(Shape{}, {v}); }
inline Tensor text(std::string_view v) { return strings(Shape{}, {std::string(v)}); }
// 0, 1, 2, ...
inline Tensor iota(DType dtype, const Shape& shape) {
  std::vector<double> v;
  for (int64_t i = 0; i < shape.product(); ++i) v.push_back(static_cast<double>(i));
  return numbers(dtype, shape, v);
}

inline std::vector<double> values(const TensorView& t) {
  std::vector<double> v;
  for (int64_t i = 0; i < t.count(); ++i) v.push_back(element_as_double(t, i));
  return v;
}

class OpCase {
 public:
  explicit OpCase(std::string_view op) : row_(table().find(op)) {
    if (row_ == nullptr) throw std::logic_error(format("no row '{}'", op));
  }
  OpCase& in(std::string_view param, Tensor t) {
    store_->tensors.push_back(t);
    store_->types.push_back(ir::Type::tensor(t.dtype(), t.shape()));
    ir::Operand o;
    o.type = &store_->types.back();
    o.value = store_->tensors.back().view();
    o.constant = true;
    return add(param, o);
  }
  // Only the type is known, and perhaps the content as dims.
  OpCase& typed(std::string_view param, DType dtype, ir::Dims dims) {
    store_->types.push_back(ir::Type::tensor(dtype, std::move(dims)));
    ir::Operand o;
    o.type = &store_->types.back();
    o.range = int_range(dtype);
    return add(param, o);
  }
  OpCase& content(std::string_view param, ir::Dims content, DType dtype = DType::i32) {
    store_->contents.push_back(std::move(content));
    store_->types.push_back(
        ir::Type::tensor(dtype, ir::Dims{ir::Dim(static_cast<int64_t>(store_->contents.back().size()))}));
    ir::Operand o;
    o.type = &store_->types.back();
    o.content = &store_->contents.back();
    return add(param, o);
  }
  OpCase& scalar_content(std::string_view param, const ir::Dim& d, DType dtype = DType::i32) {
    content(param, {d}, dtype);
    store_->types.back().dims.clear();
    return *this;
  }

  ir::Call call() const {
    ir::Call c(*row_);
    for (const auto& [param, operands] : operands_) c.set(param, operands);
    c.make_fresh = [n = 0](IntRange r) mutable { return ir::Dim::symbol(format("?{}", n++), r); };
    return c;
  }
  Result<ir::Types> infer() const {
    const ir::Call c = call();
    if (Status s = ir::check_arguments(c, row_->newest(), true); !s) return fail(std::move(s).error());
    ir::Types types;
    if (Status s = ir::infer(c, types); !s) return fail(std::move(s).error());
    return types;
  }
  std::string type(size_t result = 0) const {
    const Result<ir::Types> t = infer();
    return t ? (*t)[result].to_string() : t.error().message;
  }
  // Inference and kernel; what went wrong is in the Result.
  Result<std::vector<Tensor>> run() const {
    GRAFT_TRY(const ir::Types types, infer());
    GRAFT_TRY(ir::HeapOutputs out, ir::HeapOutputs::for_types(types));
    GRAFT_CHECK(row_->def->reference(call(), out));
    std::vector<Tensor> results;
    for (int i = 0; i < out.size(); ++i) {
      results.push_back(out.take(i));
      if (types[static_cast<size_t>(i)].is_static()) {
        EXPECT_EQ(results.back().shape(), types[static_cast<size_t>(i)].shape());
      }
      EXPECT_EQ(results.back().dtype(), types[static_cast<size_t>(i)].dtype);
    }
    return results;
  }
  // Result i as numbers; a failure fails the test.
  std::vector<double> numbers(size_t i = 0) const {
    const Result<std::vector<Tensor>> r = run();
    if (!r) ADD_FAILURE() << render(r.error());
    return r && i < r->size() ? values((*r)[i].view()) : std::vector<double>{};
  }
  std::string described(size_t i = 0) const {
    const Result<std::vector<Tensor>> r = run();
    return r ? describe((*r)[i].dtype(), (*r)[i].shape()) : r.error().message;
  }
  // The message of the error, from inference or from the kernel.
  std::string error() const {
    const Result<std::vector<Tensor>> r = run();
    return r ? "no error" : r.error().message;
  }
  Code code() const {
    const Result<std::vector<Tensor>> r = run();
    return r ? Code::cancelled : r.error().code;  // a code that no kernel gives
  }
  // The symbolic content of the result, "none" where it cannot be told.
  std::string symbolic() const {
    ir::Dims content;
    const ir::Call c = call();
    return row_->def->symbolic != nullptr && row_->def->symbolic(c, content) ? ir::to_string(content) : "none";
  }
  IntRange range() const { return row_->def->range(call()); }
  Result<ir::Opset> since(ir::Opset newest = ir::Opset::ios18) const { return ir::oldest_opset(call(), newest); }

 private:
  OpCase& add(std::string_view param, const ir::Operand& o) {
    const int i = row_->param_index(param);
    if (i < 0) throw std::logic_error(format("{} has no parameter '{}'", row_->name(), param));
    operands_[i].push_back(o);
    return *this;
  }

  const ir::OpRow* row_;
  // Operands point into the store, which copies of the case share.
  struct Store {
    std::deque<Tensor> tensors;
    std::deque<ir::Type> types;
    std::deque<ir::Dims> contents;
  };
  std::shared_ptr<Store> store_ = std::make_shared<Store>();
  std::map<int, std::vector<ir::Operand>> operands_;
};

}  // namespace graft::ops::test
