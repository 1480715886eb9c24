// Tensors in memory: views that borrow and one that owns. Always dense, row-major, little-endian.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "base/bounds.h"
#include "base/dtype.h"
#include "base/shape.h"

namespace graft {

// Elements that are C++ objects and not just bytes: std::string, List.
constexpr bool holds_objects(DType t) { return t == DType::string || t == DType::list; }
// Copies elements of any type; both sides aligned to it. Sub-byte types from the start of a byte.
void copy_values(DType dtype, const void* from, void* to, int64_t count);

// Borrowed, read-only. Nothing is promised about alignment unless the maker says so; Tensor's memory is 64-byte
// aligned. String tensors point to an array of std::string, a list to one List.
struct TensorView {
  DType dtype = DType::invalid;
  Shape shape;
  const void* data = nullptr;

  int rank() const { return shape.size(); }
  int64_t count() const { return shape.product(); }
  size_t bytes() const { return byte_size(dtype, count()); }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
  template <class T>
  std::span<const T> span() const {
    return {as<T>(), static_cast<size_t>(count())};
  }
  // To the elements' own size, for typed access.
  bool aligned() const {
    return holds_objects(dtype) || item_size(dtype) == 0 || reinterpret_cast<uintptr_t>(data) % item_size(dtype) == 0;
  }
};

struct MutableTensorView {
  DType dtype = DType::invalid;
  Shape shape;
  void* data = nullptr;

  operator TensorView() const { return {dtype, shape, data}; }
  int rank() const { return shape.size(); }
  int64_t count() const { return shape.product(); }
  size_t bytes() const { return byte_size(dtype, count()); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  template <class T>
  std::span<T> span() const {
    return {as<T>(), static_cast<size_t>(count())};
  }
};

// Owned memory, shared by copies of the Tensor (copying a Tensor does not copy its elements).
class Tensor {
 public:
  Tensor() = default;
  // 64-byte aligned, not initialised (strings: empty). Sizes that a model or a caller names go through allocate(),
  // which counts the memory for as long as it lives and says out_of_memory or memory_limit; the constructor is for
  // sizes that are known to be small, and throws std::bad_alloc.
  Tensor(DType dtype, const Shape& shape);
  static Result<Tensor> allocate(DType dtype, const Shape& shape, const std::shared_ptr<MemoryLimit>& limit = nullptr);
  // Elements, no strings, in memory from operator new with that alignment, and what was counted for it.
  static Tensor adopt(DType dtype, const Shape& shape, void* data, size_t align, MemoryShare share);
  static Tensor copy_of(const TensorView& view);
  static Result<Tensor> copy_of(const TensorView& view, const std::shared_ptr<MemoryLimit>& limit);
  template <class T>
  static Tensor of(DType dtype, const Shape& shape, std::span<const T> values) {
    Tensor t(dtype, shape);
    std::copy(values.begin(), values.end(), static_cast<T*>(t.data_.get()));
    return t;
  }

  bool valid() const { return dtype_ != DType::invalid; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t count() const { return shape_.product(); }
  TensorView view() const { return {dtype_, shape_, data_.get()}; }
  MutableTensorView mutable_view() { return {dtype_, shape_, data_.get()}; }
  template <class T>
  std::span<T> span() const {
    return {static_cast<T*>(data_.get()), static_cast<size_t>(count())};
  }
  const std::shared_ptr<void>& storage() const { return data_; }
  // From now on the memory is the caller's and counts against no limit.
  void hand_over();
  // The same elements under another shape of equal count.
  Tensor reshaped(const Shape& shape) const;

 private:
  DType dtype_ = DType::invalid;
  Shape shape_;
  std::shared_ptr<void> data_;
};

// Element i as a wide value, for any real dtype, bool included; unaligned data is fine; sub-byte types are unpacked.
// For printing, reading parameters and tests: slow. Not for strings and complex types.
double element_as_double(const TensorView& t, int64_t i);
int64_t element_as_int(const TensorView& t, int64_t i);  // floats truncate towards zero; all saturate; NaN gives 0
// Modulo 2^64, for arithmetic that wraps: of uint64 all bits, of anything else element_as_int.
uint64_t element_as_bits(const TensorView& t, int64_t i);
// `type[dims]`, e.g. "fp32[1, 3, 224, 224]".
std::string describe(DType dtype, std::span<const int64_t> dims);

}  // namespace graft
