// From a model to stages: one for each piece and host run of an ONNX model, one for a package.
#include <algorithm>

#include "base/format.h"
#include "onnx/missing.h"
#include "onnx/reader.h"
#include "passes/pipeline.h"
#include "session/impl.h"
#include "session/onnx_types.h"

namespace graft::session {
int Session::Impl::slot(const std::string& name, const ir::Type& type) {
  const auto [at, added] = slot_of.emplace(name, static_cast<int>(slots.size()));
  if (added) slots.push_back({name, type});
  return at->second;
}

void Session::Impl::add_ports() {
  for (size_t i = 0; i < inputs.size(); ++i)
    slots[static_cast<size_t>(slot(inputs[i].name, inputs[i].type))].input = static_cast<int>(i);
  for (size_t i = 0; i < outputs.size(); ++i)
    slots[static_cast<size_t>(slot(outputs[i].name, outputs[i].type))].output = static_cast<int>(i);
}

Result<std::shared_ptr<const backend::Model>> Session::Impl::load_host_program(const onnx::HostProgram& from,
                                                                               const CancelToken* cancel) const {
  auto program = std::make_shared<ir::Program>();
  program->metadata = from.program->metadata;
  program->functions.push_back(ir::clone(from.main()));
  passes::PassContext context;
  context.bounds = bounds(cancel);
  GRAFT_CHECK(passes::run_host_pipeline(*program->functions[0], context));
  return backend::load_on_host(program, "main", env, options.engine, bounds(cancel));
}

Result<std::shared_ptr<const backend::Model>> Session::Impl::load_overridden(const std::vector<std::string>& names,
                                                                             const CancelToken* cancel) const {
  auto fed = std::make_shared<const onnx::Model>(onnx::with_inputs(*host->model, names));
  GRAFT_TRY(const onnx::HostProgram lowered, onnx::lower_for_host(fed, options.lowering, bounds(cancel)));
  if (lowered.problems.empty()) return load_host_program(lowered, cancel);
  Diag d;
  d.code = Code::invalid_argument;
  d.tensor = names[0];
  d.message = "an initializer that the graph cannot do without while it is compiled: no other value can be fed";
  d.inner = lowered.problems;
  return fail(std::move(d));
}

Status Session::Impl::wire(const partition::Segment& segment, const CancelToken* cancel) {
  Stage stage;
  stage.coreml = segment.coreml;
  std::shared_ptr<ir::Program> program = segment.program;
  if (!segment.coreml) {
    passes::PassContext context;
    context.bounds = bounds(cancel);
    GRAFT_CHECK(passes::run_host_pipeline(*program->functions[0], context));
  }
  GRAFT_TRY(stage.model, backend::load_on_host(program, "main", env, options.engine, bounds(cancel)));
  const auto connect = [&](std::span<const engine::Port> ports, const std::vector<onnx::Border>& borders,
                           std::vector<int>& to, std::vector<DType>& dtypes) {
    std::unordered_map<std::string_view, const ir::Type*> onnx_types;
    for (const onnx::Border& b : borders) onnx_types.emplace(b.name, &b.onnx_type);
    for (const engine::Port& p : ports) {
      const auto known = onnx_types.find(p.name);
      const ir::Type& type = known == onnx_types.end() ? p.type : *known->second;
      to.push_back(slot(p.name, type));
      dtypes.push_back(type.dtype);
    }
  };
  connect(stage.model->inputs(), segment.inputs, stage.inputs, stage.outside_in);
  connect(stage.model->outputs(), segment.outputs, stage.outputs, stage.outside_out);
  stages.push_back(std::move(stage));
  return {};
}

void Session::Impl::add_whole(Stage stage) {
  for (const engine::Port& p : inputs) {
    stage.inputs.push_back(slot(p.name, p.type));
    stage.outside_in.push_back(p.type.dtype);
  }
  for (const engine::Port& p : outputs) {
    stage.outputs.push_back(slot(p.name, p.type));
    stage.outside_out.push_back(p.type.dtype);
  }
  stages.push_back(std::move(stage));
}

Status Session::Impl::plan_pieces(const CancelToken* cancel) {
  GRAFT_TRY(partition::Partition p, partition::partition(host, options.partition, bounds(cancel)));
  if (options.require_full_delegation && !p.whole()) {
    Diag d;
    d.code = Code::not_delegated;
    d.message =
        format("{} of {} nodes are outside the Core ML program", p.count(partition::Where::host), p.nodes.size());
    partition::find_remedies(*host, options.partition, bounds(cancel), p.nodes);
    d.inner = p.refusals();
    return fail(std::move(d));
  }
  findings.insert(findings.end(), p.findings.begin(), p.findings.end());
  for (const partition::Segment& s : p.segments) GRAFT_CHECK(wire(s, cancel));
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

Status Session::Impl::open_onnx(const std::shared_ptr<const onnx::Model>& model, const CancelToken* cancel) {
  GRAFT_TRY(onnx::HostProgram lowered, onnx::lower_for_host(model, options.lowering, bounds(cancel)));
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
    GRAFT_CHECK(plan_pieces(cancel));
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
  GRAFT_TRY(partition, partition::partition(host, none, bounds(cancel)));
  Stage stage;
  GRAFT_TRY(stage.model, load_host_program(*host, cancel));
  add_whole(std::move(stage));
  placement.allowed = options.device == Device::cpu ? "the host engine" : "the host engine: no Core ML on this machine";
  placement.planned = "the ONNX program in its own dtypes on the host engine";
  return {};
}

Status Session::Impl::open_package(const CancelToken* cancel) {
  GRAFT_TRY(coreml::Model model, coreml::read_package(path, options.weights, bounds(cancel)));
  metadata = model.metadata;
  const coreml::FunctionInterface* main = model.interface.main();
  if (main == nullptr) return fail(Code::invalid_model, "the package has no default function");
  Stage stage;
  stage.coreml = true;
  GRAFT_TRY(stage.model, backend::load_on_host(model.program, main->name, env, options.engine, bounds(cancel)));
  const OnnxTypes types(metadata);
  const auto ports = [&](std::span<const engine::Port> own, const std::vector<coreml::Feature>& features) {
    std::unordered_map<std::string_view, const std::string*> outside_names;
    for (const coreml::Feature& f : features) outside_names[f.file_name] = outside_names[f.name] = &f.name;
    std::vector<engine::Port> outside(own.begin(), own.end());
    for (engine::Port& p : outside) {
      if (const auto at = outside_names.find(p.name); at != outside_names.end()) p.name = *at->second;
      p.type = types.of(p.name, p.type);
    }
    return outside;
  };
  inputs = ports(stage.model->inputs(), main->inputs);
  outputs = ports(stage.model->outputs(), main->outputs);
  all_inputs = inputs;
  add_ports();
  add_whole(std::move(stage));
  placement.requested = std::string(name(options.device));
  placement.allowed = "the host engine: no Core ML on this machine";
  placement.planned = "the whole package on the host engine";
  package = std::move(model.interface);
  return {};
}

}  // namespace graft::session
