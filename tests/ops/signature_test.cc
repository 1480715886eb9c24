// The rows' signatures against the list of Apple's operators, reference/mil_ops.tsv: every parameter, type domain and
// default of every opset variant. The strings are compared part by part, not by the parser that reads the rows.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "ops/table.h"

namespace graft::ops {
namespace {

std::string trim(std::string s) {
  const size_t first = s.find_first_not_of(' '), last = s.find_last_not_of(' ');
  return first == std::string::npos ? "" : s.substr(first, last - first + 1);
}

std::vector<std::string> split(const std::string& s, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(s);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(trim(part));
  return parts;
}

// "T={fp32,fp16}; U={uint8}" as letter -> sorted names.
std::map<std::string, std::set<std::string>> domains(const std::string& s) {
  std::map<std::string, std::set<std::string>> result;
  for (const std::string& d : split(s, ';')) {
    if (d.empty()) continue;
    const size_t eq = d.find('=');
    const std::vector<std::string> names = split(d.substr(eq + 2, d.size() - eq - 3), ',');
    result[trim(d.substr(0, eq))] = {names.begin(), names.end()};
  }
  return result;
}

struct Parameter {
  bool optional = false, constant = false;
  std::set<std::string> types;  // a letter, or names
  std::string fallback;
  bool operator==(const Parameter&) const = default;
};

std::map<std::string, Parameter> parameters(const std::string& s) {
  std::map<std::string, Parameter> result;
  for (const std::string& text : split(s, ';')) {
    if (text.empty()) continue;
    Parameter p;
    std::string name = trim(text.substr(0, text.find(':'))), type = trim(text.substr(text.find(':') + 1));
    if (name.back() == '?') {
      p.optional = true;
      name.pop_back();
    }
    if (const size_t eq = type.find('='); eq != std::string::npos) {
      p.fallback = trim(type.substr(eq + 1));
      type = trim(type.substr(0, eq));
    }
    if (type.rfind("const ", 0) == 0) {
      p.constant = true;
      type = trim(type.substr(6));
    }
    const std::vector<std::string> names = split(type, '|');
    p.types = {names.begin(), names.end()};
    EXPECT_TRUE(result.emplace(name, p).second) << "'" << name << "' twice";
  }
  return result;
}

struct Line {
  std::string targets, inputs, domains;
  std::string since() const { return targets.substr(0, targets.find_first_of("-+")); }
};

std::map<std::string, std::vector<Line>> read_list(std::ifstream& in) {
  std::map<std::string, std::vector<Line>> result;
  std::string text;
  std::getline(in, text);
  EXPECT_EQ(text.rfind("op\ttargets\topsets\tcategory\tinputs\ttype_domains\t", 0), 0u) << "unexpected columns";
  while (std::getline(in, text)) {
    const std::vector<std::string> column = split(text, '\t');
    if (column.size() >= 6) result[column[0]].push_back({column[1], column[4], column[5]});
  }
  return result;
}

std::string opset(const ir::Variant& v) {
  return v.since == ir::Opset::host ? "host" : std::string(ir::info(v.since).name);
}

// The line in force at an opset: the newest that begins no later. Names order as their numbers do.
const Line* in_force(const std::vector<Line>& lines, const std::string& at) {
  const Line* found = nullptr;
  for (const Line& l : lines) {
    if (l.since() <= at && (found == nullptr || found->since() < l.since())) found = &l;
  }
  return found;
}

std::ifstream open_list() { return std::ifstream(GRAFT_SHARED_DIR "/reference/mil_ops.tsv"); }

TEST(Signature, RowsAreApples) {
  std::ifstream file = open_list();
  if (!file) GTEST_SKIP() << "reference/mil_ops.tsv is not here";
  const std::map<std::string, std::vector<Line>> list = read_list(file);
  ASSERT_GT(list.size(), 150u);
  for (const auto& row : table().rows()) {
    if (row->host_only()) continue;
    const std::string name(row->name());
    SCOPED_TRACE(name);
    const auto at = list.find(name);
    if (at == list.end()) {
      ADD_FAILURE() << "no such operator in the list";
      continue;
    }
    std::set<std::string> begins;
    for (const ir::Variant& v : row->def->variants) {
      SCOPED_TRACE(opset(v));
      begins.insert(opset(v));
      const Line* line = in_force(at->second, opset(v));
      if (line == nullptr) {
        ADD_FAILURE() << "does not exist yet";
        continue;
      }
      EXPECT_EQ(domains(std::string(v.domains)), domains(line->domains)) << line->domains;
      const std::map<std::string, Parameter> ours = parameters(std::string(v.inputs));
      const std::map<std::string, Parameter> theirs = parameters(line->inputs);
      for (const auto& [param, p] : theirs) {
        const auto mine = ours.find(param);
        EXPECT_TRUE(mine != ours.end() && mine->second == p)
            << "parameter '" << param << "'\n  row  " << v.inputs << "\n  list " << line->inputs;
      }
      for (const auto& [param, p] : ours)
        EXPECT_TRUE(theirs.count(param)) << "parameter '" << param << "' is ours only";
    }
    // A row may have more variants than the list (a limit that came later), never fewer.
    for (const Line& l : at->second) EXPECT_TRUE(begins.count(l.since())) << "no variant since " << l.since();
  }
}

// The parser sees what the text says: the one place where rows become signatures.
TEST(Signature, ParsedAsWritten) {
  for (const auto& row : table().rows()) {
    for (const ir::Signature& s : row->signatures) {
      const std::map<std::string, Parameter> text = parameters(std::string(s.variant->inputs));
      EXPECT_EQ(s.params.size(), text.size()) << row->name();
      const auto letters = domains(std::string(s.variant->domains));
      for (const ir::Param& p : s.params) {
        SCOPED_TRACE(std::string(row->name()) + " " + std::string(p.name));
        const auto at = text.find(std::string(p.name));
        ASSERT_NE(at, text.end());
        EXPECT_EQ(p.optional, at->second.optional);
        EXPECT_EQ(p.constant, at->second.constant);
        EXPECT_EQ(p.fallback, at->second.fallback);
        if (!p.letter.empty()) {
          EXPECT_EQ(at->second.types, std::set<std::string>{std::string(p.letter)});
          for (const std::string& t : letters.at(std::string(p.letter))) {
            // "...": every type that a tensor of a run can have.
            EXPECT_TRUE(t == "..." ? p.dtypes.has(DType::f32) && p.dtypes.has(DType::u16)
                                   : p.dtypes.has(dtype_from_name(t)))
                << t;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace graft::ops
