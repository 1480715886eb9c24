// The lowering table: the rows of all lower_*.cc families, sorted.
#include <algorithm>

#include "onnx/lower.h"
#include "onnx/lower_families.h"

namespace graft::onnx {

std::span<const Lowering* const> all_lowerings() {
  static const std::vector<const Lowering*> kSorted = [] {
    std::vector<const Lowering*> rows;
#define GRAFT_FAMILY(name) \
  for (const Lowering& row : name##_lowerings()) rows.push_back(&row);
#include "onnx/families.def"
#undef GRAFT_FAMILY
    std::sort(rows.begin(), rows.end(), [](const Lowering* a, const Lowering* b) {
      return std::pair(a->domain, a->op_type) < std::pair(b->domain, b->op_type);
    });
    return rows;
  }();
  return kSorted;
}

const Lowering* find_lowering(std::string_view domain, std::string_view op_type) {
  const auto rows = all_lowerings();
  if (domain == "ai.onnx") domain = {};
  const auto key = std::pair(domain, op_type);
  const auto at = std::lower_bound(rows.begin(), rows.end(), key, [](const Lowering* row, const auto& k) {
    return std::pair(row->domain, row->op_type) < k;
  });
  return at != rows.end() && std::pair((*at)->domain, (*at)->op_type) == key ? *at : nullptr;
}

}  // namespace graft::onnx
