// Damaged ONNX models all the way: read, lowered, claimed, written as packages, read back, and run on the host and from
// the packages. Whatever can still be read ends in a clear error or a result, in little time and memory.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "base/list.h"
#include "ir/text.h"
#include "onnx/reader.h"
#include "ops/table.h"
#include "support/allocations.h"
#include "support/mutate.h"
#include "tools/compile.h"
#include "tools/inputs.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;

constexpr int kRounds = 1000;
constexpr size_t kAtOnce = size_t{32} << 20, kMemory = size_t{256} << 20;
constexpr std::chrono::seconds kTime{20};  // sanitizers and busy machines included

struct Case {
  const char* file;
  const char* open_input;  // given a size here
  std::vector<onnx::DimSpec> dims;
  bool host_only = false;  // no package comes of it
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.file; }

std::string load(const std::string& name) {
  std::ifstream in(GRAFT_SOURCE_DIR "/models/small/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class CompileFuzz : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    // In memory where that is possible: results are synced to the disk, and there are thousands of them.
    const fs::path place = fs::is_directory("/dev/shm") ? "/dev/shm" : testing::TempDir();
    folder_ = place / ("graft_fuzz_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void expect_clear(const Diag& d, const std::string& what) {
    ++errors_;
    EXPECT_FALSE(d.message.empty()) << what;
    EXPECT_NE(d.code, Code::internal) << what << ": " << render(d);
  }

  // Two tensors for a sequence, one for an optional, some words for strings; nothing for what else cannot be made up.
  static Tensor made_up(const ir::Type& type) {
    if (type.is_list()) {
      std::vector<Tensor> tensors;
      for (int64_t i = 0; i < (type.kind == ir::Type::Kind::optional ? 1 : 2); ++i) {
        Tensor t = made_up(*type.element);
        if (t.valid()) tensors.push_back(std::move(t));
      }
      Result<List> list = List::of(std::move(tensors), nullptr);
      Tensor t(DType::list, {});
      if (list) *t.mutable_view().as<List>() = std::move(*list);
      return t;
    }
    if (!type.is_tensor() || (type.dtype != DType::string && type.dtype != DType::f32) || type.rank() > kMaxRank)
      return {};
    Shape shape;
    for (const ir::Dim& d : type.dims) shape.push_back(d.known() ? std::min<int64_t>(d.value(), 64) : 2);
    if (shape.product() > 4096) return {};
    Tensor t(type.dtype, shape);
    for (int64_t i = 0; i < t.count(); ++i) {
      if (type.dtype == DType::string)
        t.mutable_view().as<std::string>()[i] = i % 2 == 0 ? "2" : "1.5";
      else
        t.span<float>()[static_cast<size_t>(i)] = 0.5f;
    }
    return t;
  }

  // The open input in the size that was given here, the others random.
  Status run_once(const std::string& path) const {
    const session::Options options = *session::parse_options(std::vector<session::NamedOption>{{"device", "cpu"}});
    GRAFT_TRY(const auto session, session::Session::open(path, env_, options));
    std::vector<TensorView> in(session->inputs().size());
    Tensor open;
    const int at = session->input_index(GetParam().open_input);
    if (at >= 0 && static_cast<size_t>(at) < in.size()) {
      const ir::Type& type = session->inputs()[static_cast<size_t>(at)].type;
      Shape shape;
      for (const onnx::DimSpec& d : GetParam().dims) shape.push_back(d.lo);
      if (type.dtype == DType::f32 && type.rank() == shape.size()) {
        open = Tensor(DType::f32, shape);
        std::fill_n(open.span<float>().begin(), open.count(), 0.5f);
        in[static_cast<size_t>(at)] = open.view();
      }
    }
    std::vector<Tensor> given;
    for (size_t i = 0; i < in.size(); ++i) {
      const ir::Type& type = session->inputs()[i].type;
      if (in[i].dtype != DType::invalid || (!type.is_list() && type.dtype != DType::string)) continue;
      given.push_back(made_up(type));
      if (given.back().valid()) in[i] = given.back().view();
    }
    GRAFT_TRY(const std::vector<Tensor> made, random_inputs(*session, in, 1));
    for (size_t i = 0; i < in.size(); ++i) {
      if (made[i].valid()) in[i] = made[i].view();
    }
    std::vector<backend::OutputSlot> out(session->outputs().size());
    return session->run(in, out);
  }

  bool run(const std::string& path, const std::string& what) {
    const Status r = run_once(path);
    if (!r) expect_clear(r.error(), what);
    runs_ += r ? 1 : 0;
    return r.has_value();
  }

  void all_the_way(const std::string& bytes, const std::string& what) {
    const std::string model = (folder_ / "model.onnx").string(), out = (folder_ / "out").string();
    std::ofstream(model, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    run(model, what + " on the host");
    const Result<std::shared_ptr<const Model>> read = open_model({model, {}, {}}, env_, {{"weights", "mapped"}});
    if (!read) return expect_clear(read.error(), what + " read");
    const Result<std::shared_ptr<const Partitioned>> parts = partition_model(*read, {}, "");
    if (!parts) return expect_clear(parts.error(), what + " partitioned");
    for (const Diag& d : (*parts)->refusals()) EXPECT_NE(d.code, Code::internal) << what << ": " << render(d);
    CompileOptions options;
    options.allow_partial = true;
    const auto written = compile(**parts, out, options);
    if (!written) return expect_clear(written.error(), what + " compiled");
    for (const WrittenPackage& p : *written) {
      const std::string package = (fs::path(out) / p.path).string();
      ++packages_;
      const Result<coreml::Model> m = coreml::read_package(package);
      ASSERT_TRUE(m) << what << ": " << render(m.error());
      expect_text_reads_back(*m->program, what);
      if (written->size() == 1) run(package, what + " as a package");
    }
  }

  void expect_text_reads_back(const ir::Program& program, const std::string& what) {
    const std::string text = ir::to_text(program);
    const auto again = ir::parse_text(text, ops::table());
    ASSERT_TRUE(again) << what << ": " << render(again.error()) << "\n" << text;
    EXPECT_EQ(ir::to_text(**again), text) << what;
  }

  std::shared_ptr<const Env> env_ = std::make_shared<const Env>(1);
  fs::path folder_;
  int errors_ = 0, runs_ = 0, packages_ = 0;
};

TEST_P(CompileFuzz, EndsInAnErrorOrAResult) {
  const std::string good = load(GetParam().file), other = load("fp16_traps.onnx");
  ASSERT_FALSE(good.empty());
  all_the_way(good, "as it is");
  const bool host_only = GetParam().host_only;
  ASSERT_EQ(errors_, host_only ? 1 : 0);
  ASSERT_EQ(runs_, host_only ? 1 : 2);
  test::Random random(20240302);
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const int kind = round % test::kByteMutations;
    const std::string bad = test::mutated(kind, good, other, random);
    const std::string what = "round " + std::to_string(round) + ", kind " + std::to_string(kind);
    RecordProperty("last", what);
    if (!onnx::read_memory(Bytes(reinterpret_cast<const std::byte*>(bad.data()), bad.size()), "")) {
      ++errors_;  // tests/onnx/mutate_test.cc looks at these
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    test::watch_allocations();
    {
      const test::AllocationLimit limit(kAtOnce);
      all_the_way(bad, what);
    }
    EXPECT_LT(test::peak_allocated(), kMemory) << what;
    EXPECT_LT(std::chrono::steady_clock::now() - start, kTime) << what;
    if (HasFailure()) {
      const char* keep = std::getenv("GRAFT_TEST_KEEP");  // a file for the model that failed
      if (keep != nullptr) std::ofstream(keep, std::ios::binary) << bad;
    }
  }
  EXPECT_GT(errors_, 100);
  EXPECT_GT(runs_, host_only ? 10 : 20);
  EXPECT_GT(packages_, host_only ? -1 : 10);
  RecordProperty("errors", errors_);
  RecordProperty("runs", runs_);
  RecordProperty("packages", packages_);
}

INSTANTIATE_TEST_SUITE_P(SmallModels, CompileFuzz,
                         testing::Values(Case{"conv_relu_pool.onnx", "", {}}, Case{"if_branches.onnx", "", {}},
                                         Case{"loops.onnx", "", {}, true}, Case{"sequences.onnx", "", {}, true},
                                         Case{"strings.onnx", "", {}, true}, Case{"quantized.onnx", "", {}},
                                         Case{"dynamic_heads.onnx", "x", {{2, 2, {}}, {5, 5, {}}, {8, 8, {}}}}),
                         [](const auto& info) {
                           const std::string file = info.param.file;
                           return file.substr(0, file.find('.'));
                         });

}  // namespace
}  // namespace graft::tools
