// The C ABI: models, partitions and packages.
#include "api/handles.h"
#include "base/format.h"

using graft::format;
using graft::Status;
using graft::api::as_error;
using graft::api::as_errors;
using graft::api::give;
using graft::api::give_entry;
using graft::api::give_item;
using graft::api::give_port;
using graft::api::guarded;
using graft::api::invalid;
using graft::api::read_pairs;
using graft::api::read_struct;

namespace graft::api {
namespace {

Ports ports_of(const std::vector<tools::PortInfo>& ports) {
  Ports list;
  for (const tools::PortInfo& p : ports) list.emplace_back(p);
  return list;
}
Ports ports_of(const std::vector<ir::BoundaryPort>& borders) {
  Ports list;
  for (const ir::BoundaryPort& b : borders) list.emplace_back(tools::port_info(b.name, b.onnx_type), b.type.dtype);
  return list;
}

graft_model* wrap(std::shared_ptr<const tools::Model> model) {
  auto m = std::make_unique<graft_model>();
  for (const tools::FunctionInfo& f : model->functions)
    m->functions.push_back({ports_of(f.inputs), ports_of(f.outputs)});
  for (const onnx::MissingOperator& o : model->missing) {
    m->missing_nodes.emplace_back();
    for (const std::string& n : o.nodes) m->missing_nodes.back().push_back(n.c_str());
  }
  if (model->problem) m->problem.push_back(as_error(*model->problem));
  m->model = std::move(model);
  return m.release();
}

graft_partition* wrap(std::shared_ptr<const tools::Partitioned> parts) {
  auto p = std::make_unique<graft_partition>();
  for (const tools::PieceInfo& piece : parts->pieces)
    p->pieces.push_back({ports_of(piece.segment->inputs), ports_of(piece.segment->outputs)});
  for (const partition::NodePlan& n : parts->partition->nodes)
    p->reasons.push_back(n.refusal ? render(*n.refusal) : std::string());
  p->findings = as_errors(parts->findings);
  p->parts = std::move(parts);
  return p.release();
}

const tools::FunctionInfo* function_of(const graft_model* model, size_t index) {
  return model == nullptr || index >= model->functions.size() ? nullptr : &model->model->functions[index];
}
const tools::PieceInfo* piece_of(const graft_partition* partition, size_t index) {
  return partition == nullptr || index >= partition->pieces.size() ? nullptr : &partition->parts->pieces[index];
}

Result<tools::CompileOptions> compile_options(const graft_compile_options* options) {
  tools::CompileOptions to;
  if (options == nullptr) return to;
  GRAFT_TRY(const graft_compile_options o, read_struct(options, "graft_compile_options"));
  to.allow_partial = o.allow_partial != 0;
  to.overwrite = o.overwrite != 0;
  if (o.report == nullptr) return to;
  to.report = [o](const std::vector<tools::WrittenPackage>& packages) {
    const graft_compilation so_far{packages};
    const char* text = o.report(o.report_user, &so_far);
    return std::string(text == nullptr ? "" : text);
  };
  return to;
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

}  // namespace
}  // namespace graft::api

using namespace graft::api;  // NOLINT: this file is the boundary of that namespace

extern "C" {

// ---- models ----

graft_error* graft_model_open(const graft_env* env, const graft_open_options* options, graft_model** out) {
  return guarded([&]() -> Status {
    if (env == nullptr || options == nullptr || out == nullptr) return invalid("env, options or out is null");
    GRAFT_TRY(const graft_open_options o, read_struct(options, "graft_open_options"));
    if ((o.path == nullptr) == (o.data == nullptr)) return invalid("a path or data is needed, and one of them only");
    if (o.partition != nullptr) return invalid("a model is not opened from a partition");
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

// ---- partitions ----

graft_error* graft_partition_create(const graft_model* model, const graft_partition_options* options,
                                    graft_partition** out) {
  return guarded([&]() -> Status {
    if (model == nullptr || out == nullptr) return invalid("model or out is null");
    graft_partition_options o{};
    if (options != nullptr) {
      GRAFT_TRY(o, read_struct(options, "graft_partition_options"));
    }
    GRAFT_TRY(const NamedValues named, read_pairs(o.names, o.values, o.count));
    GRAFT_TRY(auto parts,
              graft::tools::partition_model(model->model, named, o.dump_after == nullptr ? "" : o.dump_after,
                                            o.cancel == nullptr ? nullptr : &o.cancel->token));
    *out = wrap(std::move(parts));
    return {};
  });
}

void graft_partition_free(graft_partition* partition) { delete partition; }

graft_error* graft_partition_get(const graft_partition* partition, graft_partition_info* out) {
  return guarded([&]() -> Status {
    if (partition == nullptr) return invalid("partition is null");
    const graft::partition::Partition& p = *partition->parts->partition;
    using graft::partition::Where;
    graft_partition_info info{};
    info.target = p.target ? graft::ir::info(*p.target).name.data() : "";
    info.precision =
        partition->parts->options.partition.precision == graft::partition::Precision::float16 ? "float16" : "float32";
    info.whole = p.whole() ? 1 : 0;
    info.node_count = p.nodes.size();
    info.claimed = p.count(Where::coreml);
    info.folded = p.count(Where::folded);
    info.host = p.count(Where::host);
    info.flops = p.flops_total;
    info.flops_claimed = p.flops_claimed;
    info.piece_count = partition->pieces.size();
    info.finding_count = partition->findings.size();
    return give(info, out);
  });
}

graft_error* graft_partition_node(const graft_partition* partition, size_t index, graft_node_info* out) {
  return give_item(partition == nullptr ? nullptr : &partition->parts->partition->nodes, index, out,
                   [&](const graft::partition::NodePlan& node, graft_node_info& info) {
                     fill_node(node, partition->reasons[index].c_str(), info);
                   });
}

const graft_error* graft_partition_refusal(const graft_partition* partition, size_t node) {
  if (partition == nullptr || node >= partition->reasons.size()) return nullptr;
  const graft::tools::Partitioned& parts = *partition->parts;
  if (!parts.partition->nodes[node].refusal) return nullptr;
  graft_error* failed = guarded([&]() -> Status {
    std::call_once(partition->explained, [&] {
      std::vector<std::unique_ptr<const graft_error>> all(partition->reasons.size());
      for (size_t i = 0; i < all.size(); ++i) {
        if (const graft::Diag* d = parts.refusal(i)) all[i] = std::make_unique<const graft_error>(as_error(*d));
      }
      partition->refusals = std::move(all);
    });
    return {};
  });
  graft_error_free(failed);
  return failed == nullptr ? partition->refusals[node].get() : out_of_memory_error();
}

const graft_error* graft_partition_finding(const graft_partition* partition, size_t index) {
  return partition == nullptr || index >= partition->findings.size() ? nullptr : &partition->findings[index];
}

graft_error* graft_partition_piece(const graft_partition* partition, size_t index, graft_piece_info* out) {
  return give_item(partition == nullptr ? nullptr : &partition->parts->pieces, index, out,
                   [](const graft::tools::PieceInfo& p, graft_piece_info& info) {
                     info.nodes = p.nodes;
                     info.operators = p.operators;
                     info.flops = p.flops;
                     info.target = p.segment->target.name().data();
                     info.input_count = p.segment->inputs.size();
                     info.output_count = p.segment->outputs.size();
                     info.dump_count = p.segment->dumps.size();
                   });
}

graft_error* graft_partition_input(const graft_partition* partition, size_t piece, size_t index, graft_port_info* out) {
  return give_port(piece_of(partition, piece) == nullptr ? nullptr : &partition->pieces[piece].inputs, index, out);
}

graft_error* graft_partition_output(const graft_partition* partition, size_t piece, size_t index,
                                    graft_port_info* out) {
  return give_port(piece_of(partition, piece) == nullptr ? nullptr : &partition->pieces[piece].outputs, index, out);
}

const char* graft_partition_mil(const graft_partition* partition, size_t piece) {
  if (piece_of(partition, piece) == nullptr) return nullptr;
  graft_error* failed = guarded([&]() -> Status {
    std::call_once(partition->printed, [&] {
      std::vector<std::string> all;
      for (const graft::tools::PieceInfo& p : partition->parts->pieces) all.push_back(graft::tools::mil_text(p));
      partition->mil = std::move(all);
    });
    return {};
  });
  graft_error_free(failed);
  return failed == nullptr ? partition->mil[piece].c_str() : nullptr;
}

graft_error* graft_partition_dump(const graft_partition* partition, size_t piece, size_t index, graft_dump_info* out) {
  const graft::tools::PieceInfo* p = piece_of(partition, piece);
  return give_item(p == nullptr ? nullptr : &p->segment->dumps, index, out,
                   [](const graft::partition::Dump& d, graft_dump_info& info) {
                     info.pass = d.pass.c_str();
                     info.text = d.text.c_str();
                   });
}

// ---- packages ----

graft_error* graft_partition_write(const graft_partition* partition, size_t piece, const char* path) {
  return guarded([&]() -> Status {
    const graft::tools::PieceInfo* p = piece_of(partition, piece);
    if (p == nullptr) return invalid("partition is null, or has no such piece");
    if (path == nullptr || *path == '\0') return invalid("the path is null or empty");
    return graft::tools::write_piece(*partition->parts, *p, path);
  });
}

graft_error* graft_compile_check(const char* output, const graft_compile_options* options) {
  return guarded([&]() -> Status {
    if (output == nullptr || *output == '\0') return invalid("the output is null or empty");
    GRAFT_TRY(const graft::tools::CompileOptions o, compile_options(options));
    return graft::tools::check_output(output, o);
  });
}

graft_error* graft_compile(const graft_partition* partition, const char* output, const graft_compile_options* options,
                           graft_compilation** out) {
  return guarded([&]() -> Status {
    if (partition == nullptr || out == nullptr) return invalid("partition or out is null");
    if (output == nullptr || *output == '\0') return invalid("the output is null or empty");
    GRAFT_TRY(const graft::tools::CompileOptions o, compile_options(options));
    GRAFT_TRY(auto packages, graft::tools::compile(*partition->parts, output, o));
    *out = new graft_compilation{std::move(packages)};
    return {};
  });
}

void graft_compilation_free(graft_compilation* compilation) { delete compilation; }

size_t graft_compilation_package_count(const graft_compilation* compilation) {
  return compilation == nullptr ? 0 : compilation->packages.size();
}

graft_error* graft_compilation_package(const graft_compilation* compilation, size_t index, graft_package_info* out) {
  return give_item(compilation == nullptr ? nullptr : &compilation->packages, index, out,
                   [](const graft::tools::WrittenPackage& w, graft_package_info& info) {
                     info.path = w.path.c_str();
                     info.target = w.target.c_str();
                     info.bytes = w.bytes;
                     info.piece = static_cast<size_t>(w.piece);
                   });
}

graft_error* graft_write_files(const char* folder, const graft_file* files, size_t count) {
  return guarded([&]() -> Status {
    if (folder == nullptr || *folder == '\0') return invalid("the folder is null or empty");
    if (count > 0 && files == nullptr) return invalid("files is null");
    std::vector<graft::tools::NewFile> list;
    for (size_t i = 0; i < count; ++i) {
      GRAFT_TRY(const graft_file f, read_struct(files + i, "a file"));
      if (f.name == nullptr || !is_file_name(f.name)) return invalid(format("file {} has no name of a file", i));
      if ((f.head == nullptr && f.head_bytes > 0) || (f.data == nullptr && f.bytes > 0))
        return invalid(format("'{}': head or data is null", f.name));
      list.push_back(
          {f.name, {static_cast<const char*>(f.head), f.head_bytes}, {static_cast<const std::byte*>(f.data), f.bytes}});
    }
    return graft::tools::write_files(folder, list);
  });
}

}  // extern "C"
