// The storage forms of constants as constexpr operators.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/call.h"

namespace graft::coreml {

struct ConstexprOp {
  std::string_view type;
  // A null constant is the mask that the operator of the argument before it gives beside its values.
  std::vector<std::pair<std::string_view, ir::ConstantPtr>> args;
  ir::Types results;
  size_t result = 0;    // which of them is the constant
  bool inputs = false;  // arguments are inputs, else attributes: before CoreML8
  bool nests = true;    // inputs may be results of other such operators
};

// The operator that gives this constant, in the form in which it is stored or one with the same elements and size.
// Nothing when it is not stored so, or the opset has no such operator for these types: then it is written dense.
std::optional<ConstexprOp> constexpr_of(const ir::ConstantPtr& constant, ir::Opset opset);

}  // namespace graft::coreml
