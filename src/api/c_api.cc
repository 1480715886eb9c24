// The C ABI: sessions. Arguments are checked here, errors become handles, and nothing else happens.
#include <array>
#include <memory_resource>

#include "api/handles.h"
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

namespace {

graft_dtype to_c(DType t) { return static_cast<graft_dtype>(info(t).onnx_code); }

// Fills a struct of the caller's, whose struct_size stays.
template <class T>
Status give(const T& value, T* out) {
  GRAFT_CHECK(check_struct(out, "the struct to fill"));
  const size_t size = out->struct_size;
  *out = value;
  out->struct_size = size;
  return {};
}

graft_session::Port port_of(const engine::Port& p) {
  graft_session::Port port;
  for (const ir::Dim& d : p.type.dims) {
    port.shape.push_back(d.known() ? d.value() : -1);
    port.min.push_back(d.range().lo);
    port.max.push_back(d.range().hi);
    port.symbol_text.push_back(d.to_string());
  }
  for (const std::string& s : port.symbol_text) port.symbols.push_back(s.c_str());
  return port;
}

graft_session* wrap(std::shared_ptr<const session::Session> session) {
  auto s = std::make_unique<graft_session>();
  for (const engine::Port& p : session->inputs()) s->inputs.push_back(port_of(p));
  for (const engine::Port& p : session->outputs()) s->outputs.push_back(port_of(p));
  for (const Diag& d : session->findings()) s->findings.push_back(render(d));
  s->session = std::move(session);
  return s.release();
}

// `now`: the node as it is by now, which may have moved to the host since the session was opened.
const char* reason_of(const graft_session& s, size_t node, const partition::NodePlan& now) {
  const partition::Partition& p = *s.session->partition();
  if (!now.refusal) return "";
  if (!p.nodes[node].refusal) {
    std::lock_guard lock(s.moved_mutex);
    return s.moved.try_emplace(node, render(*now.refusal)).first->second.c_str();
  }
  std::call_once(s.explained, [&] {
    std::vector<partition::NodePlan> nodes = p.nodes;
    partition::find_remedies(*p.host, p.options, {nullptr, s.session->memory()}, nodes);
    std::vector<std::string> reasons;
    for (const partition::NodePlan& n : nodes) reasons.push_back(n.refusal ? render(*n.refusal) : "");
    s.reasons = std::move(reasons);
  });
  return s.reasons[node].c_str();
}

Status give_port(std::span<const engine::Port> ports, const std::vector<graft_session::Port>& own, size_t index,
                 graft_port_info* out) {
  if (index >= ports.size()) return invalid(format("index {} of {}", index, ports.size()));
  const graft_session::Port& p = own[index];
  graft_port_info info{};
  info.name = ports[index].name.c_str();
  info.dtype = to_c(ports[index].type.dtype);
  info.rank = static_cast<int32_t>(p.shape.size());
  info.shape = p.shape.data();
  info.symbols = p.symbols.data();
  info.min = p.min.data();
  info.max = p.max.data();
  return give(info, out);
}

Result<session::Options> session_options(const char* const* names, const char* const* values, size_t count) {
  GRAFT_TRY(const NamedValues pairs, read_pairs(names, values, count));
  return session::parse_options(pairs);
}

// ---- one run ----

// Small lists of a run live on the stack: a steady run allocates nothing.
constexpr size_t kStack = 8192;

Result<Shape> shape_of(int32_t rank, const int64_t* dims, std::string_view what) {
  if (rank < 0 || rank > kMaxRank) return invalid(format("{}: rank {} is not between 0 and {}", what, rank, kMaxRank));
  if (rank > 0 && dims == nullptr) return invalid(format("{}: shape is null", what));
  Shape shape;
  for (int32_t d = 0; d < rank; ++d) shape.push_back(dims[d]);
  if (checked_count(shape) < 0) return invalid(format("{}: shape {} is not one", what, to_string(shape)));
  return shape;
}

// The place of a named port, as index_of knows it, or `position` for a null name.
template <class IndexOf>
Result<size_t> place_of(std::span<const engine::Port> ports, const IndexOf& index_of, const char* name, size_t position,
                        std::string_view what) {
  if (name == nullptr) {
    if (position < ports.size()) return position;
    return invalid(format("{} {} has no name, and the model has {} {}s", what, position, ports.size(), what));
  }
  if (const int at = index_of(name); at >= 0) return static_cast<size_t>(at);
  std::vector<std::string_view> names;
  for (const engine::Port& p : ports) names.push_back(p.name);
  return invalid(format("the model has no {} '{}'; it has {}", what, name, join(names, ", ")));
}

// What is wrong with a tensor for a port. The port's open dims take any size in their range.
Status check_type(const engine::Port& port, DType dtype, const Shape& shape, std::string_view what) {
  bool ok = dtype == port.type.dtype && shape.size() == port.type.rank();
  for (int d = 0; ok && d < shape.size(); ++d) {
    const ir::Dim& dim = port.type.dims[static_cast<size_t>(d)];
    ok = dim.known() ? dim.value() == shape[d] : IntRange{shape[d], shape[d]}.inside(dim.range());
  }
  if (ok) return {};
  return invalid(format("{} '{}' is {}, got {}", what, port.name, port.type.to_string(), describe(dtype, shape)));
}

// One element of the caller's array; all have the size of the first.
template <class T>
T* element(T* array, size_t i) {
  return array + i;
}

class Run {
 public:
  explicit Run(const session::Session& session)
      : session_(session),
        pool_(stack_.data(), stack_.size()),
        in_(session.all_inputs().size(), &pool_),
        given_(session.all_inputs().size(), 0, &pool_),
        out_(session.outputs().size(), &pool_),
        wanted_(session.outputs().size(), nullptr, &pool_) {}

  Status take_input(const graft_input* element, size_t position) {
    GRAFT_TRY(const graft_input in, read_struct(element, "an input"));
    const auto index_of = [&](const char* name) { return session_.input_index(name); };
    GRAFT_TRY(const size_t at, place_of(session_.all_inputs(), index_of, in.name, position, "input"));
    const engine::Port& port = session_.all_inputs()[at];
    if (given_[at] != 0) return invalid(format("input '{}' is given twice", port.name));
    given_[at] = 1;
    GRAFT_TRY(const Shape shape, shape_of(in.rank, in.shape, port.name));
    const DType dtype = dtype_from_onnx(in.dtype);
    GRAFT_CHECK(check_type(port, dtype, shape, "input"));
    in_[at] = {dtype, shape, in.data};
    const size_t bytes =
        dtype == DType::string ? static_cast<size_t>(shape.product()) * sizeof(const char*) : in_[at].bytes();
    GRAFT_CHECK(check_memory(port.name, in.data, in.bytes, bytes));
    if (dtype == DType::string) return take_strings(at, shape, static_cast<const char* const*>(in.data));
    return {};
  }

  Status take_output(graft_output* element, size_t position) {
    GRAFT_TRY(const graft_output out, read_struct(element, "an output"));
    const auto index_of = [&](const char* name) { return session_.output_index(name); };
    GRAFT_TRY(const size_t at, place_of(session_.outputs(), index_of, out.name, position, "output"));
    const engine::Port& port = session_.outputs()[at];
    if (wanted_[at] != nullptr) return invalid(format("output '{}' is given twice", port.name));
    wanted_[at] = element;
    if (out.data == nullptr) return {};
    GRAFT_TRY(const Shape shape, shape_of(out.rank, out.shape, port.name));
    const DType dtype = dtype_from_onnx(out.dtype);
    if (dtype == DType::string)
      return invalid(format("output '{}': strings come as tensors, not into memory", port.name));
    if (dtype != port.type.dtype || shape.size() != port.type.rank())
      return invalid(format("output '{}' is {}, the memory given is for {}", port.name, port.type.to_string(),
                            describe(dtype, shape)));
    out_[at].memory = {dtype, shape, out.data};
    return check_memory(port.name, out.data, out.bytes, out_[at].memory.bytes());
  }

  Status go(const CancelToken* cancel) {
    for (size_t i = 0; i < session_.inputs().size(); ++i) {
      if (given_[i] == 0) return invalid(format("input '{}' is missing", session_.inputs()[i].name));
    }
    engine::RunOptions options;
    options.cancel = cancel;
    GRAFT_CHECK(session_.run(in_, out_, options));
    // First all tensors, then the caller's pointers: an error on the way leaves none set.
    std::pmr::vector<std::unique_ptr<graft_tensor>> tensors(out_.size(), &pool_);
    for (size_t i = 0; i < out_.size(); ++i) {
      if (wanted_[i] == nullptr || out_[i].memory.data != nullptr) continue;
      auto t = std::make_unique<graft_tensor>();
      t->tensor = std::move(out_[i].owned);
      t->shape.assign(t->tensor.shape().begin(), t->tensor.shape().end());
      if (t->tensor.dtype() == DType::string) {
        for (const std::string& s : t->tensor.span<std::string>()) t->strings.push_back(s.c_str());
      }
      tensors[i] = std::move(t);
    }
    for (size_t i = 0; i < out_.size(); ++i) {
      if (wanted_[i] != nullptr) wanted_[i]->tensor = tensors[i].release();
    }
    return {};
  }

 private:
  static Status check_memory(std::string_view name, const void* data, size_t got, size_t want) {
    if (got != want) return invalid(format("'{}' needs {} bytes, {} are given", name, want, got));
    if (data == nullptr && want > 0) return invalid(format("'{}': data is null", name));
    return {};
  }

  Status take_strings(size_t at, const Shape& shape, const char* const* data) {
    GRAFT_TRY(Tensor t, Tensor::allocate(DType::string, shape, session_.memory()));
    size_t i = 0;
    for (std::string& s : t.span<std::string>()) {
      if (data[i] == nullptr)
        return invalid(format("input '{}': string {} is null", session_.all_inputs()[at].name, i));
      s = data[i++];
    }
    in_[at].data = t.view().data;
    strings_.push_back(std::move(t));
    return {};
  }

  const session::Session& session_;
  alignas(std::max_align_t) std::array<std::byte, kStack> stack_;
  std::pmr::monotonic_buffer_resource pool_;
  std::pmr::vector<TensorView> in_;
  std::pmr::vector<char> given_;
  std::pmr::vector<engine::OutputSlot> out_;
  std::pmr::vector<graft_output*> wanted_;
  std::vector<Tensor> strings_;
};

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
    if ((o.path == nullptr) == (o.data == nullptr)) return invalid("a path or data is needed, and one of them only");
    GRAFT_TRY(const auto named, session_options(o.names, o.values, o.count));
    const graft::CancelToken* cancel = o.cancel == nullptr ? nullptr : &o.cancel->token;
    using graft::session::Session;
    GRAFT_TRY(auto session, o.path != nullptr
                                ? Session::open(o.path, env->env, named, cancel)
                                : Session::open_memory({static_cast<const std::byte*>(o.data), o.bytes}, nullptr,
                                                       o.folder == nullptr ? "" : o.folder, env->env, named, cancel));
    *out = wrap(std::move(session));
    return {};
  });
}

void graft_session_free(graft_session* session) { delete session; }

size_t graft_session_option_count(void) { return graft::session::all_options().size(); }

graft_error* graft_session_option(size_t index, graft_option_info* out) {
  return guarded([&]() -> Status {
    const auto options = graft::session::all_options();
    if (index >= options.size()) return invalid(format("index {} of {}", index, options.size()));
    const graft::session::OptionInfo& o = options[index];
    graft_option_info info{};
    info.name = o.name.data();  // rows of string literals: NUL-terminated
    info.values = o.values.c_str();
    info.fallback = o.fallback.data();
    info.doc = o.doc.data();
    info.available = o.available ? 1 : 0;
    return give(info, out);
  });
}

size_t graft_session_input_count(const graft_session* session) {
  return session == nullptr ? 0 : session->inputs.size();
}
size_t graft_session_output_count(const graft_session* session) {
  return session == nullptr ? 0 : session->outputs.size();
}

graft_error* graft_session_input(const graft_session* session, size_t index, graft_port_info* out) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    return give_port(session->session->inputs(), session->inputs, index, out);
  });
}

graft_error* graft_session_output(const graft_session* session, size_t index, graft_port_info* out) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    return give_port(session->session->outputs(), session->outputs, index, out);
  });
}

const char* graft_session_metadata(const graft_session* session, const char* key) {
  if (session == nullptr || key == nullptr) return nullptr;
  for (const auto& [name, value] : session->session->metadata()) {
    if (name == key) return value.c_str();
  }
  return nullptr;
}

graft_error* graft_session_placement(const graft_session* session, graft_placement* out) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    const graft::session::Placement& p = session->session->placement();
    graft_placement placement{};
    placement.requested = p.requested.c_str();
    placement.allowed = p.allowed.c_str();
    placement.planned = p.planned.c_str();
    if (const auto& parts = session->session->partition()) {
      placement.nodes = static_cast<int32_t>(parts->nodes.size());
      placement.claimed = parts->count(graft::partition::Where::coreml);
      placement.folded = parts->count(graft::partition::Where::folded);
      placement.host = parts->count(graft::partition::Where::host);
      placement.partitions = parts->pieces;
    }
    return give(placement, out);
  });
}

size_t graft_session_node_count(const graft_session* session) {
  const graft::partition::Partition* parts = session == nullptr ? nullptr : session->session->partition().get();
  return parts == nullptr ? 0 : parts->nodes.size();
}

graft_error* graft_session_node(const graft_session* session, size_t index, graft_node_info* out) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    const size_t count = graft_session_node_count(session);
    if (index >= count) return invalid(format("index {} of {}", index, count));
    const graft::partition::NodePlan n = session->session->node(index);
    graft_node_info info{};
    info.name = n.node->name.c_str();
    info.op = n.node->op_type.c_str();
    info.domain = n.node->domain.c_str();
    info.where = static_cast<graft_where>(n.where);
    info.partition = n.piece;
    info.reason = n.refusal ? code_of(n.refusal->code) : GRAFT_CODE_OK;
    info.reason_text = reason_of(*session, index, n);
    return give(info, out);
  });
}

size_t graft_session_finding_count(const graft_session* session) {
  return session == nullptr ? 0 : session->findings.size();
}
const char* graft_session_finding(const graft_session* session, size_t index) {
  return session == nullptr || index >= session->findings.size() ? nullptr : session->findings[index].c_str();
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

graft_error* graft_session_run(const graft_session* session, const graft_input* inputs, size_t input_count,
                               graft_output* outputs, size_t output_count, const graft_run_options* options) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    if (input_count > 0 && inputs == nullptr) return invalid("inputs is null");
    if (output_count > 0 && outputs == nullptr) return invalid("outputs is null");
    graft_run_options o{};
    if (options != nullptr) {
      GRAFT_TRY(o, read_struct(options, "graft_run_options"));
    }
    Run run(*session->session);
    for (size_t i = 0; i < input_count; ++i) GRAFT_CHECK(run.take_input(inputs + i, i));
    for (size_t i = 0; i < output_count; ++i) GRAFT_CHECK(run.take_output(outputs + i, i));
    return run.go(o.cancel == nullptr ? nullptr : &o.cancel->token);
  });
}

graft_error* graft_tensor_get(const graft_tensor* tensor, graft_tensor_info* out) {
  return guarded([&]() -> Status {
    if (tensor == nullptr) return invalid("tensor is null");
    const bool strings = tensor->tensor.dtype() == DType::string;
    graft_tensor_info info{};
    info.dtype = to_c(tensor->tensor.dtype());
    info.rank = static_cast<int32_t>(tensor->shape.size());
    info.shape = tensor->shape.data();
    info.data = strings ? static_cast<const void*>(tensor->strings.data()) : tensor->tensor.view().data;
    info.bytes = strings ? tensor->strings.size() * sizeof(const char*) : tensor->tensor.view().bytes();
    return give(info, out);
  });
}
void graft_tensor_free(graft_tensor* tensor) { delete tensor; }

}  // extern "C"
