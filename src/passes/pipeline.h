// The pipelines: which passes run for the host and for Core ML, in what order, and why.
#pragma once

#include <span>
#include <string>

#include "passes/coreml_io.h"
#include "passes/pass.h"

namespace graft::passes {

enum class Precision : uint8_t { float16, float32 };

struct CoremlPassOptions {
  // The newest opset that a rewrite may need: what the user fixed, else what the function needs anyway (from iOS17 on
  // small parameters that do not fit fp16 stay fp32, which needs iOS17).
  ir::Target target = ir::Target::oldest();
  Precision precision = Precision::float16;
};

struct PassRow {
  std::string_view name, why;
  Pass pass;
};
std::span<const PassRow> rewrites();  // what both pipelines begin with
// Every pass of the Core ML pipeline in its order, for documentation and for `--dump-after NAME`.
std::vector<PassRow> coreml_passes();

// For the engine: ONNX's own dtypes, nothing that changes precision. context.target is set to host.
Status run_host_pipeline(ir::Function& function, PassContext& context);
// For a package: everything the host pipeline does as far as the target takes it, then precision and the interface.
// context.target is set to options.target. On an error the function is unusable.
Status run_coreml_pipeline(ir::Function& function, const CoremlPassOptions& options, PassContext& context);

// The oldest opset that takes every operator and every type of the function, up to the target's; else a refusal for
// each operator that the target does not take, with its origin.
OrRefusals<ir::Opset> needed_opset(const ir::Function& function, const ir::Target& target);

}  // namespace graft::passes
