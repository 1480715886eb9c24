#include "base/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace graft {
namespace {

template <class T>
Tensor one(DType dtype, T v) {
  return Tensor::of<T>(dtype, Shape{1}, std::span<const T>(&v, 1));
}

TEST(Element, IntegersSaturate) {
  EXPECT_EQ(element_as_int(one<uint64_t>(DType::u64, UINT64_MAX).view(), 0), INT64_MAX);
  EXPECT_EQ(element_as_int(one<uint64_t>(DType::u64, uint64_t{1} << 63).view(), 0), INT64_MAX);
  EXPECT_EQ(element_as_int(one<uint64_t>(DType::u64, INT64_MAX).view(), 0), INT64_MAX);
  EXPECT_EQ(element_as_int(one<int64_t>(DType::i64, INT64_MIN).view(), 0), INT64_MIN);
  EXPECT_EQ(element_as_int(one<float>(DType::f32, 1e30f).view(), 0), INT64_MAX);
  EXPECT_EQ(element_as_int(one<float>(DType::f32, -1e30f).view(), 0), INT64_MIN);
  EXPECT_EQ(element_as_int(one<double>(DType::f64, -2.9).view(), 0), -2);
  EXPECT_EQ(element_as_int(one<double>(DType::f64, std::nan("")).view(), 0), 0);
}

TEST(Element, BitsKeepAllOfUint64) {
  EXPECT_EQ(element_as_bits(one<uint64_t>(DType::u64, UINT64_MAX - 3).view(), 0), UINT64_MAX - 3);
  EXPECT_EQ(element_as_bits(one<int32_t>(DType::i32, -1).view(), 0), UINT64_MAX);
  EXPECT_EQ(element_as_double(one<uint64_t>(DType::u64, UINT64_MAX).view(), 0), 18446744073709551616.0);
}

TEST(Tensor, WhatNoMachineHoldsIsRefused) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (const DType t : {DType::f32, DType::u8, DType::i4, DType::string, DType::c128}) {
    for (const Shape& shape : {Shape{most}, Shape{most, most}, Shape{int64_t{1} << 45, 1}, Shape{-1}}) {
      const Result<Tensor> r = Tensor::allocate(t, shape);
      ASSERT_FALSE(r) << describe(t, shape);
      EXPECT_EQ(info(r.error().code).name, info(Code::out_of_memory).name);
    }
  }
}

}  // namespace
}  // namespace graft
