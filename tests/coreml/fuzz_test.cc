// Packages that somebody damaged: an error or a valid program, never a crash, a hang or a huge allocation.
#include <gtest/gtest.h>

#include <random>

#include "coreml/package.h"
#include "coreml/programs.h"
#include "ir/verify.h"

namespace graft::coreml {
namespace {

constexpr int kMutations = 1000;

std::string mutated(std::string s, std::mt19937& random) {
  const auto at = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const size_t edits = 1 + at(4);
  for (size_t e = 0; e < edits && !s.empty(); ++e) {
    switch (at(5)) {
      case 0: s.resize(at(s.size()) + 1); break;
      case 1: s[at(s.size())] = static_cast<char>(at(256)); break;
      case 2: s[at(s.size())] ^= static_cast<char>(1 << at(8)); break;
      case 3: {  // a run moved elsewhere
        const size_t from = at(s.size()), n = std::min<size_t>(1 + at(24), s.size() - from);
        s.insert(at(s.size()), s.substr(from, n));
        break;
      }
      default: {
        const size_t from = at(s.size());
        s.erase(from, std::min<size_t>(1 + at(12), s.size() - from));
      }
    }
  }
  return s;
}

void damage(std::string_view file, unsigned seed) {
  const TempFolder tmp;
  const std::string path = tmp.file("a.mlpackage");
  ASSERT_TRUE(write_package(*sample_program(), path, {.opset = ir::Opset::ios18}));
  const std::string target = path + "/" + std::string(file);
  const std::string original = contents(path).at(std::string(file));
  std::mt19937 random(seed);
  int read = 0;
  for (int i = 0; i < kMutations; ++i) {
    write_bytes(target, mutated(original, random));
    const Result<Model> m = read_package(path, ops::table());
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
