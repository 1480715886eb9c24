// NumPy's .npy files: one tensor each, with its element type and shape.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "files/array.h"

namespace cli {

// Format versions 1 to 3, every dtype that ONNX has too (bool, ints, floats, complex, strings; either byte order), C
// and Fortran order. The file is not trusted: the header and every size are checked against the file's length.
// Failures: file_not_found, io_error, malformed, unsupported_format (objects, structures), limit_exceeded
// (rank, the header's length).
Array read_npy(const std::string& path);

// The beginning of a file with such elements, which follow in C order: format version 1. Nothing for what NumPy has no
// type for (strings, sub-byte types, bf16).
std::optional<std::string> npy_header(graft_dtype dtype, std::span<const int64_t> shape);
// A whole file of strings.
std::string npy_strings(std::span<const char* const> strings, std::span<const int64_t> shape);

// "/scores:0" as a file name: characters outside A-Za-z0-9._- become '_'.
std::string file_name_of(std::string_view output);

}  // namespace cli
