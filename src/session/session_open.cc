// From a model to loaded subgraphs: one for each partition and host run of an ONNX model, one for a package.
#include <algorithm>
#include <unordered_set>

#include "base/format.h"
#include "onnx/missing.h"
#include "onnx/open_dims.h"
#include "onnx/reader.h"
#include "passes/pipeline.h"
#include "session/impl.h"
#include "session/onnx_types.h"

namespace graft::session {
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

// A package from the disk may be another one than the partition's: what it reads must be fed, what it is read for made.
Status check_ports(const backend::Model& model, const partition::Subgraph& s) {
  std::unordered_set<std::string_view> fed, made;
  for (const ir::BoundaryPort& p : s.inputs) fed.insert(p.name);
  for (const ir::Port& p : model.outputs()) made.insert(p.name);
  for (const ir::Port& p : model.inputs()) {
    if (!fed.contains(p.name))
      return fail(Code::invalid_model,
                  format("the program has an input '{}', which its partition does not have", p.name));
  }
  for (const ir::BoundaryPort& p : s.outputs) {
    if (!made.contains(p.name))
      return fail(Code::invalid_model, format("the program has no output '{}', which its partition has", p.name));
  }
  return {};
}

}  // namespace

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

// ---- loading ----

Result<std::shared_ptr<const backend::Model>> Session::Impl::load_on_host(const ir::Program& program,
                                                                          const CancelToken* cancel) const {
  backend::Artefact artefact;
  artefact.program = std::make_shared<ir::Program>();
  artefact.program->metadata = program.metadata;
  artefact.program->functions.push_back(ir::clone(*program.main()));
  passes::PassContext context;
  context.bounds = bounds(cancel);
  GRAFT_CHECK(passes::run_host_pipeline(*artefact.program->functions[0], context));
  return host_device->load(artefact, {backend::ComputeUnits::cpu_only, env, options.weights, bounds(cancel)});
}

Result<std::shared_ptr<const backend::Model>> Session::Impl::load_overridden(const std::vector<std::string>& names,
                                                                             const CancelToken* cancel) const {
  auto fed = std::make_shared<const onnx::Model>(onnx::with_inputs(*host->model, names));
  GRAFT_TRY(const onnx::HostProgram lowered, onnx::lower_for_host(fed, options.lowering, bounds(cancel)));
  if (lowered.problems.empty()) return load_on_host(*lowered.program, cancel);
  if (names.empty()) return fail(cannot_run(*host->model, lowered.problems));
  Diag d;
  d.code = Code::invalid_argument;
  d.tensor = names[0];
  d.message = "an initializer that the graph cannot do without while it is compiled: no other value can be fed";
  d.inner = lowered.problems;
  return fail(std::move(d));
}

Wired Session::Impl::wire(std::shared_ptr<const backend::Model> model, const partition::Subgraph& subgraph) {
  Wired wired;
  wired.coreml = subgraph.coreml;
  const auto connect = [&](std::span<const ir::Port> ports, const std::vector<ir::BoundaryPort>& known,
                           std::vector<int>& to, std::vector<DType>& dtypes) {
    std::unordered_map<std::string_view, const ir::Type*> onnx_types;
    for (const ir::BoundaryPort& p : known) onnx_types.emplace(p.name, &p.onnx_type);
    for (const ir::Port& p : ports) {
      const auto at = onnx_types.find(p.name);
      const ir::Type& type = at == onnx_types.end() ? p.type : *at->second;
      to.push_back(slot(p.name, type));
      dtypes.push_back(type.stored());
    }
  };
  connect(model->inputs(), subgraph.inputs, wired.inputs, wired.onnx_in);
  connect(model->outputs(), subgraph.outputs, wired.outputs, wired.onnx_out);
  wired.model = std::move(model);
  return wired;
}

void Session::Impl::add_whole(std::shared_ptr<const backend::Model> model, bool coreml) {
  Wired& wired = loaded.emplace_back().planned;
  wired.model = std::move(model);
  wired.coreml = coreml;
  for (const ir::Port& p : inputs) {
    wired.inputs.push_back(slot(p.name, p.type));
    wired.onnx_in.push_back(p.type.stored());
  }
  for (const ir::Port& p : outputs) {
    wired.outputs.push_back(slot(p.name, p.type));
    wired.onnx_out.push_back(p.type.stored());
  }
}

Status Session::Impl::load_subgraphs(const CancelToken* cancel) {
  int partition = 0;
  for (const partition::Subgraph& s : partitioning->subgraphs) {
    LoadedSubgraph& one = loaded.emplace_back();
    one.subgraph = &s;
    one.place = static_cast<int>(loaded.size()) - 1;
    for (const ir::BoundaryPort& p : s.outputs) slots[static_cast<size_t>(slot(p.name, p.onnx_type))].maker = one.place;
    if (!s.coreml) {
      if (s.program == nullptr) return fail(Code::internal, "a part of the model was not built for the host");
      GRAFT_TRY(auto model, load_on_host(*s.program, cancel));
      one.planned = wire(std::move(model), s);
      continue;
    }
    one.partition = partition++;
    auto model = device->load(s, {options.units, env, options.weights, bounds(cancel)});
    if (model) {
      if (Status same = check_ports(**model, s); !same) model = fail(std::move(same).error());
    }
    if (model) {
      one.planned = wire(std::move(*model), s);
      continue;
    }
    if (out_of_bounds(model.error().code)) return fail(std::move(model).error());
    GRAFT_CHECK(to_host(one, std::move(model).error()));
    findings.push_back(one.why);
    GRAFT_CHECK(twin_of(one, cancel));
  }
  return {};
}

Result<std::shared_ptr<const Wired>> Session::Impl::load_twin(const LoadedSubgraph& one,
                                                              const CancelToken* cancel) const {
  const auto has = [&](const std::string& name) {
    const auto at = slot_of.find(name);
    if (at == slot_of.end()) return false;
    const Slot& s = slots[static_cast<size_t>(at->second)];
    return s.input >= 0 || s.maker < one.place;
  };
  GRAFT_TRY(const partition::Subgraph subgraph,
            partition::host_twin(*partitioning, *one.subgraph, has, bounds(cancel)));
  auto twin = std::make_shared<Wired>();
  GRAFT_TRY(twin->model, load_on_host(*subgraph.program, cancel));
  const auto connect = [&](std::span<const ir::Port> ports, std::vector<int>& to, std::vector<DType>& dtypes) {
    for (const ir::Port& p : ports) {
      to.push_back(slot_of.at(p.name));
      dtypes.push_back(p.type.stored());
    }
  };
  connect(twin->model->inputs(), twin->inputs, twin->onnx_in);
  connect(twin->model->outputs(), twin->outputs, twin->onnx_out);
  return std::shared_ptr<const Wired>(std::move(twin));
}

// ---- opening ----

Status Session::Impl::open_host(std::shared_ptr<const onnx::HostProgram> lowered, bool coreml) {
  host = std::move(lowered);
  const onnx::Model& model = *host->model;
  metadata = model.metadata;
  if (!host->problems.empty()) return fail(cannot_run(model, host->problems));
  const ir::Function& main = host->main();
  // The facts for Core ML hold for some sizes; others are the host's to take.
  for (const ir::Value* v : main.inputs) inputs.push_back({v->name, v->type});
  if (!host->open_dims.empty()) {
    GRAFT_TRY(std::vector<ir::Type> taken, onnx::input_types(model.graph, options.lowering));
    for (size_t i = 0; i < taken.size(); ++i) inputs[i].type = std::move(taken[i]);
  }
  const auto any_size = [&](std::string_view symbol) -> std::optional<ir::Dim> {
    const auto of = [&](const onnx::OpenDim& d) { return !d.given && d.symbol == symbol; };
    if (std::none_of(host->open_dims.begin(), host->open_dims.end(), of)) return std::nullopt;
    return ir::Dim::symbol(symbol, onnx::kAnySize);
  };
  for (size_t i = 0; i < main.body.outputs.size(); ++i) {
    ir::Type type = main.body.outputs[i]->type;
    for (ir::Dim& d : type.dims) d = d.substitute(any_size);
    outputs.push_back({main.output_names[i], std::move(type)});
  }
  if (coreml) accepted = InputsTaken(*host);
  all_inputs = inputs;
  add_ports();
  for (const std::string& name : model.overridable) {
    Diag d;
    d.code = Code::overridable_initializer;
    d.tensor = name;
    d.message = "an initializer that is also a graph input: its default is baked in, a run that feeds it uses the host";
    findings.push_back(std::move(d));
    const ir::Constant& value = *model.graph.find_initializer(name)->value;
    all_inputs.push_back({name, ir::Type::tensor(value.dtype(), value.shape())});
  }
  if (coreml) return {};
  placement.allowed = options.device == "auto" ? "the host engine: no Core ML on this machine" : "the host engine";
  placement.planned = "the ONNX program in its own dtypes on the host engine";
  return {};
}

Status Session::Impl::open_onnx(std::shared_ptr<const onnx::Model> model, const CancelToken* cancel) {
  GRAFT_TRY(model, onnx::up_to(std::move(model), options.outputs));
  const auto lower = device == nullptr ? onnx::lower_for_host : onnx::lower_for_coreml;
  GRAFT_TRY(onnx::HostProgram lowered, lower(model, options.lowering, bounds(cancel)));
  auto program = std::make_shared<const onnx::HostProgram>(std::move(lowered));
  partition::Options how = options.partitioning;
  how.claim = device != nullptr;
  GRAFT_TRY(partition::Partitioning made, partition::partition(std::move(program), how, bounds(cancel)));
  return open_partition(std::make_shared<const partition::Partitioning>(std::move(made)), cancel);
}

Status Session::Impl::open_partition(std::shared_ptr<const partition::Partitioning> given, const CancelToken* cancel) {
  GRAFT_CHECK(open_host(given->host, device != nullptr));
  partitioning = std::move(given);
  if (device == nullptr) {
    // Facts for Core ML hold for some sizes, and some integers.
    GRAFT_TRY(auto model, host->open_dims.empty() && host->limits.empty() ? load_on_host(*host->program, cancel)
                                                                          : load_overridden({}, cancel));
    add_whole(std::move(model), false);
    return {};
  }
  if (!partitioning->options.claim)
    return fail(
        Code::invalid_argument,
        format("the partitioning was made without Core ML, and device {} takes Core ML programs", options.device));
  const int total = static_cast<int>(partitioning->nodes.size()), on_host = partitioning->count(partition::Where::host);
  if (options.require_full_delegation && !partitioning->whole()) {
    Diag d;
    d.code = Code::not_delegated;
    d.message = format("{} of {} nodes are outside the Core ML program", on_host, total);
    std::vector<partition::NodePlan> nodes = partitioning->nodes;
    partition::find_remedies(*host, partitioning->options, bounds(cancel), nodes);
    d.inner = partition::refusals(nodes);
    return fail(std::move(d));
  }
  findings.insert(findings.end(), partitioning->findings.begin(), partitioning->findings.end());
  for (const ir::Port& p : inputs) checked_inputs.push_back(p.type.dtype == DType::i64 && partitioning->partitions > 0);
  GRAFT_CHECK(load_subgraphs(cancel));
  placement.allowed = stands_in
                          ? format("the same ML Program on the host engine: no Core ML on this machine (asked for {})",
                                   backend::name(options.units))
                          : format("{} ({})", device->name(), backend::name(options.units));
  placement.planned =
      format("{} of {} nodes in {} Core ML program{}, {} folded, {} on the host",
             partitioning->count(partition::Where::coreml), total, partitioning->partitions,
             partitioning->partitions == 1 ? "" : "s", partitioning->count(partition::Where::folded), on_host);
  const auto moved =
      std::count_if(loaded.begin(), loaded.end(), [](const LoadedSubgraph& s) { return s.moved.load(); });
  if (moved > 0)
    placement.planned += format("; {} program{} could not be loaded and run{} on the host", moved,
                                moved == 1 ? "" : "s", moved == 1 ? "s" : "");
  return {};
}

Status Session::Impl::open_package(const CancelToken* cancel) {
  if (!options.outputs.empty())
    return fail(Code::invalid_option, "outputs: a package has those that it was compiled with; give an ONNX model");
  GRAFT_TRY(coreml::Model model, coreml::read_package(path, options.weights, bounds(cancel)));
  metadata = model.metadata;
  const coreml::FunctionInterface* main = model.interface.main();
  if (main == nullptr) return fail(Code::invalid_model, "the package has no default function");
  backend::Artefact artefact;
  artefact.program = std::move(model.program);
  artefact.package = path;
  artefact.function = main->name;
  artefact.target = ir::Target::mlprogram(model.opset);
  const backend::Device& runs = device != nullptr ? *device : *host_device;
  GRAFT_TRY(auto loaded, runs.load(artefact, {options.units, env, options.weights, bounds(cancel)}));
  const OnnxTypes types(metadata);
  const auto ports = [&](std::span<const ir::Port> own) {
    std::vector<ir::Port> outside(own.begin(), own.end());
    for (ir::Port& p : outside) p.type = types.of(p.name, p.type);
    return outside;
  };
  inputs = ports(loaded->inputs());
  outputs = ports(loaded->outputs());
  kept = ports(loaded->states());
  all_inputs = inputs;
  add_ports();
  add_whole(std::move(loaded), true);
  const bool here = device != nullptr && !stands_in;
  placement.allowed = here ? format("{} ({})", device->name(), backend::name(options.units))
                           : "the host engine: no Core ML on this machine";
  placement.planned = here ? "the whole package on Core ML" : "the whole package on the host engine";
  package = std::move(model.interface);
  return {};
}

}  // namespace graft::session
