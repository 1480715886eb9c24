// A device that takes Core ML programs, runs them on the engine, and fails when a test wants it to.
#pragma once

#include <atomic>
#include <functional>

#include "devices/devices.h"

namespace graft::test {

class TestDevice final : public backend::Device, public std::enable_shared_from_this<TestDevice> {
 public:
  // Asked before each load and each run, with its number (from 0) and the artefact's first output. May be empty.
  std::function<Status(int load, const std::string& output)> on_load;
  std::function<Status(int run, const std::string& output)> on_run;
  mutable std::atomic<int> loads{0}, runs{0};
  mutable backend::ComputeUnits units = backend::ComputeUnits::all;  // of the last load

  std::string_view name() const override { return "a test's device"; }
  Result<std::shared_ptr<const backend::Model>> load(const backend::Artefact& artefact,
                                                     const backend::LoadOptions& options) const override {
    units = options.units;
    const std::string output = artefact.outputs.empty() ? "" : artefact.outputs[0].name;
    const int number = loads++;
    if (on_load) GRAFT_CHECK(on_load(number, output));
    GRAFT_TRY(auto model, devices::host({})->load(artefact, options));
    return std::shared_ptr<const backend::Model>(std::make_shared<Model>(shared_from_this(), std::move(model), output));
  }

 private:
  class Model final : public backend::Model {
   public:
    Model(std::shared_ptr<const TestDevice> device, std::shared_ptr<const backend::Model> model, std::string output)
        : device_(std::move(device)), model_(std::move(model)), output_(std::move(output)) {}
    std::span<const ir::Port> inputs() const override { return model_->inputs(); }
    std::span<const ir::Port> outputs() const override { return model_->outputs(); }
    Status run(std::span<const TensorView> in, std::span<backend::OutputSlot> out,
               const backend::RunOptions& options) const override {
      const int number = device_->runs++;
      if (device_->on_run) GRAFT_CHECK(device_->on_run(number, output_));
      return model_->run(in, out, options);
    }

   private:
    std::shared_ptr<const TestDevice> device_;
    std::shared_ptr<const backend::Model> model_;
    std::string output_;
  };
};

}  // namespace graft::test
