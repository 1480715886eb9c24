// rewrite_packages: reads lines "FROM<tab>TO" and writes each package FROM again at TO, a new folder, for the opset
// that it was read with. A line of text an answer: "ok", or "refused" or "unread" and why. For
// scripts/judge/op_packages.py --rewrite.
#include <iostream>

#include "coreml/package.h"

namespace graft::coreml {
namespace {

std::string first_line(const Diag& d) {
  const std::string text = render(d);
  return text.substr(0, text.find('\n'));
}

std::string rewrite(const std::string& from, const std::string& to) {
  const Result<Model> model = read_package(from);
  if (!model) return "unread " + first_line(model.error());
  const Status s =
      write_package(*model->program, to, {.target = ir::Target::mlprogram(model->opset), .metadata = model->metadata});
  return s ? "ok" : "refused " + first_line(s.error());
}

}  // namespace
}  // namespace graft::coreml

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) return 2;
    std::cout << graft::coreml::rewrite(line.substr(0, tab), line.substr(tab + 1)) << std::endl;
  }
}
