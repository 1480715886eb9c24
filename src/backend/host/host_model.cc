// Core ML programs on the engine.
#include <vector>

#include "backend/model.h"

namespace graft::backend {

std::string_view name(ComputeUnits units) {
  switch (units) {
    case ComputeUnits::all: return "ALL";
    case ComputeUnits::cpu_only: return "CPU_ONLY";
    case ComputeUnits::cpu_and_gpu: return "CPU_AND_GPU";
    case ComputeUnits::cpu_and_ne: return "CPU_AND_NE";
  }
  return "ALL";
}

bool coreml_available() { return false; }

namespace {

class HostModel final : public Model {
 public:
  explicit HostModel(std::shared_ptr<const engine::Executable> executable) : executable_(std::move(executable)) {}
  std::span<const engine::Port> inputs() const override { return executable_->inputs(); }
  std::span<const engine::Port> outputs() const override { return executable_->outputs(); }
  Status predict(std::span<const TensorView> inputs, std::span<engine::OutputSlot> outputs,
                 const engine::RunOptions& options) const override {
    return executable_->run(inputs, outputs, options);
  }

 private:
  std::shared_ptr<const engine::Executable> executable_;
};

}  // namespace

Result<std::shared_ptr<const Model>> load_on_host(std::shared_ptr<const ir::Program> program, std::string_view function,
                                                  std::shared_ptr<const Env> env, const engine::Options& options,
                                                  const Bounds& bounds) {
  GRAFT_TRY(auto executable,
            engine::Executable::load(std::move(program), function, std::move(env), options, bounds.memory));
  // Fixed shapes are planned now: loading is where weights are packed, and where what cannot run should say so.
  std::vector<Shape> shapes;
  for (const engine::Port& p : executable->inputs()) {
    if (p.type.is_static()) shapes.push_back(p.type.shape());
  }
  if (shapes.size() == executable->inputs().size()) GRAFT_CHECK(executable->prepare(shapes, bounds.cancel));
  return std::shared_ptr<const Model>(std::make_shared<HostModel>(std::move(executable)));
}

}  // namespace graft::backend
