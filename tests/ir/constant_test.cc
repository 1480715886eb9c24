#include "ir/constant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "ir/program.h"

namespace graft::ir {
namespace {

// Most weights in real files are not aligned to their elements. They are copied when a kernel asks, and only then.
TEST(Constant, IsAlignedForThoseWhoAsk) {
  alignas(16) char storage[4 * sizeof(float) + 1] = {};
  const float values[] = {1, -2, 3.5f, 1e-30f};
  std::memcpy(storage + 1, values, sizeof values);
  const ConstantPtr c = Constant::borrow({DType::f32, Shape{4}, storage + 1}, nullptr);
  Function f("main");
  const Operand o = operand_of(*f.new_constant(c));
  EXPECT_TRUE(o.known());
  EXPECT_EQ(o.value.data, nullptr);  // nobody has read it yet
  EXPECT_EQ(o.elements().data, storage + 1);
  const TensorView v = c->aligned_view();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(v.data) % alignof(float), 0u);
  EXPECT_EQ(std::memcmp(v.data, values, sizeof values), 0);
  const ConstantPtr aligned = Constant::borrow({DType::f32, Shape{3}, storage + 4}, nullptr);
  EXPECT_EQ(aligned->aligned_view().data, storage + 4);  // not copied without need
}

TEST(Constant, CastsOfUint64) {
  const uint64_t values[] = {UINT64_MAX, uint64_t{1} << 63, 5};
  const ConstantPtr c = Constant::of(Tensor::of<uint64_t>(DType::u64, Shape{3}, values));
  const ConstantPtr f = Constant::cast(c, DType::f32), i = Constant::cast(c, DType::i32);
  EXPECT_EQ(element_as_double(f->view(), 0), 18446744073709551616.0);
  EXPECT_EQ(element_as_double(f->view(), 1), 9223372036854775808.0);
  EXPECT_EQ(element_as_int(i->view(), 0), -1);  // the low bits
  EXPECT_EQ(element_as_int(i->view(), 2), 5);
}

// Elements of a packed type, or of bytes.
ConstantPtr ints(DType dtype, const Shape& shape, const std::vector<int>& v) {
  Tensor t(dtype, shape);
  auto* bytes = static_cast<uint8_t*>(t.mutable_view().data);
  std::fill_n(bytes, t.view().bytes(), uint8_t{0});
  size_t at = 0;
  for (const int x : v) {
    for (int b = 0; b < bits(dtype); ++b, ++at)
      bytes[at / 8] = static_cast<uint8_t>(bytes[at / 8] | (x >> b & 1) << at % 8);
  }
  return Constant::of(t);
}
ConstantPtr floats(const Shape& shape, const std::vector<float>& v) {
  return Constant::of(Tensor::of<float>(DType::f32, shape, v));
}
std::vector<double> numbers(const Constant& c) {
  std::vector<double> v;
  for (int64_t i = 0; i < c.count(); ++i) v.push_back(element_as_double(c.view(), i));
  return v;
}
using V = std::vector<double>;

TEST(ConstantForm, AffinePerTensorAndPerAxis) {
  const ConstantPtr c = Constant::stored(DType::f32, {2, 2},
                                         form::Affine{ints(DType::u8, {2, 2}, {0, 10, 128, 255}),
                                                      floats({2}, {0.5f, 2}), ints(DType::u8, {2}, {1, 128}), 0});
  EXPECT_EQ(numbers(*c), (V{-0.5, 4.5, 0, 254}));
  EXPECT_EQ(c->stored_bytes(), 4u + 8 + 2);
  const ConstantPtr half = Constant::stored(
      DType::f16, {3},
      form::Affine{ints(DType::i8, {3}, {-128, 0, 127}), Constant::scalar(DType::f16, 2), floats({}, {0.5f}), 0});
  EXPECT_EQ(numbers(*half), (V{-257, -1, 253}));
  const ConstantPtr last = Constant::stored(
      DType::f32, {2, 2}, form::Affine{ints(DType::i4, {2, 2}, {1, 2, 15, 8}), floats({2}, {1, 10}), nullptr, 1});
  EXPECT_EQ(numbers(*last), (V{1, 20, -1, -80}));
}

TEST(ConstantForm, BlockwiseOfInt4) {
  const ConstantPtr c = Constant::stored(
      DType::f32, {2, 4},
      form::Blockwise{ints(DType::i4, {2, 4}, {1, 2, 3, 4, 15, 14, 8, 7}), floats({2, 2}, {1, 10, 2, 0.5f}),
                      ints(DType::i4, {2, 2}, {0, 1, 15, 0}), nullptr});
  EXPECT_EQ(numbers(*c), (V{1, 2, 20, 30, 0, -2, -4, 3.5}));
}

const ConstantPtr kIndices = ints(DType::u1, {2, 4}, {0, 1, 1, 0, 1, 0, 0, 1});
const ConstantPtr kLut = floats({2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});

TEST(ConstantForm, PalettesOfVectorsAndOddWidths) {
  EXPECT_EQ(numbers(*Constant::stored(DType::f32, {2, 8}, form::Palette{kIndices, kLut, 1, nullptr})),
            (V{1, 2, 3, 4, 3, 4, 1, 2, 7, 8, 5, 6, 5, 6, 7, 8}));
  EXPECT_EQ(numbers(*Constant::stored(DType::f32, {4, 4}, form::Palette{kIndices, kLut, 0, nullptr})),
            (V{1, 3, 3, 1, 2, 4, 4, 2, 7, 5, 5, 7, 8, 6, 6, 8}));
  const ConstantPtr lut = ints(DType::i8, {1, 8, 1}, {0, -1, -2, -3, -4, -5, -6, -7});
  EXPECT_EQ(numbers(*Constant::stored(DType::i8, {6},
                                      form::Palette{ints(DType::u3, {6}, {7, 0, 5, 2, 6, 1}), lut, 0, nullptr})),
            (V{-7, 0, -5, -2, -6, -1}));
}

TEST(ConstantForm, PaletteOfAQuantizedLut) {
  const ConstantPtr lut = Constant::stored(
      DType::f32, {1, 4, 1},
      form::Blockwise{ints(DType::i8, {1, 4, 1}, {-2, 0, 3, 100}), floats({1, 1, 1}, {0.5f}), nullptr, nullptr});
  const ConstantPtr c =
      Constant::stored(DType::f32, {5}, form::Palette{ints(DType::u2, {5}, {3, 2, 1, 0, 3}), lut, 0, nullptr});
  EXPECT_EQ(numbers(*c), (V{50, 1.5, 0, -1, 50}));
  EXPECT_EQ(c->depth(), 2);
  EXPECT_EQ(c->stored_bytes(), 2u + 4 + 4);
}

TEST(ConstantForm, SparseAndItsJointForms) {
  const ConstantPtr mask = ints(DType::u1, {2, 3}, {0, 1, 0, 1, 1, 0});
  EXPECT_EQ(numbers(*Constant::stored(DType::f32, {2, 3}, form::Sparse{floats({3}, {5, 6, 7}), mask})),
            (V{0, 5, 0, 6, 7, 0}));
  EXPECT_EQ(numbers(*Constant::stored(DType::i4, {2, 3}, form::Sparse{ints(DType::i4, {3}, {15, 1, 7}), mask})),
            (V{0, -1, 0, 1, 7, 0}));
  const ConstantPtr scaled =
      Constant::stored(DType::f32, {2, 3},
                       form::Blockwise{ints(DType::i8, {3}, {1, 2, 3}), floats({2, 1}, {10, 100}),
                                       ints(DType::i8, {2, 1}, {0, 1}), mask});
  EXPECT_EQ(numbers(*scaled), (V{0, 10, 0, 100, 200, 0}));
  EXPECT_EQ(numbers(*Constant::stored(DType::f32, {3}, form::Nonzero{scaled})), (V{10, 100, 200}));
  EXPECT_EQ(Constant::mask_of(*scaled), mask);
}

TEST(ConstantForm, SparsePalettesOfVectors) {
  const ConstantPtr mask = ints(DType::u1, {2, 4}, {1, 0, 1, 1, 0, 1, 0, 1});
  const ConstantPtr indices = ints(DType::u1, {5}, {0, 1, 1, 1, 0});
  const ConstantPtr rows = Constant::stored(DType::f32, {4, 4}, form::Palette{indices, kLut, 0, mask});
  EXPECT_EQ(numbers(*rows), (V{1, 0, 3, 3, 2, 0, 4, 4, 0, 7, 0, 5, 0, 8, 0, 6}));
  EXPECT_EQ(numbers(*Constant::mask_of(*rows)), (V{1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(numbers(*Constant::stored(DType::f32, {10}, form::Nonzero{rows})), (V{1, 3, 3, 2, 4, 4, 7, 5, 8, 6}));
  const ConstantPtr columns = Constant::stored(DType::f32, {2, 8}, form::Palette{indices, kLut, 1, mask});
  EXPECT_EQ(numbers(*columns), (V{1, 2, 0, 0, 3, 4, 3, 4, 0, 0, 7, 8, 0, 0, 5, 6}));
}

ConstantPtr copy_of(const Constant& c) { return Constant::of(Tensor::copy_of(c.view())); }

// One of each form, [24, 40, 36]: more than two of the pieces in which read() works, and no whole number of them.
struct Sample {
  const char* what;
  ConstantPtr constant;
};
std::vector<Sample> samples() {
  const Shape shape{24, 40, 36};
  const int64_t n = shape.product();
  std::vector<int> random;
  uint32_t state = 1;
  for (int64_t i = 0; i < n; ++i) random.push_back(static_cast<int>((state = state * 1664525 + 1013904223) >> 24));
  const auto data = [&](DType t, const Shape& s, int64_t count = -1) {
    return ints(t, s, std::vector<int>(random.begin(), random.begin() + (count < 0 ? s.product() : count)));
  };
  const auto reals = [&](const Shape& s) {
    std::vector<float> v;
    for (int64_t i = 0; i < s.product(); ++i) v.push_back(0.25f + 0.5f * static_cast<float>(i % 64));
    return floats(s, v);
  };
  std::vector<int> ones;
  for (int x : random) ones.push_back(x % 3 == 0);
  const ConstantPtr mask = ints(DType::u1, shape, ones);
  const int64_t listed = std::count(ones.begin(), ones.end(), 1);
  const auto make = [&](Constant::Form f) { return Constant::stored(DType::f32, shape, std::move(f)); };
  const ConstantPtr plain = data(DType::u8, shape);
  return {
      {"affine", make(form::Affine{plain, reals({40}), data(DType::u8, {40}), 1})},
      {"affine, whole", make(form::Affine{plain, reals({}), nullptr, 0})},
      {"blockwise",
       make(form::Blockwise{data(DType::u4, shape), reals({24, 4, 36}), data(DType::u4, {24, 4, 36}), nullptr})},
      {"blockwise along the last dim", make(form::Blockwise{plain, reals({1, 1, 9}), nullptr, nullptr})},
      {"palette", make(form::Palette{data(DType::u6, shape), reals({1, 1, 1, 64, 1}), 0, nullptr})},
      {"palettes", make(form::Palette{data(DType::u3, shape), reals({3, 1, 4, 8, 1}), 0, nullptr})},
      {"palette of vectors", make(form::Palette{data(DType::u8, {24, 10, 36}), reals({2, 5, 1, 256, 4}), 1, nullptr})},
      {"sparse", make(form::Sparse{reals({listed}), mask})},
      {"sparse palette", make(form::Palette{data(DType::u2, {listed}), reals({6, 1, 1, 4, 1}), 0, mask})},
      {"sparse blocks", make(form::Blockwise{data(DType::i8, {listed}), reals({1, 40, 2}), nullptr, mask})},
      {"cast", Constant::cast(copy_of(*Constant::cast(reals(shape), DType::f16)), DType::f32)},
      {"transpose", Constant::transpose(reals({40, 36, 24}), {2, 0, 1})},
  };
}

TEST(ConstantForm, StreamsInPiecesFromAnywhere) {
  for (const Sample& s : samples()) {
    std::vector<char> all;
    size_t pieces = 0;
    s.constant->read([&](const void* p, size_t n) {
      all.insert(all.end(), static_cast<const char*>(p), static_cast<const char*>(p) + n);
      ++pieces;
    });
    EXPECT_EQ(pieces, 3u) << s.what;  // nothing was computed as a whole
    const Constant& c = *s.constant;
    for (const int64_t first : {8, 16384, 20000, 34552}) {
      std::vector<char> part;
      c.read(first, c.count() - first, [&](const void* p, size_t n) {
        part.insert(part.end(), static_cast<const char*>(p), static_cast<const char*>(p) + n);
      });
      EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + first * 4, all.end())) << s.what << first;
    }
    ASSERT_EQ(all.size(), c.bytes());
    EXPECT_EQ(std::memcmp(c.view().data, all.data(), all.size()), 0) << s.what;
    EXPECT_TRUE(c.stored_bytes() < c.bytes() || c.as<form::Transpose>() != nullptr) << s.what;
  }
}

TEST(ConstantForm, EqualContentIsEqualInAnyForm) {
  const std::vector<Sample> made = samples(), again = samples();
  for (size_t i = 0; i < made.size(); ++i) {
    const Constant& c = *made[i].constant;
    EXPECT_TRUE(c.same_as(*again[i].constant)) << made[i].what;
    EXPECT_EQ(c.hash(), again[i].constant->hash()) << made[i].what;
    const ConstantPtr dense = copy_of(*again[i].constant);
    EXPECT_TRUE(c.same_as(*dense) && dense->same_as(c)) << made[i].what;
    EXPECT_EQ(dense->hash(), c.hash()) << made[i].what;
    EXPECT_FALSE(c.same_as(*made[(i + 1) % made.size()].constant)) << made[i].what;
    EXPECT_NE(c.hash(), made[(i + 1) % made.size()].constant->hash()) << made[i].what;
  }
}

TEST(ConstantForm, TransformsGiveTheSameElementsInEveryForm) {
  for (const Sample& s : samples()) {
    const ConstantPtr dense = copy_of(*s.constant);
    for (const Ints& perm : {Ints{1, 0, 2}, Ints{2, 1, 0}, Ints{1, 2, 0}}) {
      const ConstantPtr t = Constant::transpose(s.constant, perm), wanted = Constant::transpose(dense, perm);
      EXPECT_TRUE(t->same_as(*wanted)) << s.what;
      EXPECT_TRUE(Constant::transpose(t, perm)->same_as(*Constant::transpose(wanted, perm))) << s.what;
    }
    EXPECT_TRUE(Constant::cast(s.constant, DType::f16)->same_as(*Constant::cast(dense, DType::f16))) << s.what;
    EXPECT_TRUE(Constant::cast(s.constant, DType::f64)->same_as(*Constant::cast(dense, DType::f64))) << s.what;
    for (const Shape& shape : {Shape{24, 40, 6, 6}, Shape{24 * 40 * 36}, Shape{1, 24, 40, 36}, Shape{48, 20, 36}})
      EXPECT_TRUE(Constant::reshape(s.constant, shape)->same_as(*Constant::reshape(dense, shape))) << s.what;
  }
}

TEST(ConstantForm, TransformsKeepTheFormWhereItIsExact) {
  const std::vector<Sample> s = samples();
  EXPECT_NE(Constant::transpose(s[0].constant, {1, 0, 2})->as<form::Affine>(), nullptr);
  EXPECT_EQ(Constant::transpose(s[0].constant, {1, 0, 2})->as<form::Affine>()->axis, 0);
  EXPECT_NE(Constant::reshape(s[0].constant, {24, 40, 6, 6})->as<form::Affine>(), nullptr);
  EXPECT_EQ(Constant::reshape(s[0].constant, {24 * 40, 36})->as<form::Affine>(), nullptr);
  EXPECT_NE(Constant::transpose(s[2].constant, {1, 0, 2})->as<form::Blockwise>(), nullptr);
  EXPECT_NE(Constant::transpose(s[6].constant, {1, 0, 2})->as<form::Palette>(), nullptr);
  EXPECT_NE(Constant::transpose(s[8].constant, {1, 0, 2})->as<form::Transpose>(), nullptr);
  EXPECT_NE(Constant::cast(s[8].constant, DType::f16)->as<form::Palette>(), nullptr);
  // A scale that fp16 holds may be fp16: the product was rounded once before, and is now.
  EXPECT_NE(Constant::cast(s[0].constant, DType::f16)->as<form::Affine>(), nullptr);
  const ConstantPtr tenth =
      Constant::stored(DType::f32, {2}, form::Affine{ints(DType::i8, {2}, {1, 2}), floats({}, {0.1f}), nullptr, 0});
  EXPECT_NE(Constant::cast(tenth, DType::f16)->as<form::Cast>(), nullptr);
}

TEST(ConstantForm, WhatIsComputedCountsOnce) {
  const ConstantPtr c = samples()[0].constant;
  const auto little = std::make_shared<MemoryLimit>(c->bytes() - 1);
  const auto refused = c->aligned_view({nullptr, little});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::memory_limit);
  EXPECT_EQ(little->used(), 0u);
  const auto enough = std::make_shared<MemoryLimit>(c->bytes());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(c->aligned_view({nullptr, enough}));
  EXPECT_EQ(enough->used(), c->bytes());
  EXPECT_TRUE(c->aligned_view({nullptr, little}));  // it is there
}

}  // namespace
}  // namespace graft::ir
