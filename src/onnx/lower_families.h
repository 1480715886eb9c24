// One function a lower_*.cc file; lowerings.cc joins them. Private to src/onnx.
#pragma once

#include "onnx/node_view.h"

namespace graft::onnx {

#define GRAFT_FAMILY(name) LoweringRows name##_lowerings();
#include "onnx/families.def"
#undef GRAFT_FAMILY

// Versions in which a definition changed, for a row: kSince<7, 13>.
template <int... versions>
inline constexpr int kSince[] = {versions...};

// A MIL operator's name as a template argument.
struct OpName {
  char text[32] = {};
  template <size_t n>
  constexpr OpName(const char (&name)[n]) {  // implicit: rows write same_unary<"exp">
    static_assert(n <= sizeof text);
    for (size_t i = 0; i < n; ++i) text[i] = name[i];
  }
};

// Operators that mean the same in both languages: the MIL operator's name is all there is.
template <OpName op>
Values same_unary(NodeView& n, OpBuilder& b) {
  return {b.unary(op.text, n.in(0))};
}
template <OpName op>
Values same_binary(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *y = n.in(1);  // one after the other: arguments of one call have no order
  return {b.binary(op.text, x, y)};
}

}  // namespace graft::onnx
