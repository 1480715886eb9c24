// What a session is made of: a list of executables in order (one for most models) and a table of the values that travel
// between them. session_open.cc makes it, session_run.cc runs it.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "session/session.h"

namespace graft::session {

// One executable with its ports wired to the session's values.
struct Stage {
  std::shared_ptr<const backend::Model> model;
  std::vector<int> inputs, outputs;            // slots
  std::vector<DType> outside_in, outside_out;  // the dtypes the slots have; differ from the model's where it narrows
  bool coreml = false;
};

struct Slot {
  std::string name;
  ir::Type type;    // in ONNX's terms
  int input = -1;   // index among the session's inputs
  int output = -1;  // index among the session's outputs
};

// Memory of one run; handed out by a pool and reused.
struct RunState {
  std::vector<TensorView> values;  // by slot
  std::vector<Tensor> owned;       // by slot: what no caller's memory holds
  std::vector<TensorView> in;      // arguments of the stage being run
  std::vector<engine::OutputSlot> out;
  std::vector<Tensor> narrowed;  // by argument of the stage being run
};

// States that no run uses.
class RunStates final : public IdleMemory {
 public:
  std::unique_ptr<RunState> take();
  void give_back(std::unique_ptr<RunState> state);
  void drop() override;

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<RunState>> idle_;
};

struct Session::Impl {
  Options options;
  std::shared_ptr<const Env> env;
  std::string path;  // empty: from memory
  std::shared_ptr<MemoryLimit> memory;
  std::vector<engine::Port> inputs, outputs;
  std::vector<engine::Port> all_inputs;  // the inputs, then the overridable initializers
  std::unordered_map<std::string_view, int> input_places, output_places;  // in all_inputs and outputs, by name
  Placement placement;
  std::vector<Diag> findings;
  std::map<std::string, std::string> metadata;
  std::shared_ptr<const onnx::HostProgram> host;  // ONNX models
  std::optional<partition::Partition> partition;  // ONNX models
  std::optional<coreml::Interface> package;       // packages

  std::vector<Slot> slots;
  std::unordered_map<std::string, int> slot_of;  // by name
  std::vector<Stage> stages;
  std::vector<bool> checked_inputs;  // int64 inputs that a Core ML stage's facts take to be within int32

  // The whole model on the host, made when a Core ML piece first fails or a value leaves int32.
  mutable std::mutex fallback_mutex;
  mutable std::shared_ptr<const backend::Model> fallback;
  mutable std::atomic<bool> use_fallback{false};
  // The whole model on the host with some overridable initializers as inputs, by their names; under fallback_mutex.
  mutable std::map<std::vector<std::string>, std::shared_ptr<const backend::Model>> overridden;

  std::shared_ptr<RunStates> states = std::make_shared<RunStates>();

  static std::unique_ptr<Impl> make(std::shared_ptr<const Env> env, const Options& options);
  Bounds bounds(const CancelToken* cancel) const { return {cancel, memory}; }
  Status open_onnx(const std::shared_ptr<const onnx::Model>& model, const CancelToken* cancel);
  Status open_package(const CancelToken* cancel);
  Result<std::shared_ptr<const backend::Model>> load_host_program(const onnx::HostProgram& program,
                                                                  const CancelToken* cancel) const;
  Result<std::shared_ptr<const backend::Model>> load_overridden(const std::vector<std::string>& names,
                                                                const CancelToken* cancel) const;
  Status plan_pieces(const CancelToken* cancel);
  Status wire(const partition::Segment& segment, const CancelToken* cancel);
  void add_whole(Stage stage);  // a stage that is the whole model: its ports are the session's
  int slot(const std::string& name, const ir::Type& type);
  void add_ports();

  Status run(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
             const engine::RunOptions& run_options) const;
  Status run_overridden(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                        const engine::RunOptions& run_options) const;
  Status run_fallback(std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                      const engine::RunOptions& run_options) const;
  Result<bool> run_stages(RunState& s, std::span<const TensorView> in, std::span<engine::OutputSlot> out,
                          const engine::RunOptions& run_options) const;
  Result<bool> run_stage(const Stage& stage, RunState& s, std::span<engine::OutputSlot> out,
                         const engine::RunOptions& run_options) const;
};

}  // namespace graft::session
