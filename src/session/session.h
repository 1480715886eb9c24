// A model, loaded and planned: run it, and ask where each node is planned and why. Opens .onnx files, ONNX models in
// memory, and .mlpackage folders.
//
// Immutable after open(); run() may be called from several threads at once. All memory given is borrowed for the call.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/file.h"
#include "coreml/package.h"
#include "session/options.h"

namespace graft::session {

// Where things ran, in three words: what was asked for, what the machine and the model allow, what is planned.
struct Placement {
  std::string requested;  // the device option: "coreml-ane"
  std::string allowed;    // "Core ML (CPU_AND_NE)", or why not: "host engine: no Core ML on this machine"
  std::string planned;    // "12 of 14 nodes as a Core ML program, run by the host engine; 2 nodes on the host"
};

struct Moved {
  int partition = 0;  // as in partition::NodePlan
  Diag why;
};

class Session {
 public:
  // .onnx, .mlpackage. Errors carry the file's name; not_delegated lists every reason. After it the files may be
  // changed, cut short, replaced or removed, unless options.weights is Hold::mapped; while it reads them they may not:
  // what it notices of that (sizes, times) is an io_error.
  static Result<std::shared_ptr<const Session>> open(const std::string& path, std::shared_ptr<const Env> env,
                                                     const Options& options, const CancelToken* cancel = nullptr);
  // An ONNX model in memory; `bytes` are kept alive by `owner`, external data is looked up in `folder` (empty: none).
  static Result<std::shared_ptr<const Session>> open_memory(Bytes bytes, std::shared_ptr<const void> owner,
                                                            const std::string& folder, std::shared_ptr<const Env> env,
                                                            const Options& options,
                                                            const CancelToken* cancel = nullptr);
  // A model that is in memory already, read or built.
  static Result<std::shared_ptr<const Session>> open(const std::shared_ptr<const onnx::Model>& model,
                                                     std::shared_ptr<const Env> env, const Options& options,
                                                     const CancelToken* cancel = nullptr);
  // A model that was partitioned already, by the options that the partitioning holds: those for partitioning and
  // lowering among `options` are not looked at. Its Core ML partitions may lie in packages alone. Errors: also
  // invalid_argument for a partitioning without claims on a device that takes Core ML programs.
  static Result<std::shared_ptr<const Session>> open(std::shared_ptr<const partition::Partitioning> partitioning,
                                                     std::shared_ptr<const Env> env, const Options& options,
                                                     const CancelToken* cancel = nullptr);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The model's interface, by ONNX names and in ONNX's types (for packages: the names and types of their ONNX origin
  // where the package knows them, else its own).
  std::span<const ir::Port> inputs() const;
  std::span<const ir::Port> outputs() const;
  // The inputs, and after them the initializers that the ONNX file (IR 4 and later) also lists as graph inputs: they
  // have defaults, which are baked in, and need not be fed.
  std::span<const ir::Port> all_inputs() const;
  // What the model keeps from run to run where it is given a state of this session; see backend::State.
  std::span<const ir::Port> states() const;
  Result<std::unique_ptr<backend::State>> new_state() const;
  int input_index(std::string_view name) const;  // among all_inputs(); -1 if there is none
  int output_index(std::string_view name) const;

  // In the order of outputs() and of inputs(), or of all_inputs(), where a view without an element type stands for a
  // default. A run that is fed such an initializer is made on the host: invalid_argument when the graph cannot do
  // without its default (a weight that decides shapes, say). An int64 value outside int32 at a Core ML partition sends
  // that partition to the host in this run, and so does a tensor without elements. So do values that break an
  // operator's rules in it (an index out of range): what the host says of them is that run's error, and the next run is
  // as planned. Any other failure moves that partition, and no other, to the host for good; with require_device or
  // require_full_delegation it is an error of each run.
  Status run(std::span<const TensorView> inputs, std::span<backend::OutputSlot> outputs,
             const backend::RunOptions& options = {}) const;

  const Placement& placement() const;
  // What was planned for each node; null for packages.
  const std::shared_ptr<const partition::Partitioning>& partitioning() const;
  // The node at that place as it is now: on the host, with the reason, where its partition has moved there.
  partition::NodePlan node(size_t place) const;
  // Partitions that their device could not load, or not run, so that the host runs them; more may follow as runs go on.
  std::vector<Moved> moved() const;
  // Findings about the model as a whole (overridable initializers, precision notes).
  std::span<const Diag> findings() const;
  // The package's interface; null for ONNX models.
  const coreml::Interface* package() const;
  const std::map<std::string, std::string>& metadata() const;
  const Options& options() const;
  // What the session's memory is counted against, for whoever makes tensors for it; null: no limit.
  const std::shared_ptr<MemoryLimit>& memory() const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft::session
