// graft.hpp over the C ABI.
#include <graft/compiler.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

namespace {

const std::string kDigits = GRAFT_SOURCE_DIR "/models/digits.onnx";

static_assert(!std::is_copy_constructible_v<graft::Session> && std::is_nothrow_move_constructible_v<graft::Session>);
static_assert(graft::dtype_of<const float>() == GRAFT_DTYPE_FLOAT32 && graft::dtype_of<bool>() == GRAFT_DTYPE_BOOL);

TEST(CppApi, RunsBothWays) {
  const graft::Env env;
  const graft::Session session(env, kDigits, {{"device", "coreml"}});
  const std::vector<float> pixels(32 * 32, 0.5f);
  const graft::Input image = graft::input("image", pixels, {1, 1, 32, 32});
  const std::vector<graft::Tensor> results = session.run({image});
  ASSERT_EQ(results.size(), 1u);
  const std::span<const float> scores = results[0].data<float>();
  ASSERT_EQ(scores.size(), 10u);
  EXPECT_EQ(results[0].shape()[1], 10);
  std::vector<float> memory(10);
  session.run({image}, {graft::output("probabilities", memory, {1, 10})});
  EXPECT_TRUE(std::equal(scores.begin(), scores.end(), memory.begin()));
  EXPECT_THROW((void)results[0].data<int64_t>(), std::invalid_argument);
}

TEST(CppApi, ErrorsAreExceptions) {
  const graft::Env env;
  try {
    const graft::Session session(env, "/nonexistent.onnx");
    FAIL();
  } catch (const graft::Error& e) {
    EXPECT_EQ(e.code(), GRAFT_CODE_FILE_NOT_FOUND);
    EXPECT_EQ(e.code_name(), "file_not_found");
    EXPECT_EQ(e.fault(), GRAFT_FAULT_MACHINE);
    EXPECT_NE(std::string(e.what()).find("/nonexistent.onnx"), std::string::npos);
  }
  const graft::Session session(env, kDigits);
  EXPECT_THROW(session.run({}), graft::Error);
  graft::Cancel cancel;
  cancel.set();
  try {
    const graft::Session never(env, kDigits, {}, &cancel);
    FAIL();
  } catch (const graft::Error& e) {
    EXPECT_EQ(e.code(), GRAFT_CODE_CANCELLED);
  }
  const std::vector<float> pixels(32 * 32);
  try {
    session.run({graft::input("image", pixels, {1, 1, 32, 32})}, &cancel);
    FAIL();
  } catch (const graft::Error& e) {
    EXPECT_EQ(e.code(), GRAFT_CODE_CANCELLED);
  }
}

TEST(CppApi, Describes) {
  const graft::Env env(graft::EnvOptions{2, {}, {}});
  const graft::Session session(env, kDigits, {{"device", "coreml"}});
  ASSERT_EQ(session.inputs().size(), 1u);
  EXPECT_EQ(session.inputs()[0].name, "image");
  EXPECT_EQ(session.inputs()[0].dims.at(3).value, 32);
  EXPECT_EQ(session.outputs()[0].dims.at(1).value, 10);
  EXPECT_EQ(session.nodes().size(), 15u);
  EXPECT_EQ(session.placement().partitions, 1);
  EXPECT_EQ(session.metadata("labels"), "0,1,2,3,4,5,6,7,8,9");
  EXPECT_EQ(session.metadata("none"), "");
}

TEST(CppApi, FromAModelInMemoryToItsPackageAndSession) {
  std::ifstream file(kDigits, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  const graft::Env env;
  const graft::Model model(env, std::as_bytes(std::span(bytes)), {{"precision", "float32"}});
  EXPECT_EQ(model.info().node_count, 15u);
  EXPECT_EQ(model.functions().at(0).inputs.at(0).name, "image");
  EXPECT_EQ(model.functions()[0].operators.at(0).count, 3);
  EXPECT_FALSE(model.opsets().empty() || model.metadata().empty());
  EXPECT_TRUE(model.missing().empty());
  EXPECT_FALSE(model.problem());
  EXPECT_EQ(model.mil(), "");
  const graft::Partitioning parts(model, {{"target", "iOS16"}}, "all");
  EXPECT_EQ(parts.info().whole, 1);
  EXPECT_EQ(parts.partitions().at(0).target, std::string_view("iOS16"));
  EXPECT_GT(parts.partitions()[0].dumps.size(), 10u);
  EXPECT_EQ(parts.nodes().size(), 15u);
  EXPECT_TRUE(parts.refusals().empty());
  EXPECT_NE(parts.mil(0).find("func main<ios16>"), std::string_view::npos);

  const std::string folder = std::filesystem::path(testing::TempDir()) / ("graft_cpp_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string package = folder + "/m.mlpackage", partition = folder + "/p.mlpackage";
  graft::check_output(package);
  EXPECT_EQ(graft::compile(parts, package).at(0).path, package);
  parts.write(0, partition);
  size_t reported = 0;
  graft::CompileOptions partial{true, false, [&](const std::vector<graft::Package>& packages) {
                                  reported = packages.size();
                                  return std::string(R"({"schema": "graft.compile/1"})");
                                }};
  graft::compile(parts, folder + "/parts", partial);
  EXPECT_EQ(reported, 1u);
  graft::write_files(folder + "/files", {{"a", "head", std::as_bytes(std::span(bytes))}});
  EXPECT_EQ(std::filesystem::file_size(folder + "/files/a"), bytes.size() + 4);

  const graft::Session onnx(env, kDigits), packaged(env, package), partitioned(env, parts);
  const std::vector<graft::Tensor> made = onnx.random_inputs({}, 3);
  const std::vector<graft::Input> in = {graft::input("image", made.at(0).data<float>(), {1, 1, 32, 32})};
  const graft::Tensor want = std::move(onnx.run(in).at(0));
  for (const graft::Session* s : {&packaged, &partitioned}) {
    const graft::Tensor got = std::move(s->run(in).at(0));
    for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(got.data<float>()[i], want.numbers(0, 10)[i], 1e-5);
  }
  const graft::Verification v(parts, in, {true, false, 0}, &onnx);
  EXPECT_EQ(v.info().accurate, 1);
  EXPECT_STREQ(v.outputs().at(0).name, "probabilities");
  EXPECT_FALSE(v.layers().empty());
  EXPECT_GT(graft::bench(onnx, in, 2, 0).first_ms, 0);
  EXPECT_NE(graft::Model(env, package).mil().find("func main"), std::string_view::npos);
  EXPECT_TRUE(onnx.findings().empty() && onnx.initializers().empty());
  EXPECT_EQ(onnx.metadata().size(), model.metadata().size());
  std::filesystem::remove_all(folder);
}

TEST(CppApi, ReasonsAreRead) {
  const graft::Env env;
  const graft::Partitioning parts(graft::Model(env, GRAFT_SOURCE_DIR "/models/small/unsupported_op.onnx"));
  ASSERT_FALSE(parts.refusals().empty());
  const graft::Reason why = parts.refusals()[0];
  EXPECT_FALSE(why.node().empty() || why.op().empty() || why.text().empty());
  try {
    graft::compile(parts, "/nonexistent/x.mlpackage");
    FAIL();
  } catch (const graft::Error& e) {
    EXPECT_EQ(e.code(), GRAFT_CODE_NOT_DELEGATED);
    EXPECT_FALSE(e.reason().inner().empty());
  }
  EXPECT_FALSE(graft::Reason());
  EXPECT_EQ(graft::Reason().text(), "");
}

TEST(CppApi, Rows) {
  EXPECT_EQ(graft::onnx_ops().size(), graft_onnx_op_count());
  EXPECT_FALSE(graft::mil_variants(0).empty());
  EXPECT_THROW(graft::mil_variants(graft::mil_ops().size()), graft::Error);
  EXPECT_FALSE(graft::codes().empty() || graft::session_options().empty());
}

TEST(CppApi, Version) { EXPECT_EQ(graft::version(), GRAFT_VERSION); }

}  // namespace
