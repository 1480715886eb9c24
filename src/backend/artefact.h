// A program that is ready for a device, with what ONNX knows of its ports: what a partition is made of, what a session
// loads, and what can be kept on disk between the two.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/port.h"
#include "ir/program.h"

namespace graft::backend {

struct Artefact {
  std::shared_ptr<ir::Program> program;  // null: only in the package
  std::string package;                   // path of an .mlpackage; empty: only in memory
  std::string function = "main";
  std::vector<ir::BoundaryPort> inputs, outputs;  // in the order of the function's
  ir::Target target;                              // what it was made for; host: the engine alone
};

// Names the content: the same for the same operators, weights, ports, names and target, whichever machine asks. Needs
// the program. 32 hexadecimal digits.
std::string key_of(const Artefact& artefact);

// An artefact whose program lies in a package, as one JSON object ("schema": "graft.artefact/1") without the package's
// content. `key` is kept with it for whoever has to know what it was made of.
std::string to_text(const Artefact& artefact, std::string_view key);
struct NamedArtefact {
  Artefact artefact;
  std::string key;
};
// The other way round. The text is untrusted: the package's path has to be a plain file name and is looked up in
// `folder`. Open dims that are formulas become symbols with the formula's range. Errors: malformed, unsafe_path,
// unsupported_format (another schema).
Result<NamedArtefact> artefact_from_text(std::string_view text, const std::string& folder);

}  // namespace graft::backend
