// Nearest neighbours at ties, whose coordinates fp32 has beside the half. Expected values: onnxruntime, with ONNX's
// reference where the coordinate is below 16 (beyond, 1e-6 is less than fp32 can tell, and onnxruntime decides).
#include "node_run.h"

namespace graft::session_test {
namespace {

// The elements of 0, 1, 2, … that a row of `in` is resized to.
void expect_picked(const char* coordinate, const char* nearest, int64_t in, const std::vector<double>& picked,
                   Place at = Place::here()) {
  const testing::ScopedTrace trace(at.file, at.line, "here");
  const auto out = static_cast<int64_t>(picked.size());
  const Attributes a = {text_attribute("mode", "nearest"), text_attribute("coordinate_transformation_mode", coordinate),
                        text_attribute("nearest_mode", nearest)};
  const auto scale = static_cast<float>(out) / static_cast<float>(in);
  // Only versions 11 and 12 have tf_half_pixel_for_nn, only those from 19 on half_pixel_symmetric. No roi, no scales.
  const int opset = std::string_view(coordinate) == "tf_half_pixel_for_nn" ? 11 : 19;
  const Tensor x = counting({1, 1, 1, in}), sizes = i64({1, 1, 1, out}), none = f32({0}, {});
  const auto copy = [](const Tensor& t) { return Tensor::copy_of(t.view()); };
  const Case by_scales = Case("Resize", opset, a).fed(copy(x)).constant(copy(none)).constant(f32({1, 1, 1, scale}));
  const auto sized = [&](Case c) { return std::move(c).constant(copy(none)).constant(copy(none)); };
  const Case by_sizes = sized(Case("Resize", opset, a).fed(copy(x))).constant(copy(sizes));
  const Case run_time = sized(Case("Resize", opset, a).open(copy(x))).fed(copy(sizes));
  for (const Case* c : {&by_sizes, &by_scales, &run_time}) {
    EXPECT_EQ(c->on_host(), shown({1, 1, 1, out}, picked));
    EXPECT_THAT(c->in_coreml(), testing::AnyOf(shown({1, 1, 1, out}, picked), testing::HasSubstr("[host_only]")));
  }
}

TEST(ResizeNearest, TiesBesideTheHalf) {
  expect_picked("asymmetric", "round_prefer_ceil", 7, {0, 4});
  expect_picked("asymmetric", "round_prefer_floor", 7, {0, 3});
  expect_picked("half_pixel", "round_prefer_ceil", 20, {1, 5, 8, 11, 15, 18});
  expect_picked("half_pixel", "round_prefer_floor", 20, {1, 4, 8, 11, 14, 18});
  expect_picked("half_pixel_symmetric", "round_prefer_ceil", 14, {7});
  expect_picked("half_pixel_symmetric", "round_prefer_floor", 14, {6});
}

// These take the coordinate as it is: 3.4999998.
TEST(ResizeNearest, FloorAndCeilKnowNoTies) {
  expect_picked("asymmetric", "floor", 7, {0, 3});
  expect_picked("asymmetric", "ceil", 7, {0, 4});
}

TEST(ResizeNearest, EveryGrid) {
  expect_picked("half_pixel", "floor", 4, {0, 0, 1, 1, 2, 3});
  expect_picked("pytorch_half_pixel", "round_prefer_floor", 4, {0});
  expect_picked("tf_half_pixel_for_nn", "floor", 4, {0, 1, 1, 2, 3, 3});
  expect_picked("align_corners", "round_prefer_ceil", 4, {0, 1, 1, 2, 2, 3});
}

}  // namespace
}  // namespace graft::session_test
