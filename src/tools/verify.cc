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

tl::unexpected<Diag> not_the_same(std::string_view what, std::string_view name) {
  return fail(
      Code::invalid_argument,
      format("the partition and the session that it is compared with are not of the same model: {} '{}'", what, name));
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

}  // namespace

struct Witness {
  const session::Session* session = nullptr;
  std::vector<TensorView> inputs;
  std::vector<Tensor> outputs;
  Intermediates intermediates;
};

namespace {

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
  for (size_t i = 0; i < out.layers.size(); ++i) {
    const LayerCheck& c = out.layers[i];
    if (!c.ok && out.first_bad < 0) out.first_bad = static_cast<int>(i);
    if (out.worst < 0 || snr_of(c) < snr_of(out.layers[static_cast<size_t>(out.worst)]))
      out.worst = static_cast<int>(i);
  }
}

// A session on the Core ML programs, which go through packages on disk. A whole model is opened as a package like any
// other; else each partition takes its place between the host's nodes.
struct Compiled {
  std::shared_ptr<const session::Session> session;
  OwnedFolder folder;
};
Result<Compiled> open_compiled(const Partitioned& p) {
  session::Options options = p.options;
  options.device = "coreml";
  options.host_takes_over = false;
  GRAFT_TRY(OwnedFolder folder, temporary_folder());
  auto parts = std::make_shared<partition::Partitioning>(*p.partitioning);
  int partition = 0;
  for (partition::Subgraph& s : parts->subgraphs) {
    if (!s.coreml) continue;
    const std::string name = format("partition_{}", partition++);
    GRAFT_CHECK(session::save(s, folder.path(), name));
    const std::string described = (fs::path(folder.path()) / (name + ".json")).string();
    GRAFT_TRY(backend::NamedArtefact saved, session::load_artefact(described));
    static_cast<backend::Artefact&>(s) = std::move(saved.artefact);
  }
  std::shared_ptr<const session::Session> session;
  if (parts->whole()) {
    options.outputs.clear();  // which the package has
    GRAFT_TRY(session, session::Session::open(parts->subgraphs[0].package, p.model->env, options));
  } else {
    GRAFT_TRY(session, session::Session::open(std::move(parts), p.model->env, options));
  }
  return Compiled{std::move(session), std::move(folder)};
}

Result<std::vector<Tensor>> run_once(const session::Session& session, std::span<const TensorView> in,
                                     const backend::RunOptions& options) {
  std::vector<backend::OutputSlot> out(session.outputs().size());
  GRAFT_CHECK(session.run(in, out, options));
  std::vector<Tensor> tensors;
  for (backend::OutputSlot& o : out) tensors.push_back(std::move(o.owned));
  return tensors;
}

// The program's inputs in its own order, which need not be the model's; one that no node reads is not among them.
Result<std::vector<TensorView>> in_order_of(const session::Session& s, const session::Session& reference,
                                            std::span<const TensorView> inputs) {
  std::vector<TensorView> list;
  for (const ir::Port& p : s.inputs()) {
    const int at = reference.input_index(p.name);
    if (at < 0 || static_cast<size_t>(at) >= inputs.size()) return not_the_same("input", p.name);
    list.push_back(inputs[static_cast<size_t>(at)]);
  }
  return list;
}

}  // namespace

Result<std::shared_ptr<const session::Session>> open_reference(const Partitioned& p) {
  session::Options options = p.options;
  options.device = "cpu";
  return session::Session::open(p.model->onnx, p.model->env, options);
}

Result<std::shared_ptr<const Witness>> run_reference(const session::Session& reference,
                                                     std::span<const TensorView> inputs, bool layers, const Env& env) {
  if (inputs.size() > reference.inputs().size())
    return fail(Code::invalid_argument,
                "the program has an initializer's default baked in, so no other value can be verified");
  if (env.progress) env.progress("running the ONNX graph on the host", -1);
  auto witness = std::make_shared<Witness>();
  witness->session = &reference;
  witness->inputs.assign(inputs.begin(), inputs.end());
  backend::RunOptions run;
  if (layers) run.observe = [&](const ir::Value& v, TensorView t) { witness->intermediates.keep(v, t); };
  GRAFT_TRY(witness->outputs, run_once(reference, inputs, run));
  return std::shared_ptr<const Witness>(std::move(witness));
}

Result<Verification> verify(const Partitioned& p, const session::Session& reference, std::span<const TensorView> inputs,
                            const VerifyOptions& options) {
  GRAFT_TRY(const auto witness, run_reference(reference, inputs, options.layers, *p.model->env));
  return verify(p, *witness, options);
}

Result<Verification> verify(const Partitioned& p, const Witness& witness, const VerifyOptions& options) {
  const session::Session& reference = *witness.session;
  const std::vector<Tensor>& expected = witness.outputs;
  Verification out;
  out.tolerance.f32 = p.options.partitioning.precision == partition::Precision::float32;
  if (options.min_snr_db) {
    out.tolerance.f32 = false;
    out.tolerance.snr_db = out.tolerance.classifier_snr_db = *options.min_snr_db;
  }
  out.from_package = p.partitioning->whole();
  const Env& env = *p.model->env;
  if (env.progress) env.progress("running the Core ML program", -1);
  backend::RunOptions run;
  GRAFT_TRY(const Compiled compiled, open_compiled(p));
  const session::Session& session = *compiled.session;
  std::unordered_map<std::string, size_t> seen;
  // Who is watched rounds every value to its type. Else fused operators keep more digits between them than the program
  // states, and a value beyond fp16 that a device would make infinite is never seen.
  run.observe = [&](const ir::Value& v, TensorView t) {
    if (options.layers) compare_layer(v, t, witness.intermediates, out, seen);
  };
  GRAFT_TRY(const std::vector<TensorView> own, in_order_of(session, reference, witness.inputs));
  GRAFT_TRY(const std::vector<Tensor> got, run_once(session, own, run));
  const bool lone = expected.size() == 1;  // a model with one [rows, classes] output is a classifier
  out.accurate = true;
  for (size_t i = 0; i < expected.size(); ++i) {
    OutputCheck check;
    check.name = reference.outputs()[i].name;
    check.type = describe(expected[i].dtype(), expected[i].shape());
    const int at = session.output_index(check.name);
    if (at < 0) return not_the_same("output", check.name);
    check.difference = compare(expected[i].view(), got[static_cast<size_t>(at)].view(), lone);
    check.ok = accurate(check.difference, expected[i].dtype(), out.tolerance);
    out.accurate = out.accurate && check.ok;
    out.outputs.push_back(std::move(check));
  }
  judge_layers(out);
  return out;
}

}  // namespace graft::tools
