// Packages that somebody damaged: an error or a valid program, never a crash, a hang or a huge allocation.
#include <gtest/gtest.h>

#include "coreml/package.h"
#include "coreml/programs.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/table.h"
#include "support/allocations.h"
#include "support/mutate.h"

namespace graft::coreml {
namespace {

constexpr int kMutations = 1000;
constexpr size_t kMemory = size_t{64} << 20;

// States, crops, suppression, and a classifier's end.
std::shared_ptr<ir::Program> rare_program() {
  auto program = ir::parse_text(R"(program(1.3)
{
  func main<ios18>(tensor<fp32, [1, 2, 6, 6]> x, tensor<fp32, [1, 4, 3]> boxes, state<tensor<fp16, [1, 3]>> kept) {
    tensor<fp32, [1, 1, 3]> scores = const()[val = tensor<fp32, [1, 1, 3]>([0.5, 0.25, 0.75])];
    tensor<fp32, [1, 4, 2]> best, tensor<fp32, [1, 1, 2]> s, tensor<int32, [1, 2]> places = non_maximum_suppression(
        boxes = boxes, scores = scores, iou_threshold = fp32(0.5), max_boxes = int32(2));
    tensor<fp32, [2, 4]> corners = reshape(x = best, shape = tensor<int32, [2]>([2, 4]));
    tensor<int32, [2]> images = const()[val = tensor<int32, [2]>([0, 0])];
    tensor<fp32, [2, 2, 1, 1]> crops = crop_resize(x = x, boxes = corners, box_indices = images,
                                                   sampling_mode = string("ALIGN_CORNERS"));
    tensor<fp32, [1]> sum = reduce_sum(x = crops, axes = tensor<int32, [3]>([0, 1, 2]));
    tensor<fp16, [1, 3]> before = read_state(input = kept);
    tensor<fp32, [1, 3]> wide = cast(x = before, dtype = string("fp32"));
    tensor<fp32, [1, 3]> after = add(x = wide, y = sum);
    tensor<fp16, [1, 3]> half = cast(x = after, dtype = string("fp16"));
    write_state(input = kept, data = half);
    tensor<string, [3]> names = const()[val = tensor<string, [3]>(["cat", "dog", "eel"])];
    string label, dict<string, fp64> shares = classify(probabilities = after, classes = names);
  } -> (label, shares, places);
}
)",
                                ops::table());
  EXPECT_TRUE(program) << render(program.error());
  return program ? *program : nullptr;
}

void damage(const std::shared_ptr<ir::Program>& program, std::string_view file, unsigned seed) {
  ASSERT_NE(program, nullptr);
  const TempFolder tmp;
  const std::string path = tmp.file("a.mlpackage");
  const Status written = write_package(*program, path, {.target = ir::Target::mlprogram(ir::Opset::ios18)});
  ASSERT_TRUE(written) << render(written.error());
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

TEST(Fuzz, Model) { damage(sample_program(), "Data/com.apple.CoreML/model.mlmodel", 1); }
TEST(Fuzz, ModelOfRareKinds) { damage(rare_program(), "Data/com.apple.CoreML/model.mlmodel", 4); }
TEST(Fuzz, Weights) { damage(sample_program(), "Data/com.apple.CoreML/weights/weight.bin", 2); }
TEST(Fuzz, Manifest) { damage(sample_program(), "Manifest.json", 3); }

}  // namespace
}  // namespace graft::coreml
