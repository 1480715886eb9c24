// NumPy's .npy files: one tensor each, with its element type and shape.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/array.h"

namespace cli {

// Format versions 1 to 3, every dtype that ONNX has too (bool, ints, floats, complex; either byte order), C and Fortran
// order. The file is not trusted: the header and every size are checked against the file's length.
// Failures: file_not_found, io_error, malformed, unsupported_format (objects, strings, structures), limit_exceeded
// (rank, the header's length).
Array read_npy(const std::string& path);

// The beginning of a file with such elements, which follow in C order: format version 1. Nothing for what NumPy has no
// type for (strings, sub-byte types, bf16).
std::optional<std::string> npy_header(graft_dtype dtype, std::span<const int64_t> shape);

// Strings, as NumPy's own of one width, in UTF-32; what is no UTF-8 becomes U+FFFD.
struct NpyStrings {
  std::string header;
  std::vector<uint32_t> data;
};
NpyStrings npy_strings(std::span<const std::string> strings, std::span<const int64_t> shape);

// "/scores:0" as a file name: characters outside A-Za-z0-9._- become '_'.
std::string file_name_of(std::string_view output);

}  // namespace cli
