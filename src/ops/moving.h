// What the operators that only move elements share: strided copies by element size, so that one kernel serves every
// whole-byte dtype and strings. Nothing here asks for alignment, and nothing allocates (but strings, which copy).
#pragma once

#include "ops/kernel.h"

namespace graft::ops {

inline Ints to_ints(std::span<const int64_t> v) { return Ints(v); }
// Row-major element strides, as Ints.
Ints row_strides(std::span<const int64_t> shape);

using ir::Moves;
using ir::Strided;
// Copies `shape` elements of a whole-byte dtype or strings. The two sides must lie inside their buffers and not
// overlap; that is the caller's to check.
void copy_strided(DType dtype, const Ints& shape, const void* src, const Strided& from, void* dst, const Strided& to,
                  Pace& pace);
// `count` neighbours from src[from] to dst[to].
void copy_elements(DType dtype, const void* src, int64_t from, void* dst, int64_t to, int64_t count, Pace& pace);
// dst[0..count) = src[at].
void fill_elements(DType dtype, const void* src, int64_t at, void* dst, int64_t count, Pace& pace);

// What a kernel calls first when its result's size hangs on argument values: outputs that inference could not size
// while planning are sized now that the values are there.
Status allocate_outputs(const Call& call, Outputs& out);
// A kernel's own view of its result's shape against what was allocated: a mismatch would write outside it.
Status check_output(const Call& call, const MutableTensorView& out, const Shape& shape);

// The steps through a tensor of this shape that lies in order.
inline Strided dense(std::span<const int64_t> shape) { return {0, row_strides(shape)}; }
// A row whose elements are moved as it says: so does the reference kernel, and so does the engine.
Status moves_reference(const Call& call, Outputs& out);
constexpr OpDef moved(OpDef def, Status (*moves)(const Call&, Moves&)) {
  if (def.kind == ir::Kind::kernel) def.kind = ir::Kind::move;
  if (def.reference == nullptr) def.reference = moves_reference;
  def.moves = moves;
  return def;
}
// The shape of an argument, of which a plan knows the type and a run the value.
Shape shape_of(const Operand& operand);
// What a row takes the result's shape to be, against what it is.
Status check_result(const Call& call, const Shape& got, const Shape& shape);

// Copies x's elements in order: reshape, expand_dims, squeeze, identity, flatten2d.
Status copy_reference(const Call& call, Outputs& out);
std::vector<ir::ConstantPtr> lazy_reshape(const Call& call, const Types& out);

// The dims of x under these sizes, of which one may be -1 and takes what is left. Fails where x cannot have them.
Result<Dims> with_sizes(const Dims& x, const Dims& sizes);

// An axis list, each within -rank..rank-1, no axis twice; sorted.
Result<Ints> normal_axes(const Ints& axes, int rank);
// An integer argument of rank 1, if it is there at all.
Status check_index_list(const Call& call, std::string_view param);
// An integer argument of any rank: the host's dtypes alone would let floats through.
Status check_integers(const Call& call, std::string_view param);
// The dims that an integer list argument asks for; fresh ones when only a run can tell.
Result<Dims> dims_of(const Call& call, std::string_view param);
// One value, of any rank, if it is there at all.
Status check_scalar(const Call& call, std::string_view param);
// The type of the elements of a tuple argument of tensors: all of one dtype and rank.
Status check_tuple(const Call& call, std::string_view param);

}  // namespace graft::ops
