// NumPy's .npy files: one tensor each, with its element type and shape.
#pragma once

#include <string>

#include "base/tensor.h"

namespace graft::tools {

// Format versions 1 to 3, every dtype that ONNX has too (bool, ints, floats, complex; either byte order), C and Fortran
// order. The file is not trusted: the header and every size are checked against the file's length.
// Errors: file_not_found, io_error, malformed, unsupported_format (objects, strings, structures), limit_exceeded
// (rank, the header's length).
Result<Tensor> read_npy(const std::string& path);

// A new file: format version 1, C order. bf16 has no NumPy type and is written as float32. Errors: io_error,
// unsupported_format (strings, sub-byte types).
Status write_npy(const std::string& path, const TensorView& tensor);

// "/scores:0" as a file name: characters outside A-Za-z0-9._- become '_'.
std::string file_name_of(std::string_view output);

}  // namespace graft::tools
