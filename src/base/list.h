// A list of tensors as a value: MIL's lists, ONNX's sequences, and ONNX's optionals, which are lists of at most one. It
// travels as a tensor of rank 0 whose one element, of dtype list, is a List. Copies of a List share its tensors, which
// nobody changes.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/tensor.h"

namespace graft {

class List {
 public:
  List() = default;
  // Tensors may be invalid: places that nothing was written to. What they take is counted by whoever made them, what
  // the list itself takes here.
  static Result<List> of(std::vector<Tensor> tensors, const std::shared_ptr<MemoryLimit>& limit);

  int64_t size() const { return static_cast<int64_t>(size_); }
  const Tensor& operator[](int64_t i) const { return items_->tensors[static_cast<size_t>(i)]; }
  std::span<const Tensor> tensors() const;

  // This list with one more tensor at its end. Lists that grow from each other in one run share their memory, so that
  // appending n tensors takes n steps; one that another thread may hold has to be sealed first, and is copied.
  Result<List> appended(Tensor tensor, const std::shared_ptr<MemoryLimit>& limit) const;
  void seal() { sealed_ = true; }
  // A copy that shares nothing but tensors, of that length: shorter, or with invalid tensors at its end.
  Result<List> resized(int64_t length, const std::shared_ptr<MemoryLimit>& limit) const;
  // Only for lists fresh from of() or resized().
  void replace(int64_t i, Tensor tensor) { items_->tensors[static_cast<size_t>(i)] = std::move(tensor); }

 private:
  struct Items {
    std::vector<Tensor> tensors;
    MemoryShare share;
    Status reserve(size_t count, const std::shared_ptr<MemoryLimit>& limit);
  };
  std::shared_ptr<Items> items_;
  size_t size_ = 0;  // of the items; those beyond belong to lists that grew from this one
  bool sealed_ = false;
};

}  // namespace graft
