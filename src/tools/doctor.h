// Where fp16 loses the digits of a model, and the least that has to stay in fp32 for its results to be accurate.
#pragma once

#include "tools/verify.h"

namespace graft::tools {

struct DoctorOptions {
  std::optional<double> min_snr_db;  // what is accurate, instead of the stated tolerance
  int attempts = 64;                 // programs that are made and run at most, beside the first one
};

// How a node's result differs from the reference by more than its operands do.
enum class Loss : uint8_t {
  overflow,      // infinities or NaN that the reference has not
  vanishing,     // what fp16 has no digits for, below its smallest normal number
  cancellation,  // operands that are nearly right leave a result that is not: a difference of near numbers
  rounding,      // many digits at once: long sums, weights
};
std::string_view name(Loss loss);

struct Suspect {
  std::string node, op, tensor;  // ONNX's
  Loss loss = Loss::rounding;
  double snr_db = INFINITY, operands_snr_db = INFINITY;  // of the result, and of the worst of its operands
  std::string keep;                                      // what names it for keep_fp32
  bool kept = false;                                     // one of those that have to stay
};

struct Diagnosis {
  Verification before;            // with layers
  Verification after;             // with `keep`
  std::vector<Suspect> suspects;  // the worst first
  std::vector<std::string> keep;  // the value of keep_fp32 that makes it accurate: the user's own, and what was found
  int candidates = 0, attempts = 0;
  std::string reason;  // why it is not accurate after all; empty where it is
};

// Ranks the nodes of the Core ML partitions by the noise that they add in fp16, doubles the number of the worst that
// are kept in fp32 until the results are accurate, halves what that was too much, and takes out again what is not
// needed. Each attempt is partitioned, compiled, read back and run. Errors: invalid_option where the precision is not
// float16; as verify().
Result<Diagnosis> diagnose(const Partitioned& p, const session::Session& reference, std::span<const TensorView> inputs,
                           const DoctorOptions& options, const CancelToken* cancel = nullptr);

}  // namespace graft::tools
