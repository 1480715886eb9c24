// From the library's objects to what reports are made of.
#pragma once

#include <optional>

#include <graft/compiler.hpp>

#include "report/results.h"

namespace cli {

Problem problem_of(graft::Reason reason);
std::vector<Problem> problems_of(const std::vector<graft::Reason>& reasons);
std::vector<PortInfo> ports_of(const std::vector<graft::Port>& ports);
Placement placement_of(const graft::Session& session);
Difference difference_of(const graft_difference& d);
Diagnosis diagnosis_of(const std::string& path, const graft::Diagnosis& d);
TensorType type_of(int32_t dtype, std::span<const int64_t> shape);
OpList op_list();

PackageInspection describe_package(const std::string& path, const graft::Model& model, bool mil);

// An ONNX model and the verdict on it: its partitions, or why there is none.
struct Examined {
  graft::Model model;
  std::optional<graft::Partitioning> parts;  // unset: verdict.unusable says why
  Inspection verdict;
};
// Throws graft::Error where the caller or the machine is at fault, not the model.
Examined examine(const std::string& path, graft::Model model, const std::string& precision,
                 const std::string& dump_after = {});

}  // namespace cli
