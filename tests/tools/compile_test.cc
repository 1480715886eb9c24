// The verbs' functions on the models that ship here.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include <gtest/gtest.h>
#include "tools/bench.h"
#include "tools/compile.h"
#include "tools/inputs.h"
#include "tools/op_list.h"
#include "tools/verify.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;
const std::string kModels = GRAFT_SOURCE_DIR "/models/";
const std::string kDigits = kModels + "digits.onnx";
constexpr const char* kReport = "{\"schema\": \"graft.compile/1\"}\n";

using Named = std::vector<session::NamedOption>;
using ModelPtr = std::shared_ptr<const Model>;
using PartsPtr = std::shared_ptr<const Partitioned>;
using SessionPtr = std::shared_ptr<const session::Session>;

std::shared_ptr<const Env> env() { return std::make_shared<const Env>(2); }
Result<ModelPtr> open(const std::string& path, const Named& named = {}) {
  return open_model({path, {}, {}}, env(), named);
}
PartsPtr partitioned(const std::string& path, const Named& named = {}) {
  const Result<ModelPtr> model = open(path, named);
  EXPECT_TRUE(model) << render(model.error());
  const Result<PartsPtr> parts = partition_model(*model, {}, "");
  EXPECT_TRUE(parts) << render(parts.error());
  return *parts;
}
PartsPtr digits() { return partitioned(kDigits); }
SessionPtr session_of(const std::string& path, const Named& named = {}) {
  const Result<SessionPtr> s = session::Session::open(path, env(), *session::parse_options(named));
  EXPECT_TRUE(s) << render(s.error());
  return *s;
}
std::vector<TensorView> views(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> list;
  for (const Tensor& t : tensors) list.push_back(t.view());
  return list;
}

class Tools : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("graft_tools_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  fs::path folder_;
};

TEST_F(Tools, CoreMLTakesDigitsWhole) {
  const PartsPtr p = digits();
  EXPECT_TRUE(p->partitioning->whole());
  EXPECT_EQ(p->partitions.size(), 1u);
  using partition::Where;
  EXPECT_EQ(p->partitioning->count(Where::coreml) + p->partitioning->count(Where::folded), 15);
  EXPECT_EQ(p->partitioning->count(Where::host), 0);
  EXPECT_TRUE(p->refusals().empty());
  const FunctionInfo& main = p->model->functions.at(0);
  EXPECT_EQ(main.inputs.at(0).name, "image");
  EXPECT_EQ(main.outputs.at(0).dims.at(1).value, 10);
  EXPECT_GT(p->partitioning->flops_total, 1e6);
  EXPECT_DOUBLE_EQ(p->partitioning->flops_total, p->partitioning->flops_claimed);
  int count = 0;
  for (const OperatorCount& o : main.operators) count += o.count;
  EXPECT_EQ(count, 15);
}

TEST_F(Tools, EveryMissingOperatorIsNamedAtOnce) {
  const PartsPtr p = partitioned(kModels + "small/unsupported_op.onnx");
  const auto& missing = p->model->missing;
  ASSERT_FALSE(missing.empty());
  const Diag d = onnx::describe_missing(missing);
  EXPECT_NE(d.message.find("unsupported operator"), std::string::npos);
  for (const onnx::MissingOperator& m : missing) {
    EXPECT_NE(m.message.find("unsupported operator"), std::string::npos);
    EXPECT_FALSE(m.nodes.empty());
    EXPECT_NE(render(d).find(m.op), std::string::npos);
  }
  EXPECT_GE(p->refusals().size(), 1u);
}

TEST_F(Tools, EverySmallModelIsAnsweredFor) {
  int seen = 0;
  for (const auto& e : fs::directory_iterator(kModels + "small")) {
    if (e.path().extension() != ".onnx") continue;
    ++seen;
    const Result<ModelPtr> model = open(e.path().string());
    ASSERT_TRUE(model) << e.path() << ": " << render(model.error());
    const Result<PartsPtr> p = partition_model(*model, {}, "");
    ASSERT_EQ(p.has_value(), !(*model)->problem) << e.path();
    if (!p) continue;
    const size_t host = static_cast<size_t>((*p)->partitioning->count(partition::Where::host));
    EXPECT_EQ(host, (*p)->refusals().size()) << e.path();
  }
  EXPECT_GT(seen, 10);
}

TEST_F(Tools, TheCallersMistakesArePassedOn) {
  EXPECT_EQ(open(kDigits, {{"shapes", "nope:1x2"}}).error().code, Code::invalid_option);
  EXPECT_EQ(open(path("none.onnx")).error().code, Code::file_not_found);
  const ModelPtr model = *open(kDigits);
  const auto code = [&](const Named& named, const std::string& pass = {}) {
    return partition_model(model, named, pass).error().code;
  };
  EXPECT_EQ(code({{"shapes", "image:1x1x32x32"}}), Code::invalid_option);
  EXPECT_EQ(code({{"memory_limit", "1G"}}), Code::invalid_option);
  EXPECT_EQ(code({{"weights", "mapped"}}), Code::invalid_option);
  EXPECT_EQ(code({{"target", "iOS12"}}), Code::invalid_option);
  EXPECT_EQ(code({}, "no_such_pass"), Code::invalid_option);
}

TEST_F(Tools, ALaterOptionWins) {
  const ModelPtr model = *open(kDigits, {{"precision", "float16"}, {"target", "iOS16"}});
  const PartsPtr p = *partition_model(model, Named{{"precision", "float32"}}, "");
  EXPECT_EQ(p->options.partitioning.precision, partition::Precision::float32);
  EXPECT_EQ(p->partitioning->target, ir::Opset::ios16);
}

TEST_F(Tools, CompileWritesAPackageThatIsReadBack) {
  const auto r = compile(*digits(), path("d.mlpackage"), {});
  ASSERT_TRUE(r) << render(r.error());
  ASSERT_EQ(r->size(), 1u);
  EXPECT_GT(r->at(0).bytes, 60000);
  const Result<ModelPtr> p = open(path("d.mlpackage"));
  ASSERT_TRUE(p) << render(p.error());
  EXPECT_TRUE((*p)->package);
  ASSERT_EQ((*p)->functions.size(), 1u);
  const FunctionInfo& main = (*p)->functions[0];
  EXPECT_EQ(main.inputs.at(0).name, "image");
  EXPECT_EQ(main.outputs.at(0).name, "probabilities");
  EXPECT_TRUE((*p)->metadata.contains("labels")) << "the model's metadata goes with it";
  EXPECT_GT(main.operators.size(), 3u);
  EXPECT_EQ(partition_model(*p, {}, "").error().code, Code::invalid_argument);
}

TEST_F(Tools, CompileRefusesWithEveryReasonAndWritesNothing) {
  const auto r = compile(*partitioned(kModels + "small/unsupported_op.onnx"), path("u.mlpackage"), {});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::not_delegated);
  EXPECT_FALSE(r.error().inner.empty());
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Tools, CompileReplacesOnlyWhatItWroteItself) {
  enum Verdict { kNever, kForced, kAlways };
  CompileOptions whole, parts;
  parts.allow_partial = true;
  const std::string at = path("out");
  struct Case {
    const char* what;
    std::function<void()> make;
    Verdict whole, partial;
  };
  const Case cases[] = {
      {"nothing", [] {}, kAlways, kAlways},
      {"a file", [&] { std::ofstream(at) << "mine"; }, kNever, kNever},
      {"a pipe", [&] { ASSERT_EQ(::mkfifo(at.c_str(), 0600), 0); }, kNever, kNever},
      {"an empty folder", [&] { fs::create_directory(at); }, kForced, kAlways},
      {"a folder with a file",
       [&] {
         fs::create_directory(at);
         std::ofstream(at + "/a.txt") << "mine";
       },
       kNever, kNever},
      {"a web application",
       [&] {
         fs::create_directory(at);
         std::ofstream(at + "/Manifest.json") << R"({"manifest_version": 3})";
       },
       kNever, kNever},
      {"reports",
       [&] {
         fs::create_directory(at);
         std::ofstream(at + "/report.json") << kReport;
       },
       kNever, kNever},
      {"a package", [&] { ASSERT_TRUE(compile(*digits(), at, whole)); }, kAlways, kForced},
      {"a package with a guest",
       [&] {
         ASSERT_TRUE(compile(*digits(), at, whole));
         std::ofstream(at + "/a.txt") << "mine";
       },
       kNever, kNever},
      {"parts", [&] { ASSERT_TRUE(compile(*digits(), at, parts)); }, kForced, kAlways},
      {"parts with a guest",
       [&] {
         ASSERT_TRUE(compile(*digits(), at, parts));
         std::ofstream(at + "/a.txt") << "mine";
       },
       kNever, kNever},
      {"parts with a guest in one",
       [&] {
         ASSERT_TRUE(compile(*digits(), at, parts));
         std::ofstream(at + "/partition_0.mlpackage/a.txt") << "mine";
       },
       kNever, kNever},
      {"parts with another report",
       [&] {
         ASSERT_TRUE(compile(*digits(), at, parts));
         std::ofstream(at + "/report.json") << "mine";
       },
       kNever, kNever},
  };
  const auto tree = [&] {
    std::map<std::string, ino_t> files;
    for (const auto& e : fs::recursive_directory_iterator(folder_)) {
      struct stat st {};
      ::lstat(e.path().c_str(), &st);
      files[e.path().string()] = st.st_ino;
    }
    return files;
  };
  for (const Case& c : cases) {
    for (const bool partial : {false, true}) {
      const Verdict verdict = partial ? c.partial : c.whole;
      for (const bool force : {false, true}) {
        SCOPED_TRACE(std::string(c.what) + (partial ? ", partial" : "") + (force ? ", forced" : ""));
        fs::remove_all(at);
        c.make();
        const auto before = tree();
        CompileOptions o = partial ? parts : whole;
        o.overwrite = force;
        const auto r = compile(*digits(), at, o);
        ASSERT_EQ(r.has_value(), verdict == kAlways || (force && verdict == kForced));
        if (r) {
          EXPECT_EQ(fs::exists(at + "/report.json"), partial);
          EXPECT_EQ(fs::exists(at + "/Manifest.json"), !partial);
          EXPECT_FALSE(fs::exists(at + "/a.txt"));
          EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
        } else {
          EXPECT_EQ(r.error().code, Code::would_overwrite);
          EXPECT_EQ(r.error().file, at);
          EXPECT_EQ(r.error().remedies,
                    verdict == kForced ? std::vector<std::string>{"--force"} : std::vector<std::string>{});
          EXPECT_EQ(tree(), before);
        }
      }
    }
  }
}

// Somebody puts something there while the model is compiled.
TEST_F(Tools, CompileLooksAgainAtWhatItReplaces) {
  CompileOptions o;
  o.allow_partial = true;
  o.report = [&](const std::vector<WrittenPackage>&) {
    fs::create_directory(path("out"));
    std::ofstream(path("out/a.txt")) << "mine";
    return std::string(kReport);
  };
  const auto r = compile(*digits(), path("out"), o);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::would_overwrite);
  EXPECT_TRUE(fs::exists(path("out/a.txt")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(Tools, CompileRefusesAModelThatWasWrittenTo) {
  fs::copy_file(kDigits, path("m.onnx"));
  CompileOptions o;
  o.allow_partial = true;
  const auto model = partitioned(path("m.onnx"), {{"weights", "mapped"}});
  fs::last_write_time(path("m.onnx"), fs::file_time_type::clock::now() + std::chrono::seconds(5));
  const auto r = compile(*model, path("out"), o);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::io_error);
  EXPECT_EQ(r.error().file, path("m.onnx"));
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(Tools, FilesAreWrittenAllOrNone) {
  const NewFile files[] = {{"a.txt", "head ", std::as_bytes(std::span("data", 4))}, {"b.txt", "b", {}}};
  ASSERT_TRUE(write_files(path("out"), files));
  std::ifstream in(path("out/a.txt"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "head data");
  EXPECT_EQ(std::distance(fs::directory_iterator(path("out")), {}), 2);
  fs::remove(path("out/b.txt"));
  fs::create_directory(path("out/b.txt"));
  const NewFile others[] = {{"a.txt", "new", {}}, {"b.txt", "new", {}}};
  EXPECT_EQ(write_files(path("out"), others).error().code, Code::would_overwrite);
  EXPECT_EQ(fs::file_size(path("out/a.txt")), 9u);
}

TEST_F(Tools, RandomInputsDependOnTheSeedOnly) {
  const SessionPtr s = session_of(kDigits);
  const auto a = random_inputs(*s, {}, 1), b = random_inputs(*s, {}, 1), c = random_inputs(*s, {}, 2);
  ASSERT_TRUE(a && b && c);
  const size_t bytes = a->at(0).view().bytes();
  EXPECT_EQ(std::memcmp(a->at(0).view().data, b->at(0).view().data, bytes), 0);
  EXPECT_NE(std::memcmp(a->at(0).view().data, c->at(0).view().data, bytes), 0);
  const std::vector<TensorView> given = views(*a);
  EXPECT_FALSE(random_inputs(*s, given, 1)->at(0).valid()) << "what is given is not made up";
}

TEST_F(Tools, VerifyAgreesInBothPrecisions) {
  for (const char* precision : {"float16", "float32"}) {
    const PartsPtr p = partitioned(kDigits, {{"precision", precision}});
    const SessionPtr host = *open_reference(*p);
    const auto in = random_inputs(*host, {}, 1);
    const Result<Verification> r = verify(*p, *host, views(*in), {true, {}});
    ASSERT_TRUE(r) << render(r.error());
    EXPECT_TRUE(r->from_package);
    EXPECT_TRUE(r->accurate) << precision;
    EXPECT_GT(r->layers.size(), 3u);
    EXPECT_GE(r->worst, 0);
    EXPECT_EQ(r->first_bad, -1);
  }
}

TEST_F(Tools, VerifySaysWhenItIsNotAccurate) {
  const PartsPtr p = digits();
  const SessionPtr host = *open_reference(*p);
  const auto in = random_inputs(*host, {}, 1);
  const Result<Verification> r = verify(*p, *host, views(*in), {true, 250});
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_FALSE(r->accurate);
  ASSERT_GE(r->first_bad, 0);
  EXPECT_FALSE(r->layers[static_cast<size_t>(r->first_bad)].ok);
}

TEST_F(Tools, BenchMeasures) {
  const SessionPtr s = session_of(kDigits);
  const auto in = random_inputs(*s, {}, 1);
  const Result<BenchResult> r = bench(*s, *env(), views(*in), {20, 1});
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_GT(r->first_ms, 0);
  EXPECT_LE(r->min_ms, r->median_ms);
  EXPECT_LE(r->median_ms, r->p90_ms);
  EXPECT_LE(r->p90_ms, r->p99_ms);
  EXPECT_GT(r->peak_rss_bytes, 1 << 20);
}

TEST(Ops, ListsBothTables) {
  const OpList list = list_ops();
  const auto onnx = [&](const char* n) {
    return std::any_of(list.onnx.begin(), list.onnx.end(), [&](const OnnxOpInfo& o) { return o.name == n; });
  };
  EXPECT_TRUE(onnx("Conv") && onnx("Gemm") && onnx("Add"));
  EXPECT_FALSE(onnx("NoSuchOperator"));
  for (const MilOpInfo& o : list.mil) EXPECT_FALSE(o.doc.empty() || o.variants.empty()) << o.name;
}

}  // namespace
}  // namespace graft::tools
