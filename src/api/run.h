// What goes into a run and comes out of it, from C's arrays. Private to src/api.
#pragma once

#include <array>
#include <memory_resource>

#include "api/handles.h"

namespace graft::api {

std::unique_ptr<graft_tensor> tensor_handle(Tensor tensor);
// graft_convert.
Result<bool> convert(const graft_input& from, const graft_output& to);

class Run {
 public:
  explicit Run(const session::Session& session);
  Status take_inputs(const graft_input* inputs, size_t count);
  Status take_output(graft_output* element, size_t position);

  Status complete() const;  // an error when an input that is needed was not taken
  // As Session::run takes them: of all_inputs() where an initializer was given, with views without an element type for
  // what was not.
  std::span<const TensorView> inputs() const;
  std::span<backend::OutputSlot> outputs() { return out_; }
  Status give();  // after the run: tensors for whoever gave no memory

 private:
  // Small lists of a run live on the stack: a steady run allocates nothing.
  static constexpr size_t kStack = 8192;

  Status take_input(const graft_input* element, size_t position);

  const session::Session& session_;
  alignas(std::max_align_t) std::array<std::byte, kStack> stack_;
  std::pmr::monotonic_buffer_resource pool_;
  std::pmr::vector<TensorView> in_;
  std::pmr::vector<char> given_;
  std::pmr::vector<backend::OutputSlot> out_;
  std::pmr::vector<graft_output*> wanted_;
  std::vector<Tensor> owned_;  // what is not used where the caller has it: strings and lists
};

}  // namespace graft::api
