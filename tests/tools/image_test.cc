#include "tools/image.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace graft::tools {
namespace {

const std::string kThree = GRAFT_SOURCE_DIR "/models/digit_three.png";  // 32x32, grey

ir::Type type(DType t, std::initializer_list<int64_t> dims) { return ir::Type::tensor(t, Shape(dims)); }

Result<Tensor> read(const ir::Type& t, ImageOptions options = {}, bool plain = false) {
  return read_image(kThree, "x", t, options, plain);
}

TEST(Image, GreyInItsOwnSize) {
  const Result<Tensor> t = read(type(DType::f32, {1, 1, 32, 32}));
  ASSERT_TRUE(t) << render(t.error());
  EXPECT_EQ(t->shape(), (Shape{1, 1, 32, 32}));
  double lo = 1e9, hi = -1e9;
  for (int64_t i = 0; i < t->count(); ++i) {
    lo = std::min(lo, element_as_double(t->view(), i));
    hi = std::max(hi, element_as_double(t->view(), i));
  }
  EXPECT_EQ(lo, 0);
  EXPECT_GT(hi, 0.9);
  EXPECT_LE(hi, 1);
}

TEST(Image, RgbFromGreyHasEqualChannelsInBothLayouts) {
  const Result<Tensor> grey = read(type(DType::f32, {1, 1, 32, 32}));
  const Result<Tensor> nchw = read(type(DType::f32, {1, 3, 32, 32}));
  ImageOptions o;
  o.layout = Layout::nhwc;
  const Result<Tensor> nhwc = read(type(DType::f32, {32, 32, 3}), o);
  ASSERT_TRUE(grey && nchw && nhwc);
  for (int64_t i = 0; i < 32 * 32; ++i) {
    const double v = element_as_double(grey->view(), i);
    for (int64_t c = 0; c < 3; ++c) {
      EXPECT_EQ(element_as_double(nchw->view(), c * 32 * 32 + i), v);
      EXPECT_EQ(element_as_double(nhwc->view(), i * 3 + c), v);
    }
  }
}

TEST(Image, ScaleAndMeanPerChannel) {
  const Result<ImageOptions> o = parse_image_options("2,1,0.5", "10", "");
  ASSERT_TRUE(o);
  const Result<Tensor> plain = read(type(DType::f32, {3, 32, 32}), {}, true),
                       t = read(type(DType::f32, {3, 32, 32}), *o);
  ASSERT_TRUE(plain && t);
  for (int64_t i = 0; i < t->count(); ++i) {
    const double scale[] = {2, 1, 0.5};
    EXPECT_FLOAT_EQ(static_cast<float>(element_as_double(t->view(), i)),
                    static_cast<float>((element_as_double(plain->view(), i) - 10) * scale[i / 1024]));
  }
}

TEST(Image, Uint8KeepsPixels) {
  const Result<Tensor> u8 = read(type(DType::u8, {1, 1, 32, 32})), f = read(type(DType::f32, {1, 1, 32, 32}));
  ASSERT_TRUE(u8 && f);
  for (int64_t i = 0; i < u8->count(); ++i)
    EXPECT_NEAR(static_cast<double>(element_as_int(u8->view(), i)) / 255, element_as_double(f->view(), i), 1e-6);
}

// Bilinear with aligned half pixels: halving averages each 2x2 block.
TEST(Image, ResizeHalves) {
  const Result<Tensor> full = read(type(DType::f32, {1, 32, 32})), half = read(type(DType::f32, {1, 16, 16}));
  ASSERT_TRUE(full && half);
  const auto at = [&](int64_t y, int64_t x) { return element_as_double(full->view(), y * 32 + x); };
  for (int64_t y = 0; y < 16; ++y) {
    for (int64_t x = 0; x < 16; ++x) {
      const double mean =
          (at(2 * y, 2 * x) + at(2 * y, 2 * x + 1) + at(2 * y + 1, 2 * x) + at(2 * y + 1, 2 * x + 1)) / 4;
      EXPECT_NEAR(element_as_double(half->view(), y * 16 + x), mean, 1e-6);
    }
  }
}

TEST(Image, OpenDimsKeepTheImagesSize) {
  const ir::Type open =
      ir::Type::tensor(DType::f32, ir::Dims{1, 1, ir::Dim::symbol("h", {8, 20}), ir::Dim::symbol("w", {1, INT64_MAX})});
  const Result<Tensor> t = read(open);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->shape(), (Shape{1, 1, 20, 32})) << "as near to the image's size as the range allows";
}

TEST(Image, SaysWhyAnInputIsNoImage) {
  const auto message = [](const Result<Tensor>& t) { return t ? std::string("taken") : t.error().message; };
  EXPECT_NE(message(read(type(DType::f32, {10}))).find("rank 3 or 4"), std::string::npos);
  EXPECT_NE(message(read(type(DType::f32, {2, 3, 8, 8}))).find("its batch is 2"), std::string::npos);
  EXPECT_NE(message(read(type(DType::f32, {1, 8, 8, 3}))).find("NHWC"), std::string::npos);
  EXPECT_NE(message(read(type(DType::boolean, {1, 3, 8, 8}))).find("its elements are bool"), std::string::npos);
  EXPECT_NE(message(read(type(DType::f32, {1, 1, 8, 8}), *parse_image_options("1,2,3", "", ""))).find("3 values"),
            std::string::npos);
}

TEST(Image, OptionsAreChecked) {
  for (const char* bad : {"x", "1,", "1,,2", "nan", "1 2", "1e999"})
    EXPECT_EQ(parse_image_options(bad, "", "").error().code, Code::invalid_option) << bad;
  EXPECT_EQ(parse_image_options("", "", "CHWN").error().code, Code::invalid_option);
  EXPECT_TRUE(parse_image_options("", "", "nhwc"));
}

TEST(Image, BrokenFiles) {
  const ir::Type t = type(DType::f32, {1, 1, 8, 8});
  EXPECT_EQ(read_image("/nonexistent.png", "x", t, {}, false).error().code, Code::file_not_found);
  std::ifstream in(kThree, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const std::string path =
      (std::filesystem::path(testing::TempDir()) / ("graft_image_" + std::to_string(getpid()) + ".png")).string();
  for (size_t n = 0; n + 20 < bytes.size(); n += 7) {
    std::ofstream(path, std::ios::binary) << bytes.substr(0, n);
    const Result<Tensor> r = read_image(path, "x", t, {}, false);
    ASSERT_FALSE(r) << n;
    EXPECT_EQ(r.error().code, Code::malformed);
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace graft::tools
