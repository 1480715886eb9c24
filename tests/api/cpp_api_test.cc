// graft.hpp over the C ABI.
#include <graft/graft.hpp>

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

TEST(CppApi, Version) { EXPECT_EQ(graft::version(), GRAFT_VERSION); }

}  // namespace
