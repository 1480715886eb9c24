// Nodes, attributes and types as a front door other than the reader would fill them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "onnx/graph.h"

namespace graft::onnx {

using Names = std::vector<std::string>;

inline ValueInfo tensor(const std::string& name, DType dtype, std::vector<DimInfo> dims) {
  ValueInfo v;
  v.name = name;
  v.type.kind = ValueType::Kind::tensor;
  v.type.dtype = dtype;
  v.type.has_shape = true;
  v.type.dims = std::move(dims);
  return v;
}
inline DimInfo dim(int64_t v) { return {v, {}}; }
inline DimInfo dim(const std::string& symbol) { return {-1, symbol}; }

inline Node node(const std::string& op, Names in, Names out, std::vector<Attribute> attributes = {}) {
  Node n;
  n.op_type = op;
  n.inputs = std::move(in);
  n.outputs = std::move(out);
  n.attributes = std::move(attributes);
  return n;
}

inline Attribute int_attribute(const std::string& name, int64_t value) {
  Attribute a;
  a.name = name;
  a.type = Attribute::Type::int_;
  a.i = value;
  return a;
}

inline Attribute ints_attribute(const std::string& name, std::vector<int64_t> values) {
  Attribute a;
  a.name = name;
  a.type = Attribute::Type::ints;
  a.ints = std::move(values);
  return a;
}

inline Attribute text_attribute(const std::string& name, std::string value) {
  Attribute a;
  a.name = name;
  a.type = Attribute::Type::string;
  a.s = std::move(value);
  return a;
}

inline Attribute graph_attribute(const std::string& name, Graph graph) {
  Attribute a;
  a.name = name;
  a.type = Attribute::Type::graph;
  a.g = std::make_shared<Graph>(std::move(graph));
  return a;
}

// A graph as a model that is ready for use.
inline std::shared_ptr<const Model> prepared(Graph graph, int opset = 17) {
  auto m = std::make_shared<Model>();
  m->ir_version = 8;
  m->opsets[""] = opset;
  m->graph = std::move(graph);
  const Status s = prepare(*m);
  EXPECT_TRUE(s) << (s ? "" : render(s.error()));
  return m;
}

}  // namespace graft::onnx
