#include "tools/npy.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/half.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;

class Npy : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("graft_npy_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // A file with that header dictionary and data.
  std::string file(const std::string& header, const std::string& data, int version = 1) const {
    std::string bytes = "\x93NUMPY";
    bytes += static_cast<char>(version);
    bytes += '\0';
    bytes += static_cast<char>(header.size() & 0xff);
    bytes += static_cast<char>(header.size() >> 8);
    if (version > 1) bytes += std::string(2, '\0');
    std::ofstream(path("x.npy"), std::ios::binary) << bytes << header << data;
    return path("x.npy");
  }
  template <class T>
  static std::string bytes_of(std::initializer_list<T> values) {
    return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
  }
  fs::path folder_;
};

TEST_F(Npy, RoundTripsEveryType) {
  for (const DType t : {DType::boolean, DType::i8, DType::i16, DType::i32, DType::i64, DType::u8, DType::u16,
                        DType::u32, DType::u64, DType::f16, DType::f32, DType::f64, DType::c64, DType::c128}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{5}, Shape{2, 3}, Shape{1, 2, 1, 2, 1, 2, 1, 2}}) {
      Tensor a(t, shape);
      auto* raw = static_cast<unsigned char*>(a.mutable_view().data);
      for (size_t i = 0; i < a.view().bytes(); ++i)
        raw[i] = static_cast<unsigned char>(t == DType::boolean ? i & 1 : i * 7);
      fs::remove(path("a.npy"));
      ASSERT_TRUE(write_npy(path("a.npy"), a.view()));
      const Result<Tensor> b = read_npy(path("a.npy"));
      ASSERT_TRUE(b) << render(b.error());
      EXPECT_EQ(b->dtype(), t);
      EXPECT_EQ(b->shape(), shape);
      EXPECT_TRUE(a.view().bytes() == 0 || std::memcmp(raw, b->view().data, a.view().bytes()) == 0) << name(t);
      EXPECT_EQ((fs::file_size(path("a.npy")) - a.view().bytes()) % 64, 0u) << "where the data starts";
    }
  }
}

TEST_F(Npy, WritesBf16AsFloat32) {
  const BFloat16 values[] = {BFloat16(1.5f), BFloat16(-2.0f)};
  const Tensor a = Tensor::of<BFloat16>(DType::bf16, {2}, values);
  ASSERT_TRUE(write_npy(path("a.npy"), a.view()));
  const Result<Tensor> b = read_npy(path("a.npy"));
  ASSERT_TRUE(b);
  EXPECT_EQ(b->dtype(), DType::f32);
  EXPECT_EQ(element_as_double(b->view(), 0), 1.5);
  EXPECT_EQ(element_as_double(b->view(), 1), -2);
}

TEST_F(Npy, ReadsFortranOrder) {
  // [[0, 1, 2], [3, 4, 5]] column by column.
  const Result<Tensor> t = read_npy(
      file("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }\n", bytes_of<int32_t>({0, 3, 1, 4, 2, 5})));
  ASSERT_TRUE(t) << render(t.error());
  for (int i = 0; i < 6; ++i) EXPECT_EQ(element_as_int(t->view(), i), i);
}

TEST_F(Npy, ReadsBigEndianAndLaterVersions) {
  for (const int version : {1, 2, 3}) {
    const Result<Tensor> t = read_npy(
        file("{'shape': (2,), 'descr': '>i2', 'fortran_order': False}", std::string("\x01\x02\xff\xfe", 4), version));
    ASSERT_TRUE(t) << render(t.error());
    EXPECT_EQ(element_as_int(t->view(), 0), 0x102);
    EXPECT_EQ(element_as_int(t->view(), 1), -2);
  }
}

TEST_F(Npy, BoolsAreZeroOrOne) {
  const Result<Tensor> t =
      read_npy(file("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", std::string("\x00\x02\x01", 3)));
  ASSERT_TRUE(t);
  const auto* raw = static_cast<const unsigned char*>(t->view().data);
  EXPECT_EQ(raw[0] + 2 * raw[1] + 4 * raw[2], 6);
}

TEST_F(Npy, RefusesWhatItCannotRead) {
  const auto code = [&](const std::string& header, const std::string& data = std::string(64, '\0'), int version = 1) {
    const Result<Tensor> t = read_npy(file(header, data, version));
    return t ? Code::internal : t.error().code;
  };
  EXPECT_EQ(code("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"), Code::unsupported_format);
  EXPECT_EQ(code("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }"), Code::unsupported_format);
  EXPECT_EQ(code("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), Code::unsupported_format);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "", 9), Code::unsupported_format);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (100,), }"), Code::malformed);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }"), Code::malformed);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), Code::malformed);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }"), Code::limit_exceeded);
  EXPECT_EQ(code("{'descr': '<f4', 'shape': (1,), }"), Code::malformed);
  EXPECT_EQ(code("nonsense"), Code::unsupported_format);
  EXPECT_EQ(read_npy(path("none.npy")).error().code, Code::file_not_found);
}

// Every prefix of a good file is an error or, where only padding is cut, the same array; never a crash.
TEST_F(Npy, SurvivesTruncation) {
  const Tensor a(DType::f32, {4, 4});
  ASSERT_TRUE(write_npy(path("a.npy"), a.view()));
  std::ifstream in(path("a.npy"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::ofstream(path("b.npy"), std::ios::binary) << bytes.substr(0, n);
    EXPECT_FALSE(read_npy(path("b.npy"))) << n;
  }
}

TEST(FileNames, KeepOnlyPlainCharacters) {
  EXPECT_EQ(file_name_of("probabilities"), "probabilities.npy");
  EXPECT_EQ(file_name_of("/head/scores:0"), "_head_scores_0.npy");
  EXPECT_EQ(file_name_of("../../etc/passwd"), ".._.._etc_passwd.npy");
  EXPECT_EQ(file_name_of("größe"), "gr____e.npy");
}

}  // namespace
}  // namespace graft::tools
