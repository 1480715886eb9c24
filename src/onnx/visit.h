// Every node of a graph, those of bodies included, each before the nodes of its bodies.
#pragma once

#include "onnx/graph.h"

namespace graft::onnx {

template <class Visit>
void visit_nodes(const Graph& graph, const Visit& visit) {
  for (const Node& n : graph.nodes) {
    visit(n);
    for (const Graph* body : n.bodies()) visit_nodes(*body, visit);
  }
}

}  // namespace graft::onnx
