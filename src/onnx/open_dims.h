// Open dims of graph inputs, as Core ML can have them. ONNX's have no end; those of a Core ML program do, and a size
// that they have by default. Where --shapes says neither, the meaning of the dim does: a rule over its name and place
// that docs/open_dims.md has as a table; and then the model itself, which is lowered at single sizes to see which it
// takes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "onnx/lower.h"

namespace graft::onnx {

// A rule's line, for docs/open_dims.md.
struct DimMeaning {
  std::string_view name;   // "batch"
  std::string_view words;  // a dim whose name has one of them among its own means that
  std::string_view place;  // or one without such a name, there; for the documentation
  IntRange range;
  int64_t preferred;
};
std::span<const DimMeaning> dim_meanings();

// The host program as facts for Core ML: each open dim has a range with an end, listed in open_dims of the result; for
// other sizes nothing in it is proven. A model that makes no sense at any size tried has none, or the rule's. Errors as
// lower_for_host.
Result<HostProgram> lower_for_coreml(std::shared_ptr<const Model> model, const LowerOptions& options,
                                     const Bounds& bounds = {});

}  // namespace graft::onnx
