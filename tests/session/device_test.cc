// What a session does when its device fails: the failed partition moves to the host, no other, and nothing is lost.
#include <cmath>
#include <filesystem>
#include <mutex>
#include <thread>

#include "onnx/reader.h"
#include "session/artefacts.h"
#include "support.h"
#include "support/test_device.h"

namespace graft::session_test {
namespace {

namespace fs = std::filesystem;
using test::TestDevice;

constexpr int kFloat = 1, kInt64 = 7;
// Not an fp16 number: results tell which program made them.
constexpr float kThird = 1.0F / 3;

Tensor floats(const std::vector<float>& v) { return tensor(DType::f32, {static_cast<int64_t>(v.size())}, v); }
std::string third(const std::string& name) {
  return test::raw_tensor(name, kFloat, {}, std::string(reinterpret_cast<const char*>(&kThird), sizeof kThird));
}

// a = x + 1/3; u = Unique(a), which Core ML does not have; y = u * 1/3. Two partitions with the host between them.
std::string two_partitions() {
  test::GraphParts g;
  g.nodes = {test::node("Add", {"x", "t"}, {"a"}, {}, "", "first"), test::node("Unique", {"a"}, {"u"}),
             test::node("Mul", {"u", "t"}, {"y"}, {}, "", "second")};
  g.initializers = {third("t")};
  g.inputs = {test::value("x", {"n"}, kFloat)};
  g.outputs = {test::value("y", {"m"}, kFloat)};
  return test::model(test::graph(g));
}

class Device : public testing::Test {
 protected:
  Opened open_on_device(const std::string& model, std::vector<NamedOption> more = {}) {
    more.insert(more.begin(), {{"device", "coreml-ane"}, {"cost_model", "0"}});
    GRAFT_TRY(session::Options options, session::parse_options(more));
    options.coreml = device_;
    auto env = std::make_shared<Env>(1);
    env->log = [this](LogLevel, std::string_view text) {
      std::lock_guard lock(logging_);
      logged_.push_back(std::string(text));
    };
    const auto bytes = std::make_shared<std::string>(model);
    return Session::open_memory(test::bytes_of(*bytes), bytes, "", std::move(env), options);
  }
  // y of x = 0. Rounded to fp16 where a partition ran on the device: the first decides x + 1/3, the second the product.
  static float y_of_zero(const Session& s) {
    const auto y = run(s, {floats({0})});
    EXPECT_TRUE(y) << render(y.error());
    return y ? (*y)[0].span<float>()[0] : NAN;
  }

  std::shared_ptr<TestDevice> device_ = std::make_shared<TestDevice>();
  std::mutex logging_;
  std::vector<std::string> logged_;
};

Status broken() { return fail(Code::io_error, "the device is broken"); }

TEST_F(Device, UnitsReachTheDeviceAndItsNameTheReport) {
  const Opened s = open_on_device(two_partitions());
  ASSERT_TRUE(s) << render(s.error());
  EXPECT_EQ(device_->loads, 2);
  EXPECT_EQ(device_->units, backend::ComputeUnits::cpu_and_ne);
  EXPECT_EQ((*s)->placement().allowed, "a test's device (CPU_AND_NE)");
  EXPECT_NEAR(y_of_zero(**s), kThird * kThird, 1e-3);
  EXPECT_EQ(device_->runs, 2);
  EXPECT_TRUE((*s)->moved().empty());
}

TEST_F(Device, AutomaticTakesADeviceThatIsThere) {
  session::Options options;
  options.coreml = device_;
  options.require_device = true;
  const auto bytes = std::make_shared<std::string>(two_partitions());
  options.partitioning.drop_unprofitable = false;
  const Opened s = Session::open_memory(test::bytes_of(*bytes), bytes, "", std::make_shared<Env>(1), options);
  ASSERT_TRUE(s) << render(s.error());
  EXPECT_EQ(device_->loads, 2);
}

TEST_F(Device, APartitionThatCannotBeLoadedRunsOnTheHost) {
  device_->on_load = [](int, const std::string& output) { return output == "y" ? broken() : Status(); };
  const Opened s = open_on_device(two_partitions());
  ASSERT_TRUE(s) << render(s.error());
  ASSERT_EQ(news(**s).size(), 1U);
  EXPECT_EQ(news(**s)[0].code, Code::claimed_late_refusal);
  EXPECT_NE(render(news(**s)[0]).find("the device is broken"), std::string::npos);
  EXPECT_NE((*s)->placement().planned.find("1 program could not be loaded"), std::string::npos);
  ASSERT_EQ((*s)->moved().size(), 1U);
  EXPECT_EQ((*s)->moved()[0].partition, 1);
  EXPECT_EQ((*s)->node(0).where, partition::Where::coreml);
  EXPECT_EQ((*s)->node(2).where, partition::Where::host);
  ASSERT_TRUE((*s)->node(2).refusal);
  EXPECT_EQ((*s)->node(2).refusal->node, "second");
  EXPECT_NEAR(y_of_zero(**s), kThird * kThird, 1e-3);
  EXPECT_EQ(device_->runs, 1);  // the first partition stays
  EXPECT_EQ(logged_.size(), 1U);
}

// What it makes goes to others, and was named by nobody before.
TEST_F(Device, TheFirstPartitionCannotBeLoaded) {
  device_->on_load = [](int, const std::string& output) { return output == "a" ? broken() : Status(); };
  const Opened s = open_on_device(two_partitions());
  ASSERT_TRUE(s) << render(s.error());
  ASSERT_EQ((*s)->moved().size(), 1U);
  EXPECT_EQ((*s)->moved()[0].partition, 0);
  EXPECT_EQ((*s)->node(0).where, partition::Where::host);
  EXPECT_EQ((*s)->node(2).where, partition::Where::coreml);
  EXPECT_NEAR(y_of_zero(**s), kThird * kThird, 1e-3);
}

TEST_F(Device, APartitionThatFailsInARunMovesAloneAndForGood) {
  device_->on_run = [](int number, const std::string& output) {
    return number >= 2 && output == "a" ? broken() : Status();
  };
  const Opened s = open_on_device(two_partitions());
  ASSERT_TRUE(s) << render(s.error());
  y_of_zero(**s);
  EXPECT_TRUE((*s)->moved().empty());
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(y_of_zero(**s), kThird * kThird, 1e-3);
  EXPECT_EQ(device_->runs, 2 + 2 + 1 + 1);  // the failing one is asked once
  ASSERT_EQ((*s)->moved().size(), 1U);
  EXPECT_EQ((*s)->moved()[0].partition, 0);
  EXPECT_EQ(logged_.size(), 1U);
  EXPECT_TRUE(news(**s).empty());
}

TEST_F(Device, WhatIsRequiredIsNotGivenUp) {
  for (const char* option : {"require_device", "lower_full_graph"}) {
    test::GraphParts g;
    g.nodes = {test::node("Add", {"x", "t"}, {"y"})};
    g.initializers = {third("t")};
    g.inputs = {test::value("x", {"n"}, kFloat)};
    g.outputs = {test::value("y", {"n"}, kFloat)};
    device_->on_load = [](int, const std::string&) { return broken(); };
    const Opened refused = open_on_device(test::model(test::graph(g)), {{option, "1"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::io_error);
    device_->on_load = nullptr;
    const Opened s = open_on_device(test::model(test::graph(g)), {{option, "1"}});
    ASSERT_TRUE(s) << render(s.error());
    device_->on_run = [](int, const std::string&) { return broken(); };
    for (int i = 0; i < 2; ++i) {
      const auto y = run(**s, {floats({0})});
      ASSERT_FALSE(y);
      EXPECT_EQ(y.error().code, Code::io_error);
    }
    device_->on_run = nullptr;
    EXPECT_TRUE(run(**s, {floats({0})}));
    EXPECT_TRUE((*s)->moved().empty());
  }
}

TEST_F(Device, LimitsAndWishesMoveNothing) {
  for (const Code code : {Code::cancelled, Code::memory_limit, Code::invalid_argument}) {
    const Opened s = open_on_device(two_partitions());
    ASSERT_TRUE(s) << render(s.error());
    device_->on_run = [&](int, const std::string&) { return fail(code, "not now"); };
    const auto y = run(**s, {floats({0})});
    ASSERT_FALSE(y);
    EXPECT_EQ(y.error().code, code);
    device_->on_run = nullptr;
    EXPECT_TRUE(run(**s, {floats({0})}));
    EXPECT_TRUE((*s)->moved().empty());
  }
  device_->on_load = [](int, const std::string&) { return fail(Code::cancelled, "not now"); };
  const Opened s = open_on_device(two_partitions());
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::cancelled);
}

TEST_F(Device, TwoThreadsThatFailAtOnce) {
  device_->on_run = [](int, const std::string&) { return broken(); };
  const Opened s = open_on_device(two_partitions());
  ASSERT_TRUE(s) << render(s.error());
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) right += y_of_zero(**s) == kThird * kThird;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, 80);  // in fp32: all of it on the host
  EXPECT_EQ((*s)->moved().size(), 2U);
  EXPECT_EQ(logged_.size(), 2U);  // however many runs saw it fail
}

TEST_F(Device, ValuesThatDoNotFitSendOneRunToTheHost) {
  test::GraphParts g;
  g.nodes = {test::node("Cast", {"i"}, {"f"}, {test::int_attribute("to", kFloat)}),
             test::node("Add", {"f", "t"}, {"y"})};
  g.initializers = {third("t")};
  g.inputs = {test::value("i", {"n"}, kInt64)};
  g.outputs = {test::value("y", {"n"}, kFloat)};
  const Opened s = open_on_device(test::model(test::graph(g)));
  ASSERT_TRUE(s) << render(s.error());
  ASSERT_EQ((*s)->partitioning()->partitions, 1);
  const auto y = [&](const std::vector<int64_t>& v) {
    const auto y = run(**s, {tensor(DType::i64, {static_cast<int64_t>(v.size())}, v)});
    EXPECT_TRUE(y) << render(y.error());
    return std::vector<float>((*y)[0].span<float>().begin(), (*y)[0].span<float>().end());
  };
  EXPECT_EQ(y({int64_t{1} << 40}), std::vector<float>{static_cast<float>(int64_t{1} << 40)});
  EXPECT_TRUE(y({}).empty());  // Core ML has no empty tensors
  EXPECT_EQ(device_->runs, 0);
  EXPECT_NEAR(y({20})[0], 20 + kThird, 1e-2);
  EXPECT_EQ(device_->runs, 1);
  EXPECT_TRUE((*s)->moved().empty());
}

TEST_F(Device, WhereTheHostMayNotTakeOverItIsAnError) {
  session::Options options;
  options.device = "coreml";
  options.coreml = device_;
  options.partitioning.drop_unprofitable = false;
  options.host_takes_over = false;
  const auto bytes = std::make_shared<std::string>(two_partitions());
  const auto again = [&] {
    return Session::open_memory(test::bytes_of(*bytes), bytes, "", std::make_shared<Env>(1), options);
  };
  const Opened s = again();
  ASSERT_TRUE(s) << render(s.error());
  EXPECT_TRUE(run(**s, {floats({0})}));
  const auto empty = run(**s, {floats({})});
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, Code::value_out_of_range);
  device_->on_run = [](int, const std::string&) { return broken(); };
  const auto failed = run(**s, {floats({0})});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::io_error);
  EXPECT_TRUE((*s)->moved().empty());
  device_->on_load = [](int, const std::string&) { return broken(); };
  EXPECT_FALSE(again());
}

// The size that Reshape is given was folded into the partition's program. The host makes it anew, from x.
TEST_F(Device, TheHostMakesAnewWhatWasFolded) {
  test::GraphParts g;
  const std::vector<int64_t> minus_one{-1}, zero{0};
  const auto ints = [](const std::string& name, const std::vector<int64_t>& v) {
    return test::raw_tensor(name, kInt64, {static_cast<int64_t>(v.size())},
                            std::string(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(int64_t)));
  };
  g.nodes = {test::node("Unique", {"w"}, {"u"}),
             test::node("Shape", {"x"}, {"shape"}),
             test::node("Gather", {"shape", "zero"}, {"n"}),
             test::node("Concat", {"n", "minus"}, {"size"}, {test::int_attribute("axis", 0)}),
             test::node("Add", {"x", "t"}, {"a"}),
             test::node("Reshape", {"a", "size"}, {"y"}),
             test::node("Add", {"u", "t"}, {"z"})};
  g.initializers = {third("t"), ints("zero", zero), ints("minus", minus_one)};
  g.inputs = {test::value("x", {"n", 2, 3}, kFloat), test::value("w", {"k"}, kFloat)};
  g.outputs = {test::value("y", {"n", 6}, kFloat), test::value("z", {"l"}, kFloat)};
  device_->on_run = [](int, const std::string&) { return broken(); };
  const Opened s = open_on_device(test::model(test::graph(g)));
  ASSERT_TRUE(s) << render(s.error());
  ASSERT_GT((*s)->partitioning()->partitions, 0);
  const auto got = run(**s, {tensor(DType::f32, {2, 2, 3}, std::vector<float>(12, 1)), floats({1, 1})});
  ASSERT_TRUE(got) << render(got.error());
  EXPECT_EQ((*got)[0].shape(), (Shape{2, 6}));
  EXPECT_EQ((*got)[0].span<float>()[11], 1 + kThird);
  EXPECT_EQ((*got)[1].span<float>()[0], 1 + kThird);
}

// ---- partitions and artefacts ----

class Parts : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / "artefacts";
    fs::remove_all(folder_);
    fs::create_directory(folder_);
    options_.device = "coreml";
    options_.partitioning.drop_unprofitable = false;
    const auto bytes = std::make_shared<std::string>(two_partitions());
    const auto model = onnx::read_memory(test::bytes_of(*bytes), "", bytes);
    ASSERT_TRUE(model) << render(model.error());
    auto host = onnx::lower_for_host(*model, {});
    ASSERT_TRUE(host) << render(host.error());
    host_ = std::make_shared<const onnx::HostProgram>(std::move(*host));
  }
  void TearDown() override { fs::remove_all(folder_); }

  partition::Partitioning partitioned(bool claim = true) {
    partition::Options how = options_.partitioning;
    how.claim = claim;
    auto made = partition::partition(host_, how);
    EXPECT_TRUE(made) << render(made.error());
    return std::move(*made);
  }
  Opened open_parts(partition::Partitioning parts) {
    return Session::open(std::make_shared<const partition::Partitioning>(std::move(parts)), std::make_shared<Env>(1),
                         options_);
  }
  static void expect_right(const Opened& s) {
    ASSERT_TRUE(s) << render(s.error());
    const auto y = run(**s, {floats({1, 0, 1})});
    ASSERT_TRUE(y) << render(y.error());
    ASSERT_EQ((*y)[0].shape(), Shape{2});
    EXPECT_NEAR((*y)[0].span<float>()[1], (1 + kThird) * kThird, 1e-3);
  }

  session::Options options_;
  std::shared_ptr<const onnx::HostProgram> host_;
  fs::path folder_;
};

TEST_F(Parts, OnePartitionOpensAsManySessions) {
  const auto parts = std::make_shared<const partition::Partitioning>(partitioned());
  for (int i = 0; i < 2; ++i) expect_right(Session::open(parts, std::make_shared<Env>(1), options_));
  options_.device = "cpu";
  expect_right(Session::open(parts, std::make_shared<Env>(1), options_));
}

TEST_F(Parts, AModelInMemoryIsAnEntryToo) {
  expect_right(Session::open(host_->model, std::make_shared<Env>(1), options_));
}

TEST_F(Parts, WithoutClaimsThereIsNothingForADevice) {
  const Opened s = open_parts(partitioned(false));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::invalid_argument);
  options_.device = "cpu";
  expect_right(open_parts(partitioned(false)));
}

TEST_F(Parts, PartitionsComeBackFromTheDisk) {
  partition::Partitioning parts = partitioned();
  int partition = 0;
  for (partition::Subgraph& s : parts.subgraphs) {
    if (!s.coreml) continue;
    const std::string name = "p" + std::to_string(partition++);
    const std::string key = backend::key_of(s);
    ASSERT_TRUE(session::save(s, folder_.string(), name));
    EXPECT_FALSE(session::save(s, folder_.string(), name));  // something is there
    const auto back = session::load_artefact((folder_ / (name + ".json")).string());
    ASSERT_TRUE(back) << render(back.error());
    EXPECT_EQ(back->key, key);
    EXPECT_EQ(back->artefact.target, s.target);
    ASSERT_EQ(back->artefact.inputs.size(), s.inputs.size());
    EXPECT_EQ(back->artefact.inputs[0].name, s.inputs[0].name);
    EXPECT_EQ(back->artefact.inputs[0].onnx_type, s.inputs[0].onnx_type);
    EXPECT_EQ(back->artefact.program, nullptr);
    static_cast<backend::Artefact&>(s) = back->artefact;
  }
  EXPECT_EQ(partition, 2);
  expect_right(open_parts(std::move(parts)));
}

// The host takes the place of what is not the partition's program.
TEST_F(Parts, APackageOfAnotherPartitionIsNotTaken) {
  partition::Partitioning parts = partitioned();
  ASSERT_EQ(parts.subgraphs.size(), 3U);
  ASSERT_TRUE(session::save(parts.subgraphs[0], folder_.string(), "other"));
  for (const char* gone : {"other.mlpackage", "nowhere.mlpackage"}) {
    parts = partitioned();
    parts.subgraphs[2].program = nullptr;
    parts.subgraphs[2].package = (folder_ / gone).string();
    const Opened s = open_parts(parts);
    expect_right(s);
    ASSERT_EQ((*s)->moved().size(), 1U);
    EXPECT_EQ((*s)->moved()[0].partition, 1);
  }
}

TEST_F(Parts, KeysTellProgramsApart) {
  const partition::Partitioning a = partitioned(), b = partitioned();
  EXPECT_EQ(backend::key_of(a.subgraphs[0]), backend::key_of(b.subgraphs[0]));
  EXPECT_NE(backend::key_of(a.subgraphs[0]), backend::key_of(a.subgraphs[2]));
  options_.partitioning.precision = partition::Precision::float32;
  EXPECT_NE(backend::key_of(a.subgraphs[0]), backend::key_of(partitioned().subgraphs[0]));
}

TEST(ArtefactText, BadTextsAreErrors) {
  const std::string good = R"({"schema":"graft.artefact/1","package":"p.mlpackage","function":"main","target":"iOS15",
    "key":"k","inputs":[{"name":"x","onnx":{"dtype":"int64","dims":[1,{"symbol":"n","min":1,"max":8}]},
    "type":{"dtype":"int32","dims":[1,{"symbol":"n","min":1,"max":8}]}}],"outputs":[]})";
  const auto read = backend::artefact_from_text(good, "folder");
  ASSERT_TRUE(read) << render(read.error());
  EXPECT_EQ(read->artefact.package, "folder/p.mlpackage");
  EXPECT_EQ(read->artefact.inputs[0].onnx_type.dtype, DType::i64);
  EXPECT_EQ(read->artefact.inputs[0].type.dims[1].range().hi, 8);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    return backend::artefact_from_text(text, "folder");
  };
  for (const char* path : {"../p.mlpackage", "/p.mlpackage", "a/b", "..", ".", "", "p\\u0000q"})
    EXPECT_EQ(changed("p.mlpackage", path).error().code, Code::unsafe_path) << path;
  EXPECT_EQ(changed("artefact/1", "artefact/2").error().code, Code::unsupported_format);
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"iOS15\"", "\"iOS1\""},
                                                        {"\"iOS15\"", "5"},
                                                        {"int64", "int65"},
                                                        {"\"min\":1", "\"min\":9"},
                                                        {"\"min\":1", "\"min\":\"a\""},
                                                        {"[1,", "[-1,"},
                                                        {"[1,", "[1,1,1,1,1,1,1,1,1,"},
                                                        {"[1,", "[1.5,"},
                                                        {"\"symbol\":\"n\"", "\"symbol\":\"\""},
                                                        {"\"outputs\":[]", "\"outputs\":[3]"},
                                                        {"\"outputs\":[]", "\"outputs\":{}"},
                                                        {"\"outputs\":[]", "\"other\":[]"},
                                                        {"\"key\":\"k\"", "\"key\":null"},
                                                        {"{\"schema\"", "[\"schema\""},
                                                        {"\"name\":\"x\"", "\"name\":1"},
                                                        {"\"type\":{", "\"tipe\":{"}})
    EXPECT_EQ(changed(from, to).error().code, Code::malformed) << from << " -> " << to;
}

}  // namespace
}  // namespace graft::session_test
