#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using V = std::vector<double>;

TEST(DepthToSpace, BlocksFromChannels) {
  const Tensor x = iota(DType::f32, {1, 8, 1, 2});
  EXPECT_EQ(OpCall("depth_to_space").in("x", x).in("block_size", scalar(2)).numbers(),
            (V{0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15}));
  EXPECT_EQ(OpCall("pixel_shuffle").in("x", x).in("upscale_factor", scalar(2)).numbers(),
            (V{0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15}));
  EXPECT_EQ(OpCall("depth_to_space").in("x", x).in("block_size", scalar(3)).error(),
            "the channel count 8 is not a multiple of 9");
  EXPECT_EQ(OpCall("depth_to_space").in("x", x).in("block_size", scalar(0)).error(), "block_size is 0");
  EXPECT_EQ(OpCall("depth_to_space").in("x", iota(DType::f32, {4})).in("block_size", scalar(2)).error(),
            "takes [n, C, H, W], got tensor<fp32, [4]>");
}

TEST(SpaceToDepth, InvertsDepthToSpace) {
  const Tensor x = iota(DType::i32, {2, 3, 4, 6});
  for (const auto& [there, back, param, inverse_param] :
       {std::tuple{"space_to_depth", "depth_to_space", "block_size", "block_size"},
        std::tuple{"pixel_unshuffle", "pixel_shuffle", "downscale_factor", "upscale_factor"}}) {
    const auto deep = OpCall(there).in("x", x).in(param, scalar(2)).run();
    ASSERT_TRUE(deep) << render(deep.error());
    EXPECT_EQ((*deep)[0].shape(), (Shape{2, 12, 2, 3}));
    EXPECT_EQ(OpCall(back).in("x", (*deep)[0]).in(inverse_param, scalar(2)).numbers(), values_of(x.view()));
  }
  const Tensor y = iota(DType::f32, {1, 1, 2, 4});
  EXPECT_EQ(OpCall("space_to_depth").in("x", y).in("block_size", scalar(2)).numbers(), (V{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(OpCall("space_to_depth").in("x", iota(DType::f32, {1, 1, 3, 4})).in("block_size", scalar(2)).error(),
            "the height 3 is not a multiple of 2");
  const Dim h = Dim::symbol("h");
  EXPECT_EQ(OpCall("space_to_depth")
                .typed("x", DType::f32, {Dim(1), Dim(3), h * Dim(2), h})
                .in("block_size", scalar(2))
                .type(),
            "tensor<fp32, [1, 12, h, (h floordiv 2)]>");
}

TEST(SpaceToBatch, PadsAndMoves) {
  OpCall c("space_to_batch");
  c.in("x", f32({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}))
      .in("block_shape", ints({2, 2}))
      .in("paddings", i32({2, 2}, {1, 1, 1, 0}));
  EXPECT_EQ(c.described(), "fp32[4, 1, 2, 2]");
  EXPECT_EQ(c.numbers(), (V{0, 0, 0, 5, 0, 0, 4, 6, 0, 2, 0, 0, 1, 3, 0, 0}));
  const auto batched = c.run();
  ASSERT_TRUE(batched);
  OpCall back("batch_to_space");
  back.in("x", (*batched)[0]).in("block_shape", ints({2, 2})).in("crops", i32({2, 2}, {1, 1, 1, 0}));
  EXPECT_EQ(back.numbers(), (V{1, 2, 3, 4, 5, 6}));
  OpCall bad("space_to_batch");
  bad.in("x", iota(DType::f32, {1, 1, 2, 3})).in("block_shape", ints({2, 2})).in("paddings", i32({2, 2}, {0, 0, 0, 0}));
  EXPECT_EQ(bad.error(), "the padded width 3 is not a multiple of 2");
}

}  // namespace
}  // namespace graft::ops::test
