#include "tools/partitioned.h"

#include <algorithm>

#include "base/format.h"
#include "ir/text.h"
#include "onnx/open_dims.h"

namespace graft::tools {
namespace {

int count_ops(const ir::Block& block) {
  int count = 0;
  ir::visit_ops(block, [&](ir::Op&) { ++count; });
  return count;
}

Status check_pass(const std::string& name) {
  std::vector<std::string_view> legal{"all"};
  for (const passes::PassRow& step : passes::coreml_passes()) legal.push_back(step.name);
  if (name.empty() || std::find(legal.begin(), legal.end(), name) != legal.end()) return {};
  return fail(Code::invalid_option, format("there is no pass '{}'; there are {}", name, join(legal, ", ")));
}

Status check_later_options(std::span<const session::NamedOption> named) {
  GRAFT_TRY(const session::Options later, session::parse_options(named));
  if (later.lowering.shapes.empty() && !later.memory_limit && later.weights == session::Options().weights) return {};
  return fail(Code::invalid_option, "options shapes, weights and memory_limit are given when the model is opened");
}

// The values at which a model that Core ML does not take as a whole could end for the rest to be taken: tried.
std::optional<std::string> without_the_end(const Partitioned& p) {
  constexpr size_t kMost = 8;  // that a command line is fit for
  const std::vector<std::string> ends = partition::ends_before_host(*p.partitioning);
  const auto sayable = [](const std::string& name) { return name.find(',') == name.npos; };
  if (ends.empty() || ends.size() > kMost || !std::all_of(ends.begin(), ends.end(), sayable)) return std::nullopt;
  const CancelToken token(nullptr, p.options.time_limit);
  const Bounds bounds = p.model->bounds(&token);
  auto cut = onnx::up_to(p.model->onnx, ends);
  if (!cut) return std::nullopt;
  Result<onnx::HostProgram> host = onnx::lower_for_coreml(std::move(*cut), p.options.lowering, bounds);
  if (!host) return std::nullopt;
  const auto made =
      partition::partition(std::make_shared<const onnx::HostProgram>(std::move(*host)), p.options.partitioning, bounds);
  if (!made || !made->whole()) return std::nullopt;
  return partition::shell_word(format("{}", join(ends, ",")));
}

}  // namespace

const Diag* Partitioned::refusal(size_t node) const {
  std::call_once(asked_, [&] {
    std::vector<partition::NodePlan> nodes = partitioning->nodes;
    const CancelToken token(nullptr, options.time_limit);
    partition::find_remedies(*model->host, options.partitioning, model->bounds(&token), nodes);
    explained_ = std::move(nodes);
  });
  return explained_[node].refusal ? &*explained_[node].refusal : nullptr;
}

std::vector<Diag> Partitioned::refusals() const {
  const auto any = std::find_if(partitioning->nodes.begin(), partitioning->nodes.end(),
                                [](const partition::NodePlan& n) { return n.refusal.has_value(); });
  if (any == partitioning->nodes.end()) return {};
  refusal(static_cast<size_t>(any - partitioning->nodes.begin()));  // which asks for all
  return partition::refusals(explained_);
}

Result<std::shared_ptr<const Partitioned>> partition_model(std::shared_ptr<const Model> model,
                                                           std::span<const session::NamedOption> named,
                                                           const std::string& dump_after, const CancelToken* cancel,
                                                           std::span<const std::string> keep_fp32) {
  GRAFT_CHECK(check_later_options(named));
  GRAFT_CHECK(check_pass(dump_after));
  if (model->package)
    return fail_in(Code::invalid_argument, model->source.path, "is a Core ML package; give an ONNX model");
  if (model->problem) return fail(*model->problem);
  auto out = std::make_shared<Partitioned>();
  out->named = model->named;
  out->named.insert(out->named.end(), named.begin(), named.end());
  GRAFT_TRY(out->options, session::parse_options(out->named));
  out->options.partitioning.dump_after = dump_after;
  std::vector<std::string>& kept = out->options.partitioning.keep_fp32;
  kept.insert(kept.end(), keep_fp32.begin(), keep_fp32.end());
  if (model->env->progress) model->env->progress("trying every node against Core ML", -1);
  const CancelToken token(cancel, out->options.time_limit);
  GRAFT_TRY(partition::Partitioning p,
            partition::partition(model->host, out->options.partitioning, model->bounds(&token)));
  out->partitioning = std::make_shared<const partition::Partitioning>(std::move(p));
  out->findings = out->partitioning->findings;
  for (const std::string& name : model->onnx->overridable) {
    Diag d;
    d.code = Code::overridable_initializer;
    d.tensor = name;
    d.message = "an initializer that is also a graph input: its value is baked in";
    out->findings.push_back(std::move(d));
  }
  for (const partition::Subgraph& s : out->partitioning->subgraphs) {
    if (!s.coreml) continue;
    const ir::Function& f = *s.program->main();
    out->partitions.push_back(
        {&s, static_cast<int>(s.nodes.size()), count_ops(f.body), partition::flops(f.body, f.default_dims)});
  }
  out->model = std::move(model);
  return out;
}

Result<std::shared_ptr<const session::Session>> open_session(const Partitioned& p, std::shared_ptr<const Env> env,
                                                             std::span<const session::NamedOption> named,
                                                             const CancelToken* cancel) {
  std::vector<session::NamedOption> all{{"device", "coreml"}};
  all.insert(all.end(), p.named.begin(), p.named.end());
  all.insert(all.end(), named.begin(), named.end());
  GRAFT_TRY(const session::Options options, session::parse_options(all));
  return session::Session::open(p.partitioning, std::move(env), options, cancel);
}

std::string mil_text(const PartitionInfo& partition) {
  return ir::to_text(*partition.subgraph->program->main(), {partition.subgraph->target.opset(), ir::kReadableElements});
}

Diag not_delegated(const Partitioned& p, bool whole) {
  const int host = p.partitioning->count(partition::Where::host);
  Diag d;
  d.code = Code::not_delegated;
  d.file = p.model->source.path;
  if (host == 0)
    d.message = p.partitions.empty() ? "nothing is left to compute in Core ML: every output is a constant or an input"
                                     : "the graph does not fit one Core ML program, so nothing was written";
  else if (whole)
    d.message = format("{} of {} nodes cannot be part of the Core ML program, so nothing was written", host,
                       p.partitioning->nodes.size());
  else
    d.message = "no node can be part of a Core ML program, so there is nothing to verify";
  if (!p.partitions.empty()) d.remedies.emplace_back("--allow-partial -o DIR (a package for each partition)");
  if (const auto outputs = whole && host > 0 ? without_the_end(p) : std::nullopt)
    d.remedies.push_back("--outputs " + *outputs);
  if (!p.model->missing.empty()) d.inner.push_back(onnx::describe_missing(p.model->missing));
  for (Diag& reason : p.refusals()) {
    reason.file.clear();
    d.inner.push_back(std::move(reason));
  }
  return d;
}

}  // namespace graft::tools
