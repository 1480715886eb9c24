#include "onnx/reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "onnx/messages.h"
#include "onnx/wire.h"
#include "support/allocations.h"

namespace fs = std::filesystem;

namespace graft::onnx {
namespace {

using test::Writer;
using testing::ElementsAre;
using testing::HasSubstr;
using ModelPtr = std::shared_ptr<const Model>;

const std::string kSmall = GRAFT_SOURCE_DIR "/models/small/";

Result<ModelPtr> read(const std::string& data, const std::string& folder = {}) {
  return read_memory(test::bytes_of(data), folder);
}

// The one error that reading gives; a Diag of its own when there is none.
Diag error_of(const std::string& data, const std::string& folder = {}) {
  auto m = read(data, folder);
  if (m) ADD_FAILURE() << "read without an error";
  return m ? Diag{} : m.error();
}

// The value of initializer `t` in a model that must be fine.
ir::ConstantPtr constant(const std::string& data, const std::string& folder = {}) {
  auto m = read(data, folder);
  if (!m) ADD_FAILURE() << render(m.error());
  const Initializer* i = m ? (*m)->graph.find_initializer("t") : nullptr;
  return i != nullptr ? i->value : nullptr;
}

std::vector<double> doubles(const ir::ConstantPtr& c) {
  std::vector<double> v;
  for (int64_t i = 0; c && i < c->count(); ++i) v.push_back(element_as_double(c->view(), i));
  return v;
}

// A folder for one test, removed at its end.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "graft-reader-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  void write(const std::string& name, const std::string& data) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << data;
  }

 private:
  fs::path path_;
};

// The models that ship with the project

TEST(Reader, ReadsEverySmallModel) {
  int count = 0;
  for (const auto& e : fs::directory_iterator(kSmall)) {
    if (e.path().extension() != ".onnx") continue;
    auto m = read_file(e.path().string());
    ASSERT_TRUE(m) << render(m.error());
    EXPECT_FALSE((*m)->graph.nodes.empty()) << e.path();
    ++count;
  }
  EXPECT_GE(count, 19);
}

TEST(Reader, ReadsEverySharedModel) {
  if (!fs::exists(GRAFT_SHARED_DIR "/models")) GTEST_SKIP() << "no models beside the project";
  int count = 0;
  for (const auto& e : fs::recursive_directory_iterator(GRAFT_SHARED_DIR "/models")) {
    if (e.path().extension() != ".onnx") continue;
    auto m = read_file(e.path().string());
    ASSERT_TRUE(m) << render(m.error());
    ++count;
  }
  EXPECT_GE(count, 100);
}

TEST(Reader, MapsInsteadOfCopying) {
  const std::string path = GRAFT_SHARED_DIR "/models/zoo/resnet18.onnx";
  if (!fs::exists(path)) GTEST_SKIP() << "no models beside the project";
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    test::watch_allocations();
    const auto start = std::chrono::steady_clock::now();
    auto m = read_file(path);
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    ASSERT_TRUE(m) << render(m.error());
    EXPECT_LT(test::peak_allocated(), size_t{1} << 20) << "of a 46 MB file";
  }
  RecordProperty("milliseconds", std::to_string(best));
  EXPECT_LT(best, 20) << "milliseconds to read resnet18";
}

// Each dtype twice, from raw_data and from its typed field, as the script that makes the models wrote them.
TEST(Reader, TypedFieldsEqualRawData) {
  int pairs = 0;
  for (const char* file : {"dtypes", "dtypes_narrow", "dtypes_float4", "dtypes_newest", "dtypes_other"}) {
    auto m = read_file(kSmall + file + ".onnx");
    ASSERT_TRUE(m) << render(m.error());
    for (const Initializer& raw : (*m)->graph.initializers) {
      const size_t at = raw.name.find("_raw");
      if (at == std::string::npos) continue;
      const Initializer* typed = (*m)->graph.find_initializer(raw.name.substr(0, at) + "_typed");
      if (typed == nullptr) continue;
      EXPECT_TRUE(raw.value->same_as(*typed->value)) << raw.name;
      ++pairs;
    }
  }
  EXPECT_EQ(pairs, 13 + 6 + 1 + 3 + 2 + 1);  // dtypes_other: two complex types and a scalar
}

TEST(Reader, SmallModelFacts) {
  auto m = read_file(kSmall + "dynamic_heads.onnx");
  ASSERT_TRUE(m);
  ASSERT_FALSE((*m)->graph.inputs.empty());
  const ValueType& type = (*m)->graph.inputs[0].type;
  EXPECT_EQ(type.kind, ValueType::Kind::tensor);
  EXPECT_TRUE(type.has_shape);
  EXPECT_EQ(type.dims.at(0).symbol, "batch");
  EXPECT_EQ(type.dims.at(1).symbol, "seq");
  EXPECT_TRUE(type.dims.at(2).known());
  EXPECT_EQ((*m)->path, kSmall + "dynamic_heads.onnx");

  auto old = read_file(kSmall + "overridable_ir3.onnx"), current = read_file(kSmall + "overridable_ir8.onnx");
  ASSERT_TRUE(old && current);
  EXPECT_TRUE((*old)->overridable.empty());
  EXPECT_THAT((*current)->overridable, ElementsAre("scale"));
  EXPECT_EQ((*old)->graph.inputs.size(), 1u);
  EXPECT_EQ((*current)->graph.inputs.size(), 1u);

  auto external = read_file(kSmall + "external_data.onnx");
  ASSERT_TRUE(external) << render(external.error());
  EXPECT_EQ((*external)->graph.initializers.size(), 4u);

  auto unsupported = read_file(kSmall + "unsupported_op.onnx");
  ASSERT_TRUE(unsupported);
  bool found = false;
  for (const Node& n : (*unsupported)->graph.nodes) found |= n.op_type == "Frobnicate" && n.domain == "com.example";
  EXPECT_TRUE(found);
}

TEST(Reader, ConstantsOutliveTheModel) {
  auto m = read_file(kSmall + "mlp.onnx");
  ASSERT_TRUE(m);
  const ir::ConstantPtr kept = (*m)->graph.initializers.at(0).value;
  const uint64_t before = kept->hash();
  m = fail(Code::internal, "dropped");
  const ir::ConstantPtr again = (*read_file(kSmall + "mlp.onnx"))->graph.initializers.at(0).value;
  EXPECT_EQ(again->hash(), before);
  EXPECT_TRUE(kept->same_as(*again));
}

// Odd encodings of tensors

TEST(Reader, PackedAndUnpackedNumbers) {
  const std::vector<float> f = {1.5f, -2.f, 0.25f};
  const auto packed = test::tensor("t", 1, {3}, [&](Writer& w) { w.add_packed_float(4, f.begin(), f.end()); });
  const auto single = test::tensor("t", 1, {3}, [&](Writer& w) {
    for (float v : f) w.add_float(4, v);
  });
  const auto mixed = test::tensor("t", 1, {3}, [&](Writer& w) {
    w.add_packed_float(4, f.begin(), f.begin() + 2);
    w.add_float(4, f[2]);
  });
  for (const auto& t : {packed, single, mixed}) {
    EXPECT_THAT(doubles(constant(test::model_of(t))), ElementsAre(1.5, -2, 0.25));
  }
  const std::vector<int64_t> i = {-1, int64_t{1} << 40, 3};
  const auto ints = test::tensor("t", 7, {3}, [&](Writer& w) {
    w.add_packed_int64(7, i.begin(), i.begin() + 1);
    w.add_int64(7, i[1]);
    w.add_packed_int64(7, i.begin() + 2, i.end());
  });
  EXPECT_THAT(doubles(constant(test::model_of(ints))), ElementsAre(-1, 0x1p40, 3));
}

TEST(Reader, PackedDims) {
  const std::vector<int64_t> dims = {2, 1};
  const auto t = test::message([&](Writer& w) {
    w.add_packed_int64(1, dims.begin(), dims.end());
    w.add_int32(2, 1);
    w.add_string(8, "t");
    w.add_bytes(9, std::string(8, '\0'));
  });
  EXPECT_EQ(constant(test::model_of(t))->shape(), Shape({2, 1}));
}

TEST(Reader, NarrowTypesInInt32Data) {
  const auto of = [](int type, std::vector<int32_t> v, int64_t count) {
    return doubles(constant(test::model_of(
        test::tensor("t", type, {count}, [&](Writer& w) { w.add_packed_int32(5, v.begin(), v.end()); }))));
  };
  EXPECT_THAT(of(10, {0x3e00, 0xc000}, 2), ElementsAre(1.5, -2));  // fp16 as bits
  EXPECT_THAT(of(16, {0x3fc0, 0xc000}, 2), ElementsAre(1.5, -2));  // bf16
  EXPECT_THAT(of(9, {0, 1, 256}, 3), ElementsAre(0, 1, 1));        // bool: not 0 is true
  EXPECT_THAT(of(3, {-128, 127}, 2), ElementsAre(-128, 127));      // int8
  EXPECT_THAT(of(4, {65535, 1}, 2), ElementsAre(65535, 1));        // uint16
  EXPECT_THAT(of(22, {0x8f, 0x07}, 3), ElementsAre(-1, -8, 7));    // int4: two to a value
}

TEST(Reader, BoolBytesAreNormalised) {
  const auto c = constant(test::model_of(test::raw_tensor("t", 9, {4}, std::string("\0\1\2\xff", 4))));
  ASSERT_TRUE(c);
  EXPECT_EQ(std::memcmp(c->view().data, "\0\1\1\1", 4), 0);
}

TEST(Reader, Strings) {
  const auto c = constant(test::model_of(test::tensor("t", 8, {2}, [](Writer& w) {
    w.add_bytes(6, std::string("a\0b", 3));
    w.add_bytes(6, "");
  })));
  ASSERT_TRUE(c);
  EXPECT_EQ(c->view().as<std::string>()[0], std::string("a\0b", 3));
  EXPECT_EQ(c->view().as<std::string>()[1], "");
}

TEST(Reader, ScalarsAndEmptyTensors) {
  EXPECT_THAT(doubles(constant(test::model_of(test::tensor("t", 1, {}, [](Writer& w) { w.add_float(4, 7.f); })))),
              ElementsAre(7));
  for (int type : {1, 7, 8, 9, 22}) {
    const auto c = constant(test::model_of(test::tensor("t", type, {0, 3}, [](Writer&) {})));
    ASSERT_TRUE(c);
    EXPECT_EQ(c->count(), 0);
  }
}

TEST(Reader, TensorErrorsNameTheTensor) {
  using test::model_of;
  using test::raw_tensor;
  const auto none = [](Writer&) {};
  const auto one_int = [](Writer& w) { w.add_int32(5, 1); };
  struct Case {
    std::string tensor;
    Code code;
    const char* words;
  } cases[] = {
      {raw_tensor("t", 1, {2}, "1234"), Code::invalid_model, "takes 8 bytes, raw_data has 4"},
      {raw_tensor("t", 1, {-2}, "1234"), Code::invalid_model, "negative dim"},
      {raw_tensor("t", 1, {int64_t{1} << 62, 4}, "1234"), Code::invalid_model, "too many elements"},
      {raw_tensor("t", 1, {0, int64_t{1} << 62, 4}, ""), Code::invalid_model, "too many elements"},
      {raw_tensor("t", 1, {int64_t{1} << 61}, "1234"), Code::invalid_model, "too many elements"},
      {raw_tensor("t", 22, {INT64_MAX}, "1234"), Code::invalid_model, "too many elements"},
      {raw_tensor("t", 1, std::vector<int64_t>(9, 1), "1234"), Code::limit_exceeded, "rank 9"},
      {raw_tensor("t", 99, {1}, "1234"), Code::unsupported_format, "element type 99"},
      {raw_tensor("t", 0, {1}, "1234"), Code::unsupported_format, "element type 0"},
      {raw_tensor("t", -1, {1}, "1234"), Code::unsupported_format, "element type -1"},
      {raw_tensor("t", 8, {1}, "1234"), Code::invalid_model, "strings in raw_data"},
      {test::tensor("t", 1, {1}, none), Code::invalid_model, "needs 1 values in float_data, the file has 0"},
      {test::tensor("t", 1, {1}, one_int), Code::invalid_model, "in int32_data; it belongs in float_data"},
      {test::tensor("t", 6, {int64_t{1} << 50}, one_int), Code::invalid_model, "the file has 1"},
      {test::tensor("t", 8, {int64_t{1} << 50}, none), Code::invalid_model, "the file has 0"},
      {test::tensor("t", 6, {1}, [](Writer& w) { w.add_float(4, 1.f), w.add_int32(5, 1); }), Code::invalid_model,
       "in several fields"},
      {test::tensor("t", 1, {1}, [](Writer& w) { w.add_bytes(9, "1234"), w.add_float(4, 1.f); }), Code::invalid_model,
       "raw_data and float_data"},
      {test::tensor("t", 1, {1}, [](Writer& w) { w.add_message(3, std::string()); }), Code::unsupported_format,
       "segments"},
      {test::tensor("t", 1, {1}, [](Writer& w) { w.add_enum(14, 2); }), Code::unsupported_format, "data location 2"},
      {test::tensor("t", 1, {1}, [](Writer& w) { w.add_bytes(4, "12345"); }), Code::malformed, "multiple"},
  };
  for (const Case& c : cases) {
    const Diag d = error_of(model_of(c.tensor));
    EXPECT_EQ(d.code, c.code) << render(d);
    EXPECT_THAT(d.message, HasSubstr(c.words));
    EXPECT_EQ(d.tensor, "t") << render(d);
  }
}

TEST(Reader, SparseInitializersBecomeDense) {
  const auto sparse = [](const std::string& values, const std::string& indices, std::vector<int64_t> dims) {
    const auto s = test::message([&](Writer& w) {
      w.add_message(1, values);
      w.add_message(2, indices);
      for (int64_t d : dims) w.add_int64(3, d);
    });
    return test::model(test::message([&](Writer& w) { w.add_message(15, s), w.add_message(12, test::value("t")); }));
  };
  const auto ints = [](std::vector<int64_t> dims, std::vector<int64_t> v) {
    return test::tensor("", 7, dims, [&](Writer& w) { w.add_packed_int64(7, v.begin(), v.end()); });
  };
  const auto values = test::tensor("t", 1, {2}, [](Writer& w) { w.add_float(4, 5.f), w.add_float(4, 6.f); });
  const auto flat = constant(sparse(values, ints({2}, {1, 3}), {2, 2}));
  EXPECT_THAT(doubles(flat), ElementsAre(0, 5, 0, 6));
  EXPECT_EQ(flat->shape(), Shape({2, 2}));
  EXPECT_THAT(doubles(constant(sparse(values, ints({2, 2}, {0, 1, 1, 0}), {2, 2}))), ElementsAre(0, 5, 6, 0));
  EXPECT_EQ(error_of(sparse(values, ints({2}, {1, 4}), {2, 2})).code, Code::invalid_model);
  EXPECT_EQ(error_of(sparse(values, ints({2}, {1, -1}), {2, 2})).code, Code::invalid_model);
  EXPECT_EQ(error_of(sparse(values, ints({2}, {3, 1}), {2, 2})).code, Code::invalid_model);
  EXPECT_EQ(error_of(sparse(values, ints({1}, {1}), {2, 2})).code, Code::invalid_model);
  test::watch_allocations();
  EXPECT_EQ(error_of(sparse(values, ints({2}, {1, 3}), {int64_t{1} << 33})).code, Code::limit_exceeded);
  EXPECT_LT(test::largest_allocation(), size_t{1} << 20);
}

// The wire

TEST(Reader, BrokenWire) {
  const std::string good = test::model_of(test::raw_tensor("t", 1, {1}, "1234"));
  ASSERT_TRUE(read(good));
  struct Case {
    std::string data;
    const char* words;
  } cases[] = {
      {"", "empty"},
      {std::string(1, '\0'), "not a field number"},
      {"\x0b", "not a wire type"},
      {std::string("\x08") + std::string(11, '\xff'), "more than 10 bytes"},
      {"\x08\xff", "ends inside a number"},
      {"\x6d\x01", "ends inside a number"},
      {"\x3a\x05hi", "past the end"},
      {std::string("\x3a\x81\x80\x80\x80\x10\x00", 7), "past the end"},  // 2^32 + 1: not 1
      {"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "past the end"},
      {"\x3d\x01\x02\x03\x04", "wire type"},  // the graph as a fixed32
      {good.substr(0, 4), "past the end"},
      {good.substr(0, 2), "not an ONNX model"},
  };
  for (const Case& c : cases) {
    const Diag d = error_of(c.data);
    EXPECT_EQ(d.code, Code::malformed) << render(d);
    EXPECT_THAT(d.message, HasSubstr(c.words));
  }
  EXPECT_THAT(error_of(good + "\x3a\x05hi").message, HasSubstr("(byte " + std::to_string(good.size() + 2) + ")"));
  EXPECT_THAT(error_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\n").message, HasSubstr("Git LFS"));
}

TEST(Reader, UnknownFieldsAreSkipped) {
  const std::string good = test::model_of(test::raw_tensor("t", 1, {1}, "1234"));
  const std::string more = test::message(
      [&](Writer& w) { w.add_int64(900, 1), w.add_fixed32(901, 1), w.add_fixed64(902, 1), w.add_bytes(903, "x"); });
  EXPECT_TRUE(read(more + good + more));
}

TEST(Reader, NamesMustBePlainText) {
  EXPECT_EQ(error_of(test::model_of(test::raw_tensor(std::string("t\0u", 3), 1, {1}, "1234"))).code, Code::malformed);
  EXPECT_EQ(error_of(test::model_of(test::raw_tensor("t\xff", 1, {1}, "1234"))).code, Code::malformed);
  EXPECT_EQ(error_of(test::model_of(test::raw_tensor(std::string(70000, 'n'), 1, {1}, "1234"))).code,
            Code::limit_exceeded);
  EXPECT_TRUE(is_plain_text("größe/東/𝄞"));
  for (const char* bad : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(is_plain_text(bad));
  }
  EXPECT_EQ(cleaned_text("a\xff"
                         "b"),
            "a\xef\xbf\xbd"
            "b");
}

TEST(Reader, TextThatIsNotANameIsCleaned) {
  const std::string data =
      test::model_of(test::raw_tensor("t", 1, {1}, "1234")) + test::message([](Writer& w) {
        w.add_string(2, "maker\xff");
        w.add_message(14,
                      test::message([](Writer& e) { e.add_string(1, "k"), e.add_string(2, std::string("v\0", 2)); }));
      });
  auto m = read(data);
  ASSERT_TRUE(m);
  EXPECT_EQ((*m)->producer_name, "maker\xef\xbf\xbd");
  EXPECT_EQ((*m)->metadata.at("k"), "v\xef\xbf\xbd");
}

TEST(Reader, HeaderErrors) {
  const std::string g = test::graph({{}, {}, {test::value("x")}, {test::value("x")}});
  EXPECT_EQ(error_of(test::message([&](Writer& w) { w.add_message(7, g); })).code,
            Code::invalid_model);  // no IR version
  EXPECT_EQ(error_of(test::message([&](Writer& w) { w.add_int64(1, 8), w.add_message(7, g); })).code,
            Code::invalid_model);  // no opset
  auto ancient = read(test::message([&](Writer& w) { w.add_int64(1, 2), w.add_message(7, g); }));
  ASSERT_TRUE(ancient);
  EXPECT_EQ((*ancient)->opsets.at(""), 1);
  EXPECT_EQ(error_of(test::model(g, 8, 0)).code, Code::invalid_model);
  EXPECT_EQ(
      error_of(test::model(g) + test::message([](Writer& w) { w.add_message(8, test::opset("ai.onnx", 9)); })).code,
      Code::invalid_model);
  EXPECT_EQ(error_of(test::model(test::graph({{}, {}, {test::value("x", {-2})}, {test::value("x")}}))).code,
            Code::invalid_model);
  EXPECT_FALSE(read_file("/nowhere/model.onnx"));
  EXPECT_EQ(read_file("/nowhere/model.onnx").error().code, Code::file_not_found);
  Folder folder;
  folder.write("bad.onnx", "\x0b");
  EXPECT_EQ(read_file(folder / "bad.onnx").error().file, folder / "bad.onnx");
}

// Attributes and bodies

TEST(Reader, AttributesOfEveryType) {
  const auto attribute = [](const std::string& name, int type, const auto& fill) {
    return test::message([&](Writer& w) { w.add_string(1, name), fill(w), w.add_enum(20, type); });
  };
  const std::vector<int64_t> three = {1, -2, 3};
  const auto t = test::raw_tensor("", 1, {1}, "1234");
  const auto g = test::graph({{}, {}, {}, {test::value("x")}});
  const auto type = test::message([](Writer& w) {
    w.add_message(4, test::message([](Writer& s) {
                    s.add_message(1, test::message([](Writer& e) {
                                    e.add_message(1, test::message([](Writer& tt) { tt.add_enum(1, 7); }));
                                  }));
                  }));
  });
  const std::string n = test::node(
      "Op", {"x"}, {"y"},
      {attribute("f", 1, [](Writer& w) { w.add_float(2, 0.5f); }),
       attribute("i", 2, [](Writer& w) { w.add_int64(3, -7); }),
       attribute("s", 3, [](Writer& w) { w.add_bytes(4, "\xff"); }),
       attribute("t", 4, [&](Writer& w) { w.add_message(5, t); }),
       attribute("g", 5, [&](Writer& w) { w.add_message(6, g); }),
       attribute("fs", 6, [](Writer& w) { w.add_float(7, 1.f), w.add_float(7, 2.f); }),
       attribute("is", 7, [&](Writer& w) { w.add_packed_int64(8, three.begin(), three.end()); }),
       attribute("ss", 8, [](Writer& w) { w.add_bytes(9, "a"), w.add_bytes(9, "b"); }),
       attribute("ts", 9, [&](Writer& w) { w.add_message(10, t), w.add_message(10, t); }),
       attribute("gs", 10, [&](Writer& w) { w.add_message(11, g), w.add_message(11, g); }),
       attribute("tp", 13, [&](Writer& w) { w.add_message(14, type); }), attribute("zero", 2, [](Writer&) {}),
       attribute("old", 0, [&](Writer& w) { w.add_packed_int64(8, three.begin(), three.end()); }),
       attribute("old0", 0, [&](Writer& w) { w.add_int64(3, 0); })},
      "my.domain");
  auto m = read(test::model(test::graph({{n}, {}, {test::value("x")}, {test::value("y")}})));
  ASSERT_TRUE(m) << render(m.error());
  const Node& node = (*m)->graph.nodes.at(0);
  EXPECT_EQ(node.name, "Op_0");
  EXPECT_EQ(node.version, 0);  // nobody imports my.domain
  EXPECT_EQ(node.find("f")->f, 0.5f);
  EXPECT_EQ(node.find("i")->i, -7);
  EXPECT_EQ(node.find("s")->s, "\xff");
  EXPECT_EQ(node.find("t")->t->bytes(), 4u);
  EXPECT_EQ(node.find("g")->g->outputs.at(0).name, "x");
  EXPECT_THAT(node.find("g")->g->captures, ElementsAre("x"));
  EXPECT_THAT(node.find("fs")->floats, ElementsAre(1, 2));
  EXPECT_THAT(node.find("is")->ints, ElementsAre(1, -2, 3));
  EXPECT_THAT(node.find("ss")->strings, ElementsAre("a", "b"));
  EXPECT_EQ(node.find("ts")->tensors.size(), 2u);
  EXPECT_EQ(node.find("gs")->graphs.size(), 2u);
  EXPECT_EQ(node.bodies().size(), 3u);
  EXPECT_EQ(node.find("tp")->types.at(0).kind, ValueType::Kind::sequence);
  EXPECT_EQ(node.find("tp")->types.at(0).element->dtype, DType::i64);
  EXPECT_EQ(node.find("zero")->type, Attribute::Type::int_);
  EXPECT_EQ(node.find("old")->type, Attribute::Type::ints);
  EXPECT_EQ(node.find("old0")->type, Attribute::Type::int_);
  EXPECT_EQ(node.find("none"), nullptr);
}

TEST(Reader, AttributeErrorsNameTheNode) {
  const auto with = [](const std::string& a) {
    return test::model(
        test::graph({{test::node("Op", {"x"}, {"y"}, {a}, "", "n")}, {}, {test::value("x")}, {test::value("y")}}));
  };
  const std::string cases[] = {
      test::message([](Writer& w) { w.add_string(1, "a"), w.add_enum(20, 4); }),                         // no tensor
      test::message([](Writer& w) { w.add_enum(20, 2); }),                                               // no name
      test::message([](Writer& w) { w.add_string(1, "a"), w.add_enum(20, 77); }),                        // what type?
      test::message([](Writer& w) { w.add_string(1, "a"), w.add_string(21, "b"), w.add_enum(20, 2); }),  // no function
  };
  for (const std::string& a : cases) {
    const Diag d = error_of(with(a));
    EXPECT_EQ(d.node, "n") << render(d);
    EXPECT_EQ(d.op, "Op");
  }
}

TEST(Reader, DepthIsBounded) {
  const auto nested = [](int depth) {
    std::string g = test::graph({{}, {}, {}, {test::value("x")}});
    for (int i = 0; i < depth; ++i) {
      g = test::graph(
          {{test::node("If", {"x"}, {"y"}, {test::graph_attribute("then_branch", g)})}, {}, {}, {test::value("y")}});
    }
    return test::model(test::graph({{test::node("If", {"x"}, {"y"}, {test::graph_attribute("then_branch", g)})},
                                    {},
                                    {test::value("x")},
                                    {test::value("y")}}));
  };
  EXPECT_TRUE(read(nested(60)));
  EXPECT_EQ(error_of(nested(70)).code, Code::limit_exceeded);
  EXPECT_EQ(error_of(nested(3000)).code, Code::limit_exceeded);
  std::string type = test::message([](Writer& w) { w.add_message(1, std::string()); });
  for (int i = 0; i < 1000; ++i) {
    type =
        test::message([&](Writer& w) { w.add_message(4, test::message([&](Writer& s) { s.add_message(1, type); })); });
  }
  const auto v = test::message([&](Writer& w) { w.add_string(1, "x"), w.add_message(2, type); });
  EXPECT_EQ(error_of(test::model(test::graph({{}, {}, {v}, {}}))).code, Code::limit_exceeded);
}

// Over 2 GB, where protobuf itself gives up. The files are holes but for their ends, and mapped: no memory is taken.

void append(std::string& s, uint64_t varint) { protozero::add_varint_to_buffer(&s, varint); }

TEST(Large, WeightsInsideAFileOfOver4GB) {
  Folder folder;
  constexpr uint64_t kBytes = (uint64_t{1} << 32) + 8;
  std::string tensor = test::tensor("t", 2, {static_cast<int64_t>(kBytes)}, [](Writer&) {});  // 2: uint8
  tensor += static_cast<char>(9 << 3 | 2);                                                    // raw_data
  append(tensor, kBytes);
  std::string graph = test::graph({{}, {}, {}, {test::value("t")}});
  graph += static_cast<char>(5 << 3 | 2);  // initializer
  append(graph, tensor.size() + kBytes);
  graph += tensor;
  std::string model = test::message([&](Writer& w) { w.add_int64(1, 8), w.add_message(8, test::opset("", 17)); });
  model += static_cast<char>(7 << 3 | 2);  // graph
  append(model, graph.size() + kBytes);
  folder.write("m.onnx", model + graph);
  const uint64_t start = fs::file_size(folder / "m.onnx");
  fs::resize_file(folder / "m.onnx", start + kBytes);
  std::fstream(folder / "m.onnx", std::ios::binary | std::ios::in | std::ios::out).seekp(-1, std::ios::end).put(7);

  test::watch_allocations();
  const auto m = read_file(folder / "m.onnx");
  ASSERT_TRUE(m) << render(m.error());
  EXPECT_LT(test::peak_allocated(), size_t{1} << 20);
  const Initializer* t = (*m)->graph.find_initializer("t");
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(t->value->count(), static_cast<int64_t>(kBytes));
  EXPECT_EQ(element_as_int(t->value->view(), t->value->count() - 1), 7);
  EXPECT_EQ(element_as_int(t->value->view(), 0), 0);
}

TEST(Large, ExternalDataBeyond4GB) {
  Folder folder;
  folder.write("w.bin", "");
  constexpr uint64_t kOffset = (uint64_t{1} << 32) + 4096;
  fs::resize_file(folder / "w.bin", kOffset);
  std::ofstream(folder / "w.bin", std::ios::binary | std::ios::app) << std::string("\0\0\x80\x3f", 4);
  const auto t = test::external_tensor("t", {1}, {{"location", "w.bin"}, {"offset", std::to_string(kOffset)}});
  EXPECT_THAT(doubles(constant(test::model_of(t), folder.path())), ElementsAre(1));
}

// External data

TEST(ExternalData, OffsetsLengthsAndSharing) {
  Folder folder;
  folder.write("sub/w.bin", std::string(3, 'x') + std::string("\0\0\x80\x3f\0\0\0\x40", 8));  // 1, 2 at byte 3
  const auto t =
      test::external_tensor("t", {2}, {{"location", "sub/w.bin"}, {"offset", "3"}, {"length", "8"}, {"checksum", "?"}});
  EXPECT_THAT(doubles(constant(test::model_of(t), folder.path())), ElementsAre(1, 2));
  const auto open = test::external_tensor("t", {1}, {{"location", "./sub/w.bin"}, {"offset", "7"}});
  EXPECT_THAT(doubles(constant(test::model_of(open), folder.path())), ElementsAre(2));
  folder.write("m.onnx", test::model_of(t));
  auto m = read_file(folder / "m.onnx");
  ASSERT_TRUE(m) << render(m.error());
  // Both tensors read the same mapping.
  const auto u = test::external_tensor("u", {1}, {{"location", "sub/../sub/w.bin"}});
  const auto v = test::external_tensor("u", {1}, {{"location", ".//sub/w.bin"}, {"offset", "3"}});
  EXPECT_EQ(error_of(test::model(test::graph({{}, {t, u}, {}, {}})), folder.path()).code, Code::unsafe_path);
  auto both = read(test::model(test::graph({{}, {t, v}, {}, {}})), folder.path());
  ASSERT_TRUE(both);
  EXPECT_EQ((*both)->graph.initializers[0].value->view().data, (*both)->graph.initializers[1].value->view().data);
}

TEST(ExternalData, PathsStayInsideTheFolder) {
  Folder folder;
  folder.write("secret.bin", "1234");
  folder.write("model/inside.bin", "1234");
  fs::create_symlink("../secret.bin", folder / "model/link.bin");
  fs::create_symlink("..", folder / "model/up");
  fs::create_symlink("inside.bin", folder / "model/fine.bin");
  fs::create_directory_symlink(folder / "model", folder / "alias");
  const auto at = [&](const std::string& location) {
    return test::model_of(test::external_tensor("t", {1}, {{"location", location}}));
  };
  for (const std::string location :
       {"../secret.bin", "a/../../secret.bin", "link.bin", "up/secret.bin", "..", "/etc/passwd"}) {
    const Diag d = error_of(at(location), folder / "model");
    EXPECT_EQ(d.code, Code::unsafe_path) << render(d);
    EXPECT_EQ(d.tensor, "t");
    EXPECT_THAT(d.message, HasSubstr(location));
  }
  EXPECT_EQ(error_of(at(std::string("in\0side", 7)), folder / "model").code, Code::unsafe_path);
  EXPECT_TRUE(read(at("inside.bin"), folder / "model"));
  EXPECT_TRUE(read(at("fine.bin"), folder / "model"));
  EXPECT_TRUE(read(at("inside.bin"), folder / "alias"));
}

TEST(ExternalData, Errors) {
  Folder folder;
  folder.write("w.bin", "12345678");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  struct Case {
    std::initializer_list<std::pair<const char*, std::string>> entries;
    Code code;
    const char* words;
  } cases[] = {
      {{{"location", "gone.bin"}}, Code::file_not_found, "gone.bin"},
      {{}, Code::invalid_model, "without a location"},
      {{{"location", "w.bin"}, {"offset", "5"}}, Code::malformed, "has 8 bytes; bytes 5 to 9"},
      {{{"location", "w.bin"}, {"offset", "18446744073709551615"}}, Code::malformed, "has 8 bytes"},
      {{{"location", "w.bin"}, {"offset", "99999999999999999999"}}, Code::invalid_model, "not a number"},
      {{{"location", "w.bin"}, {"offset", "-1"}}, Code::invalid_model, "not a number"},
      {{{"location", "w.bin"}, {"offset", "1 "}}, Code::invalid_model, "not a number"},
      {{{"location", "w.bin"}, {"length", "8"}}, Code::invalid_model, "takes 4 bytes"},
      {{{"location", "pipe"}}, Code::io_error, "not a regular file"},
      {{{"location", "."}}, Code::io_error, "not a regular file"},
  };
  for (const Case& c : cases) {
    const Diag d = error_of(test::model_of(test::external_tensor("t", {1}, c.entries)), folder.path());
    EXPECT_EQ(d.code, c.code) << render(d);
    EXPECT_THAT(d.message, HasSubstr(c.words));
    EXPECT_EQ(d.tensor, "t");
  }
  const auto t = test::external_tensor("t", {1}, {{"location", "w.bin"}});
  EXPECT_EQ(error_of(test::model_of(t)).code, Code::file_not_found);  // no folder
}

// Lengths are 64 bits: a tensor of more than 4 GB inside the file, which is a hole but for its last byte.
TEST(Reader, MoreThanFourGigabytesInside) {
  Folder folder;
  const uint64_t size = (uint64_t{1} << 32) + 5;
  const auto varint = [](uint64_t v) {
    std::string s;
    for (; v >= 128; v >>= 7) s += static_cast<char>(v | 128);
    return s + static_cast<char>(v);
  };
  const std::string t = test::tensor("t", 2, {static_cast<int64_t>(size)}, [](Writer&) {}) + "\x4a" + varint(size);
  const std::string outputs = test::message([](Writer& w) { w.add_message(12, test::value("t")); });
  const std::string g = outputs + "\x2a" + varint(t.size() + size) + t;
  const std::string head = test::model({}) + "\x3a" + varint(g.size() + size) + g;
  const std::string path = folder / "huge.onnx";
  folder.write("huge.onnx", head);
  const int fd = ::open(path.c_str(), O_WRONLY);
  ASSERT_GE(fd, 0);
  if (::pwrite(fd, "\x2a", 1, static_cast<off_t>(head.size() + size - 1)) != 1)
    GTEST_SKIP() << "no room for a sparse file";
  ::close(fd);
  auto m = read_file(path);
  ASSERT_TRUE(m) << render(m.error());
  const TensorView v = (*m)->graph.initializers.at(0).value->view();
  EXPECT_EQ(v.count(), static_cast<int64_t>(size));
  EXPECT_EQ(v.as<uint8_t>()[size - 1], 0x2a);
}

}  // namespace
}  // namespace graft::onnx
