// The C ABI: what Graft knows, as rows.
#include "api/handles.h"
#include "passes/pipeline.h"
#include "tools/op_list.h"

using graft::api::give_item;
using graft::tools::MilOpInfo;
using graft::tools::OnnxOpInfo;

namespace {

const graft::tools::OpList& ops() {
  static const graft::tools::OpList kOps = graft::tools::list_ops();
  return kOps;
}

}  // namespace

extern "C" {

size_t graft_onnx_op_count(void) { return ops().onnx.size(); }
graft_error* graft_onnx_op(size_t index, graft_onnx_op_info* out) {
  return give_item(&ops().onnx, index, out, [](const OnnxOpInfo& o, graft_onnx_op_info& info) {
    info.domain = o.domain.c_str();
    info.name = o.name.c_str();
    info.signature = o.signature.c_str();
    info.note = o.note.c_str();
    info.versions = o.versions.data();
    info.version_count = o.versions.size();
  });
}

size_t graft_mil_op_count(void) { return ops().mil.size(); }
graft_error* graft_mil_op(size_t index, graft_mil_op_info* out) {
  return give_item(&ops().mil, index, out, [](const MilOpInfo& o, graft_mil_op_info& info) {
    info.name = o.name.c_str();
    info.family = o.family.c_str();
    info.doc = o.doc.c_str();
    info.host_only = o.host_only ? 1 : 0;
    info.host_types = o.host_types.c_str();
    info.variant_count = o.variants.size();
  });
}

graft_error* graft_mil_variant(size_t op, size_t index, graft_mil_variant_info* out) {
  return give_item(op < ops().mil.size() ? &ops().mil[op].variants : nullptr, index, out,
                   [](const MilOpInfo::Variant& v, graft_mil_variant_info& info) {
                     info.since = v.since.c_str();
                     info.inputs = v.inputs.c_str();
                     info.types = v.domains.c_str();
                   });
}

size_t graft_code_count(void) { return graft::all_codes().size(); }
graft_error* graft_code_row(size_t index, graft_code_info* out) {
  return give_item(&graft::all_codes(), index, out, [](const graft::CodeInfo& c, graft_code_info& info) {
    info.code = graft::api::code_of(c.code);
    info.name = c.name.data();  // rows of string literals: NUL-terminated
    info.fault = graft::api::fault_of(c.fault);
    info.doc = c.doc.data();
  });
}

size_t graft_pass_count(void) { return graft::passes::coreml_steps().size(); }
graft_error* graft_pass(size_t index, graft_pass_info* out) {
  const auto steps = graft::passes::coreml_steps();
  return give_item(&steps, index, out, [](const graft::passes::Step& s, graft_pass_info& info) {
    info.name = s.name.data();
    info.why = s.why.data();
  });
}

}  // extern "C"
