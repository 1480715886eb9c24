// Rows that say which elements they move: the engine's one executor for them against the reference kernels, which move
// element by element.
#include <set>

#include "base/format.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

using List = std::vector<int64_t>;

// An operator on x of one shape.
struct Case {
  Shape x;
  std::string_view op;
  std::vector<ir::Arg> args;  // besides x
};

std::vector<Case> cases() {
  return {
      {{3, 40}, "transpose", {{"perm", List{1, 0}}}},
      {{2, 3, 4, 5, 6}, "transpose", {{"perm", List{4, 2, 0, 3, 1}}}},
      {{2, 33, 17, 19}, "transpose", {{"perm", List{0, 2, 3, 1}}}},
      {{7, 60}, "slice_by_index", {{"begin", List{1, 50}}, {"end", List{6, 3}}, {"stride", List{2, -3}}}},
      {{7, 60},
       "slice_by_index",
       {{"begin", List{-1, 2}}, {"end", List{0, 50}}, {"squeeze_mask", std::vector<bool>{true, false}}}},
      {{40000}, "slice_by_index", {{"begin", List{3}}, {"end", List{39999}}}},
      {{5, 6, 7}, "slice_by_size", {{"begin", List{1, 2, 3}}, {"size", List{3, -1, 2}}}},
      {{3, 4, 50}, "reverse", {{"axes", List{0, 2}}}},
      {{3, 4, 50}, "reverse", {}},
      {{3, 1, 20}, "tile", {{"reps", List{2, 5, 3}}}},
      {{1, 300}, "tile", {{"reps", List{70, 1}}}},
      {{4, 1}, "tile", {{"reps", List{1, 300}}}},
      {{3, 9, 4}, "split", {{"num_splits", 3}, {"axis", 1}}},
      {{3, 9, 4}, "split", {{"split_sizes", List{1, 6, 2}}, {"axis", 1}}},
      {{3, 20, 4}, "sliding_windows", {{"axis", 1}, {"size", 6}, {"stride", 3}}},
      {{3, 20, 4}, "pad", {{"pad", List{1, 2, 0, 3}}}},
      {{5, 30, 8}, "gather", {{"indices", List{2, 5, 8, 11}}, {"axis", 1}}},
      {{5, 30, 8}, "gather", {{"indices", List{-1, 0, 7, 7, 3}}, {"axis", 1}}},
      {{5, 30, 8}, "gather", {{"indices", 4}, {"axis", 0}}},
      {{2, 12, 5, 7}, "depth_to_space", {{"block_size", 2}}},
      {{2, 3, 6, 8}, "space_to_depth", {{"block_size", 2}}},
      {{2, 12, 5, 7}, "pixel_shuffle", {{"upscale_factor", 2}}},
      {{2, 3, 6, 8}, "pixel_unshuffle", {{"downscale_factor", 2}}},
      {{2, 3, 6, 8}, "crop", {{"crop_height", List{1, 2}}, {"crop_width", List{3, 0}}}},
  };
}

Tensor input_of(DType dtype, const Shape& shape, uint32_t seed) {
  return random_tensor(dtype, shape, seed, is_float(dtype) || dtype == DType::boolean ? -2 : -100, 100);
}

void check(const Case& c, DType dtype) {
  SCOPED_TRACE(format("{} {} {}", c.op, to_string(c.x), name(dtype)));
  Net net;
  std::vector<ir::Arg> args = c.args;
  args.emplace_back("x", net.input("x", dtype, ir::Dims(c.x.begin(), c.x.end())));
  const auto program = net.finish(net.b->emit_all(c.op, args));
  expect_like_reference(program, {input_of(dtype, c.x, 3)}, 0, 2);
  EXPECT_EQ(provider_of(*load(program), {c.x}, c.op), "native");
}

TEST(Moved, WhatRowsSayTheyMove) {
  std::set<std::string_view> tested{"stack",          "concat", "slice_update", "space_to_batch",
                                    "batch_to_space", "fill",   "fill_like"};
  for (const Case& c : cases()) tested.insert(c.op);
  for (const auto& row : ops::table().rows())
    EXPECT_EQ(row->def->moves != nullptr, tested.contains(row->name())) << row->name();
  for (const Case& c : cases()) {
    for (const DType dtype : {DType::f32, DType::f16, DType::i64, DType::u8, DType::boolean}) check(c, dtype);
  }
}

TEST(Moved, Fills) {
  for (const DType dtype : {DType::f32, DType::i64}) {
    Net net;
    auto& b = *net.b;
    ir::Value* x = net.input("x", dtype, {ir::Dim(70), ir::Dim(1000)});
    const auto program = net.finish({b.emit("fill_like", {{"ref_tensor", x}, {"value", b.like(x, 3)}}),
                                     b.emit("fill_like", {{"ref_tensor", x}}),
                                     b.emit("fill", {{"shape", List{70, 999}}, {"value", b.like(x, -2)}})});
    expect_like_reference(program, {input_of(dtype, {70, 1000}, 1)}, 0, 2);
    EXPECT_EQ(provider_of(*load(program), {{70, 1000}}, "fill_like"), "native");
  }
}

TEST(Moved, SeveralOperands) {
  for (const DType dtype : {DType::f32, DType::i16, DType::f64}) {
    SCOPED_TRACE(std::string(name(dtype)));
    Net net;
    auto& b = *net.b;
    ir::Value* x = net.input("x", dtype, {ir::Dim(3), ir::Dim(5), ir::Dim(40)});
    ir::Value* y = net.input("y", dtype, {ir::Dim(3), ir::Dim(5), ir::Dim(40)});
    ir::Value* u = net.input("u", dtype, {ir::Dim(2), ir::Dim(5), ir::Dim(20)});
    const ir::Values values{
        b.emit("stack", {{"values", ir::Values{x, y, x}}, {"axis", 1}}),
        b.emit("concat", {{"values", ir::Values{x, y}}, {"axis", 1}, {"interleave", true}}),
        b.emit("slice_update",
               {{"x", x}, {"update", u}, {"begin", List{0, 0, 1}}, {"end", List{2, 5, 40}}, {"stride", List{1, 1, 2}}}),
    };
    const auto program = net.finish(values);
    expect_like_reference(
        program, {input_of(dtype, {3, 5, 40}, 1), input_of(dtype, {3, 5, 40}, 2), input_of(dtype, {2, 5, 20}, 3)}, 0,
        2);
    for (const char* op : {"stack", "concat", "slice_update"})
      EXPECT_EQ(provider_of(*load(program), {{3, 5, 40}, {3, 5, 40}, {2, 5, 20}}, op), "native");
  }
}

TEST(Moved, BatchesAndBorders) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    Net net;
    auto& b = *net.b;
    ir::Value* x = net.input("x", dtype, {ir::Dim(2), ir::Dim(3), ir::Dim(5), ir::Dim(6)});
    const auto pairs = [&](std::initializer_list<int64_t> v) {
      return b.constant(ir::Constant::reshape(ir::Constant::ints(DType::i32, List(v)), Shape{2, 2}));
    };
    ir::Value* batched =
        b.emit("space_to_batch", {{"x", x}, {"block_shape", List{2, 3}}, {"paddings", pairs({1, 0, 2, 1})}});
    ir::Value* back =
        b.emit("batch_to_space", {{"x", batched}, {"block_shape", List{2, 3}}, {"crops", pairs({0, 1, 1, 2})}});
    ir::Value* padded = b.emit("pad", {{"x", x}, {"pad", List{2, 1, 0, 3}}, {"constant_val", b.like(x, 0.5)}});
    ir::Value* mirrored = b.emit("pad", {{"x", x}, {"pad", List{2, 1, 0, 3}}, {"mode", "reflect"}});
    const auto program = net.finish({batched, back, padded, mirrored});
    expect_like_reference(program, {input_of(dtype, {2, 3, 5, 6}, 1)}, 0, 2);
    for (const char* op : {"space_to_batch", "batch_to_space", "pad"})
      EXPECT_EQ(provider_of(*load(program), {{2, 3, 5, 6}}, op), "native");
  }
}

}  // namespace
}  // namespace graft::engine_test
