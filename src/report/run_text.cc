#include <cmath>

#include "base/format.h"
#include "report/parts.h"
#include "report/report.h"

namespace graft::report {
namespace {

std::string number(double v) { return format("{:.5g}", v); }

std::string snr_text(const tools::Difference& d) {
  if (!d.same_type) return "-";
  if (!d.snr_db) return "equal";
  return std::isinf(*d.snr_db) ? "none" : format("{:.1f} dB", *d.snr_db);
}

std::string special_text(const tools::Difference& d) {
  if (d.nans + d.infs + d.reference_nans + d.reference_infs == 0) return "none";
  return format("{} NaN, {} inf ({}, {} expected)", d.nans, d.infs, d.reference_nans, d.reference_infs);
}

}  // namespace

void placement_text(Page& page, const session::Placement& p) {
  page.item("requested", clean(p.requested));
  page.item("allowed", clean(p.allowed));
  page.item("planned", clean(p.planned));
}

void inputs_text(Page& page, const std::vector<tools::InputTensor>& inputs, uint64_t seed) {
  bool first = true;
  for (const tools::InputTensor& i : inputs) {
    const std::string source = i.source == "random" ? format("random, seed {}", seed) : clean(i.source);
    page.item(first ? "inputs" : "",
              format("{}  {}  {}", clean(i.name), describe(i.tensor.dtype(), i.tensor.shape()), source));
    first = false;
  }
}

std::string text(const tools::RunResult& r, Style style) {
  Page page(style.colour);
  page.line(page.bold(clean(r.path)) + format("   loaded in {}, ran in {}", ms_text(r.load_ms), ms_text(r.run_ms)));
  page.line();
  placement_text(page, r.placement);
  inputs_text(page, r.inputs, r.seed);
  page.line();
  for (const tools::OutputTensor& o : r.outputs) {
    page.line("  " + page.bold(clean(o.name)) + "  " + describe(o.tensor.dtype(), o.tensor.shape()));
    if (is_float(o.tensor.dtype()) || is_int(o.tensor.dtype())) {
      std::string words = format("min {}, max {}, mean {}", number(o.min), number(o.max), number(o.mean));
      if (o.nans + o.infs > 0) words += page.bad(format(", {} NaN, {} inf", o.nans, o.infs));
      page.line("    " + words);
    }
    for (const std::vector<tools::Ranked>& row : o.top) {
      const bool labelled =
          std::any_of(row.begin(), row.end(), [](const tools::Ranked& t) { return !t.label.empty(); });
      std::vector<std::vector<std::string>> rows = {{"index", "value", labelled ? "label" : ""}};
      for (const tools::Ranked& t : row) rows.push_back({format("{}", t.index), number(t.value), clean(t.label)});
      page.table(rows, "    ", {0, 1}, true);
      if (&row != &o.top.back()) page.line();
    }
    if (!o.file.empty()) page.line("    " + page.faint("written to ") + clean(o.file));
  }
  findings_text(page, r.findings);
  return page.take();
}

std::string text(const tools::Verification& r, Style style) {
  Page page(style.colour);
  page.line(page.bold(clean(r.verdict.path)) + format("   {}, {}", r.verdict.target, r.verdict.precision));
  page.line();
  verdict_text(page, r.verdict);
  if (!r.ran) return page.take();
  inputs_text(page, r.inputs, r.seed);
  page.line();
  std::vector<std::vector<std::string>> rows = {
      {"output", "type", "max abs", "max rel", "SNR", "cosine", "NaN/inf", ""}};
  for (const tools::OutputCheck& o : r.outputs) {
    const tools::Difference& d = o.difference;
    if (!d.same_type) {
      rows.push_back({clean(o.name), o.type, "-", "-", "-", "-", "-", page.bad("another type or shape")});
      continue;
    }
    rows.push_back({clean(o.name), o.type, format("{:.3g}", d.max_abs), format("{:.3g}", d.max_rel), snr_text(d),
                    format("{:.7f}", d.cosine), special_text(d), o.ok ? page.good("ok") : page.bad("not accurate")});
  }
  page.table(rows, "  ", {2, 3, 4, 5}, true);
  for (const tools::OutputCheck& o : r.outputs) {
    if (o.difference.rows == 0) continue;
    page.line(format("  {}: first place agrees in {} of {}, {} of the first five in common", clean(o.name),
                     o.difference.top1_equal, plural(o.difference.rows, "row"), percent_text(o.difference.top5_share)));
  }
  if (r.layers_asked) {
    page.line();
    const auto layer = [&](std::string_view what, const std::optional<tools::LayerCheck>& c) {
      if (c)
        page.item(what, format("{} ({}), SNR {}, max abs {:.3g}", clean(c->name), c->op, snr_text(c->difference),
                               c->difference.max_abs));
    };
    page.item("layers", format("{} compared by name", plural(r.layers_compared, "intermediate")));
    if (r.first_bad)
      layer("first bad", r.first_bad);
    else if (r.layers_compared > 0)
      page.item("first bad", "none");
    layer("worst", r.worst);
  }
  page.line();
  page.item("verdict", r.accurate ? page.good("accurate") : page.bad("not accurate enough"));
  page.item("tolerance", r.tolerance.to_string());
  page.item("proves", r.accurate ? r.proves : "that they differ: " + r.proves);
  findings_text(page, r.verdict.findings);
  return page.take();
}

std::string text(const tools::BenchResult& r, Style style) {
  Page page(style.colour);
  page.line(page.bold(clean(r.path)) + format("   {} on {}", plural(r.threads, "thread"), r.cpu));
  page.line();
  placement_text(page, r.placement);
  inputs_text(page, r.inputs, r.seed);
  page.line();
  page.table({{"load", ms_text(r.load_ms)},
              {"first run", ms_text(r.first_ms)},
              {"min", ms_text(r.min_ms)},
              {"median", page.bold(ms_text(r.median_ms))},
              {"p90", ms_text(r.p90_ms)},
              {"p99", ms_text(r.p99_ms)},
              {"peak memory", bytes_text(r.peak_rss_bytes)}},
             "  ", {1});
  page.line();
  page.line("  " + page.faint(format("{} after {} to warm up", plural(r.runs, "run"), r.warmup)));
  return page.take();
}

std::string text(const tools::Compilation& r, Style style) {
  Page page(style.colour);
  if (!r.done) return page.take();  // the reason says it all
  const tools::Inspection& v = r.verdict;
  page.line(page.bold(clean(r.output)) + format("   {} in {}", bytes_text(r.packages.empty() ? 0 : [&] {
              int64_t bytes = 0;
              for (const tools::WrittenPackage& p : r.packages) bytes += p.bytes;
              return bytes;
            }()),
                                                ms_text(r.seconds * 1000)));
  page.line();
  page.item("from", clean(v.path));
  verdict_text(page, v);
  if (r.packages.size() > 1 || !v.whole) {
    std::vector<std::vector<std::string>> rows = {{"package", "nodes", "size"}};
    for (const tools::WrittenPackage& p : r.packages)
      rows.push_back({clean(p.path), format("{}", p.nodes), bytes_text(p.bytes)});
    page.table(rows, "             ", {1, 2}, true);
    refusals_text(page, v);
  }
  findings_text(page, v.findings);
  return page.take();
}

std::string reason(const tools::Compilation& r) {
  if (r.done) return {};
  const tools::Inspection& v = r.verdict;
  if (v.unusable) return render(*v.unusable);
  Diag d;
  d.code = Code::not_delegated;
  d.file = v.path;
  d.message = format("{} of {} nodes cannot be part of the Core ML program, so nothing was written", v.host, v.total);
  if (v.host == 0)
    d.message = v.pieces.empty() ? "nothing is left to compute in Core ML: every output is a constant or an input"
                                 : "the graph does not fit one Core ML program, so nothing was written";
  if (!v.pieces.empty()) d.remedies.push_back("--allow-partial -o DIR (a package for each partition)");
  if (!v.missing.empty()) d.inner.push_back(onnx::describe_missing(v.missing));
  for (const Diag& i : v.refusals) {
    d.inner.push_back(i);
    d.inner.back().file.clear();
  }
  return render(d);
}

std::string reason(const tools::Verification& r) {
  if (!r.ran) {
    tools::Compilation none;
    none.verdict = r.verdict;
    if (r.verdict.unusable || r.verdict.host == 0) return reason(none);
    Diag d;
    d.code = Code::not_delegated;
    d.file = r.verdict.path;
    d.message = "no node can be part of a Core ML program, so there is nothing to verify";
    if (!r.verdict.missing.empty()) d.inner.push_back(onnx::describe_missing(r.verdict.missing));
    for (const Diag& i : r.verdict.refusals) {
      d.inner.push_back(i);
      d.inner.back().file.clear();
    }
    return render(d);
  }
  if (r.accurate) return {};
  Diag d;
  d.code = Code::not_accurate;
  d.file = r.verdict.path;
  std::vector<std::string> names;
  for (const tools::OutputCheck& o : r.outputs) {
    if (!o.ok) names.push_back(format("'{}' ({})", o.name, snr_text(o.difference)));
  }
  d.message = format("not accurate enough: output {}; wanted: {}", join(names, ", "), r.tolerance.to_string());
  return render(d);
}

}  // namespace graft::report
