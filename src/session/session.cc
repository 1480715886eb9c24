// A session is a list of executables in order (one for most models) and a table of the values that travel between them.
// What a run needs beside the caller's memory is pooled, so that steady-state runs of one-piece models allocate
// nothing.
#include "session/session.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include <nlohmann/json.hpp>

#include "base/format.h"
#include "base/half.h"
#include "onnx/missing.h"
#include "onnx/reader.h"
#include "passes/pipeline.h"

namespace graft::session {
namespace {

constexpr std::string_view kOnnxTypesKey = "com.graft.onnx.types";

// One executable with its ports wired to the session's values.
struct Stage {
  std::shared_ptr<const backend::Model> model;
  std::vector<int> inputs, outputs;            // slots
  std::vector<DType> outside_in, outside_out;  // the dtypes the slots have; differ from the model's where it narrows
  bool coreml = false;
};

struct Slot {
  std::string name;
  ir::Type type;    // in ONNX's terms
  int input = -1;   // index among the session's inputs
  int output = -1;  // index among the session's outputs
};

// Memory of one run; handed out by a pool and reused.
struct RunState {
  std::vector<TensorView> values;  // by slot
  std::vector<Tensor> owned;       // by slot: what no caller's memory holds
  std::vector<TensorView> in;      // arguments of the stage being run
  std::vector<engine::OutputSlot> out;
  std::vector<Tensor> narrowed;  // by argument of the stage being run
};

// Element by element, between the dtypes that borders convert: integers, bool, fp16, fp32, fp64. False when an integer
// does not fit.
bool convert(const TensorView& from, const MutableTensorView& to) {
  const IntRange fits = int_range(to.dtype);
  for (int64_t i = 0, n = from.count(); i < n; ++i) {
    if (is_float(from.dtype)) {
      const double v = element_as_double(from, i);
      if (to.dtype == DType::f32)
        to.as<float>()[i] = static_cast<float>(v);
      else if (to.dtype == DType::f16)
        to.as<Half>()[i] = Half(v);
      else if (to.dtype == DType::f64)
        to.as<double>()[i] = v;
      else
        return false;
      continue;
    }
    const int64_t v = element_as_int(from, i);
    if (v < fits.lo || v > fits.hi) return false;
    switch (to.dtype) {
      case DType::i64: to.as<int64_t>()[i] = v; break;
      case DType::i32: to.as<int32_t>()[i] = static_cast<int32_t>(v); break;
      case DType::boolean: to.as<bool>()[i] = v != 0; break;
      case DType::u8: to.as<uint8_t>()[i] = static_cast<uint8_t>(v); break;
      case DType::i8: to.as<int8_t>()[i] = static_cast<int8_t>(v); break;
      case DType::i16: to.as<int16_t>()[i] = static_cast<int16_t>(v); break;
      case DType::u16: to.as<uint16_t>()[i] = static_cast<uint16_t>(v); break;
      case DType::f32: to.as<float>()[i] = static_cast<float>(v); break;
      default: return false;
    }
  }
  return true;
}

// A tensor of that type, reusing `have` when it fits and nobody else holds it.
Result<Tensor> reuse(Tensor have, DType dtype, const Shape& shape) {
  if (have.valid() && have.dtype() == dtype && have.shape() == shape && have.storage().use_count() == 1) return have;
  return Tensor::allocate(dtype, shape);
}

}  // namespace

struct Session::Impl {
  Options options;
  std::shared_ptr<const Env> env;
  std::vector<engine::Port> inputs, outputs;
  std::vector<engine::Port> all_inputs;  // the inputs, then the overridable initializers
  Placement placement;
  std::vector<Diag> findings;
  std::map<std::string, std::string> metadata;
  std::shared_ptr<const onnx::HostProgram> host;  // ONNX models
  std::optional<partition::Partition> partition;  // ONNX models
  std::optional<coreml::Interface> package;       // packages

  std::vector<Slot> slots;
  std::vector<Stage> stages;
  std::vector<bool> checked_inputs;  // int64 inputs that a Core ML stage's facts take to be within int32

  // The whole model on the host, made when a Core ML piece first fails or a value leaves int32.
  mutable std::mutex fallback_mutex;
  mutable std::shared_ptr<const backend::Model> fallback;
  mutable std::atomic<bool> use_fallback{false};
  // The whole model on the host with some overridable initializers as inputs, by their names; under fallback_mutex.
  mutable std::map<std::vector<std::string>, std::shared_ptr<const backend::Model>> overridden;

  mutable std::mutex pool_mutex;
  mutable std::vector<std::unique_ptr<RunState>> pool;

  Status open_onnx(std::shared_ptr<const onnx::Model> model);
  Status open_package(const std::string& path);
  Result<std::shared_ptr<const backend::Model>> load_host_program(const onnx::HostProgram& program) const;
  Result<std::shared_ptr<const backend::Model>> load_overridden(const std::vector<std::string>& names) const;
  Status plan_pieces();
  Status wire(const partition::Segment& segment);
  int slot(const std::string& name, const ir::Type& type);
  void add_ports();

  Status run(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
             const engine::RunOptions& run_options) const;
  Status run_overridden(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                        const engine::RunOptions& run_options) const;
  Status run_fallback(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                      const engine::RunOptions& run_options) const;
  Result<bool> run_stages(RunState& s, std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                          const engine::RunOptions& run_options) const;
  Result<bool> run_stage(const Stage& stage, RunState& s, std::span<engine::OutputSlot> out,
                         const engine::RunOptions& run_options) const;
  std::unique_ptr<RunState> take_state() const;
  void give_back(std::unique_ptr<RunState> state) const;
};

// ---- opening ------------------------------------------------------------------------------------------------------

int Session::Impl::slot(const std::string& name, const ir::Type& type) {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].name == name) return static_cast<int>(i);
  }
  slots.push_back({name, type});
  return static_cast<int>(slots.size()) - 1;
}

void Session::Impl::add_ports() {
  for (size_t i = 0; i < inputs.size(); ++i)
    slots[static_cast<size_t>(slot(inputs[i].name, inputs[i].type))].input = static_cast<int>(i);
  for (size_t i = 0; i < outputs.size(); ++i)
    slots[static_cast<size_t>(slot(outputs[i].name, outputs[i].type))].output = static_cast<int>(i);
}

Result<std::shared_ptr<const backend::Model>> Session::Impl::load_host_program(const onnx::HostProgram& from) const {
  auto program = std::make_shared<ir::Program>();
  program->metadata = from.program->metadata;
  program->functions.push_back(ir::clone(from.main()));
  passes::PassContext context;
  GRAFT_CHECK(passes::run_host_pipeline(*program->functions[0], context));
  return backend::load_on_host(program, "main", env, options.engine);
}

Status Session::Impl::wire(const partition::Segment& segment) {
  Stage stage;
  stage.coreml = segment.coreml;
  std::shared_ptr<ir::Program> program = segment.program;
  if (!segment.coreml) {
    passes::PassContext context;
    GRAFT_CHECK(passes::run_host_pipeline(*program->functions[0], context));
  }
  GRAFT_TRY(stage.model, backend::load_on_host(program, "main", env, options.engine));
  const auto connect = [&](std::span<const engine::Port> ports, const std::vector<onnx::Border>& borders,
                           std::vector<int>& to, std::vector<DType>& dtypes) {
    for (const engine::Port& p : ports) {
      const auto b =
          std::find_if(borders.begin(), borders.end(), [&](const onnx::Border& x) { return x.name == p.name; });
      const ir::Type& type = b == borders.end() ? p.type : b->onnx_type;
      to.push_back(slot(p.name, type));
      dtypes.push_back(type.dtype);
    }
  };
  connect(stage.model->inputs(), segment.inputs, stage.inputs, stage.outside_in);
  connect(stage.model->outputs(), segment.outputs, stage.outputs, stage.outside_out);
  stages.push_back(std::move(stage));
  return {};
}

Status Session::Impl::plan_pieces() {
  GRAFT_TRY(partition::Partition p, partition::partition(host, options.partition));
  if (options.require_full_delegation && !p.whole()) {
    Diag d;
    d.code = Code::not_delegated;
    d.message =
        format("{} of {} nodes are outside the Core ML program", p.count(partition::Where::host), p.nodes.size());
    d.inner = p.refusals();
    return fail(std::move(d));
  }
  findings.insert(findings.end(), p.findings.begin(), p.findings.end());
  for (const partition::Segment& s : p.segments) GRAFT_CHECK(wire(s));
  partition = std::move(p);
  return {};
}

namespace {

// Every operator without a row, and whatever else is wrong with nodes.
Diag cannot_run(const onnx::Model& model, const std::vector<Diag>& problems) {
  const std::vector<onnx::MissingOperator> missing = onnx::missing_operators(model);
  Diag d;
  if (missing.empty()) {
    d.code = problems[0].code;
    d.message = format("the model cannot run: {} of its nodes have no meaning here", problems.size());
  } else {
    d = onnx::describe_missing(missing);
  }
  d.file = model.path;
  for (const Diag& p : problems) {
    if (!missing.empty() && p.code == Code::unsupported_operator) continue;
    d.inner.push_back(p);
    d.inner.back().file.clear();
  }
  return d;
}

}  // namespace

Status Session::Impl::open_onnx(std::shared_ptr<const onnx::Model> model) {
  GRAFT_TRY(onnx::HostProgram lowered, onnx::lower_for_host(model, options.lowering));
  host = std::make_shared<const onnx::HostProgram>(std::move(lowered));
  metadata = model->metadata;
  if (!host->problems.empty()) return fail(cannot_run(*model, host->problems));
  const ir::Function& main = host->main();
  for (const ir::Value* v : main.inputs) inputs.push_back({v->name, v->type});
  for (size_t i = 0; i < main.body.outputs.size(); ++i)
    outputs.push_back({main.output_names[i], main.body.outputs[i]->type});
  all_inputs = inputs;
  add_ports();
  for (const std::string& name : model->overridable) {
    Diag d;
    d.code = Code::overridable_initializer;
    d.tensor = name;
    d.message = "an initializer that is also a graph input: its default is baked in, a run that feeds it uses the host";
    findings.push_back(std::move(d));
    const ir::Constant& value = *model->graph.find_initializer(name)->value;
    all_inputs.push_back({name, ir::Type::tensor(value.dtype(), value.shape())});
  }
  const bool coreml =
      options.device != Device::cpu && (options.device != Device::automatic || backend::coreml_available());
  placement.requested = std::string(name(options.device));
  if (coreml) {
    GRAFT_CHECK(plan_pieces());
    const int total = static_cast<int>(partition->nodes.size());
    const int in_pieces = partition->count(partition::Where::coreml),
              on_host = partition->count(partition::Where::host);
    placement.allowed = format("the same ML Program on the host engine: no Core ML on this machine (asked for {})",
                               backend::name(options.units));
    placement.planned =
        format("{} of {} nodes in {} Core ML program{}, {} folded, {} on the host", in_pieces, total, partition->pieces,
               partition->pieces == 1 ? "" : "s", partition->count(partition::Where::folded), on_host);
    for (size_t i = 0; i < inputs.size(); ++i)
      checked_inputs.push_back(inputs[i].type.dtype == DType::i64 && partition->pieces > 0);
    return {};
  }
  partition::Options none = options.partition;
  none.claim = false;
  GRAFT_TRY(partition, partition::partition(host, none));
  Stage stage;
  GRAFT_TRY(stage.model, load_host_program(*host));
  for (const engine::Port& p : inputs) {
    stage.inputs.push_back(slot(p.name, p.type));
    stage.outside_in.push_back(p.type.dtype);
  }
  for (const engine::Port& p : outputs) {
    stage.outputs.push_back(slot(p.name, p.type));
    stage.outside_out.push_back(p.type.dtype);
  }
  stages.push_back(std::move(stage));
  placement.allowed = options.device == Device::cpu ? "the host engine" : "the host engine: no Core ML on this machine";
  placement.planned = "the ONNX program in its own dtypes on the host engine";
  return {};
}

Status Session::Impl::open_package(const std::string& path) {
  GRAFT_TRY(coreml::Model model, coreml::read_package(path, ops::table()));
  metadata = model.metadata;
  const coreml::FunctionInterface* main = model.interface.main();
  if (main == nullptr) return fail(Code::invalid_model, "the package has no default function");
  Stage stage;
  stage.coreml = true;
  GRAFT_TRY(stage.model, backend::load_on_host(model.program, main->name, env, options.engine));
  // The types that the ONNX model had, where the package could not keep them.
  const nlohmann::json types = nlohmann::json::parse(
      metadata.contains(std::string(kOnnxTypesKey)) ? metadata.at(std::string(kOnnxTypesKey)) : "{}", nullptr, false);
  const auto port = [&](const engine::Port& p, const std::vector<coreml::Feature>& features) {
    engine::Port outside = p;
    for (const coreml::Feature& f : features) {
      if (f.file_name == p.name || f.name == p.name) outside.name = f.name;
    }
    if (types.is_object() && types.contains(outside.name) && types[outside.name].is_string()) {
      std::string type = types[outside.name].get<std::string>();
      if (type.ends_with("[]")) {
        type.resize(type.size() - 2);
        if (p.type.rank() == 1 && p.type.dims[0] == ir::Dim(1)) outside.type.dims.clear();
      }
      const DType t = dtype_from_name(type);
      if (DTypes{DType::i64, DType::boolean, DType::f16, DType::f64, DType::u8, DType::i8, DType::i16, DType::u16}.has(
              t))
        outside.type.dtype = t;
    }
    return outside;
  };
  for (const engine::Port& p : stage.model->inputs()) inputs.push_back(port(p, main->inputs));
  for (const engine::Port& p : stage.model->outputs()) outputs.push_back(port(p, main->outputs));
  all_inputs = inputs;
  for (const engine::Port& p : inputs) {
    stage.inputs.push_back(slot(p.name, p.type));
    stage.outside_in.push_back(p.type.dtype);
  }
  for (const engine::Port& p : outputs) {
    stage.outputs.push_back(slot(p.name, p.type));
    stage.outside_out.push_back(p.type.dtype);
  }
  add_ports();
  stages.push_back(std::move(stage));
  placement.requested = std::string(name(options.device));
  placement.allowed = "the host engine: no Core ML on this machine";
  placement.planned = "the whole package on the host engine";
  package = std::move(model.interface);
  return {};
}

// ---- running ------------------------------------------------------------------------------------------------------

std::unique_ptr<RunState> Session::Impl::take_state() const {
  std::lock_guard lock(pool_mutex);
  if (pool.empty()) return std::make_unique<RunState>();
  std::unique_ptr<RunState> s = std::move(pool.back());
  pool.pop_back();
  return s;
}

void Session::Impl::give_back(std::unique_ptr<RunState> state) const {
  for (engine::OutputSlot& o : state->out) o.owned = Tensor();
  std::lock_guard lock(pool_mutex);
  pool.push_back(std::move(state));
}

// False: an integer left int32 on its way into a Core ML piece; the run has to be made on the host.
Result<bool> Session::Impl::run_stage(const Stage& stage, RunState& s, std::span<engine::OutputSlot> out,
                                      const engine::RunOptions& run_options) const {
  const std::span<const engine::Port> in_ports = stage.model->inputs(), out_ports = stage.model->outputs();
  s.in.resize(in_ports.size());
  if (s.narrowed.size() < in_ports.size()) s.narrowed.resize(in_ports.size());
  for (size_t i = 0; i < in_ports.size(); ++i) {
    const size_t from = static_cast<size_t>(stage.inputs[i]);
    s.in[i] = s.values[from];
    // Core ML's inputs have a rank: a scalar goes in as one element.
    if (slots[from].type.rank() == 0 && in_ports[i].type.rank() == 1 && s.in[i].shape.empty()) s.in[i].shape = Shape{1};
    const DType want = in_ports[i].type.dtype;
    if (s.in[i].dtype == want || s.in[i].dtype != stage.outside_in[i]) continue;
    GRAFT_TRY(s.narrowed[i], reuse(std::move(s.narrowed[i]), want, s.in[i].shape));
    if (!convert(s.in[i], s.narrowed[i].mutable_view())) return false;
    s.in[i] = s.narrowed[i].view();
  }
  s.out.clear();
  s.out.resize(out_ports.size());
  for (size_t i = 0; i < out_ports.size(); ++i) {
    const int port = slots[static_cast<size_t>(stage.outputs[i])].output;
    if (port >= 0 && out_ports[i].type.dtype == stage.outside_out[i])
      s.out[i].memory = out[static_cast<size_t>(port)].memory;
  }
  GRAFT_CHECK(stage.model->predict(s.in, s.out, run_options));
  for (size_t i = 0; i < out_ports.size(); ++i) {
    const size_t at = static_cast<size_t>(stage.outputs[i]);
    Tensor made = std::move(s.out[i].owned);
    if (made.valid() && made.dtype() != stage.outside_out[i]) {
      GRAFT_TRY(Tensor wide, Tensor::allocate(stage.outside_out[i], made.shape()));
      if (!convert(made.view(), wide.mutable_view()))
        return fail(Code::internal, "a result does not fit its ONNX type");
      made = std::move(wide);
    }
    if (!made.valid()) {
      s.values[at] = s.out[i].memory;
      continue;
    }
    s.values[at] = made.view();
    s.owned[at] = std::move(made);
  }
  return true;
}

Result<bool> Session::Impl::run_stages(RunState& s, std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                                       const engine::RunOptions& run_options) const {
  s.values.resize(slots.size());
  s.owned.resize(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].input >= 0) s.values[i] = in[static_cast<size_t>(slots[i].input)];
  }
  for (const Stage& stage : stages) {
    GRAFT_TRY(const bool done, run_stage(stage, s, out, run_options));
    if (!done) return false;
  }
  // Results that are not in the caller's memory yet: handed over, or copied when the stage could not write there.
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].output < 0) continue;
    engine::OutputSlot& o = out[static_cast<size_t>(slots[i].output)];
    const TensorView v = s.values[i];
    if (o.memory.data == nullptr) {
      o.owned = s.owned[i].valid() ? s.owned[i] : Tensor::copy_of(v);
    } else if (o.memory.data != v.data) {
      if (o.memory.dtype != v.dtype || !(o.memory.shape == v.shape)) {
        return fail(Code::invalid_argument,
                    format("output '{}' is {}, the memory given is for {}", slots[i].name, describe(v.dtype, v.shape),
                           describe(o.memory.dtype, o.memory.shape)));
      }
      std::memcpy(o.memory.data, v.data, v.bytes());
    }
    s.owned[i] = Tensor();
  }
  return true;
}

Status Session::Impl::run_fallback(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                                   const engine::RunOptions& run_options) const {
  std::shared_ptr<const backend::Model> model;
  {
    std::lock_guard lock(fallback_mutex);
    if (fallback == nullptr) {
      GRAFT_TRY(fallback, load_host_program(*host));
    }
    model = fallback;
  }
  return model->predict(in, out, run_options);
}

Result<std::shared_ptr<const backend::Model>> Session::Impl::load_overridden(
    const std::vector<std::string>& names) const {
  auto fed = std::make_shared<const onnx::Model>(onnx::with_inputs(*host->model, names));
  GRAFT_TRY(const onnx::HostProgram lowered, onnx::lower_for_host(fed, options.lowering));
  if (lowered.problems.empty()) return load_host_program(lowered);
  Diag d;
  d.code = Code::invalid_argument;
  d.tensor = names[0];
  d.message = "an initializer that the graph cannot do without while it is compiled: no other value can be fed";
  d.inner = lowered.problems;
  return fail(std::move(d));
}

Status Session::Impl::run_overridden(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                                     const engine::RunOptions& run_options) const {
  std::vector<std::string> names;
  std::vector<TensorView> fed(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(inputs.size()));
  for (size_t i = inputs.size(); i < in.size(); ++i) {
    if (in[i].dtype == DType::invalid) continue;
    names.push_back(all_inputs[i].name);
    fed.push_back(in[i]);
  }
  std::shared_ptr<const backend::Model> model;
  {
    std::lock_guard lock(fallback_mutex);
    auto& have = overridden[names];
    if (have == nullptr) {
      GRAFT_TRY(have, load_overridden(names));
    }
    model = have;
  }
  return model->predict(fed, out, run_options);
}

Status Session::Impl::run(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                          const engine::RunOptions& run_options) const {
  if (in.size() == all_inputs.size() && in.size() > inputs.size() && out.size() == outputs.size()) {
    const auto extra = in.subspan(inputs.size());
    if (std::any_of(extra.begin(), extra.end(), [](const TensorView& v) { return v.dtype != DType::invalid; }))
      return run_overridden(in, out, run_options);
    in = in.first(inputs.size());
  }
  if (in.size() != inputs.size() || out.size() != outputs.size()) {
    return fail(Code::invalid_argument, format("the model has {} inputs and {} outputs, got {} and {}", inputs.size(),
                                               outputs.size(), in.size(), out.size()));
  }
  if (use_fallback.load(std::memory_order_relaxed)) return run_fallback(in, out, run_options);
  for (size_t i = 0; i < checked_inputs.size(); ++i) {
    if (!checked_inputs[i] || in[i].dtype != DType::i64) continue;
    const IntRange fits = int_range(DType::i32);
    for (int64_t v : in[i].span<int64_t>()) {
      if (v < fits.lo || v > fits.hi) return run_fallback(in, out, run_options);
    }
  }
  std::unique_ptr<RunState> state = take_state();
  Result<bool> done = run_stages(*state, in, out, run_options);
  give_back(std::move(state));
  if (done && *done) return {};
  if (host == nullptr) {
    if (!done) return fail(std::move(done).error());
    return fail(Code::value_out_of_range, "an input has integers outside int32, the widest that the package takes");
  }
  // A caller's mistake stays one; anything else that a Core ML piece trips over is run on the host from now on.
  const bool has_coreml = std::any_of(stages.begin(), stages.end(), [](const Stage& s) { return s.coreml; });
  if (!done) {
    const Code code = done.error().code;
    if (!has_coreml || code == Code::cancelled || code == Code::invalid_argument) return fail(std::move(done).error());
    if (env->log)
      env->log(LogLevel::warning,
               format("a Core ML piece failed, the model runs on the host from now on: {}", render(done.error())));
    use_fallback.store(true, std::memory_order_relaxed);
  }
  return run_fallback(in, out, run_options);
}

// ---- the public face ----------------------------------------------------------------------------------------------

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

namespace {

Status check_device(const Options& options) {
  const bool needs = options.device != Device::cpu;
  if (!options.require_device || !needs || backend::coreml_available()) return {};
  return fail(Code::device_unavailable,
              format("device {} is required, but there is no Core ML on this machine", name(options.device)));
}

bool is_package(const std::string& path) {
  std::error_code ec;
  return std::filesystem::is_directory(path, ec) || path.ends_with(".mlmodel");
}

}  // namespace

Result<std::shared_ptr<const Session>> Session::open(const std::string& path, std::shared_ptr<const Env> env,
                                                     const Options& options) {
  GRAFT_CHECK(check_device(options));
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->env = std::move(env);
  Status s;
  if (is_package(path)) {
    s = impl->open_package(path);
  } else {
    GRAFT_TRY(std::shared_ptr<const onnx::Model> model, onnx::read_file(path));
    s = impl->open_onnx(std::move(model));
  }
  if (!s) return fail(std::move(std::move(s).error()).in_file(path));
  return std::shared_ptr<const Session>(new Session(std::move(impl)));
}

Result<std::shared_ptr<const Session>> Session::open_memory(Bytes bytes, std::shared_ptr<const void> owner,
                                                            const std::string& folder, std::shared_ptr<const Env> env,
                                                            const Options& options) {
  GRAFT_CHECK(check_device(options));
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->env = std::move(env);
  GRAFT_TRY(std::shared_ptr<const onnx::Model> model, onnx::read_memory(bytes, folder, std::move(owner)));
  GRAFT_CHECK(impl->open_onnx(std::move(model)));
  return std::shared_ptr<const Session>(new Session(std::move(impl)));
}

std::span<const engine::Port> Session::inputs() const { return impl_->inputs; }
std::span<const engine::Port> Session::all_inputs() const { return impl_->all_inputs; }
std::span<const engine::Port> Session::outputs() const { return impl_->outputs; }

namespace {
int index_of(std::span<const engine::Port> ports, std::string_view name) {
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == name) return static_cast<int>(i);
  }
  return -1;
}
}  // namespace

int Session::input_index(std::string_view name) const { return index_of(impl_->all_inputs, name); }
int Session::output_index(std::string_view name) const { return index_of(impl_->outputs, name); }

Status Session::run(std::span<const TensorView> inputs, std::span<engine::OutputSlot> outputs,
                    const engine::RunOptions& options) const {
  return impl_->run(inputs, outputs, options);
}

const Placement& Session::placement() const { return impl_->placement; }
const partition::Partition* Session::partition() const { return impl_->partition ? &*impl_->partition : nullptr; }
std::span<const Diag> Session::findings() const { return impl_->findings; }
const coreml::Interface* Session::package() const { return impl_->package ? &*impl_->package : nullptr; }
const std::map<std::string, std::string>& Session::metadata() const { return impl_->metadata; }
const Options& Session::options() const { return impl_->options; }

}  // namespace graft::session
