// The C ABI: models.
#include "api/handles.h"

namespace graft::api {
namespace {

Ports ports_of(const std::vector<tools::PortInfo>& ports) {
  Ports list;
  for (const tools::PortInfo& p : ports) list.emplace_back(p);
  return list;
}

graft_model* wrap(std::shared_ptr<const tools::Model> model) {
  auto m = std::make_unique<graft_model>();
  for (const tools::FunctionInfo& f : model->functions)
    m->functions.push_back({ports_of(f.inputs), ports_of(f.outputs), ports_of(f.states)});
  for (const onnx::MissingOperator& o : model->missing) {
    m->missing_nodes.emplace_back();
    for (const std::string& n : o.nodes) m->missing_nodes.back().push_back(n.c_str());
  }
  if (model->problem) m->problem.push_back(as_error(*model->problem));
  m->model = std::move(model);
  return m.release();
}

const tools::FunctionInfo* function_of(const graft_model* model, size_t index) {
  return model == nullptr || index >= model->functions.size() ? nullptr : &model->model->functions[index];
}

}  // namespace
}  // namespace graft::api

using namespace graft::api;  // NOLINT: this file is the boundary of that namespace
using graft::Status;

extern "C" {

graft_error* graft_model_open(const graft_env* env, const graft_open_options* options, graft_model** out) {
  return guarded([&]() -> Status {
    if (env == nullptr || options == nullptr || out == nullptr) return invalid("env, options or out is null");
    GRAFT_TRY(const graft_open_options o, read_struct(options, "graft_open_options"));
    if ((o.path == nullptr) == (o.data == nullptr)) return invalid("a path or data is needed, and one of them only");
    if (o.partitioning != nullptr) return invalid("a model is not opened from a partitioning");
    if (o.path != nullptr && *o.path == '\0') return invalid("the path is empty");
    GRAFT_TRY(NamedValues named, read_pairs(o.names, o.values, o.count));
    graft::tools::Source source;
    if (o.path != nullptr) source.path = o.path;
    source.bytes = {static_cast<const std::byte*>(o.data), o.data == nullptr ? 0 : o.bytes};
    if (o.folder != nullptr) source.folder = o.folder;
    GRAFT_TRY(auto model, graft::tools::open_model(std::move(source), env->env, std::move(named),
                                                   o.cancel == nullptr ? nullptr : &o.cancel->token));
    *out = wrap(std::move(model));
    return {};
  });
}

void graft_model_free(graft_model* model) { delete model; }

graft_error* graft_model_get(const graft_model* model, graft_model_info* out) {
  return guarded([&]() -> Status {
    if (model == nullptr) return invalid("model is null");
    const graft::tools::Model& m = *model->model;
    graft_model_info info{};
    info.format = m.package ? GRAFT_FORMAT_MLPACKAGE : GRAFT_FORMAT_ONNX;
    info.version = m.version;
    info.producer = m.producer.c_str();
    info.target = m.target.c_str();
    info.bytes = m.bytes;
    info.node_count = m.onnx == nullptr ? 0 : m.onnx->graph.nodes.size();
    info.opset_count = m.opsets.size();
    info.metadata_count = m.metadata.size();
    info.function_count = m.functions.size();
    info.missing_count = m.missing.size();
    return give(info, out);
  });
}

graft_error* graft_model_opset(const graft_model* model, size_t index, graft_opset_info* out) {
  return give_item(model == nullptr ? nullptr : &model->model->opsets, index, out,
                   [](const auto& opset, graft_opset_info& info) {
                     info.domain = opset.first.c_str();
                     info.version = opset.second;
                   });
}

graft_error* graft_model_metadata(const graft_model* model, size_t index, graft_entry* out) {
  return give_entry(model == nullptr ? nullptr : &model->model->metadata, index, out);
}

graft_error* graft_model_function(const graft_model* model, size_t index, graft_function_info* out) {
  return give_item(model == nullptr ? nullptr : &model->model->functions, index, out,
                   [](const graft::tools::FunctionInfo& f, graft_function_info& info) {
                     info.name = f.name.c_str();
                     info.input_count = f.inputs.size();
                     info.output_count = f.outputs.size();
                     info.state_count = f.states.size();
                     info.operator_count = f.operators.size();
                     info.flops = f.flops;
                   });
}

graft_error* graft_model_input(const graft_model* model, size_t function, size_t index, graft_port_info* out) {
  return give_port(function_of(model, function) == nullptr ? nullptr : &model->functions[function].inputs, index, out);
}

graft_error* graft_model_output(const graft_model* model, size_t function, size_t index, graft_port_info* out) {
  return give_port(function_of(model, function) == nullptr ? nullptr : &model->functions[function].outputs, index, out);
}

graft_error* graft_model_state(const graft_model* model, size_t function, size_t index, graft_port_info* out) {
  return give_port(function_of(model, function) == nullptr ? nullptr : &model->functions[function].states, index, out);
}

graft_error* graft_model_operator(const graft_model* model, size_t function, size_t index, graft_operator_info* out) {
  const graft::tools::FunctionInfo* f = function_of(model, function);
  return give_item(f == nullptr ? nullptr : &f->operators, index, out,
                   [](const graft::tools::OperatorCount& o, graft_operator_info& info) {
                     info.domain = o.domain.c_str();
                     info.op = o.op.c_str();
                     info.count = o.count;
                   });
}

graft_error* graft_model_missing(const graft_model* model, size_t index, graft_missing_info* out) {
  return give_item(model == nullptr ? nullptr : &model->model->missing, index, out,
                   [&](const graft::onnx::MissingOperator& o, graft_missing_info& info) {
                     info.domain = o.domain.c_str();
                     info.op = o.op.c_str();
                     info.message = o.message.c_str();
                     info.nodes = model->missing_nodes[index].data();
                     info.node_count = model->missing_nodes[index].size();
                   });
}

const graft_error* graft_model_problem(const graft_model* model) {
  return model == nullptr || model->problem.empty() ? nullptr : model->problem.data();
}

const char* graft_model_mil(const graft_model* model) {
  if (model == nullptr || !model->model->package) return nullptr;
  graft_error* failed = guarded([&]() -> Status {
    std::call_once(model->printed, [&] { model->mil = graft::tools::mil_text(*model->model); });
    return {};
  });
  graft_error_free(failed);
  return failed == nullptr ? model->mil.c_str() : nullptr;
}

}  // extern "C"
