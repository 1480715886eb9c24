#include <cmath>
#include <iterator>

#include "report/parts.h"
#include "report/report.h"

namespace cli {
namespace {

std::string number(double v) { return format("{:.5g}", v); }

std::string snr_text(const Difference& d) {
  if (!d.same_type) return "-";
  if (!d.snr_db) return "equal";
  return std::isinf(*d.snr_db) ? "none" : format("{:.1f} dB", *d.snr_db);
}

std::string special_text(const Difference& d) {
  if (d.nans + d.infs + d.expected_nans + d.expected_infs == 0) return "none";
  return format("{} NaN, {} inf ({}, {} expected)", d.nans, d.infs, d.expected_nans, d.expected_infs);
}

}  // namespace

std::string TensorType::to_string() const { return format("{}[{}]", dtype, fmt::join(shape, ", ")); }

std::string Tolerance::to_string() const {
  return by_range ? format("largest error at most {:g} of the output's range", relative)
                  : format("SNR at least {:g} dB; classifiers of 10 classes or more: {:g} dB and the same first place",
                           snr_db, classifier_snr_db);
}

std::string not_accurate_text(const Verification& r) {
  std::vector<std::string> names;
  for (const Difference& d : r.outputs) {
    if (!d.ok) names.push_back(format("'{}' ({})", d.name, snr_text(d)));
  }
  for (const DrawCheck& d : r.draws) {
    if (d.typical && d.error.empty() && !d.accurate) names.push_back(format("'{}' of draw {}", d.output, d.name));
  }
  return format("not accurate enough: output {}; wanted: {}", fmt::join(names, ", "), r.tolerance.to_string());
}

std::string proves_text(const Verification& r) {
  if (!r.ran) return {};
  return r.from_package
             ? "the package, read back from disk and run by Graft's engine, computes what the ONNX graph does on the "
               "host; not how Core ML itself rounds, and not that the host is right about ONNX"
             : "the Core ML partitions, each read back from a package on disk and run by Graft's engine, compute with "
               "the "
               "rest on the host what the ONNX graph does there; not how Core ML itself rounds";
}

void placement_text(Page& page, const Placement& p) {
  page.item("requested", clean(p.requested));
  page.item("allowed", clean(p.allowed));
  page.item("planned", clean(p.planned));
}

void inputs_text(Page& page, const std::vector<InputTensor>& inputs, uint64_t seed) {
  bool first = true;
  for (const InputTensor& i : inputs) {
    std::string source = i.source == "random" ? format("random, seed {}", seed) : clean(i.source);
    if (!i.converted.empty()) source += format(" (converted from {})", i.converted);
    page.item(first ? "inputs" : "", format("{}  {}  {}", clean(i.name), i.type.to_string(), source));
    first = false;
  }
}

std::string text(const RunResult& r, Style style) {
  Page page(style.colour);
  const std::string steps = r.steps == 1 ? "" : format(" {} steps", r.steps);
  page.line(page.bold(clean(r.path)) +
            format("   loaded in {}, ran{} in {}", ms_text(r.load_ms), steps, ms_text(r.run_ms)));
  page.line();
  placement_text(page, r.placement);
  inputs_text(page, r.inputs, r.seed);
  ports_text(page, "states", r.states);
  page.line();
  for (const OutputTensor& o : r.outputs) {
    const std::string place = o.place < 0 ? "" : format("[{}]", o.place);
    page.line("  " + page.bold(clean(o.name) + place) + "  " + (o.dictionary ? "dictionary, " : "") +
              o.type.to_string());
    if (!o.strings.empty() && !o.dictionary) {
      std::vector<std::string> words;
      for (const std::string& s : o.strings) words.push_back(format("\"{}\"", clean(s)));
      page.line("    " + format("{}", fmt::join(words, ", ")));
    }
    if (o.numbers) {
      std::string words = format("min {}, max {}, mean {}", number(o.min), number(o.max), number(o.mean));
      if (o.nans + o.infs > 0) words += page.bad(format(", {} NaN, {} inf", o.nans, o.infs));
      page.line("    " + words);
    }
    for (const std::vector<Ranked>& row : o.top) {
      const bool labelled = std::any_of(row.begin(), row.end(), [](const Ranked& t) { return !t.label.empty(); });
      std::vector<std::vector<std::string>> rows = {{"index", "value", labelled ? "label" : ""}};
      for (const Ranked& t : row) rows.push_back({format("{}", t.index), number(t.value), clean(t.label)});
      page.table(rows, "    ", {0, 1}, true);
      if (&row != &o.top.back()) page.line();
    }
    if (!o.file.empty()) page.line("    " + page.faint("written to ") + clean(o.file));
  }
  for (const std::string& name : r.empty) page.line("  " + page.bold(clean(name)) + "  holds nothing");
  findings_text(page, r.findings);
  return page.take();
}

void draws_text(Page& page, const Verification& r) {
  if (r.draws.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"draw", "SNR at least", "", "what"}};
  for (const DrawCheck& d : r.draws) {
    const std::string snr = !d.snr_db                ? "exact"
                            : *d.snr_db == -HUGE_VAL ? "NaN or inf"
                                                     : format("{:.1f} dB", *d.snr_db);
    rows.push_back({d.name, d.error.empty() ? snr : "-",
                    !d.error.empty() ? "not run"
                    : d.accurate     ? page.good("ok")
                                     : page.bad(format("not accurate: {}", clean(d.output))),
                    d.error.empty() ? d.doc : clean(d.error)});
  }
  page.line();
  page.table(rows, "  ", {1}, true);
}

// What was drawn beside the inputs and is not accurate, by name.
std::string inaccurate_draws(const Verification& r, bool typical) {
  std::vector<std::string> names;
  for (const DrawCheck& d : r.draws) {
    if (d.error.empty() && !d.accurate && d.typical == typical) names.push_back(d.name);
  }
  return format("{}", fmt::join(names, ", "));
}

std::string text(const Verification& r, Style style) {
  Page page(style.colour);
  page.line(page.bold(clean(r.verdict.path)) + format("   {}, {}", r.verdict.target, r.verdict.precision));
  page.line();
  verdict_text(page, r.verdict);
  if (!r.ran) return page.take();
  inputs_text(page, r.inputs, r.seed);
  page.line();
  std::vector<std::vector<std::string>> rows = {
      {"output", "type", "max abs", "max rel", "SNR", "cosine", "NaN/inf", ""}};
  for (const Difference& d : r.outputs) {
    if (!d.same_type) {
      rows.push_back({clean(d.name), d.type, "-", "-", "-", "-", "-", page.bad("another type or shape")});
      continue;
    }
    rows.push_back({clean(d.name), d.type, format("{:.3g}", d.max_abs), format("{:.3g}", d.max_rel), snr_text(d),
                    format("{:.7f}", d.cosine), special_text(d), d.ok ? page.good("ok") : page.bad("not accurate")});
  }
  page.table(rows, "  ", {2, 3, 4, 5}, true);
  for (const Difference& d : r.outputs) {
    if (d.rows == 0) continue;
    page.line(format("  {}: first place agrees in {} of {}, {} of the first five in common", clean(d.name),
                     d.top1_equal, plural(d.rows, "row"), percent_text(d.top5_share)));
  }
  draws_text(page, r);
  if (r.layers_asked) {
    page.line();
    const auto layer = [&](std::string_view what, std::optional<size_t> at) {
      if (!at) return;
      const Difference& d = r.layers[*at];
      page.item(what, format("{} ({}), SNR {}, max abs {:.3g}", clean(d.name), d.op, snr_text(d), d.max_abs));
    };
    page.item("layers", format("{} compared by name", plural(std::ssize(r.layers), "intermediate")));
    if (r.first_bad)
      layer("first bad", r.first_bad);
    else if (!r.layers.empty())
      page.item("first bad", "none");
    layer("worst", r.worst);
  }
  if (r.diagnosis) diagnosis_text(page, *r.diagnosis);
  page.line();
  const std::string odd = inaccurate_draws(r, false);
  page.item("verdict", (r.accurate ? page.good("accurate") : page.bad("not accurate enough")) +
                           (odd.empty() ? "" : page.warn(", and not for inputs as drawn by: " + odd)));
  page.item("tolerance", r.tolerance.to_string());
  page.item("proves", (r.accurate ? "" : "that they differ: ") + proves_text(r));
  findings_text(page, r.verdict.findings);
  return page.take();
}

std::string text(const BenchResult& r, Style style) {
  Page page(style.colour);
  page.line(page.bold(clean(r.path)) + format("   {} on {}", plural(r.times.threads, "thread"), r.cpu));
  page.line();
  placement_text(page, r.placement);
  inputs_text(page, r.inputs, r.seed);
  page.line();
  page.table({{"load", ms_text(r.load_ms)},
              {"first run", ms_text(r.times.first_ms)},
              {"min", ms_text(r.times.min_ms)},
              {"median", page.bold(ms_text(r.times.median_ms))},
              {"p90", ms_text(r.times.p90_ms)},
              {"p99", ms_text(r.times.p99_ms)},
              {"peak memory", bytes_text(r.times.peak_rss_bytes)}},
             "  ", {1});
  page.line();
  page.line("  " + page.faint(format("{} after {} to warm up", plural(r.runs, "run"), r.warmup)));
  return page.take();
}

std::string text(const Compilation& r, Style style) {
  Page page(style.colour);
  if (!r.done) return page.take();  // the reason says it all
  const Inspection& v = r.verdict;
  page.line(page.bold(clean(r.output)) + format("   {} in {}", bytes_text(r.packages.empty() ? 0 : [&] {
              int64_t bytes = 0;
              for (const WrittenPackage& p : r.packages) bytes += p.bytes;
              return bytes;
            }()),
                                                ms_text(r.seconds * 1000)));
  page.line();
  page.item("from", clean(v.path));
  verdict_text(page, v);
  if (r.diagnosis) {
    inputs_text(page, r.inputs, r.seed);
    diagnosis_text(page, *r.diagnosis);
  }
  if (r.packages.size() > 1 || !v.whole) {
    std::vector<std::vector<std::string>> rows = {{"package", "nodes", "size"}};
    for (const WrittenPackage& p : r.packages)
      rows.push_back({clean(p.path), format("{}", p.nodes), bytes_text(p.bytes)});
    page.table(rows, "             ", {1, 2}, true);
    refusals_text(page, v);
  }
  findings_text(page, v.findings);
  return page.take();
}

}  // namespace cli
