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
#include "tools/npy.h"
#include "tools/op_list.h"
#include "tools/verify.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;
const std::string kModels = GRAFT_SOURCE_DIR "/models/";
const std::string kDigits = kModels + "digits.onnx";

std::shared_ptr<const Env> env() { return std::make_shared<const Env>(2); }
session::Options options(std::vector<session::NamedOption> named = {}) { return *session::parse_options(named); }
std::string no_report(const Compilation&) { return "{\"schema\": \"graft.compile/1\"}\n"; }

class Verbs : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("graft_verbs_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  fs::path folder_;
};

TEST_F(Verbs, InspectTakesDigitsWhole) {
  const Result<Inspection> r = inspect(kDigits, *env(), options());
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_TRUE(r->whole);
  EXPECT_EQ(r->pieces.size(), 1u);
  EXPECT_EQ(r->total, 15);
  EXPECT_EQ(r->claimed + r->folded, 15);
  EXPECT_EQ(r->host, 0);
  EXPECT_TRUE(r->refusals.empty());
  EXPECT_EQ(r->inputs.at(0).name, "image");
  EXPECT_EQ(r->outputs.at(0).dims.at(1).value, 10);
  EXPECT_GT(r->flops_total, 1e6);
  EXPECT_DOUBLE_EQ(r->flops_total, r->flops_claimed);
  int count = 0;
  for (const OperatorCount& o : r->operators) count += o.count;
  EXPECT_EQ(count, 15);
}

TEST_F(Verbs, InspectNamesEveryMissingOperatorAtOnce) {
  const Result<Inspection> r = inspect(kModels + "small/unsupported_op.onnx", *env(), options());
  ASSERT_TRUE(r) << render(r.error());
  ASSERT_FALSE(r->missing.empty());
  size_t nodes = 0;
  for (const onnx::MissingOperator& m : r->missing) {
    EXPECT_NE(m.message.find("unsupported operator"), std::string::npos);
    nodes += m.nodes.size();
  }
  const Diag d = onnx::describe_missing(r->missing);
  EXPECT_NE(d.message.find("unsupported operator"), std::string::npos);
  for (const onnx::MissingOperator& m : r->missing) EXPECT_NE(render(d).find(m.op), std::string::npos);
  EXPECT_GE(r->host, 1);
  EXPECT_GE(nodes, 1u);
}

TEST_F(Verbs, InspectAnswersForEverySmallModel) {
  int seen = 0;
  for (const auto& e : fs::directory_iterator(kModels + "small")) {
    if (e.path().extension() != ".onnx") continue;
    ++seen;
    const Result<Inspection> r = inspect(e.path().string(), *env(), options());
    ASSERT_TRUE(r) << e.path() << ": " << render(r.error());
    EXPECT_EQ(r->claimed + r->folded + r->host, r->total) << e.path();
    if (!r->unusable) {
      EXPECT_EQ(static_cast<size_t>(r->host), r->refusals.size()) << e.path();
    }
  }
  EXPECT_GT(seen, 10);
}

TEST_F(Verbs, InspectPassesOnTheCallersMistakes) {
  EXPECT_EQ(inspect(kDigits, *env(), options({{"shapes", "nope:1x2"}})).error().code, Code::invalid_option);
  EXPECT_EQ(inspect(path("none.onnx"), *env(), options()).error().code, Code::file_not_found);
}

TEST_F(Verbs, CompileWritesAPackageThatInspectReads) {
  CompileOptions o;
  const Result<Compilation> r = compile(kDigits, path("d.mlpackage"), *env(), o, no_report);
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_TRUE(r->done);
  ASSERT_EQ(r->packages.size(), 1u);
  EXPECT_GT(r->packages[0].bytes, 60000);
  const Result<PackageInspection> p = inspect_package(path("d.mlpackage"));
  ASSERT_TRUE(p) << render(p.error());
  ASSERT_EQ(p->functions.size(), 1u);
  EXPECT_EQ(p->functions[0].inputs.at(0).name, "image");
  EXPECT_EQ(p->functions[0].outputs.at(0).name, "probabilities");
  EXPECT_TRUE(p->metadata.contains("labels")) << "the model's metadata goes with it";
  EXPECT_GT(p->functions[0].operators.size(), 3u);
}

TEST_F(Verbs, CompileRefusesWithEveryReasonAndWritesNothing) {
  const Result<Compilation> r =
      compile(kModels + "small/unsupported_op.onnx", path("u.mlpackage"), *env(), {}, no_report);
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_FALSE(r->done);
  EXPECT_FALSE(r->verdict.refusals.empty());
  EXPECT_TRUE(fs::is_empty(folder_));
}

// What lies at the output: replaced, refused, or replaced with --force. Refused always means untouched.
TEST_F(Verbs, CompileReplacesOnlyWhatItWroteItself) {
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
         std::ofstream(at + "/report.json") << no_report({});
       },
       kNever, kNever},
      {"a package", [&] { ASSERT_TRUE(compile(kDigits, at, *env(), whole, no_report)); }, kAlways, kForced},
      {"a package with a guest",
       [&] {
         ASSERT_TRUE(compile(kDigits, at, *env(), whole, no_report));
         std::ofstream(at + "/a.txt") << "mine";
       },
       kNever, kNever},
      {"parts", [&] { ASSERT_TRUE(compile(kDigits, at, *env(), parts, no_report)); }, kForced, kAlways},
      {"parts with a guest",
       [&] {
         ASSERT_TRUE(compile(kDigits, at, *env(), parts, no_report));
         std::ofstream(at + "/a.txt") << "mine";
       },
       kNever, kNever},
      {"parts with a guest in one",
       [&] {
         ASSERT_TRUE(compile(kDigits, at, *env(), parts, no_report));
         std::ofstream(at + "/partition_0.mlpackage/a.txt") << "mine";
       },
       kNever, kNever},
      {"parts with another report",
       [&] {
         ASSERT_TRUE(compile(kDigits, at, *env(), parts, no_report));
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
        const Result<Compilation> r = compile(kDigits, at, *env(), o, no_report);
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
TEST_F(Verbs, CompileLooksAgainAtWhatItReplaces) {
  CompileOptions o;
  o.allow_partial = true;
  const Result<Compilation> r = compile(kDigits, path("out"), *env(), o, [&](const Compilation& c) {
    fs::create_directory(path("out"));
    std::ofstream(path("out/a.txt")) << "mine";
    return no_report(c);
  });
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::would_overwrite);
  EXPECT_TRUE(fs::exists(path("out/a.txt")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(Verbs, CompileRefusesAModelThatWasWrittenTo) {
  fs::copy_file(kDigits, path("m.onnx"));
  CompileOptions o;
  o.allow_partial = true;
  const Result<Compilation> r = compile(path("m.onnx"), path("out"), *env(), o, [&](const Compilation& c) {
    fs::last_write_time(path("m.onnx"), fs::file_time_type::clock::now() + std::chrono::seconds(5));
    return no_report(c);
  });
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::io_error);
  EXPECT_EQ(r.error().file, path("m.onnx"));
  EXPECT_FALSE(fs::exists(path("out")));
}

TEST_F(Verbs, RunWritesAllOutputsOrNone) {
  RunModelOptions o;
  o.session = options();
  o.output_folder = path("out");
  ASSERT_TRUE(run_model(kDigits, env(), o));
  const auto written = fs::last_write_time(path("out/probabilities.npy"));
  ASSERT_TRUE(run_model(kDigits, env(), o)) << "its own files are replaced";
  EXPECT_NE(fs::last_write_time(path("out/probabilities.npy")), written);
  EXPECT_EQ(std::distance(fs::directory_iterator(path("out")), {}), 1);
  for (const std::string& bad : {path("out/probabilities.npy"), std::string("/dev/null")}) {
    o.output_folder = bad;
    EXPECT_EQ(run_model(kDigits, env(), o).error().code, Code::would_overwrite);
  }
}

TEST_F(Verbs, RunReadsAPictureAndRanksLabels) {
  RunModelOptions o;
  o.session = options();
  o.inputs.files = {"image=" + kModels + "digit_seven.png"};
  o.top_k = 2;
  o.output_folder = path("out");
  const Result<RunResult> r = run_model(kDigits, env(), o);
  ASSERT_TRUE(r) << render(r.error());
  ASSERT_EQ(r->outputs.size(), 1u);
  ASSERT_EQ(r->outputs[0].top.size(), 1u);
  EXPECT_EQ(r->outputs[0].top[0].at(0).index, 7);
  EXPECT_EQ(r->outputs[0].top[0].at(0).label, "7");
  EXPECT_GT(r->outputs[0].top[0].at(0).value, 0.9);
  const Result<Tensor> written = read_npy(path("out/probabilities.npy"));
  ASSERT_TRUE(written);
  EXPECT_EQ(written->shape(), (Shape{1, 10}));
  EXPECT_EQ(r->placement.requested, "auto");
}

TEST_F(Verbs, PackageAnswersByOnnxNames) {
  ASSERT_TRUE(compile(kDigits, path("d.mlpackage"), *env(), {}, no_report));
  RunModelOptions o;
  o.session = options();
  for (const auto& [file, digit] : {std::pair{"digit_three.png", 3}, {"digit_seven.png", 7}, {"digit_eight.png", 8}}) {
    o.inputs.files = {"image=" + kModels + file};
    o.top_k = 1;
    const Result<RunResult> r = run_model(path("d.mlpackage"), env(), o);
    ASSERT_TRUE(r) << render(r.error());
    EXPECT_EQ(r->outputs.at(0).name, "probabilities");
    EXPECT_EQ(r->outputs[0].top.at(0).at(0).index, digit);
    EXPECT_EQ(r->outputs[0].top[0][0].label, std::to_string(digit));
  }
}

TEST_F(Verbs, InputsAreChecked) {
  const Result<std::shared_ptr<const session::Session>> s = session::Session::open(kDigits, env(), options());
  ASSERT_TRUE(s);
  const auto code = [&](std::vector<std::string> files) {
    InputOptions o;
    o.files = std::move(files);
    const Result<std::vector<InputTensor>> r = make_inputs(**s, o);
    return r ? Code::internal : r.error().code;
  };
  const std::string png = kModels + "digit_three.png";
  EXPECT_EQ(code({"picture=" + png}), Code::invalid_option);
  EXPECT_EQ(code({"image=" + png, "image=" + png}), Code::invalid_option);
  EXPECT_EQ(code({"image=" + path("x.txt")}), Code::invalid_option);
  EXPECT_EQ(code({"image=" + path("none.npy")}), Code::file_not_found);
  ASSERT_TRUE(write_npy(path("f64.npy"), Tensor(DType::f64, {1, 1, 32, 32}).view()));
  ASSERT_TRUE(write_npy(path("small.npy"), Tensor(DType::f32, {1, 1, 32, 31}).view()));
  EXPECT_EQ(code({"image=" + path("f64.npy")}), Code::invalid_argument);
  EXPECT_EQ(code({"image=" + path("small.npy")}), Code::invalid_argument);
  EXPECT_EQ(code({png}), Code::internal) << "one input needs no name";
}

TEST_F(Verbs, RandomInputsDependOnTheSeedOnly) {
  const Result<std::shared_ptr<const session::Session>> s = session::Session::open(kDigits, env(), options());
  ASSERT_TRUE(s);
  InputOptions one, two;
  two.seed = 2;
  const auto a = make_inputs(**s, one), b = make_inputs(**s, one), c = make_inputs(**s, two);
  ASSERT_TRUE(a && b && c);
  const size_t bytes = a->at(0).tensor.view().bytes();
  EXPECT_EQ(std::memcmp(a->at(0).tensor.view().data, b->at(0).tensor.view().data, bytes), 0);
  EXPECT_NE(std::memcmp(a->at(0).tensor.view().data, c->at(0).tensor.view().data, bytes), 0);
  EXPECT_EQ(a->at(0).source, "random");
}

TEST_F(Verbs, VerifyAgreesInBothPrecisions) {
  for (const char* precision : {"float16", "float32"}) {
    VerifyOptions o;
    o.session = options({{"precision", precision}});
    o.layers = true;
    const Result<Verification> r = verify(kDigits, env(), o);
    ASSERT_TRUE(r) << render(r.error());
    EXPECT_TRUE(r->ran);
    EXPECT_TRUE(r->from_package);
    EXPECT_TRUE(r->accurate) << precision;
    EXPECT_GT(r->layers_compared, 3);
    ASSERT_TRUE(r->worst);
    EXPECT_FALSE(r->first_bad) << r->first_bad->name;
  }
}

TEST_F(Verbs, VerifySaysWhenItIsNotAccurate) {
  VerifyOptions o;
  o.session = options();
  o.min_snr_db = 250;
  o.layers = true;
  const Result<Verification> r = verify(kDigits, env(), o);
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_TRUE(r->ran);
  EXPECT_FALSE(r->accurate);
  ASSERT_TRUE(r->first_bad);
  EXPECT_FALSE(r->first_bad->ok);
}

TEST_F(Verbs, VerifyWithoutAnythingToCompile) {
  VerifyOptions o;
  o.session = options();
  const Result<Verification> r = verify(kModels + "small/unsupported_op.onnx", env(), o);
  if (r) {
    EXPECT_FALSE(r->ran);
  } else {
    EXPECT_EQ(r.error().code, Code::unsupported_operator);
  }
}

TEST_F(Verbs, BenchMeasures) {
  BenchOptions o;
  o.session = options();
  o.runs = 20;
  o.warmup = 1;
  const Result<BenchResult> r = bench(kDigits, env(), o);
  ASSERT_TRUE(r) << render(r.error());
  EXPECT_GT(r->load_ms, 0);
  EXPECT_GT(r->first_ms, 0);
  EXPECT_LE(r->min_ms, r->median_ms);
  EXPECT_LE(r->median_ms, r->p90_ms);
  EXPECT_LE(r->p90_ms, r->p99_ms);
  EXPECT_GT(r->peak_rss_bytes, 1 << 20);
  EXPECT_EQ(r->threads, 2);
  o.runs = 0;
  EXPECT_EQ(bench(kDigits, env(), o).error().code, Code::invalid_option);
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
