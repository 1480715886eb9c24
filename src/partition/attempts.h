// Whether a target takes nodes: each alone, and those that hand each other tensors of more dims than it has, together.
// Private to src/partition.
#pragma once

#include <map>

#include "partition/host_part.h"

namespace graft::partition {

class Attempts {
 public:
  // `host` and `bounds` must outlive it.
  Attempts(const onnx::HostProgram& host, ir::Target target, const Bounds& bounds)
      : host_(host), target_(target), bounds_(bounds), lowerer_(host, target, bounds) {}

  // The opset that a top-level node needs, else why it is not taken, alone or with its chain.
  Result<ir::Opset> operator()(const onnx::Node& node);

 private:
  // Nodes that tensors of too many dims join: Core ML takes all of them or none, in one partition.
  struct Chain {
    Nodes nodes;
    std::string at_border;  // such a tensor that enters or leaves the graph; empty: none does
    bool tried = false;
    ir::Opset needed = ir::Target::oldest().opset();
    std::map<const onnx::Node*, Diag> refusals;  // by node; empty: it is taken
  };
  void find_chains();
  bool many_dims(const std::string& name) const;
  bool in_chain(const onnx::Node& node) const;
  void attempt(Chain& chain);
  static void refuse(Chain& chain, const Refusals& refusals);

  const onnx::HostProgram& host_;
  ir::Target target_;
  const Bounds& bounds_;
  onnx::SubgraphLowerer lowerer_;
  bool found_ = false;
  std::vector<Chain> chains_;
  std::map<const onnx::Node*, size_t> chain_of_;
};

}  // namespace graft::partition
