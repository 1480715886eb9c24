// An ONNX model in memory, plain and complete: what the protobuf reader fills, and any other front door can. Once
// prepare() has passed it is flat (no model-local functions), sorted, numbered and checked, and never changes again:
// share it between threads as shared_ptr<const Model>. Weights are ir::Constants that usually borrow from the mapped
// file; they keep it alive by themselves.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/diag.h"
#include "base/dtype.h"
#include "base/file.h"
#include "ir/constant.h"

namespace graft::onnx {

struct Graph;

// One dim as the file states it. Not known and without a symbol: value -1, symbol empty.
struct DimInfo {
  int64_t value = -1;
  std::string symbol;
  bool known() const { return value >= 0; }
};

struct ValueType {
  enum class Kind : uint8_t { none, tensor, sequence, optional, map, sparse_tensor };
  Kind kind = Kind::none;                    // none: the file doesn't say
  DType dtype = DType::invalid;              // tensor, sparse_tensor; map: the key
  bool has_shape = false;                    // false: even the rank is unknown
  std::vector<DimInfo> dims;                 // any rank, also above kMaxRank
  std::shared_ptr<const ValueType> element;  // sequence, optional: what is inside; map: the value
};

struct ValueInfo {
  std::string name;
  ValueType type;
};

struct Attribute {
  // In brackets the field that is filled. Sparse tensors are made dense by the reader: they arrive as tensors.
  enum class Type : uint8_t {
    none,
    float_,   // f
    int_,     // i
    string,   // s: bytes, not always text
    tensor,   // t
    graph,    // g
    floats,   // floats
    ints,     // ints
    strings,  // strings
    tensors,  // tensors
    graphs,   // graphs
    type,     // types[0]
    types,    // types
  };
  std::string name;
  Type type = Type::none;
  int64_t i = 0;
  float f = 0;
  std::string s;
  ir::ConstantPtr t;
  std::shared_ptr<Graph> g;  // owned by this attribute alone
  std::vector<int64_t> ints;
  std::vector<float> floats;
  std::vector<std::string> strings;
  std::vector<ir::ConstantPtr> tensors;
  std::vector<std::shared_ptr<Graph>> graphs;
  std::vector<ValueType> types;
  std::string ref_attr_name;  // inside functions: the caller's attribute of that name; empty after prepare()
};
std::string_view name(Attribute::Type type);  // "float", "int", ...

struct Node {
  // Unique in the model, bodies and inlined functions included; ascending in the order of the file, a node before the
  // nodes of its bodies. Not dense: an inlined call's own number is not used again. Always below Model::next_id.
  int32_t id = -1;
  // As in the file; not always unique. Made from op_type and id where the file has none ("Conv_12"). A node that came
  // from a function is named "<name of the call>/<its own name>".
  std::string name;
  std::string op_type;
  std::string domain;  // "" is ai.onnx
  std::string overload;
  int version = 0;  // the opset that holds for this node's domain where the node was written; 0: not imported
  std::vector<std::string> inputs, outputs;  // "" is one that is left out
  std::vector<Attribute> attributes;         // names are unique
  std::string doc;
  std::map<std::string, std::string> metadata;

  const Attribute* find(std::string_view attribute) const;  // null when absent
  bool has_input(size_t i) const { return i < inputs.size() && !inputs[i].empty(); }
  // The graphs in the attributes, in their order.
  std::vector<const Graph*> bodies() const;
};

struct Initializer {
  std::string name;
  ir::ConstantPtr value;
};

struct Graph {
  std::string name, doc;
  // Inputs are what a caller must feed: initializers are never among them (see Model::overridable).
  std::vector<ValueInfo> inputs, outputs, value_info;
  std::vector<Initializer> initializers;  // in the order of the file
  std::vector<Node> nodes;                // sorted: producers first, captures of bodies counted
  // A body: the names it (or a body inside it) reads from the graphs around it, sorted. Filled by prepare().
  std::vector<std::string> captures;

  // Null when there is none. Uses an index, which prepare() builds; without it none is found.
  const Initializer* find_initializer(std::string_view name) const;
  void index_initializers();

 private:
  std::vector<uint32_t> by_name_;  // places in `initializers`, sorted by name
};

// A model-local function, until prepare() has put its body in place of every call.
struct Function {
  std::string domain, name, overload;
  std::vector<std::string> inputs, outputs;
  std::vector<std::string> attributes;  // names without a default
  std::vector<Attribute> defaults;      // attributes with one
  std::map<std::string, int> opsets;    // for its nodes; domains it does not name have the model's
  std::vector<ValueInfo> value_info;
  std::vector<Node> nodes;
};

struct Model {
  int64_t ir_version = 0, model_version = 0;
  std::string producer_name, producer_version, domain, doc;
  std::map<std::string, int> opsets;  // domain to version; ai.onnx is ""
  std::map<std::string, std::string> metadata;
  Graph graph;
  std::vector<Function> functions;  // empty after prepare()
  int32_t next_id = 0;              // one above the largest Node::id
  std::string path, folder;         // of the file; empty for models from memory (folder: where external data is)
  // Initializers that the file also lists as graph inputs, from IR 4 on: baked, but a caller may feed another value.
  // Older models must list every initializer, which means nothing: there this is empty. Names as in graph.initializers,
  // in the order of the inputs.
  std::vector<std::string> overridable;
  std::shared_ptr<const void> keeps;                    // the memory's owner
  std::vector<std::shared_ptr<const FileBytes>> files;  // that it was read from
};

// A prepared model in which some of its overridable initializers are graph inputs like any other, after the others:
// what runs when a caller feeds them. Weights and bodies are shared. Every name must be one of `overridable`.
Model with_inputs(const Model& model, const std::vector<std::string>& names);

// The other way round: a prepared model in which a graph input is an initializer with this value.
Model with_constant(const Model& model, const std::string& input, ir::ConstantPtr value);

// A prepared model that ends at these values, in place of its outputs: what only the rest needs is gone. The model
// itself when none are named. Errors: invalid_option for a name that is no value of the graph.
Result<std::shared_ptr<const Model>> up_to(std::shared_ptr<const Model> model, const std::vector<std::string>& outputs);

// What a model may cost, so that a small file cannot ask for a large machine.
struct Limits {
  int depth = 64;                   // of bodies in bodies and of calls in calls, each
  int64_t nodes = 1'000'000;        // after functions are inlined, bodies included
  size_t memory = size_t{1} << 30;  // bytes that inlining may add
  const CancelToken* cancel = nullptr;
};

// Makes a filled model fit for use: inlines functions, fixes opset versions and names, numbers and sorts the nodes,
// separates initializers from inputs, and checks that every name is defined once and before it is used. On an error
// (invalid_model, invalid_attribute, limit_exceeded) the model is of no use any more.
Status prepare(Model& model, const Limits& limits = {});

}  // namespace graft::onnx
