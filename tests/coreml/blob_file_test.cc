#include "coreml/blob_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "coreml/programs.h"

namespace graft::coreml {
namespace {

template <class T>
T at(const std::string& s, size_t offset) {
  T v;
  std::memcpy(&v, s.data() + offset, sizeof v);
  return v;
}

TEST(BlobFile, Layout) {
  const TempFolder tmp;
  BlobWriter w;
  const ir::ConstantPtr halves = counting(DType::f16, {3});
  Tensor packed(DType::u3, Shape{3});
  packed.mutable_view().as<uint8_t>()[0] = 0x53;
  packed.mutable_view().as<uint8_t>()[1] = 0x01;
  EXPECT_EQ(w.add(halves), 64u);
  EXPECT_EQ(w.add(ir::Constant::of(packed)), 192u);
  EXPECT_EQ(w.add(counting(DType::f16, {3})), 64u);
  EXPECT_EQ(w.add(counting(DType::f32, {3})), 320u);
  ASSERT_TRUE(w.write(tmp.file("w.bin")));
  const std::string s = read_file(tmp.file("w.bin"), 4096).value();
  ASSERT_EQ(s.size(), 320u + 64u + 12u);
  EXPECT_EQ(at<uint32_t>(s, 0), 3u);
  EXPECT_EQ(at<uint32_t>(s, 4), 2u);
  EXPECT_EQ(at<uint32_t>(s, 64), 0xDEADBEEFu);
  EXPECT_EQ(at<uint32_t>(s, 68), 1u);
  EXPECT_EQ(at<uint64_t>(s, 72), 6u);
  EXPECT_EQ(at<uint64_t>(s, 80), 128u);
  EXPECT_EQ(at<uint64_t>(s, 88), 0u);
  EXPECT_EQ(at<uint16_t>(s, 130), 0x3c00u);  // 1.0
  EXPECT_EQ(at<uint32_t>(s, 196), 12u);      // uint3: 9 bits in 2 bytes
  EXPECT_EQ(at<uint64_t>(s, 200), 2u);
  EXPECT_EQ(at<uint64_t>(s, 216), 7u);
  EXPECT_EQ(s[256], 0x53);
  EXPECT_EQ(at<float>(s, 384 + 8), 2.0f);
}

TEST(BlobFile, ChecksEveryRecord) {
  const TempFolder tmp;
  BlobWriter w;
  w.add(counting(DType::f32, {5}));
  ASSERT_TRUE(w.write(tmp.file("w.bin")));
  const std::string good = read_file(tmp.file("w.bin"), 4096).value();
  const auto opens = [&](const std::string& bytes, uint64_t offset, DType dtype, const Shape& shape) {
    write_bytes(tmp.file("w.bin"), bytes);
    bool ok[2] = {};
    for (const Hold hold : {Hold::mapped, Hold::copied}) {
      const auto reader = BlobReader::open(tmp.file("w.bin"), hold);
      ok[static_cast<size_t>(hold)] = reader && (*reader)->constant(offset, dtype, shape);
    }
    EXPECT_EQ(ok[0], ok[1]);
    return ok[0];
  };
  EXPECT_TRUE(opens(good, 64, DType::f32, {5}));
  EXPECT_FALSE(opens(good, 64, DType::f32, {6}));
  EXPECT_FALSE(opens(good, 64, DType::i32, {5}));
  EXPECT_FALSE(opens(good, 64, DType::f16, {10}));
  EXPECT_FALSE(opens(good, 0, DType::f32, {5}));
  EXPECT_FALSE(opens(good, 128, DType::f32, {5}));
  EXPECT_FALSE(opens(good, UINT64_MAX, DType::f32, {5}));
  EXPECT_FALSE(opens(good.substr(0, good.size() - 1), 64, DType::f32, {5}));
  EXPECT_FALSE(opens(good.substr(0, 63), 64, DType::f32, {5}));
  std::string bad = good;
  bad[64 + 23] = '\x7f';  // the data's offset
  EXPECT_FALSE(opens(bad, 64, DType::f32, {5}));
  bad = good;
  bad[4] = 1;  // an older storage version
  EXPECT_FALSE(opens(bad, 64, DType::f32, {5}));
}

}  // namespace
}  // namespace graft::coreml
