#include "session/session.h"

#include "base/format.h"
#include "onnx/reader.h"
#include "session/impl.h"

namespace graft::session {

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  for (const engine::Port& p : impl_->all_inputs)
    impl_->input_places.emplace(p.name, static_cast<int>(impl_->input_places.size()));
  for (const engine::Port& p : impl_->outputs)
    impl_->output_places.emplace(p.name, static_cast<int>(impl_->output_places.size()));
}
Session::~Session() = default;

namespace {

Status check_device(const Options& options) {
  const bool needs = options.device != Device::cpu;
  if (!options.require_device || !needs || backend::coreml_available()) return {};
  return fail(Code::device_unavailable,
              format("device {} is required, but there is no Core ML on this machine", name(options.device)));
}

}  // namespace

Result<std::shared_ptr<const Session>> Session::open(const std::string& path, std::shared_ptr<const Env> env,
                                                     const Options& options, const CancelToken* cancel) {
  GRAFT_CHECK(check_device(options));
  std::unique_ptr<Impl> impl = Impl::make(std::move(env), options);
  impl->path = path;
  Status s;
  if (coreml::is_model_path(path)) {
    s = impl->open_package(cancel);
  } else {
    GRAFT_TRY(std::shared_ptr<const onnx::Model> model, onnx::read_file(path, options.weights, impl->bounds(cancel)));
    s = impl->open_onnx(model, cancel);
  }
  if (!s) return fail(std::move(std::move(s).error()).in_file(path));
  return std::shared_ptr<const Session>(new Session(std::move(impl)));
}

Result<std::shared_ptr<const Session>> Session::open_memory(Bytes bytes, std::shared_ptr<const void> owner,
                                                            const std::string& folder, std::shared_ptr<const Env> env,
                                                            const Options& options, const CancelToken* cancel) {
  GRAFT_CHECK(check_device(options));
  std::unique_ptr<Impl> impl = Impl::make(std::move(env), options);
  GRAFT_TRY(std::shared_ptr<const onnx::Model> model,
            onnx::read_memory(bytes, folder, std::move(owner), options.weights, impl->bounds(cancel)));
  GRAFT_CHECK(impl->open_onnx(model, cancel));
  return std::shared_ptr<const Session>(new Session(std::move(impl)));
}

std::unique_ptr<Session::Impl> Session::Impl::make(std::shared_ptr<const Env> env, const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->env = std::move(env);
  impl->memory = memory_limit_of(options);
  if (impl->memory != nullptr) impl->memory->add(impl->states);
  return impl;
}

std::span<const engine::Port> Session::inputs() const { return impl_->inputs; }
std::span<const engine::Port> Session::all_inputs() const { return impl_->all_inputs; }
std::span<const engine::Port> Session::outputs() const { return impl_->outputs; }

int Session::input_index(std::string_view name) const {
  const auto at = impl_->input_places.find(name);
  return at == impl_->input_places.end() ? -1 : at->second;
}
int Session::output_index(std::string_view name) const {
  const auto at = impl_->output_places.find(name);
  return at == impl_->output_places.end() ? -1 : at->second;
}

Status Session::run(std::span<const TensorView> inputs, std::span<engine::OutputSlot> outputs,
                    const engine::RunOptions& options) const {
  Status ran = impl_->run(inputs, outputs, options);
  for (engine::OutputSlot& o : outputs) {
    if (ran)
      o.owned.hand_over();
    else
      o.owned = Tensor();
  }
  if (!ran) return fail(std::move(std::move(ran).error()).in_file(impl_->path));
  return {};
}

const Placement& Session::placement() const { return impl_->placement; }
const partition::Partition* Session::partition() const { return impl_->partition ? &*impl_->partition : nullptr; }
std::span<const Diag> Session::findings() const { return impl_->findings; }
const coreml::Interface* Session::package() const { return impl_->package ? &*impl_->package : nullptr; }
const std::map<std::string, std::string>& Session::metadata() const { return impl_->metadata; }
const Options& Session::options() const { return impl_->options; }
const std::shared_ptr<MemoryLimit>& Session::memory() const { return impl_->memory; }

}  // namespace graft::session
