// The operator tables and the error codes, as the rows state them.
#pragma once

#include <string>
#include <vector>

#include "base/diag.h"

namespace graft::tools {

struct OnnxOpInfo {
  std::string domain, name, note;
  std::string signature;      // in the notation of src/onnx/signature.h
  std::vector<int> versions;  // opsets in which the definition changed, of those that are handled
};

struct MilOpInfo {
  std::string name, family, doc;
  struct Variant {
    std::string since;  // "iOS15", "host"
    std::string inputs, domains;
  };
  std::vector<Variant> variants;
  std::string host_types;  // beyond the newest variant's
  bool host_only = false, reference = false;
};

struct OpList {
  std::vector<OnnxOpInfo> onnx;
  std::vector<MilOpInfo> mil;  // sorted by family, then name
};

OpList list_ops();

}  // namespace graft::tools
