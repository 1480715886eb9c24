// Types and values from messages of the MIL part of the format. Malformed bytes are thrown as wire.h says; what is well
// formed but wrong is an error value.
#pragma once

#include <functional>
#include <string_view>

#include "base/diag.h"
#include "coreml/wire.h"
#include "ir/constant.h"
#include "ir/type.h"

namespace graft::coreml {

// Fills in a symbol for an unknown dim. The argument is its axis.
using UnknownDim = std::function<ir::Dim(int axis)>;

Result<ir::Type> decode_type(std::string_view value_type, const UnknownDim& unknown);

struct NamedType {
  std::string_view name, type;  // `type` is an undecoded ValueType
};
NamedType decode_named_type(std::string_view message);

// Finds the constant behind a blob reference.
using BlobSource =
    std::function<Result<ir::ConstantPtr>(std::string_view file, uint64_t offset, DType dtype, const Shape& shape)>;

// A tensor value, immediate or in a blob. unsupported_operator for lists, tuples and dictionaries.
Result<ir::ConstantPtr> decode_value(std::string_view value, const BlobSource& blobs);

}  // namespace graft::coreml
