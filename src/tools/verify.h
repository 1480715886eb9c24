// Does the compiled Core ML program compute what the ONNX model does?
#pragma once

#include <optional>

#include "tools/compare.h"
#include "tools/inspect.h"
#include "tools/run_model.h"

namespace graft::tools {

struct VerifyOptions {
  session::Options session;  // target, precision, shapes
  InputOptions inputs;
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
  Inspection verdict;
  bool ran = false;  // false: nothing could be compiled; the verdict has the refusals
  // The whole graph went through one package on disk that was read back; else each piece did, the rest ran on the host.
  bool from_package = false;
  std::string proves;
  Tolerance tolerance;
  std::vector<InputTensor> inputs;
  uint64_t seed = 0;
  std::vector<OutputCheck> outputs;
  bool accurate = false;
  // --layers, in the order of execution:
  bool layers_asked = false;
  int layers_compared = 0;
  std::optional<LayerCheck> first_bad;  // the first that is outside the tolerance
  std::optional<LayerCheck> worst;      // the lowest SNR
  std::vector<LayerCheck> layers;
};

Result<Verification> verify(const std::string& path, std::shared_ptr<const Env> env, const VerifyOptions& options);

}  // namespace graft::tools
