// The tool's verbs as rows: their names, help and options, and what runs them. The command's help pages, the C ABI's
// listing and the parsing of options all come from here.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diag.h"
#include "base/env.h"

namespace graft::api {

enum OptionFlags : int {
  kNone = 0,
  kPositional = 1,
  kRequired = 2,
  kRepeated = 4,
  kSwitch = 8,
  kPath = 16,
  kSession = 32  // one of the session's own options, under its name but for the dashes
};

struct VerbOption {
  std::string name, letter, value, doc;
  int flags = kNone;
};

struct Report {
  int exit_code = 0;
  std::function<std::string(bool colour)> text;
  std::string reason, json;
};

class VerbArguments;

struct Verb {
  const char *name, *summary, *help;
  std::vector<VerbOption> options;
  Result<Report> (*run)(const VerbArguments& arguments, std::shared_ptr<const Env> env);
};

std::span<const Verb> all_verbs();

using NamedValues = std::vector<std::pair<std::string, std::string>>;

// Errors: unknown_option (the verb, or an option that it does not have), invalid_option (a missing, repeated or wrong
// value), and what the verb's work reports.
Result<Report> run_verb(std::string_view verb, const NamedValues& options, std::shared_ptr<const Env> env);

}  // namespace graft::api
