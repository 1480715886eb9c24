#include "passes/coreml_io.h"

#include "passes/dead_code.h"
#include "passes/support.h"

namespace graft::passes {
namespace {

PassContext target(Opset o) {
  PassContext c;
  c.target = ir::Target::mlprogram(o);
  return c;
}

// Of the inputs, then of the outputs.
std::vector<DType> port_dtypes(const ir::Function& f) {
  std::vector<DType> list;
  for (const Value* v : f.inputs) list.push_back(v->dtype());
  for (const Value* v : f.body.outputs) list.push_back(v->dtype());
  return list;
}

TEST(CoremlIo, PortsBecomeFp32AndInt32WithCastsInside) {
  Draft d(ir::Target::mlprogram(Opset::ios17));
  Value *flag = d.input("flag", {2}, DType::boolean), *small = d.input("small", {2}, DType::i16),
        *half = d.input("half", {2}, DType::f16);
  d.output(d.b.unary("logical_not", flag), "not");
  d.output(d.b.identity(small), "same");
  d.output(d.b.unary("exp", half), "exp");
  const auto before = ir::clone(d.f);
  PassContext c = target(Opset::ios17);
  const auto changes = coreml_io(d.f, c);
  ASSERT_TRUE(changes) << render(changes.error());
  EXPECT_EQ(*changes, 6);
  EXPECT_EQ(port_dtypes(d.f), (std::vector{DType::i32, DType::i32, DType::f32, DType::i32, DType::i32, DType::f32}));
  expect_sound(d.f);
  expect_same(*before, d.f, 0);
}

TEST(CoremlIo, SixteenBitIntegersNeedIos17) {
  Draft d(ir::Target::mlprogram(Opset::ios17));
  d.output(d.b.identity(d.input("small", {2}, DType::i16)));
  PassContext c = target(Opset::ios15);
  const auto changes = coreml_io(d.f, c);
  ASSERT_FALSE(changes);
  EXPECT_EQ(changes.error().code, Code::needs_later_target) << render(changes.error());
}

TEST(CoremlIo, Int64OnlyWhereACastMeetsIt) {
  Draft d;
  Value* i = d.input("i", {2}, DType::i64);
  d.output(d.b.cast(d.b.add(d.b.cast(i, DType::i32), d.b.ints(std::vector<int64_t>{1, 2})), DType::i64), "sum");
  PassContext c = target(Opset::ios15);
  const auto changes = coreml_io(d.f, c);
  ASSERT_TRUE(changes) << render(changes.error());
  EXPECT_EQ(*changes, 2);
  EXPECT_EQ(port_dtypes(d.f), (std::vector{DType::i32, DType::i32}));
  expect_sound(d.f);

  Draft bad;
  bad.output(bad.b.add(bad.input("i", {2}, DType::i64), bad.b.ints(std::vector<int64_t>{1, 2}, DType::i64)));
  EXPECT_FALSE(coreml_io(bad.f, c));
}

TEST(CoremlIo, ScalarInputsComeAsOneElement) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value *x = d.input("x", {}), *flag = d.input("flag", {}, DType::boolean);
  d.output(d.b.add(d.b.unary("exp", x), d.number(1)), "y");
  d.output(d.b.unary("logical_not", flag), "not");
  PassContext c = target(Opset::ios15);
  ASSERT_TRUE(coreml_io(d.f, c));
  expect_sound(d.f);
  for (const Value* v : d.f.inputs) EXPECT_EQ(v->type.to_string().find("[]"), std::string::npos) << v->type.to_string();
  EXPECT_EQ(x->type.shape(), (Shape{1}));
  EXPECT_EQ(flag->type.shape(), (Shape{1}));
  for (const Value* v : d.f.body.outputs) EXPECT_EQ(v->rank(), 0);
}

TEST(CoremlIo, OutputsAreValuesOfTheirOwn) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2});
  Value* y = d.b.unary("exp", x);
  d.output(x);
  d.output(y);
  d.output(y);
  d.output(d.number(3));
  const auto before = ir::clone(d.f);
  PassContext c = target(Opset::ios15);
  ASSERT_TRUE(coreml_io(d.f, c));
  EXPECT_EQ(*own_ports(d.f, c), 3);
  EXPECT_EQ(*own_ports(d.f, c), 0);
  EXPECT_EQ(std::set<Value*>(d.f.body.outputs.begin(), d.f.body.outputs.end()).size(), 4U);
  for (const Value* v : d.f.body.outputs) EXPECT_NE(v->producer, nullptr);
  expect_same(*before, d.f, 0);
}

TEST(CoremlIo, UnusedInputsStay) {
  Draft d(ir::Target::mlprogram(Opset::ios15));
  Value* x = d.input("x", {2});
  d.input("unused", {3});
  d.output(d.b.unary("exp", x));
  PassContext c = target(Opset::ios15);
  EXPECT_EQ(*own_ports(d.f, c), 1);
  EXPECT_EQ(ops_of(d.f), "exp identity");
  EXPECT_EQ(*own_ports(d.f, c), 0);
}

}  // namespace
}  // namespace graft::passes
