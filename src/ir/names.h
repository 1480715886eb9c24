// Names that MIL allows: letters, digits and underscores, not starting with a digit, not a word of the text form.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

namespace graft::ir {

// The nearest legal name: other characters become underscores, a leading digit gets `prefix`, a reserved word a suffix.
std::string legal_name(std::string_view name, std::string_view prefix = "var_");

// Hands out names, each only once.
class NamePool {
 public:
  // legal_name(hint) if it is free, else with the first free number behind it.
  std::string take(std::string_view hint, std::string_view prefix = "var_");

 private:
  std::unordered_map<std::string, int> used_;  // and the number to try next
};

}  // namespace graft::ir
