#include "onnx/signature.h"

#include <algorithm>
#include <charconv>

#include "base/format.h"

namespace graft::onnx {
namespace {

struct Formal {
  std::string_view name;
  bool optional = false, variadic = false;
};

int number(std::string_view s) {
  int v = 0;
  std::from_chars(s.data(), s.data() + s.size(), v);
  return v;
}

// The words of one part of a signature that a version has.
std::vector<Formal> formals(std::string_view part, int version) {
  std::vector<Formal> list;
  while (!part.empty()) {
    const size_t end = std::min(part.find(' '), part.size());
    const std::string_view word = part.substr(0, end);
    part.remove_prefix(std::min(end + 1, part.size()));
    if (word.empty()) continue;
    const size_t since = word.find('@'), until = word.find('<');
    if (since != word.npos && version < number(word.substr(since + 1))) continue;
    if (until != word.npos && version >= number(word.substr(until + 1))) continue;
    Formal f{word.substr(0, std::min(since, until))};
    f.optional = f.name.ends_with('?') || f.name.ends_with('*');
    f.variadic = f.name.ends_with('+') || f.name.ends_with('*');
    if (f.optional || f.variadic) f.name.remove_suffix(1);
    list.push_back(f);
  }
  return list;
}

tl::unexpected<Diag> wrong_count(const char* what, std::span<const Formal> list, size_t least, size_t got) {
  std::string takes = list.empty() ? "none" : std::to_string(least);
  if (!list.empty() && list.back().variadic)
    takes += " or more";
  else if (least != list.size())
    takes = format("{} to {}", least, list.size());
  return fail(Code::invalid_model, format("{} {}{} given, takes {}", got, what, got == 1 ? "" : "s", takes));
}

Status check(const char* what, const std::vector<Formal>& list, const std::vector<std::string>& names) {
  const bool open = !list.empty() && list.back().variadic;
  size_t least = list.size();
  while (least > 0 && list[least - 1].optional) --least;
  if (names.size() < least || (names.size() > list.size() && !open))
    return wrong_count(what, list, least, names.size());
  for (size_t i = 0; i < least; ++i) {
    if (names[i].empty() && !list[i].optional && !list[i].variadic)
      return fail(Code::invalid_model, format("{} {} ('{}') is left out", what, i, list[i].name));
  }
  return {};
}

}  // namespace

Status check_signature(std::string_view signature, const Node& node) {
  const size_t arrow = signature.find("->"), semicolon = std::min(signature.find(';'), signature.size());
  GRAFT_CHECK(check("input", formals(signature.substr(0, arrow), node.version), node.inputs));
  GRAFT_CHECK(check("output", formals(signature.substr(arrow + 2, semicolon - arrow - 2), node.version), node.outputs));
  const std::vector<Formal> known = formals(signature.substr(std::min(semicolon + 1, signature.size())), node.version);
  for (const Attribute& a : node.attributes) {
    const auto same = [&](const Formal& f) { return f.name == a.name; };
    // ONNX leaves names that begin so to whoever makes the file. The other one allowed memory to be reused, before
    // version 6: it has no bearing on results.
    if (a.name.starts_with("__") || (a.name == "consumed_inputs" && node.version < 6) ||
        std::any_of(known.begin(), known.end(), same))
      continue;
    std::vector<std::string> names;
    for (const Formal& f : known) names.emplace_back(f.name);
    return fail(Code::invalid_attribute,
                format("attribute '{}' does not exist in version {}; it has {}", a.name, node.version,
                       names.empty() ? "none" : format("{}", join(names, ", "))));
  }
  return {};
}

}  // namespace graft::onnx
