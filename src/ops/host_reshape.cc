// host_reshape: ONNX's Reshape where only a run knows the sizes. MIL's reshape counts the dim that a 0 copies from the
// right, and has no tensors without elements, so that a 0 could not be a size.
#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

Status reshape_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_CHECK(check_index_list(call, "shape"));
  std::optional<Dims> sizes = call.dims("shape");
  if (!sizes) {
    GRAFT_TRY(const int rank, entries(call, "shape"));
    return infer_any_sizes(call, rank, out);
  }
  for (size_t i = 0; i < sizes->size(); ++i) {
    if (!((*sizes)[i] == Dim(0)) || call.flag("allowzero")) continue;
    if (i >= x.dims().size())
      return fail(Code::shape_mismatch,
                  format("a 0 at place {} of shape copies a dim, {} has none there", i, ir::to_string(x.dims())));
    (*sizes)[i] = x.dims()[i];
  }
  GRAFT_TRY(Dims dims, with_sizes(x.dims(), *sizes));
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

constexpr Variant kVariants[] = {
    {Opset::host, "x:T; shape:I; allowzero?:const bool=false",
     "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64,bool,string}; I={int32,int64}"}};
constexpr OpDef host_reshape = {
    .name = "host_reshape",
    .family = "host",
    .doc =
        "ONNX Reshape by sizes that only a run knows: one -1 is computed, 0 copies the dim of x "
        "at that place, or is a size where allowzero says so",
    .variants = kVariants,
    .host = kOrdered,
    .infer = reshape_type,
    .reference = copy_reference,
    .symbolic = symbolic_by_moving,
    .range = range_of_inputs,
    .lazy = lazy_reshape,
    .kind = ir::Kind::view};

}  // namespace

const OpDef& host_reshape_row() { return host_reshape; }

}  // namespace graft::ops
