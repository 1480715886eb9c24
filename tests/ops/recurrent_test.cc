#include <cmath>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using V = std::vector<double>;

// One unit, one input, weights of 1 and none of h: every gate is x.
OpCall plain(std::string_view cell, int64_t gates, const V& x, double recurrent = 0) {
  OpCall c(cell);
  const auto rows = static_cast<size_t>(gates);
  c.in("x", f32({static_cast<int64_t>(x.size()), 1, 1}, x)).in("initial_h", f32({1, 1}, {1}));
  c.in("weight_ih", f32({gates, 1}, V(rows, 1))).in("weight_hh", f32({gates, 1}, V(rows, recurrent)));
  c.text("activation", "linear").flag("output_sequence", true);
  return c;
}

TEST(Recurrent, RnnGoesStepByStep) {
  OpCall c = plain("rnn", 1, {1, 2, 3}, 0.5);
  EXPECT_EQ(c.numbers(), (V{1.5, 2.75, 4.375}));
  EXPECT_EQ(c.numbers(1), (V{4.375}));
  c.text("direction", "reverse");  // in the order of the walk
  EXPECT_EQ(c.numbers(), (V{3.5, 3.75, 2.875}));
  c.flag("output_sequence", false);
  EXPECT_EQ(c.numbers(), (V{2.875}));
  EXPECT_EQ(plain("rnn", 1, {}).numbers(1), (V{1}));
}

TEST(Recurrent, LstmMultipliesItsGates) {
  OpCall c = plain("lstm", 4, {2, 1});
  c.in("initial_c", f32({1, 1}, {0})).text("recurrent_activation", "linear").text("cell_activation", "linear");
  EXPECT_EQ(c.numbers(), (V{8, 5}));
  EXPECT_EQ(c.numbers(2), (V{5}));
  c.f("clip", 4.5);
  EXPECT_EQ(c.numbers(), (V{8, 4.5}));
  c.in("peephole", f32({3}, {0, 0, 1}));  // the output gate sees the new cell
  EXPECT_EQ(c.numbers(), (V{24, 24.75}));
}

TEST(Recurrent, GruWeighsOldAndNew) {
  OpCall c = plain("gru", 3, {2, 3});
  c.text("recurrent_activation", "linear");
  EXPECT_EQ(c.numbers(), (V{0, -6}));
}

TEST(Recurrent, LengthsEndSequences) {
  OpCall c("host_recurrent");
  c.run_time("x", f32({2, 2, 1}, {1, 2, 3, 4})).in("w", f32({1, 1, 1}, {1})).in("r", f32({1, 1, 1}, {0.5}));
  c.text("cell", "rnn").text("activations", "linear_activation").in("numbers", f32({2}, {1, 0}));
  c.run_time("sequence_lens", ints({2, 1}));
  EXPECT_EQ(c.numbers(), (V{1, 2, 3.5, 0}));
  EXPECT_EQ(c.numbers(1), (V{3.5, 2}));
  c.run_time("sequence_lens", ints({2, 3}));
  EXPECT_EQ(c.error(), "length 3 of a sequence of 2 steps");
  c.run_time("sequence_lens", ints({0, -1}));
  EXPECT_EQ(c.error(), "length -1 of a sequence of 2 steps");
}

TEST(Recurrent, Errors) {
  OpCall c = plain("rnn", 1, {1});
  EXPECT_EQ(OpCall(c).in("weight_ih", f32({2, 1}, {1, 1})).error(), "got weight_ih of shape [2, 1], takes [1, 1]");
  EXPECT_EQ(OpCall(c).text("direction", "bidirectional").error(),
            "direction 'bidirectional', takes forward or reverse");
  EXPECT_EQ(OpCall(c).text("activation", "gelu").error(),
            "activation 'gelu', takes tanh, sigmoid, relu, linear, hard_sigmoid or scaled_tanh");
}

TEST(Attention, PicksByScores) {
  OpCall c("scaled_dot_product_attention");
  c.in("query", f32({1, 1, 1}, {1})).in("key", f32({1, 2, 1}, {0, std::log(3.0)})).in("value", f32({1, 2, 1}, {1, 5}));
  EXPECT_NEAR(c.numbers()[0], 4, 1e-6);
  c.in("attn_mask", bools({1, 2}, {1, 0}));
  EXPECT_EQ(c.numbers(), (V{1}));
  c.in("attn_mask", f32({2}, {0, -INFINITY}));
  EXPECT_EQ(c.numbers(), (V{1}));
  c.in("attn_mask", f32({3}, {0, 0, 0}));
  EXPECT_EQ(c.error(), "attn_mask [3] for scores of [1, 1, 2]");
}

}  // namespace
}  // namespace graft::ops::test
