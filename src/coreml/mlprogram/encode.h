// Types and constants as messages of the MIL part of the format.
#pragma once

#include <protozero/pbf_builder.hpp>
#include <string>
#include <string_view>

#include "coreml/blob_file.h"
#include "coreml/proto.h"
#include "ir/type.h"

namespace graft::coreml {

// Where a package keeps its blob file, as values name it; the first part stands for the folder of model.mlmodel.
inline constexpr std::string_view kModelPath = "@model_path/";
inline constexpr std::string_view kBlobFile = "@model_path/weights/weight.bin";

// Fills a ValueType. Symbolic dims are written as unknown.
void encode_type(protozero::pbf_builder<proto::ValueType> out, const ir::Type& type);
// Whether the format keeps this constant in the blob file: at least 10 elements of a type that specification version
// `spec_version` moves there.
bool goes_to_blob(const ir::Constant& constant, int spec_version);
// Fills a Value: immediate, or a reference to a record that `blobs` plans.
void encode_value(protozero::pbf_builder<proto::Value> out, const ir::ConstantPtr& constant, int spec_version,
                  BlobWriter& blobs);
// A constant of rank 1 as a list of its elements.
void encode_list(protozero::pbf_builder<proto::Value> out, const ir::ConstantPtr& constant);
void encode_string(protozero::pbf_builder<proto::Value> out, std::string_view text);

}  // namespace graft::coreml
