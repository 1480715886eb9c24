// ONNX protobuf files to onnx::Model. The weights stay in the file's bytes, mapped or copied; nothing is generated from
// ONNX's schema. Any size is read: lengths are 64 bits throughout. The file is not trusted: every length, path, depth
// and count is checked, and reading never allocates more than a fixed multiple of the file's size.
#pragma once

#include <memory>
#include <string>

#include "base/diag.h"
#include "base/file.h"
#include "onnx/graph.h"

namespace graft::onnx {

// The model is prepared (see graph.h). External data is looked for in the file's folder and may not lie outside of it.
// Errors carry file, node and tensor: file_not_found, io_error, malformed, unsupported_format, invalid_model,
// invalid_attribute, limit_exceeded, unsafe_path, out_of_memory. A file that is written to while it is read is an
// io_error; see Hold for what that can mean for a mapped one. Also memory_limit and cancelled.
Result<std::shared_ptr<const Model>> read_file(const std::string& path, Hold hold = Hold::mapped,
                                               const Bounds& bounds = {});

// The same for a model in memory. `owner` keeps `bytes` alive for as long as the model or one of its constants lives;
// null means that the caller does. An empty folder: the model may have no external data. `hold` is how that is held.
Result<std::shared_ptr<const Model>> read_memory(Bytes bytes, const std::string& folder = {},
                                                 std::shared_ptr<const void> owner = nullptr, Hold hold = Hold::mapped,
                                                 const Bounds& bounds = {});

}  // namespace graft::onnx
