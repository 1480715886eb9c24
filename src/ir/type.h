// The type of a value: tensor, list, state, dictionary, or (host only) optional.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/shape.h"
#include "ir/dim.h"

namespace graft::ir {

struct Type {
  enum class Kind : uint8_t { none, tensor, list, state, dictionary, optional };
  Kind kind = Kind::none;
  DType dtype = DType::invalid;         // tensor
  Dims dims;                            // tensor
  Dim length;                           // list
  std::shared_ptr<const Type> element;  // list, state, optional: what is inside; dictionary: the value
  std::shared_ptr<const Type> key;      // dictionary

  static Type tensor(DType dtype, Dims dims) {
    Type t;
    t.kind = Kind::tensor;
    t.dtype = dtype;
    t.dims = std::move(dims);
    return t;
  }
  static Type tensor(DType dtype, const Shape& shape) { return tensor(dtype, Dims(shape.begin(), shape.end())); }
  static Type state(Type wrapped);
  static Type list(Type element, Dim length);
  static Type dictionary(Type key, Type value);
  static Type optional(Type element);

  bool is_tensor() const { return kind == Kind::tensor; }
  int rank() const { return static_cast<int>(dims.size()); }
  bool is_static() const { return is_tensor() && all_known(dims); }
  // The shape of a static tensor type of rank <= kMaxRank.
  Shape shape() const;
  std::string to_string() const;  // "tensor<fp32, [1, 3, height, width]>"
  friend bool operator==(const Type& a, const Type& b);
};

}  // namespace graft::ir
