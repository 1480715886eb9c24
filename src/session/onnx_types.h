// The types that an ONNX model's inputs and outputs had, kept in a package's metadata where Core ML's own cannot say
// them: int64 and bool are int32 there, a scalar input is one element. Written by compile, read by sessions.
#pragma once

#include <map>
#include <string>

#include "backend/artefact.h"

namespace graft::session {

using Metadata = std::map<std::string, std::string>;

// Adds {"tokens": "int64", "rate": "fp32[]"} ("[]": a scalar) under "com.graft.onnx.types", when there is anything to
// say.
void add_onnx_types(const backend::Artefact& artefact, Metadata& metadata);

// The type that `name` had; `type`, which it has in the package, where the metadata does not tell. Metadata is
// untrusted: what could not have been converted to `type` is not believed.
class OnnxTypes {
 public:
  explicit OnnxTypes(const Metadata& metadata);
  ir::Type of(const std::string& name, const ir::Type& type) const;

 private:
  Metadata types_;
};

}  // namespace graft::session
