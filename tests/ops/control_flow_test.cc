#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using V = std::vector<double>;

TEST(Select, AllThreeBroadcast) {
  OpCall c("select");
  c.in("cond", bools({2, 1}, {1, 0})).in("a", f32({2}, {1, 2})).in("b", real(-1));
  EXPECT_EQ(c.numbers(), (V{1, 2, -1, -1}));
  EXPECT_FALSE(c.oldest());  // Core ML takes the shape from a and b
  OpCall full("select");
  full.in("cond", bools({2}, {1, 0})).in("a", f32({2}, {1, 2})).in("b", real(-1));
  EXPECT_TRUE(full.oldest());
  const auto text = OpCall("select")
                        .in("cond", bools({2}, {0, 1}))
                        .in("a", strings({2}, {"a", "b"}))
                        .in("b", strings({1}, {"c"}))
                        .run();
  ASSERT_TRUE(text);
  EXPECT_EQ((*text)[0].span<std::string>()[0], "c");
  EXPECT_EQ((*text)[0].span<std::string>()[1], "b");
}

TEST(Select, ErrorsAndSymbols) {
  EXPECT_EQ(OpCall("select").in("cond", f32({2}, {1, 0})).in("a", real(1)).in("b", real(2)).error(),
            "cond is fp32, takes bool");
  EXPECT_EQ(OpCall("select").in("cond", bools({2}, {1, 0})).in("a", f32({3}, {1, 2, 3})).in("b", real(2)).error(),
            "[3] and [2] do not broadcast");
  const Dim h = Dim::symbol("h");
  EXPECT_EQ(OpCall("select").in("cond", bools({2}, {1, 0})).content("a", {h, h}).in("b", scalar(4)).symbolic(),
            "[h, 4]");
  EXPECT_EQ(OpCall("select").typed("cond", DType::boolean, {Dim(2)}).content("a", {h, h}).in("b", scalar(4)).symbolic(),
            "none");
}

TEST(WhileLoop, TypesOfTheLoopVariables) {
  OpCall c("while_loop");
  c.typed("loop_vars", DType::i32, {}).typed("loop_vars", DType::f32, {Dim(2)});
  EXPECT_EQ(c.type(0), "tensor<int32, []>");
  EXPECT_EQ(c.type(1), "tensor<fp32, [2]>");
}

}  // namespace
}  // namespace graft::ops::test
