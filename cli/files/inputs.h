// What the user feeds a model: name=FILE, from .npy files and images.
#pragma once

#include <string>
#include <vector>

#include "files/image.h"

namespace cli {

struct FileTensor {
  std::string file;
  Array array;
  graft_dtype stored = GRAFT_DTYPE_INVALID;  // the element type in the file, which may differ
};
struct FileInput {
  size_t index = 0;                 // among the ports
  std::vector<FileTensor> tensors;  // one, but for sequences and optionals

  graft::Input as(const graft::Port& port) const;  // borrows
};

// `files`: "name=FILE.npy", "name=FILE.png"; without "name=" for a model with one input; a sequence has its name as
// often as it has tensors, "name=" alone is an empty one. `ports`: the model's inputs, `needed` of them, and then those
// with defaults. In the ports' order. Failures: invalid_option (unknown name, given twice, not name=FILE),
// invalid_argument (does not fit: another shape, or numbers that the input's element type does not hold), those of
// reading.
std::vector<FileInput> read_inputs(const std::vector<graft::Port>& ports, size_t needed,
                                   const std::vector<std::string>& files, const ImageOptions& image);

}  // namespace cli
