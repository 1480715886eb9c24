#include "report/report.h"

#include <fstream>
#include <iterator>

#include <cmath>

#include <gtest/gtest.h>
#include <graft/compiler.hpp>
#include <nlohmann/json.hpp>

#include "gather.h"

#include "report/text.h"

namespace cli {
namespace {

using Json = nlohmann::json;

std::string file(const std::string& path) {
  std::ifstream in(GRAFT_SOURCE_DIR "/" + path, std::ios::binary);
  return {(std::istreambuf_iterator<char>(in)), {}};
}

Problem refusal(const std::string& node, const std::string& op, graft_code code, const std::string& message) {
  Problem d;
  d.code = code;
  d.code_name = code == GRAFT_CODE_NEEDS_LATER_TARGET ? "needs_later_target" : "another";
  d.node = node;
  d.op = op;
  d.message = message;
  return d;
}

Inspection inspection() {
  Inspection r;
  r.path = "m.onnx";
  r.opsets = {{"", 17}};
  r.total = 5, r.claimed = 2, r.folded = 1, r.host = 2;
  r.partitions.resize(1);
  r.target = "iOS16";
  r.precision = "float16";
  r.flops_total = 100, r.flops_claimed = 40;
  r.refusals = {refusal("n1", "Foo", GRAFT_CODE_NEEDS_LATER_TARGET, "needs iOS17"),
                refusal("n2", "Foo", GRAFT_CODE_NEEDS_LATER_TARGET, "needs iOS17")};
  for (Problem& d : r.refusals) d.remedies = {"--target iOS17"};
  return r;
}

TEST(Json, InspectHasWhatScriptsRead) {
  const Json j = Json::parse(json(inspection()));
  EXPECT_EQ(j["schema"], "graft.inspect/1");
  EXPECT_EQ(j["partitions"], 1);
  EXPECT_EQ(j["nodes"], (Json{{"total", 5}, {"claimed", 2}, {"folded", 1}, {"host", 2}}));
  ASSERT_EQ(j["refusals"].size(), 2u);
  const Json& first = j["refusals"][0];
  EXPECT_EQ(first["node"], "n1");
  EXPECT_EQ(first["op"], "Foo");
  EXPECT_EQ(first["code"], "needs_later_target");
  EXPECT_EQ(first["message"], "needs iOS17");
  EXPECT_EQ(first["remedies"], Json::array({"--target iOS17"}));
}

TEST(Json, EverythingHasASchemaAndIsOneObject) {
  for (const std::string& text : {json(inspection()), json(PackageInspection{}), json(Compilation{}), json(RunResult{}),
                                  json(Verification{}), json(BenchResult{}), json(OpList{}), json(Problem{})}) {
    const Json j = Json::parse(text);
    ASSERT_TRUE(j.is_object());
    EXPECT_TRUE(j["schema"].get<std::string>().starts_with("graft."));
    EXPECT_TRUE(j["schema"].get<std::string>().ends_with("/1"));
    EXPECT_EQ(text.back(), '\n');
  }
}

TEST(Json, NamesThatAreNotUtf8AndNumbersThatAreNone) {
  Inspection r = inspection();
  r.path = "bad\xff.onnx";
  EXPECT_FALSE(Json::parse(json(r), nullptr, false).is_discarded());
  Verification v;
  v.outputs.resize(1);
  v.outputs[0].snr_db = -INFINITY;
  v.outputs[0].max_abs = NAN;
  const Json j = Json::parse(json(v));
  EXPECT_TRUE(j["outputs"][0]["snr_db"].is_null());
  EXPECT_TRUE(j["outputs"][0]["max_abs"].is_null());
}

TEST(Json, BenchKeys) {
  const Json j = Json::parse(json(BenchResult{}));
  for (const char* key : {"load_ms", "first_ms", "run_ms", "peak_rss_bytes", "threads", "cpu"})
    EXPECT_TRUE(j.contains(key)) << key;
  for (const char* key : {"min", "median", "p90", "p99"}) EXPECT_TRUE(j["run_ms"].contains(key)) << key;
}

TEST(Text, InspectGroupsEqualRefusals) {
  const std::string s = text(inspection(), {});
  EXPECT_NE(s.find("n1 and 1 more"), std::string::npos) << s;
  EXPECT_NE(s.find("remedy: --target iOS17"), std::string::npos);
  EXPECT_NE(s.find("2 of 4 nodes (50.0 %), 1 more folded; 40.0 % of 100 FLOP"), std::string::npos) << s;
  EXPECT_EQ(s.find('\x1b'), std::string::npos);
}

TEST(Text, ColoursOnlyWhenAsked) { EXPECT_NE(text(inspection(), {true}).find('\x1b'), std::string::npos); }

// A model must not be able to write control sequences to the terminal of who looks at it.
TEST(Text, NamesCannotControlTheTerminal) {
  Inspection r = inspection();
  const std::string evil = "x\x1b[31m\ny\x7f";
  r.path = evil;
  r.producer = evil;
  r.operators = {{evil, evil, 1}};
  r.refusals[0].node = r.refusals[0].message = r.refusals[0].op = evil;
  r.refusals[0].remedies = {evil};
  r.findings = {refusal(evil, evil, GRAFT_CODE_PRECISION_NOTE, evil)};
  PortInfo port;
  port.name = port.type = evil;
  port.dims = {{-1, evil, 0, 0}};
  r.inputs = {port};
  r.missing = {{evil, evil, evil, {evil}}};
  const std::string s = text(r, {});
  EXPECT_EQ(s.find('\x1b'), std::string::npos) << s;
  EXPECT_EQ(s.find('\x7f'), std::string::npos);
  RunResult run;
  run.outputs.resize(1);
  run.outputs[0].name = run.outputs[0].file = evil;
  run.outputs[0].type = {"fp32", {1}};
  run.outputs[0].top = {{{0, 1, evil}}};
  EXPECT_EQ(text(run, {}).find('\x1b'), std::string::npos);
}

TEST(Text, MissingOperatorsAreAllNamed) {
  Inspection r = inspection();
  r.missing = {{"", "Foo", "unsupported operator Foo (version 17)", {"a", "b"}},
               {"com.example", "Bar", "unsupported operator com.example.Bar (version 1)", {"c"}}};
  r.refusals = {refusal("a", "Foo", GRAFT_CODE_UNSUPPORTED_OPERATOR, "unsupported operator Foo (version 17)")};
  const std::string s = text(r, {});
  EXPECT_NE(s.find("unsupported operators"), std::string::npos);
  EXPECT_NE(s.find("Foo"), std::string::npos);
  EXPECT_NE(s.find("com.example.Bar"), std::string::npos);
  EXPECT_NE(s.find("2x"), std::string::npos);
}

TEST(Reason, VerifyNamesTheOutput) {
  Verification v;
  v.ran = true;
  v.outputs.resize(2);
  v.outputs[0].name = "good";
  v.outputs[0].ok = true;
  v.outputs[1].name = "scores";
  v.outputs[1].snr_db = 12.34;
  const std::string s = not_accurate_text(v);
  EXPECT_NE(s.find("'scores' (12.3 dB)"), std::string::npos) << s;
  EXPECT_EQ(s.find("'good'"), std::string::npos);
  EXPECT_NE(s.find("45 dB"), std::string::npos);
}

TEST(Units, Read) {
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(137400), "137.4 kB");
  EXPECT_EQ(count_text(3.64e9), "3.64 G");
  EXPECT_EQ(ms_text(0.4215), "0.421 ms");
  EXPECT_EQ(ms_text(1300), "1.30 s");
  EXPECT_EQ(percent_text(0.9999), ">99.9 %");
  EXPECT_EQ(percent_text(1), "100.0 %");
  EXPECT_EQ(plural(1, "node"), "1 node");
  EXPECT_EQ(width("größe\x1b[1m!\x1b[0m"), 6u);
}

// The pages are made from the rows: `scripts/docs.sh` writes them again.
TEST(Docs, OpsPageIsCurrent) { EXPECT_TRUE(file("docs/ops.md") == ops_markdown(op_list())) << "run scripts/docs.sh"; }
TEST(Docs, PassesPageIsCurrent) {
  EXPECT_TRUE(file("docs/passes.md") == passes_markdown(graft::passes())) << "run scripts/docs.sh";
}
TEST(Docs, ErrorsPageIsCurrent) {
  EXPECT_TRUE(file("docs/errors.md") == errors_markdown(graft::codes())) << "run scripts/docs.sh";
}

TEST(Docs, ErrorsPageHasEveryCode) {
  const std::string page = errors_markdown(graft::codes());
  EXPECT_GE(graft::codes().size(), 40u);
  for (const graft_code_info& c : graft::codes())
    EXPECT_NE(page.find("`" + std::string(c.name) + "`"), std::string::npos) << c.name;
}

}  // namespace
}  // namespace cli
