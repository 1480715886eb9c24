// The Core ML programs of claimed runs, kept from one grouping to the next: a partition whose nodes are the same is not
// built again. Private to src/partition.
#pragma once

#include <map>

#include "partition/host_part.h"
#include "partition/keep.h"

namespace graft::partition {

class Partitions {
 public:
  Partitions(const onnx::HostProgram& host, const Options& options, const Bounds& bounds);

  passes::KeptNodes keep_fp32;  // as options.keep_fp32 names them

  struct Finished {
    Subgraph subgraph;
    std::vector<Diag> findings;
    double gain_us = 0;  // by the cost model
  };

  // The opset that lowering these nodes, in their order, needs. The same nodes always have the same outputs.
  OrRefusals<ir::Opset> lower(const Nodes& nodes, const std::vector<std::string>& outputs);
  // What has been lowered as a finished program for this target. The result lives until the next call for these nodes.
  OrRefusals<Finished*> finish(const Nodes& nodes, const std::vector<std::string>& outputs, ir::Opset target);
  // Nodes lowered so far, those of given up partitions included.
  int64_t lowered() const { return lowered_; }

 private:
  struct Entry {
    ir::Opset needed = ir::Target::oldest().opset();
    std::optional<onnx::LoweredSubgraph> lowered;  // until it is finished
    std::optional<Finished> finished;              // for subgraph.target
  };
  OrRefusals<onnx::LoweredSubgraph> build(const Nodes& nodes, const std::vector<std::string>& outputs);
  OrRefusals<Finished> run_passes(onnx::LoweredSubgraph partition, const Nodes& nodes, ir::Opset target) const;
  void keep_model_order(onnx::LoweredSubgraph& partition) const;
  void drop_unread(onnx::LoweredSubgraph& partition) const;

  const Options& options_;
  const Bounds& bounds_;
  onnx::SubgraphLowerer lowerer_;
  std::unordered_map<std::string_view, int> model_inputs_;  // and their places
  std::map<Nodes, Entry> entries_;
  int64_t lowered_ = 0;
};

// Which of a partition's nodes the refusals are about, and why: by the origin of each refusal. All of them, if no
// refusal has an origin among them.
std::vector<std::pair<const onnx::Node*, Refusals>> blamed(const Nodes& nodes, const Refusals& refusals);

}  // namespace graft::partition
