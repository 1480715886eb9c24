// compiler.h as a caller sees it: models, partitions, packages, checks and rows, with good and bad arguments.
#include <graft/compiler.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;
const std::string kModels = GRAFT_SOURCE_DIR "/models/";
const std::string kDigits = kModels + "digits.onnx";

graft_code code_of(graft_error* e) {
  const graft_code code = graft_error_code(e);
  EXPECT_EQ(e == nullptr, *graft_error_text(e) == '\0');
  graft_error_free(e);
  return code;
}
#define EXPECT_CODE(expected, call) EXPECT_EQ(code_of(call), GRAFT_CODE_##expected)
#define ASSERT_OK(call) ASSERT_EQ(code_of(call), GRAFT_CODE_OK)

template <class T>
T sized() {
  T t{};
  t.struct_size = sizeof t;
  return t;
}

// A getter gives the last of `count` items, and refuses the one after it, no struct and a struct of another size.
template <class T>
void check_getter(const char* what, size_t count, const std::function<graft_error*(size_t, T*)>& get) {
  SCOPED_TRACE(what);
  ASSERT_GT(count, 0u) << "nothing to ask for";
  T info = sized<T>();
  EXPECT_CODE(OK, get(count - 1, &info));
  EXPECT_EQ(info.struct_size, sizeof(T));
  EXPECT_CODE(INVALID_ARGUMENT, get(count, &info));
  EXPECT_CODE(INVALID_ARGUMENT, get(SIZE_MAX, &info));
  EXPECT_CODE(INVALID_ARGUMENT, get(0, nullptr));
  for (const size_t size : {size_t{0}, sizeof(T) - 8, sizeof(T) + 8}) {
    T other{};
    other.struct_size = size;
    EXPECT_CODE(INVALID_ARGUMENT, get(0, &other)) << size;
  }
}

class Compiler : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(graft_env_create(nullptr, &env_));
    folder_ = fs::path(testing::TempDir()) / ("graft_api_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override {
    graft_compilation_free(compilation_);
    graft_verification_free(verification_);
    graft_session_free(session_);
    graft_partitioning_free(partition_);
    graft_model_free(model_);
    graft_env_free(env_);
    fs::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  graft_open_options how(const char* file) const {
    auto o = sized<graft_open_options>();
    o.path = file;
    return o;
  }
  void open(const std::string& file) {
    graft_model_free(model_);
    model_ = nullptr;
    const graft_open_options o = how(file.c_str());
    ASSERT_OK(graft_model_open(env_, &o, &model_));
  }
  void part(const std::string& file, const graft_partitioning_options* options = nullptr) {
    open(file);
    graft_partitioning_free(partition_);
    partition_ = nullptr;
    ASSERT_OK(graft_partitioning_create(model_, options, &partition_));
  }
  void open_session(const char* device = "cpu") {
    const char* name = "device";
    ASSERT_OK(graft_session_create(env_, kDigits.c_str(), &name, &device, 1, &session_));
  }
  graft_input image() const {
    return {
        sizeof(graft_input), "image", GRAFT_DTYPE_FLOAT32, 4, shape_, pixels_.data(), pixels_.size() * 4, nullptr, 0};
  }

  fs::path folder_;
  graft_env* env_ = nullptr;
  graft_model* model_ = nullptr;
  graft_partitioning* partition_ = nullptr;
  graft_session* session_ = nullptr;
  graft_compilation* compilation_ = nullptr;
  graft_verification* verification_ = nullptr;
  std::vector<float> pixels_ = std::vector<float>(32 * 32, 0.25f);
  const int64_t shape_[4] = {1, 1, 32, 32};
};

TEST_F(Compiler, FreeTakesNull) {
  graft_model_free(nullptr);
  graft_partitioning_free(nullptr);
  graft_compilation_free(nullptr);
  graft_verification_free(nullptr);
  EXPECT_EQ(graft_model_problem(nullptr), nullptr);
  EXPECT_EQ(graft_model_mil(nullptr), nullptr);
  EXPECT_EQ(graft_partitioning_refusal(nullptr, 0), nullptr);
  EXPECT_EQ(graft_partitioning_finding(nullptr, 0), nullptr);
  EXPECT_EQ(graft_partitioning_mil(nullptr, 0), nullptr);
  EXPECT_EQ(graft_compilation_package_count(nullptr), 0u);
}

TEST_F(Compiler, ErrorsTellWhere) {
  auto info = sized<graft_error_info>();
  info.code = GRAFT_CODE_MALFORMED;
  info.message = "is broken";
  info.file = "a.onnx";
  info.node = "n";
  info.op = "Conv";
  info.tensor = "t";
  graft_error* e = graft_error_create(&info);
  EXPECT_EQ(graft_error_code(e), GRAFT_CODE_MALFORMED);
  EXPECT_STREQ(graft_error_file(e), "a.onnx");
  EXPECT_STREQ(graft_error_node(e), "n");
  EXPECT_STREQ(graft_error_op(e), "Conv");
  EXPECT_STREQ(graft_error_tensor(e), "t");
  EXPECT_STREQ(graft_error_text(e), "a.onnx: node 'n' (Conv): tensor 't': is broken [malformed]");
  EXPECT_EQ(graft_error_remedy(e, 0), nullptr);
  EXPECT_EQ(graft_error_inner(e, 0), nullptr);
  graft_error_free(e);
  info.code = 9999;
  EXPECT_CODE(INVALID_ARGUMENT, graft_error_create(&info));
  info.code = GRAFT_CODE_OK;
  EXPECT_CODE(INVALID_ARGUMENT, graft_error_create(&info));
  EXPECT_CODE(INVALID_ARGUMENT, graft_error_create(nullptr));
  info = {};
  EXPECT_CODE(INVALID_ARGUMENT, graft_error_create(&info));
  for (const char* text :
       {graft_error_file(nullptr), graft_error_node(nullptr), graft_error_op(nullptr), graft_error_tensor(nullptr)})
    EXPECT_STREQ(text, "");
  EXPECT_EQ(graft_error_remedy_count(nullptr) + graft_error_inner_count(nullptr), 0u);
  EXPECT_EQ(graft_error_remedy(nullptr, 0), nullptr);
  EXPECT_EQ(graft_error_inner(nullptr, 0), nullptr);
}

TEST_F(Compiler, OpeningIsChecked) {
  graft_open_options o = how(kDigits.c_str());
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_open(nullptr, &o, &model_));
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_open(env_, nullptr, &model_));
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_open(env_, &o, nullptr));
  o.data = "x";
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_open(env_, &o, &model_));
  o.path = nullptr;
  o.bytes = 1;
  EXPECT_NE(code_of(graft_model_open(env_, &o, &model_)), GRAFT_CODE_OK);
  o = how("");
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_open(env_, &o, &model_));
  o = how("/nonexistent.onnx");
  EXPECT_CODE(FILE_NOT_FOUND, graft_model_open(env_, &o, &model_));
  o = how(kDigits.c_str());
  o.struct_size = 8;
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_open(env_, &o, &model_));
  const char* names[] = {"memory_limit"};
  const char* values[] = {"4K"};
  o = how(kDigits.c_str());
  o.names = names;
  o.values = values;
  o.count = 1;
  EXPECT_CODE(MEMORY_LIMIT, graft_model_open(env_, &o, &model_));
  names[0] = "no_such_option";
  EXPECT_CODE(UNKNOWN_OPTION, graft_model_open(env_, &o, &model_));
  graft_cancel* cancel = nullptr;
  ASSERT_OK(graft_cancel_create(&cancel));
  graft_cancel_set(cancel);
  o = how(kDigits.c_str());
  o.cancel = cancel;
  EXPECT_CODE(CANCELLED, graft_model_open(env_, &o, &model_));
  EXPECT_EQ(model_, nullptr);
  open(kDigits);
  auto p = sized<graft_partitioning_options>();
  p.cancel = cancel;
  EXPECT_CODE(CANCELLED, graft_partitioning_create(model_, &p, &partition_));
  graft_cancel_free(cancel);
}

TEST_F(Compiler, LooksIntoAnOnnxModel) {
  open(kDigits);
  auto info = sized<graft_model_info>();
  ASSERT_OK(graft_model_get(model_, &info));
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_get(nullptr, &info));
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_get(model_, nullptr));
  EXPECT_EQ(info.format, GRAFT_FORMAT_ONNX);
  EXPECT_GT(info.version, 3);
  EXPECT_GT(info.bytes, 60000);
  EXPECT_EQ(info.node_count, 15u);
  EXPECT_STREQ(info.target, "");
  EXPECT_EQ(info.function_count, 1u);
  EXPECT_EQ(info.missing_count, 0u);
  EXPECT_EQ(graft_model_problem(model_), nullptr);
  EXPECT_EQ(graft_model_mil(model_), nullptr);
  check_getter<graft_opset_info>("opset", info.opset_count,
                                 [&](size_t i, auto* o) { return graft_model_opset(model_, i, o); });
  check_getter<graft_entry>("metadata", info.metadata_count,
                            [&](size_t i, auto* o) { return graft_model_metadata(model_, i, o); });
  check_getter<graft_function_info>("function", 1,
                                    [&](size_t i, auto* o) { return graft_model_function(model_, i, o); });
  auto f = sized<graft_function_info>();
  ASSERT_OK(graft_model_function(model_, 0, &f));
  EXPECT_STREQ(f.name, "main");
  check_getter<graft_port_info>("input", f.input_count,
                                [&](size_t i, auto* o) { return graft_model_input(model_, 0, i, o); });
  check_getter<graft_port_info>("output", f.output_count,
                                [&](size_t i, auto* o) { return graft_model_output(model_, 0, i, o); });
  check_getter<graft_operator_info>("operator", f.operator_count,
                                    [&](size_t i, auto* o) { return graft_model_operator(model_, 0, i, o); });
  auto port = sized<graft_port_info>();
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_input(model_, 1, 0, &port));
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_output(nullptr, 0, 0, &port));
  ASSERT_OK(graft_model_input(model_, 0, 0, &port));
  EXPECT_STREQ(port.name, "image");
  EXPECT_STREQ(port.type, "fp32");
  EXPECT_EQ(port.rank, 4);
  EXPECT_EQ(port.shape[3], 32);
  int32_t most = INT32_MAX, all = 0;
  for (size_t i = 0; i < f.operator_count; ++i) {
    auto op = sized<graft_operator_info>();
    ASSERT_OK(graft_model_operator(model_, 0, i, &op));
    EXPECT_LE(op.count, most) << "most frequent first";
    most = op.count;
    all += op.count;
  }
  EXPECT_EQ(all, 15);
}

TEST_F(Compiler, NamesMissingOperatorsAndRefusals) {
  part(kModels + "small/unsupported_op.onnx");
  auto model = sized<graft_model_info>();
  ASSERT_OK(graft_model_get(model_, &model));
  check_getter<graft_missing_info>("missing", model.missing_count,
                                   [&](size_t i, auto* o) { return graft_model_missing(model_, i, o); });
  auto missing = sized<graft_missing_info>();
  ASSERT_OK(graft_model_missing(model_, 0, &missing));
  EXPECT_NE(std::string(missing.message).find("unsupported operator"), std::string::npos);
  ASSERT_GT(missing.node_count, 0u);
  EXPECT_NE(*missing.nodes[0], '\0');
  auto info = sized<graft_partitioning_info>();
  ASSERT_OK(graft_partitioning_get(partition_, &info));
  check_getter<graft_node_info>("node", info.node_count,
                                [&](size_t i, auto* o) { return graft_partitioning_node(partition_, i, o); });
  int32_t refused = 0;
  for (size_t i = 0; i < info.node_count; ++i) {
    auto node = sized<graft_node_info>();
    ASSERT_OK(graft_partitioning_node(partition_, i, &node));
    const graft_error* r = graft_partitioning_refusal(partition_, i);
    ASSERT_EQ(r != nullptr, node.where == GRAFT_WHERE_HOST);
    if (r == nullptr) continue;
    ++refused;
    EXPECT_EQ(graft_error_code(r), node.reason);
    EXPECT_STREQ(graft_error_node(r), node.name);
    EXPECT_STREQ(graft_error_op(r), node.op);
    EXPECT_EQ(graft_partitioning_refusal(partition_, i), r) << "asked once, and kept";
  }
  EXPECT_EQ(refused, info.host);
  EXPECT_GE(refused, 1);
  EXPECT_EQ(graft_partitioning_refusal(partition_, info.node_count), nullptr);
  graft_error* e = graft_compile(partition_, path("p.mlpackage").c_str(), nullptr, &compilation_);
  ASSERT_EQ(graft_error_code(e), GRAFT_CODE_NOT_DELEGATED);
  ASSERT_GE(graft_error_inner_count(e), 1u);
  EXPECT_EQ(graft_error_code(graft_error_inner(e, 0)), GRAFT_CODE_UNSUPPORTED_OPERATOR);
  EXPECT_EQ(graft_error_inner(e, graft_error_inner_count(e)), nullptr);
  graft_error_free(e);
  EXPECT_TRUE(fs::is_empty(folder_));
}

// A chain of `nodes` Relus, as a file of ONNX.
std::string long_chain(int nodes) {
  const auto number = [](uint64_t v) {
    std::string s;
    for (; v >= 128; v >>= 7U) s += static_cast<char>(v | 128U);
    return s + static_cast<char>(v);
  };
  const auto field = [&](uint64_t place, const std::string& bytes) {
    return number(place << 3U | 2U) + number(bytes.size()) + bytes;
  };
  const auto integer = [&](uint64_t place, uint64_t v) { return number(place << 3U) + number(v); };
  const auto value = [&](int i) {
    const std::string shape = field(1, integer(1, 4)), type = field(1, integer(1, 1) + field(2, shape));
    return field(1, "v" + std::to_string(i)) + field(2, type);
  };
  std::string graph = field(2, "g") + field(11, value(0)) + field(12, value(nodes));
  for (int i = 0; i < nodes; ++i)
    graph += field(1, field(1, "v" + std::to_string(i)) + field(2, "v" + std::to_string(i + 1)) + field(4, "Relu"));
  return integer(1, 8) + field(8, field(1, "") + integer(2, 17)) + field(7, graph);
}

// Whoever asks for the counts of nodes once a node takes no longer for it.
TEST_F(Compiler, CountsAreThereForTheAsking) {
  constexpr int kNodes = 20'000, kTimes = 300'000;
  const std::string bytes = long_chain(kNodes);
  auto o = sized<graft_open_options>();
  o.data = bytes.data();
  o.bytes = bytes.size();
  ASSERT_OK(graft_model_open(env_, &o, &model_));
  ASSERT_OK(graft_partitioning_create(model_, nullptr, &partition_));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kTimes; ++i) {
    auto info = sized<graft_partitioning_info>();
    ASSERT_OK(graft_partitioning_get(partition_, &info));
    ASSERT_EQ(info.claimed + info.folded + info.host, kNodes);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));  // 2e10 nodes, were they counted
}

TEST_F(Compiler, PartitionsAreChecked) {
  open(kDigits);
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_create(nullptr, nullptr, &partition_));
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_create(model_, nullptr, nullptr));
  auto o = sized<graft_partitioning_options>();
  o.dump_after = "no_such_pass";
  EXPECT_CODE(INVALID_OPTION, graft_partitioning_create(model_, &o, &partition_));
  const char* names[] = {"shapes"};
  const char* values[] = {"image:1x1x32x32"};
  o = sized<graft_partitioning_options>();
  o.names = names;
  o.count = 1;
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_create(model_, &o, &partition_));
  o.values = values;
  EXPECT_CODE(INVALID_OPTION, graft_partitioning_create(model_, &o, &partition_));
  o.struct_size = 3;
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_create(model_, &o, &partition_));
  EXPECT_EQ(partition_, nullptr);
}

TEST_F(Compiler, DescribesPartitionsAndTheirText) {
  auto options = sized<graft_partitioning_options>();
  options.dump_after = "all";
  part(kDigits, &options);
  auto info = sized<graft_partitioning_info>();
  ASSERT_OK(graft_partitioning_get(partition_, &info));
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_get(nullptr, &info));
  EXPECT_EQ(info.whole, 1);
  EXPECT_EQ(info.partition_count, 1u);
  EXPECT_EQ(info.claimed + info.folded + info.host, 15);
  EXPECT_STREQ(info.precision, "float16");
  EXPECT_EQ(std::string(info.target).substr(0, 3), "iOS");
  EXPECT_GT(info.flops, 1e6);
  EXPECT_EQ(info.flops, info.flops_claimed);
  check_getter<graft_partition_info>("piece", 1,
                                     [&](size_t i, auto* o) { return graft_partitioning_partition(partition_, i, o); });
  auto partition = sized<graft_partition_info>();
  ASSERT_OK(graft_partitioning_partition(partition_, 0, &partition));
  EXPECT_EQ(partition.nodes, info.claimed);
  EXPECT_GT(partition.operators, 3);
  EXPECT_STREQ(partition.target, info.target);
  check_getter<graft_port_info>("input", partition.input_count,
                                [&](size_t i, auto* o) { return graft_partitioning_input(partition_, 0, i, o); });
  check_getter<graft_port_info>("output", partition.output_count,
                                [&](size_t i, auto* o) { return graft_partitioning_output(partition_, 0, i, o); });
  check_getter<graft_dump_info>("dump", partition.dump_count,
                                [&](size_t i, auto* o) { return graft_partitioning_dump(partition_, 0, i, o); });
  EXPECT_EQ(partition.dump_count, graft_pass_count());
  auto dump = sized<graft_dump_info>();
  ASSERT_OK(graft_partitioning_dump(partition_, 0, partition.dump_count - 1, &dump));
  EXPECT_NE(std::string(dump.text).find("func main"), std::string::npos);
  auto port = sized<graft_port_info>();
  ASSERT_OK(graft_partitioning_input(partition_, 0, 0, &port));
  EXPECT_STREQ(port.name, "image");
  EXPECT_EQ(port.coreml_dtype, GRAFT_DTYPE_FLOAT32);
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_input(partition_, 1, 0, &port));
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_dump(partition_, 1, 0, &dump));
  EXPECT_NE(std::string(graft_partitioning_mil(partition_, 0)).find("func main"), std::string::npos);
  EXPECT_EQ(graft_partitioning_mil(partition_, 1), nullptr);
  EXPECT_EQ(graft_partitioning_finding(partition_, info.finding_count), nullptr);
}

TEST_F(Compiler, WritesPackagesAndReadsThem) {
  part(kDigits);
  const std::string whole = path("whole.mlpackage"), partition = path("partition.mlpackage"), parts = path("parts");
  auto options = sized<graft_compile_options>();
  ASSERT_OK(graft_compile_check(whole.c_str(), nullptr));
  ASSERT_OK(graft_compile(partition_, whole.c_str(), nullptr, &compilation_));
  ASSERT_EQ(graft_compilation_package_count(compilation_), 1u);
  check_getter<graft_package_info>("package", 1,
                                   [&](size_t i, auto* o) { return graft_compilation_package(compilation_, i, o); });
  auto package = sized<graft_package_info>();
  ASSERT_OK(graft_compilation_package(compilation_, 0, &package));
  EXPECT_EQ(package.path, whole);
  EXPECT_GT(package.bytes, 60000);
  const std::string target = package.target;
  ASSERT_OK(graft_partitioning_write(partition_, 0, partition.c_str()));
  const auto bytes = [](const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const char* kModel = "Data/com.apple.CoreML/model.mlmodel";
  EXPECT_FALSE(bytes(fs::path(whole) / kModel).empty());
  EXPECT_EQ(bytes(fs::path(whole) / kModel), bytes(fs::path(partition) / kModel));

  // A folder of packages, with the caller's report or Graft's own.
  struct Seen {
    size_t packages = 0;
  } seen;
  options.allow_partial = 1;
  options.report_user = &seen;
  options.report = [](void* user, const graft_compilation* c) -> const char* {
    static_cast<Seen*>(user)->packages = graft_compilation_package_count(c);
    return "{\"schema\": \"graft.compile/1\", \"mine\": 1}\n";
  };
  graft_compilation_free(compilation_);
  compilation_ = nullptr;
  ASSERT_OK(graft_compile(partition_, parts.c_str(), &options, &compilation_));
  EXPECT_EQ(seen.packages, 1u);
  EXPECT_NE(bytes(fs::path(parts) / "report.json").find("mine"), std::string::npos);
  options.report = nullptr;
  graft_compilation_free(compilation_);
  compilation_ = nullptr;
  ASSERT_OK(graft_compile(partition_, parts.c_str(), &options, &compilation_)) << "its own folder is replaced";
  EXPECT_NE(bytes(fs::path(parts) / "report.json").find("partition_0.mlpackage"), std::string::npos);

  // What is refused.
  graft_compilation* none = nullptr;
  graft_error* e = graft_compile_check(parts.c_str(), nullptr);
  EXPECT_EQ(graft_error_code(e), GRAFT_CODE_WOULD_OVERWRITE);
  ASSERT_EQ(graft_error_remedy_count(e), 1u);
  EXPECT_STREQ(graft_error_remedy(e, 0), "--force");
  EXPECT_EQ(graft_error_remedy(e, 1), nullptr);
  graft_error_free(e);
  EXPECT_CODE(WOULD_OVERWRITE, graft_compile(partition_, parts.c_str(), nullptr, &none));
  EXPECT_CODE(WOULD_OVERWRITE, graft_partitioning_write(partition_, 0, parts.c_str()));
  EXPECT_CODE(WOULD_OVERWRITE, graft_compile(partition_, "/dev/null", nullptr, &none));
  EXPECT_CODE(INVALID_ARGUMENT, graft_compile(nullptr, whole.c_str(), nullptr, &none));
  EXPECT_CODE(INVALID_ARGUMENT, graft_compile(partition_, nullptr, nullptr, &none));
  EXPECT_CODE(INVALID_ARGUMENT, graft_compile(partition_, "", nullptr, &none));
  EXPECT_CODE(INVALID_ARGUMENT, graft_compile(partition_, whole.c_str(), nullptr, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_compile_check(nullptr, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_write(partition_, 1, partition.c_str()));
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_write(nullptr, 0, partition.c_str()));
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_write(partition_, 0, nullptr));
  options.struct_size = 1;
  EXPECT_CODE(INVALID_ARGUMENT, graft_compile(partition_, whole.c_str(), &options, &none));
  EXPECT_EQ(none, nullptr);

  open(whole);
  auto info = sized<graft_model_info>();
  ASSERT_OK(graft_model_get(model_, &info));
  EXPECT_EQ(info.format, GRAFT_FORMAT_MLPACKAGE);
  EXPECT_GE(info.version, 6);
  EXPECT_EQ(info.target, target);
  auto f = sized<graft_function_info>();
  ASSERT_OK(graft_model_function(model_, 0, &f));
  EXPECT_GT(f.flops, 1e6);
  auto port = sized<graft_port_info>();
  ASSERT_OK(graft_model_output(model_, 0, 0, &port));
  EXPECT_STREQ(port.name, "probabilities");
  EXPECT_NE(std::string(graft_model_mil(model_)).find("func main"), std::string::npos);
  graft_partitioning* never = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, graft_partitioning_create(model_, nullptr, &never));
}

TEST_F(Compiler, WritesFilesAllOrNone) {
  graft_file files[2] = {sized<graft_file>(), sized<graft_file>()};
  files[0].name = "a.bin";
  files[0].head = "he";
  files[0].head_bytes = 2;
  files[0].data = "ad";
  files[0].bytes = 2;
  files[1].name = "b.bin";
  const std::string out = path("out");
  ASSERT_OK(graft_write_files(out.c_str(), files, 2));
  EXPECT_EQ(fs::file_size(out + "/a.bin"), 4u);
  EXPECT_EQ(fs::file_size(out + "/b.bin"), 0u);
  for (const char* bad : {"", ".", "..", "a/b", "/x"}) {
    files[1].name = bad;
    EXPECT_CODE(INVALID_ARGUMENT, graft_write_files(out.c_str(), files, 2)) << bad;
  }
  files[1].name = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, graft_write_files(out.c_str(), files, 2));
  files[1].name = "b.bin";
  files[1].bytes = 1;
  EXPECT_CODE(INVALID_ARGUMENT, graft_write_files(out.c_str(), files, 2));
  EXPECT_CODE(INVALID_ARGUMENT, graft_write_files(out.c_str(), nullptr, 1));
  EXPECT_CODE(INVALID_ARGUMENT, graft_write_files(nullptr, files, 1));
  fs::create_directory(out + "/c");
  files[1] = files[0];
  files[1].name = "c";
  files[0].bytes = 0;
  EXPECT_CODE(WOULD_OVERWRITE, graft_write_files(out.c_str(), files, 2));
  EXPECT_EQ(fs::file_size(out + "/a.bin"), 4u) << "none of them was written";
}

TEST_F(Compiler, DiagnosesWhatHasToStayInFp32) {
  part(kDigits);
  const graft_input in = image();
  auto options = sized<graft_doctor_options>();
  options.own_limit = 1;
  options.min_snr_db = 90;
  graft_diagnosis* d = nullptr;
  ASSERT_OK(graft_diagnose(partition_, nullptr, &in, 1, &options, &d));
  auto info = sized<graft_diagnosis_info>();
  ASSERT_OK(graft_diagnosis_get(d, &info));
  EXPECT_EQ(info.accurate_before, 0);
  EXPECT_EQ(info.accurate, 1);
  EXPECT_STREQ(info.reason, "");
  EXPECT_GT(info.attempts, 1);
  EXPECT_EQ(info.output_count, 1u);
  check_getter<graft_suspect_info>("suspect", info.suspect_count,
                                   [&](size_t i, auto* o) { return graft_diagnosis_suspect(d, i, o); });
  check_getter<graft_difference>("before", info.output_count,
                                 [&](size_t i, auto* o) { return graft_diagnosis_before(d, i, o); });
  check_getter<graft_difference>("output", info.output_count,
                                 [&](size_t i, auto* o) { return graft_diagnosis_output(d, i, o); });
  auto before = sized<graft_difference>(), after = sized<graft_difference>();
  ASSERT_OK(graft_diagnosis_before(d, 0, &before));
  ASSERT_OK(graft_diagnosis_output(d, 0, &after));
  EXPECT_LT(before.snr_db, 90);
  EXPECT_GE(after.snr_db, 90);
  const std::string kept = info.keep_fp32;
  auto first = sized<graft_suspect_info>();
  ASSERT_OK(graft_diagnosis_suspect(d, 0, &first));
  EXPECT_TRUE(first.kept == 0 || kept.find(first.node) != std::string::npos) << kept;
  graft_diagnosis_free(d);
  d = nullptr;

  // One attempt is not enough, and the reason says so.
  options.attempts = 1;
  ASSERT_OK(graft_diagnose(partition_, nullptr, &in, 1, &options, &d));
  ASSERT_OK(graft_diagnosis_get(d, &info));
  EXPECT_EQ(info.accurate, 0);
  EXPECT_NE(std::string(info.reason).find("attempts"), std::string::npos);
  graft_diagnosis_free(d);
  d = nullptr;

  EXPECT_CODE(INVALID_ARGUMENT, graft_diagnose(nullptr, nullptr, &in, 1, nullptr, &d));
  EXPECT_CODE(INVALID_ARGUMENT, graft_diagnose(partition_, nullptr, nullptr, 0, nullptr, &d)) << "an input is missing";
  options.attempts = -1;
  EXPECT_CODE(INVALID_OPTION, graft_diagnose(partition_, nullptr, &in, 1, &options, &d));
  EXPECT_CODE(INVALID_ARGUMENT, graft_diagnosis_get(nullptr, &info));
  EXPECT_CODE(INVALID_ARGUMENT, graft_diagnosis_suspect(nullptr, 0, &first));
  EXPECT_EQ(d, nullptr);
}

TEST_F(Compiler, VerifiesAndSaysHowFarItIsOff) {
  part(kDigits);
  const graft_input in = image();
  auto options = sized<graft_verify_options>();
  options.layers = 1;
  ASSERT_OK(graft_verify(partition_, nullptr, &in, 1, &options, &verification_));
  auto info = sized<graft_verification_info>();
  ASSERT_OK(graft_verification_get(verification_, &info));
  EXPECT_EQ(info.accurate, 1);
  EXPECT_EQ(info.from_package, 1);
  EXPECT_EQ(info.by_range, 0);
  EXPECT_EQ(info.first_bad, -1);
  EXPECT_GE(info.worst, 0);
  check_getter<graft_difference>("output", info.output_count,
                                 [&](size_t i, auto* o) { return graft_verification_output(verification_, i, o); });
  check_getter<graft_difference>("layer", info.layer_count,
                                 [&](size_t i, auto* o) { return graft_verification_layer(verification_, i, o); });
  auto d = sized<graft_difference>();
  ASSERT_OK(graft_verification_output(verification_, 0, &d));
  EXPECT_STREQ(d.name, "probabilities");
  EXPECT_STREQ(d.type, "fp32[1, 10]");
  EXPECT_EQ(d.ok + d.same_type, 2);
  EXPECT_EQ(d.rows, 1);
  EXPECT_EQ(d.top1_equal, 1);
  EXPECT_GT(d.snr_db, 30);
  graft_verification_free(verification_);
  verification_ = nullptr;

  // Against a session of the caller's, with a limit that nothing reaches.
  open_session();
  options.own_limit = 1;
  options.min_snr_db = 250;
  ASSERT_OK(graft_verify(partition_, session_, &in, 1, &options, &verification_));
  ASSERT_OK(graft_verification_get(verification_, &info));
  EXPECT_EQ(info.accurate, 0);
  EXPECT_EQ(info.snr_db, 250);
  EXPECT_GE(info.first_bad, 0);

  graft_verification* none = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, graft_verify(nullptr, nullptr, &in, 1, nullptr, &none));
  EXPECT_CODE(INVALID_ARGUMENT, graft_verify(partition_, nullptr, &in, 1, nullptr, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_verify(partition_, nullptr, nullptr, 0, nullptr, &none)) << "an input is missing";
  EXPECT_CODE(INVALID_ARGUMENT, graft_verify(partition_, nullptr, nullptr, 1, nullptr, &none));
  options.struct_size = 0;
  EXPECT_CODE(INVALID_ARGUMENT, graft_verify(partition_, nullptr, &in, 1, &options, &none));
  EXPECT_CODE(INVALID_ARGUMENT, graft_verification_get(nullptr, &info));
  EXPECT_CODE(INVALID_ARGUMENT, graft_verification_output(nullptr, 0, &d));
  part(kModels + "small/unsupported_op.onnx");
  auto parts = sized<graft_partitioning_info>();
  ASSERT_OK(graft_partitioning_get(partition_, &parts));
  if (parts.partition_count == 0) {
    EXPECT_CODE(NOT_DELEGATED, graft_verify(partition_, nullptr, nullptr, 0, nullptr, &none));
  } else {
    EXPECT_CODE(INVALID_ARGUMENT, graft_verify(partition_, session_, &in, 1, nullptr, &none)) << "of another model";
  }
  EXPECT_EQ(none, nullptr);
}

TEST_F(Compiler, Measures) {
  open_session();
  const graft_input in = image();
  auto options = sized<graft_bench_options>();
  options.runs = 5;
  auto r = sized<graft_bench_result>();
  ASSERT_OK(graft_bench(session_, &in, 1, &options, &r));
  EXPECT_GT(r.first_ms, 0);
  EXPECT_LE(r.min_ms, r.median_ms);
  EXPECT_LE(r.p90_ms, r.p99_ms);
  EXPECT_GE(r.threads, 1);
  EXPECT_NE(*r.cpu, '\0');
  EXPECT_CODE(INVALID_ARGUMENT, graft_bench(nullptr, &in, 1, &options, &r));
  EXPECT_CODE(INVALID_ARGUMENT, graft_bench(session_, &in, 1, &options, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_bench(session_, nullptr, 0, &options, &r));
  for (const int32_t runs : {0, -1, 1'000'001}) {
    options.runs = runs;
    EXPECT_CODE(INVALID_OPTION, graft_bench(session_, &in, 1, &options, &r)) << runs;
  }
  options.runs = 1;
  options.warmup = -1;
  EXPECT_CODE(INVALID_OPTION, graft_bench(session_, &in, 1, &options, &r));
  options.struct_size = 4;
  EXPECT_CODE(INVALID_ARGUMENT, graft_bench(session_, &in, 1, &options, &r));
}

TEST_F(Compiler, DrawsHardInputs) {
  open_session();
  ASSERT_GT(graft_draw_count(), 3u);
  check_getter<graft_draw_info>("draw", graft_draw_count(), graft_draw);
  auto info = sized<graft_draw_info>();
  size_t large = 0;
  for (size_t i = 0; i < graft_draw_count(); ++i) {
    ASSERT_OK(graft_draw(i, &info));
    if (std::string(info.name) == "large") large = i;
  }
  ASSERT_GT(large, 0u);
  graft_tensor *ordinary = nullptr, *first = nullptr, *drawn = nullptr;
  int32_t applies = -1;
  ASSERT_OK(graft_session_random_inputs(session_, nullptr, 0, 7, &ordinary));
  ASSERT_OK(graft_session_draw_inputs(session_, nullptr, 0, 7, 0, &first, &applies));
  EXPECT_EQ(applies, 0);
  ASSERT_OK(graft_session_draw_inputs(session_, nullptr, 0, 7, large, &drawn, &applies));
  EXPECT_EQ(applies, 1);
  std::vector<double> x(1024), y(1024), z(1024);
  ASSERT_OK(graft_tensor_numbers(ordinary, 0, 1024, x.data()));
  ASSERT_OK(graft_tensor_numbers(first, 0, 1024, y.data()));
  ASSERT_OK(graft_tensor_numbers(drawn, 0, 1024, z.data()));
  EXPECT_EQ(x, y);
  EXPECT_GT(*std::max_element(z.begin(), z.end()), 50);
  for (graft_tensor* t : {ordinary, first, drawn}) graft_tensor_free(t);
  graft_input in = image();
  ASSERT_OK(graft_session_draw_inputs(session_, &in, 1, 7, large, &drawn, &applies));
  EXPECT_EQ(drawn, nullptr);
  EXPECT_EQ(applies, 0) << "all is given";
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_draw_inputs(session_, &in, 1, 7, 1000, &drawn, &applies));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_draw_inputs(session_, &in, 1, 7, 0, &drawn, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_draw_inputs(nullptr, &in, 1, 7, 0, &drawn, &applies));
}

TEST_F(Compiler, MakesUpInputsAndReadsNumbers) {
  open_session();
  graft_tensor *a = nullptr, *b = nullptr, *c = nullptr;
  ASSERT_OK(graft_session_random_inputs(session_, nullptr, 0, 7, &a));
  ASSERT_OK(graft_session_random_inputs(session_, nullptr, 0, 7, &b));
  ASSERT_OK(graft_session_random_inputs(session_, nullptr, 0, 8, &c));
  std::vector<double> x(1024), y(1024), z(1024);
  ASSERT_OK(graft_tensor_numbers(a, 0, 1024, x.data()));
  ASSERT_OK(graft_tensor_numbers(b, 0, 1024, y.data()));
  ASSERT_OK(graft_tensor_numbers(c, 0, 1024, z.data()));
  EXPECT_EQ(x, y);
  EXPECT_NE(x, z);
  double last = 0;
  ASSERT_OK(graft_tensor_numbers(a, 1023, 1, &last));
  EXPECT_EQ(last, x[1023]);
  EXPECT_CODE(INVALID_ARGUMENT, graft_tensor_numbers(a, 1024, 1, &last));
  EXPECT_CODE(INVALID_ARGUMENT, graft_tensor_numbers(a, 1, SIZE_MAX, &last));
  EXPECT_CODE(INVALID_ARGUMENT, graft_tensor_numbers(nullptr, 0, 1, &last));
  EXPECT_CODE(INVALID_ARGUMENT, graft_tensor_numbers(a, 0, 1, nullptr));
  for (graft_tensor* t : {a, b, c}) graft_tensor_free(t);
  graft_input in = image();
  graft_tensor* given = a;
  ASSERT_OK(graft_session_random_inputs(session_, &in, 1, 7, &given));
  EXPECT_EQ(given, nullptr) << "it was given";
  in.name = "nope";
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_random_inputs(session_, &in, 1, 7, &given));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_random_inputs(nullptr, nullptr, 0, 7, &given));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_random_inputs(session_, nullptr, 0, 7, nullptr));
  check_getter<graft_entry>("metadata", graft_session_metadata_count(session_),
                            [&](size_t i, auto* o) { return graft_session_metadata_entry(session_, i, o); });
  EXPECT_EQ(graft_session_initializer_count(session_), 0u);
  auto port = sized<graft_port_info>();
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_initializer(session_, 0, &port));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_initializer(nullptr, 0, &port));
  EXPECT_EQ(graft_session_metadata_count(nullptr) + graft_session_initializer_count(nullptr), 0u);
  EXPECT_STREQ(graft_dtype_name(GRAFT_DTYPE_FLOAT16), "fp16");
  EXPECT_STREQ(graft_dtype_name(-3), "invalid");
}

// An in-memory graph all the way: its package and a session from its partition give what the ONNX session gives.
TEST_F(Compiler, AGraphInMemoryAllTheWay) {
  std::ifstream file(kDigits, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  const char* names[] = {"precision"};
  const char* values[] = {"float32"};
  auto o = sized<graft_open_options>();
  o.data = bytes.data();
  o.bytes = bytes.size();
  o.names = names;
  o.values = values;
  o.count = 1;
  ASSERT_OK(graft_model_open(env_, &o, &model_));
  ASSERT_OK(graft_partitioning_create(model_, nullptr, &partition_));
  graft_model_free(model_);  // what is made of it goes on
  model_ = nullptr;
  const std::string package = path("m.mlpackage");
  ASSERT_OK(graft_compile(partition_, package.c_str(), nullptr, &compilation_));
  const auto scores = [&](const graft_open_options& how) {
    std::vector<double> v(10);
    graft_session* s = nullptr;
    if (code_of(graft_session_open(env_, &how, &s)) != GRAFT_CODE_OK) return v;
    const graft_input in = image();
    auto out = sized<graft_output>();
    EXPECT_CODE(OK, graft_session_run(s, &in, 1, &out, 1, nullptr));
    EXPECT_CODE(OK, graft_tensor_numbers(out.tensor, 0, 10, v.data()));
    graft_tensor_free(out.tensor);
    graft_session_free(s);
    return v;
  };
  const std::vector<double> onnx = scores(how(kDigits.c_str())), packaged = scores(how(package.c_str()));
  auto from_partition = sized<graft_open_options>();
  from_partition.partitioning = partition_;
  const std::vector<double> partitioned = scores(from_partition);
  EXPECT_GT(*std::max_element(onnx.begin(), onnx.end()), 0.1);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(packaged[i], onnx[i], 1e-5);
    EXPECT_NEAR(partitioned[i], onnx[i], 1e-5);
  }
  graft_session* s = nullptr;
  from_partition.path = kDigits.c_str();
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_open(env_, &from_partition, &s)) << "one of them only";
  from_partition.path = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, graft_model_open(env_, &from_partition, &model_));
}

TEST(CompilerRows, AreAllThere) {
  check_getter<graft_onnx_op_info>("ONNX operator", graft_onnx_op_count(), graft_onnx_op);
  check_getter<graft_mil_op_info>("MIL operator", graft_mil_op_count(), graft_mil_op);
  check_getter<graft_mil_variant_info>(
      "variant", 1, [](size_t i, auto* o) { return graft_mil_variant(i == 0 ? 0 : SIZE_MAX, i, o); });
  check_getter<graft_code_info>("code", graft_code_count(), graft_code_row);
  check_getter<graft_pass_info>("pass", graft_pass_count(), graft_pass);
  check_getter<graft_option_info>("option", graft_session_option_count(), graft_session_option);
  bool conv = false;
  for (size_t i = 0; i < graft_onnx_op_count(); ++i) {
    auto op = sized<graft_onnx_op_info>();
    ASSERT_OK(graft_onnx_op(i, &op));
    EXPECT_GT(op.version_count, 0u) << op.name;
    conv = conv || std::strcmp(op.name, "Conv") == 0;
  }
  EXPECT_TRUE(conv);
  for (size_t i = 0; i < graft_mil_op_count(); ++i) {
    auto op = sized<graft_mil_op_info>();
    ASSERT_OK(graft_mil_op(i, &op));
    EXPECT_NE(*op.doc, '\0') << op.name;
    ASSERT_GT(op.variant_count, 0u) << op.name;
    auto variant = sized<graft_mil_variant_info>();
    ASSERT_OK(graft_mil_variant(i, op.variant_count - 1, &variant));
    EXPECT_NE(*variant.since, '\0');
    EXPECT_CODE(INVALID_ARGUMENT, graft_mil_variant(i, op.variant_count, &variant));
  }
}

}  // namespace
