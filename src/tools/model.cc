#include "tools/model.h"

#include <algorithm>
#include <filesystem>

#include "base/format.h"
#include "ir/text.h"
#include "onnx/open_dims.h"
#include "onnx/reader.h"
#include "onnx/visit.h"
#include "partition/cost.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;

PortInfo::Dim dim_info(const ir::Dim& d) {
  PortInfo::Dim out;
  out.value = d.known() ? d.value() : -1;
  out.text = d.to_string();
  out.range = d.range();
  return out;
}

// From the file's own words, for models of which nothing more is known.
PortInfo declared_port(const onnx::ValueInfo& v) {
  using Kind = onnx::ValueType::Kind;
  PortInfo p;
  p.name = v.name;
  switch (v.type.kind) {
    case Kind::tensor: p.type = v.type.dtype == DType::invalid ? "?" : std::string(graft::name(v.type.dtype)); break;
    case Kind::sequence: p.type = "sequence"; break;
    case Kind::optional: p.type = "optional"; break;
    case Kind::map: p.type = "map"; break;
    case Kind::sparse_tensor: p.type = "sparse tensor"; break;
    case Kind::none: p.type = "?"; break;
  }
  p.dtype = v.type.kind == Kind::tensor ? v.type.dtype : DType::invalid;
  p.has_shape = v.type.has_shape;
  for (const onnx::DimInfo& d : v.type.dims) {
    PortInfo::Dim dim;
    dim.value = d.value;
    dim.text = d.known() ? format("{}", d.value) : d.symbol.empty() ? "?" : d.symbol;
    dim.range = d.known() ? IntRange{d.value, d.value} : IntRange{0, INT64_MAX};
    p.dims.push_back(std::move(dim));
  }
  return p;
}

int64_t weight_bytes(const onnx::Graph& graph) {
  int64_t bytes = 0;
  for (const onnx::Initializer& i : graph.initializers) bytes += static_cast<int64_t>(i.value->bytes());
  for (const onnx::Node& n : graph.nodes) {
    for (const onnx::Graph* body : n.bodies()) bytes += weight_bytes(*body);
  }
  return bytes;
}

template <class Key>
std::vector<OperatorCount> most_frequent_first(const std::map<Key, int>& counts, const auto& make) {
  std::vector<OperatorCount> list;
  for (const auto& [key, count] : counts) list.push_back(make(key, count));
  std::stable_sort(list.begin(), list.end(),
                   [](const OperatorCount& a, const OperatorCount& b) { return a.count > b.count; });
  return list;
}

std::vector<OperatorCount> count_operators(const onnx::Graph& graph) {
  std::map<std::pair<std::string, std::string>, int> counts;
  onnx::visit_nodes(graph, [&](const onnx::Node& n) { ++counts[{n.domain, n.op_type}]; });
  return most_frequent_first(counts, [](const auto& key, int count) {
    return OperatorCount{key.first, key.second, count};
  });
}

void describe_onnx(Model& out) {
  const onnx::Model& model = *out.onnx;
  out.version = model.ir_version;
  out.opsets = model.opsets;
  out.producer = model.producer_name + (model.producer_version.empty() ? "" : " " + model.producer_version);
  out.metadata = model.metadata;
  out.bytes = weight_bytes(model.graph);
  FunctionInfo main{"main", {}, {}, {}, count_operators(model.graph), 0};
  for (const onnx::ValueInfo& v : model.graph.inputs) main.inputs.push_back(declared_port(v));
  for (const onnx::ValueInfo& v : model.graph.outputs) main.outputs.push_back(declared_port(v));
  out.functions = {std::move(main)};
  out.missing = onnx::missing_operators(model);
}

// What lowering found out about the interface is more than the file says: ranges, computed output sizes.
void refine_ports(const onnx::HostProgram& host, FunctionInfo& out) {
  const ir::Function& main = host.main();
  const auto refine = [](PortInfo& port, const ir::Value* v) {
    if (v != nullptr && !v->poison && v->type.is_tensor()) port = port_info(port.name, v->type);
  };
  for (size_t i = 0; i < main.inputs.size(); ++i) refine(out.inputs[i], main.inputs[i]);
  for (size_t i = 0; i < main.body.outputs.size(); ++i) refine(out.outputs[i], main.body.outputs[i]);
}

Status open_onnx(Model& out, const CancelToken* cancel) {
  const Source& from = out.source;
  const Hold hold = out.options.weights;
  GRAFT_TRY(out.onnx, from.path.empty() ? onnx::read_memory(from.bytes, from.folder, nullptr, hold, out.bounds(cancel))
                                        : onnx::read_file(from.path, hold, out.bounds(cancel)));
  GRAFT_TRY(out.onnx, onnx::up_to(out.onnx, out.options.outputs));
  describe_onnx(out);
  Result<onnx::HostProgram> host = onnx::lower_for_coreml(out.onnx, out.options.lowering, out.bounds(cancel));
  if (!host) {
    // A wrong option is the caller's mistake, and too little memory the machine's: neither says anything of the model.
    if (host.error().fault() == Fault::options || out_of_bounds(host.error().code))
      return fail(std::move(host).error());
    out.problem = std::move(host).error();
    return {};
  }
  out.host = std::make_shared<const onnx::HostProgram>(std::move(*host));
  refine_ports(*out.host, out.functions[0]);
  return {};
}

PortInfo package_port(const std::string& name, const ir::Type& type,
                      const std::unordered_set<std::string_view>& images) {
  PortInfo port = port_info(name, type);
  port.image = images.contains(name);
  return port;
}

Status open_package(Model& out, const CancelToken* cancel) {
  GRAFT_TRY(out.content, coreml::read_package(out.source.path, out.options.weights, out.bounds(cancel)));
  const coreml::Model& model = out.content;
  out.version = model.spec_version;
  out.target = ir::info(model.opset).name;
  out.metadata = model.metadata;
  out.bytes = size_of(out.source.path);
  static const coreml::FunctionInterface kUnknown;
  for (const auto& f : model.program->functions) {
    const auto& faces = model.interface.functions;
    const auto face = std::find_if(faces.begin(), faces.end(), [&](const auto& i) { return i.name == f->name; });
    const coreml::FunctionInterface& known = face == faces.end() ? kUnknown : *face;
    FunctionInfo info;
    info.name = f->name;
    const auto images_in = image_names(known.inputs), images_out = image_names(known.outputs);
    for (const ir::Value* v : f->inputs) {
      if (v->type.is_state())
        info.states.push_back(port_info(v->name, *v->type.element));
      else
        info.inputs.push_back(package_port(v->name, v->type, images_in));
    }
    for (size_t i = 0; i < f->body.outputs.size(); ++i)
      info.outputs.push_back(package_port(f->output_names[i], f->body.outputs[i]->type, images_out));
    std::map<std::string, int> counts;
    ir::visit_ops(f->body, [&](ir::Op& op) { ++counts[std::string(op.type())]; });
    info.operators = most_frequent_first(counts, [](const std::string& op, int count) {
      return OperatorCount{"", op, count};
    });
    info.flops = partition::flops(f->body, f->default_dims);
    out.functions.push_back(std::move(info));
  }
  return {};
}

}  // namespace

PortInfo port_info(const std::string& name, const ir::Type& type) {
  PortInfo p;
  p.name = name;
  p.dtype = type.is_tensor() ? type.dtype : DType::invalid;
  const ir::Type* element = &type;
  while (element->is_list()) element = element->element.get();
  if (element != &type) p.element = element->dtype;
  p.has_shape = type.is_tensor();
  if (type.is_tensor())
    p.type = graft::name(type.dtype);
  else if (type.kind == ir::Type::Kind::dictionary)
    p.type = format("dictionary of {}", graft::name(type.key->dtype));
  else
    p.type = type.to_string();
  for (const ir::Dim& d : type.dims) p.dims.push_back(dim_info(d));
  return p;
}

std::unordered_set<std::string_view> image_names(const std::vector<coreml::Feature>& features) {
  std::unordered_set<std::string_view> names;
  for (const coreml::Feature& f : features) {
    if (f.image) names.insert(f.name);
  }
  return names;
}

Result<std::shared_ptr<const Model>> open_model(Source source, std::shared_ptr<const Env> env,
                                                std::vector<session::NamedOption> named, const CancelToken* cancel) {
  auto model = std::make_shared<Model>();
  GRAFT_TRY(model->options, session::parse_options(named));
  const CancelToken token(cancel, model->options.time_limit);
  model->named = std::move(named);
  model->source = std::move(source);
  model->env = std::move(env);
  model->memory = session::memory_limit_of(model->options);
  if (model->env->progress) model->env->progress("reading the model", -1);
  model->package = !model->source.path.empty() && coreml::is_model_path(model->source.path);
  if (Status s = model->package ? open_package(*model, &token) : open_onnx(*model, &token); !s)
    return fail(std::move(s).error());
  return model;
}

std::string mil_text(const Model& package) {
  return ir::to_text(*package.content.program, {package.content.opset, ir::kReadableElements});
}

int64_t size_of(const std::string& path) {
  std::error_code ec;
  if (fs::is_regular_file(path, ec)) {
    const auto size = fs::file_size(path, ec);
    return ec ? 0 : static_cast<int64_t>(size);
  }
  int64_t bytes = 0;
  for (fs::recursive_directory_iterator at(path, ec), end; !ec && at != end; at.increment(ec)) {
    std::error_code file_error;
    if (at->is_regular_file(file_error)) bytes += static_cast<int64_t>(at->file_size(file_error));
  }
  return bytes;
}

}  // namespace graft::tools
