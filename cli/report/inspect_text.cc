#include <map>
#include <tuple>
#include <unordered_set>

#include "report/parts.h"
#include "report/report.h"
#include "report/text.h"

namespace cli {

std::string dims_text(const PortInfo& p) {
  if (!p.has_shape) return "";
  std::string s = "[";
  for (const PortInfo::Dim& d : p.dims) {
    if (s.size() > 1) s += ", ";
    s += clean(d.text);
    if (d.value < 0 && d.hi < INT32_MAX) s += format(" {}..{}", d.lo, d.hi);
  }
  return s + "]";
}

void ports_text(Page& page, std::string_view title, const std::vector<PortInfo>& ports) {
  size_t wide = 0;
  for (const PortInfo& p : ports) wide = std::max(wide, width(clean(p.name)));
  constexpr size_t kMost = 40;
  bool first = true;
  for (const PortInfo& p : ports) {
    const std::string name = clean(p.name);
    const std::string pad(std::min(wide, kMost) - std::min({width(name), wide, kMost}), ' ');
    std::string line = "  " + page.faint(first ? title : "");
    line += std::string(11 - (first ? title.size() : 0), ' ') + page.bold(name) + pad + "  " + clean(p.type) + " " +
            dims_text(p);
    page.line(line);
    first = false;
  }
}

void operators_text(Page& page, const std::vector<OperatorCount>& operators) {
  std::string words;
  for (const OperatorCount& o : operators) {
    if (!words.empty()) words += ", ";
    words += clean(o.domain.empty() ? o.op : o.domain + "." + o.op) + "\u00a0" + format("{}", o.count);
  }
  page.item("operators", words);
}

// One verdict line and the refusals under it.
void verdict_text(Page& page, const Inspection& r) {
  if (r.unusable) {
    page.line("  " + page.bold("Core ML") + "    " + page.bad("no verdict: the model cannot be looked at as a whole"));
    page.block(r.unusable->text, "    ");
    return;
  }
  const std::string target = r.target.empty() ? "" : format(", {}, {}", r.target, r.precision);
  const std::string partitions = plural(static_cast<int64_t>(r.partitions.size()), "partition");
  std::string head;
  if (r.whole)
    head = page.good("the whole graph") + format(" in 1 partition{}", target);
  else if (!r.partitions.empty())
    head = page.warn("a part of the graph") + format(" in {}{}", partitions, target);
  else
    head = page.bad("nothing");
  page.line("  " + page.bold("Core ML") + "    " + head);
  const int compute = r.total - r.folded;
  std::string share = format("{} of {} nodes", r.claimed, compute);
  if (compute > 0) share += format(" ({})", percent_text(static_cast<double>(r.claimed) / compute));
  if (r.folded > 0) share += format(", {} more folded", r.folded);
  if (r.flops_total > 0)
    share += format("; {} of {}FLOP", percent_text(r.flops_claimed / r.flops_total), count_text(r.flops_total));
  page.item("", share);
}

void refusals_text(Page& page, const Inspection& r) {
  if (!r.missing.empty()) {
    page.line();
    page.line("  " + page.bad("unsupported operators") + page.faint("  (the model can be inspected, not run)"));
    std::vector<std::vector<std::string>> rows;
    for (const MissingOperator& m : r.missing) {
      std::string names;
      constexpr size_t kShown = 4;
      for (size_t i = 0; i < std::min(kShown, m.nodes.size()); ++i) names += (i == 0 ? "" : ", ") + clean(m.nodes[i]);
      if (m.nodes.size() > kShown) names += format(", and {} more", m.nodes.size() - kShown);
      rows.push_back({clean(m.domain.empty() ? m.op : m.domain + "." + m.op), format("{}x", m.nodes.size()), names});
    }
    page.table(rows, "    ", {1});
  }
  // Many nodes are refused for one reason: shown once, with the nodes it holds for. What stands behind an unsupported
  // operator is refused for that operator's sake: it only hides the other reasons, so it gets one line.
  std::vector<std::pair<const Problem*, std::vector<std::string>>> groups;
  std::map<std::tuple<graft_code, std::string_view, std::vector<std::string>>, size_t> same;
  std::vector<const Problem*> behind, cheap;
  std::unordered_set<std::string_view> missing;
  for (const MissingOperator& m : r.missing) missing.insert(m.op);
  for (const Problem& d : r.refusals) {
    if (r.unusable) break;
    if (d.code == GRAFT_CODE_UNKNOWN_TYPE && !missing.empty()) {
      behind.push_back(&d);
      continue;
    }
    if (d.code == GRAFT_CODE_NOT_WORTH_IT) {
      cheap.push_back(&d);
      continue;
    }
    if (d.code == GRAFT_CODE_UNSUPPORTED_OPERATOR && missing.contains(d.op) && d.inner.empty()) continue;
    if (!d.inner.empty()) {
      groups.push_back({&d, {d.node}});
      continue;
    }
    const auto [at, first] = same.emplace(std::tuple(d.code, std::string_view(d.message), d.remedies), groups.size());
    if (first) groups.emplace_back(&d, std::vector<std::string>());
    groups[at->second].second.push_back(d.node);
  }
  if (groups.empty() && behind.empty() && cheap.empty()) return;
  page.line();
  page.line("  " + page.warn(format("left on the host: {}", plural(r.host, "node"))));
  constexpr size_t kShown = 40;
  for (size_t i = 0; i < std::min(groups.size(), kShown); ++i) {
    const auto& [d, nodes] = groups[i];
    std::string where = clean(nodes[0]);
    if (nodes.size() > 1) where += format(" and {} more", nodes.size() - 1);
    if (r.flops_total > 0 && d->cut_flops >= 0.01 * r.flops_total)
      where += format(", cuts off {} of the work", percent_text(d->cut_flops / r.flops_total));
    page.line("    " + page.bold(clean(d->op)) + "  " + where);
    page.block(format("{} [{}]", d->message, d->code_name), "      ");
    for (const Problem& inner : d->inner) page.block(inner.text, "        ");
    for (const std::string& remedy : d->remedies) page.line("      " + page.good("remedy: " + clean(remedy)));
  }
  if (groups.size() > kShown) page.line(format("    and {} more reasons (--json has all)", groups.size() - kShown));
  if (!behind.empty()) {
    page.line(format("    {} behind an unsupported operator, first {}",
                     plural(static_cast<int64_t>(behind.size()), "node"), clean(behind[0]->node)));
    page.block(format("no type is known for the inputs [{}]", behind[0]->code_name), "      ");
  }
  if (!cheap.empty()) {
    page.line(format("    {} that Core ML would take, in partitions too small to pay for crossing into it",
                     plural(static_cast<int64_t>(cheap.size()), "node")));
    page.block(
        format("sessions leave them on the host, compile --allow-partial writes them too [{}]", cheap[0]->code_name),
        "      ");
  }
}

void findings_text(Page& page, const std::vector<Problem>& findings) {
  if (findings.empty()) return;
  page.line();
  page.line("  " + page.faint("worth knowing"));
  constexpr size_t kShown = 12;
  for (size_t i = 0; i < std::min(findings.size(), kShown); ++i) page.block(findings[i].text, "    ");
  if (findings.size() > kShown) page.line(format("    and {} more (--json has all)", findings.size() - kShown));
}

// Programs that were asked for are all that is printed, so that they can be piped into a file.
std::string mil_texts(const std::vector<MilText>& texts) {
  if (texts.empty()) return "// Core ML takes no part of this model; without this option graft inspect says why\n";
  std::string all;
  for (const MilText& t : texts)
    all += format("// partition {}{}{}\n{}", t.partition, t.after.empty() ? "" : ", after ", t.after, t.text);
  return all;
}

std::string text(const Inspection& r, Style style) {
  if (r.programs_only) return mil_texts(r.texts);
  Page page(style.colour);
  std::string opsets;
  for (const auto& [domain, version] : r.opsets)
    opsets += format(", {}opset {}", domain.empty() || domain == "ai.onnx" ? "" : clean(domain) + " ", version);
  page.line(page.bold(clean(r.path)) + format("   ONNX, IR {}{}, {} of weights{}", r.ir_version, opsets,
                                              bytes_text(r.weight_bytes),
                                              r.producer.empty() ? "" : ", by " + clean(r.producer)));
  page.line();
  ports_text(page, "inputs", r.inputs);
  ports_text(page, "outputs", r.outputs);
  operators_text(page, r.operators);
  page.line();
  verdict_text(page, r);
  if (r.partitions.size() > 1) {
    std::vector<std::vector<std::string>> rows = {{"partition", "nodes", "FLOP", "in", "out"}};
    for (size_t i = 0; i < r.partitions.size(); ++i) {
      const PartitionInfo& p = r.partitions[i];
      rows.push_back({format("{}", i), format("{}", p.nodes), count_text(p.flops), format("{}", p.inputs.size()),
                      format("{}", p.outputs.size())});
    }
    page.table(rows, "             ", {0, 1, 2, 3, 4}, true);
  }
  refusals_text(page, r);
  findings_text(page, r.findings);
  return page.take();
}

std::string text(const PackageInspection& r, Style style) {
  if (!r.mil.empty()) return r.mil;
  Page page(style.colour);
  page.line(page.bold(clean(r.path)) + format("   Core ML ML Program, {} (specification version {}), {}", r.opset,
                                              r.spec_version, bytes_text(r.bytes)));
  for (const PackageInspection::Function& f : r.functions) {
    page.line();
    if (r.functions.size() > 1) page.line("  function " + page.bold(clean(f.name)));
    ports_text(page, "inputs", f.inputs);
    ports_text(page, "outputs", f.outputs);
    ports_text(page, "states", f.states);
    operators_text(page, f.operators);
    page.item("work", format("{}FLOP", count_text(f.flops)));
  }
  if (!r.metadata.empty()) {
    page.line();
    page.line("  " + page.faint("metadata"));
    std::vector<std::vector<std::string>> rows;
    for (const auto& [key, value] : r.metadata) {
      constexpr size_t kMost = 80;
      rows.push_back({clean(key), clean(value.substr(0, kMost)) + (value.size() > kMost ? "…" : "")});
    }
    page.table(rows, "    ");
  }
  return page.take();
}

}  // namespace cli
