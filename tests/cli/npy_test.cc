#include "files/npy.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "files/failure.h"

namespace cli {
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
  // A file as verbs write it.
  std::string write(const std::string& name, graft_dtype dtype, std::vector<int64_t> shape, const std::string& data) {
    std::ofstream(path(name), std::ios::binary) << npy_header(dtype, shape).value() << data;
    return path(name);
  }
  fs::path folder_;
};

std::string data_of(const Array& a) { return {reinterpret_cast<const char*>(a.data.get()), a.bytes}; }

// What read_npy fails with; GRAFT_CODE_OK where it does not.
graft_code code_of(const std::string& file) {
  try {
    read_npy(file);
    return GRAFT_CODE_OK;
  } catch (const Failure& f) {
    EXPECT_EQ(f.file, file);
    return f.code;
  }
}

TEST_F(Npy, RoundTripsEveryType) {
  const std::pair<graft_dtype, size_t> types[] = {
      {GRAFT_DTYPE_BOOL, 1},      {GRAFT_DTYPE_INT8, 1},       {GRAFT_DTYPE_INT16, 2},   {GRAFT_DTYPE_INT32, 4},
      {GRAFT_DTYPE_INT64, 8},     {GRAFT_DTYPE_UINT8, 1},      {GRAFT_DTYPE_UINT16, 2},  {GRAFT_DTYPE_UINT32, 4},
      {GRAFT_DTYPE_UINT64, 8},    {GRAFT_DTYPE_FLOAT16, 2},    {GRAFT_DTYPE_FLOAT32, 4}, {GRAFT_DTYPE_FLOAT64, 8},
      {GRAFT_DTYPE_COMPLEX64, 8}, {GRAFT_DTYPE_COMPLEX128, 16}};
  using Dims = std::vector<int64_t>;
  for (const auto& [dtype, size] : types) {
    for (const Dims& shape : {Dims{}, Dims{0}, Dims{5}, Dims{2, 3}, Dims{1, 2, 1, 2, 1, 2, 1, 2}}) {
      size_t bytes = size;
      for (const int64_t d : shape) bytes *= static_cast<size_t>(d);
      std::string data(bytes, '\0');
      for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(dtype == GRAFT_DTYPE_BOOL ? i & 1 : i * 7);
      const Array b = read_npy(write("a.npy", dtype, shape, data));
      EXPECT_EQ(b.dtype, dtype);
      EXPECT_EQ(b.shape, shape);
      EXPECT_EQ(data_of(b), data) << dtype;
      EXPECT_EQ((fs::file_size(path("a.npy")) - bytes) % 64, 0u) << "where the data starts";
    }
  }
}

TEST(NpyHeader, KnowsWhatNumPyLacks) {
  EXPECT_FALSE(npy_header(GRAFT_DTYPE_BFLOAT16, {}));
  EXPECT_FALSE(npy_header(GRAFT_DTYPE_STRING, {}));
}

TEST_F(Npy, ReadsFortranOrder) {
  // [[0, 1, 2], [3, 4, 5]] column by column.
  const Array a = read_npy(
      file("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }\n", bytes_of<int32_t>({0, 3, 1, 4, 2, 5})));
  EXPECT_EQ(data_of(a), bytes_of<int32_t>({0, 1, 2, 3, 4, 5}));
}

TEST_F(Npy, ReadsBigEndianAndLaterVersions) {
  for (const int version : {1, 2, 3}) {
    const Array a = read_npy(
        file("{'shape': (2,), 'descr': '>i2', 'fortran_order': False}", std::string("\x01\x02\xff\xfe", 4), version));
    EXPECT_EQ(data_of(a), bytes_of<int16_t>({0x102, -2}));
  }
}

TEST_F(Npy, BoolsAreZeroOrOne) {
  const Array a =
      read_npy(file("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", std::string("\x00\x02\x01", 3)));
  EXPECT_EQ(data_of(a), std::string("\x00\x01\x01", 3));
}

TEST_F(Npy, StringsComeBack) {
  const std::vector<const char*> words = {"", "dog", "K\xc3\xa4se", "\xe7\x9a\x84", "\xf0\x9f\x98\x80!", "\xff"};
  const std::vector<int64_t> shape = {2, 3};
  const std::string whole = npy_strings(words, shape), path = testing::TempDir() + "strings.npy";
  std::ofstream(path, std::ios::binary) << whole;
  const Array a = read_npy(path);
  ASSERT_EQ(a.dtype, GRAFT_DTYPE_STRING);
  EXPECT_EQ(a.shape, shape);
  EXPECT_EQ(*a.strings,
            (std::vector<std::string>{"", "dog", "K\xc3\xa4se", "\xe7\x9a\x84", "\xf0\x9f\x98\x80!", "\xef\xbf\xbd"}));
  for (size_t i = 0; i < words.size(); ++i) {
    const char* pointer = nullptr;
    std::memcpy(&pointer, a.data.get() + i * sizeof pointer, sizeof pointer);
    EXPECT_EQ(pointer, (*a.strings)[i]);
  }
}

TEST_F(Npy, RefusesWhatItCannotRead) {
  const auto code = [&](const std::string& header, const std::string& data = std::string(64, '\0'), int version = 1) {
    return code_of(file(header, data, version));
  };
  EXPECT_EQ(code("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code("{'descr': '<U0', 'fortran_order': False, 'shape': (1,), }"), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code("{'descr': '', 'fortran_order': False, 'shape': (1,), }"), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code("{'descr': '<', 'fortran_order': False, 'shape': (1,), }"), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code("{'descr': '|S4', 'fortran_order': False, 'shape': (1,), }"), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code("{'descr': '<U99999999', 'fortran_order': False, 'shape': (1,), }"), GRAFT_CODE_MALFORMED);
  EXPECT_EQ(code("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "", 9), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (100,), }"), GRAFT_CODE_MALFORMED);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999), }"),
            GRAFT_CODE_MALFORMED);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), GRAFT_CODE_MALFORMED);
  EXPECT_EQ(code("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }"),
            GRAFT_CODE_LIMIT_EXCEEDED);
  EXPECT_EQ(code("{'descr': '<f4', 'shape': (1,), }"), GRAFT_CODE_MALFORMED);
  EXPECT_EQ(code("nonsense"), GRAFT_CODE_UNSUPPORTED_FORMAT);
  EXPECT_EQ(code_of(path("none.npy")), GRAFT_CODE_FILE_NOT_FOUND);
}

// Every prefix of a good file is an error, never a crash.
TEST_F(Npy, SurvivesTruncation) {
  std::ifstream in(write("a.npy", GRAFT_DTYPE_FLOAT32, {4, 4}, std::string(64, '\1')), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::ofstream(path("b.npy"), std::ios::binary) << bytes.substr(0, n);
    EXPECT_NE(code_of(path("b.npy")), GRAFT_CODE_OK) << n;
  }
}

TEST(FileNames, KeepOnlyPlainCharacters) {
  EXPECT_EQ(file_name_of("probabilities"), "probabilities.npy");
  EXPECT_EQ(file_name_of("/head/scores:0"), "_head_scores_0.npy");
  EXPECT_EQ(file_name_of("../../etc/passwd"), ".._.._etc_passwd.npy");
  EXPECT_EQ(file_name_of("größe"), "gr____e.npy");
}

}  // namespace
}  // namespace cli
