// The C ABI: partitions and packages.
#include "api/handles.h"
#include "base/format.h"

namespace graft::api {
namespace {

Ports ports_of(const std::vector<ir::BoundaryPort>& borders) {
  Ports list;
  for (const ir::BoundaryPort& b : borders) list.emplace_back(tools::port_info(b.name, b.onnx_type), b.type.dtype);
  return list;
}

graft_partitioning* wrap(std::shared_ptr<const tools::Partitioned> parts) {
  auto p = std::make_unique<graft_partitioning>();
  for (const tools::PartitionInfo& partition : parts->partitions)
    p->partitions.push_back({ports_of(partition.subgraph->inputs), ports_of(partition.subgraph->outputs)});
  for (const partition::NodePlan& n : parts->partitioning->nodes)
    p->reasons.push_back(n.refusal ? render(*n.refusal) : std::string());
  using partition::Where;
  p->claimed = parts->partitioning->count(Where::coreml);
  p->folded = parts->partitioning->count(Where::folded);
  p->host = parts->partitioning->count(Where::host);
  p->findings = as_errors(parts->findings);
  p->parts = std::move(parts);
  return p.release();
}

const tools::PartitionInfo* partition_of(const graft_partitioning* partitioning, size_t index) {
  return partitioning == nullptr || index >= partitioning->partitions.size() ? nullptr
                                                                             : &partitioning->parts->partitions[index];
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
using graft::format;
using graft::Status;

extern "C" {

// ---- partitions ----

graft_error* graft_partitioning_create(const graft_model* model, const graft_partitioning_options* options,
                                       graft_partitioning** out) {
  return guarded([&]() -> Status {
    if (model == nullptr || out == nullptr) return invalid("model or out is null");
    graft_partitioning_options o{};
    if (options != nullptr) {
      GRAFT_TRY(o, read_struct(options, "graft_partitioning_options"));
    }
    GRAFT_TRY(const NamedValues named, read_pairs(o.names, o.values, o.count));
    GRAFT_TRY(auto parts,
              graft::tools::partition_model(model->model, named, o.dump_after == nullptr ? "" : o.dump_after,
                                            o.cancel == nullptr ? nullptr : &o.cancel->token));
    *out = wrap(std::move(parts));
    return {};
  });
}

void graft_partitioning_free(graft_partitioning* partitioning) { delete partitioning; }

graft_error* graft_partitioning_get(const graft_partitioning* partitioning, graft_partitioning_info* out) {
  return guarded([&]() -> Status {
    if (partitioning == nullptr) return invalid("partitioning is null");
    const graft::partition::Partitioning& p = *partitioning->parts->partitioning;
    graft_partitioning_info info{};
    info.target = p.target ? graft::ir::info(*p.target).name.data() : "";
    info.precision = partitioning->parts->options.partitioning.precision == graft::partition::Precision::float16
                         ? "float16"
                         : "float32";
    info.whole = p.whole() ? 1 : 0;
    info.node_count = p.nodes.size();
    info.claimed = partitioning->claimed;
    info.folded = partitioning->folded;
    info.host = partitioning->host;
    info.flops = p.flops_total;
    info.flops_claimed = p.flops_claimed;
    info.partition_count = partitioning->partitions.size();
    info.finding_count = partitioning->findings.size();
    return give(info, out);
  });
}

graft_error* graft_partitioning_node(const graft_partitioning* partitioning, size_t index, graft_node_info* out) {
  return give_item(partitioning == nullptr ? nullptr : &partitioning->parts->partitioning->nodes, index, out,
                   [&](const graft::partition::NodePlan& node, graft_node_info& info) {
                     fill_node(node, partitioning->reasons[index].c_str(), info);
                   });
}

const graft_error* graft_partitioning_refusal(const graft_partitioning* partitioning, size_t node) {
  if (partitioning == nullptr || node >= partitioning->reasons.size()) return nullptr;
  const graft::tools::Partitioned& parts = *partitioning->parts;
  if (!parts.partitioning->nodes[node].refusal) return nullptr;
  graft_error* failed = guarded([&]() -> Status {
    std::call_once(partitioning->explained, [&] {
      std::vector<std::unique_ptr<const graft_error>> all(partitioning->reasons.size());
      for (size_t i = 0; i < all.size(); ++i) {
        if (const graft::Diag* d = parts.refusal(i)) all[i] = std::make_unique<const graft_error>(as_error(*d));
      }
      partitioning->refusals = std::move(all);
    });
    return {};
  });
  graft_error_free(failed);
  return failed == nullptr ? partitioning->refusals[node].get() : out_of_memory_error();
}

const graft_error* graft_partitioning_finding(const graft_partitioning* partitioning, size_t index) {
  return partitioning == nullptr || index >= partitioning->findings.size() ? nullptr : &partitioning->findings[index];
}

graft_error* graft_partitioning_partition(const graft_partitioning* partitioning, size_t index,
                                          graft_partition_info* out) {
  return give_item(partitioning == nullptr ? nullptr : &partitioning->parts->partitions, index, out,
                   [](const graft::tools::PartitionInfo& p, graft_partition_info& info) {
                     info.nodes = p.nodes;
                     info.operators = p.operators;
                     info.flops = p.flops;
                     info.target = p.subgraph->target.name().data();
                     info.input_count = p.subgraph->inputs.size();
                     info.output_count = p.subgraph->outputs.size();
                     info.dump_count = p.subgraph->dumps.size();
                   });
}

graft_error* graft_partitioning_input(const graft_partitioning* partitioning, size_t partition, size_t index,
                                      graft_port_info* out) {
  return give_port(
      partition_of(partitioning, partition) == nullptr ? nullptr : &partitioning->partitions[partition].inputs, index,
      out);
}

graft_error* graft_partitioning_output(const graft_partitioning* partitioning, size_t partition, size_t index,
                                       graft_port_info* out) {
  return give_port(
      partition_of(partitioning, partition) == nullptr ? nullptr : &partitioning->partitions[partition].outputs, index,
      out);
}

const char* graft_partitioning_mil(const graft_partitioning* partitioning, size_t partition) {
  if (partition_of(partitioning, partition) == nullptr) return nullptr;
  graft_error* failed = guarded([&]() -> Status {
    std::call_once(partitioning->printed, [&] {
      std::vector<std::string> all;
      for (const graft::tools::PartitionInfo& p : partitioning->parts->partitions)
        all.push_back(graft::tools::mil_text(p));
      partitioning->mil = std::move(all);
    });
    return {};
  });
  graft_error_free(failed);
  return failed == nullptr ? partitioning->mil[partition].c_str() : nullptr;
}

graft_error* graft_partitioning_dump(const graft_partitioning* partitioning, size_t partition, size_t index,
                                     graft_dump_info* out) {
  const graft::tools::PartitionInfo* p = partition_of(partitioning, partition);
  return give_item(p == nullptr ? nullptr : &p->subgraph->dumps, index, out,
                   [](const graft::partition::Dump& d, graft_dump_info& info) {
                     info.pass = d.pass.c_str();
                     info.text = d.text.c_str();
                   });
}

// ---- packages ----

graft_error* graft_partitioning_write(const graft_partitioning* partitioning, size_t partition, const char* path) {
  return guarded([&]() -> Status {
    const graft::tools::PartitionInfo* p = partition_of(partitioning, partition);
    if (p == nullptr) return invalid("partitioning is null, or has no such partition");
    if (path == nullptr || *path == '\0') return invalid("the path is null or empty");
    return graft::tools::write_partition(*partitioning->parts, *p, path);
  });
}

graft_error* graft_compile_check(const char* output, const graft_compile_options* options) {
  return guarded([&]() -> Status {
    if (output == nullptr || *output == '\0') return invalid("the output is null or empty");
    GRAFT_TRY(const graft::tools::CompileOptions o, compile_options(options));
    return graft::tools::check_output(output, o);
  });
}

graft_error* graft_compile(const graft_partitioning* partitioning, const char* output,
                           const graft_compile_options* options, graft_compilation** out) {
  return guarded([&]() -> Status {
    if (partitioning == nullptr || out == nullptr) return invalid("partitioning or out is null");
    if (output == nullptr || *output == '\0') return invalid("the output is null or empty");
    GRAFT_TRY(const graft::tools::CompileOptions o, compile_options(options));
    GRAFT_TRY(auto packages, graft::tools::compile(*partitioning->parts, output, o));
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
                     info.partition = static_cast<size_t>(w.partition);
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
