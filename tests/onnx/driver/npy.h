// .npy files for the test driver: little-endian, C order, the dtypes that numpy has.
#pragma once

#include <string>

#include "base/tensor.h"

namespace graft::test {

Result<Tensor> read_npy(const std::string& path);
Status write_npy(const std::string& path, const TensorView& tensor);

}  // namespace graft::test
