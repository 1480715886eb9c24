// Inside a session: subgraphs (Core ML partitions, host runs of an ONNX model, or one package) and a table of the
// values that travel between them. session_open.cc makes it, session_run.cc runs it.
#pragma once

#include <atomic>
#include <climits>
#include <deque>
#include <mutex>
#include <optional>

#include "session/session.h"

namespace graft::session {

// A loaded program with its ports wired to the session's values.
struct Wired {
  std::shared_ptr<const backend::Model> model;
  std::vector<int> inputs, outputs;      // slots
  std::vector<DType> onnx_in, onnx_out;  // the dtypes the slots have; differ from the model's where it narrows
  bool coreml = false;                   // takes neither empty tensors nor int64
};

struct LoadedSubgraph {
  Wired planned;                                  // without a model where it could not be loaded
  const partition::Subgraph* subgraph = nullptr;  // of a partitioning; null: the whole model
  int partition = -1;                             // Core ML's
  int place = 0;                                  // among the loaded ones
  bool keeps() const { return planned.model != nullptr && !planned.model->states().empty(); }  // it has states

  // The partition's nodes on the host, made under the mutex when they are first needed.
  mutable std::mutex mutex;
  mutable std::shared_ptr<const Wired> twin;
  mutable std::atomic<bool> moved{false};  // for good, because of `why`, which is written once, before
  mutable Diag why;
};

struct Slot {
  std::string name;
  ir::Type type;        // in ONNX's terms
  int input = -1;       // index among the session's inputs
  int output = -1;      // index among the session's outputs
  int maker = INT_MAX;  // the place of the loaded subgraph that fills it
};

// The inputs for which a model's facts for Core ML hold, their sizes and integers: what is compiled and placed by them
// runs with no other.
class InputsTaken {
 public:
  InputsTaken() = default;
  explicit InputsTaken(const onnx::HostProgram& host);
  // Of an input with another size or number, named with what would fit.
  Status check(std::span<const TensorView> in) const;

 private:
  Status check_sizes(std::span<const TensorView> in) const;
  struct Size {
    int input, axis;
    ir::Dim dim;
    std::string name;  // of the input
  };
  struct Integers {
    int input;
    IntRange range;
    std::string name;  // of the input
  };
  std::vector<Size> sizes_;         // the open ones
  std::vector<Integers> integers_;  // with limits
};

// What the subgraphs keep, by their places among the loaded ones.
struct SessionState final : backend::State {
  const void* owner = nullptr;  // a Session::Impl
  std::vector<std::unique_ptr<backend::State>> of;
};

// Memory of one run; handed out by a pool and reused.
struct RunState {
  std::vector<TensorView> values;  // by slot
  std::vector<Tensor> owned;       // by slot: what no caller's memory holds
  std::vector<TensorView> in;      // arguments of the stage being run
  std::vector<backend::OutputSlot> out;
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
  // What runs Core ML programs: the host where it stands in. The host runs the rest.
  std::shared_ptr<const backend::Device> device, host_device;
  bool stands_in = false;
  std::vector<ir::Port> inputs, outputs, kept;  // kept: the states
  std::vector<ir::Port> all_inputs;             // the inputs, then the overridable initializers
  std::unordered_map<std::string_view, int> input_places, output_places;  // in all_inputs and outputs, by name
  Placement placement;
  std::vector<Diag> findings;
  std::map<std::string, std::string> metadata;
  std::shared_ptr<const onnx::HostProgram> host;                // ONNX models
  std::shared_ptr<const partition::Partitioning> partitioning;  // ONNX models
  std::optional<coreml::Interface> package;                     // packages

  std::vector<Slot> slots;
  std::unordered_map<std::string, int> slot_of;  // by name
  std::deque<LoadedSubgraph> loaded;
  InputsTaken accepted;
  std::vector<bool> checked_inputs;  // int64 inputs that a Core ML stage's facts take to be within int32

  // The whole model on the host with some overridable initializers as inputs, by their names.
  mutable std::mutex overridden_mutex;
  mutable std::map<std::vector<std::string>, std::shared_ptr<const backend::Model>> overridden;

  std::shared_ptr<RunStates> states = std::make_shared<RunStates>();

  static Result<std::unique_ptr<Impl>> make(std::shared_ptr<const Env> env, const Options& options);
  Bounds bounds(const CancelToken* cancel) const { return {cancel, memory}; }

  // ---- session_open.cc ----
  Status open_package(const CancelToken* cancel);
  Status open_onnx(std::shared_ptr<const onnx::Model> model, const CancelToken* cancel);
  Status open_partition(std::shared_ptr<const partition::Partitioning> given, const CancelToken* cancel);
  Status open_host(std::shared_ptr<const onnx::HostProgram> lowered, bool coreml);
  Status load_whole_on_host(const CancelToken* cancel);
  Status load_subgraphs(const CancelToken* cancel);
  Result<std::shared_ptr<const backend::Model>> load_on_host(const ir::Program& program,
                                                             const CancelToken* cancel) const;
  Result<std::shared_ptr<const backend::Model>> load_overridden(const std::vector<std::string>& names,
                                                                const CancelToken* cancel) const;
  Result<std::shared_ptr<const Wired>> load_twin(const LoadedSubgraph& one, const CancelToken* cancel) const;
  // With slots for what has none yet.
  Wired wire(std::shared_ptr<const backend::Model> model, const partition::Subgraph& subgraph);
  void add_whole(std::shared_ptr<const backend::Model> model, bool coreml);  // its ports are the session's
  int slot(const std::string& name, const ir::Type& type);
  void add_ports();

  // ---- session_run.cc ----
  Status run_overridden(std::span<const TensorView> in, std::span<backend::OutputSlot> out,
                        const backend::RunOptions& options) const;
  bool within_int32(std::span<const TensorView> in) const;
  Result<const Wired*> twin_of(const LoadedSubgraph& one, const CancelToken* cancel) const;
  Result<bool> feed(const Wired& wired, RunState& s, std::span<backend::OutputSlot> out,
                    const backend::RunOptions& options) const;
  Status check_state(const backend::RunOptions& options) const;
  // The options of a run with a state for one subgraph: with what it keeps itself.
  backend::RunOptions options_for(const LoadedSubgraph& one, const backend::RunOptions& options) const;
  Status collect(const Wired& wired, RunState& s, const backend::RunOptions& options) const;
  Status hand_over(RunState& s, std::span<backend::OutputSlot> out) const;
  Status to_host(const LoadedSubgraph& one, Diag why) const;
};

}  // namespace graft::session
