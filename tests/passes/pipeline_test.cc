#include "passes/pipeline.h"

#include "passes/support.h"

namespace graft::passes {
namespace {

// conv, batch_norm, swish, pooled by a mean, a layer norm written out, matmul and bias, softmax, with shape arithmetic.
void small_network(Draft& d) {
  auto& b = d.b;
  Value* x = d.input("x", {ir::Dim::symbol("n", {1, 64}), 3, 6, 6});
  d.input("unused", {2});
  Value* y = b.emit("conv", {{"x", x}, {"weight", d.weights({8, 3, 3, 3}, 1)}});
  y = b.emit("batch_norm", {{"x", y}, {"mean", d.weights({8}, 2)}, {"variance", d.weights({8}, 3, 0.5, 2)}});
  y = b.mul(y, b.unary("sigmoid", y));
  Value* n = b.emit("slice_by_index", {{"x", b.shape(y)}, {"begin", Ints{0}}, {"end", Ints{1}}});
  y = b.reshape(b.reduce("reduce_mean", y, {2, 3}, true), b.concat({n, b.ints(std::vector<int64_t>{8})}, 0));
  Value* diff = b.sub(y, b.reduce("reduce_mean", y, {-1}, true));
  Value* variance = b.reduce("reduce_mean", b.mul(diff, diff), {-1}, true);
  y = b.div(diff, b.unary("sqrt", b.add(variance, d.number(1e-5))));
  y = b.add(b.mul(y, d.weights({8}, 4)), d.weights({8}, 5));
  y = b.add(b.matmul(y, d.weights({8, 10}, 6)), d.weights({10}, 7));
  y = b.identity(b.emit("softmax", {{"x", y}, {"axis", -1}}));
  d.output(y, "probabilities");
  d.output(y, "again");
}

TEST(HostPipeline, LeavesTheEssence) {
  Draft d;
  small_network(d);
  const auto before = ir::clone(d.f);
  PassContext c;
  std::vector<std::string> dumps;
  c.after_pass = [&](std::string_view pass, const ir::Function& f) {
    dumps.emplace_back(pass);
    expect_sound(f);
    expect_same(*before, f);
  };
  const Status ok = run_host_pipeline(d.f, c);
  ASSERT_TRUE(ok) << render(ok.error());
  EXPECT_EQ(ops_of(d.f), "conv silu reduce_mean reshape layer_norm linear softmax");
  EXPECT_EQ(dumps.size(), rewrites().size());
  EXPECT_EQ(std::set<std::string>(dumps.begin(), dumps.end()).size(), dumps.size());  // each can be named
}

// Facts of a lowered graph take int64 inputs to be within int32, as Core ML's borders make sure. The host's do not.
TEST(HostPipeline, Int64InputsMayHoldAnything) {
  Draft d;
  Value* x = d.input("x", {3}, DType::i64);
  x->range = int_range(DType::i32);
  d.output(d.b.cast(d.b.cast(x, DType::i32), DType::i64), "wrapped");
  d.output(d.b.cast(d.b.cast(x, DType::f64), DType::i64), "rounded");
  PassContext c;
  ASSERT_TRUE(run_host_pipeline(d.f, c));
  EXPECT_EQ(ops_of(d.f), "cast cast cast cast");
}

TEST(CoremlPipeline, EveryTargetAndPrecision) {
  for (const Opset target : {Opset::ios15, Opset::ios16, Opset::ios17, Opset::ios18}) {
    for (const Precision precision : {Precision::float16, Precision::float32}) {
      Draft d(ir::Target::mlprogram(target));
      small_network(d);
      const auto before = ir::clone(d.f);
      PassContext c;
      const Status made = run_coreml_pipeline(d.f, {ir::Target::mlprogram(target), precision}, c);
      ASSERT_TRUE(made) << render(made.error());
      EXPECT_TRUE(needed_opset(d.f, ir::Target::mlprogram(target)));
      EXPECT_EQ(*needed_opset(d.f, ir::Target::mlprogram(Opset::ios18)), Opset::ios15);
      expect_sound(d.f);
      expect_same(*before, d.f, precision == Precision::float16 ? 5e-3 : 1e-5);
      EXPECT_EQ(count(d.f, "cast"), precision == Precision::float16 ? 2 : 0) << ops_of(d.f);
      EXPECT_EQ(count(d.f, "identity"), 2);  // the second output, and the input that nobody reads
    }
  }
}

TEST(CoremlPipeline, TheSameTwice) {
  std::string text[2];
  for (std::string& t : text) {
    Draft d(ir::Target::mlprogram(Opset::ios15));
    small_network(d);
    PassContext c;
    ASSERT_TRUE(run_coreml_pipeline(d.f, {ir::Target::mlprogram(Opset::ios15), Precision::float16}, c));
    ir::visit_ops(d.f.body, [&](ir::Op& op) { t += std::string(op.type()) + op.result()->type.to_string() + "\n"; });
  }
  EXPECT_EQ(text[0], text[1]);
}

TEST(NeededOpset, NamesTheFirstOperatorThatDoesNotFit) {
  Draft d;
  d.output(d.b.cast(d.input("x", {2}), DType::i16));
  EXPECT_EQ(*needed_opset(d.f, ir::Target::mlprogram(Opset::ios18)), Opset::ios17);
  const auto refused = needed_opset(d.f, ir::Target::mlprogram(Opset::ios16));
  ASSERT_FALSE(refused);
  ASSERT_EQ(refused.error().size(), 1U);
  EXPECT_EQ(refused.error()[0].code, Code::needs_later_target);
  EXPECT_EQ(refused.error()[0].op, "cast");
}

}  // namespace
}  // namespace graft::passes
