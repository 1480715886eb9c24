// The operator tables, the error codes and the passes, for terminals and as the pages docs/ops.md, docs/errors.md and
// docs/passes.md.
#include <map>

#include "report/report.h"
#include "report/text.h"

namespace cli {
namespace {

std::string versions_text(const std::vector<int>& versions) {
  std::string s;
  for (const int v : versions) s += format("{}{}", s.empty() ? "" : ", ", v);
  return s;
}

std::string opsets_text(const OpList::MilOp& o) {
  std::string s;
  for (const OpList::MilOp::Variant& v : o.variants) s += (s.empty() ? "" : ", ") + v.since;
  return s;
}

std::string full_name(const OpList::OnnxOp& o) { return o.domain.empty() ? o.name : o.domain + "." + o.name; }

size_t count_host(const OpList& r) {
  size_t n = 0;
  for (const OpList::MilOp& o : r.mil) n += o.host_only ? 1 : 0;
  return n;
}

// A cell of a Markdown table: '|' would end it.
std::string cell(std::string_view s) {
  std::string out;
  for (const char c : s) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

}  // namespace

std::string text(const OpList& r, Style style) {
  Page page(style.colour);
  page.line(page.bold(format("ONNX operators ({})", r.onnx.size())) + page.faint("  and the opsets that changed them"));
  page.line();
  std::vector<std::vector<std::string>> rows;
  for (const OpList::OnnxOp& o : r.onnx) rows.push_back({full_name(o), versions_text(o.versions), o.note});
  page.table(rows, "  ");
  page.line();
  page.line(page.bold(format("MIL operators ({}, {} of them on the host only)", r.mil.size(), count_host(r))));
  std::string family;
  rows.clear();
  const auto flush = [&] {
    if (!rows.empty()) page.table(rows, "    ");
    rows.clear();
  };
  for (const OpList::MilOp& o : r.mil) {
    if (o.family != family) {
      flush();
      family = o.family;
      page.line();
      page.line("  " + page.faint(family));
    }
    rows.push_back({o.name, opsets_text(o), o.doc});
  }
  flush();
  return page.take();
}

std::string ops_markdown(const OpList& r) {
  std::string s =
      "# Operators\n\n"
      "Generated from the rows by `graft ops --markdown`; a test keeps it current.\n\n";
  s += format("## ONNX ({})\n\n", r.onnx.size());
  s += "Each operator is handled for every opset from the first version named here on; the numbers are the opsets in "
       "which\n"
       "its definition changed. Whether a node is taken by Core ML is found by trying: `graft inspect MODEL.onnx` says "
       "so.\n\n"
       "Inputs and outputs in ONNX's own names: `?` may be left out, `+` is one or more, `@13` is there from opset 13 "
       "on,\n"
       "`<13` before it; attributes behind the `;`. A node with anything else is not valid.\n\n"
       "| operator | opsets | inputs -> outputs; attributes | not handled |\n|---|---|---|---|\n";
  for (const OpList::OnnxOp& o : r.onnx)
    s += format("| {} | {} | `{}` | {} |\n", full_name(o), versions_text(o.versions), o.signature, cell(o.note));
  s += format("\n## MIL ({}, {} of them on the host only)\n\n", r.mil.size(), count_host(r));
  s += "Inputs in MIL's own notation: `?` optional, `const` a constant, a letter is a set of types shared by the "
       "inputs that\n"
       "name it. Operators named `host_…` exist on Graft's engine only; no Core ML target takes them. \"Host\" types "
       "are what\n"
       "the engine takes beyond Core ML.\n";
  std::string family;
  for (const OpList::MilOp& o : r.mil) {
    if (o.family != family) {
      family = o.family;
      s += format("\n### {}\n\n| operator | since | inputs | types | host |\n|---|---|---|---|---|\n", family);
    }
    bool first = true;
    for (const OpList::MilOp::Variant& v : o.variants) {
      s += format("| {} | {} | `{}` | {} | {} |\n", first ? format("**{}**: {}", o.name, cell(o.doc)) : "", v.since,
                  cell(v.inputs), v.types.empty() ? "" : "`" + cell(v.types) + "`", first ? o.host_types : "");
      first = false;
    }
  }
  return s;
}

std::string errors_markdown(const std::vector<graft_code_info>& codes) {
  std::string s =
      "# Errors, refusals and findings\n\n"
      "Generated from `src/base/diag.def` by `graft ops --errors`; a test keeps it current.\n\n"
      "Every error, every reason why a node stays on the host and every finding has a code. The same words reach the "
      "tool,\n"
      "C, C++ and Python. A code belongs to whoever can do something about it:\n\n";
  const std::pair<graft_fault, std::string_view> kFaults[] = {
      {GRAFT_FAULT_MODEL, "The model: the file is wrong, or asks for what cannot be"},
      {GRAFT_FAULT_OPTIONS, "The caller: an option or argument asks for something impossible"},
      {GRAFT_FAULT_MACHINE, "The machine: files, memory, devices"},
      {GRAFT_FAULT_NONE, "Nobody: a refusal or a finding, not an error"},
      {GRAFT_FAULT_US, "Graft: a defect"}};
  for (const auto& [fault, title] : kFaults) {
    s += format("## {}\n\n| code | meaning |\n|---|---|\n", title);
    for (const graft_code_info& c : codes) {
      if (c.fault == fault) s += format("| `{}` | {} |\n", c.name, cell(c.doc));
    }
    s += "\n";
  }
  s.pop_back();
  return s;
}

std::string passes_markdown(const std::vector<graft_pass_info>& passes) {
  std::string s =
      "# Passes\n\n"
      "Generated from `src/passes/pipeline.cc` by `graft ops --passes`; a test keeps it current.\n\n"
      "What happens to the program of a Core ML partition, in this order. The host's engine runs the steps up to\n"
      "the last rewrite only. `graft inspect MODEL --dump-after NAME` prints the programs after a step.\n\n"
      "| step | why |\n|---|---|\n";
  for (const graft_pass_info& pass : passes) s += format("| `{}` | {} |\n", pass.name, cell(pass.why));
  return s;
}

}  // namespace cli
