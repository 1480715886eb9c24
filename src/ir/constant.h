// Immutable constant tensors. Storage is shared and may be a mapped file, borrowed, owned, or a lazy transform of
// another constant, so that a weight is not copied between the ONNX file and the package.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/tensor.h"

namespace graft::ir {

class Constant;
using ConstantPtr = std::shared_ptr<const Constant>;

class Constant {
 public:
  // `owner` keeps `data` alive (a mapped file, a Tensor's storage); null means the caller promises it outlives
  // everything. Data may be unaligned.
  static ConstantPtr borrow(const TensorView& view, std::shared_ptr<const void> owner);
  static ConstantPtr of(const Tensor& tensor);
  static ConstantPtr scalar(DType dtype, double value);  // rank 0, any real dtype
  static ConstantPtr int_scalar(DType dtype, int64_t value);
  static ConstantPtr ints(DType dtype, std::span<const int64_t> values);  // rank 1, an integer dtype or bool
  static ConstantPtr text(std::string_view value);                        // string scalar
  // Lazy: nothing is computed until somebody reads. Float-to-float casts round to nearest even; int casts are the
  // caller's to prove in range (they wrap).
  static ConstantPtr cast(ConstantPtr base, DType dtype);
  static ConstantPtr transpose(ConstantPtr base, const Ints& perm);
  static ConstantPtr reshape(ConstantPtr base, const Shape& shape);  // equal count; never copies

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.size(); }
  int64_t count() const { return shape_.product(); }
  size_t bytes() const { return byte_size(dtype_, count()); }

  // The elements; lazy ones are materialised on the first call and cached (safe from several threads). Alignment is not
  // promised.
  TensorView view() const;
  // The same, aligned to the elements' own size, for typed access: copied (and cached) only when the storage is not.
  TensorView aligned_view() const;
  // Streams the elements' bytes in order in pieces of whole elements, without keeping a copy of a lazy cast.
  void read(const std::function<void(const void* data, size_t bytes)>& sink) const;
  // True when view() needs no computation: reading it costs nothing but page faults.
  bool is_direct() const { return base_ == nullptr; }

  std::string string_value() const;  // of a string scalar
  // Content equality by dtype, shape and bytes (strings by text).
  bool same_as(const Constant& other) const;
  uint64_t hash() const;  // of dtype, shape and content; computed on demand, cached

 private:
  Constant() = default;
  void materialise() const;

  DType dtype_ = DType::invalid;
  Shape shape_;
  const void* data_ = nullptr;         // direct
  std::shared_ptr<const void> owner_;  // direct
  ConstantPtr base_;                   // lazy
  bool is_cast_ = false;               // lazy: cast, else transpose by perm_
  Ints perm_;
  struct Cache;
  std::shared_ptr<Cache> cache_;
};

}  // namespace graft::ir
