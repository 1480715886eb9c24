// What came out of a run: described, and written as .npy files.
#pragma once

#include <graft/graft.hpp>

#include "report/results.h"

namespace cli {

// Class names separated by commas.
std::vector<std::string> labels_of(std::string_view metadata);
// The k largest of some values; NaN ranks last, ties by place.
std::vector<Ranked> top_of(std::span<const double> values, int k, const std::vector<std::string>& labels);
// With the top_k of each row of the last dim, of at most 8 rows.
OutputTensor describe_output(std::string name, const graft::Tensor& tensor, int top_k,
                             const std::vector<std::string>& labels);

// What is in a sequence or optional, in sequences in it too; a tensor is itself.
void flatten(const graft::Tensor& value, std::vector<graft::Tensor>& list);

// Every output as folder/<output>.npy (of a sequence, <output>_<place>.npy), all or none; sets where each is. What
// NumPy has no type for is written as a type that holds its numbers. Throws graft::Error, Failure.
void write_outputs(const std::string& folder, const std::vector<graft::Tensor>& tensors,
                   std::vector<OutputTensor>& outputs);

}  // namespace cli
