// The command `graft`: arguments in, reports out. What the verbs are, which options they have and what they do is in
// verbs.h; this file only knows command lines, terminals and exit codes.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>

#include <CLI/CLI.hpp>

#include "gather.h"
#include "help.h"
#include "progress.h"
#include "report/report.h"
#include "suggest.h"
#include "verbs.h"

namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2;

struct Common {
  bool json = false;
  std::string colour = "auto";
};

// One verb's place in the parser, with what was given.
struct Command {
  const cli::Verb& verb;
  CLI::App* app = nullptr;
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> switches;
};

// What was to be said on stdout must have arrived, or scripts go on with half of it.
void print(FILE* to, std::string_view text) {
  errno = 0;
  std::fwrite(text.data(), 1, text.size(), to);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', to);
  if (to == stdout && (std::ferror(to) != 0 || std::fflush(to) != 0))
    throw std::runtime_error(std::string("cannot write to standard output: ") + std::strerror(errno));
}

bool colours(const Common& common, int fd) {
  if (common.colour == "always") return true;
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool wanted = (no_color == nullptr || *no_color == '\0') && term != nullptr && std::string_view(term) != "dumb";
  return common.colour == "auto" && wanted && isatty(fd) != 0;
}

void add_common(CLI::App& app, Common& common) {
  app.add_flag("--json", common.json);
  app.add_option("--color", common.colour)->check(CLI::IsMember({"auto", "always", "never"}));
}

std::string names_of(const cli::VerbOption& o) {
  std::string names;
  if (!o.letter.empty()) names = "-" + std::string(o.letter) + ",";
  return names + "--" + std::string(o.name);
}

void add_verb(CLI::App& app, Command& command, Common& common) {
  command.app = app.add_subcommand(std::string(command.verb.name), "");
  CLI::App& sub = *command.app;
  sub.set_help_flag("-h,--help", "");
  sub.allow_extras();
  for (const cli::VerbOption& o : command.verb.options) {
    const std::string name(o.name);
    if ((o.flags & cli::kSwitch) != 0) {
      sub.add_flag(names_of(o), command.switches[name]);
      continue;
    }
    if ((o.flags & cli::kPositional) != 0) continue;  // what is left over, in order: see take_positionals
    CLI::Option* option = sub.add_option(names_of(o), command.values[name])->expected(1);
    if ((o.flags & cli::kRepeated) != 0) option->expected(1, 1 << 20)->type_size(1)->allow_extra_args(false);
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

int unknown_option(const Command& command, const std::string& extra) {
  const std::string word = extra.substr(0, extra.find('='));
  std::vector<std::string> names = {"--json", "--help", "--color"};
  for (const cli::VerbOption& o : command.verb.options) {
    if ((o.flags & cli::kPositional) == 0) names.push_back("--" + std::string(o.name));
  }
  return wrong_usage("unknown option '" + word + "'", nearest(word, names), command.verb.name);
}

// What the parser left over fills the verb's places in order. Returns an exit code when something is wrong.
int take_positionals(Command& command) {
  std::vector<std::string> extras = command.app->remaining();
  for (const std::string& e : extras) {
    if (e.size() > 1 && e.starts_with("-") && e != "--") return unknown_option(command, e);
  }
  std::erase(extras, "--");
  size_t taken = 0;
  for (const cli::VerbOption& o : command.verb.options) {
    if ((o.flags & cli::kPositional) == 0) continue;
    if (taken < extras.size())
      command.values[std::string(o.name)] = {extras[taken++]};
    else if ((o.flags & cli::kRequired) != 0)
      return wrong_usage(std::string(o.value) + " is missing", "", command.verb.name);
  }
  if (taken == extras.size()) return kDone;
  return wrong_usage("'" + extras[taken] + "' is one argument too many", "", command.verb.name);
}

bool is_usage(graft_code code) {
  return code == GRAFT_CODE_UNKNOWN_OPTION || code == GRAFT_CODE_INVALID_OPTION || code == GRAFT_CODE_NOT_AVAILABLE_YET;
}

graft::Options options_of(const Command& command) {
  graft::Options options;
  for (const cli::VerbOption& o : command.verb.options) {
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
  try {
    const cli::Report report = cli::run_verb(command.verb, options_of(command), std::move(env_options));
    progress.stop();
    print(stdout, common.json ? report.json : report.text(colours(common, STDOUT_FILENO)));
    if (!report.reason.empty()) print(stderr, "graft: " + report.reason);
    return report.exit_code;
  } catch (const graft::Error& e) {
    progress.stop();
    print(stderr, std::string("graft: ") + e.what());
    if (common.json) print(stdout, cli::json(cli::problem_of(e.reason())));
    if (!is_usage(e.code())) return kFailed;
    std::fprintf(stderr, "See graft %s --help.\n", std::string(command.verb.name).c_str());
    return kUsage;
  }
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("", "graft");
  app.set_help_flag("-h,--help", "");
  app.set_version_flag("--version", "graft " + std::string(graft::version()));
  app.require_subcommand(0, 1);
  app.allow_extras();
  Common common;
  std::vector<Command> commands;
  const std::span<const cli::Verb> verbs = cli::verbs();
  for (const cli::Verb& v : verbs) commands.push_back({v, nullptr, {}, {}});
  for (Command& c : commands) add_verb(app, c, common);  // the vector no longer moves

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    for (const Command& c : commands) {
      if (c.app->parsed()) return print(stdout, cli::help_of(c.verb)), kDone;
    }
    return print(stdout, cli::help_of(verbs)), kDone;
  } catch (const CLI::CallForVersion& e) {
    print(stdout, e.what());
    return kDone;
  } catch (const CLI::ParseError& e) {
    const auto subs = app.get_subcommands();
    return wrong_usage(e.what(), "", subs.empty() ? "" : subs[0]->get_name());
  }
  for (Command& c : commands) {
    if (!c.app->parsed()) continue;
    const int wrong = take_positionals(c);
    return wrong != kDone ? wrong : run(c, common);
  }
  const std::vector<std::string> extras = app.remaining();
  if (extras.empty()) {
    print(stderr, cli::help_of(verbs));
    return kUsage;
  }
  std::vector<std::string> names;
  for (const Command& c : commands) names.emplace_back(c.verb.name);
  return extras[0].starts_with("-")
             ? wrong_usage("unknown option '" + extras[0] + "'", nearest(extras[0], {"--help", "--version"}), "")
             : wrong_usage("unknown verb '" + extras[0] + "'", nearest(extras[0], names), "");
}

// A file that is opened later must not get the number of a closed standard stream, or reports would be written into it.
// The stand-ins take no output and give no input, so that a closed stdout stays an error.
void occupy_closed_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) std::_Exit(kFailed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  occupy_closed_streams();
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "graft: %s\n", e.what());
    return kFailed;
  }
}
