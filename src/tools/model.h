// A model that was read and described, and is not made ready to run: what partitions, packages and sessions are made
// of.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/env.h"
#include "coreml/package.h"
#include "onnx/missing.h"
#include "session/options.h"

namespace graft::tools {

// Where a model comes from: a path, or an ONNX model in memory that lives as long as what is made of it.
struct Source {
  std::string path;  // empty: in memory
  Bytes bytes;
  std::string folder;  // of the external data of a model in memory; empty: none
};

// An input or output for reports. Built from whatever is known: a file may not even say the rank.
struct PortInfo {
  std::string name;
  std::string type;  // "fp32", or what it is when it is no tensor: "sequence"
  DType dtype = DType::invalid;
  DType element = DType::invalid;  // of the tensors in a sequence or optional
  bool has_shape = true;
  bool image = false;  // an image feature of a package
  struct Dim {
    int64_t value = -1;  // -1: open
    std::string text;    // "3", "height"
    IntRange range;
  };
  std::vector<Dim> dims;
};
PortInfo port_info(const std::string& name, const ir::Type& type);
// Of the features that are images.
std::unordered_set<std::string_view> image_names(const std::vector<coreml::Feature>& features);

struct OperatorCount {
  std::string domain, op;  // domain: empty for ONNX's own and for MIL's
  int count = 0;
};

struct FunctionInfo {
  std::string name;
  std::vector<PortInfo> inputs, outputs, states;  // states: packages
  std::vector<OperatorCount> operators;           // most frequent first; bodies count
  double flops = 0;                               // packages
};

// Immutable.
struct Model {
  Source source;
  std::shared_ptr<const Env> env;
  std::vector<session::NamedOption> named;  // the options it was opened with, for what adds to them
  session::Options options;
  std::shared_ptr<MemoryLimit> memory;  // null: no limit

  bool package = false;
  int64_t version = 0;  // the IR version, or the package's specification version
  std::string producer;
  std::string target;                 // packages
  std::map<std::string, int> opsets;  // ONNX
  std::map<std::string, std::string> metadata;
  int64_t bytes = 0;  // ONNX: of weights; packages: of all files
  std::vector<FunctionInfo> functions;
  std::vector<onnx::MissingOperator> missing;  // ONNX: sorted by domain and name, bodies included

  std::shared_ptr<const onnx::Model> onnx;
  std::shared_ptr<const onnx::HostProgram> host;  // null: `problem` says why
  std::optional<Diag> problem;                    // why nothing can be made of an ONNX model that could be read
  coreml::Model content;                          // packages

  Bounds bounds(const CancelToken* cancel) const { return {cancel, memory}; }
};

// Errors: of options, of memory and cancel, and what keeps the file from being read at all.
Result<std::shared_ptr<const Model>> open_model(Source source, std::shared_ptr<const Env> env,
                                                std::vector<session::NamedOption> named,
                                                const CancelToken* cancel = nullptr);

// The program of a package as MIL text, in which large constants are elided.
std::string mil_text(const Model& package);

// The bytes of a file, or of all files in a folder.
int64_t size_of(const std::string& path);

}  // namespace graft::tools
