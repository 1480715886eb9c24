#include <gtest/gtest.h>

#include "coreml/package.h"
#include "ir/builder.h"
#include "ops/table.h"

namespace graft::coreml {
namespace {

TEST(Write, Tiny) {
  ir::Program program;
  program.functions.push_back(std::make_unique<ir::Function>("main"));
  ir::Function& f = *program.functions[0];
  ir::Builder b(f, ops::table(), {ir::Opset::ios15});
  ir::Value* x = f.add_input(ir::Type::tensor(DType::f32, Shape{2, 3, 4}), "input.1");
  Tensor w(DType::f32, Shape{3, 4});
  for (int i = 0; i < 12; ++i) w.span<float>()[static_cast<size_t>(i)] = static_cast<float>(i);
  ir::Value* y = b.emit("relu", {{"x", b.emit("add", {{"x", x}, {"y", b.constant(ir::Constant::of(w), "w.0")}})}});
  f.body.outputs = {y, x, y};
  f.output_names = {"y", "input.1", "tensor"};
  ASSERT_TRUE(b.ok());
  const Status s = write_package(program, "/tmp/graft_tiny.mlpackage", {});
  ASSERT_TRUE(s) << render(s.error());
}

}  // namespace
}  // namespace graft::coreml
