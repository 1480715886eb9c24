// From ONNX to MIL. Lowering is written once (one row an operator, lower_*.cc) and run twice: first the whole graph for
// the host, in ONNX's own dtypes, which gives every ONNX value its type, symbolic content and integer range; then
// single nodes and claimed groups for Core ML, against those facts.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/port.h"
#include "ir/program.h"
#include "onnx/graph.h"
#include "ops/op_builder.h"

namespace graft::onnx {

// One dim of `--shapes x:1x3x(64..2048)`: fixed when lo == hi.
struct DimSpec {
  int64_t lo = 0, hi = 0;
  std::optional<int64_t> preferred;  // the default size of a flexible dim
};

struct LowerOptions {
  std::map<std::string, std::vector<DimSpec>> shapes;  // by graph input; every dim is given
  // What stands for an open dim that `shapes` leaves open, and its size by default: by symbol_of. See open_dims.h.
  std::map<std::string, ir::Dim> open_dims;
  std::map<std::string, int64_t> default_sizes;
  // Integers that may be taken to lie there: of a graph input, which somebody has to check; what a node casts from
  // floating point is clipped there. By ONNX value; see int_ranges.h.
  std::map<std::string, IntRange> limits;
};

// An open dim of the graph's inputs.
struct OpenDim {
  std::string symbol;  // as the host program's types have it
  std::string input;   // the first that has it
  IntRange range;
  int64_t preferred = 1;  // by default
  int64_t step = 1;       // the model takes sizes that are this far apart, counted from the preferred one
  std::string origin;     // of the range: what the dim means, or who said it
  bool given = false;     // by --shapes
  std::optional<std::pair<std::string, std::string>> sum;  // of the sizes of these two
};

// What became of one ONNX node in the host program. Nodes inside If and Loop bodies have entries of their own.
struct NodeFacts {
  std::vector<const ir::Value*> outputs;  // as node.outputs; null where left out or not lowered
  std::optional<Diag> failure;            // no lowering, or the node breaks the operator's rules
  bool blocked = false;                   // failed only because an input's type is unknown behind another failed node
};

// The whole graph in ONNX's own dtypes. Immutable after construction.
struct HostProgram {
  std::shared_ptr<const Model> model;
  std::shared_ptr<ir::Program> program;                // one function, "main"
  std::unordered_map<std::string, ir::Value*> values;  // top-level ONNX values
  std::vector<NodeFacts> nodes;                        // by Node::id
  std::vector<Diag> problems;              // one for each failed, not merely blocked, node; empty: the program runs
  std::vector<OpenDim> open_dims;          // of lower_for_coreml: the sizes that its facts hold for
  std::map<std::string, IntRange> limits;  // and the integers: LowerOptions::limits
  const ir::Function& main() const { return *program->main(); }
};

// Fails only for what makes the whole model unusable (an input of unknown rank, a bad --shapes); failing nodes are
// listed. int64 graph inputs are taken to be within int32, which sessions check before each run that uses a Core ML
// partition. Also fails with memory_limit and cancelled.
Result<HostProgram> lower_for_host(std::shared_ptr<const Model> model, const LowerOptions& options,
                                   const Bounds& bounds = {});

// Of the graph's inputs, in their order, without the sizes that stand for open dims.
Result<std::vector<ir::Type>> input_types(const Graph& graph, LowerOptions options);

// The name of a dim that the file leaves open: its own, or one made of the input's.
std::string symbol_of(const ValueInfo& input, size_t axis);

// Some top-level nodes as a function of their own.
struct LoweredSubgraph {
  std::unique_ptr<ir::Function> function;
  std::vector<ir::BoundaryPort> inputs, outputs;
  ir::Opset needed = ir::Target::oldest().opset();
};

// Lowers nodes against the host program's facts, for passes to bring within the target's ranks. One object belongs to
// one thread; `host` must outlive it. Refusals of the codes memory_limit and cancelled say nothing about the node: they
// end whatever it is attempted for.
class SubgraphLowerer {
 public:
  SubgraphLowerer(const HostProgram& host, ir::Target target, Bounds bounds = {})
      : host_(host), target_(target.before_passes()), ports_(target), bounds_(std::move(bounds)) {}
  // Tries one top-level node alone, with placeholders for its inputs, and forgets the result. Gives the opset it needs;
  // the refusal names the node.
  Result<ir::Opset> attempt(const Node& node) const;
  // Builds the nodes (in the order given, topological) as function `name` that yields `outputs`; else a refusal for
  // each node that it cannot take, with its origin. Those were seen with what they make coming from outside.
  OrRefusals<LoweredSubgraph> build(std::string name, std::span<const Node* const> nodes,
                                    std::span<const std::string> outputs) const;

 private:
  const HostProgram& host_;
  ir::Target target_, ports_;  // of what is lowered, and of what crosses its border
  Bounds bounds_;
};

// ---- the table ----------------------------------------------------------------------------------------------------

class NodeView;
using ir::Dim;
using ir::Dims;
using ir::Value;
using ir::Values;
using ops::OpBuilder;

// A size beyond this exists in no tensor that runs here; it lets shapes be proven to fit int32.
constexpr IntRange kAnySize{0, INT32_MAX};

// A row: which operator, and the operator-set versions in which its definition changed, of those that are handled. A
// node of version v uses the newest definition not newer than v; below the first one it is refused.
struct Lowering {
  std::string_view domain, op_type;
  std::span<const int> versions;
  std::string_view signature;  // inputs, outputs and attributes: see signature.h
  // Emits the node through b and returns its outputs in order (left-out trailing outputs may be missing). After a
  // refusal the values are poison, so the code reads straight.
  Values (*lower)(NodeView& n, OpBuilder& b);
  std::string_view note = {};  // for docs/ops.md: what is not handled, if anything
  bool any_rank = false;       // takes tensors whose rank only a run knows; others are put off until then
};
using LoweringRows = std::span<const Lowering>;

std::span<const Lowering* const> all_lowerings();  // sorted by domain and name
const Lowering* find_lowering(std::string_view domain, std::string_view op_type);

}  // namespace graft::onnx
