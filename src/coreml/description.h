// The model's description: what callers see of a program. Derived from a program when writing, decoded when reading.
#pragma once

#include <protozero/pbf_builder.hpp>
#include <span>

#include "coreml/package.h"
#include "coreml/proto.h"

namespace graft::coreml {

// The features of a function, in its own names; file_name is left empty. Refuses what Core ML does not take at an
// interface for this opset, and dims without an upper bound.
Result<FunctionInterface> interface_of(const ir::Function& function, ir::Opset opset);

// Fills a ModelDescription from an interface whose file names are set.
void encode_description(protozero::pbf_builder<proto::ModelDescription> out, const Interface& interface,
                        const std::map<std::string, std::string>& metadata);

struct Description {
  Interface interface;
  std::map<std::string, std::string> metadata;  // userDefined
};
// Malformed bytes are thrown as wire.h says.
Result<Description> decode_description(std::string_view message);

}  // namespace graft::coreml
