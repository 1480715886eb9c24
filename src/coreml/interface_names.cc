#include "coreml/interface_names.h"

namespace graft::coreml {
namespace {

constexpr std::string_view kPrefix = "graft.name.";

template <class Face, class Visit>
void visit(Face& interface, Visit&& each) {
  for (auto& function : interface.functions) {
    for (auto* list : {&function.inputs, &function.outputs, &function.states}) {
      for (auto& feature : *list) each(std::string(kPrefix) + function.name + "." + feature.file_name, feature);
    }
  }
}

}  // namespace

void add_name_keys(const Interface& interface, std::map<std::string, std::string>& metadata) {
  visit(interface, [&](std::string key, const Feature& f) {
    if (f.name != f.file_name) metadata[std::move(key)] = f.name;
  });
}

void take_name_keys(Interface& interface, std::map<std::string, std::string>& metadata) {
  visit(interface, [&](const std::string& key, Feature& f) {
    const auto at = metadata.find(key);
    if (at == metadata.end()) return;
    f.name = at->second;
    metadata.erase(at);
  });
}

}  // namespace graft::coreml
