#include "files/convert.h"

#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

namespace cli {
namespace {

template <class T>
Array array(graft_dtype dtype, const std::vector<T>& v) {
  Array a = Array::make(dtype, {static_cast<int64_t>(v.size())}, v.size() * sizeof(T));
  if (!v.empty()) std::memcpy(a.data.get(), v.data(), a.bytes);
  return a;
}
template <class T>
std::vector<T> elements(const Array& a) {
  std::vector<T> v(a.bytes / sizeof(T));
  if (!v.empty()) std::memcpy(v.data(), a.data.get(), a.bytes);
  return v;
}
// The one number v of `from` as `to`, in bits; nothing where it does not fit.
template <class To, class From>
std::optional<To> one(graft_dtype from, From v, graft_dtype to) {
  const std::optional<Array> made = converted(array(from, std::vector<From>{v}), to);
  return made ? std::optional(elements<To>(*made)[0]) : std::nullopt;
}

TEST(Convert, DoublesAreRoundedToSingles) {
  const auto made =
      converted(array<double>(GRAFT_DTYPE_FLOAT64, {0.1, -0.0, 1e-300, NAN, HUGE_VAL}), GRAFT_DTYPE_FLOAT32);
  ASSERT_TRUE(made);
  const auto v = elements<float>(*made);
  EXPECT_EQ(made->shape, std::vector<int64_t>{5});
  EXPECT_EQ(v[0], 0.1F);
  EXPECT_TRUE(v[1] == 0 && std::signbit(v[1]));
  EXPECT_EQ(v[2], 0);
  EXPECT_TRUE(std::isnan(v[3]) && std::isinf(v[4]));
  EXPECT_FALSE(one<float>(GRAFT_DTYPE_FLOAT64, 1e300, GRAFT_DTYPE_FLOAT32));
}

TEST(Convert, IntegersThatFit) {
  EXPECT_EQ((one<int32_t>(GRAFT_DTYPE_INT64, int64_t{-7}, GRAFT_DTYPE_INT32)), -7);
  EXPECT_FALSE((one<int32_t>(GRAFT_DTYPE_INT64, int64_t{1} << 31, GRAFT_DTYPE_INT32)));
  EXPECT_FALSE((one<uint64_t>(GRAFT_DTYPE_INT8, int8_t{-1}, GRAFT_DTYPE_UINT64)));
  EXPECT_FALSE((one<int64_t>(GRAFT_DTYPE_UINT64, UINT64_MAX, GRAFT_DTYPE_INT64)));
  EXPECT_EQ((one<uint8_t>(GRAFT_DTYPE_BOOL, uint8_t{1}, GRAFT_DTYPE_UINT8)), 1);
  EXPECT_FALSE((one<uint8_t>(GRAFT_DTYPE_INT32, 2, GRAFT_DTYPE_BOOL)));
}

TEST(Convert, NumbersBetweenTheKinds) {
  EXPECT_EQ((one<int64_t>(GRAFT_DTYPE_FLOAT64, -3.0, GRAFT_DTYPE_INT64)), -3);
  EXPECT_FALSE((one<int64_t>(GRAFT_DTYPE_FLOAT64, 0.5, GRAFT_DTYPE_INT64)));
  EXPECT_FALSE((one<int64_t>(GRAFT_DTYPE_FLOAT64, 0x1p63, GRAFT_DTYPE_INT64)));
  EXPECT_EQ((one<int64_t>(GRAFT_DTYPE_FLOAT64, -0x1p63, GRAFT_DTYPE_INT64)), INT64_MIN);
  EXPECT_FALSE((one<int64_t>(GRAFT_DTYPE_FLOAT32, NAN, GRAFT_DTYPE_INT64)));
  EXPECT_EQ((one<float>(GRAFT_DTYPE_INT32, 1 << 24, GRAFT_DTYPE_FLOAT32)), 0x1p24F);
  EXPECT_FALSE((one<float>(GRAFT_DTYPE_INT32, (1 << 24) + 1, GRAFT_DTYPE_FLOAT32)));
  EXPECT_FALSE((one<double>(GRAFT_DTYPE_INT64, INT64_MAX, GRAFT_DTYPE_FLOAT64)));
}

TEST(Convert, HalvesBothWays) {
  EXPECT_EQ((one<uint16_t>(GRAFT_DTYPE_FLOAT32, 1.5F, GRAFT_DTYPE_FLOAT16)), 0x3e00);
  EXPECT_EQ((one<uint16_t>(GRAFT_DTYPE_FLOAT32, -65504.0F, GRAFT_DTYPE_FLOAT16)), 0xfbff);
  EXPECT_EQ((one<uint16_t>(GRAFT_DTYPE_FLOAT32, 0x1p-24F, GRAFT_DTYPE_FLOAT16)), 1);
  EXPECT_EQ((one<uint16_t>(GRAFT_DTYPE_FLOAT64, double{-HUGE_VAL}, GRAFT_DTYPE_FLOAT16)), 0xfc00);
  EXPECT_FALSE((one<uint16_t>(GRAFT_DTYPE_FLOAT32, 0.1F, GRAFT_DTYPE_FLOAT16)));
  EXPECT_FALSE((one<uint16_t>(GRAFT_DTYPE_FLOAT32, 65536.0F, GRAFT_DTYPE_FLOAT16)));
  EXPECT_EQ((one<uint16_t>(GRAFT_DTYPE_FLOAT32, -1.0F, GRAFT_DTYPE_BFLOAT16)), 0xbf80);
  EXPECT_FALSE((one<uint16_t>(GRAFT_DTYPE_FLOAT32, 1 + 0x1p-8F, GRAFT_DTYPE_BFLOAT16)));
  // Every number of either kind survives the way to fp64 and back.
  for (const graft_dtype t : {GRAFT_DTYPE_FLOAT16, GRAFT_DTYPE_BFLOAT16}) {
    std::vector<uint16_t> all;
    for (uint32_t b = 0; b < 0x10000; ++b) all.push_back(static_cast<uint16_t>(b));
    const auto wide = converted(array(t, all), GRAFT_DTYPE_FLOAT64);
    ASSERT_TRUE(wide);
    const auto back = converted(*wide, t);
    ASSERT_TRUE(back);
    const auto v = elements<double>(*wide);
    const auto bits = elements<uint16_t>(*back);
    for (size_t i = 0; i < all.size(); ++i) {
      ASSERT_TRUE(std::isnan(v[i]) || bits[i] == all[i]) << all[i];
    }
  }
}

TEST(Convert, TypesThatNumPyLacksBothWays) {
  const auto codes = [](graft_dtype t, int bits) {
    std::vector<uint8_t> all;
    if (bits == 8)
      for (int b = 0; b < 256; ++b) all.push_back(static_cast<uint8_t>(b));
    else
      all = {0x1b, 0xe4};
    Array a = array(t, all);
    a.shape = {static_cast<int64_t>(all.size()) * 8 / bits};
    return a;
  };
  const std::pair<graft_dtype, int> kinds[] = {{GRAFT_DTYPE_FLOAT8E4M3FN, 8}, {GRAFT_DTYPE_FLOAT8E4M3FNUZ, 8},
                                               {GRAFT_DTYPE_FLOAT8E5M2, 8},   {GRAFT_DTYPE_FLOAT8E5M2FNUZ, 8},
                                               {GRAFT_DTYPE_FLOAT8E8M0, 8},   {GRAFT_DTYPE_FLOAT4E2M1, 4},
                                               {GRAFT_DTYPE_INT4, 4},         {GRAFT_DTYPE_UINT4, 4},
                                               {GRAFT_DTYPE_INT2, 2},         {GRAFT_DTYPE_UINT2, 2}};
  for (const auto& [t, bits] : kinds) {
    const Array narrow = codes(t, bits);
    const auto wide = converted(narrow, numpy_type(t));
    ASSERT_TRUE(wide) << t;
    const auto back = converted(*wide, t);
    ASSERT_TRUE(back) << t;
    const auto again = converted(*back, numpy_type(t));
    ASSERT_TRUE(again) << t;
    if (bits != 8) {
      EXPECT_EQ(elements<uint8_t>(*back), elements<uint8_t>(narrow)) << t;
      continue;
    }
    const auto v = elements<float>(*wide), w = elements<float>(*again);  // NaN has several codes
    for (size_t i = 0; i < v.size(); ++i)
      EXPECT_TRUE(v[i] == w[i] || (std::isnan(v[i]) && std::isnan(w[i]))) << t << " " << i;
  }
  EXPECT_EQ((one<uint8_t>(GRAFT_DTYPE_INT8, int8_t{-8}, GRAFT_DTYPE_INT4)), 8);
  EXPECT_FALSE((one<uint8_t>(GRAFT_DTYPE_INT8, int8_t{8}, GRAFT_DTYPE_INT4)));
  EXPECT_FALSE((one<uint8_t>(GRAFT_DTYPE_FLOAT32, 0.3F, GRAFT_DTYPE_FLOAT8E4M3FN)));
}

TEST(Convert, WhatHasNoNumbers) {
  EXPECT_FALSE(converted(array<float>(GRAFT_DTYPE_COMPLEX64, {1, 2}), GRAFT_DTYPE_FLOAT32));
  EXPECT_FALSE(converted(array<float>(GRAFT_DTYPE_FLOAT32, {1}), GRAFT_DTYPE_STRING));
  const auto none = converted(array<double>(GRAFT_DTYPE_FLOAT64, {}), GRAFT_DTYPE_FLOAT32);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->bytes, 0U);
}

}  // namespace
}  // namespace cli
