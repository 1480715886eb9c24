// Walks over a graph and over what a node reads.
#pragma once

#include "onnx/graph.h"

namespace graft::onnx {

// Every node of a graph, those of bodies included, each before the nodes of its bodies.
template <class Visit>
void visit_nodes(const Graph& graph, const Visit& visit) {
  for (const Node& n : graph.nodes) {
    visit(n);
    for (const Graph* body : n.bodies()) visit_nodes(*body, visit);
  }
}

// Every name that a node reads, those that its bodies read from around it included.
template <class Visit>
void visit_reads(const Node& n, const Visit& visit) {
  for (const std::string& name : n.inputs) {
    if (!name.empty()) visit(name);
  }
  for (const Graph* body : n.bodies()) {
    for (const std::string& name : body->captures) visit(name);
  }
}

}  // namespace graft::onnx
