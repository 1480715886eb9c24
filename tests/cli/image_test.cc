#include "files/image.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "files/failure.h"

namespace cli {
namespace {

const std::string kThree = GRAFT_SOURCE_DIR "/models/digit_three.png";  // 32x32, grey

graft::Port port(graft_dtype dtype, std::initializer_list<int64_t> dims, bool image = false) {
  graft::Port p{"x", graft_dtype_name(dtype), dtype, true, {}, image, GRAFT_DTYPE_INVALID, GRAFT_DTYPE_INVALID};
  for (const int64_t d : dims) p.dims.push_back({d, d == 1 ? "1" : "many", d, d});
  return p;
}

Array read(const graft::Port& p, const ImageOptions& options = {}) { return read_image(kThree, p, options); }
const float* floats(const Array& a) { return reinterpret_cast<const float*>(a.data.get()); }

// What it fails with.
Failure failure(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& f) {
    return f;
  }
  return {GRAFT_CODE_OK, "taken"};
}

TEST(Image, GreyInItsOwnSize) {
  const Array a = read(port(GRAFT_DTYPE_FLOAT32, {1, 1, 32, 32}));
  EXPECT_EQ(a.shape, (std::vector<int64_t>{1, 1, 32, 32}));
  const auto [lo, hi] = std::minmax_element(floats(a), floats(a) + 1024);
  EXPECT_EQ(*lo, 0);
  EXPECT_GT(*hi, 0.9);
  EXPECT_LE(*hi, 1);
}

TEST(Image, RgbFromGreyHasEqualChannelsInBothLayouts) {
  ImageOptions o;
  o.layout = Layout::nhwc;
  const Array grey = read(port(GRAFT_DTYPE_FLOAT32, {1, 1, 32, 32})),
              nchw = read(port(GRAFT_DTYPE_FLOAT32, {1, 3, 32, 32})),
              nhwc = read(port(GRAFT_DTYPE_FLOAT32, {32, 32, 3}), o);
  for (size_t i = 0; i < 1024; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(floats(nchw)[c * 1024 + i], floats(grey)[i]);
      EXPECT_EQ(floats(nhwc)[i * 3 + c], floats(grey)[i]);
    }
  }
}

TEST(Image, ScaleAndMeanPerChannel) {
  const Array plain = read(port(GRAFT_DTYPE_FLOAT32, {3, 32, 32}, true)),
              scaled = read(port(GRAFT_DTYPE_FLOAT32, {3, 32, 32}), parse_image_options("2,1,0.5", "10", ""));
  const float scale[] = {2, 1, 0.5};
  for (size_t i = 0; i < 3 * 1024; ++i) EXPECT_FLOAT_EQ(floats(scaled)[i], (floats(plain)[i] - 10) * scale[i / 1024]);
}

TEST(Image, Uint8KeepsPixels) {
  const Array u8 = read(port(GRAFT_DTYPE_UINT8, {1, 1, 32, 32})), f = read(port(GRAFT_DTYPE_FLOAT32, {1, 1, 32, 32}));
  ASSERT_EQ(u8.bytes, 1024u);
  for (size_t i = 0; i < 1024; ++i)
    EXPECT_NEAR(static_cast<float>(std::to_integer<int>(u8.data[i])) / 255, floats(f)[i], 1e-6);
}

// 0 to 255 in eighths: 11 bits that fp16 holds, and some that it has to round.
TEST(Image, HalvesAreTheNearest) {
  const ImageOptions eighths = parse_image_options("0.125", "", ""), thirds = parse_image_options("0.333333", "", "");
  const auto value = [](const Array& a, size_t i) {
    uint16_t bits = 0;
    std::memcpy(&bits, a.data.get() + 2 * i, 2);
    const int exponent = bits >> 10;
    return exponent == 0 ? std::ldexp(bits, -24) : std::ldexp(1024 + (bits & 1023), exponent - 25);
  };
  const graft::Port f16 = port(GRAFT_DTYPE_FLOAT16, {1, 1, 32, 32}), f32 = port(GRAFT_DTYPE_FLOAT32, {1, 1, 32, 32});
  const Array exact = read(f16, eighths), rounded = read(f16, thirds);
  const Array want = read(f32, eighths), near = read(f32, thirds);
  ASSERT_EQ(exact.bytes, 2048u);
  for (size_t i = 0; i < 1024; ++i) {
    EXPECT_EQ(value(exact, i), floats(want)[i]);
    EXPECT_NEAR(value(rounded, i), floats(near)[i], floats(near)[i] * 0x1p-11);
  }
}

// Bilinear with aligned half pixels: halving averages each 2x2 block.
TEST(Image, ResizeHalves) {
  const Array full = read(port(GRAFT_DTYPE_FLOAT32, {1, 32, 32})), half = read(port(GRAFT_DTYPE_FLOAT32, {1, 16, 16}));
  const auto at = [&](size_t y, size_t x) { return double{floats(full)[y * 32 + x]}; };
  for (size_t y = 0; y < 16; ++y) {
    for (size_t x = 0; x < 16; ++x) {
      const double mean =
          (at(2 * y, 2 * x) + at(2 * y, 2 * x + 1) + at(2 * y + 1, 2 * x) + at(2 * y + 1, 2 * x + 1)) / 4;
      EXPECT_NEAR(floats(half)[y * 16 + x], mean, 1e-6);
    }
  }
}

TEST(Image, OpenDimsKeepTheImagesSize) {
  graft::Port open = port(GRAFT_DTYPE_FLOAT32, {1, 1, -1, -1});
  open.dims[2] = {-1, "h", 8, 20};
  open.dims[3] = {-1, "w", 1, INT64_MAX};
  EXPECT_EQ(read(open).shape, (std::vector<int64_t>{1, 1, 20, 32}))
      << "as near to the image's size as the range allows";
  EXPECT_EQ(type_text(open), "tensor<fp32, [1, 1, h 8..20, w]>");
}

TEST(Image, SaysWhyAnInputIsNoImage) {
  const auto message = [](const graft::Port& p, const ImageOptions& o = {}) {
    const Failure f = failure([&] { read(p, o); });
    EXPECT_EQ(f.tensor, "x");
    return std::string(f.what());
  };
  EXPECT_NE(message(port(GRAFT_DTYPE_FLOAT32, {10})).find("rank 3 or 4"), std::string::npos);
  EXPECT_NE(message(port(GRAFT_DTYPE_FLOAT32, {2, 3, 8, 8})).find("its batch is 2"), std::string::npos);
  EXPECT_NE(message(port(GRAFT_DTYPE_FLOAT32, {1, 8, 8, 3})).find("NHWC"), std::string::npos);
  EXPECT_NE(message(port(GRAFT_DTYPE_BOOL, {1, 3, 8, 8})).find("its elements are bool"), std::string::npos);
  EXPECT_NE(message(port(GRAFT_DTYPE_FLOAT32, {1, 1, 8, 8}), parse_image_options("1,2,3", "", "")).find("3 values"),
            std::string::npos);
}

TEST(Image, OptionsAreChecked) {
  for (const char* bad : {"x", "1,", "1,,2", "nan", "1 2", "1e999"})
    EXPECT_EQ(failure([&] { parse_image_options(bad, "", ""); }).code, GRAFT_CODE_INVALID_OPTION) << bad;
  EXPECT_EQ(failure([] { parse_image_options("", "", "CHWN"); }).code, GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(parse_image_options("", "", "nhwc").layout, Layout::nhwc);
}

TEST(Image, BrokenFiles) {
  const graft::Port p = port(GRAFT_DTYPE_FLOAT32, {1, 1, 8, 8});
  EXPECT_EQ(failure([&] { read_image("/nonexistent.png", p, {}); }).code, GRAFT_CODE_FILE_NOT_FOUND);
  std::ifstream in(kThree, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const std::string path =
      (std::filesystem::path(testing::TempDir()) / ("graft_image_" + std::to_string(getpid()) + ".png")).string();
  for (size_t n = 0; n + 20 < bytes.size(); n += 7) {
    std::ofstream(path, std::ios::binary) << bytes.substr(0, n);
    EXPECT_EQ(failure([&] { read_image(path, p, {}); }).code, GRAFT_CODE_MALFORMED) << n;
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace cli
