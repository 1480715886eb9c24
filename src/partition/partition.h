// Which nodes run in Core ML, in how few partitions, and why the others do not. Claims depend on the model, the options
// and Graft's version only, never on the machine.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/artefact.h"
#include "onnx/lower.h"
#include "partition/cost.h"
#include "passes/pipeline.h"

namespace graft::partition {

using passes::Precision;

struct Options {
  std::optional<ir::Opset> target;  // unset: the lowest that the claimed nodes need
  Precision precision = Precision::float16;
  // What stays in fp32 beside float16: names of ONNX nodes, of tensors (the node that makes one), or operator types.
  std::vector<std::string> keep_fp32;
  // false: everything stays on the host (device cpu), which runs host->program: the subgraph gets no program of its own
  bool claim = true;
  bool drop_unprofitable = true;  // partitions that the cost model says do not pay
  std::string dump_after;         // a pass's name, or "all": each partition's program after it is kept as text
  CostModel cost;
  ir::Opset newest() const { return target.value_or(ir::Target::newest().opset()); }  // that anything may need
};

enum class Where : uint8_t {
  coreml,  // in a Core ML partition
  folded,  // computed while compiling, or not needed by any output
  host,    // on the host's engine
};
std::string_view name(Where where);

struct NodePlan {
  const onnx::Node* node = nullptr;
  Where where = Where::host;
  int partition = -1;           // coreml: index of the partition
  std::optional<Diag> refusal;  // host: why
  // A refusal's place among all of them, what cuts off most first and what only does not pay last; and what it cuts
  // off: itself, and what runs before it or after it, whichever is less.
  int obstacle = -1;
  int cut_nodes = 0;
  double cut_flops = 0;
};

// A program after a pass, in MIL text.
struct Dump {
  std::string pass, text;
};

// A part of the model that runs in one go: a Core ML partition or a run of host nodes. Its program has one function,
// "main"; a host's has not been through the passes.
struct Subgraph : backend::Artefact {
  bool coreml = false;
  std::vector<const onnx::Node*> nodes;
  std::vector<Dump> dumps;  // as Options::dump_after asked for
};

// Immutable once it is made; may be kept, written as packages, and opened as sessions, as often as wanted.
struct Partitioning {
  std::shared_ptr<const onnx::HostProgram> host;
  Options options;                  // that it was made with
  std::vector<Subgraph> subgraphs;  // in execution order
  std::vector<NodePlan> nodes;      // top-level nodes, in graph order
  std::vector<Diag> findings;       // what the passes and rules want known
  std::optional<ir::Opset> target;  // of the partitions; unset when there is none
  double flops_total = 0, flops_claimed = 0;
  int partitions = 0;
  int64_t lowered = 0;  // nodes lowered, in attempts and in partitions, those given up included: what partitioning cost
  int count(Where where) const;
  bool whole() const { return partitions == 1 && subgraphs.size() == 1; }  // the whole graph is one Core ML partition
};
std::vector<Diag> refusals(std::span<const NodePlan> nodes);  // of the host's nodes, by NodePlan::obstacle

// Errors are only those that make partitioning itself impossible, invalid_option for a name in keep_fp32 that the model
// does not have, memory_limit and cancelled; everything else is a refusal in the result.
Result<Partitioning> partition(std::shared_ptr<const onnx::HostProgram> host, const Options& options,
                               const Bounds& bounds = {});

// A subgraph's nodes for the host, in ONNX's types: what runs in place of a Core ML partition. It reads what `has` says
// is there while the subgraph runs, and makes the rest anew from that. Errors: as partition().
Result<Subgraph> host_twin(const Partitioning& partitioning, const Subgraph& subgraph,
                           const std::function<bool(const std::string&)>& has, const Bounds& bounds = {});

// The values at which the graph could end for Core ML to take all that is left of it: what host nodes read of what does
// not depend on any of them, and the outputs among that. Empty where that is less than half of the nodes.
std::vector<std::string> ends_before_host(const Partitioning& partitioning);

// As a shell takes it in one word.
std::string shell_word(const std::string& word);

// Looks for what would change the refusals of host nodes (a later target, fixed shapes, a constant input) and adds what
// does to their remedies. By attempts, which may lower the whole graph dozens of times: for reports, when they are
// asked for.
void find_remedies(const onnx::HostProgram& host, const Options& options, const Bounds& bounds,
                   std::vector<NodePlan>& nodes);

}  // namespace graft::partition
