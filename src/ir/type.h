// The type of a value: tensor, list, state, dictionary, or (host only) optional, or a tensor of any rank.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/shape.h"
#include "ir/dim.h"

namespace graft::ir {

struct Type {
  enum class Kind : uint8_t {
    none,
    tensor,
    unranked,  // a tensor whose rank only a run knows
    list,
    state,
    dictionary,
    optional,  // in memory a list of at most one
  };
  Kind kind = Kind::none;
  DType dtype = DType::invalid;         // tensor, unranked
  Dims dims;                            // tensor
  Dim length;                           // list; optional: 0 or 1. A number, or unknown_length()
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
  static Type unranked(DType dtype);
  static Type state(Type wrapped);
  static Type list(Type element, Dim length);
  static Type dictionary(Type key, Type value);
  static Type optional(Type element, Dim length);

  bool is_tensor() const { return kind == Kind::tensor; }
  bool is_list() const { return kind == Kind::list || kind == Kind::optional; }
  bool is_state() const { return kind == Kind::state; }
  // The dtype of values in memory: of a state, what it holds; a dictionary is a List of its keys and its values.
  DType stored() const {
    if (is_state()) return element->stored();
    return is_list() || kind == Kind::dictionary ? DType::list : dtype;
  }
  int rank() const { return static_cast<int>(dims.size()); }
  bool is_static() const { return is_tensor() && all_known(dims); }
  // Values take the same memory in every run: a List's own is the same for any length.
  bool is_sized() const { return stored() == DType::list || is_static(); }
  // The shape of a static tensor type of rank <= kMaxRank.
  Shape shape() const;
  std::string to_string() const;  // "tensor<fp32, [1, 3, height, width]>"
  friend bool operator==(const Type& a, const Type& b);
};

// Of a list whose length only a run knows. Nothing is told of two such lengths.
inline Dim unknown_length() { return Dim::symbol("?"); }

// The type of a value that is of one of two types: dims that differ are `fresh`, ranks that differ make it unranked,
// and nothing is asked of what is in an empty list. Kind none where there is no such type.
Type joined(const Type& a, const Type& b, const std::function<Dim(IntRange)>& fresh);
// A tensor's type for another value like it: each dim that hangs on what a run found (a symbol of the builder's own,
// "?...") is `fresh`, of the same range.
Type with_new_sizes(Type type, const std::function<Dim(IntRange)>& fresh);

}  // namespace graft::ir
