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
#include "session/options.h"

namespace graft::session {

// Where things ran, in three words: what was asked for, what the machine and the model allow, what is planned.
struct Placement {
  std::string requested;  // the device option: "coreml-ane"
  std::string allowed;    // "Core ML (CPU_AND_NE)", or why not: "host engine: no Core ML on this machine"
  std::string planned;    // "12 of 14 nodes as a Core ML program, run by the host engine; 2 nodes on the host"
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
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The model's interface, by ONNX names and in ONNX's types (for packages: the names and types of their ONNX origin
  // where the package knows them, else its own).
  std::span<const engine::Port> inputs() const;
  std::span<const engine::Port> outputs() const;
  // The inputs, and after them the initializers that the ONNX file (IR 4 and later) also lists as graph inputs: they
  // have defaults, which are baked in, and need not be fed.
  std::span<const engine::Port> all_inputs() const;
  int input_index(std::string_view name) const;  // among all_inputs(); -1 if there is none
  int output_index(std::string_view name) const;

  // In the order of outputs() and of inputs(), or of all_inputs(), where a view without an element type stands for a
  // default. A run that is fed such an initializer is made on the host: invalid_argument when the graph cannot do
  // without its default (a weight that decides shapes, say). An int64 value outside int32 at a Core ML border sends
  // that run to the host. So do values that break an operator's rules in a Core ML piece (an index out of range): what
  // the host says of them is that run's error, and the next run is as planned. Any other failure of a piece moves the
  // session to the host for good.
  Status run(std::span<const TensorView> inputs, std::span<engine::OutputSlot> outputs,
             const engine::RunOptions& options = {}) const;

  const Placement& placement() const;
  // What became of each node; null for packages.
  const partition::Partition* partition() const;
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
