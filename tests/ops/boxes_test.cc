// crop_resize, non_maximum_suppression and classify.
#include <cmath>

#include "base/list.h"
#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using V = std::vector<double>;

void near(const V& got, const V& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-4) << i;
}

// The numbers 1 to 16 as an image, `images` of them with 100 more each.
Tensor image(int64_t images = 1) {
  Tensor t = iota(DType::f32, {images, 1, 4, 4}, 1);
  for (int64_t i = 16; i < t.count(); ++i) t.span<float>()[static_cast<size_t>(i)] += 84.0F;
  return t;
}

OpCall crop(const V& boxes, double height, double width, const char* grid = "ALIGN_CORNERS") {
  OpCall c("crop_resize");
  c.in("x", image()).in("boxes", f32({static_cast<int64_t>(boxes.size() / 4), 4}, boxes));
  c.i("target_height", static_cast<int64_t>(height)).i("target_width", static_cast<int64_t>(width));
  return c.text("sampling_mode", grid);
}

TEST(CropResize, AlignedCorners) {
  near(crop({1, 1, 2, 2}, 2, 2).numbers(), {6, 7, 10, 11});
  near(crop({1, 1, 2, 2}, 1, 1).numbers(), {8.5});
  near(crop({2, 2, 1, 1}, 2, 2).numbers(), {11, 10, 7, 6});  // backwards
  near(crop({1, 1, 2, 2}, 1, 4).numbers(), {8, 8 + 1.0 / 3, 8 + 2.0 / 3, 9});
}

TEST(CropResize, OtherGridsLieInTheBox) {
  near(crop({0, 1, 0, 2}, 1, 2, "STRICT_ALIGN_CORNERS").numbers(), {2, 3});
  near(crop({0, 1, 0, 2}, 1, 1, "STRICT_ALIGN_CORNERS").numbers(), {2});
  near(crop({0, 1, 0, 3}, 1, 2, "OFFSET_CORNERS").numbers(), {2.5, 3.5});  // never beyond the box
  near(crop({0, 0, 0, 3}, 1, 2, "UNALIGN_CORNERS").numbers(), {1.5, 3.5});
  near(crop({0, 0, 0, 3}, 1, 2, "DEFAULT").numbers(), {1, 3});
}

TEST(CropResize, OutsideIsPadding) {
  OpCall c = crop({0.1, 0.3, 1.3, 1.0, 0.5, 1.8, 1.0, 0.3, 0.0, 0.4, 0.6, 0.7}, 2, 2);
  c.flag("normalized_coordinates", true).f("pad_value", 10).in("box_indices", ints({0, 0, 0}));
  near(c.numbers(), {3.1, 5.2, 10, 10, 10, 7.9, 10, 13.9, 2.2, 3.1, 9.4, 10.3});
  near(crop({NAN, 0, 1, 1}, 2, 1).numbers(), {0, 0});
  near(crop({0, 0, 3, 3}, 2, 2).numbers(), {1, 4, 13, 16});  // the last element is inside
}

TEST(CropResize, WaysToNameABox) {
  const V corners{11, 12, 15, 16};
  const auto named = [](const V& box, const char* mode, double scale) {
    return crop(box, 2, 2).text("box_coordinate_mode", mode).f("spatial_scale", scale).numbers();
  };
  near(named({2, 2, 3, 3}, "CORNERS_HEIGHT_FIRST", 1), corners);
  near(named({1, 2, 2, 3}, "CORNERS_WIDTH_FIRST", 1), {10, 11, 14, 15});
  near(named({2.5, 2.5, 1, 1}, "CENTER_SIZE_HEIGHT_FIRST", 1), corners);
  near(named({3, 5, 2, 2}, "CENTER_SIZE_WIDTH_FIRST", 0.5), {10, 11, 14, 15});
  EXPECT_NE(crop({0, 0, 1, 1}, 1, 1).text("box_coordinate_mode", "CORNERS").error().find("HEIGHT_FIRST"),
            std::string::npos);
}

TEST(CropResize, OlderFormHasRegions) {
  const auto older = [](const Tensor& roi) {
    OpCall c("crop_resize");
    c.in("x", image(2)).in("roi", roi).text("sampling_mode", "ALIGN_CORNERS");
    return c.i("target_height", 1).i("target_width", 2);
  };
  const OpCall all = older(f32({1, 1, 4, 1, 1}, {0, 0, 0, 1}));
  EXPECT_EQ(all.described(), "fp32[1, 2, 1, 1, 2]");
  near(all.numbers(), {1, 2, 101, 102});
  const OpCall one = older(f32({2, 1, 5, 1, 1}, {1, 0, 0, 0, 1, 0, 0, 2, 0, 3}));
  EXPECT_EQ(one.described(), "fp32[2, 1, 1, 1, 2]");
  near(one.numbers(), {101, 102, 3, 4});
  EXPECT_EQ(older(f32({1, 1, 5, 1, 1}, {2, 0, 0, 0, 1})).error(), "a box of image 2, there are 2");
  EXPECT_EQ(older(f32({1, 1, 3, 1, 1}, {0, 0, 0})).error(),
            "takes roi [n, 1, 4 or 5, 1, 1], got tensor<fp32, [1, 1, 3, 1, 1]>");
  // Each opset has one form.
  EXPECT_EQ(all.oldest(ir::Opset::ios16).value(), ir::Opset::ios15);
  EXPECT_FALSE(all.oldest(ir::Opset::ios17));
  EXPECT_EQ(crop({0, 0, 1, 1}, 1, 1).oldest().value(), ir::Opset::ios17);
  EXPECT_FALSE(crop({0, 0, 1, 1}, 1, 1).oldest(ir::Opset::ios16));
  OpCall both = older(f32({1, 1, 4, 1, 1}, {0, 0, 0, 1}));
  both.in("boxes", f32({1, 4}, {0, 0, 1, 1}));
  EXPECT_NE(both.error().find("does not go with the other arguments"), std::string::npos);
}

TEST(CropResize, ImagesOfBoxes) {
  OpCall c("crop_resize");
  c.in("x", image(2)).in("boxes", f32({2, 4}, {0, 0, 0, 0, 1, 1, 1, 1})).text("sampling_mode", "ALIGN_CORNERS");
  EXPECT_EQ(c.numbers(), (V{1, 106}));  // each its own
  EXPECT_EQ(c.in("box_indices", ints({1, 0})).numbers(), (V{101, 6}));
  EXPECT_EQ(c.in("box_indices", ints({1, -1})).error(), "a box of image -1, there are 2");
  EXPECT_EQ(c.in("box_indices", ints({1})).code(), Code::shape_mismatch);
}

// (x, y, width, height) of three boxes, the first two nearly the same.
const V kBoxes{2, 2, 4, 4, 2.5, 2, 4, 4, 10, 10, 2, 2};

OpCall older_nms(const V& scores, int64_t classes, double least, int64_t most) {
  OpCall c("non_maximum_suppression");
  c.in("boxes", f32({1, 3, 4}, kBoxes)).in("scores", f32({1, 3, classes}, scores));
  c.f("iou_threshold", 0.5).f("score_threshold", least);
  return c.i("max_boxes", most);
}

TEST(NonMaximumSuppression, TheBestOfThoseThatOverlapStays) {
  const OpCall c = older_nms({0.5, 0.9, 0.7}, 1, 0.1, 4);
  EXPECT_EQ(c.numbers(2), (V{1, 2, -1, -1}));
  near(c.numbers(0), {2.5, 2, 4, 4, 10, 10, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0});
  near(c.numbers(1), {0.9, 0.7, 0, 0});
  EXPECT_EQ(c.numbers(3), (V{2}));
  EXPECT_EQ(older_nms({0.5, 0.9, 0.7}, 1, 0.1, 1).numbers(2), (V{1}));
  EXPECT_EQ(older_nms({0.5, 0.9, 0.7}, 1, 0.7, 2).numbers(2), (V{1, -1}));  // above, not at the threshold
}

TEST(NonMaximumSuppression, SomethingAlwaysStays) {
  const OpCall c = older_nms({0.5, 0.3, 0.7}, 1, 2, 2);
  EXPECT_EQ(c.numbers(2), (V{2, -1}));
  EXPECT_EQ(c.numbers(3), (V{1}));
  EXPECT_EQ(older_nms({NAN, 0.3, 0.2}, 1, 0, 3).numbers(2), (V{1, 2, -1}));
}

TEST(NonMaximumSuppression, ByClass) {
  // The two that overlap are of different classes.
  OpCall c = older_nms({0.9, 0.1, 0.2, 0.8, 0.3, 0.1}, 2, 0, 3);
  EXPECT_EQ(c.numbers(2), (V{0, 2, -1}));
  EXPECT_EQ(c.flag("per_class_suppression", true).numbers(2), (V{0, 1, 2}));
  near(c.numbers(1), {0.9, 0.1, 0.2, 0.8, 0.3, 0.1});
}

TEST(NonMaximumSuppression, NewerFormHasBoxesLast) {
  OpCall c("non_maximum_suppression");
  c.in("boxes", f32({1, 4, 3}, {2, 2.5, 10, 2, 2, 10, 4, 4, 2, 4, 4, 2})).in("scores", f32({1, 1, 3}, {-5, -3, -4}));
  c.f("iou_threshold", 0.5).i("max_boxes", 3);
  EXPECT_EQ(c.described(0), "fp32[1, 4, 3]");
  EXPECT_EQ(c.numbers(2), (V{1, 2, -1}));
  near(c.numbers(0), {2.5, 10, 0, 2, 10, 0, 4, 2, 0, 4, 2, 0});
  near(c.numbers(1), {-3, -4, 0});
  EXPECT_EQ(c.run().value().size(), 3u);
  EXPECT_EQ(c.oldest().value(), ir::Opset::ios17);
  EXPECT_FALSE(older_nms({1, 1, 1}, 1, 0, 1).oldest());
  EXPECT_EQ(c.i("max_boxes", 0).error(), "max_boxes is 0, takes 1 and more");
}

TEST(NonMaximumSuppression, ShapesFit) {
  EXPECT_EQ(OpCall("non_maximum_suppression")
                .in("boxes", f32({1, 3, 4}, kBoxes))
                .in("scores", f32({1, 2, 1}, {1, 2}))
                .f("iou_threshold", 0.5)
                .f("score_threshold", 0)
                .i("max_boxes", 1)
                .error(),
            "takes boxes [n, boxes, 4] and scores [n, boxes, classes], got tensor<fp32, [1, 3, 4]> and "
            "tensor<fp32, [1, 2, 1]>");
}

// The label as text, and the dictionary as "key value" in order.
std::vector<std::string> classified(const V& p, const Tensor& classes) {
  const OpCall c = std::move(OpCall("classify").in("probabilities", f32({1, static_cast<int64_t>(p.size())}, p)))
                       .in("classes", classes);
  const auto out = c.run();
  if (!out) return {out.error().message};
  const auto word = [](const Tensor& t, int64_t i) {
    return t.dtype() == DType::string ? t.span<const std::string>()[static_cast<size_t>(i)]
                                      : std::to_string(element_as_int(t.view(), i));
  };
  std::vector<std::string> words{word((*out)[0], 0)};
  const List& pair = *(*out)[1].view().as<List>();
  for (int64_t i = 0; i < pair[0].count(); ++i)
    words.push_back(word(pair[0], i) + " " + std::to_string(element_as_double(pair[1].view(), i)).substr(0, 4));
  return words;
}

TEST(Classify, LabelAndDictionary) {
  const Tensor animals = strings({3}, {"cat", "dog", "eel"});
  EXPECT_EQ(classified({0.25, 0.5, 0.25}, animals),
            (std::vector<std::string>{"dog", "cat 0.25", "dog 0.50", "eel 0.25"}));
  EXPECT_EQ(classified({0.5, 0.5, 0.25}, animals)[0], "cat");  // the first of equals
  EXPECT_EQ(classified({NAN, 0.1, 0.2}, animals)[0], "eel");
  EXPECT_EQ(classified({0.25, 0.75}, i64({2}, {7, -1})), (std::vector<std::string>{"-1", "7 0.25", "-1 0.75"}));
}

TEST(Classify, WhatDoesNotFit) {
  EXPECT_EQ(classified({1, 2}, strings({3}, {"a", "b", "c"}))[0],
            "takes a probability for each of 3 classes, got tensor<fp32, [1, 2]>");
  EXPECT_EQ(classified({1, 2}, i32({2}, {1, 2}))[0],
            "takes a list of strings or int64 as classes, got tensor<int32, [2]>");
}

}  // namespace
}  // namespace graft::ops::test
