// Convolutions, pools and products that are large enough to be cut into pieces for several threads, against the
// reference kernels; and how results are cut.
#include <cstring>

#include "base/format.h"
#include "engine_support.h"

#ifdef GRAFT_HAVE_ONEDNN
#include "engine/onednn/common.h"
#endif

namespace graft::engine_test {
namespace {

using Sizes = std::vector<int64_t>;

double tolerance(DType t) { return t == DType::f16 ? 2e-3 : 2e-5; }
ir::Dims dims(const Shape& s) { return ir::Dims(s.begin(), s.end()); }

// With 5 threads as with one, and twice the same bits.
void expect_right(const std::shared_ptr<const ir::Program>& program, const std::vector<Tensor>& inputs, DType dtype) {
  const auto want = run(*load(program, {.reference = true}), inputs);
  ASSERT_TRUE(want) << render(want.error());
  for (const int threads : {1, 5}) {
    const auto e = load(program, {}, threads);
    const auto first = run(*e, inputs), second = run(*e, inputs);
    ASSERT_TRUE(first) << render(first.error());
    ASSERT_TRUE(second) << render(second.error());
    EXPECT_LE(difference((*first)[0], (*want)[0]), tolerance(dtype)) << threads << " threads";
    EXPECT_EQ(std::memcmp((*first)[0].view().data, (*second)[0].view().data, (*first)[0].view().bytes()), 0);
  }
}

struct Case {
  Shape x;
  int64_t out;
  Sizes kernel, strides, dilations, pad;
  int64_t groups = 1;
};

TEST(Pieces, Convolutions) {
  for (const Case& c : std::vector<Case>{
           {{1, 16, 20, 20}, 32, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
           {{1, 20, 31, 20}, 37, {3, 3}, {2, 1}, {1, 1}, {0, 1, 2, 1}},  // channels that fill no block
           {{1, 16, 20, 20}, 24, {5, 3}, {1, 1}, {3, 2}, {6, 6, 2, 2}},  // dilated
           {{1, 16, 60, 60}, 1, {5, 5}, {1, 1}, {1, 1}, {2, 2, 2, 2}},   // one channel
           {{1, 1, 90, 90}, 16, {5, 5}, {1, 1}, {1, 1}, {2, 2, 2, 2}},
           {{1, 64, 14, 14}, 128, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},     //
           {{1, 3, 50, 50}, 24, {7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}},       // plain in, blocks out
           {{3, 16, 20, 20}, 48, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},      // fewer images than pieces
           {{12, 16, 12, 12}, 24, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},     // more
           {{1, 64, 60, 61}, 64, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 64},  // depthwise
           {{1, 64, 12, 12}, 96, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 4},   // groups
           {{1, 24, 40, 40}, 36, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 12},  // groups smaller than a block
           {{1, 32, 3, 40}, 64, {3, 3}, {1, 1}, {1, 1}, {9, 9, 1, 1}},       // rows that see nothing but padding
           {{1, 48, 100}, 64, {5}, {1}, {1}, {2, 2}},
           {{1, 8, 6, 12, 12}, 16, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}},
           {{1, 512, 1, 1}, 4096, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}}}) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      SCOPED_TRACE(
          format("{} {} to {} by {}, {} groups", name(dtype), to_string(c.x), c.out, join(c.kernel, "x"), c.groups));
      Net net;
      auto& b = *net.b;
      Shape w{c.out, c.x[1] / c.groups};
      for (int64_t k : c.kernel) w.push_back(k);
      ir::Value* x = net.input("x", dtype, dims(c.x));
      const auto conv = [&](uint32_t seed) {
        return b.emit("conv", {{"x", x},
                               {"weight", random_constant(net, dtype, w, seed, -0.3, 0.3)},
                               {"bias", random_constant(net, dtype, {c.out}, seed + 1)},
                               {"strides", c.strides},
                               {"dilations", c.dilations},
                               {"pad_type", "custom"},
                               {"pad", c.pad},
                               {"groups", c.groups}});
      };
      ir::Value* y = conv(1);
      y = b.unary("relu", b.add(b.unary("relu", y), conv(3)));  // an activation, a sum, an activation
      expect_right(net.finish({y}), {random_tensor(dtype, c.x, 9)}, dtype);
    }
  }
}

// Its layout is that of what it reads, padded to a block: not one of rows.
TEST(Pieces, AResultOfOneChannelBehindBlocks) {
  Net net;
  auto& b = *net.b;
  ir::Value* v = net.input("x", DType::f32, dims({1, 1, 80, 80}));
  for (const int64_t out : {16, 16, 1}) {
    const int64_t in = out == 1 || v->dims()[1].value() == 16 ? 16 : 1;
    v = b.unary("tanh", b.emit("conv", {{"x", v},
                                        {"weight", random_constant(net, DType::f32, {out, in, 5, 5}, 1, -0.3, 0.3)},
                                        {"pad_type", "same"}}));
  }
  expect_right(net.finish({v}), {random_tensor(DType::f32, {1, 1, 80, 80}, 9)}, DType::f32);
}

TEST(Pieces, TransposedConvolutions) {
  for (const Case& c : std::vector<Case>{{{1, 64, 16, 16}, 32, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}},
                                         {{1, 32, 17, 16}, 20, {4, 4}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
                                         {{3, 32, 14, 14}, 32, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 2},
                                         {{1, 64, 40, 40}, 64, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 64}}) {
    SCOPED_TRACE(format("{} to {}, {} groups", to_string(c.x), c.out, c.groups));
    Net net;
    Shape w{c.x[1], c.out / c.groups};
    for (int64_t k : c.kernel) w.push_back(k);
    ir::Value* x = net.input("x", DType::f32, dims(c.x));
    ir::Value* y = net.b->emit("conv_transpose", {{"x", x},
                                                  {"weight", random_constant(net, DType::f32, w, 1, -0.3, 0.3)},
                                                  {"bias", random_constant(net, DType::f32, {c.out}, 2)},
                                                  {"strides", c.strides},
                                                  {"pad_type", "custom"},
                                                  {"pad", c.pad},
                                                  {"groups", c.groups}});
    expect_right(net.finish({net.b->unary("relu", y)}), {random_tensor(DType::f32, c.x, 9)}, DType::f32);
  }
}

TEST(Pieces, PoolsInTheLayoutsOfConvolutions) {
  for (const std::string_view pool : {"max_pool", "avg_pool"}) {
    for (const bool first : {false, true}) {  // plain, or what a convolution leaves
      for (const Shape& shape : std::vector<Shape>{{1, 40, 121, 120}, {2, 20, 110, 110}}) {
        SCOPED_TRACE(format("{} {} {}", pool, first, to_string(shape)));
        Net net;
        auto& b = *net.b;
        ir::Value* x = net.input("x", DType::f32, dims(shape));
        ir::Value* v = x;
        if (first)
          v = b.emit("conv", {{"x", v}, {"weight", random_constant(net, DType::f32, {24, shape[1], 1, 1}, 1)}});
        v = b.emit(pool, {{"x", v},
                          {"kernel_sizes", Sizes{3, 3}},
                          {"strides", Sizes{2, 1}},
                          {"pad_type", "custom"},
                          {"pad", Sizes{1, 1, 0, 1}}});
        expect_right(net.finish({v}), {random_tensor(DType::f32, shape, 9)}, DType::f32);
      }
    }
  }
}

TEST(Pieces, Products) {
  struct Product {
    Shape x, y;
    bool transpose_x = false, transpose_y = false, fixed = true;
  };
  for (const Product& p : std::vector<Product>{{{197, 96}, {96, 288}},
                                               {{1, 1024}, {1024, 4096}},
                                               {{1, 1024}, {4100, 1024}, false, true},
                                               {{3, 512}, {512, 1000}},
                                               {{96, 200}, {96, 300}, true, false},
                                               {{2, 150, 64}, {64, 200}},
                                               {{1, 12, 70, 64}, {1, 12, 64, 70}, false, false, false},
                                               {{1, 12, 70, 64}, {1, 12, 70, 64}, false, true, false},
                                               {{3, 2, 128, 64}, {2, 64, 80}, false, false, false},
                                               {{12, 64, 90}, {1, 64, 90}, true, false, false},
                                               {{200, 96}, {96, 288}, false, false, false}}) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      if (dtype == DType::f16 && p.x[0] > 3) continue;
      SCOPED_TRACE(format("{} {} by {} fixed {}", name(dtype), to_string(p.x), to_string(p.y), p.fixed));
      Net net;
      auto& b = *net.b;
      ir::Value* x = net.input("x", dtype, dims(p.x));
      ir::Value* y = p.fixed ? random_constant(net, dtype, p.y, 1, -0.3, 0.3) : net.input("y", dtype, dims(p.y));
      const auto product = [&](ir::Value* a) {
        return b.emit("matmul", {{"x", a}, {"y", y}, {"transpose_x", p.transpose_x}, {"transpose_y", p.transpose_y}});
      };
      ir::Value* z = b.unary("relu", b.add(product(x), product(b.unary("tanh", x))));
      std::vector<Tensor> in{random_tensor(dtype, p.x, 8)};
      if (!p.fixed) in.push_back(random_tensor(dtype, p.y, 9, -0.3, 0.3));
      expect_right(net.finish({z}), in, dtype);
    }
  }
  Net net;
  auto& b = *net.b;
  ir::Value* x = net.input("x", DType::f32, dims({130, 256}));
  ir::Value* y = b.emit("linear", {{"x", x},
                                   {"weight", random_constant(net, DType::f32, {500, 256}, 1, -0.3, 0.3)},
                                   {"bias", random_constant(net, DType::f32, {500}, 2)}});
  expect_right(net.finish({b.emit("gelu", {{"x", y}})}), {random_tensor(DType::f32, {130, 256}, 3)}, DType::f32);
}

#ifdef GRAFT_HAVE_ONEDNN
TEST(Pieces, StretchesCoverAndKeepUnitsWhole) {
  using engine::stretches;
  for (const int64_t size : {1, 7, 8, 9, 64, 100}) {
    for (const int64_t unit : {1, 8, 16}) {
      for (const int64_t parts : {1, 3, 10}) {
        int64_t at = 0;
        for (const auto& [begin, end] : stretches(size, unit, parts)) {
          EXPECT_EQ(begin, at);
          EXPECT_LT(begin, end);
          EXPECT_EQ(begin % unit, 0);
          at = end;
        }
        EXPECT_EQ(at, size);
        EXPECT_LE(static_cast<int64_t>(stretches(size, unit, parts).size()), parts);
      }
    }
  }
}

TEST(Pieces, ResultsAreCutWhereTheyLieInOneStretch) {
  using engine::cut;
  using engine::Layout;
  using Axis = engine::Slice::Axis;
  constexpr int64_t kMuch = 1'000'000'000;
  EXPECT_EQ(cut({1, 64, 9, 9}, Layout{8}, 1, kMuch, 1).size(), 1u);  // one thread
  EXPECT_EQ(cut({1, 64, 9, 9}, Layout{8}, 1, 1000, 4).size(), 1u);   // too little to hand out
  EXPECT_EQ(cut({1, 64, 9, 9}, Layout{8}, 1, kMuch, 2).at(1).axis, Axis::channels);
  EXPECT_EQ(cut({1, 64, 9, 9}, Layout{64}, 1, kMuch, 2).at(1).axis, Axis::rows);
  EXPECT_EQ(cut({9, 64, 9, 9}, Layout{64}, 1, kMuch, 2).at(1).axis, Axis::images);
  EXPECT_EQ(cut({2, 64, 9, 9}, Layout{64}, 1, kMuch, 2).size(), 4u);  // two images, two slices each
  EXPECT_EQ(cut({1, 64, 9, 9}, Layout{8}, 64, kMuch, 2).size(), 1u);  // channels that belong together
}
#endif

}  // namespace
}  // namespace graft::engine_test
