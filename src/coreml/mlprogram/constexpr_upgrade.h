// constexpr operators before CoreML8 say with whole bytes and a `shape` what newer ones say with sub-byte types.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "base/diag.h"
#include "ir/constant.h"

namespace graft::coreml {

using NamedConstants = std::vector<std::pair<std::string_view, ir::ConstantPtr>>;

// Rewrites the arguments of the CoreML6 and CoreML7 forms of constexpr_lut_to_dense and constexpr_sparse_to_dense into
// those of CoreML8; others, and arguments of the newer form, stay as they are. Views of the same bytes, no copies.
Status upgrade_constexpr(std::string_view op, NamedConstants& args);

}  // namespace graft::coreml
