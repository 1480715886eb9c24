// Broken files, made by breaking good ones: reading must end in a model or an error, with little memory.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "onnx/messages.h"
#include "onnx/reader.h"
#include "support/allocations.h"
#include "support/mutate.h"

namespace graft::onnx {
namespace {

constexpr int kRounds = 1000;
constexpr size_t kMemory = size_t{64} << 20;

std::string load(const std::string& name) {
  std::ifstream in(GRAFT_SOURCE_DIR "/models/small/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What every model that comes out must be, however it came to be.
void check(const Model& m) {
  for (const Initializer& i : m.graph.initializers) {
    ASSERT_TRUE(i.value);
    if (i.value->dtype() != DType::string) {
      size_t bytes = 0;
      i.value->read([&](const void* p, size_t n) { bytes += n + (p == nullptr); });
      ASSERT_EQ(bytes, i.value->bytes());
    }
    (void)i.value->hash();  // touches every byte, for the sanitizers
  }
  for (const Node& n : m.graph.nodes) {
    ASSERT_FALSE(n.op_type.empty());
    ASSERT_LT(n.id, m.next_id);
  }
}

class Mutate : public testing::TestWithParam<const char*> {};

TEST_P(Mutate, EndsInAnErrorOrAModel) {
  const std::string good = load(GetParam()), other = load("if_branches.onnx");
  ASSERT_FALSE(good.empty());
  ASSERT_TRUE(read_memory(test::bytes_of(good), GRAFT_SOURCE_DIR "/models/small"));
  test::Random random(20240229);
  int errors = 0, models = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (int kind = 0; kind < test::kByteMutations; ++kind) {
      const std::string bad = test::mutated(kind, good, other, random);
      test::watch_allocations();
      auto m = read_memory(test::bytes_of(bad), GRAFT_SOURCE_DIR "/models/small");
      ASSERT_LT(test::peak_allocated(), kMemory) << "round " << round << ", kind " << kind;
      if (m) {
        ++models;
        ASSERT_NO_FATAL_FAILURE(check(**m));
      } else {
        ++errors;
        ASSERT_FALSE(m.error().message.empty());
        ASSERT_NE(m.error().code, Code::internal) << render(m.error());
        ASSERT_NE(m.error().code, Code::out_of_memory) << render(m.error());
      }
    }
  }
  EXPECT_GT(errors, kRounds);  // truncation alone nearly always is one
  EXPECT_GT(models, 0);
}

INSTANTIATE_TEST_SUITE_P(SmallModels, Mutate,
                         testing::Values("local_function.onnx", "dtypes.onnx", "external_data.onnx",
                                         "unsupported_op.onnx", "loops.onnx", "sequences.onnx", "strings.onnx",
                                         "quantized.onnx"),
                         [](const auto& info) {
                           const std::string file = info.param;
                           return file.substr(0, file.find('.'));
                         });

}  // namespace
}  // namespace graft::onnx
