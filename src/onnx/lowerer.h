// The walk over a graph that both runs of the lowering share. Private to src/onnx.
#pragma once

#include <functional>

#include "onnx/lower.h"

namespace graft::onnx {

class Lowerer {
 public:
  // What an outer name means: the host program's fact, made into a value of the function being built.
  using Resolve = std::function<Value*(const std::string& name)>;

  Lowerer(OpBuilder& b, Resolve resolve) : b_(b), resolve_(std::move(resolve)) {}

  OpBuilder& builder() { return b_; }
  // The value of a name in the innermost scope, else resolve()d; poison (with a refusal) when unknown.
  Value* value(const std::string& name);
  void define(const std::string& name, Value* v) { scopes_.back().values[name] = v; }
  Value* constant(const ir::ConstantPtr& c, const std::string& name, bool saturate);
  // Whether a name belongs to a node that was refused; asks nothing of anybody else.
  bool refused(const std::string& name) const;
  // What a name holds when that is a constant, in ONNX's own dtype; null otherwise. Refuses nothing.
  ir::ConstantPtr constant_of(const std::string& name);
  // The ONNX dtype of a name, where it differs from its value's; invalid where it is the same or not known.
  DType onnx_dtype(const std::string& name) const { return outer_dtype ? outer_dtype(name) : DType::invalid; }

  int depth() const { return depth_; }  // of bodies
  // The rank of a value that no node has made yet, as the file states it or the host program found it.
  std::optional<int> stated_rank(const std::string& name) const;

  // Lowers one node, all or nothing: on a refusal everything it emitted is dropped and its failure, with node and file
  // filled in, is returned.
  Result<Values> lower(const Node& node);
  // A body's initializers and nodes in a scope of its own, into the builder's current block; its outputs. The first
  // refusal refuses the outer node, as its inner reason.
  Values lower_body(const Graph& body, std::span<Value* const> inputs);

  // Called for every node lowered (bodies included) with its outputs or its failure.
  std::function<void(const Node&, const Values&, const Diag*)> on_node;
  std::function<ir::ConstantPtr(const std::string&)> outer_constant;
  std::function<DType(const std::string&)> outer_dtype;
  std::function<std::optional<int>(const std::string&)> outer_rank;
  std::shared_ptr<const Model> model;                       // of the host program
  const std::map<std::string, IntRange>* limits = nullptr;  // of the host program
  int deferrals = 0;                                        // how many deferred nodes this one is inside of
  // The host facts, for the range check of outputs that are narrowed; null while they are being made.
  const std::vector<NodeFacts>* facts = nullptr;

 private:
  struct Scope {
    std::unordered_map<std::string, Value*> values;
    const Graph* graph = nullptr;  // initializers are made values when first used
  };
  Status check_ranges(const Node& node);
  Status run_row(const Node& node, Values& out);

  OpBuilder& b_;
  Resolve resolve_;
  std::vector<Scope> scopes_{1};
  int depth_ = 0;
};

// A type as the file states it: unknown dims become symbols named by dim_param, or "<name>_d<axis>".
std::optional<ir::Type> type_of(const ValueInfo& info);

}  // namespace graft::onnx
