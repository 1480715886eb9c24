// Compressed weights through packages: each form is written as its constexpr operator and read back as the same form
// (affine ones as blocks from iOS18 on), and a package that lies about one is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coreml/package.h"
#include "coreml/programs.h"
#include "ir/verify.h"
#include "support/mutate.h"

namespace graft::coreml {
namespace {

namespace form = ir::form;
using ir::Constant;
using ir::ConstantPtr;
using ir::Opset;

constexpr std::string_view kModel = "Data/com.apple.CoreML/model.mlmodel";
constexpr std::string_view kWeights = "Data/com.apple.CoreML/weights/weight.bin";
const Shape kShape{8, 16};

// Numbers of any integer type, packed below a byte; the pattern repeats.
ConstantPtr ints(DType dtype, const Shape& shape, std::initializer_list<int> pattern) {
  Tensor t(dtype, shape);
  auto* bytes = static_cast<uint8_t*>(t.mutable_view().data);
  std::fill_n(bytes, t.view().bytes(), uint8_t{0});
  for (int64_t i = 0; i < t.count(); ++i) {
    const int x = pattern.begin()[static_cast<size_t>(i) % pattern.size()];
    for (int b = 0; b < bits(dtype); ++b) {
      const int64_t at = i * bits(dtype) + b;
      bytes[at / 8] = static_cast<uint8_t>(bytes[at / 8] | (x >> b & 1) << at % 8);
    }
  }
  return Constant::of(t);
}
ConstantPtr halves(const Shape& shape) { return Constant::of(Tensor::copy_of(counting(DType::f16, shape)->view())); }
ConstantPtr stored(Constant::Form f) { return Constant::stored(DType::f16, kShape, std::move(f)); }

// y = x + weight
std::shared_ptr<ir::Program> adding(const ConstantPtr& weight, Opset opset) {
  auto program = new_program();
  ir::Function& f = *program->functions[0];
  ir::Builder b(f, ops::table(), ir::Target::mlprogram(opset));
  ir::Value* x = f.add_input(ir::Type::tensor(weight->dtype(), weight->shape()), "x");
  f.body.outputs = {b.emit("add", {{"x", x}, {"y", b.constant(weight, "weight")}})};
  f.output_names = {"y"};
  EXPECT_TRUE(b.ok());
  return program;
}

std::string write(const TempFolder& tmp, const ConstantPtr& weight, Opset opset) {
  static int next = 0;
  const std::string path = tmp.file("w" + std::to_string(next++) + ".mlpackage");
  const Status s = write_package(*adding(weight, opset), path, {.target = ir::Target::mlprogram(opset)});
  EXPECT_TRUE(s) << render(s.error());
  return path;
}

// The weight of such a package, and the error where it has none.
Result<ConstantPtr> weight_of(const std::string& path) {
  GRAFT_TRY(const Model m, read_package(path));
  const Status s = ir::verify(*m.program);
  EXPECT_TRUE(s) << render(s.error());
  const ir::Op* add = m.program->main()->body.outputs[0]->producer;
  EXPECT_EQ(add->type(), "add");
  EXPECT_EQ(m.program->main()->body.ops.size(), 1u);  // constexpr operators are constants
  EXPECT_EQ(add->arg("y")->name, "weight");
  return add->arg("y")->constant;
}

// The parts of a form, absent ones as null.
std::vector<ConstantPtr> parts(const Constant& c) {
  if (const auto* f = c.as<form::Cast>()) return {f->base};
  if (const auto* f = c.as<form::Affine>()) return {f->data, f->scale, f->zero_point};
  if (const auto* f = c.as<form::Blockwise>()) return {f->data, f->scale, f->offset, f->mask};
  if (const auto* f = c.as<form::Palette>()) return {f->indices, f->lut, f->mask};
  if (const auto* f = c.as<form::Sparse>()) return {f->values, f->mask};
  return {};
}

void expect_same_form(const Constant& got, const Constant& want) {
  EXPECT_EQ(got.form().index(), want.form().index());
  const std::vector<ConstantPtr> a = parts(got), b = parts(want);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i] == nullptr, b[i] == nullptr) << i;
    if (a[i] == nullptr) continue;
    EXPECT_TRUE(a[i]->same_as(*b[i])) << i;
    EXPECT_EQ(a[i]->form().index(), b[i]->form().index()) << i;
  }
  EXPECT_TRUE(got.same_as(want));
}

struct Case {
  const char* what;
  ConstantPtr weight;
  Opset since;  // older ones get it dense
};

std::vector<Case> cases() {
  const ConstantPtr bytes = ints(DType::u8, kShape, {0, 3, 255, 128, 77, 1, 2});
  const ConstantPtr mask = ints(DType::u1, kShape, {1, 0, 0, 1, 1, 0, 0, 0});
  const ConstantPtr quantized_lut = Constant::stored(
      DType::f16, {1, 1, 16, 1},
      form::Blockwise{ints(DType::i8, {1, 1, 16, 1}, {1, -2, 3}), halves({1, 1, 1, 1}), nullptr, nullptr});
  return {
      {"affine along an axis", stored(form::Affine{bytes, halves({16}), ints(DType::u8, {16}, {7, 9}), 1}),
       Opset::ios16},
      {"affine", stored(form::Affine{ints(DType::i8, kShape, {-1, 2, 5}), halves({}), ints(DType::i8, {}, {3}), 0}),
       Opset::ios16},
      {"cast", Constant::cast(halves(kShape), DType::f32), Opset::ios16},
      {"palette", stored(form::Palette{ints(DType::u4, kShape, {1, 9, 14}), halves({1, 1, 16, 1}), 0, nullptr}),
       Opset::ios16},
      {"palette of two", stored(form::Palette{ints(DType::u1, kShape, {1, 0, 0}), halves({1, 1, 2, 1}), 0, nullptr}),
       Opset::ios16},
      {"sparse", stored(form::Sparse{halves({48}), mask}), Opset::ios16},
      {"blockwise", stored(form::Blockwise{bytes, halves({8, 4}), ints(DType::u8, {8, 4}, {3, 4, 5}), nullptr}),
       Opset::ios18},
      {"blocks of int4",
       stored(form::Blockwise{ints(DType::i4, kShape, {-8, 7, 1}), halves({2, 16}), nullptr, nullptr}), Opset::ios18},
      {"palettes of 3 bits",
       stored(form::Palette{ints(DType::u3, kShape, {1, 7, 4}), halves({2, 4, 8, 1}), 0, nullptr}), Opset::ios18},
      {"palette of vectors",
       stored(form::Palette{ints(DType::u2, {8, 4}, {1, 3, 0}), halves({1, 1, 4, 4}), 1, nullptr}), Opset::ios18},
      {"palette with a quantized lut",
       stored(form::Palette{ints(DType::u4, kShape, {1, 9, 14}), quantized_lut, 0, nullptr}), Opset::ios18},
      {"sparse palette", stored(form::Palette{ints(DType::u4, {48}, {1, 9, 14}), halves({1, 1, 16, 1}), 0, mask}),
       Opset::ios18},
      {"sparse palette of vectors",
       stored(form::Palette{ints(DType::u2, {12}, {1, 3, 0}), halves({1, 1, 4, 4}), 1,
                            ints(DType::u1, {8, 4}, {1, 0, 0, 1, 1, 0, 0, 0})}),
       Opset::ios18},
      {"sparse blocks",
       stored(form::Blockwise{ints(DType::i8, {48}, {1, -9, 14}), halves({1, 16}), ints(DType::i8, {1, 16}, {1, 2}),
                              mask}),
       Opset::ios18},
  };
}

TEST(StorageForm, IsWrittenAndReadBackWhereTheTargetHasIt) {
  const TempFolder tmp;
  for (const Case& c : cases()) {
    for (const Opset opset : {Opset::ios16, Opset::ios17, Opset::ios18, Opset::ios26}) {
      SCOPED_TRACE(std::string(c.what) + " " + std::string(info(opset).name));
      const std::string path = write(tmp, c.weight, opset);
      const Result<ConstantPtr> got = weight_of(path);
      ASSERT_TRUE(got) << render(got.error());
      const bool as_blocks = c.weight->as<form::Affine>() != nullptr && opset >= Opset::ios18;
      EXPECT_EQ((*got)->as<form::Blockwise>() != nullptr,
                as_blocks || (opset >= c.since && c.weight->as<form::Blockwise>() != nullptr));
      if (opset < c.since || as_blocks)
        EXPECT_TRUE((*got)->same_as(*c.weight));
      else
        expect_same_form(**got, *c.weight);
      EXPECT_EQ(contents(path), contents(write(tmp, *got, opset)));  // and again the same bytes
    }
  }
}

TEST(StorageForm, OfOldTargetsIsDense) {
  const TempFolder tmp;
  const ConstantPtr weight = Constant::cast(cases()[0].weight, DType::f32);
  const Result<ConstantPtr> got = weight_of(write(tmp, weight, Opset::ios15));
  ASSERT_TRUE(got) << render(got.error());
  EXPECT_TRUE((*got)->is_direct());
  EXPECT_TRUE((*got)->same_as(*weight));
}

TEST(StorageForm, BlocksAlongOneAxisAreAffineBeforeIOS18) {
  const TempFolder tmp;
  for (const Shape& scales : {Shape{8, 1}, Shape{1, 16}, Shape{1, 1}}) {
    const ConstantPtr weight =
        stored(form::Blockwise{ints(DType::i8, kShape, {1, -7, 100}), halves(scales), nullptr, nullptr});
    const Result<ConstantPtr> got = weight_of(write(tmp, weight, Opset::ios17));
    ASSERT_TRUE(got) << render(got.error());
    EXPECT_NE((*got)->as<form::Affine>(), nullptr);
    EXPECT_TRUE((*got)->same_as(*weight));
  }
}

TEST(StorageForm, PackagesHoldTheCompressedBytesOnly) {
  const TempFolder tmp;
  const Shape big{256, 512};
  const ConstantPtr weight = Constant::stored(
      DType::f16, big, form::Palette{ints(DType::u2, big, {0, 1, 2, 3, 3, 1}), halves({1, 1, 4, 1}), 0, nullptr});
  for (const Opset opset : {Opset::ios16, Opset::ios18}) {
    const std::string path = write(tmp, weight, opset);
    EXPECT_LT(contents(path).at(std::string(kWeights)).size(), 256u * 512 / 4 + 512);
    EXPECT_EQ((*weight_of(path))->stored_bytes(), weight->stored_bytes());
  }
}

// What a file may claim, as the reader answers it: the writer does not check constants, and reads what it wrote.
std::string refusal(const ConstantPtr& lie, Opset opset = Opset::ios18) {
  const TempFolder tmp;
  const Status s =
      write_package(*adding(lie, opset), tmp.file("lie.mlpackage"), {.target = ir::Target::mlprogram(opset)});
  return s ? std::string("written") : render(s.error());
}

TEST(StorageForm, LiesAreRefusedWhenRead) {
  using testing::HasSubstr;
  const ConstantPtr codes = ints(DType::u2, kShape, {1, 3}), bytes = ints(DType::i8, kShape, {1});
  const ConstantPtr mask = ints(DType::u1, kShape, {1, 0});  // 64 ones
  EXPECT_THAT(refusal(stored(form::Palette{codes, halves({1, 1, 2, 1}), 0, nullptr})),
              HasSubstr("lut [1, 1, 2, 1] with indices of uint2"));
  EXPECT_THAT(refusal(stored(form::Palette{codes, halves({1, 1, 8, 1}), 0, nullptr})),
              HasSubstr("lut [1, 1, 8, 1] with indices of uint2"));
  EXPECT_THAT(refusal(stored(form::Palette{codes, halves({3, 1, 4, 1}), 0, nullptr})), HasSubstr("lut [3, 1, 4, 1]"));
  EXPECT_THAT(refusal(stored(form::Palette{codes, halves({1, 1, 16, 1}), 0, nullptr}), Opset::ios16),
              HasSubstr("packed into uint8[32]"));
  EXPECT_THAT(refusal(stored(form::Palette{codes, halves({1, 1, 5, 1}), 0, nullptr}), Opset::ios16),
              HasSubstr("a palette of 5 entries"));
  EXPECT_THAT(refusal(stored(form::Sparse{halves({63}), mask})),
              HasSubstr("64 ones in 'mask', 63 values in 'nonzero_data'"));
  EXPECT_THAT(refusal(stored(form::Sparse{halves({65}), mask}), Opset::ios16),
              HasSubstr("64 ones in 'mask', 65 values in 'nonzero_data'"));
  EXPECT_THAT(refusal(stored(form::Palette{ints(DType::u2, {63}, {1}), halves({1, 1, 4, 1}), 0, mask})),
              HasSubstr("64 ones in 'indices_mask', 63 values in 'indices_nonzero_data'"));
  EXPECT_THAT(refusal(stored(form::Blockwise{bytes, halves({3, 1}), nullptr, nullptr})),
              HasSubstr("scale [3, 1] does not divide"));
  EXPECT_THAT(refusal(stored(form::Blockwise{bytes, halves({8}), nullptr, nullptr})),
              HasSubstr("scale [8] does not divide"));
  EXPECT_THAT(refusal(stored(form::Blockwise{bytes, halves({8, 1}), ints(DType::i8, {1, 1}, {0}), nullptr})),
              HasSubstr("offset is"));
  EXPECT_THAT(refusal(stored(form::Affine{bytes, halves({5}), nullptr, 0}), Opset::ios16),
              HasSubstr("takes one value or one for each entry of axis 0"));
  EXPECT_THAT(refusal(stored(form::Affine{bytes, halves({}), nullptr, 7}), Opset::ios16), HasSubstr("axis"));
}

void read_constants(const Model& m) {
  ir::visit_ops(m.program->main()->body, [](ir::Op& op) {
    for (const auto& arg : op.args) {
      for (const ir::Value* v : arg) {
        if (!v->is_constant() || v->dtype() == DType::string) continue;
        size_t bytes = 0;
        v->constant->read([&](const void*, size_t n) { bytes += n; });
        EXPECT_EQ(bytes, v->constant->bytes());
      }
    }
  });
}

// What is read in spite of damage is safe to decompress.
TEST(StorageForm, DamagedIsRefusedOrHasElements) {
  const TempFolder tmp;
  test::Random random(1);
  int read = 0, refused = 0;
  for (const Case& c : cases()) {
    for (const Opset opset : {Opset::ios16, Opset::ios18}) {
      const std::string path = write(tmp, c.weight, opset);
      const std::map<std::string, std::string> good = contents(path);
      for (int i = 0; i < 12; ++i) {
        const std::string file(i % 3 == 0 ? kModel : kWeights);
        write_bytes(path + "/" + file, test::mutated(0, good.at(file), good.at(file), random));
        if (const Result<Model> m = read_package(path)) {
          read_constants(*m);
          ++read;
        } else {
          EXPECT_NE(m.error().code, Code::internal) << render(m.error());
          ++refused;
        }
        write_bytes(path + "/" + file, good.at(file));
      }
    }
  }
  EXPECT_GT(read, 40);
  EXPECT_GT(refused, 40);
}

TEST(StorageForm, OfFewBitsIsNotReadAsTooMuch) {
  // 4 MB of vectors for each bit: more than any weight expands.
  const int64_t vector = int64_t{1} << 12;
  const ConstantPtr lie = Constant::stored(
      DType::f32, Shape{1 << 20, vector},
      form::Palette{ints(DType::u1, {1 << 20, 1}, {0}), counting(DType::f32, {1, 1, 2, vector}), 1, nullptr});
  EXPECT_THAT(refusal(lie), testing::HasSubstr("a weight of tensor<fp32, [1048576, 4096]> from"));
}

}  // namespace
}  // namespace graft::coreml
