// What Core ML would take of a model, and in which partitions: known before anything is written or made ready to run.
#pragma once

#include <mutex>

#include "partition/partition.h"
#include "session/session.h"
#include "tools/model.h"

namespace graft::tools {

struct PartitionInfo {
  const partition::Subgraph* subgraph = nullptr;
  int nodes = 0, operators = 0;  // ONNX nodes; MIL operators after the passes
  double flops = 0;
};

// Immutable, but for what is looked for at the first question.
class Partitioned {
 public:
  std::shared_ptr<const Model> model;
  std::vector<session::NamedOption> named;  // the model's options, and those that were given to partition_model()
  session::Options options;
  std::shared_ptr<const partition::Partitioning> partitioning;
  std::vector<PartitionInfo> partitions;
  std::vector<Diag> findings;

  // Why a node is on the host, with every remedy; null where it is not. The first question looks for remedies of all
  // nodes, which may lower the whole graph dozens of times. From any thread.
  const Diag* refusal(size_t node) const;
  std::vector<Diag> refusals() const;  // of all host nodes, in order

 private:
  mutable std::once_flag asked_;
  mutable std::vector<partition::NodePlan> explained_;
};

// named: options beside the model's; not those that decide how a model is read (shapes, weights, memory_limit), which
// are invalid_option. dump_after: the programs after this pass, or after "all" of them, are kept as text; a wrong name
// is invalid_option. keep_fp32: names beside those that the option of that name gives. Errors: those, invalid_argument
// for a package, the model's problem, of memory and cancel.
Result<std::shared_ptr<const Partitioned>> partition_model(std::shared_ptr<const Model> model,
                                                           std::span<const session::NamedOption> named,
                                                           const std::string& dump_after,
                                                           const CancelToken* cancel = nullptr,
                                                           std::span<const std::string> keep_fp32 = {});

// Options beside the partition's; those for partitioning and lowering are the partition's alone. Without one that says
// otherwise the device is "coreml". Errors: as Session::open.
Result<std::shared_ptr<const session::Session>> open_session(const Partitioned& p, std::shared_ptr<const Env> env,
                                                             std::span<const session::NamedOption> named,
                                                             const CancelToken* cancel = nullptr);

// A partition's program as MIL text, in which large constants are elided.
std::string mil_text(const PartitionInfo& partition);

// Why the model does not become one package (`whole`), or no package at all: not_delegated, with every reason.
Diag not_delegated(const Partitioned& p, bool whole);

}  // namespace graft::tools
