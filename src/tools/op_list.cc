#include "tools/op_list.h"

#include <algorithm>

#include "onnx/lower.h"
#include "ops/table.h"

namespace graft::tools {

OpList list_ops() {
  OpList list;
  for (const onnx::Lowering* row : onnx::all_lowerings()) {
    list.onnx.push_back({std::string(row->domain), std::string(row->op_type), std::string(row->note),
                         std::string(row->signature), std::vector<int>(row->versions.begin(), row->versions.end())});
  }
  for (const auto& row : ops::table().rows()) {
    const ir::OpDef& def = *row->def;
    MilOpInfo op;
    op.name = def.name;
    op.family = def.family;
    op.doc = def.doc;
    op.host_only = row->host_only();
    op.reference = def.reference != nullptr;
    if (!def.host.empty()) op.host_types = def.host.to_string();
    for (const ir::Variant& v : def.variants) {
      op.variants.push_back({v.since == ir::Opset::host ? "host" : std::string(ir::info(v.since).name),
                             std::string(v.inputs), std::string(v.domains)});
    }
    list.mil.push_back(std::move(op));
  }
  std::stable_sort(list.mil.begin(), list.mil.end(), [](const MilOpInfo& a, const MilOpInfo& b) {
    return std::pair(a.family, a.name) < std::pair(b.family, b.name);
  });
  return list;
}

}  // namespace graft::tools
