// What lowerings rely on: forms in order of preference, detours through another dtype, and values that stand for what
// was refused.
#include <gtest/gtest.h>

#include "ops/op_builder.h"

namespace graft::ops {
namespace {

using ir::Opset;
using ir::Target;
using ir::Type;

struct Draft {
  explicit Draft(Target target = {}) : b(f, target) {}
  Value* input(DType t, Dims dims) { return f.add_input(Type::tensor(t, std::move(dims)), "x" + std::to_string(n++)); }
  std::vector<std::string> emitted() const {
    std::vector<std::string> names;
    for (const auto& op : f.body.ops) names.emplace_back(op->type());
    return names;
  }
  ir::Function f{"main"};
  int n = 0;
  OpBuilder b;
};
using Names = std::vector<std::string>;

TEST(FirstOf, TheFirstFormOnTheHost) {
  Draft d;
  Value* x = d.input(DType::boolean, {Dim(4)});
  d.b.first_of([&] { return d.b.binary("equal", x, x); },
               [&] { return d.b.binary("equal", d.b.cast(x, DType::i32), d.b.cast(x, DType::i32)); });
  EXPECT_EQ(d.emitted(), Names{"equal"});
}

TEST(FirstOf, WhatTheTargetDoesNotTakeLeavesNothingBehind) {
  Draft d(Target::newest());
  Value* x = d.input(DType::boolean, {Dim(4)});
  Value* y = d.b.first_of(
      [&] {
        Value* z = d.b.unary("logical_not", x);
        return d.b.binary("equal", z, z);
      },
      [&] {
        Value* z = d.b.cast(x, DType::i32);
        return d.b.binary("equal", z, z);
      });
  EXPECT_TRUE(d.b.ok());
  EXPECT_EQ(y->dtype(), DType::boolean);
  EXPECT_EQ(d.emitted(), (Names{"cast", "equal"}));
}

Value* biased_conv(Draft& d, bool apart) {
  Value *x = d.input(DType::f32, {Dim(1), Dim(2), Dim(5)}), *bias = d.input(DType::f32, {Dim(3)});
  Value* w = d.b.constant(ir::Constant::of(Tensor(DType::f32, Shape{3, 2, 1})));
  const auto inside = [&] { return d.b.emit("conv", {{"x", x}, {"weight", w}, {"bias", bias}}); };
  if (!apart) return inside();
  return d.b.first_of(inside, [&] {
    Value* y = d.b.emit("conv", {{"x", x}, {"weight", w}});
    return d.b.add(y, d.b.expand_dims(bias, {1}));
  });
}

TEST(FirstOf, AFormThatEveryTargetHasComesBeforeOneThatNeedsALaterOne) {
  Draft inside(Target::newest());
  biased_conv(inside, false);
  EXPECT_EQ(inside.b.needed(), Opset::ios17);
  Draft apart(Target::newest());
  biased_conv(apart, true);
  EXPECT_EQ(apart.b.needed(), Opset::ios15);
  EXPECT_EQ(apart.emitted(), (Names{"conv", "expand_dims", "add"}));
}

TEST(FirstOf, AmongFormsThatNeedTheSameTheFirst) {
  Draft d(Target::newest());
  Value* x = d.input(DType::f32, {Dim(4)});
  Value* later = d.b.first_of([&] { return d.b.cast(x, DType::i8); }, [&] { return d.b.cast(x, DType::u8); });
  EXPECT_EQ(later->dtype(), DType::i8);
  EXPECT_EQ(d.b.needed(), Opset::ios17);
  EXPECT_EQ(d.emitted(), Names{"cast"});
}

TEST(FirstOf, WhenNoneIsTakenTheLastReasonStands) {
  Draft d(Target::newest());
  Value* x = d.input(DType::f32, {Dim(4)});
  d.b.first_of([&] { return d.b.cast(x, DType::f64); }, [&] { return d.b.refuse(Code::dynamic_shape, "why not"); });
  ASSERT_FALSE(d.b.ok());
  EXPECT_EQ(d.b.failure()->message, "why not");
  EXPECT_TRUE(d.f.body.ops.empty());
}

TEST(FirstOf, TheOperatorsOwnRulesMakeRoomForNothing) {
  Draft d(Target::newest());
  Value *x = d.input(DType::f32, {Dim(4)}), *y = d.input(DType::f32, {Dim(5)});
  bool tried = false;
  d.b.first_of([&] { return d.b.add(x, y); },
               [&] {
                 tried = true;
                 return d.b.add(x, x);
               });
  ASSERT_FALSE(d.b.ok());
  EXPECT_EQ(d.b.failure()->code, Code::shape_mismatch);
  EXPECT_FALSE(tried);
}

TEST(FirstOf, AnEarlierRefusalStaysTheReason) {
  Draft d(Target::newest());
  Value* x = d.input(DType::f32, {Dim(4)});
  d.b.refuse(Code::host_only, "before");
  d.b.first_of([&] { return d.b.cast(x, DType::f64); }, [&] { return d.b.cast(x, DType::f16); });
  ASSERT_FALSE(d.b.ok());
  EXPECT_EQ(d.b.failure()->message, "before");
}

TEST(Through, OnlyWhereTheOtherTypeHoldsAllNumbers) {
  Draft d(Target::oldest());
  Value *flags = d.input(DType::boolean, {Dim(4)}), *wide = d.input(DType::f32, {Dim(4)});
  Value* at = d.b.ints(std::vector<int64_t>{0, 2});
  const auto pick = [&](Value* v) { return d.b.gather(v, at, 0); };
  EXPECT_EQ(d.b.through(DType::i32, pick, flags)->dtype(), DType::boolean);
  EXPECT_EQ(d.emitted(), (Names{"cast", "gather", "cast"}));
  EXPECT_EQ(d.b.through(DType::i32, pick, wide)->dtype(), DType::f32);
  Draft f64(Target::oldest());
  Value* x = f64.input(DType::f64, {Dim(4)});
  f64.b.through(
      DType::i32, [&](Value* v) { return f64.b.gather(v, f64.b.ints(std::vector<int64_t>{0}), 0); }, x);
  EXPECT_FALSE(f64.b.ok());
}

TEST(Refused, AValueThatStandsForItMayBeAskedAnything) {
  Draft d;
  Value* x = d.b.refuse(Code::host_only, "refused");
  EXPECT_EQ(x->rank(), 0);
  EXPECT_EQ(x->dim(3), Dim(0));
  EXPECT_FALSE(x->is_constant());
  Value* y = d.b.scale(d.b.reshape(d.b.add(x, d.b.like(x, 1)), Dims{Dim(2)}), 3);
  EXPECT_TRUE(d.b.concat({y, x}, 5)->poison);
  EXPECT_TRUE(d.b.topk(x, x, 0, false)[1]->poison);
  EXPECT_EQ(d.b.failure()->message, "refused");
  EXPECT_TRUE(d.f.body.ops.empty());
}

TEST(Targets, PortsByOperatorSet) {
  EXPECT_EQ(Target::mlprogram(Opset::ios15).ports(), (DTypes{DType::f32, DType::i32}));
  EXPECT_TRUE(Target::mlprogram(Opset::ios16).ports().has(DType::f16));
  EXPECT_FALSE(Target::mlprogram(Opset::ios18).ports().has(DType::i8));
  EXPECT_TRUE(Target::mlprogram(Opset::ios26).ports().has(DType::i8));
  const Status f16 = Target::oldest().accepts_port(Type::tensor(DType::f16, Dims{Dim(1)}));
  ASSERT_FALSE(f16);
  EXPECT_EQ(f16.error().code, Code::needs_later_target);
  EXPECT_NE(f16.error().message.find("iOS16"), std::string::npos);
  EXPECT_EQ(Target::oldest().port(DType::i64), DType::i32);
  EXPECT_EQ(Target::oldest().port(DType::boolean), DType::i32);
  EXPECT_EQ(Target::oldest().port(DType::f64), DType::f32);
  for (const DType none : {DType::string, DType::c64, DType::i4, DType::f8e5m2})
    EXPECT_EQ(Target::oldest().port(none), DType::invalid) << name(none);
  EXPECT_EQ(Target().port(DType::string), DType::string);
}

TEST(Targets, WhatIsInsidePrograms) {
  EXPECT_EQ(Target::newest().inside(DType::i64), DType::i32);
  EXPECT_EQ(Target().inside(DType::i64), DType::i64);
  EXPECT_FALSE(Target::newest().accepts(Type::tensor(DType::i64, Dims{})));
  EXPECT_TRUE(Target().accepts(Type::tensor(DType::i64, Dims{Dim(0)})));
  EXPECT_EQ(Target::newest().accepts(Type::tensor(DType::f32, Dims(6, Dim(1)))).error().code, Code::unsupported_rank);
  EXPECT_EQ(Target::newest().accepts(Type::tensor(DType::f32, Dims{Dim(0)})).error().code, Code::empty_tensor);
  for (const DType wide : {DType::i64, DType::u64, DType::f64, DType::bf16})
    EXPECT_FALSE(Target::newest().constants().has(wide)) << name(wide);
  EXPECT_TRUE(Target::newest().constants().has(DType::u4));
}

TEST(Targets, SizesOfPorts) {
  const Target t = Target::newest();
  EXPECT_EQ(*t.port_size(Dim::symbol("n", {0, 64})), (IntRange{1, 64}));
  EXPECT_EQ(t.port_size(Dim::symbol("n")).error().code, Code::dynamic_shape);
  EXPECT_EQ(t.port_size(Dim(0)).error().code, Code::empty_tensor);
}

TEST(Targets, HelpNamesEveryOne) {
  const std::string names = ir::target_names();
  for (const ir::OpsetInfo& o : ir::all_opsets()) EXPECT_NE(names.find(o.name), std::string::npos) << names;
  for (const char* system : {"macOS12", "tvOS15", "watchOS8", "visionOS1"})
    EXPECT_NE(names.find(system), std::string::npos) << names;
}

}  // namespace
}  // namespace graft::ops
