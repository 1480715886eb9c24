// The engine as a device.
#include "coreml/package.h"
#include "devices/devices.h"

namespace graft::devices {
namespace {

class Host final : public backend::Device {
 public:
  explicit Host(const engine::Options& options) : options_(options) {}
  std::string_view name() const override { return "the host engine"; }

  Result<std::shared_ptr<const backend::Model>> load(const backend::Artefact& artefact,
                                                     const backend::LoadOptions& options) const override {
    std::shared_ptr<const ir::Program> program = artefact.program;
    if (program == nullptr) {
      GRAFT_TRY(coreml::Model read, coreml::read_package(artefact.package, options.weights, options.bounds));
      program = std::move(read.program);
    }
    GRAFT_TRY(
        std::shared_ptr<const engine::Executable> executable,
        engine::Executable::load(std::move(program), artefact.function, options.env, options_, options.bounds.memory));
    // Fixed shapes are planned now: loading is where weights are packed, and where what cannot run should say so.
    std::vector<Shape> shapes;
    for (const ir::Port& p : executable->inputs()) {
      if (p.type.is_static()) shapes.push_back(p.type.shape());
    }
    if (shapes.size() == executable->inputs().size()) GRAFT_CHECK(executable->prepare(shapes, options.bounds.cancel));
    return std::shared_ptr<const backend::Model>(std::move(executable));
  }

 private:
  engine::Options options_;
};

}  // namespace

std::shared_ptr<const backend::Device> host(const engine::Options& options) { return std::make_shared<Host>(options); }

}  // namespace graft::devices
