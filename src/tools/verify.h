// Does the compiled Core ML program compute what the ONNX model does?
#pragma once

#include <optional>

#include "session/session.h"
#include "tools/compare.h"
#include "tools/partitioned.h"

namespace graft::tools {

struct VerifyOptions {
  bool layers = false;
  std::optional<double> min_snr_db;  // instead of the stated tolerance
};

struct OutputCheck {
  std::string name, type;
  Difference difference;
  bool ok = false;
};

// An intermediate that both programs have under the same ONNX name.
struct LayerCheck {
  std::string name, op;  // the ONNX value and the operator that makes it in the Core ML program
  Difference difference;
  bool ok = false;
};

struct Verification {
  // The whole graph went through one package on disk that was read back; else each partition did, the rest ran on the
  // host.
  bool from_package = false;
  Tolerance tolerance;
  std::vector<OutputCheck> outputs;
  bool accurate = false;
  std::vector<LayerCheck> layers;  // where they were asked for, in the order of execution
  int first_bad = -1;              // the first of them that is outside the tolerance
  int worst = -1;                  // the one with the lowest SNR
};

// A session of the partitioned model on the host, in ONNX's own types.
Result<std::shared_ptr<const session::Session>> open_reference(const Partitioned& p);

// What the reference gives for some inputs, to compare with as often as wanted.
struct Witness;
// With `layers` also the values inside. The session and what the inputs show must outlive the result.
Result<std::shared_ptr<const Witness>> run_reference(const session::Session& reference,
                                                     std::span<const TensorView> inputs, bool layers, const Env& env);
Result<Verification> verify(const Partitioned& p, const Witness& witness, const VerifyOptions& options);

// Compares the compiled partitions, of which there must be one, with `reference`, a session of the same model on the
// host; `inputs` as reference.run() takes them. Errors: invalid_argument where the reference is of another model, and
// what opening and running brings.
Result<Verification> verify(const Partitioned& p, const session::Session& reference, std::span<const TensorView> inputs,
                            const VerifyOptions& options);

}  // namespace graft::tools
