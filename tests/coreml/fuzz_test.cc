// Packages that somebody damaged: an error or a valid program, never a crash, a hang or a huge allocation.
#include <gtest/gtest.h>

#include "coreml/package.h"
#include "coreml/programs.h"
#include "ir/verify.h"
#include "support/allocations.h"
#include "support/mutate.h"

namespace graft::coreml {
namespace {

constexpr int kMutations = 1000;
constexpr size_t kMemory = size_t{64} << 20;

void damage(std::string_view file, unsigned seed) {
  const TempFolder tmp;
  const std::string path = tmp.file("a.mlpackage");
  ASSERT_TRUE(write_package(*sample_program(), path, {.target = ir::Target::mlprogram(ir::Opset::ios18)}));
  const std::string target = path + "/" + std::string(file);
  const std::string original = contents(path).at(std::string(file));
  test::Random random(seed);
  int read = 0;
  for (int i = 0; i < kMutations; ++i) {
    write_bytes(target, test::mutated(i % test::kByteMutations, original, original, random));
    test::watch_allocations();
    const Result<Model> m = read_package(path);
    ASSERT_LT(test::peak_allocated(), kMemory) << i;
    if (!m) {
      EXPECT_FALSE(m.error().message.empty());
      EXPECT_NE(m.error().code, Code::internal) << i << ": " << render(m.error());
      continue;
    }
    ++read;
    const Status s = ir::verify(*m->program);
    EXPECT_TRUE(s) << i << ": " << render(s.error());
  }
  EXPECT_GT(read, 0);
  EXPECT_LT(read, kMutations);
}

TEST(Fuzz, Model) { damage("Data/com.apple.CoreML/model.mlmodel", 1); }
TEST(Fuzz, Weights) { damage("Data/com.apple.CoreML/weights/weight.bin", 2); }
TEST(Fuzz, Manifest) { damage("Manifest.json", 3); }

}  // namespace
}  // namespace graft::coreml
