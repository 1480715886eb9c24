// One ONNX node and its inputs, run in every way that there is: as the host program, and as the Core ML program that
// its lowering gives. What the judges (onnxruntime, ONNX's reference) say is written beside each case.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/format.h"
#include "engine/executable.h"
#include "onnx/lower.h"
#include "onnx/nodes.h"

namespace graft::session_test {

using onnx::int_attribute;
using onnx::ints_attribute;
using onnx::text_attribute;
using Attributes = std::vector<onnx::Attribute>;
constexpr int64_t kLowest = std::numeric_limits<int64_t>::min(), kHighest = std::numeric_limits<int64_t>::max();

inline Tensor f32(const Shape& shape, const std::vector<float>& v) { return Tensor::of<float>(DType::f32, shape, v); }
inline Tensor f32(const std::vector<float>& v) { return f32({static_cast<int64_t>(v.size())}, v); }
inline Tensor i64(const Shape& shape, const std::vector<int64_t>& v) {
  return Tensor::of<int64_t>(DType::i64, shape, v);
}
inline Tensor i64(const std::vector<int64_t>& v) { return i64({static_cast<int64_t>(v.size())}, v); }
// 0, 1, 2, …
inline Tensor counting(const Shape& shape) {
  Tensor t(DType::f32, shape);
  for (int64_t i = 0; i < t.count(); ++i) t.span<float>()[static_cast<size_t>(i)] = static_cast<float>(i);
  return t;
}
// Shape and elements in one line, so that a failed comparison prints both.
inline std::string shown(const Shape& shape, const std::vector<double>& values) {
  std::string s = to_string(shape) + ":";
  for (double v : values) s += format(" {:g}", v);
  return s;
}
inline std::string shown(const Tensor& t) {
  std::string s = to_string(t.shape()) + ":";
  for (int64_t i = 0; i < t.count(); ++i) {
    s += is_int(t.dtype()) ? format(" {}", element_as_int(t.view(), i))
                           : format(" {:g}", element_as_double(t.view(), i));
  }
  return s;
}

class Case {
 public:
  explicit Case(std::string op, int opset, Attributes attributes = {})
      : op_(std::move(op)), attributes_(std::move(attributes)), opset_(opset) {}
  // The next input: fed in each run with known sizes or open ones, an initializer, or left out.
  Case fed(Tensor t) && { return std::move(*this).input(std::move(t), Kind::fed); }
  Case open(Tensor t) && { return std::move(*this).input(std::move(t), Kind::open); }
  Case constant(Tensor t) && { return std::move(*this).input(std::move(t), Kind::constant); }
  Case skipped() && { return std::move(*this).input(Tensor(), Kind::skipped); }
  // For operators that give more than the one result that is looked at.
  Case of_outputs(int count) && {
    outputs_ = count;
    return std::move(*this);
  }

  // The first result, or the error's text. As a Core ML program the refusal of the node is an error too.
  std::string on_host() const { return result(false); }
  std::string in_coreml() const { return result(true); }

 private:
  enum class Kind : uint8_t { fed, open, constant, skipped };
  struct Input {
    std::shared_ptr<const Tensor> value;
    Kind kind;
  };
  Case input(Tensor t, Kind kind) && {
    inputs_.push_back({std::make_shared<const Tensor>(std::move(t)), kind});
    return std::move(*this);
  }

  std::shared_ptr<const onnx::Model> model() const {
    auto m = std::make_shared<onnx::Model>();
    m->ir_version = 8;
    m->opsets[""] = opset_;
    onnx::Names names;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Input& in = inputs_[i];
      names.push_back(in.kind == Kind::skipped ? "" : format("x{}", i));
      if (in.kind == Kind::constant)
        m->graph.initializers.push_back({names.back(), ir::Constant::of(Tensor::copy_of(in.value->view()))});
      if (in.kind != Kind::fed && in.kind != Kind::open) continue;
      onnx::ValueInfo v;
      v.name = names.back();
      v.type.kind = onnx::ValueType::Kind::tensor;
      v.type.dtype = in.value->dtype();
      v.type.has_shape = true;
      for (int64_t d : in.value->shape()) v.type.dims.push_back({in.kind == Kind::open ? -1 : d, {}});
      m->graph.inputs.push_back(std::move(v));
    }
    m->graph.outputs = {{"y", {}}};
    onnx::Names outputs = {"y"};
    for (int i = 1; i < outputs_; ++i) outputs.push_back(format("y{}", i));
    m->graph.nodes = {onnx::node(op_, names, outputs, attributes_)};
    const Status s = onnx::prepare(*m);
    EXPECT_TRUE(s) << (s ? "" : render(s.error()));
    return m;
  }

  std::string result(bool coreml) const {
    const Result<onnx::HostProgram> host = onnx::lower_for_host(model(), {});
    if (!host) return render(host.error());
    if (!host->problems.empty()) return render(host->problems[0]);
    std::shared_ptr<ir::Program> program = host->program;
    std::vector<std::string> order;
    if (coreml) {
      const onnx::Node* node = &host->model->graph.nodes[0];
      const std::string outputs[] = {"y"};
      auto partition =
          onnx::SubgraphLowerer(*host, ir::Target::mlprogram(ir::Opset::ios18)).build("main", {&node, 1}, outputs);
      if (!partition) return render(partition.error().front());
      program = std::make_shared<ir::Program>();
      program->functions.push_back(std::move(partition->function));
    }
    const auto e = engine::Executable::load(program, "main", std::make_shared<Env>(1), {});
    if (!e) return render(e.error());
    std::vector<Tensor> kept;
    for (const engine::Port& p : (*e)->inputs()) kept.push_back(fed_as(p));
    std::vector<TensorView> views;
    for (const Tensor& t : kept) views.push_back(t.view());
    std::vector<engine::OutputSlot> slots(1);
    if (const Status s = (*e)->run(views, slots); !s) return render(s.error());
    return shown(slots[0].owned);
  }

  // int64 is int32 at a Core ML program's boundary.
  Tensor fed_as(const engine::Port& port) const {
    const Tensor& t = *inputs_[static_cast<size_t>(std::stoi(port.name.substr(1)))].value;
    return Tensor::copy_of(ir::Constant::cast(ir::Constant::of(Tensor::copy_of(t.view())), port.type.dtype)->view());
  }

  std::string op_;
  Attributes attributes_;
  int opset_, outputs_ = 1;
  std::vector<Input> inputs_;
};

// Where a helper was called; std::source_location is missing from Clang 14.
struct Place {
  const char* file;
  int line;
  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

inline void expect_everywhere(const Case& c, const Shape& shape, const std::vector<double>& values,
                              Place at = Place::here()) {
  const testing::ScopedTrace trace(at.file, at.line, "here");
  EXPECT_EQ(c.on_host(), shown(shape, values));
  EXPECT_EQ(c.in_coreml(), shown(shape, values));
}

}  // namespace graft::session_test
