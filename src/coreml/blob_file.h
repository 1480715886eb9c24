// weight.bin, MIL blob storage version 2: a 64-byte header, then a 64-byte record and the data of each blob, every one
// at a multiple of 64. Little-endian; elements of less than a byte are packed from the lowest bit up.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "ir/constant.h"

namespace graft::coreml {

// The storage's own code of an element type; 0: such a blob does not exist (bool, string, 64-bit types).
uint32_t blob_dtype(DType dtype);

// Lays out constants and streams them into a file. Contents are read while writing, and while planning only where two
// constants of equal type and shape have to be told apart.
class BlobWriter {
 public:
  // The offset of the record that holds this content; equal contents share one.
  uint64_t add(const ir::ConstantPtr& constant);
  bool empty() const { return records_.empty(); }
  // Writes everything into a new file in one pass; returns a digest of the content.
  Result<uint64_t> write(const std::string& path) const;

 private:
  struct Record {
    ir::ConstantPtr constant;
    uint64_t offset;
  };
  std::vector<Record> records_;
  std::unordered_map<uint64_t, std::vector<size_t>> by_type_;  // by dtype and shape
  uint64_t end_ = 64;
};

// A blob file that is read. Constants keep its bytes alive. Nothing in it is trusted: each record is checked when asked
// for.
class BlobReader {
 public:
  static Result<std::shared_ptr<const BlobReader>> open(const std::string& path, Hold hold, const Bounds& bounds = {});
  // The blob whose record is at `offset`, as a constant of this type; malformed when record and type disagree.
  Result<ir::ConstantPtr> constant(uint64_t offset, DType dtype, const Shape& shape) const;
  // Nothing more will be asked for. io_error when the file was written to meanwhile.
  Status finish() const { return file_->finish(); }

 private:
  std::shared_ptr<FileBytes> file_;
};

}  // namespace graft::coreml
