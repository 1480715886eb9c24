// The tool's verbs as rows: their names, help and options, and what runs them. Help pages, the parser and the checks of
// options all come from here.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/graft.hpp>

namespace cli {

enum OptionFlags : int {
  kNone = 0,
  kPositional = 1,  // given by place on a command line
  kRequired = 2,
  kRepeated = 4,  // may be given several times
  kSwitch = 8,    // takes no value on a command line; "1" or "0" here
  kPath = 16,     // a file or folder; may not be empty
  kSession = 32   // one of the session's own options, under its name but for the dashes
};

struct VerbOption {
  std::string name;    // "target"; `--target` on a command line
  std::string letter;  // "o" for `-o`, else empty
  std::string value;   // what stands for the value in help: "OUT.mlpackage"; empty for switches
  std::string doc;
  int flags = kNone;
};

struct Report {
  int exit_code = 0;  // 0 done; 1 refused or failed; 3 done, but not accurate enough
  std::function<std::string(bool colour)> text;
  std::string reason;  // why the exit code is not 0
  std::string json;    // one object with a "schema"
};

class Arguments;
struct Context {
  const graft::Env& env;
  std::function<void(std::string_view stage, double fraction)> progress;  // may be empty
};

struct Verb {
  std::string_view name, summary, help;
  std::vector<VerbOption> options;
  Report (*run)(const Arguments& arguments, const Context& context);
};

std::span<const Verb> verbs();

// Does what the verb says and reports. Options by name; a repeated one is given as several entries. A report whose exit
// code is not 0 means: the verb did its work, and the answer is "no". `env`: but for its threads, which are an option.
// Throws graft::Error: unknown_option, invalid_option (a missing, repeated or wrong value), and what makes an answer
// impossible (a missing or broken file).
Report run_verb(const Verb& verb, const graft::Options& options, graft::EnvOptions env = {});

}  // namespace cli
