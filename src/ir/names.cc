#include "ir/names.h"

#include <algorithm>

#include "base/format.h"

namespace graft::ir {
namespace {

constexpr std::string_view kReserved[] = {
    "any",  "bool", "program", "func", "tensor", "list",  "dict",  "tuple", "true",   "false",  "string", "bf16",
    "fp16", "fp32", "fp64",    "int8", "int16",  "int32", "int64", "uint8", "uint16", "uint32", "uint64", "state",
};

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string legal_name(std::string_view name, std::string_view prefix) {
  std::string s;
  if (name.empty() || digit(name[0])) s = prefix;
  for (const char c : name) s += letter(c) || digit(c) ? c : '_';
  if (std::find(std::begin(kReserved), std::end(kReserved), s) != std::end(kReserved)) s += "_workaround";
  return s;
}

std::string NamePool::take(std::string_view hint, std::string_view prefix) {
  std::string s = legal_name(hint, prefix);
  const auto [at, fresh] = used_.try_emplace(s, 0);
  if (fresh) return s;
  int& next = at->second;  // stays valid: references into an unordered_map survive rehashing
  for (;;) {
    std::string numbered = format("{}_{}", s, next++);
    if (used_.try_emplace(numbered, 0).second) return numbered;
  }
}

}  // namespace graft::ir
