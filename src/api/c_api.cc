// The C ABI: environments and sessions. Arguments are checked here, errors become handles, and nothing else happens.
#include "api/run.h"
#include "base/format.h"

using graft::DType;
using graft::format;
using graft::Result;
using graft::Status;
using graft::api::guarded;
using graft::api::invalid;
using graft::api::read_struct;

namespace graft::api {

Result<NamedValues> read_pairs(const char* const* names, const char* const* values, size_t count) {
  NamedValues pairs;
  if (count > 0 && (names == nullptr || values == nullptr)) return invalid("names or values is null");
  for (size_t i = 0; i < count; ++i) {
    if (names[i] == nullptr || values[i] == nullptr)
      return invalid(format("the name or value of option {} is null", i));
    pairs.emplace_back(names[i], values[i]);
  }
  return pairs;
}

Port::Port(const tools::PortInfo& port, DType coreml)
    : name(port.name),
      type(port.type),
      dtype(to_c(port.dtype)),
      coreml_dtype(to_c(coreml)),
      element_dtype(to_c(port.element)),
      rank(port.has_shape ? static_cast<int32_t>(port.dims.size()) : -1),
      image(port.image ? 1 : 0) {
  for (const tools::PortInfo::Dim& d : port.dims) {
    shape.push_back(d.value);
    min.push_back(d.range.lo);
    max.push_back(d.range.hi);
    symbol_text.push_back(d.text);
  }
  for (const std::string& s : symbol_text) symbols.push_back(s.c_str());
}

graft_error* give_port(const Ports* ports, size_t index, graft_port_info* out) noexcept {
  return give_item(ports, index, out, [](const Port& p, graft_port_info& info) {
    info.name = p.name.c_str();
    info.dtype = p.dtype;
    info.rank = p.rank;
    info.shape = p.shape.data();
    info.symbols = p.symbols.data();
    info.min = p.min.data();
    info.max = p.max.data();
    info.type = p.type.c_str();
    info.image = p.image;
    info.coreml_dtype = p.coreml_dtype;
    info.element_dtype = p.element_dtype;
  });
}

graft_error* give_entry(const Metadata* entries, size_t index, graft_entry* out) noexcept {
  return give_item(entries, index, out, [](const auto& entry, graft_entry& to) {
    to.key = entry.first.c_str();
    to.value = entry.second.c_str();
  });
}

void fill_node(const partition::NodePlan& node, const char* reason, graft_node_info& out) {
  out.name = node.node->name.c_str();
  out.op = node.node->op_type.c_str();
  out.domain = node.node->domain.c_str();
  out.where = static_cast<graft_where>(node.where);
  out.partition = node.partition;
  out.reason = node.refusal ? code_of(node.refusal->code) : GRAFT_CODE_OK;
  out.reason_text = reason;
  out.obstacle = node.refusal ? node.obstacle : -1;
  out.cut_nodes = node.cut_nodes;
  out.cut_flops = node.cut_flops;
}

namespace {

Ports ports_of(std::span<const ir::Port> ports, const coreml::Interface* package, bool inputs) {
  const coreml::FunctionInterface* main = package == nullptr ? nullptr : package->main();
  std::unordered_set<std::string_view> images;
  if (main != nullptr) images = tools::image_names(inputs ? main->inputs : main->outputs);
  Ports list;
  for (const ir::Port& p : ports) {
    tools::PortInfo info = tools::port_info(p.name, p.type);
    info.image = images.contains(p.name);
    list.emplace_back(info);
  }
  return list;
}

graft_session* wrap(std::shared_ptr<const session::Session> session, std::shared_ptr<const Env> env) {
  auto s = std::make_unique<graft_session>();
  const coreml::Interface* package = session->package();
  s->inputs = ports_of(session->inputs(), package, true);
  s->outputs = ports_of(session->outputs(), package, false);
  s->initializers = ports_of(session->all_inputs().subspan(session->inputs().size()), nullptr, true);
  s->states = ports_of(session->states(), nullptr, true);
  s->findings = as_errors(session->findings());
  s->session = std::move(session);
  s->env = std::move(env);
  return s.release();
}

// `now`: the node as it is by now, which may have moved to the host since the session was opened.
const char* reason_of(const graft_session& s, size_t node, const partition::NodePlan& now) {
  const partition::Partitioning& p = *s.session->partitioning();
  if (!now.refusal) return "";
  if (!p.nodes[node].refusal) {
    std::lock_guard lock(s.moved_mutex);
    return s.moved.try_emplace(node, render(*now.refusal)).first->second.c_str();
  }
  std::call_once(s.explained, [&] {
    std::vector<partition::NodePlan> nodes = p.nodes;
    const CancelToken token(nullptr, s.session->options().time_limit);
    partition::find_remedies(*p.host, p.options, {&token, s.session->memory()}, nodes);
    std::vector<std::string> reasons;
    for (const partition::NodePlan& n : nodes) reasons.push_back(n.refusal ? render(*n.refusal) : "");
    s.reasons = std::move(reasons);
  });
  return s.reasons[node].c_str();
}

graft_open_options named_options(const char* const* names, const char* const* values, size_t count) {
  graft_open_options o{};
  o.struct_size = sizeof o;
  o.names = names;
  o.values = values;
  o.count = count;
  return o;
}

}  // namespace
}  // namespace graft::api

using namespace graft::api;  // NOLINT: this file is the boundary of that namespace

extern "C" {

const char* graft_version(void) { return GRAFT_VERSION; }

// ---- environment ----

graft_error* graft_env_create(const graft_env_options* options, graft_env** out) {
  return guarded([&]() -> Status {
    if (out == nullptr) return invalid("out is null");
    graft_env_options o{};
    if (options != nullptr) {
      GRAFT_TRY(o, read_struct(options, "graft_env_options"));
    }
    constexpr int32_t kMost = 1024;
    if (o.threads < 0 || o.threads > kMost)
      return invalid(format("threads is {}, 0 to {} are possible", o.threads, kMost));
    auto env = std::make_shared<graft::Env>(o.threads);
    if (o.log != nullptr) {
      env->log = [log = o.log, user = o.log_user](graft::LogLevel level, std::string_view text) {
        log(user, static_cast<graft_log_level>(level), std::string(text).c_str());
      };
    }
    if (o.progress != nullptr) {
      env->progress = [progress = o.progress, user = o.progress_user](std::string_view stage, double fraction) {
        progress(user, std::string(stage).c_str(), fraction);
      };
    }
    *out = new graft_env{std::move(env)};
    return {};
  });
}

void graft_env_free(graft_env* env) { delete env; }

// ---- sessions ----

graft_error* graft_session_create(const graft_env* env, const char* path, const char* const* names,
                                  const char* const* values, size_t count, graft_session** out) {
  graft_open_options o = named_options(names, values, count);
  o.path = path;
  return graft_session_open(env, &o, out);
}

graft_error* graft_session_create_from_memory(const graft_env* env, const void* data, size_t bytes, const char* folder,
                                              const char* const* names, const char* const* values, size_t count,
                                              graft_session** out) {
  graft_open_options o = named_options(names, values, count);
  o.data = data;
  o.bytes = bytes;
  o.folder = folder;
  return graft_session_open(env, &o, out);
}

graft_error* graft_session_open(const graft_env* env, const graft_open_options* options, graft_session** out) {
  return guarded([&]() -> Status {
    if (env == nullptr || options == nullptr || out == nullptr) return invalid("env, options or out is null");
    GRAFT_TRY(const graft_open_options o, read_struct(options, "graft_open_options"));
    if ((o.path != nullptr) + (o.data != nullptr) + (o.partitioning != nullptr) != 1)
      return invalid("a path, data or a partition is needed, and one of them only");
    GRAFT_TRY(const NamedValues pairs, read_pairs(o.names, o.values, o.count));
    const graft::CancelToken* cancel = o.cancel == nullptr ? nullptr : &o.cancel->token;
    using graft::session::Session;
    std::shared_ptr<const Session> session;
    if (o.partitioning != nullptr) {
      GRAFT_TRY(session, graft::tools::open_session(*o.partitioning->parts, env->env, pairs, cancel));
    } else {
      GRAFT_TRY(const auto named, graft::session::parse_options(pairs));
      GRAFT_TRY(session, o.path != nullptr
                             ? Session::open(o.path, env->env, named, cancel)
                             : Session::open_memory({static_cast<const std::byte*>(o.data), o.bytes}, nullptr,
                                                    o.folder == nullptr ? "" : o.folder, env->env, named, cancel));
    }
    *out = wrap(std::move(session), env->env);
    return {};
  });
}

void graft_session_free(graft_session* session) { delete session; }

size_t graft_session_option_count(void) { return graft::session::all_options().size(); }

graft_error* graft_session_option(size_t index, graft_option_info* out) {
  const auto options = graft::session::all_options();
  return give_item(&options, index, out, [](const graft::session::OptionInfo& o, graft_option_info& info) {
    info.name = o.name.data();  // rows of string literals: NUL-terminated
    info.values = o.values.c_str();
    info.fallback = o.fallback.data();
    info.doc = o.doc.data();
    info.available = o.available ? 1 : 0;
    info.placeholder = o.placeholder.empty() ? "" : o.placeholder.data();
  });
}

size_t graft_session_input_count(const graft_session* session) {
  return session == nullptr ? 0 : session->inputs.size();
}
size_t graft_session_output_count(const graft_session* session) {
  return session == nullptr ? 0 : session->outputs.size();
}

size_t graft_session_initializer_count(const graft_session* session) {
  return session == nullptr ? 0 : session->initializers.size();
}

graft_error* graft_session_input(const graft_session* session, size_t index, graft_port_info* out) {
  return give_port(session == nullptr ? nullptr : &session->inputs, index, out);
}
graft_error* graft_session_output(const graft_session* session, size_t index, graft_port_info* out) {
  return give_port(session == nullptr ? nullptr : &session->outputs, index, out);
}
graft_error* graft_session_initializer(const graft_session* session, size_t index, graft_port_info* out) {
  return give_port(session == nullptr ? nullptr : &session->initializers, index, out);
}

size_t graft_session_state_count(const graft_session* session) {
  return session == nullptr ? 0 : session->states.size();
}
graft_error* graft_session_state(const graft_session* session, size_t index, graft_port_info* out) {
  return give_port(session == nullptr ? nullptr : &session->states, index, out);
}

const char* graft_session_metadata(const graft_session* session, const char* key) {
  if (session == nullptr || key == nullptr) return nullptr;
  for (const auto& [name, value] : session->session->metadata()) {
    if (name == key) return value.c_str();
  }
  return nullptr;
}

size_t graft_session_metadata_count(const graft_session* session) {
  return session == nullptr ? 0 : session->session->metadata().size();
}
graft_error* graft_session_metadata_entry(const graft_session* session, size_t index, graft_entry* out) {
  return give_entry(session == nullptr ? nullptr : &session->session->metadata(), index, out);
}

graft_error* graft_session_placement(const graft_session* session, graft_placement* out) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    const graft::session::Placement& p = session->session->placement();
    graft_placement placement{};
    placement.requested = p.requested.c_str();
    placement.allowed = p.allowed.c_str();
    placement.planned = p.planned.c_str();
    if (const auto& parts = session->session->partitioning()) {
      placement.nodes = static_cast<int32_t>(parts->nodes.size());
      placement.claimed = parts->count(graft::partition::Where::coreml);
      placement.folded = parts->count(graft::partition::Where::folded);
      placement.host = parts->count(graft::partition::Where::host);
      placement.partitions = parts->partitions;
    }
    return give(placement, out);
  });
}

size_t graft_session_node_count(const graft_session* session) {
  const graft::partition::Partitioning* parts = session == nullptr ? nullptr : session->session->partitioning().get();
  return parts == nullptr ? 0 : parts->nodes.size();
}

graft_error* graft_session_node(const graft_session* session, size_t index, graft_node_info* out) {
  const graft::partition::Partitioning* parts = session == nullptr ? nullptr : session->session->partitioning().get();
  return give_item(parts == nullptr ? nullptr : &parts->nodes, index, out, [&](const auto&, graft_node_info& info) {
    const graft::partition::NodePlan now = session->session->node(index);
    fill_node(now, reason_of(*session, index, now), info);
  });
}

size_t graft_session_finding_count(const graft_session* session) {
  return session == nullptr ? 0 : session->findings.size();
}
const graft_error* graft_session_finding(const graft_session* session, size_t index) {
  return session == nullptr || index >= session->findings.size() ? nullptr : &session->findings[index];
}

// ---- running ----

graft_error* graft_cancel_create(graft_cancel** out) {
  return guarded([&]() -> Status {
    if (out == nullptr) return invalid("out is null");
    *out = new graft_cancel;
    return {};
  });
}
void graft_cancel_set(graft_cancel* cancel) {
  if (cancel != nullptr) cancel->token.cancel();
}
void graft_cancel_free(graft_cancel* cancel) { delete cancel; }

graft_error* graft_state_create(const graft_session* session, graft_state** out) {
  return guarded([&]() -> Status {
    if (session == nullptr || out == nullptr) return invalid("session or out is null");
    auto state = std::make_unique<graft_state>();
    GRAFT_TRY(state->state, session->session->new_state());
    state->session = session->session;
    *out = state.release();
    return {};
  });
}
void graft_state_free(graft_state* state) { delete state; }

graft_error* graft_session_run(const graft_session* session, const graft_input* inputs, size_t input_count,
                               graft_output* outputs, size_t output_count, const graft_run_options* options) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    if (output_count > 0 && outputs == nullptr) return invalid("outputs is null");
    graft_run_options o{};
    if (options != nullptr) {
      GRAFT_TRY(o, read_struct(options, "graft_run_options"));
    }
    Run run(*session->session);
    GRAFT_CHECK(run.take_inputs(inputs, input_count));
    for (size_t i = 0; i < output_count; ++i) GRAFT_CHECK(run.take_output(outputs + i, i));
    GRAFT_CHECK(run.complete());
    graft::backend::RunOptions how;
    how.cancel = o.cancel == nullptr ? nullptr : &o.cancel->token;
    how.state = o.state == nullptr ? nullptr : o.state->state.get();
    GRAFT_CHECK(session->session->run(run.inputs(), run.outputs(), how));
    return run.give();
  });
}

graft_error* graft_tensor_get(const graft_tensor* tensor, graft_tensor_info* out) {
  return guarded([&]() -> Status {
    if (tensor == nullptr) return invalid("tensor is null");
    graft_tensor_info info{};
    if (tensor->tensor.dtype() == DType::list) {
      info.elements = tensor->element_pointers.data();
      info.element_count = tensor->element_pointers.size();
      return give(info, out);
    }
    const bool strings = tensor->tensor.dtype() == DType::string;
    info.dtype = to_c(tensor->tensor.dtype());
    info.rank = static_cast<int32_t>(tensor->shape.size());
    info.shape = tensor->shape.data();
    info.data = strings ? static_cast<const void*>(tensor->strings.data()) : tensor->tensor.view().data;
    info.keys = tensor->keys.get();
    info.bytes = strings ? tensor->strings.size() * sizeof(const char*) : tensor->tensor.view().bytes();
    return give(info, out);
  });
}
graft_error* graft_tensor_numbers(const graft_tensor* tensor, size_t first, size_t count, double* out) {
  return guarded([&]() -> Status {
    if (tensor == nullptr || (out == nullptr && count > 0)) return invalid("tensor or out is null");
    const graft::TensorView t = tensor->tensor.view();
    if (!graft::is_float(t.dtype) && !graft::is_int(t.dtype) && t.dtype != DType::boolean)
      return invalid(format("elements of type {} are no numbers", graft::name(t.dtype)));
    const auto elements = static_cast<size_t>(t.count());
    if (first > elements || count > elements - first)
      return invalid(format("elements {} to {} of {}", first, first + count, elements));
    for (size_t i = 0; i < count; ++i) out[i] = graft::element_as_double(t, static_cast<int64_t>(first + i));
    return {};
  });
}
void graft_tensor_free(graft_tensor* tensor) { delete tensor; }

graft_error* graft_convert(const graft_input* from, graft_output* to, int32_t* exact) {
  return guarded([&]() -> Status {
    if (exact == nullptr) return invalid("exact is null");
    GRAFT_TRY(const graft_input x, read_struct(from, "from"));
    GRAFT_TRY(const graft_output y, read_struct(to, "to"));
    GRAFT_TRY(const bool same, graft::api::convert(x, y));
    *exact = same ? 1 : 0;
    return {};
  });
}

const char* graft_dtype_name(int32_t dtype) {
  return graft::info(graft::dtype_from_onnx(dtype)).name.data();  // a row of literals: NUL-terminated
}

}  // extern "C"
