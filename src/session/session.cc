#include "session/session.h"

#include "base/format.h"
#include "onnx/reader.h"
#include "session/impl.h"

namespace graft::session {

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  for (const ir::Port& p : impl_->all_inputs)
    impl_->input_places.emplace(p.name, static_cast<int>(impl_->input_places.size()));
  for (const ir::Port& p : impl_->outputs)
    impl_->output_places.emplace(p.name, static_cast<int>(impl_->output_places.size()));
}
Session::~Session() = default;

Result<std::shared_ptr<const Session>> Session::open(const std::string& path, std::shared_ptr<const Env> env,
                                                     const Options& options, const CancelToken* caller) {
  const CancelToken token(caller, options.time_limit), *const cancel = &token;
  GRAFT_TRY(std::unique_ptr<Impl> impl, Impl::make(std::move(env), options));
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
                                                            const Options& options, const CancelToken* caller) {
  const CancelToken token(caller, options.time_limit), *const cancel = &token;
  GRAFT_TRY(std::unique_ptr<Impl> impl, Impl::make(std::move(env), options));
  GRAFT_TRY(std::shared_ptr<const onnx::Model> model,
            onnx::read_memory(bytes, folder, std::move(owner), options.weights, impl->bounds(cancel)));
  GRAFT_CHECK(impl->open_onnx(model, cancel));
  return std::shared_ptr<const Session>(new Session(std::move(impl)));
}

Result<std::shared_ptr<const Session>> Session::open(const std::shared_ptr<const onnx::Model>& model,
                                                     std::shared_ptr<const Env> env, const Options& options,
                                                     const CancelToken* caller) {
  const CancelToken token(caller, options.time_limit), *const cancel = &token;
  GRAFT_TRY(std::unique_ptr<Impl> impl, Impl::make(std::move(env), options));
  impl->path = model->path;
  if (Status s = impl->open_onnx(model, cancel); !s) return fail(std::move(std::move(s).error()).in_file(model->path));
  return std::shared_ptr<const Session>(new Session(std::move(impl)));
}

Result<std::shared_ptr<const Session>> Session::open(std::shared_ptr<const partition::Partitioning> partitioning,
                                                     std::shared_ptr<const Env> env, const Options& options,
                                                     const CancelToken* caller) {
  const CancelToken token(caller, options.time_limit), *const cancel = &token;
  GRAFT_TRY(std::unique_ptr<Impl> impl, Impl::make(std::move(env), options));
  impl->path = partitioning->host->model->path;
  if (Status s = impl->open_partition(std::move(partitioning), cancel); !s)
    return fail(std::move(std::move(s).error()).in_file(impl->path));
  return std::shared_ptr<const Session>(new Session(std::move(impl)));
}

Result<std::unique_ptr<Session::Impl>> Session::Impl::make(std::shared_ptr<const Env> env, const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  const devices::Row* named = devices::find(options.device);
  const devices::Row& row = named != nullptr ? *named : devices::automatic(options.coreml != nullptr);
  impl->host_device = devices::host(options.engine);
  if (row.coreml) {
    impl->device = options.coreml != nullptr ? options.coreml : row.open();
    impl->stands_in = impl->device == nullptr;
    if (impl->stands_in) impl->device = impl->host_device;
  }
  if (options.require_device && (impl->stands_in || (named == nullptr && !row.coreml)))
    return fail(Code::device_unavailable,
                format("device {} is required, but there is no Core ML on this machine", options.device));
  impl->env = std::move(env);
  impl->memory = memory_limit_of(options);
  if (impl->memory != nullptr) impl->memory->add(impl->states);
  impl->placement.requested = options.device;
  return impl;
}

std::span<const ir::Port> Session::inputs() const { return impl_->inputs; }
std::span<const ir::Port> Session::all_inputs() const { return impl_->all_inputs; }
std::span<const ir::Port> Session::outputs() const { return impl_->outputs; }
std::span<const ir::Port> Session::states() const { return impl_->kept; }

Result<std::unique_ptr<backend::State>> Session::new_state() const {
  auto state = std::make_unique<SessionState>();
  state->owner = impl_.get();
  for (const LoadedSubgraph& one : impl_->loaded) {
    std::unique_ptr<backend::State>& kept = state->of.emplace_back();
    if (!one.keeps()) continue;
    GRAFT_TRY(kept, one.planned.model->new_state());
  }
  return state;
}

int Session::input_index(std::string_view name) const {
  const auto at = impl_->input_places.find(name);
  return at == impl_->input_places.end() ? -1 : at->second;
}
int Session::output_index(std::string_view name) const {
  const auto at = impl_->output_places.find(name);
  return at == impl_->output_places.end() ? -1 : at->second;
}

const Placement& Session::placement() const { return impl_->placement; }
const std::shared_ptr<const partition::Partitioning>& Session::partitioning() const { return impl_->partitioning; }
std::span<const Diag> Session::findings() const { return impl_->findings; }
const coreml::Interface* Session::package() const { return impl_->package ? &*impl_->package : nullptr; }
const std::map<std::string, std::string>& Session::metadata() const { return impl_->metadata; }
const Options& Session::options() const { return impl_->options; }
const std::shared_ptr<MemoryLimit>& Session::memory() const { return impl_->memory; }

std::vector<Moved> Session::moved() const {
  std::vector<Moved> list;
  for (const LoadedSubgraph& s : impl_->loaded) {
    if (s.moved.load(std::memory_order_acquire)) list.push_back({s.partition, s.why});
  }
  return list;
}

partition::NodePlan Session::node(size_t place) const {
  partition::NodePlan plan = impl_->partitioning->nodes[place];
  if (plan.where != partition::Where::coreml) return plan;
  for (const LoadedSubgraph& s : impl_->loaded) {
    if (s.partition != plan.partition || !s.moved.load(std::memory_order_acquire)) continue;
    plan.where = partition::Where::host;
    plan.partition = -1;
    plan.refusal = Diag(s.why).at_node(plan.node->name, plan.node->op_type);
    break;
  }
  return plan;
}

}  // namespace graft::session
