// TensorProto and SparseTensorProto to constants. Data that lies in the file as it is used is borrowed, the rest is
// decoded into memory of its own.
#pragma once

#include <memory>
#include <string>

#include "ir/constant.h"
#include "onnx/external.h"
#include "onnx/wire.h"

namespace graft::onnx {

// What reading may still allocate. A file must not cost more memory than its size justifies, so everything that is
// built from it is charged here first; which is why this is also where reading hears cancel.
class Budget {
 public:
  Budget(size_t bytes, const CancelToken* cancel) : left_(bytes), cancel_(cancel) {}
  Status take(size_t bytes);
  size_t left() const { return left_; }

 private:
  size_t left_;
  const CancelToken* cancel_;
};

// What the parts of one file share while it is read.
struct Source {
  const std::byte* start = nullptr;   // of the file, for offsets in messages
  std::shared_ptr<const void> owner;  // keeps the file's bytes alive
  Budget budget;
  std::shared_ptr<MemoryLimit> memory;  // counts decoded tensors
  ExternalFiles external;
};

struct NamedTensor {
  std::string name;
  ir::ConstantPtr value;
};
// malformed, invalid_model, limit_exceeded (rank, memory), unsupported_format (segments, unknown element types), and
// what external data can bring; the tensor is named.
Result<NamedTensor> read_tensor(Wire message, Source& source);
// Made dense. Element types under a byte and strings are unsupported_format.
Result<NamedTensor> read_sparse_tensor(Wire message, Source& source);
// Reads a name: plain text of at most 64 KiB, else malformed or limit_exceeded; `what` says whose it is.
Status read_name(Wire& wire, std::string& out, std::string_view what, Budget& budget);

}  // namespace graft::onnx
