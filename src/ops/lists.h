// What the rows of lists share: MIL's (lists.cc) and those that ONNX's sequences need beyond (sequences.cc). Their
// kernels allocate what lists hold, counted against the run's limit.
#pragma once

#include "base/list.h"
#include "ops/moving.h"

namespace graft::ops {

inline const List& list_in(const Call& call, std::string_view param) { return *call.in(param).value.as<List>(); }
inline Status give(Outputs& out, Result<List> list) {
  GRAFT_TRY(*out[0].as<List>(), std::move(list));
  return {};
}

inline const Type& element_of(const Call& call, std::string_view param) { return *call.in(param).type->element; }
// The list of copies of a parameter's values: all members of a tuple.
Status give_copies(const Call& call, Outputs& out, std::string_view param);

// The parameter 'dtype', which names what elements are made of.
Result<DType> dtype_of_elements(const Call& call);
// An index is one integer.
Status check_place(const Call& call, std::string_view param);
// The place that an index names among n, -1 counting from the end where `from_end` says so.
Result<int64_t> place_of(const Call& call, std::string_view param, int64_t n, bool from_end);

// Whether a tensor of that type may be in a list of such elements.
Status check_element(const Type& element, const Type& value);
// The same in a run.
Status check_element(const Type& element, DType dtype, const Shape& shape);

// The element at `place`, into result 0.
Status copy_element(const Call& call, Outputs& out, const List& list, const Type& element, int64_t place);
// What was never written is zeros of this shape; no shape where that is not known.
std::optional<Shape> shape_of_element(const List& list, const Type& element, int64_t place);

}  // namespace graft::ops
