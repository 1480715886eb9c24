// The verbs on the models that ship here, as the command runs them.
#include "verbs.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "files/npy.h"
#include "outputs.h"

namespace cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
const std::string kModels = GRAFT_SOURCE_DIR "/models/";
const std::string kDigits = kModels + "digits.onnx";

Report run(std::string_view name, const graft::Options& options) {
  for (const Verb& v : verbs()) {
    if (v.name == name) return run_verb(v, options);
  }
  throw std::invalid_argument("no such verb");
}
Json json_of(const Report& r) { return Json::parse(r.json); }

// What a verb fails with; GRAFT_CODE_OK when it does not.
graft_code code_of(std::string_view verb, const graft::Options& options) {
  try {
    run(verb, options);
    return GRAFT_CODE_OK;
  } catch (const graft::Error& e) {
    return e.code();
  }
}

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

TEST_F(Verbs, AreRowsWithHelp) {
  ASSERT_EQ(verbs().size(), 6u);
  for (const Verb& v : verbs()) {
    EXPECT_NE(v.help.find("graft " + std::string(v.name)), std::string::npos) << "an example";
    for (const VerbOption& o : v.options) EXPECT_FALSE(o.doc.empty()) << v.name << " " << o.name;
  }
}

// One text an option: a verb's is made of the session's row.
TEST_F(Verbs, TakeTheirOptionsFromTheSessions) {
  int seen = 0;
  for (const Verb& v : verbs()) {
    for (const VerbOption& o : v.options) {
      for (const graft_option_info& row : graft::session_options()) {
        std::string name = o.name;
        std::replace(name.begin(), name.end(), '-', '_');
        if (name != row.name || (o.flags & kSession) == 0) continue;
        ++seen;
        EXPECT_TRUE(o.doc.starts_with(row.doc)) << o.name;
      }
    }
  }
  EXPECT_GT(seen, 20);
}

TEST_F(Verbs, OptionsAreChecked) {
  EXPECT_EQ(code_of("inspect", {{"targt", "iOS16"}}), GRAFT_CODE_UNKNOWN_OPTION);
  EXPECT_EQ(code_of("inspect", {}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("inspect", {{"model", ""}}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("inspect", {{"model", kDigits}, {"mil", "yes"}}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("inspect", {{"model", kDigits}, {"target", "iOS16"}, {"target", "iOS16"}}),
            GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("inspect", {{"model", kDigits}, {"target", "iOS12"}}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("inspect", {{"model", kDigits}, {"shapes", "nope:1x2"}}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("inspect", {{"model", path("none.onnx")}}), GRAFT_CODE_FILE_NOT_FOUND);
  EXPECT_EQ(code_of("run", {{"model", kDigits}, {"threads", "0"}}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("bench", {{"model", kDigits}, {"runs", "0"}}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code_of("ops", {{"errors", "1"}, {"passes", "1"}}), GRAFT_CODE_INVALID_OPTION);
}

TEST_F(Verbs, InspectAnswersForEverySmallModel) {
  int seen = 0;
  for (const auto& e : fs::directory_iterator(kModels + "small")) {
    if (e.path().extension() != ".onnx") continue;
    ++seen;
    const Report r = run("inspect", {{"model", e.path().string()}});
    const Json j = json_of(r);
    EXPECT_EQ(r.exit_code, 0) << e.path();
    EXPECT_EQ(j["nodes"]["claimed"].get<int>() + j["nodes"]["folded"].get<int>() + j["nodes"]["host"].get<int>(),
              j["nodes"]["total"].get<int>())
        << e.path();
    EXPECT_EQ(r.text(false).find('\x1b'), std::string::npos);
    EXPECT_NE(r.text(true).find('\x1b'), std::string::npos);
  }
  EXPECT_GT(seen, 10);
}

TEST_F(Verbs, CompileSaysWhyNot) {
  const Report r = run("compile", {{"model", kModels + "small/unsupported_op.onnx"}, {"output", path("u.mlpackage")}});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_FALSE(json_of(r)["done"].get<bool>());
  EXPECT_FALSE(json_of(r)["refusals"].empty());
  EXPECT_NE(r.reason.find("[not_delegated]"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Verbs, PartialCompileWritesItsReportBesideThePackages) {
  const Report r = run("compile", {{"model", kDigits}, {"output", path("out")}, {"allow-partial", "1"}});
  EXPECT_EQ(r.exit_code, 0);
  std::ifstream in(path("out/report.json"));
  Json there = Json::parse(in), said = json_of(r);
  EXPECT_TRUE(there["done"].get<bool>());
  there.erase("seconds");
  said.erase("seconds");
  EXPECT_EQ(there, said);
}

TEST_F(Verbs, RunWritesAllOutputsOrNone) {
  const graft::Options options = {{"model", kDigits}, {"output", path("out")}};
  run("run", options);
  const auto written = fs::last_write_time(path("out/probabilities.npy"));
  run("run", options);  // its own files are replaced
  EXPECT_NE(fs::last_write_time(path("out/probabilities.npy")), written);
  EXPECT_EQ(std::distance(fs::directory_iterator(path("out")), {}), 1);
  for (const std::string& bad : {path("out/probabilities.npy"), std::string("/dev/null")})
    EXPECT_EQ(code_of("run", {{"model", kDigits}, {"output", bad}}), GRAFT_CODE_WOULD_OVERWRITE);
}

TEST_F(Verbs, RunReadsAPictureAndRanksLabels) {
  const Report r = run(
      "run",
      {{"model", kDigits}, {"input", "image=" + kModels + "digit_seven.png"}, {"top-k", "2"}, {"output", path("out")}});
  const Json out = json_of(r)["outputs"].at(0);
  EXPECT_EQ(out["top"].at(0).at(0)["index"], 7);
  EXPECT_EQ(out["top"].at(0).at(0)["label"], "7");
  EXPECT_GT(out["top"].at(0).at(0)["value"].get<double>(), 0.9);
  EXPECT_EQ(read_npy(path("out/probabilities.npy")).shape, (std::vector<int64_t>{1, 10}));
  EXPECT_EQ(json_of(r)["placement"]["requested"], "auto");
}

TEST_F(Verbs, PackageAnswersByOnnxNames) {
  run("compile", {{"model", kDigits}, {"output", path("d.mlpackage")}});
  for (const auto& [file, digit] : {std::pair{"digit_three.png", 3}, {"digit_seven.png", 7}, {"digit_eight.png", 8}}) {
    const Json out =
        json_of(run("run", {{"model", path("d.mlpackage")}, {"input", kModels + file}, {"top-k", "1"}}))["outputs"];
    EXPECT_EQ(out.at(0)["name"], "probabilities");
    EXPECT_EQ(out.at(0)["top"].at(0).at(0)["index"], digit);
  }
}

TEST_F(Verbs, InputsAreChecked) {
  const auto write = [&](const char* name, graft_dtype dtype, std::vector<int64_t> shape, size_t bytes) {
    std::ofstream(path(name), std::ios::binary) << npy_header(dtype, shape).value() << std::string(bytes, '\0');
  };
  const auto code = [&](const std::vector<std::string>& files) {
    graft::Options o = {{"model", kDigits}};
    for (const std::string& f : files) o.push_back({"input", f});
    return code_of("run", o);
  };
  const std::string png = kModels + "digit_three.png";
  EXPECT_EQ(code({"picture=" + png}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code({"image=" + png, "image=" + png}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code({"image=" + path("x.txt")}), GRAFT_CODE_INVALID_OPTION);
  EXPECT_EQ(code({"image=" + path("none.npy")}), GRAFT_CODE_FILE_NOT_FOUND);
  EXPECT_EQ(code({"image=/dev/null.npy"}), GRAFT_CODE_FILE_NOT_FOUND);
  write("f64.npy", GRAFT_DTYPE_FLOAT64, {1, 1, 32, 32}, 8192);
  write("c64.npy", GRAFT_DTYPE_COMPLEX64, {1, 1, 32, 32}, 8192);
  write("small.npy", GRAFT_DTYPE_FLOAT32, {1, 1, 32, 31}, 3968);
  write("good.npy", GRAFT_DTYPE_FLOAT32, {1, 1, 32, 32}, 4096);
  EXPECT_EQ(code({"image=" + path("f64.npy")}), GRAFT_CODE_OK) << "rounded to fp32";
  EXPECT_EQ(code({"image=" + path("c64.npy")}), GRAFT_CODE_INVALID_ARGUMENT);
  EXPECT_EQ(code({"image=" + path("small.npy")}), GRAFT_CODE_INVALID_ARGUMENT);
  EXPECT_EQ(code({"image=" + path("good.npy")}), GRAFT_CODE_OK);
  EXPECT_EQ(code({png}), GRAFT_CODE_OK) << "one input needs no name";
}

TEST_F(Verbs, VerifyHasAnExitCodeOfItsOwn) {
  EXPECT_EQ(run("verify", {{"model", kDigits}}).exit_code, 0);
  const Report r = run("verify", {{"model", kDigits}, {"min-snr", "250"}, {"layers", "1"}});
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_NE(r.reason.find("[not_accurate]"), std::string::npos);
  EXPECT_FALSE(json_of(r)["layers"]["first_bad"].is_null());
}

TEST_F(Verbs, BenchMeasuresOnTheThreadsAskedFor) {
  const Json j = json_of(run("bench", {{"model", kDigits}, {"runs", "3"}, {"warmup", "0"}, {"threads", "2"}}));
  EXPECT_EQ(j["threads"], 2);
  EXPECT_EQ(j["runs"], 3);
  EXPECT_GT(j["load_ms"].get<double>(), 0);
}

TEST(TopOf, OrdersWithTiesAndNan) {
  const double values[] = {1, NAN, 3, 3, -1, INFINITY};
  const std::vector<Ranked> top = top_of(values, 10, {"a", "b"});
  ASSERT_EQ(top.size(), 6u);
  const int64_t order[] = {5, 2, 3, 0, 4, 1};
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(top[i].index, order[i]);
  EXPECT_EQ(top[3].label, "a");
  EXPECT_EQ(top[0].label, "");
}

}  // namespace
}  // namespace cli
