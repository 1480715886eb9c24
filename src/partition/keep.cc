#include "partition/keep.h"

#include <algorithm>
#include <map>

#include "base/format.h"

namespace graft::partition {
namespace {

using Index = std::map<std::string_view, std::vector<const onnx::Node*>>;

void add(const onnx::Graph& graph, Index& index) {
  for (const onnx::Node& n : graph.nodes) {
    index[n.name].push_back(&n);
    index[n.op_type].push_back(&n);
    for (const std::string& o : n.outputs) {
      if (!o.empty() && o != n.name) index[o].push_back(&n);
    }
    for (const onnx::Graph* body : n.bodies()) add(*body, index);
  }
}

void take(const onnx::Node& n, passes::KeptNodes& kept) {
  kept.insert(n.id);
  for (const onnx::Graph* body : n.bodies()) {
    for (const onnx::Node& inside : body->nodes) take(inside, kept);
  }
}

// Those that begin like the word, the longest common beginning first.
std::string nearest(std::string_view word, const Index& index) {
  constexpr size_t kMost = 3;
  std::vector<std::pair<size_t, std::string_view>> ranked;
  for (const auto& [name, nodes] : index) {
    const auto differs = std::mismatch(word.begin(), word.end(), name.begin(), name.end(), [](char a, char b) {
      return same_word({&a, 1}, {&b, 1});
    });
    ranked.emplace_back(static_cast<size_t>(differs.first - word.begin()), name);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string_view> list;
  for (const auto& [shared, name] : ranked) {
    if (list.size() < kMost && !name.empty()) list.push_back(name);
  }
  return format("{}", join(list, ", "));
}

}  // namespace

Result<passes::KeptNodes> kept_nodes(const onnx::Graph& graph, std::span<const std::string> names) {
  passes::KeptNodes kept;
  if (names.empty()) return kept;
  Index index;
  add(graph, index);
  for (const std::string& name : names) {
    const auto at = index.find(name);
    if (at == index.end()) {
      return fail(Code::invalid_option,
                  format("keep_fp32: the model has no node, tensor of a node or operator type '{}'; "
                         "most like it are {}",
                         name, nearest(name, index)));
    }
    for (const onnx::Node* n : at->second) take(*n, kept);
  }
  return kept;
}

}  // namespace graft::partition
