// The C ABI as a caller sees it: through the shared library and the public header only.
#include <graft/compiler.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace {

const std::string kDigits = GRAFT_SOURCE_DIR "/models/digits.onnx";

// Frees the error and gives its code.
graft_code code_of(graft_error* e) {
  const graft_code code = graft_error_code(e);
  if (e != nullptr) {
    EXPECT_NE(*graft_error_text(e), '\0');
    EXPECT_NE(*graft_error_message(e), '\0');
  }
  graft_error_free(e);
  return code;
}
#define EXPECT_CODE(expected, call) EXPECT_EQ(code_of(call), GRAFT_CODE_##expected)
#define ASSERT_OK(call) ASSERT_EQ(code_of(call), GRAFT_CODE_OK)

class CApi : public testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(graft_env_create(nullptr, &env_)); }
  void TearDown() override {
    graft_session_free(session_);
    graft_env_free(env_);
  }
  void open(const char* device = "cpu") {
    const char* names[] = {"device"};
    const char* values[] = {device};
    ASSERT_OK(graft_session_create(env_, kDigits.c_str(), names, values, 1, &session_));
  }
  graft_input image() const {
    return {sizeof(graft_input),           "image", GRAFT_DTYPE_FLOAT32, 4, shape_, pixels_.data(),
            pixels_.size() * sizeof(float)};
  }
  static graft_output output() {
    graft_output o{};
    o.struct_size = sizeof o;
    return o;
  }

  graft_env* env_ = nullptr;
  graft_session* session_ = nullptr;
  std::vector<float> pixels_ = std::vector<float>(32 * 32, 0.25f);
  const int64_t shape_[4] = {1, 1, 32, 32};
  const int64_t out_shape_[2] = {1, 10};
};

TEST_F(CApi, FreeTakesNull) {
  graft_error_free(nullptr);
  graft_env_free(nullptr);
  graft_session_free(nullptr);
  graft_tensor_free(nullptr);
  graft_cancel_free(nullptr);
  graft_cancel_set(nullptr);
  EXPECT_EQ(graft_error_code(nullptr), GRAFT_CODE_OK);
  EXPECT_STREQ(graft_error_code_name(nullptr), "ok");
  EXPECT_EQ(graft_session_input_count(nullptr), 0u);
  EXPECT_EQ(graft_session_metadata(nullptr, "x"), nullptr);
}

TEST_F(CApi, VersionIsTheBuilds) { EXPECT_STREQ(graft_version(), GRAFT_VERSION); }

TEST_F(CApi, NullPointersAreErrors) {
  graft_session* s = nullptr;
  graft_port_info port{};
  EXPECT_CODE(INVALID_ARGUMENT, graft_env_create(nullptr, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_create(nullptr, "x", nullptr, nullptr, 0, &s));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_create(env_, nullptr, nullptr, nullptr, 0, &s));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_create(env_, "x", nullptr, nullptr, 0, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_create(env_, "x", nullptr, nullptr, 1, &s));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_create_from_memory(env_, nullptr, 8, nullptr, nullptr, nullptr, 0, &s));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_input(nullptr, 0, &port));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_run(nullptr, nullptr, 0, nullptr, 0, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_cancel_create(nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_tensor_get(nullptr, nullptr));
  const char* names[] = {nullptr};
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_create(env_, "x", names, names, 1, &s));
  EXPECT_EQ(s, nullptr);
}

TEST_F(CApi, WrongStructSizesAreErrors) {
  open();
  graft_env* env = nullptr;
  const auto wrong_sizes = [](size_t right) { return std::vector<size_t>{0, 3, right - 8, right + 8, SIZE_MAX}; };
  for (const size_t size : wrong_sizes(sizeof(graft_env_options))) {
    graft_env_options o{};
    o.struct_size = size;
    EXPECT_CODE(INVALID_ARGUMENT, graft_env_create(&o, &env)) << size;
  }
  for (const size_t size : wrong_sizes(sizeof(graft_port_info))) {
    graft_port_info port{};
    port.struct_size = size;
    EXPECT_CODE(INVALID_ARGUMENT, graft_session_input(session_, 0, &port)) << size;
    EXPECT_EQ(port.name, nullptr);
  }
  for (const size_t size : wrong_sizes(sizeof(graft_input))) {
    graft_input in = image();
    in.struct_size = size;
    graft_output out = output();
    EXPECT_CODE(INVALID_ARGUMENT, graft_session_run(session_, &in, 1, &out, 1, nullptr)) << size;
  }
  for (const size_t size : wrong_sizes(sizeof(graft_output))) {
    const graft_input in = image();
    graft_output out = output();
    out.struct_size = size;
    EXPECT_CODE(INVALID_ARGUMENT, graft_session_run(session_, &in, 1, &out, 1, nullptr)) << size;
  }
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_input(session_, 0, nullptr));
}

TEST_F(CApi, OptionsAreChecked) {
  graft_session* s = nullptr;
  const auto create = [&](const char* name, const char* value) {
    return graft_session_create(env_, kDigits.c_str(), &name, &value, 1, &s);
  };
  EXPECT_CODE(UNKNOWN_OPTION, create("devise", "cpu"));
  EXPECT_CODE(INVALID_OPTION, create("device", "toaster"));
  EXPECT_CODE(NOT_AVAILABLE_YET, create("ModelFormat", "NeuralNetwork"));
  EXPECT_CODE(NOT_AVAILABLE_YET, create("ModelCacheDirectory", "cache"));
  EXPECT_EQ(s, nullptr);
  graft_env_options o{};
  o.struct_size = sizeof o;
  o.threads = -1;
  graft_env* env = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, graft_env_create(&o, &env));
  // The rows: every one can be read, and the documented default of every one that has some is accepted.
  EXPECT_GT(graft_session_option_count(), 10u);
  for (size_t i = 0; i < graft_session_option_count(); ++i) {
    graft_option_info info{};
    info.struct_size = sizeof info;
    ASSERT_OK(graft_session_option(i, &info));
    EXPECT_NE(*info.doc, '\0');
    if (*info.fallback == '\0' || std::strchr(info.fallback, ' ') != nullptr) continue;
    EXPECT_CODE(OK, create(info.name, info.fallback)) << info.name;
    graft_session_free(s);
    s = nullptr;
  }
  graft_option_info info{};
  info.struct_size = sizeof info;
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_option(graft_session_option_count(), &info));
}

TEST_F(CApi, ErrorsCarryFaultAndText) {
  graft_session* s = nullptr;
  graft_error* e = graft_session_create(env_, "/nonexistent/x.onnx", nullptr, nullptr, 0, &s);
  ASSERT_NE(e, nullptr);
  EXPECT_EQ(graft_error_code(e), GRAFT_CODE_FILE_NOT_FOUND);
  EXPECT_STREQ(graft_error_code_name(e), "file_not_found");
  EXPECT_EQ(graft_error_fault(e), GRAFT_FAULT_MACHINE);
  EXPECT_NE(std::string(graft_error_text(e)).find("/nonexistent/x.onnx"), std::string::npos);
  graft_error_free(e);
}

TEST_F(CApi, DescribesItsInterface) {
  open();
  ASSERT_EQ(graft_session_input_count(session_), 1u);
  ASSERT_EQ(graft_session_output_count(session_), 1u);
  graft_port_info port{};
  port.struct_size = sizeof port;
  ASSERT_OK(graft_session_input(session_, 0, &port));
  EXPECT_STREQ(port.name, "image");
  EXPECT_EQ(port.dtype, GRAFT_DTYPE_FLOAT32);
  ASSERT_EQ(port.rank, 4);
  EXPECT_EQ(port.shape[2], 32);
  EXPECT_STREQ(port.symbols[2], "32");
  EXPECT_EQ(port.struct_size, sizeof port);
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_input(session_, 1, &port));
  EXPECT_STREQ(graft_session_metadata(session_, "labels"), "0,1,2,3,4,5,6,7,8,9");
  EXPECT_EQ(graft_session_metadata(session_, "none"), nullptr);
}

TEST_F(CApi, SaysWhereEachNodeIsPlanned) {
  open("coreml-ane");
  graft_placement p{};
  p.struct_size = sizeof p;
  ASSERT_OK(graft_session_placement(session_, &p));
  EXPECT_STREQ(p.requested, "coreml-ane");
  EXPECT_EQ(p.nodes, 15);
  EXPECT_EQ(p.claimed + p.folded + p.host, p.nodes);
  EXPECT_EQ(p.partitions, 1);
  ASSERT_EQ(graft_session_node_count(session_), 15u);
  for (size_t i = 0; i < 15; ++i) {
    graft_node_info n{};
    n.struct_size = sizeof n;
    ASSERT_OK(graft_session_node(session_, i, &n));
    EXPECT_NE(*n.op, '\0');
    EXPECT_EQ(n.partition, n.where == GRAFT_WHERE_COREML ? 0 : -1);
    EXPECT_EQ(n.reason, GRAFT_CODE_OK);
    EXPECT_STREQ(n.reason_text, "");
  }
}

TEST_F(CApi, RunsIntoOwnedTensorsAndCallersMemory) {
  open();
  const graft_input in = image();
  graft_output owned = output();
  ASSERT_OK(graft_session_run(session_, &in, 1, &owned, 1, nullptr));
  ASSERT_NE(owned.tensor, nullptr);
  graft_tensor_info t{};
  t.struct_size = sizeof t;
  ASSERT_OK(graft_tensor_get(owned.tensor, &t));
  ASSERT_EQ(t.bytes, 10 * sizeof(float));
  EXPECT_EQ(t.shape[1], 10);
  float sum = 0;
  for (int i = 0; i < 10; ++i) sum += static_cast<const float*>(t.data)[i];
  EXPECT_NEAR(sum, 1, 1e-5);

  std::vector<float> memory(10);
  graft_output given = output();
  given.name = "probabilities";
  given.dtype = GRAFT_DTYPE_FLOAT32;
  given.rank = 2;
  given.shape = out_shape_;
  given.data = memory.data();
  given.bytes = memory.size() * sizeof(float);
  ASSERT_OK(graft_session_run(session_, &in, 1, &given, 1, nullptr));
  EXPECT_EQ(given.tensor, nullptr);
  EXPECT_EQ(std::memcmp(memory.data(), t.data, t.bytes), 0);
  graft_tensor_free(owned.tensor);
}

TEST_F(CApi, TensorsOutliveTheirSession) {
  open();
  const graft_input in = image();
  graft_output out = output();
  ASSERT_OK(graft_session_run(session_, &in, 1, &out, 1, nullptr));
  graft_session_free(session_);
  session_ = nullptr;
  graft_tensor_info t{};
  t.struct_size = sizeof t;
  ASSERT_OK(graft_tensor_get(out.tensor, &t));
  EXPECT_TRUE(std::isfinite(static_cast<const float*>(t.data)[9]));
  graft_tensor_free(out.tensor);
}

TEST_F(CApi, SessionsOutliveTheirEnvironment) {
  open();
  graft_env_free(env_);
  env_ = nullptr;
  const graft_input in = image();
  graft_output out = output();
  ASSERT_OK(graft_session_run(session_, &in, 1, &out, 1, nullptr));
  graft_tensor_free(out.tensor);
}

TEST_F(CApi, WrongRunsAreErrors) {
  open();
  graft_output out = output();
  const auto run = [&](const graft_input& in) { return graft_session_run(session_, &in, 1, &out, 1, nullptr); };
  graft_input in = image();
  in.name = "picture";
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  in = image(), in.dtype = GRAFT_DTYPE_FLOAT64;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  in = image(), in.dtype = 12345;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  in = image(), in.rank = 3;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  for (const int32_t rank : {-1, 9, INT32_MAX, INT32_MIN}) {
    in = image(), in.rank = rank;
    EXPECT_CODE(INVALID_ARGUMENT, run(in));
  }
  in = image(), in.shape = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  in = image(), in.data = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  in = image(), in.bytes -= 4;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  for (const int64_t dim : {int64_t{-1}, int64_t{0}, int64_t{33}, INT64_MAX}) {
    const int64_t shape[4] = {1, 1, dim, 32};
    in = image(), in.shape = shape;
    EXPECT_CODE(INVALID_ARGUMENT, run(in));
  }
  in = image(), in.data = reinterpret_cast<const char*>(pixels_.data()) + 1;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));

  in = image();
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_run(session_, nullptr, 0, &out, 1, nullptr));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_run(session_, nullptr, 1, &out, 1, nullptr));
  const graft_input twice[] = {in, in};
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_run(session_, twice, 2, &out, 1, nullptr));
  out.name = "scores";
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  graft_output outs[] = {output(), output()};
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_run(session_, &in, 1, outs, 2, nullptr));

  std::vector<float> memory(10);
  out = output();
  out.dtype = GRAFT_DTYPE_FLOAT32, out.rank = 2, out.shape = out_shape_, out.data = memory.data(), out.bytes = 36;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  const int64_t other[2] = {2, 5};
  out.bytes = 40, out.shape = other;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  out.dtype = GRAFT_DTYPE_INT32, out.shape = out_shape_;
  EXPECT_CODE(INVALID_ARGUMENT, run(in));
  EXPECT_EQ(out.tensor, nullptr);
  out = output();
  EXPECT_CODE(OK, run(in)) << "after all that it still works";
  graft_tensor_free(out.tensor);
}

TEST_F(CApi, CancelledBeforeItStarts) {
  open();
  graft_cancel* cancel = nullptr;
  ASSERT_OK(graft_cancel_create(&cancel));
  graft_run_options options{sizeof(graft_run_options), cancel};
  const graft_input in = image();
  graft_output out = output();
  ASSERT_OK(graft_session_run(session_, &in, 1, &out, 1, &options));
  graft_tensor_free(out.tensor);
  out = output();
  graft_cancel_set(cancel);
  EXPECT_CODE(CANCELLED, graft_session_run(session_, &in, 1, &out, 1, &options));
  EXPECT_EQ(out.tensor, nullptr);
  graft_cancel_free(cancel);
}

TEST_F(CApi, OpensByOneStruct) {
  graft_open_options how{};
  how.struct_size = sizeof how;
  how.path = kDigits.c_str();
  const char* names[] = {"device"};
  const char* values[] = {"cpu"};
  how.names = names;
  how.values = values;
  how.count = 1;
  ASSERT_OK(graft_session_open(env_, &how, &session_));
  const graft_input in = image();
  graft_output out = output();
  ASSERT_OK(graft_session_run(session_, &in, 1, &out, 1, nullptr));
  graft_tensor_free(out.tensor);

  graft_session* other = nullptr;
  graft_cancel* cancel = nullptr;
  ASSERT_OK(graft_cancel_create(&cancel));
  how.cancel = cancel;
  ASSERT_OK(graft_session_open(env_, &how, &other));
  graft_session_free(other);
  other = nullptr;
  graft_cancel_set(cancel);
  EXPECT_CODE(CANCELLED, graft_session_open(env_, &how, &other));
  EXPECT_EQ(other, nullptr);
  how.cancel = nullptr;

  std::ifstream file(kDigits, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  how.data = bytes.data();
  how.bytes = bytes.size();
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_open(env_, &how, &other)) << "two models";
  how.path = nullptr;
  ASSERT_OK(graft_session_open(env_, &how, &other));
  graft_session_free(other);
  other = nullptr;
  how.data = nullptr;
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_open(env_, &how, &other)) << "no model";
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_open(env_, nullptr, &other));
  EXPECT_CODE(INVALID_ARGUMENT, graft_session_open(nullptr, &how, &other));
  graft_cancel_free(cancel);
}

TEST_F(CApi, MemoryIsLimited) {
  const char* names[] = {"device", "memory_limit"};
  const char* values[] = {"cpu", "1K"};
  graft_session* session = nullptr;
  EXPECT_CODE(MEMORY_LIMIT, graft_session_create(env_, kDigits.c_str(), names, values, 2, &session));
  values[1] = "much";
  EXPECT_CODE(INVALID_OPTION, graft_session_create(env_, kDigits.c_str(), names, values, 2, &session));
  values[1] = "100M";
  ASSERT_OK(graft_session_create(env_, kDigits.c_str(), names, values, 2, &session));
  graft_session_free(session);
}

TEST_F(CApi, TimeIsLimited) {
  const std::string loops = GRAFT_SOURCE_DIR "/models/small/loops.onnx";
  const char* names[] = {"device", "time_limit"};
  const char* values[] = {"cpu", "long"};
  graft_session* session = nullptr;
  EXPECT_CODE(INVALID_OPTION, graft_session_create(env_, loops.c_str(), names, values, 2, &session));
  values[1] = "0.1";
  ASSERT_OK(graft_session_create(env_, loops.c_str(), names, values, 2, &session));
  const int64_t turns = int64_t{1} << 40, three = 3;  // minutes, and far more memory than there is
  const float x[] = {0, 0, 0};
  graft_input in[2] = {};
  in[0].struct_size = in[1].struct_size = sizeof(graft_input);
  in[0].name = "x", in[0].dtype = GRAFT_DTYPE_FLOAT32, in[0].rank = 1, in[0].shape = &three;
  in[0].data = x, in[0].bytes = sizeof x;
  in[1].name = "trips", in[1].dtype = GRAFT_DTYPE_INT64;
  in[1].data = &turns, in[1].bytes = sizeof turns;
  graft_output last = output();
  last.name = "last";
  EXPECT_CODE(TIME_LIMIT, graft_session_run(session, in, 2, &last, 1, nullptr));
  EXPECT_EQ(last.tensor, nullptr);
  graft_session_free(session);
}

TEST_F(CApi, EightThreadsGetEqualResults) {
  open("coreml");
  std::vector<std::vector<float>> results(8, std::vector<float>(10));
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < results.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const graft_input in = image();
        graft_output out = output();
        out.dtype = GRAFT_DTYPE_FLOAT32, out.rank = 2, out.shape = out_shape_;
        out.data = results[t].data(), out.bytes = 40;
        graft_error* e = graft_session_run(session_, &in, 1, &out, 1, nullptr);
        failures += e != nullptr ? 1 : 0;
        graft_error_free(e);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(failures, 0);
  for (const auto& r : results) EXPECT_EQ(r, results[0]);
}

TEST_F(CApi, ModelsFromMemory) {
  std::ifstream file(kDigits, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  ASSERT_OK(
      graft_session_create_from_memory(env_, bytes.data(), bytes.size(), nullptr, nullptr, nullptr, 0, &session_));
  const graft_input in = image();
  graft_output out = output();
  ASSERT_OK(graft_session_run(session_, &in, 1, &out, 1, nullptr));
  graft_tensor_free(out.tensor);
  graft_session* s = nullptr;
  EXPECT_NE(
      code_of(graft_session_create_from_memory(env_, bytes.data(), bytes.size() / 2, nullptr, nullptr, nullptr, 0, &s)),
      GRAFT_CODE_OK);
  EXPECT_NE(code_of(graft_session_create_from_memory(env_, bytes.data(), 0, nullptr, nullptr, nullptr, 0, &s)),
            GRAFT_CODE_OK);
}

TEST_F(CApi, CallbacksAreCalled) {
  std::vector<std::string> stages;
  graft_env_options o{};
  o.struct_size = sizeof o;
  o.threads = 1;
  o.progress = [](void* user, const char* stage, double) {
    static_cast<std::vector<std::string>*>(user)->push_back(stage);
  };
  o.progress_user = &stages;
  graft_env* env = nullptr;
  ASSERT_OK(graft_env_create(&o, &env));
  graft_open_options how{};
  how.struct_size = sizeof how;
  how.path = kDigits.c_str();
  graft_model* model = nullptr;
  ASSERT_OK(graft_model_open(env, &how, &model));
  EXPECT_FALSE(stages.empty());
  graft_model_free(model);
  graft_env_free(env);
}

#if !defined(__SANITIZE_THREAD__)
// Python's multiprocessing forks a process that has used the library and uses its objects in the child.
TEST_F(CApi, AForkedChildRunsWhatItsParentMade) {
  graft_env_options o{};
  o.struct_size = sizeof o;
  o.threads = 2;
  graft_env* env = nullptr;
  ASSERT_OK(graft_env_create(&o, &env));
  ASSERT_OK(graft_session_create(env, kDigits.c_str(), nullptr, nullptr, 0, &session_));
  const auto run = [&](const graft_session* session, float(&result)[10]) {
    const graft_input in = image();
    graft_output out = output();
    out.dtype = GRAFT_DTYPE_FLOAT32;
    out.rank = 2;
    out.shape = out_shape_;
    out.data = result;
    out.bytes = sizeof result;
    return code_of(graft_session_run(session, &in, 1, &out, 1, nullptr)) == GRAFT_CODE_OK;
  };
  float here[10];
  ASSERT_TRUE(run(session_, here));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);  // a hang ends with a signal
    float there[10];
    bool good = true;
    for (int i = 0; i < 3; ++i) good = good && run(session_, there) && std::memcmp(here, there, sizeof here) == 0;
    graft_open_options how{};
    how.struct_size = sizeof how;
    how.path = kDigits.c_str();
    graft_model* model = nullptr;
    graft_partitioning* partitioning = nullptr;
    graft_verification* verification = nullptr;
    const graft_input in = image();
    good = good && code_of(graft_model_open(env, &how, &model)) == GRAFT_CODE_OK &&
           code_of(graft_partitioning_create(model, nullptr, &partitioning)) == GRAFT_CODE_OK &&
           code_of(graft_verify(partitioning, nullptr, &in, 1, nullptr, &verification)) == GRAFT_CODE_OK;
    graft_verification_free(verification);
    graft_partitioning_free(partitioning);
    graft_model_free(model);
    graft_session* fresh = nullptr;  // opened in the child, in its parent's environment
    good = good && code_of(graft_session_create(env, kDigits.c_str(), nullptr, nullptr, 0, &fresh)) == GRAFT_CODE_OK;
    good = good && run(fresh, there) && std::memcmp(here, there, sizeof here) == 0;
    graft_session_free(fresh);
    graft_session_free(session_);
    graft_env_free(env);
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  float after[10];
  EXPECT_TRUE(run(session_, after));
  graft_env_free(env);
}
#endif

}  // namespace
