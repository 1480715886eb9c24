// A program as the message MIL.Program, at one opset.
#pragma once

#include <protozero/pbf_builder.hpp>

#include "coreml/blob_file.h"
#include "coreml/package.h"
#include "coreml/proto.h"

namespace graft::coreml {

// Writes all functions and fills the file names of their features; `interface.functions` is parallel to
// program.functions. Plans the constants that go to the blob file.
Status encode_program(protozero::pbf_builder<proto::Program> out, const ir::Program& program, ir::Opset opset,
                      Interface& interface, BlobWriter& blobs);

}  // namespace graft::coreml
