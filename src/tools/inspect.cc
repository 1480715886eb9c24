#include "tools/inspect.h"

#include <algorithm>
#include <filesystem>

#include "base/format.h"
#include "ir/text.h"
#include "onnx/reader.h"
#include "onnx/visit.h"

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

int count_ops(const ir::Block& block) {
  int count = 0;
  ir::visit_ops(block, [&](ir::Op&) { ++count; });
  return count;
}

void describe_model(const onnx::Model& model, Inspection& out) {
  out.path = model.path;
  out.ir_version = model.ir_version;
  out.opsets = model.opsets;
  out.producer = model.producer_name + (model.producer_version.empty() ? "" : " " + model.producer_version);
  out.metadata = model.metadata;
  out.weight_bytes = weight_bytes(model.graph);
  out.total = out.host = static_cast<int>(model.graph.nodes.size());
  for (const onnx::ValueInfo& v : model.graph.inputs) out.inputs.push_back(declared_port(v));
  for (const onnx::ValueInfo& v : model.graph.outputs) out.outputs.push_back(declared_port(v));
  out.operators = count_operators(model.graph);
  out.missing = onnx::missing_operators(model);
}

// What lowering found out about the interface is more than the file says: ranges, computed output sizes.
void refine_ports(const onnx::HostProgram& host, Inspection& out) {
  const ir::Function& main = host.main();
  const auto refine = [](PortInfo& port, const ir::Value* v) {
    if (v != nullptr && !v->poison && v->type.is_tensor()) port = port_info(port.name, v->type);
  };
  for (size_t i = 0; i < main.inputs.size(); ++i) refine(out.inputs[i], main.inputs[i]);
  for (size_t i = 0; i < main.body.outputs.size(); ++i) refine(out.outputs[i], main.body.outputs[i]);
}

void describe_partition(const partition::Partition& p, Inspection& out) {
  out.claimed = p.count(partition::Where::coreml);
  out.folded = p.count(partition::Where::folded);
  out.host = p.count(partition::Where::host);
  out.flops_total = p.flops_total;
  out.flops_claimed = p.flops_claimed;
  out.whole = p.whole();
  if (p.target) out.target = ir::info(*p.target).name;
  for (const partition::Segment& s : p.segments) {
    if (!s.coreml) continue;
    const ir::Function& f = *s.program->main();
    PieceInfo piece;
    piece.nodes = static_cast<int>(s.nodes.size());
    piece.operators = count_ops(f.body);
    piece.flops = partition::flops(f.body, f.default_dims);
    piece.inputs = s.inputs;
    piece.outputs = s.outputs;
    out.pieces.push_back(std::move(piece));
  }
  out.refusals = partition::refusals(p.nodes);
  out.findings = p.findings;
}

Result<Partitioned> partition_model(std::shared_ptr<const onnx::Model> model, const session::Options& options,
                                    const Bounds& bounds) {
  Partitioned out;
  GRAFT_TRY(onnx::HostProgram host, onnx::lower_for_host(model, options.lowering, bounds));
  out.model = std::move(model);
  out.host = std::make_shared<const onnx::HostProgram>(std::move(host));
  GRAFT_TRY(out.partition, partition::partition(out.host, options.partition, bounds));
  partition::find_remedies(*out.host, options.partition, bounds, out.partition.nodes);
  return out;
}

Result<std::string> pass_named(const std::string& name) {
  std::vector<std::string_view> legal{"all"};
  for (const passes::Step& step : passes::coreml_steps()) legal.push_back(step.name);
  if (name.empty() || std::find(legal.begin(), legal.end(), name) != legal.end()) return name;
  return fail(Code::invalid_option, format("there is no pass '{}'; there are {}", name, join(legal, ", ")));
}

void add_texts(const partition::Partition& p, const InspectOptions& what, Inspection& out) {
  out.programs_only = what.mil || !what.dump_after.empty();
  int piece = 0;
  for (const partition::Segment& s : p.segments) {
    if (!s.coreml) continue;
    for (const partition::Dump& d : s.dumps) out.texts.push_back({piece, d.pass, d.text});
    if (what.mil)
      out.texts.push_back({piece, "", ir::to_text(*s.program->main(), {s.target.opset(), ir::kReadableElements})});
    ++piece;
  }
}

}  // namespace

PortInfo port_info(const std::string& name, const ir::Type& type) {
  PortInfo p;
  p.name = name;
  p.has_shape = type.is_tensor();
  p.type = type.is_tensor() ? std::string(graft::name(type.dtype)) : type.to_string();
  for (const ir::Dim& d : type.dims) p.dims.push_back(dim_info(d));
  return p;
}

Result<Examined> examine(const std::string& path, const Env& env, const session::Options& options) {
  if (env.progress) env.progress("reading the model", -1);
  const Bounds bounds{nullptr, session::memory_limit_of(options)};
  GRAFT_TRY(std::shared_ptr<const onnx::Model> model, onnx::read_file(path, Hold::mapped, bounds));
  Examined examined;
  Inspection& out = examined.verdict;
  describe_model(*model, out);
  out.path = path;
  out.precision = options.partition.precision == partition::Precision::float16 ? "float16" : "float32";
  if (env.progress) env.progress("trying every node against Core ML", -1);
  Result<Partitioned> p = partition_model(model, options, bounds);
  if (!p) {
    // A wrong option is the caller's mistake, and too little memory the machine's: neither is the model's verdict.
    if (p.error().fault() == Fault::options || out_of_bounds(p.error().code)) return fail(std::move(p).error());
    out.unusable = std::move(p).error();
    out.refusals.push_back(*out.unusable);
    return examined;
  }
  refine_ports(*p->host, out);
  describe_partition(p->partition, out);
  for (const std::string& name : model->overridable) {
    Diag d;
    d.code = Code::overridable_initializer;
    d.tensor = name;
    d.message = "an initializer that is also a graph input: its value is baked in";
    out.findings.push_back(std::move(d));
  }
  examined.parts = std::move(*p);
  return examined;
}

Result<Inspection> inspect(const std::string& path, const Env& env, const session::Options& options,
                           const InspectOptions& what) {
  session::Options own = options;
  GRAFT_TRY(own.partition.dump_after, pass_named(what.dump_after));
  GRAFT_TRY(Examined examined, examine(path, env, own));
  if (examined.parts) add_texts(examined.parts->partition, what, examined.verdict);
  return std::move(examined.verdict);
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

Result<PackageInspection> inspect_package(const std::string& path, bool mil) {
  GRAFT_TRY(coreml::Model model, coreml::read_package(path));
  PackageInspection out;
  out.path = path;
  out.spec_version = model.spec_version;
  out.opset = ir::info(model.opset).name;
  out.metadata = model.metadata;
  out.bytes = size_of(path);
  for (const auto& f : model.program->functions) {
    PackageInspection::Function face;
    face.name = f->name;
    const coreml::FunctionInterface* known = nullptr;
    for (const coreml::FunctionInterface& i : model.interface.functions) {
      if (i.name == f->name) known = &i;
    }
    const auto onnx_names = [](const std::vector<coreml::Feature>& features) {
      std::unordered_map<std::string_view, std::string_view> names;
      for (const coreml::Feature& x : features) names.emplace(x.file_name, x.name);
      return [names](const std::string& name) {
        const auto at = names.find(name);
        return at == names.end() ? name : std::string(at->second);
      };
    };
    static const std::vector<coreml::Feature> kNone;
    const auto input = onnx_names(known != nullptr ? known->inputs : kNone);
    for (const ir::Value* v : f->inputs) face.inputs.push_back(port_info(input(v->name), v->type));
    const auto output = onnx_names(known != nullptr ? known->outputs : kNone);
    for (size_t i = 0; i < f->body.outputs.size(); ++i)
      face.outputs.push_back(port_info(output(f->output_names[i]), f->body.outputs[i]->type));
    std::map<std::string, int> counts;
    ir::visit_ops(f->body, [&](ir::Op& op) { ++counts[std::string(op.type())]; });
    face.operators = most_frequent_first(counts, [](const std::string& op, int count) {
      return OperatorCount{"", op, count};
    });
    face.flops = partition::flops(f->body, f->default_dims);
    out.functions.push_back(std::move(face));
  }
  if (mil) out.mil = ir::to_text(*model.program, {model.opset, ir::kReadableElements});
  out.interface = std::move(model.interface);
  return out;
}

}  // namespace graft::tools
