// What becomes of a session when its model's files are changed under it: nothing, in every way in which a run can still
// need a weight.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "coreml/package.h"
#include "onnx/messages.h"
#include "session/session.h"
#include "support/temp_folder.h"

namespace fs = std::filesystem;

namespace graft::session {
namespace {

using test::TempFolder;
using test::text_of;
using test::write_text;

const std::string kModels = GRAFT_SOURCE_DIR "/models/";

std::shared_ptr<const Session> open(const std::string& path, const std::vector<NamedOption>& options) {
  const auto s = Session::open(path, std::make_shared<Env>(1), parse_options(options).value());
  if (!s) ADD_FAILURE() << render(s.error());
  return s ? *s : nullptr;
}

Tensor wave(const Shape& shape) {
  Tensor t(DType::f32, shape);
  for (size_t i = 0; i < t.span<float>().size(); ++i) t.span<float>()[i] = std::sin(static_cast<float>(i));
  return t;
}

// One run with inputs of this size where dims are open.
std::vector<Tensor> run(const Session& s, int64_t size, bool feed_defaults = false,
                        const engine::RunOptions& options = {}, float first = 0.5F) {
  std::vector<Tensor> inputs;
  std::vector<TensorView> views;
  for (const engine::Port& p : feed_defaults ? s.all_inputs() : s.inputs()) {
    Shape shape;
    for (const ir::Dim& d : p.type.dims) shape.push_back(d.known() ? d.value() : size);
    inputs.push_back(wave(shape));
    inputs.back().span<float>()[0] = first;
  }
  for (const Tensor& t : inputs) views.push_back(t.view());
  std::vector<engine::OutputSlot> slots(s.outputs().size());
  const Status ok = s.run(views, slots, options);
  if (!ok) ADD_FAILURE() << render(ok.error());
  std::vector<Tensor> out;
  for (engine::OutputSlot& o : slots) out.push_back(std::move(o.owned));
  return out;
}

void expect_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(a[i].valid() && b[i].valid());
    ASSERT_EQ(a[i].view().bytes(), b[i].view().bytes());
    EXPECT_EQ(std::memcmp(a[i].view().data, b[i].view().data, a[i].view().bytes()), 0) << "output " << i;
  }
}

// Every kind of run that makes a plan of its own, and so may look at the weights again.
std::vector<std::vector<Tensor>> all_runs(const Session& s) {
  std::vector<std::vector<Tensor>> results = {run(s, 2), run(s, 3), run(s, 2, false, {}, NAN)};
  engine::RunOptions observed;
  observed.observe = [](const ir::Value&, TensorView) {};
  results.push_back(run(s, 2, false, observed));
  if (s.all_inputs().size() > s.inputs().size()) results.push_back(run(s, 2, true));
  return results;
}

struct Change {
  const char* name;
  std::function<void(const std::string& file)> make;
};
const Change kChanges[] = {
    {"cut to nothing", [](const std::string& f) { fs::resize_file(f, 0); }},
    {"cut in half", [](const std::string& f) { fs::resize_file(f, fs::file_size(f) / 2); }},
    {"written over", [](const std::string& f) { write_text(f, std::string(fs::file_size(f), '\x3f')); }},
    {"removed", [](const std::string& f) { fs::remove(f); }},
    {"replaced",
     [](const std::string& f) {
       write_text(f + ".new", "something else");
       fs::rename(f + ".new", f);
     }},
};

// y = x * w with w at the start of a file of its own: aligned, and packed by nobody, so that every run reads it where
// it lies.
void write_scale(const std::string& folder) {
  constexpr int64_t kSize = 1 << 14;
  const Tensor w = wave({kSize});
  write_text(folder + "/scale.bin", {static_cast<const char*>(w.view().data), w.view().bytes()});
  const std::string tensor = test::external_tensor("w", {kSize}, {{"location", "scale.bin"}});
  write_text(folder + "/scale.onnx", test::model(test::graph({{test::node("Mul", {"x", "w"}, {"y"})},
                                                              {tensor},
                                                              {test::value("x", {2, kSize})},
                                                              {test::value("y", {2, kSize})}})));
}

struct Case {
  std::string folder;
  std::vector<std::string> files;  // the model, and what else it is made of
};
// The models that ship here, and one that is made in `scratch`.
std::vector<Case> cases(const TempFolder& scratch) {
  write_scale(scratch.path());
  return {{kModels, {"digits.onnx"}},
          {kModels + "small", {"dynamic_heads.onnx"}},
          {kModels + "small", {"overridable_ir8.onnx"}},
          {kModels + "small", {"external_data.onnx", "weights.bin"}},
          {scratch.path(), {"scale.onnx", "scale.bin"}}};
}

TEST(ChangedFiles, SessionsOfOnnxFilesGoOn) {
  const TempFolder scratch;
  for (const Case& c : cases(scratch)) {
    for (const char* device : {"cpu", "coreml"}) {
      const fs::path original = fs::path(c.folder) / c.files[0];
      const auto reference = open(original.string(), {{"device", device}});
      ASSERT_NE(reference, nullptr);
      const auto want = all_runs(*reference);
      for (const Change& change : kChanges) {
        const TempFolder folder;
        for (const std::string& f : c.files) fs::copy_file(original.parent_path() / f, folder / f);
        const auto s = open(folder / c.files[0], {{"device", device}});
        ASSERT_NE(s, nullptr);
        for (const std::string& f : c.files) change.make(folder / f);
        const auto got = all_runs(*s);
        SCOPED_TRACE(c.files[0] + " on " + device + ", " + change.name);
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < got.size(); ++i) expect_same(got[i], want[i]);
      }
    }
  }
}

TEST(ChangedFiles, SessionsOfPackagesGoOn) {
  const TempFolder scratch;
  write_scale(scratch.path());
  for (const std::string& model : {kModels + "digits.onnx", scratch / "scale.onnx"}) {
    const auto whole = open(model, {{"device", "coreml"}, {"precision", "float32"}, {"cost_model", "0"}});
    const partition::Subgraph& partition = whole->partitioning()->subgraphs[0];
    for (const Change& change : kChanges) {
      const TempFolder folder;
      ASSERT_TRUE(coreml::write_package(*partition.program, folder / "m.mlpackage", {.target = partition.target}));
      const auto want = all_runs(*open(folder / "m.mlpackage", {}));
      const auto changed = open(folder / "m.mlpackage", {});
      for (const char* f :
           {"Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"})
        change.make((folder / "m.mlpackage/") + f);
      const auto got = all_runs(*changed);
      SCOPED_TRACE(model + ", " + change.name);
      for (size_t i = 0; i < got.size(); ++i) expect_same(got[i], want[i]);
    }
  }
}

TEST(ChangedFiles, ModelsInMemoryWithFilesBesideThem) {
  const TempFolder folder;
  fs::copy_file(kModels + "small/weights.bin", folder / "weights.bin");
  const std::string bytes = text_of(kModels + "small/external_data.onnx");
  const Bytes view(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
  const auto s = Session::open_memory(view, nullptr, folder.path(), std::make_shared<Env>(1), {});
  ASSERT_TRUE(s) << render(s.error());
  fs::resize_file(folder / "weights.bin", 0);
  const auto got = run(**s, 1);
  expect_same(got, run(*open(kModels + "small/external_data.onnx", {}), 1));
}

TEST(ChangedFiles, MappedWeightsGiveTheSameResults) {
  const TempFolder scratch;
  for (const Case& c : cases(scratch)) {
    const std::string model = (fs::path(c.folder) / c.files[0]).string();
    const auto copied = all_runs(*open(model, {}));
    const auto mapped = all_runs(*open(model, {{"weights", "mapped"}}));
    for (size_t i = 0; i < copied.size(); ++i) expect_same(copied[i], mapped[i]);
  }
  EXPECT_EQ(parse_options({{{"weights", "lost"}}}).error().code, Code::invalid_option);
}

}  // namespace
}  // namespace graft::session
