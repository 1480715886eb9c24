// Broken files, made by breaking good ones: reading must end in a model or an error, with little memory.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>

#include "onnx/allocations.h"
#include "onnx/messages.h"
#include "onnx/reader.h"

namespace graft::onnx {
namespace {

constexpr int kRounds = 1000;
constexpr size_t kMemory = size_t{64} << 20;

std::string load(const std::string& name) {
  std::ifstream in(GRAFT_SOURCE_DIR "/models/small/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

using Random = std::mt19937;
size_t below(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

std::string flip_bits(std::string s, Random& random) {
  for (size_t n = 1 + below(random, 8); n > 0; --n)
    s[below(random, s.size())] ^= static_cast<char>(1 << below(random, 8));
  return s;
}

std::string truncate(std::string s, Random& random) { return s.substr(0, below(random, s.size())); }

// The places where protobuf keeps lengths and other varints: most bytes that could be one.
std::string corrupt_lengths(std::string s, Random& random) {
  static const std::string values[] = {std::string(1, '\0'),
                                       "\x01",
                                       "\x7f",
                                       "\xff\x7f",
                                       "\xff\xff\xff\xff\x07",
                                       "\xff\xff\xff\xff\x0f",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                                       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                       "\x80\x80\x80\x80\x80\x80\x01"};
  std::vector<size_t> places;
  for (size_t i = 0; i + 1 < s.size(); ++i) {
    if ((s[i] & 7) == 2 && static_cast<unsigned char>(s[i]) < 0x80) places.push_back(i + 1);
  }
  for (size_t n = 1 + below(random, 3); n > 0 && !places.empty(); --n) {
    const size_t at = places[below(random, places.size())];
    const std::string& v = values[below(random, std::size(values))];
    if (below(random, 2) == 0) {
      s.replace(std::min(at, s.size()), 1, v);
    } else {
      s[std::min(at, s.size() - 1)] = static_cast<char>(random());
    }
  }
  return s;
}

// A piece of the file, or of another one, put somewhere else: whole messages often land where others belong.
std::string splice(std::string s, const std::string& other, Random& random) {
  const std::string& from = below(random, 2) == 0 ? s : other;
  const size_t start = below(random, from.size()), size = 1 + below(random, 200);
  const std::string piece = from.substr(start, size);
  const size_t at = below(random, s.size());
  return below(random, 2) == 0 ? s.insert(at, piece) : s.replace(at, piece.size(), piece);
}

std::string mutated(int kind, const std::string& good, const std::string& other, Random& random) {
  switch (kind) {
    case 0: return flip_bits(good, random);
    case 1: return truncate(good, random);
    case 2: return corrupt_lengths(good, random);
    default: return splice(good, other, random);
  }
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
  Random random(20240229);
  int errors = 0, models = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (int kind = 0; kind < 4; ++kind) {
      const std::string bad = mutated(kind, good, other, random);
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
                                         "unsupported_op.onnx"),
                         [](const auto& info) {
                           const std::string file = info.param;
                           return file.substr(0, file.find('.'));
                         });

}  // namespace
}  // namespace graft::onnx
