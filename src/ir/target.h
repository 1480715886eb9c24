// Deployment targets: what an OS version can load. One table for names, opsets and specification versions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/diag.h"

namespace graft::ir {

// MIL operator sets, in order. `host` is none of Apple's: the set that only Graft's engine runs.
enum class Opset : uint8_t { ios15, ios16, ios17, ios18, ios26, host };

struct OpsetInfo {
  Opset opset;
  std::string_view name;       // "iOS15", the deployment target users write
  std::string_view file_name;  // "CoreML5", Function.opset in the file
  std::string_view text_name;  // "ios15", in MIL text
  int spec_version;            // Model.specificationVersion
};

const OpsetInfo& info(Opset opset);       // not for host
std::span<const OpsetInfo> all_opsets();  // oldest first
const OpsetInfo* opset_from_file_name(std::string_view name);
const OpsetInfo* opset_from_spec_version(int version);  // spec 6 and later
// "iOS15", "macOS12", "tvOS15", "watchOS8", "visionOS1", … in any case; the message of the error lists them all.
Result<Opset> parse_target(std::string_view name);

}  // namespace graft::ir
