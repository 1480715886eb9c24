// What is in a model, and what Core ML would take of it: known before anything is converted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "coreml/package.h"
#include "onnx/missing.h"
#include "partition/partition.h"
#include "session/options.h"

namespace graft::tools {

// An input or output for reports. Built from whatever is known: a file may not even say the rank.
struct PortInfo {
  std::string name;
  std::string type;  // "fp32", or what it is when it is no tensor: "sequence", "image rgb"
  bool has_shape = true;
  struct Dim {
    int64_t value = -1;  // -1: open
    std::string text;    // "3", "height"
    IntRange range;
  };
  std::vector<Dim> dims;
};
PortInfo port_info(const std::string& name, const ir::Type& type);

struct OperatorCount {
  std::string domain, op;  // domain: empty for ONNX's own
  int count = 0;
};

struct PieceInfo {
  int nodes = 0, operators = 0;  // ONNX nodes; MIL operators after the passes
  double flops = 0;
  std::vector<onnx::Border> inputs, outputs;
};

// A program in MIL text, in which large constants are elided.
struct MilText {
  int piece = 0;      // index of the partition
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
  std::vector<OperatorCount> operators;        // most frequent first
  std::vector<onnx::MissingOperator> missing;  // sorted by domain and name

  std::optional<Diag> unusable;  // no verdict on nodes was possible: why
  int total = 0, claimed = 0, folded = 0, host = 0;
  std::vector<PieceInfo> pieces;
  double flops_total = 0, flops_claimed = 0;
  bool whole = false;             // one piece is the whole graph
  std::string target, precision;  // target: empty when nothing is claimed
  std::vector<Diag> refusals, findings;
  bool programs_only = false;  // InspectOptions ask for these:
  std::vector<MilText> texts;  // partition by partition
};

struct InspectOptions {
  bool mil = false;        // the programs of the partitions, or of a package, as MIL text
  std::string dump_after;  // the programs after this pass, or after "all" of them; wrong names are invalid_option
};

// Works on any ONNX file. Errors: only what keeps the file from being read at all.
Result<Inspection> inspect(const std::string& path, const Env& env, const session::Options& options,
                           const InspectOptions& what = {});

// A Core ML package.
struct PackageInspection {
  std::string path;
  int spec_version = 0;
  std::string opset;
  coreml::Interface interface;
  struct Function {
    std::string name;
    std::vector<PortInfo> inputs, outputs;
    std::vector<OperatorCount> operators;
    double flops = 0;
  };
  std::vector<Function> functions;
  std::map<std::string, std::string> metadata;
  int64_t bytes = 0;  // of all files
  std::string mil;    // the program as MIL text, where it was asked for
};
Result<PackageInspection> inspect_package(const std::string& path, bool mil = false);

// The bytes of a file, or of all files in a folder.
int64_t size_of(const std::string& path);

// The parts of inspect() that compile and verify need too.
struct Partitioned {
  std::shared_ptr<const onnx::Model> model;
  std::shared_ptr<const onnx::HostProgram> host;
  partition::Partition partition;
};
struct Examined {
  Inspection verdict;
  std::optional<Partitioned> parts;  // unset: verdict.unusable says why
};
Result<Examined> examine(const std::string& path, const Env& env, const session::Options& options);

}  // namespace graft::tools
