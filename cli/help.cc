#include "help.h"

#include <algorithm>

#include "report/text.h"

namespace cli {
namespace {

constexpr size_t kColumns = 100;

struct Row {
  std::string left;
  std::string_view right;
};

// Two columns; the right one is wrapped under itself.
std::string columns(const std::vector<Row>& rows) {
  size_t column = 0;
  for (const Row& r : rows) column = std::max(column, width(r.left) + 4);
  std::string out;
  for (const Row& r : rows) {
    std::string line = "  " + r.left + std::string(column - 2 - width(r.left), ' ');
    std::string_view words = r.right;
    bool first = true;
    while (!words.empty()) {
      const size_t end = std::min(words.find(' '), words.size());
      if (!first && width(line) + 1 + width(words.substr(0, end)) > kColumns) {
        out += line + "\n";
        line = std::string(column, ' ');
        first = true;
      }
      if (!first) line += ' ';
      line += words.substr(0, end);
      first = false;
      words.remove_prefix(std::min(end + 1, words.size()));
    }
    out += line + "\n";
  }
  return out;
}

const std::vector<Row>& common_rows() {
  static const std::vector<Row> kRows = {
      {"--json", "one JSON object on stdout, and nothing else there"},
      {"--color WHEN", "auto, always or never; default: auto, which is only on a terminal"},
      {"-h, --help", "this page"}};
  return kRows;
}

std::string usage_part(const VerbOption& o) {
  const bool required = (o.flags & kRequired) != 0;
  const std::string value(o.value);
  if ((o.flags & kPositional) != 0) return " " + value;
  return required ? " " + (o.letter.empty() ? "--" + std::string(o.name) : "-" + std::string(o.letter)) + " " + value
                  : "";
}

}  // namespace

std::string help_of(const Verb& verb) {
  std::string out = std::string(verb.summary) + ".\n\nUsage: graft " + std::string(verb.name);
  for (const VerbOption& o : verb.options) out += usage_part(o);
  out += " [OPTION]...\n\n" + std::string(verb.help) + "\nOptions:\n";
  std::vector<Row> rows;
  for (const VerbOption& o : verb.options) {
    std::string left;
    if ((o.flags & kPositional) != 0)
      left = o.value;
    else
      left = (o.letter.empty() ? "" : "-" + std::string(o.letter) + ", ") + "--" + std::string(o.name) +
             (o.value.empty() ? "" : " " + std::string(o.value)) + ((o.flags & kRepeated) != 0 ? " …" : "");
    rows.push_back({std::move(left), o.doc});
  }
  rows.insert(rows.end(), common_rows().begin(), common_rows().end());
  out += columns(rows);
  return out +
         "\nExit codes: 0 done; 1 refused or failed, the reason is on stderr; 2 wrong usage; 3 done, but not accurate "
         "enough.\n";
}

std::string help_of(std::span<const Verb> verbs) {
  std::string out =
      "Runs ONNX models on Apple's Core ML, and compiles, checks and runs the same Core ML programs on any machine.\n\n"
      "Usage: graft VERB [ARGUMENT]...\n\nVerbs:\n";
  std::vector<Row> rows;
  for (const Verb& v : verbs) rows.push_back({std::string(v.name), v.summary});
  return out + columns(rows) +
         "\nStart with:\n  graft inspect MODEL.onnx    what Core ML would take of a model, and why not all of it\n"
         "  graft VERB --help           what a verb does, its options, examples\n"
         "  graft --version\n";
}

}  // namespace cli
