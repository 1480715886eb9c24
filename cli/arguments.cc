#include "arguments.h"

#include <algorithm>

#include <fmt/ranges.h>

namespace cli {

Arguments::Arguments(const Verb& verb, const graft::Options& given) : verb_(&verb) {
  const auto wrong = [](const std::string& message) -> Failure { return {GRAFT_CODE_INVALID_OPTION, message}; };
  for (const auto& [name, value] : given) {
    const std::string_view key = name;
    const auto row =
        std::find_if(verb.options.begin(), verb.options.end(), [&](const VerbOption& o) { return key == o.name; });
    if (row == verb.options.end()) {
      std::vector<std::string_view> legal;
      for (const VerbOption& o : verb.options) legal.push_back(o.name);
      throw Failure(GRAFT_CODE_UNKNOWN_OPTION,
                    fmt::format("{} has no option '{}'; it has {}", verb.name, name, fmt::join(legal, ", ")));
    }
    if ((row->flags & kRepeated) == 0 && find(name) != nullptr)
      throw wrong(fmt::format("option {} is given twice", name));
    if ((row->flags & kSwitch) != 0 && value != "0" && value != "1")
      throw wrong(fmt::format("option {}: '{}' is not one of 0, 1", name, value));
    if ((row->flags & kPath) != 0 && value.empty()) throw wrong(fmt::format("option {}: the path is empty", name));
    given_.push_back({name, value});
  }
  for (const VerbOption& o : verb.options) {
    if ((o.flags & kRequired) != 0 && find(o.name) == nullptr)
      throw wrong(fmt::format("{} needs {} ({})", verb.name, o.name, o.doc));
  }
}

const std::string* Arguments::find(std::string_view name) const {
  for (const auto& [n, v] : given_) {
    if (n == name) return &v;
  }
  return nullptr;
}

std::string Arguments::text(std::string_view name, std::string_view fallback) const {
  const std::string* v = find(name);
  return v == nullptr ? std::string(fallback) : *v;
}

std::vector<std::string> Arguments::all(std::string_view name) const {
  std::vector<std::string> list;
  for (const auto& [n, v] : given_) {
    if (n == name) list.push_back(v);
  }
  return list;
}

graft::Options Arguments::session() const {
  graft::Options named;
  for (const VerbOption& o : verb_->options) {
    if (const std::string* v = find(o.name); v != nullptr && (o.flags & kSession) != 0)
      named.push_back({session_name(o.name), *v});
  }
  return named;
}

std::string session_name(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace cli
