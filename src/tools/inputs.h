// What a run is fed: files named by the user, random numbers for the rest.
#pragma once

#include <string>
#include <vector>

#include "session/session.h"
#include "tools/image.h"

namespace graft::tools {

struct InputOptions {
  std::vector<std::string> files;  // "name=FILE.npy", "name=FILE.png"; without "name=" for a model with one input
  ImageOptions image;
  uint64_t seed = 1;
  onnx::LowerOptions shapes;  // sizes for random inputs with open dims
};

struct InputTensor {
  std::string name;
  Tensor tensor;
  std::string source;  // the file, or "random"
};

// In the order of the session's inputs; of all_inputs() when an initializer is given a value, with invalid tensors for
// those that keep their defaults. Random floats are uniform in -1..1 (0..255 for image features of packages),
// random integers and bools 0 or 1 (indices into any table stay inside it); the same seed gives the same numbers on
// every machine. Open dims of random inputs: `shapes`, then what the other inputs' files say about the same symbol,
// then the model's default size, else the smallest that is legal, at least 1. Errors: invalid_option (unknown name,
// given twice, not name=FILE), invalid_argument (does not fit), file errors.
Result<std::vector<InputTensor>> make_inputs(const session::Session& session, const InputOptions& options);

}  // namespace graft::tools
