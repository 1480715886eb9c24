// MIL text with the real operator table: what is printed reads back as the same text, and what somebody damaged ends in
// a program that holds or in an error.
#include "ir/text.h"

#include <gtest/gtest.h>

#include <chrono>

#include "ir/builder.h"
#include "ir/verify.h"
#include "ops/table.h"
#include "support/allocations.h"
#include "support/mutate.h"

namespace graft::ops {
namespace {

constexpr int kMutants = 1000;
constexpr size_t kMemory = size_t{64} << 20;
constexpr std::chrono::seconds kTime{2};

struct Sample {
  std::shared_ptr<ir::Program> program = std::make_shared<ir::Program>();
  ir::Function* f = nullptr;
  std::unique_ptr<ir::Builder> b;

  Sample() {
    program->functions.push_back(std::make_unique<ir::Function>("main"));
    f = program->functions[0].get();
    b = std::make_unique<ir::Builder>(*f, table(), ir::Target{});
  }
  std::string text(const ir::Values& outputs) {
    EXPECT_TRUE(b->ok()) << render(b->failure().value_or(Diag{}));
    f->body.outputs = outputs;
    for (size_t i = 0; i < outputs.size(); ++i) f->output_names.push_back("out." + std::to_string(i));
    return ir::to_text(*program);
  }
};

std::string image_text() {
  Sample s;
  ir::Builder& b = *s.b;
  ir::Value* x = s.f->add_input(ir::Type::tensor(DType::f16, Shape{1, 3, 8, 8}), "image");
  ir::Value* w = b.constant(
      ir::Constant::of(Tensor::of<uint16_t>(DType::f16, Shape{4, 3, 3, 3}, std::vector<uint16_t>(108, 0x3c00))));
  ir::Value* v = b.emit("conv", {{"x", x}, {"weight", w}, {"pad_type", "same"}});
  v = b.emit("max_pool", {{"x", b.emit("relu", {{"x", v}})},
                          {"kernel_sizes", std::vector<int64_t>{2, 2}},
                          {"strides", std::vector<int64_t>{2, 2}},
                          {"pad_type", "valid"}});
  const ir::Values parts = b.emit_all("split", {{"x", v}, {"num_splits", 2}, {"axis", 1}});
  v = b.emit("concat", {{"values", ir::Values{parts[1], parts[0], v}}, {"axis", 1}, {"interleave", false}});
  v = b.emit("reduce_mean", {{"x", v}, {"axes", std::vector<int64_t>{2, 3}}, {"keep_dims", false}});
  v = b.emit("cast", {{"x", b.emit("softmax", {{"x", v}, {"axis", -1}})}, {"dtype", "fp32"}});
  return s.text({v, b.emit("reduce_argmax", {{"x", v}})});
}

std::string open_text() {
  Sample s;
  ir::Builder& b = *s.b;
  const ir::Dim h = ir::Dim::symbol("height", {1, 512}), odd = ir::Dim::symbol("batch size");
  ir::Value* x = s.f->add_input(ir::Type::tensor(DType::f32, ir::Dims{odd, 3, h, h}), "x");
  s.f->default_dims["height"] = 64;
  ir::Value* half = b.emit("avg_pool", {{"x", x},
                                        {"kernel_sizes", std::vector<int64_t>{3, 3}},
                                        {"strides", std::vector<int64_t>{2, 2}},
                                        {"pad_type", "same"}});
  half = b.emit("avg_pool", {{"x", half},
                             {"kernel_sizes", std::vector<int64_t>{3, 2}},
                             {"strides", std::vector<int64_t>{3, 1}},
                             {"pad_type", "valid"}});
  ir::Value* dims = b.dims_value({odd, ir::Dim(-1)}, std::span<ir::Value* const>(&x, 1));
  ir::Value* flat = b.emit("reshape", {{"x", half}, {"shape", dims}});
  ir::Value* found = b.emit("non_zero", {{"x", flat}});
  return s.text({flat, found, b.emit("shape", {{"x", flat}})});
}

std::string control_text() {
  Sample s;
  ir::Builder& b = *s.b;
  ir::Value* x = s.f->add_input(ir::Type::tensor(DType::f32, Shape{2, 3}), "x");
  ir::Value* n = s.f->add_input(ir::Type::tensor(DType::i32, Shape{}), "n");
  ir::Value* positive = b.emit("greater", {{"x", n}, {"y", 0}});
  const auto block = [&] {
    auto made = std::make_unique<ir::Block>();
    made->function = s.f;
    return made;
  };
  std::vector<std::unique_ptr<ir::Block>> branches;
  for (const char* op : {"exp", "tanh"}) {
    branches.push_back(block());
    const ir::Builder::BlockScope here(b, *branches.back());
    branches.back()->outputs = {b.emit(op, {{"x", b.emit("add", {{"x", x}, {"y", 0.1}})}})};
  }
  const ir::Values chosen = b.emit_blocks("cond", {{"pred", positive}}, std::move(branches), {x->type});
  std::vector<std::unique_ptr<ir::Block>> loop;
  for (const bool body : {false, true}) {
    loop.push_back(block());
    const ir::Builder::BlockScope here(b, *loop.back());
    ir::Value* i = s.f->new_value(n->type, "i");
    ir::Value* v = s.f->new_value(x->type, "v");
    loop.back()->inputs = {i, v};
    if (body) {
      loop.back()->outputs = {b.emit("sub", {{"x", i}, {"y", 1}}), b.emit("mul", {{"x", v}, {"y", 0.5}})};
    } else {
      loop.back()->outputs = {b.emit("greater", {{"x", i}, {"y", 0}})};
    }
  }
  const ir::Values looped =
      b.emit_blocks("while_loop", {{"loop_vars", ir::Values{n, chosen[0]}}}, std::move(loop), {n->type, x->type});
  return s.text({looped[1], looped[0]});
}

std::string sample(int i) { return i == 0 ? image_text() : i == 1 ? open_text() : control_text(); }

void expect_round_trip(const std::string& text) {
  const auto p = ir::parse_text(text, table());
  ASSERT_TRUE(p) << render(p.error()) << "\n" << text;
  const Status s = ir::verify(**p);
  ASSERT_TRUE(s) << render(s.error()) << "\n" << text;
  const std::string again = ir::to_text(**p);
  const auto twice = ir::parse_text(again, table());
  ASSERT_TRUE(twice) << render(twice.error()) << "\n" << again;
  ASSERT_EQ(ir::to_text(**twice), again);
}

class MilText : public testing::TestWithParam<int> {};

TEST_P(MilText, ReadsBackAsPrinted) {
  const std::string text = sample(GetParam());
  const auto p = ir::parse_text(text, table());
  ASSERT_TRUE(p) << render(p.error()) << "\n" << text;
  EXPECT_EQ(ir::to_text(**p), text);
}

TEST_P(MilText, DamagedEndsInAnErrorOrAProgram) {
  const std::string good = sample(GetParam()), other = sample((GetParam() + 1) % 3);
  test::Random random(20240301);
  int errors = 0, programs = 0;
  for (int round = 0; round < kMutants; ++round) {
    for (int kind = 0; kind < test::kTextMutations + 1; ++kind) {
      const std::string bad = kind == test::kTextMutations ? test::mutated(round % 5, good, other, random)
                                                           : test::mutated_text(kind, good, other, random);
      const auto start = std::chrono::steady_clock::now();
      test::watch_allocations();
      const auto p = ir::parse_text(bad, table());
      ASSERT_LT(test::peak_allocated(), kMemory) << "round " << round << ", kind " << kind;
      ASSERT_LT(std::chrono::steady_clock::now() - start, kTime) << "round " << round << ", kind " << kind;
      if (!p) {
        ++errors;
        ASSERT_FALSE(p.error().message.empty());
        ASSERT_NE(p.error().code, Code::internal) << render(p.error()) << "\n" << bad;
        continue;
      }
      ++programs;
      ASSERT_NO_FATAL_FAILURE(expect_round_trip(ir::to_text(**p))) << "round " << round << ", kind " << kind;
    }
  }
  EXPECT_GT(errors, kMutants);
  EXPECT_GT(programs, 0);
}

constexpr const char* kNames[] = {"image", "open", "control"};
INSTANTIATE_TEST_SUITE_P(Samples, MilText, testing::Values(0, 1, 2),
                         [](const auto& i) { return std::string(kNames[i.param]); });

// What an attacker would nest or repeat, far beyond what the mutations reach.
TEST(MilTextDepth, IsBounded) {
  const auto repeat = [](std::string_view s, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += s;
    return all;
  };
  const auto error = [](const std::string& type, const std::string& body) {
    const auto p = ir::parse_text("program(1.3)\n{ func main<ios18>(" + type + " x) {" + body + "} -> (x); }", table());
    return p ? std::string("none") : render(p.error());
  };
  EXPECT_NE(error("tensor<fp32, [" + repeat("(", 100000), "").find("nests too deeply"), std::string::npos);
  EXPECT_NE(error("tensor<fp32, [" + repeat("min(1, ", 100000), "").find("nests too deeply"), std::string::npos);
  EXPECT_NE(error("tensor<fp32, [" + repeat("h*", 100000) + "h]>", "").find("at most"), std::string::npos);
  EXPECT_NE(error("tensor<fp32, [" + repeat("h + ", 100000) + "h]>", "").find("at most"), std::string::npos);
  EXPECT_NE(error(repeat("optional<", 100000), "").find("nests too deeply"), std::string::npos);
  EXPECT_NE(error("fp32", repeat("fp32 y = cond(pred = bool(true)) {() {", 100000)).find("nests too deeply"),
            std::string::npos);
  EXPECT_EQ(error("tensor<fp32, [((h + 1)*(h + 2) floordiv 7)]>", ""), "none");
}

}  // namespace
}  // namespace graft::ops
