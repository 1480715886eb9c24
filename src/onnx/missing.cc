#include "onnx/missing.h"

#include <algorithm>
#include <map>

#include "base/format.h"
#include "onnx/lower.h"
#include "onnx/visit.h"

namespace graft::onnx {
std::vector<MissingOperator> missing_operators(const Model& model) {
  std::map<std::pair<std::string, std::string>, MissingOperator> found;
  visit_nodes(model.graph, [&](const Node& n) {
    const Lowering* row = find_lowering(n.domain, n.op_type);
    if (row != nullptr && n.version >= row->versions.front()) return;
    MissingOperator& m = found[{n.domain, n.op_type}];
    if (m.nodes.empty()) {
      m.domain = n.domain;
      m.op = n.op_type;
      const std::string full = n.domain.empty() ? n.op_type : n.domain + "." + n.op_type;
      m.message = row == nullptr ? format("unsupported operator {} (version {})", full, n.version)
                                 : format("unsupported operator version: {} {} is older than {}, the oldest handled",
                                          full, n.version, row->versions.front());
    }
    m.nodes.push_back(n.name);
  });
  std::vector<MissingOperator> list;
  for (auto& [key, m] : found) list.push_back(std::move(m));
  return list;
}

Diag describe_missing(const std::vector<MissingOperator>& missing) {
  Diag d;
  d.code = Code::unsupported_operator;
  size_t nodes = 0;
  std::vector<std::string> names;
  for (const MissingOperator& m : missing) {
    nodes += m.nodes.size();
    names.push_back(format("{} ({}x)", m.domain.empty() ? m.op : m.domain + "." + m.op, m.nodes.size()));
    Diag inner;
    inner.code = Code::unsupported_operator;
    constexpr size_t kShown = 8;
    const std::vector<std::string> shown(m.nodes.begin(),
                                         m.nodes.begin() + static_cast<long>(std::min(kShown, m.nodes.size())));
    inner.message = format("{}: node{} '{}'{}", m.message, m.nodes.size() == 1 ? "" : "s", join(shown, "', '"),
                           m.nodes.size() > kShown ? format(" and {} more", m.nodes.size() - kShown) : "");
    d.inner.push_back(std::move(inner));
  }
  d.message = format("unsupported operator{} {}: {} node{} cannot run", missing.size() == 1 ? "" : "s",
                     join(names, ", "), nodes, nodes == 1 ? "" : "s");
  return d;
}

}  // namespace graft::onnx
