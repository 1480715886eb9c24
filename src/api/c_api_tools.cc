// The C ABI: the tool's verbs.
#include "api/handles.h"
#include "base/format.h"

using graft::format;
using graft::Status;
using graft::api::check_struct;
using graft::api::guarded;
using graft::api::invalid;

// The rows' flags are the ABI's.
static_assert(int{GRAFT_OPTION_POSITIONAL} == int{graft::api::kPositional});
static_assert(int{GRAFT_OPTION_REQUIRED} == int{graft::api::kRequired});
static_assert(int{GRAFT_OPTION_REPEATED} == int{graft::api::kRepeated});
static_assert(int{GRAFT_OPTION_SWITCH} == int{graft::api::kSwitch});
static_assert(int{GRAFT_OPTION_PATH} == int{graft::api::kPath});

extern "C" {

size_t graft_verb_count(void) { return graft::api::all_verbs().size(); }

graft_error* graft_verb(size_t index, graft_verb_info* out) {
  return guarded([&]() -> Status {
    const auto verbs = graft::api::all_verbs();
    if (index >= verbs.size()) return invalid(format("index {} of {}", index, verbs.size()));
    GRAFT_CHECK(check_struct(out, "the struct to fill"));
    out->name = verbs[index].name;
    out->summary = verbs[index].summary;
    out->help = verbs[index].help;
    out->option_count = verbs[index].options.size();
    return {};
  });
}

graft_error* graft_verb_option(size_t verb, size_t index, graft_verb_option_info* out) {
  return guarded([&]() -> Status {
    const auto verbs = graft::api::all_verbs();
    if (verb >= verbs.size() || index >= verbs[verb].options.size())
      return invalid(format("there is no option {} of verb {}", index, verb));
    GRAFT_CHECK(check_struct(out, "the struct to fill"));
    const graft::api::VerbOption& o = verbs[verb].options[index];
    out->name = o.name.c_str();
    out->letter = o.letter.c_str();
    out->value = o.value.c_str();
    out->doc = o.doc.c_str();
    out->flags = o.flags & ~graft::api::kSession;
    return {};
  });
}

graft_error* graft_tool_run(const graft_env* env, const char* verb, const char* const* names, const char* const* values,
                            size_t count, graft_report** out) {
  return guarded([&]() -> Status {
    if (env == nullptr || verb == nullptr || out == nullptr) return invalid("env, verb or out is null");
    GRAFT_TRY(const graft::api::NamedValues pairs, graft::api::read_pairs(names, values, count));
    GRAFT_TRY(graft::api::Report r, graft::api::run_verb(verb, pairs, env->env));
    auto report = std::make_unique<graft_report>();
    report->exit_code = r.exit_code;
    report->plain = r.text(false);
    report->coloured = r.text(true);
    report->reason = std::move(r.reason);
    report->json = std::move(r.json);
    *out = report.release();
    return {};
  });
}

int32_t graft_report_exit_code(const graft_report* report) { return report == nullptr ? -1 : report->exit_code; }
const char* graft_report_text(const graft_report* report, int32_t colour) {
  if (report == nullptr) return "";
  return colour != 0 ? report->coloured.c_str() : report->plain.c_str();
}
const char* graft_report_reason(const graft_report* report) { return report == nullptr ? "" : report->reason.c_str(); }
const char* graft_report_json(const graft_report* report) { return report == nullptr ? "" : report->json.c_str(); }
void graft_report_free(graft_report* report) { delete report; }

}  // extern "C"
