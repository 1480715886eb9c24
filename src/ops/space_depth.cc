// MIL's tensor_transformation family, the part that trades space for channels or batch: each is one strided copy with
// the blocks as dims of their own.
#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "tensor_transformation";
constexpr std::string_view kFloat = "T={fp16,fp32}";

Status need_rank4(const Call& call) {
  if (call.in("x").rank() == 4) return {};
  return fail(Code::rank_mismatch, format("takes [n, C, H, W], got {}", call.in("x").type->to_string()));
}

Result<int64_t> positive(const Call& call, std::string_view param) {
  const int64_t v = call.i(param);
  if (call.error()) return fail(*call.error());
  if (v >= 1 && v <= INT32_MAX) return v;
  return fail(Code::value_out_of_range, format("{} is {}", param, v));
}

Result<Dim> divided(const Dim& d, int64_t by, std::string_view what) {
  if (d.known() && d.value() % by != 0)
    return fail(Code::shape_mismatch, format("{} {} is not a multiple of {}", what, d.value(), by));
  return ir::floor_div(d, Dim(by));
}

// Whether channels hold blocks as (by, bx, c) or as (c, by, bx).
enum class Channels : uint8_t { block_first, block_last };

// Steps of [n, c, y, by, x, bx] through a tensor [n, C*b*b, H, W] whose blocks are in the channels.
Strided deep_side(const Shape& deep, int64_t b, Channels order) {
  const Ints s = row_strides(deep);
  const int64_t c = deep[1] / (b * b);
  if (order == Channels::block_first) return {0, {s[0], s[1], s[2], s[1] * c * b, s[3], s[1] * c}};
  return {0, {s[0], s[1] * b * b, s[2], s[1] * b, s[3], s[1]}};
}
// The same through [n, C, H*b, W*b].
Strided wide_side(const Shape& wide, int64_t b) {
  const Ints s = row_strides(wide);
  return {0, {s[0], s[1], s[2] * b, s[2], s[3] * b, s[3]}};
}

Status to_space_type(const Call& call, Types& out, std::string_view param) {
  GRAFT_CHECK(need_rank4(call));
  GRAFT_TRY(const int64_t b, positive(call, param));
  const Dims& x = call.in("x").dims();
  if (b > 1 << 15) return fail(Code::value_out_of_range, format("{} is {}", param, b));
  GRAFT_TRY(const Dim c, divided(x[1], b * b, "the channel count"));
  out.push_back(Type::tensor(call.in("x").dtype(), Dims{x[0], c, x[2] * Dim(b), x[3] * Dim(b)}));
  return {};
}
Status to_depth_type(const Call& call, Types& out, std::string_view param) {
  GRAFT_CHECK(need_rank4(call));
  GRAFT_TRY(const int64_t b, positive(call, param));
  const Dims& x = call.in("x").dims();
  if (b > 1 << 15) return fail(Code::value_out_of_range, format("{} is {}", param, b));
  GRAFT_TRY(const Dim h, divided(x[2], b, "the height"));
  GRAFT_TRY(const Dim w, divided(x[3], b, "the width"));
  out.push_back(Type::tensor(call.in("x").dtype(), Dims{x[0], x[1] * Dim(b * b), h, w}));
  return {};
}

Status to_space(const Call& call, Moves& moves, std::string_view param, Channels order) {
  const Shape x = shape_of(call.in("x"));
  const int64_t b = call.i(param);
  if (b < 1 || x[1] % (b * b) != 0) return fail(Code::shape_mismatch, format("{} channels in blocks of {}", x[1], b));
  const Shape y{x[0], x[1] / (b * b), x[2] * b, x[3] * b};
  GRAFT_CHECK(check_result(call, moves.shape(0), y));
  moves.copy("x", 0, {y[0], y[1], x[2], b, x[3], b}, deep_side(x, b, order), 0, wide_side(y, b));
  return {};
}
Status to_depth(const Call& call, Moves& moves, std::string_view param, Channels order) {
  const Shape x = shape_of(call.in("x"));
  const int64_t b = call.i(param);
  if (b < 1 || x[2] % b != 0 || x[3] % b != 0)
    return fail(Code::shape_mismatch, format("{} in blocks of {}", to_string(x), b));
  const Shape y{x[0], x[1] * b * b, x[2] / b, x[3] / b};
  GRAFT_CHECK(check_result(call, moves.shape(0), y));
  moves.copy("x", 0, {y[0], x[1], y[2], b, y[3], b}, wide_side(x, b), 0, deep_side(y, b, order));
  return {};
}

constexpr OpDef blocks(std::string_view name, std::string_view doc, std::span<const Variant> variants,
                       Status (*infer)(const Call&, Types&), Status (*how)(const Call&, Moves&)) {
  return moved({.name = name,
                .family = kFamily,
                .doc = doc,
                .variants = variants,
                .host = kMovable,
                .infer = infer,
                .range = range_of_inputs},
               how);
}

constexpr Variant kDepthToSpace[] = {{Opset::ios15, "x:T; block_size:const int32", kFloat}};
constexpr OpDef depth_to_space = blocks(
    "depth_to_space", "channels (by, bx, c) become blocks of block_size x block_size", kDepthToSpace,
    [](const Call& call, Types& out) { return to_space_type(call, out, "block_size"); },
    [](const Call& call, Moves& moves) { return to_space(call, moves, "block_size", Channels::block_first); });
constexpr Variant kSpaceToDepth[] = {{Opset::ios15, "x:T; block_size:const int32", kFloat}};
constexpr OpDef space_to_depth = blocks(
    "space_to_depth", "the inverse of depth_to_space", kSpaceToDepth,
    [](const Call& call, Types& out) { return to_depth_type(call, out, "block_size"); },
    [](const Call& call, Moves& moves) { return to_depth(call, moves, "block_size", Channels::block_first); });
constexpr Variant kPixelShuffle[] = {{Opset::ios15, "x:T; upscale_factor:const int32", kFloat}};
constexpr OpDef pixel_shuffle = blocks(
    "pixel_shuffle", "channels (c, fy, fx) become blocks of upscale_factor x upscale_factor", kPixelShuffle,
    [](const Call& call, Types& out) { return to_space_type(call, out, "upscale_factor"); },
    [](const Call& call, Moves& moves) { return to_space(call, moves, "upscale_factor", Channels::block_last); });
constexpr Variant kPixelUnshuffle[] = {{Opset::ios16, "x:T; downscale_factor:const uint32", kFloat}};
constexpr OpDef pixel_unshuffle = blocks(
    "pixel_unshuffle", "the inverse of pixel_shuffle", kPixelUnshuffle,
    [](const Call& call, Types& out) { return to_depth_type(call, out, "downscale_factor"); },
    [](const Call& call, Moves& moves) { return to_depth(call, moves, "downscale_factor", Channels::block_last); });

// ---- batch --------------------------------------------------------------------------------------------------------

struct BatchBlocks {
  int64_t bh, bw;
  int64_t top, bottom, left, right;  // pads or crops
};
Result<BatchBlocks> batch_blocks(const Call& call, std::string_view border) {
  GRAFT_CHECK(need_rank4(call));
  const TensorView block = call.in("block_shape").elements(), edges = call.in(border).elements();
  if (!call.known("block_shape") || block.count() != 2)
    return fail(Code::shape_mismatch,
                format("block_shape is {}, takes two integers", call.in("block_shape").type->to_string()));
  if (!call.known(border) || edges.count() != 4)
    return fail(Code::shape_mismatch,
                format("{} is {}, takes [2, 2] integers", border, call.in(border).type->to_string()));
  const BatchBlocks b{element_as_int(block, 0), element_as_int(block, 1), element_as_int(edges, 0),
                      element_as_int(edges, 1), element_as_int(edges, 2), element_as_int(edges, 3)};
  for (int64_t v : {b.bh, b.bw}) {
    if (v < 1 || v > 1 << 15) return fail(Code::value_out_of_range, format("block_shape has {}", v));
  }
  for (int64_t v : {b.top, b.bottom, b.left, b.right}) {
    if (v < 0 || v > INT32_MAX) return fail(Code::value_out_of_range, format("{} has {}", border, v));
  }
  return b;
}

// Rows y with lo <= y*b + r < lo + n: where a block's phase r lies inside the borders.
struct Span {
  int64_t first, count;
};
Span phase(int64_t r, int64_t b, int64_t lo, int64_t n) {
  const int64_t first = r >= lo ? 0 : (lo - r + b - 1) / b;
  const int64_t end = lo + n - r <= 0 ? 0 : (lo + n - r + b - 1) / b;
  return {first, std::max<int64_t>(0, end - first)};
}

Status space_to_batch_type(const Call& call, Types& out) {
  GRAFT_TRY(const BatchBlocks b, batch_blocks(call, "paddings"));
  const Dims& x = call.in("x").dims();
  GRAFT_TRY(const Dim h, divided(x[2] + Dim(b.top + b.bottom), b.bh, "the padded height"));
  GRAFT_TRY(const Dim w, divided(x[3] + Dim(b.left + b.right), b.bw, "the padded width"));
  out.push_back(Type::tensor(call.in("x").dtype(), Dims{x[0] * Dim(b.bh * b.bw), x[1], h, w}));
  return {};
}
Status batch_to_space_type(const Call& call, Types& out) {
  GRAFT_TRY(const BatchBlocks b, batch_blocks(call, "crops"));
  const Dims& x = call.in("x").dims();
  GRAFT_TRY(const Dim n, divided(x[0], b.bh * b.bw, "the batch"));
  const Dim h = x[2] * Dim(b.bh) - Dim(b.top + b.bottom), w = x[3] * Dim(b.bw) - Dim(b.left + b.right);
  if (h.range().hi < 0 || w.range().hi < 0) return fail(Code::value_out_of_range, "crops are larger than the result");
  out.push_back(Type::tensor(call.in("x").dtype(), Dims{n, x[1], h, w}));
  return {};
}

// Copies between the batch side [bh*bw*n, C, h, w] and the space side [n, C, H, W], which starts `top`, `left` inside
// the blocks.
void move_blocks(const BatchBlocks& b, const Shape& batched, const Shape& space, bool to_batch, Moves& moves) {
  const Ints bs = row_strides(batched), ss = row_strides(space);
  for (int64_t r = 0; r < b.bh; ++r) {
    for (int64_t c = 0; c < b.bw; ++c) {
      const Span y = phase(r, b.bh, b.top, space[2]), x = phase(c, b.bw, b.left, space[3]);
      const Strided in_batch{(r * b.bw + c) * space[0] * bs[0] + y.first * bs[2] + x.first * bs[3], bs};
      const Strided in_space{(y.first * b.bh + r - b.top) * ss[2] + (x.first * b.bw + c - b.left) * ss[3],
                             {ss[0], ss[1], ss[2] * b.bh, ss[3] * b.bw}};
      const Ints part{space[0], space[1], y.count, x.count};
      moves.copy("x", 0, part, to_batch ? in_space : in_batch, 0, to_batch ? in_batch : in_space);
    }
  }
}

Status space_to_batch_moves(const Call& call, Moves& moves) {
  GRAFT_TRY(const BatchBlocks b, batch_blocks(call, "paddings"));
  const Shape x = shape_of(call.in("x"));
  const int64_t h = x[2] + b.top + b.bottom, w = x[3] + b.left + b.right;
  if (h % b.bh != 0 || w % b.bw != 0)
    return fail(Code::shape_mismatch, "the padded size is not a multiple of the blocks");
  GRAFT_CHECK(check_result(call, moves.shape(0), {x[0] * b.bh * b.bw, x[1], h / b.bh, w / b.bw}));
  moves.fill(0, {});
  move_blocks(b, moves.shape(0), x, true, moves);
  return {};
}
Status batch_to_space_moves(const Call& call, Moves& moves) {
  GRAFT_TRY(const BatchBlocks b, batch_blocks(call, "crops"));
  const Shape x = shape_of(call.in("x"));
  const int64_t blocks = b.bh * b.bw;
  if (x[0] % blocks != 0) return fail(Code::shape_mismatch, "the batch is not a multiple of the blocks");
  GRAFT_CHECK(check_result(call, moves.shape(0),
                           {x[0] / blocks, x[1], x[2] * b.bh - b.top - b.bottom, x[3] * b.bw - b.left - b.right}));
  move_blocks(b, x, moves.shape(0), false, moves);
  return {};
}
constexpr Variant kSpaceToBatch[] = {{Opset::ios15, "x:T; block_shape:const int32; paddings:const int32", kFloat}};
constexpr OpDef space_to_batch = moved({.name = "space_to_batch",
                                        .family = kFamily,
                                        .doc = "pad by zeros, then move blocks of height and width to the batch",
                                        .variants = kSpaceToBatch,
                                        .host = kNumbers,
                                        .infer = space_to_batch_type},
                                       space_to_batch_moves);
constexpr Variant kBatchToSpace[] = {{Opset::ios15, "x:T; block_shape:const int32; crops:const int32", kFloat}};
constexpr OpDef batch_to_space = moved({.name = "batch_to_space",
                                        .family = kFamily,
                                        .doc = "the inverse of space_to_batch, cropping at the end",
                                        .variants = kBatchToSpace,
                                        .host = kMovable,
                                        .infer = batch_to_space_type,
                                        .range = range_of_inputs},
                                       batch_to_space_moves);

constexpr const OpDef* kRows[] = {&depth_to_space,  &space_to_depth, &pixel_shuffle,
                                  &pixel_unshuffle, &space_to_batch, &batch_to_space};

}  // namespace

Rows space_depth_rows() { return kRows; }

}  // namespace graft::ops
