// Immutable constant tensors. Each is stored in one of a closed set of forms: its elements where they lie (a mapped
// file, borrowed or owned memory), a lazy transform of another constant, or a compressed form, the ones of MIL's
// constexpr operators. Nobody has to know the form: view() and read() give the elements. Who can use it asks as<>().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/bounds.h"
#include "base/tensor.h"

namespace graft::ir {

class Constant;
using ConstantPtr = std::shared_ptr<const Constant>;

// Parts are constants of any form. Where there is a `mask` (uint1, as large as the dense tensor, or as `indices` would
// be), the elements under its zeros are 0 and the other part lists only those under its ones.
namespace form {
struct Direct {
  const void* data = nullptr;
  std::shared_ptr<const void> owner;
};
struct Cast {
  ConstantPtr base;
};
struct Transpose {
  ConstantPtr base;
  Ints perm;
};
struct Reshape {
  ConstantPtr base;
};
// scale * (data - zero_point); both have one value, or one for each entry of `axis`. A null zero_point is 0.
struct Affine {
  ConstantPtr data, scale, zero_point;
  int axis = 0;
};
// scale * (data - offset), block by block: each dim of `scale` and `offset` divides the dense one. `offset` and `mask`
// may be null.
struct Blockwise {
  ConstantPtr data, scale, offset, mask;
};
// Entries of lut [groups..., entries, vector] by index; each dim of groups divides that of the indices, and a vector
// lies along `axis`. `mask` may be null.
struct Palette {
  ConstantPtr indices, lut;
  int axis = 0;
  ConstantPtr mask;
};
struct Sparse {
  ConstantPtr values, mask;
};
// The list of the elements of `of`, a masked form, that its mask leaves.
struct Nonzero {
  ConstantPtr of;
};
}  // namespace form

class Constant : public std::enable_shared_from_this<Constant> {
 public:
  using Form = std::variant<form::Direct, form::Cast, form::Transpose, form::Reshape, form::Affine, form::Blockwise,
                            form::Palette, form::Sparse, form::Nonzero>;

  // `owner` keeps `data` alive (a mapped file, a Tensor's storage); null means the caller promises it outlives
  // everything. Data may be unaligned.
  static ConstantPtr borrow(const TensorView& view, std::shared_ptr<const void> owner);
  static ConstantPtr of(const Tensor& tensor);
  // What folding computed, from operands with this source_bytes() at most.
  static ConstantPtr folded(const Tensor& tensor, size_t source_bytes);
  static ConstantPtr scalar(DType dtype, double value);  // rank 0, any real dtype
  static ConstantPtr int_scalar(DType dtype, int64_t value);
  static ConstantPtr ints(DType dtype, std::span<const int64_t> values);  // rank 1, an integer dtype or bool
  static ConstantPtr text(std::string_view value);                        // string scalar
  // Lazy: nothing is computed until somebody reads. Of a compressed constant they are the compressed form of other
  // parts where that has the very same elements. Float-to-float casts round to nearest even; int casts are the caller's
  // to prove in range (they wrap).
  static ConstantPtr cast(ConstantPtr base, DType dtype);
  static ConstantPtr transpose(ConstantPtr base, const Ints& perm);  // no strings
  static ConstantPtr reshape(ConstantPtr base, const Shape& shape);  // equal count; never copies
  // A compressed form and the dense type that it gives. That parts and type fit is the caller's to check, as the
  // inference of the constexpr operators does (ops/constexpr.cc).
  static ConstantPtr stored(DType dtype, const Shape& shape, Form form);
  // The mask of a masked form in the shape of the dense tensor; null where there is none.
  static ConstantPtr mask_of(const Constant& constant);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.size(); }
  int64_t count() const { return shape_.product(); }
  size_t bytes() const { return byte_size(dtype_, count()); }
  // What is kept while nobody has asked for the elements.
  size_t stored_bytes() const { return stored_bytes_; }
  // What a model gave for it, at least: its own bytes, or less where folding made it larger than what it was made from.
  size_t source_bytes() const { return source_bytes_; }

  const Form& form() const { return form_; }
  template <class F>
  const F* as() const {
    return std::get_if<F>(&form_);
  }
  // True when view() needs no computation: reading it costs nothing but page faults.
  bool is_direct() const { return as<form::Direct>() != nullptr; }
  // How deep forms nest; reading recurses so deep. Whoever makes forms of what a model names keeps to the limit.
  static constexpr int kMaxDepth = 8;
  int depth() const { return depth_; }

  // The elements; others than direct ones are computed on the first call and kept (safe from several threads).
  // Alignment is not promised.
  TensorView view() const;
  // The same, aligned to the elements' own size, for typed access: copied (and kept) only when the storage is not.
  TensorView aligned_view() const;
  // The same within bounds: what is computed or copied counts for as long as the constant lives, once.
  Result<TensorView> aligned_view(const Bounds& bounds) const;
  // Streams the elements' bytes in order in pieces of whole elements, without keeping what is computed.
  using Sink = std::function<void(const void* data, size_t bytes)>;
  void read(const Sink& sink) const { read(0, count(), sink); }
  // `count` elements from `first` on; of sub-byte ones, `first` must be a multiple of 8.
  void read(int64_t first, int64_t count, const Sink& sink) const;

  std::string string_value() const;  // of a string scalar
  // Content equality by dtype, shape and bytes (strings by text), whatever the form.
  bool same_as(const Constant& other) const;
  uint64_t hash() const;  // of dtype, shape and content; computed on demand, cached

 private:
  Constant() = default;
  static std::shared_ptr<Constant> make(DType dtype, const Shape& shape, Form form);
  Result<const void*> dense(const Bounds& bounds) const;
  Status fill(const CancelToken* cancel) const;
  Result<TensorView> view(const Bounds& bounds) const;

  DType dtype_ = DType::invalid;
  Shape shape_;
  Form form_;
  int depth_ = 0;
  size_t stored_bytes_ = 0, source_bytes_ = 0;
  struct Cache;
  std::shared_ptr<Cache> cache_;
};

}  // namespace graft::ir
