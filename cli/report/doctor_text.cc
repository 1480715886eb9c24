// What the precision doctor found, for people.
#include <cmath>

#include "report/parts.h"
#include "report/report.h"

namespace cli {
namespace {

using fmt::format;

std::string decibels(const std::optional<double>& db) {
  if (!db) return "exact";
  return *db == -HUGE_VAL ? "NaN or infinite" : format("{:.1f} dB", *db);
}

// In quotes for a shell, where it needs them.
std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,=";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string s = "'";
  for (const char c : word) s += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return s + "'";
}

std::vector<std::string> cells(const Diagnosis::Suspect& s) {
  return {clean(s.node), clean(s.op), s.loss, decibels(s.operands_snr_db), decibels(s.snr_db)};
}

}  // namespace

std::string not_accurate_text(const Diagnosis& d) {
  std::vector<std::string> names;
  for (const Difference& o : d.after) {
    if (!o.ok) names.push_back(format("'{}' ({})", o.name, decibels(o.snr_db)));
  }
  return format("not accurate enough: output {}; {}", fmt::join(names, ", "), d.reason);
}

void diagnosis_text(Page& page, const Diagnosis& d) {
  constexpr size_t kShown = 8;
  page.line();
  std::vector<std::vector<std::string>> rows = {{"node", "operator", "loss", "operands", "result"}};
  size_t kept = 0;
  for (const Diagnosis::Suspect& s : d.suspects) {
    kept += s.kept;
    if (s.kept || (rows.size() <= kShown && s.snr_db && !d.accurate_before)) {
      rows.push_back(cells(s));
      rows.back().push_back(s.kept ? page.bold("kept in fp32") : "");
    }
  }
  rows[0].emplace_back();
  if (d.accurate_before) {
    page.item("doctor", page.good("healthy") + ": accurate with what is kept in fp32 already");
    return;
  }
  page.item("doctor",
            format("{} of {} in fp32 {}, after {}", kept, plural(std::ssize(d.suspects), "node"),
                   d.accurate ? "to be accurate" : "are not enough to be accurate", plural(d.attempts, "attempt")));
  page.table(rows, "             ", {3, 4}, true);
  std::vector<std::vector<std::string>> outputs = {{"output", "SNR before", "after", ""}};
  for (size_t i = 0; i < d.after.size() && i < d.before.size(); ++i)
    outputs.push_back({clean(d.after[i].name), decibels(d.before[i].snr_db), decibels(d.after[i].snr_db),
                       d.after[i].ok ? page.good("ok") : page.bad("not accurate")});
  page.line();
  page.table(outputs, "             ", {1, 2}, true);
  if (!d.reason.empty()) page.item("reason", d.reason);
  if (!d.keep_fp32.empty())
    page.line(format("  apply      graft compile {} -o OUT.mlpackage --keep-fp32 {}", quoted(clean(d.path)),
                     quoted(clean(d.keep_fp32))));  // in one line, to be copied
}

}  // namespace cli
