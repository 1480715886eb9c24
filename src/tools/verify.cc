#include "tools/verify.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "base/format.h"
#include "base/owned_files.h"
#include "session/artefacts.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;

// A folder of our own in the system's place for such things.
Result<OwnedFolder> temporary_folder() {
  std::error_code ec;
  std::string path = (fs::temp_directory_path(ec) / "graft-verify-XXXXXX").string();
  if (ec || mkdtemp(path.data()) == nullptr) return fail_in(Code::io_error, path, "cannot make a temporary folder");
  return OwnedFolder(std::move(path));
}

// Names as both sides can spell them: MIL allows letters, digits and underscores only.
std::string plain_name(std::string_view name) {
  std::string s;
  for (const char c : name) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    s += ok ? c : '_';
  }
  return !s.empty() && s[0] >= '0' && s[0] <= '9' ? "var_" + s : s;
}

// The intermediates of the host run, by plain name. Names that mean two things are left out.
struct Intermediates {
  struct Entry {
    std::string name;
    Tensor tensor;
    bool unique = true;
  };
  std::unordered_map<std::string, Entry> by_name;

  void keep(const ir::Value& v, const TensorView& t) {
    if (v.name.empty() || !is_float(t.dtype)) return;
    const auto [at, fresh] = by_name.try_emplace(plain_name(v.name));
    if (!fresh) {
      at->second.unique = at->second.name == v.name;  // a loop makes the same value again: the last one counts
      if (!at->second.unique) return;
    }
    at->second.name = v.name;
    at->second.tensor = Tensor::copy_of(t);
  }
};

// fp16 against fp32 is what is wanted here: both as fp32.
Tensor as_f32(const TensorView& t) {
  if (t.dtype == DType::f32) return Tensor::copy_of(t);
  Tensor out(DType::f32, t.shape);
  for (int64_t i = 0; i < t.count(); ++i)
    out.span<float>()[static_cast<size_t>(i)] = static_cast<float>(element_as_double(t, i));
  return out;
}

void compare_layer(const ir::Value& v, const TensorView& got, const Intermediates& reference, Verification& out,
                   std::unordered_map<std::string, size_t>& seen) {
  if (v.name.empty() || !is_float(got.dtype)) return;
  const auto at = reference.by_name.find(plain_name(v.name));
  if (at == reference.by_name.end() || !at->second.unique || !(at->second.tensor.shape() == got.shape)) return;
  LayerCheck check;
  check.name = at->second.name;
  check.op = v.producer == nullptr ? "" : std::string(v.producer->type());
  const Tensor a = as_f32(at->second.tensor.view()), b = as_f32(got);
  check.difference = compare(a.view(), b.view(), false);
  check.ok = accurate(check.difference, DType::f32, out.tolerance);
  const auto [place, fresh] = seen.emplace(at->first, out.layers.size());
  if (fresh)
    out.layers.push_back(std::move(check));
  else
    out.layers[place->second] = std::move(check);
}

// Unset SNR is a perfect match, the best there is.
double snr_of(const LayerCheck& c) {
  return c.difference.same_special ? c.difference.snr_db.value_or(INFINITY) : -INFINITY;
}

void judge_layers(Verification& out) {
  out.layers_compared = static_cast<int>(out.layers.size());
  for (const LayerCheck& c : out.layers) {
    if (!c.ok && !out.first_bad) out.first_bad = c;
    if (!out.worst || snr_of(c) < snr_of(*out.worst)) out.worst = c;
  }
}

// A session on the Core ML programs, which go through packages on disk. A whole model is opened as a package like any
// other; else each piece takes its place between the host's nodes.
struct Compiled {
  std::shared_ptr<const session::Session> session;
  OwnedFolder folder;
};
Result<Compiled> open_compiled(const Examined& examined, std::shared_ptr<const Env> env,
                               const session::Options& options) {
  GRAFT_TRY(OwnedFolder folder, temporary_folder());
  auto parts = std::make_shared<partition::Partition>(examined.parts->partition);
  int piece = 0;
  for (partition::Segment& s : parts->segments) {
    if (!s.coreml) continue;
    const std::string name = format("piece_{}", piece++);
    GRAFT_CHECK(session::save(s, folder.path(), name));
    const std::string described = (fs::path(folder.path()) / (name + ".json")).string();
    GRAFT_TRY(backend::NamedArtefact saved, session::load_artefact(described));
    static_cast<backend::Artefact&>(s) = std::move(saved.artefact);
  }
  std::shared_ptr<const session::Session> session;
  if (examined.verdict.whole) {
    GRAFT_TRY(session, session::Session::open(parts->segments[0].package, std::move(env), options));
  } else {
    GRAFT_TRY(session, session::Session::open(std::move(parts), std::move(env), options));
  }
  return Compiled{std::move(session), std::move(folder)};
}

// The package's inputs in its own order, which need not be the model's; an input that no node reads is not among them.
std::vector<InputTensor> in_order_of(const session::Session& s, const std::vector<InputTensor>& inputs) {
  std::vector<InputTensor> list;
  for (const engine::Port& p : s.inputs()) {
    for (const InputTensor& i : inputs) {
      if (i.name == p.name) list.push_back(i);
    }
  }
  return list;
}

}  // namespace

Result<Verification> verify(const std::string& path, std::shared_ptr<const Env> env, const VerifyOptions& options) {
  Verification out;
  session::Options coreml = options.session, host = options.session;
  coreml.device = "coreml";
  host.device = "cpu";
  GRAFT_TRY(Examined examined, examine(path, *env, coreml));
  out.verdict = examined.verdict;
  out.seed = options.inputs.seed;
  out.layers_asked = options.layers;
  out.tolerance.f32 = coreml.partition.precision == partition::Precision::float32;
  if (options.min_snr_db) {
    out.tolerance.f32 = false;
    out.tolerance.snr_db = out.tolerance.classifier_snr_db = *options.min_snr_db;
  }
  if (!examined.parts || examined.parts->partition.pieces == 0) return out;
  out.from_package = examined.verdict.whole;
  out.proves =
      out.from_package
          ? "the package, read back from disk and run by Graft's engine, computes what the ONNX graph does on "
            "the host; not how Core ML itself rounds, and not that the host is right about ONNX"
          : "the Core ML pieces, each read back from a package on disk and run by Graft's engine, compute with "
            "the rest on the host what the ONNX graph does there; not how Core ML itself rounds";

  if (env->progress) env->progress("running the ONNX graph on the host", -1);
  Intermediates intermediates;
  std::vector<Tensor> expected;
  std::vector<std::string> names;
  {
    GRAFT_TRY(const auto session, session::Session::open(path, env, host));
    GRAFT_TRY(out.inputs, make_inputs(*session, options.inputs));
    if (out.inputs.size() > session->inputs().size())
      return fail(Code::invalid_option,
                  "--input: the program has an initializer's default baked in, so no other value can be verified");
    engine::RunOptions run;
    if (options.layers) run.observe = [&](const ir::Value& v, TensorView t) { intermediates.keep(v, t); };
    GRAFT_TRY(expected, run_once(*session, out.inputs, run));
    for (const engine::Port& p : session->outputs()) names.push_back(p.name);
  }
  if (env->progress) env->progress("running the Core ML program", -1);
  GRAFT_TRY(const Compiled compiled, open_compiled(examined, env, coreml));
  const session::Session& session = *compiled.session;
  std::unordered_map<std::string, size_t> seen;
  engine::RunOptions run;
  if (options.layers)
    run.observe = [&](const ir::Value& v, TensorView t) { compare_layer(v, t, intermediates, out, seen); };
  GRAFT_TRY(const std::vector<Tensor> got, run_once(session, in_order_of(session, out.inputs), run));
  const bool lone = names.size() == 1;  // a model with one [rows, classes] output is a classifier
  out.accurate = true;
  for (size_t i = 0; i < names.size(); ++i) {
    OutputCheck check;
    check.name = names[i];
    check.type = describe(expected[i].dtype(), expected[i].shape());
    const int at = session.output_index(names[i]);
    if (at < 0) return fail(Code::internal, format("the compiled program has no output '{}'", names[i]));
    check.difference = compare(expected[i].view(), got[static_cast<size_t>(at)].view(), lone);
    check.ok = accurate(check.difference, expected[i].dtype(), out.tolerance);
    out.accurate = out.accurate && check.ok;
    out.outputs.push_back(std::move(check));
  }
  if (options.layers) judge_layers(out);
  out.ran = true;
  return out;
}

}  // namespace graft::tools
