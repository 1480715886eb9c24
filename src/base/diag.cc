#include "base/diag.h"

namespace graft {

const std::vector<CodeInfo>& all_codes() {
  static const std::vector<CodeInfo> codes = {
#define GRAFT_DIAG(id, fault, doc) CodeInfo{Code::id, #id, Fault::fault, doc},
#include "base/diag.def"
#undef GRAFT_DIAG
  };
  return codes;
}

const CodeInfo& info(Code code) { return all_codes()[static_cast<size_t>(code)]; }

std::string_view name(Fault fault) {
  switch (fault) {
    case Fault::none: return "none";
    case Fault::model: return "model";
    case Fault::options: return "options";
    case Fault::machine: return "machine";
    case Fault::us: return "graft";
  }
  return "none";
}

namespace {

void render_into(const Diag& d, const std::string& indent, std::string& out) {
  out += indent;
  if (!d.file.empty()) out += d.file + ": ";
  if (!d.node.empty() || !d.op.empty()) {
    out += "node";
    if (!d.node.empty()) out += " '" + d.node + "'";
    if (!d.op.empty()) out += " (" + d.op + ")";
    out += ": ";
  }
  if (!d.tensor.empty()) out += "tensor '" + d.tensor + "': ";
  out += d.message;
  out += " [";
  out += info(d.code).name;
  out += ']';
  for (const std::string& r : d.remedies) out.append("\n").append(indent).append("  remedy: ").append(r);
  for (const Diag& i : d.inner) {
    out += '\n';
    render_into(i, indent + "  ", out);
  }
}

}  // namespace

std::string render(const Diag& diag) {
  std::string out;
  render_into(diag, "", out);
  return out;
}

}  // namespace graft
