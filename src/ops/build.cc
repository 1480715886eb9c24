#include "ops/build.h"

#include <algorithm>

namespace graft::ops {

Value* Build::transpose(Value* x, const Ints& perm) {
  bool moves = false;
  for (int i = 0; i < perm.size(); ++i) moves |= perm[i] != i;
  return moves ? emit("transpose", {{"x", x}, {"perm", perm}}) : x;
}

Value* Build::reshape(Value* x, const Dims& dims) {
  if (x->poison || x->dims() == dims) return x;
  const auto unknown = std::count_if(dims.begin(), dims.end(), [](const Dim& d) { return !d.known(); });
  if (unknown > 1) {
    Value* hint = x;
    return reshape(x, dims_value(dims, std::span<Value* const>(&hint, 1)));
  }
  std::vector<int64_t> shape;
  for (const Dim& d : dims) shape.push_back(d.known() ? d.value() : -1);
  return emit("reshape", {{"x", x}, {"shape", std::move(shape)}});
}

}  // namespace graft::ops
