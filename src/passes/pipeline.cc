#include "passes/pipeline.h"

#include "ir/verify.h"
#include "passes/casts.h"
#include "passes/common_subexpressions.h"
#include "passes/dead_code.h"
#include "passes/fuse_conv.h"
#include "passes/fuse_linear.h"
#include "passes/low_rank.h"
#include "passes/precision.h"
#include "passes/recognise.h"
#include "passes/shapes.h"

namespace graft::passes {
namespace {

constexpr PassRow kRewrites[] = {
    {"dead_code", "what nobody uses need not be looked at", dead_code},
    {"constant_reshapes", "Shape, Gather, Concat before Reshape only said -1", constant_reshapes},
    {"remove_noops", "exporters leave identities, full slices, casts to the same", remove_noops},
    {"join_casts", "a cast there and back is nothing", join_casts},
    {"common_subexpressions", "patterns match one difference, not two equal ones", common_subexpressions},
    {"merge_transposes", "transposes in a row move once", merge_transposes},
    {"merge_reshapes", "reshape, squeeze, expand_dims in a row change the shape once", merge_reshapes},
    {"remove_noops_after_merging", "what merging left without effect", remove_noops},
    {"recognise_rsqrt", "before layer_norm, which knows the quotient by a root", recognise_rsqrt},
    {"recognise_layer_norm", "one operator that is accurate in fp16 instead of nine that are not",
     recognise_layer_norm},
    {"recognise_softmax", "one operator that does not overflow instead of five", recognise_softmax},
    {"recognise_activations", "silu and gelu in one pass over memory", recognise_activations},
    {"affine_into_conv", "batch_norm, scale and bias cost nothing inside the weights", affine_into_conv},
    {"pad_into_window", "windows pad for free", pad_into_window},
    {"transpose_into_matmul", "matmul reads either way", transpose_into_matmul},
    {"matmul_to_linear", "constant weights are packed once; bias for free", matmul_to_linear},
    {"dead_code_after_fusion", "what the rewrites left behind", dead_code},
};

Status run(const PassRow& row, ir::Function& function, PassContext& context) {
  GRAFT_CHECK(row.pass(function, context));
  if (context.after_pass) context.after_pass(row.name, function);
  return ir::verify_in_debug(function, row.name);
}

// After the fusions, which know operators by their dims.
constexpr PassRow kFewDims[] = {
    {"low_rank", "Core ML's tensors have five dims at most", low_rank},
    {"dead_code_after_low_rank", "shapes of more dims that nobody looks at any more", dead_code},
};
// After the fusions, so that the constants that are rounded are the final ones.
constexpr PassRow kPrecision = {"half_precision", "fp16 except where it would overflow", half_precision};
constexpr PassRow kInterface = {"coreml_io", "Core ML has inputs and outputs of a few types only", coreml_io};
constexpr PassRow kAfterInterface[] = {
    {"join_casts_at_ports", "casts of the interface and of the precision meet", join_casts},
    {"common_casts", "one cast of a value, not one a block", common_subexpressions},
    {"dead_code_after_precision", "wide constants and casts that were joined", dead_code},
    {"own_ports", "Core ML wants each output made by an operator of its own and drops inputs that nobody reads",
     own_ports},
};

}  // namespace

std::span<const PassRow> rewrites() { return kRewrites; }

std::vector<PassRow> coreml_passes() {
  std::vector<PassRow> passes(std::begin(kRewrites), std::end(kRewrites));
  passes.insert(passes.end(), std::begin(kFewDims), std::end(kFewDims));
  passes.insert(passes.end(), {kPrecision, kInterface});
  passes.insert(passes.end(), std::begin(kAfterInterface), std::end(kAfterInterface));
  return passes;
}

// Ranges are inferred from int64 inputs within int32, which only Core ML's boundaries see to.
void forget_ranges(ir::Function& function) {
  const auto forget = [](ir::Value& v) {
    if (is_int(v.dtype()) && !v.is_constant()) v.range = int_range(v.dtype());
  };
  for (ir::Value* v : function.inputs) forget(*v);
  ir::visit_ops(function.body, [&](ir::Op& op) {
    for (ir::Value* v : op.results) forget(*v);
    for (const auto& block : op.blocks) {
      for (ir::Value* v : block->inputs) forget(*v);
    }
  });
}

Status run_host_pipeline(ir::Function& function, PassContext& context) {
  context.target = {};
  forget_ranges(function);
  for (const PassRow& row : kRewrites) GRAFT_CHECK(run(row, function, context));
  return {};
}

Status run_coreml_pipeline(ir::Function& function, const CoremlPassOptions& options, PassContext& context) {
  context.target = options.target.before_passes();
  for (const PassRow& row : kRewrites) GRAFT_CHECK(run(row, function, context));
  for (const PassRow& row : kFewDims) GRAFT_CHECK(run(row, function, context));
  context.target = options.target;
  if (options.precision == Precision::float16) GRAFT_CHECK(run(kPrecision, function, context));
  GRAFT_CHECK(run(kInterface, function, context));
  for (const PassRow& row : kAfterInterface) GRAFT_CHECK(run(row, function, context));
  return {};
}

OrRefusals<ir::Opset> needed_opset(const ir::Function& function, const ir::Target& target) {
  ir::Opset needed = ir::Target::oldest().opset();
  Refusals refusals;
  ir::visit_ops(function.body, [&](ir::Op& op) {
    ir::Types results;
    for (const ir::Value* v : op.results) results.push_back(v->type);
    Result<ir::Opset> since = target.accepts(ir::call_of(op), results);
    if (since) {
      needed = std::max(needed, *since);
      return;
    }
    Diag d = std::move(since).error();
    if (d.op.empty()) d.op = std::string(op.type());
    d.origin = op.origin.nodes();
    refusals.push_back(std::move(d));
  });
  if (!refusals.empty()) return tl::unexpected(std::move(refusals));
  return needed;
}

}  // namespace graft::passes
