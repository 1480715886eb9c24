// The command `graft`: arguments in, reports out. What the verbs are, which options they have and what they do is all
// asked of the library; this file only knows command lines, terminals and exit codes.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>
#include <graft/graft.hpp>

#include "progress.h"
#include "suggest.h"

namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2;

struct Common {
  bool json = false;
  std::string colour = "auto";
};

// One verb's place in the parser, with what was given.
struct Command {
  graft::Verb verb;
  CLI::App* app = nullptr;
  std::vector<std::string> texts;  // unused: keeps option order simple
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> switches;
};

void print(FILE* to, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), to);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', to);
}

bool colours(const Common& common, int fd) {
  if (common.colour == "always") return true;
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool wanted = (no_color == nullptr || *no_color == '\0') && term != nullptr && std::string_view(term) != "dumb";
  return common.colour == "auto" && wanted && isatty(fd) != 0;
}

void add_common(CLI::App& app, Common& common) {
  app.add_flag("--json", common.json, "one JSON object on stdout, and nothing else there");
  app.add_option("--color", common.colour, "auto, always or never; default: auto (only on a terminal)")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}));
}

// Help as it is read: summary, usage, options, then the words and the example.
class Help : public CLI::Formatter {
 public:
  std::string make_footer(const CLI::App* app) const override { return "\n" + app->get_footer() + "\n"; }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0 || option->get_type_name().empty()) return "";
    return " " + option->get_type_name();
  }
  std::string make_option_usage(const CLI::Option* option) const override { return option->get_type_name(); }
};

std::string names_of(const graft::VerbOption& o) {
  std::string names;
  if (!o.letter.empty()) names = "-" + std::string(o.letter) + ",";
  return names + "--" + std::string(o.name);
}

void add_verb(CLI::App& app, Command& command, Common& common) {
  command.app = app.add_subcommand(std::string(command.verb.name), std::string(command.verb.summary));
  CLI::App& sub = *command.app;
  sub.set_help_flag("-h,--help", "this page");
  sub.allow_extras();
  sub.footer(
      std::string(command.verb.help) +
      "\nExit codes: 0 done; 1 refused or failed, the reason is on stderr; 2 wrong usage; 3 done, but not accurate "
      "enough.");
  for (const graft::VerbOption& o : command.verb.options) {
    const std::string name(o.name), doc(o.doc);
    if ((o.flags & GRAFT_OPTION_SWITCH) != 0) {
      sub.add_flag(names_of(o), command.switches[name], doc);
      continue;
    }
    CLI::Option* option =
        sub.add_option((o.flags & GRAFT_OPTION_POSITIONAL) != 0 ? name : names_of(o), command.values[name], doc);
    option->type_name(std::string(o.value))->expected(1);
    if ((o.flags & GRAFT_OPTION_REPEATED) != 0) option->expected(1, 1 << 20)->type_size(1)->allow_extra_args(false);
    if ((o.flags & GRAFT_OPTION_REQUIRED) != 0) option->required();
  }
  add_common(sub, common);
}

int wrong_usage(const std::string& what, const std::string& hint, std::string_view verb) {
  std::fprintf(stderr, "graft: %s\n", what.c_str());
  if (!hint.empty()) std::fprintf(stderr, "Did you mean %s?\n", hint.c_str());
  if (verb.empty())
    std::fprintf(stderr, "See graft --help.\n");
  else
    std::fprintf(stderr, "See graft %.*s --help.\n", static_cast<int>(verb.size()), verb.data());
  return kUsage;
}

// An argument that the parser could place nowhere.
int unknown(const Command& command, const std::string& extra) {
  const std::string word = extra.substr(0, extra.find('='));
  if (!word.starts_with("-")) return wrong_usage("'" + extra + "' is one argument too many", "", command.verb.name);
  std::vector<std::string> names = {"--json", "--help", "--color"};
  for (const graft::VerbOption& o : command.verb.options) {
    if ((o.flags & GRAFT_OPTION_POSITIONAL) == 0) names.push_back("--" + std::string(o.name));
  }
  return wrong_usage("unknown option '" + word + "'", nearest(word, names), command.verb.name);
}

bool is_usage(graft_code code) {
  return code == GRAFT_CODE_UNKNOWN_OPTION || code == GRAFT_CODE_INVALID_OPTION || code == GRAFT_CODE_NOT_AVAILABLE_YET;
}

graft::Options options_of(const Command& command) {
  graft::Options options;
  for (const graft::VerbOption& o : command.verb.options) {
    const std::string name(o.name);
    if (const auto at = command.switches.find(name); at != command.switches.end() && at->second)
      options.push_back({name, "1"});
    if (const auto at = command.values.find(name); at != command.values.end()) {
      for (const std::string& v : at->second) options.push_back({name, v});
    }
  }
  return options;
}

int run(const Command& command, const Common& common) {
  Progress progress(isatty(STDERR_FILENO) != 0);
  graft::EnvOptions env_options;
  env_options.progress = [&](std::string_view stage, double fraction) { progress.update(stage, fraction); };
  env_options.log = [](graft_log_level level, std::string_view text) {
    if (level >= GRAFT_LOG_WARNING) std::fprintf(stderr, "graft: %.*s\n", static_cast<int>(text.size()), text.data());
  };
  const graft::Env env(std::move(env_options));
  try {
    const graft::Report report = graft::tool(env, std::string(command.verb.name), options_of(command));
    progress.stop();
    print(stdout, common.json ? report.json() : report.text(colours(common, STDOUT_FILENO)));
    if (std::fflush(stdout) != 0) {
      std::fprintf(stderr, "graft: cannot write to standard output\n");
      return kFailed;
    }
    if (!report.reason().empty()) print(stderr, "graft: " + std::string(report.reason()));
    return report.exit_code();
  } catch (const graft::Error& e) {
    progress.stop();
    if (common.json) print(stdout, e.json());
    print(stderr, std::string("graft: ") + e.what());
    if (!is_usage(e.code())) return kFailed;
    std::fprintf(stderr, "See graft %s --help.\n", std::string(command.verb.name).c_str());
    return kUsage;
  }
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Runs ONNX models on Apple's Core ML, and compiles, checks and runs the same Core ML programs anywhere.",
               "graft");
  app.formatter(std::make_shared<Help>());
  app.set_help_flag("-h,--help", "this page");
  app.set_version_flag("--version", "graft " + std::string(graft::version()));
  app.require_subcommand(0, 1);
  app.allow_extras();
  app.footer(
      "Start with:\n\n  graft inspect MODEL.onnx      what Core ML would take of a model\n"
      "  graft VERB --help             options and examples of a verb\n");
  Common common;
  std::vector<Command> commands;
  for (graft::Verb& v : graft::verbs()) commands.push_back({std::move(v), nullptr, {}, {}, {}});
  for (Command& c : commands) add_verb(app, c, common);  // the vector no longer moves

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto subs = app.get_subcommands();
    print(stdout, subs.empty() ? app.help() : subs[0]->help());
    return kDone;
  } catch (const CLI::CallForVersion& e) {
    print(stdout, e.what());
    return kDone;
  } catch (const CLI::ParseError& e) {
    const auto subs = app.get_subcommands();
    // A mistyped option makes others look missing: it is the mistake to name.
    for (const Command& c : commands) {
      if (subs.empty() || c.app != subs[0]) continue;
      for (const std::string& extra : c.app->remaining()) {
        if (extra.starts_with("-")) return unknown(c, extra);
      }
    }
    return wrong_usage(e.what(), "", subs.empty() ? "" : subs[0]->get_name());
  }
  for (const Command& c : commands) {
    if (!c.app->parsed()) continue;
    if (const auto extras = c.app->remaining(); !extras.empty()) return unknown(c, extras[0]);
    return run(c, common);
  }
  const std::vector<std::string> extras = app.remaining();
  if (extras.empty()) {
    print(stderr, app.help());
    return kUsage;
  }
  std::vector<std::string> names;
  for (const Command& c : commands) names.emplace_back(c.verb.name);
  return extras[0].starts_with("-")
             ? wrong_usage("unknown option '" + extras[0] + "'", nearest(extras[0], {"--help", "--version"}), "")
             : wrong_usage("unknown verb '" + extras[0] + "'", nearest(extras[0], names), "");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "graft: %s\n", e.what());
    return kFailed;
  }
}
