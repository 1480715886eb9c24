// What the verbs found, copied out of the library: what reports are made of, and tests make up.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/compiler.h>

namespace cli {

// An error, a refusal or a finding.
struct Problem {
  graft_code code = GRAFT_CODE_INTERNAL;
  std::string code_name = "internal";
  graft_fault fault = GRAFT_FAULT_US;
  std::string message, file, node, op, tensor;
  std::vector<std::string> remedies;
  std::vector<Problem> inner;
  std::string text;   // all of it, as it should be shown
  int cut_nodes = 0;  // refusals: what the node keeps out of the partitions, itself counted
  double cut_flops = 0;
};

struct PortInfo {
  std::string name;
  std::string type;         // "fp32", or what it is when it is no tensor: "sequence"
  std::string coreml_type;  // a boundary's in the Core ML program, else empty
  bool has_shape = true;
  struct Dim {
    int64_t value = -1;  // -1: open
    std::string text;    // "3", "height"
    int64_t lo = 0, hi = 0;
  };
  std::vector<Dim> dims;
};

struct OperatorCount {
  std::string domain, op;
  int count = 0;
};

struct MissingOperator {
  std::string domain, op, message;
  std::vector<std::string> nodes;
};

struct PartitionInfo {
  int nodes = 0, operators = 0;
  double flops = 0;
  std::vector<PortInfo> inputs, outputs;
};

struct MilText {
  size_t partition = 0;
  std::string after;  // the pass; empty: the finished program
  std::string text;
};

// An ONNX model. Counts are of top-level nodes; `operators` and `missing` look into bodies too.
struct Inspection {
  std::string path;
  int64_t ir_version = 0, weight_bytes = 0;
  std::map<std::string, int> opsets;
  std::string producer;
  std::map<std::string, std::string> metadata;
  std::vector<PortInfo> inputs, outputs;
  std::vector<OperatorCount> operators;
  std::vector<MissingOperator> missing;

  std::optional<Problem> unusable;  // no verdict on nodes was possible: why
  int total = 0, claimed = 0, folded = 0, host = 0;
  std::vector<PartitionInfo> partitions;
  double flops_total = 0, flops_claimed = 0;
  bool whole = false;
  std::string target, precision;  // target: empty when nothing is claimed
  std::vector<Problem> refusals, findings;
  bool programs_only = false;  // these were asked for:
  std::vector<MilText> texts;  // partition by partition
};

struct PackageInspection {
  std::string path;
  int64_t spec_version = 0;
  std::string opset;
  struct Function {
    std::string name;
    std::vector<PortInfo> inputs, outputs, states;
    std::vector<OperatorCount> operators;
    double flops = 0;
  };
  std::vector<Function> functions;
  std::map<std::string, std::string> metadata;
  int64_t bytes = 0;
  std::string mil;  // where it was asked for
};

struct WrittenPackage {
  std::string path, target;
  int64_t bytes = 0;
  int nodes = 0;
  std::vector<PortInfo> inputs, outputs;
};

struct Placement {
  std::string requested, allowed, planned;
};

struct TensorType {
  std::string dtype;  // "fp32"
  std::vector<int64_t> shape;
  std::string to_string() const;  // "fp32[1, 3]"
};

struct InputTensor {
  std::string name;
  TensorType type;
  std::string source;     // the file, or "random"
  std::string converted;  // from this element type; empty: it was that already
};

struct Ranked {
  int64_t index = 0;
  double value = 0;
  std::string label;  // empty when the model names none
};

struct OutputTensor {
  std::string name;
  TensorType type;
  bool numbers = false;               // floats and integers; bools and others have no line of their own in texts
  int64_t place = -1;                 // in the sequence or optional of that name; -1: it is the output itself
  std::string file;                   // where it was written; empty when it was not
  double min = 0, max = 0, mean = 0;  // of finite elements; real dtypes only
  int64_t nans = 0, infs = 0;
  std::vector<std::vector<Ranked>> top;  // one list a row of the last dim
  std::vector<std::string> strings;      // the first few; all keys of a dictionary
  std::vector<double> values;            // of a dictionary, by its keys
  bool dictionary = false;
};

struct RunResult {
  std::string path;
  std::vector<InputTensor> inputs;
  uint64_t seed = 0;
  std::vector<PortInfo> states;  // that it keeps from step to step
  int steps = 1;
  std::vector<OutputTensor> outputs;  // of the last step
  std::vector<std::string> empty;     // sequences and optionals that hold nothing
  Placement placement;
  std::vector<Problem> findings;
  double load_ms = 0, run_ms = 0;  // run_ms: of all steps
};

struct Difference {
  std::string name, type, op;
  bool ok = false, same_type = true, equal = true;
  double max_abs = 0, max_rel = 0, range = 0;
  std::optional<double> snr_db;  // unset: no difference
  double cosine = 1;
  int64_t nans = 0, infs = 0, expected_nans = 0, expected_infs = 0;
  int64_t rows = 0, top1_equal = 0;
  double top5_share = 0;
};

struct Tolerance {
  bool by_range = false;
  double relative = 1e-4, snr_db = 45, classifier_snr_db = 30;
  std::string to_string() const;
};

// Where fp16 loses the digits of a model.
struct Diagnosis {
  struct Suspect {
    std::string node, op, tensor, loss;
    std::optional<double> snr_db, operands_snr_db;  // unset: no difference
    bool kept = false;
  };
  std::string path;
  bool accurate_before = false, accurate = false;
  std::string keep_fp32, reason;
  int attempts = 0;
  std::vector<Difference> before, after;  // the outputs
  std::vector<Suspect> suspects;
};

struct Compilation {
  Inspection verdict;
  bool done = false;  // false: nothing was written
  std::string output;
  std::vector<WrittenPackage> packages;
  double seconds = 0;
  // With precision auto: what was tried, on which inputs.
  std::optional<Diagnosis> diagnosis;
  std::vector<InputTensor> inputs;
  uint64_t seed = 0;
};

// The comparison on other made-up inputs.
struct DrawCheck {
  std::string name, doc;
  bool typical = true, accurate = false;
  std::string output;            // the one that is furthest off
  std::optional<double> snr_db;  // its; unset: no difference
  std::string error;             // why the host itself, or the program, did not run on such inputs
};

struct Verification {
  Inspection verdict;
  bool ran = false;  // false: nothing could be compiled
  bool from_package = false;
  Tolerance tolerance;
  std::vector<InputTensor> inputs;
  uint64_t seed = 0;
  std::vector<Difference> outputs;
  bool accurate = false;
  std::vector<DrawCheck> draws;
  bool layers_asked = false;
  std::vector<Difference> layers;
  std::optional<size_t> first_bad, worst;  // among them
  std::optional<Diagnosis> diagnosis;      // where the doctor was asked for
};

struct BenchResult {
  std::string path;
  Placement placement;
  std::vector<InputTensor> inputs;
  uint64_t seed = 0;
  double load_ms = 0;
  int runs = 0, warmup = 0;
  graft_bench_result times{};
  std::string cpu;
};

struct OpList {
  struct OnnxOp {
    std::string domain, name, note, signature;
    std::vector<int> versions;
  };
  struct MilOp {
    std::string name, family, doc, host_types;
    bool host_only = false;
    struct Variant {
      std::string since, inputs, types;
    };
    std::vector<Variant> variants;
  };
  std::vector<OnnxOp> onnx;
  std::vector<MilOp> mil;
};

}  // namespace cli
