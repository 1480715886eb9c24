// MIL's tensor_operation family: joining, splitting, filling, padding, sorting.
#include <algorithm>
#include <numeric>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "tensor_operation";

constexpr OpDef moves(OpDef def, Status (*how)(const Call&, Moves&) = nullptr) {
  def.host = kMovable;
  def.symbolic = symbolic_by_moving;
  def.range = range_of_inputs;
  return how != nullptr ? moved(def, how) : def;
}

// ---- concat, stack, split -----------------------------------------------------------------------------------------

Status concat_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_tuple(call, "values"));
  const std::span<const Operand> values = call.all("values");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), values[0].rank()));
  Dims dims = values[0].dims();
  for (size_t k = 1; k < values.size(); ++k) {
    for (int d = 0; d < values[k].rank(); ++d) {
      const Dim& other = values[k].dims()[static_cast<size_t>(d)];
      Dim& mine = dims[static_cast<size_t>(d)];
      if (d == axis && !call.flag("interleave")) {
        mine = mine + other;
      } else if (ir::never_equal(mine, other)) {
        return fail(Code::shape_mismatch, format("{} and {} do not join along axis {}", values[0].type->to_string(),
                                                 values[k].type->to_string(), axis));
      } else if (other.known()) {
        mine = other;
      }
    }
  }
  if (call.flag("interleave")) {
    Dim& along = dims[static_cast<size_t>(axis)];
    along = along * Dim(static_cast<int64_t>(values.size()));
  }
  out.push_back(Type::tensor(values[0].dtype(), std::move(dims)));
  return {};
}

Status concat_moves(const Call& call, Moves& moves) {
  const std::span<const Operand> values = call.all("values");
  const Shape& y = moves.shape(0);
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), y.size()));
  const bool interleave = call.flag("interleave");
  Strided to = dense(y);
  const int64_t step = to.steps[axis];
  if (interleave) to.steps[axis] *= static_cast<int64_t>(values.size());
  int64_t along = 0;
  for (size_t k = 0; k < values.size(); ++k) {
    const Shape v = shape_of(values[k]);
    Shape expect = y;
    expect[axis] = v[axis];
    along += expect[axis];
    if (!(expect == v) || along > y[axis]) {
      return fail(Code::shape_mismatch,
                  format("{} does not join into {} along axis {}", to_string(v), to_string(y), axis));
    }
    if (interleave && expect[axis] * static_cast<int64_t>(values.size()) != y[axis])
      return fail(Code::shape_mismatch, "interleaved values must have equal shapes");
    moves.copy("values", k, to_ints(v), dense(v), 0, to);
    to.offset += interleave ? step : step * expect[axis];
  }
  if (along != y[axis]) return fail(Code::shape_mismatch, format("{} of {} rows given", along, y[axis]));
  return {};
}
constexpr Variant kConcat[] = {{Opset::ios15, "values:tuple; axis:const int32; interleave?:const bool=false", ""}};
constexpr OpDef concat = moves({.name = "concat",
                                .family = kFamily,
                                .doc = "join along axis; interleave takes one row of each in turn",
                                .variants = kConcat,
                                .infer = concat_type,
                                .kind = ir::Kind::concat},
                               concat_moves);

Status stack_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_tuple(call, "values"));
  const std::span<const Operand> values = call.all("values");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), values[0].rank() + 1));
  Dims dims = values[0].dims();
  for (size_t k = 1; k < values.size(); ++k) {
    for (size_t d = 0; d < dims.size(); ++d) {
      const Dim& other = values[k].dims()[d];
      if (ir::never_equal(dims[d], other))
        return fail(Code::shape_mismatch,
                    format("{} and {} do not stack", values[0].type->to_string(), values[k].type->to_string()));
      if (other.known()) dims[d] = other;
    }
  }
  dims.insert(dims.begin() + axis, Dim(static_cast<int64_t>(values.size())));
  out.push_back(Type::tensor(values[0].dtype(), std::move(dims)));
  return {};
}

Status stack_moves(const Call& call, Moves& moves) {
  const std::span<const Operand> values = call.all("values");
  const Shape& y = moves.shape(0);
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), y.size()));
  Shape part = y;
  part.erase(axis);
  Strided to = dense(y);
  const int64_t step = to.steps[axis];
  to.steps.erase(axis);
  if (y[axis] != static_cast<int64_t>(values.size()))
    return fail(Code::shape_mismatch, format("{} values for {}", values.size(), to_string(y)));
  for (size_t k = 0; k < values.size(); ++k) {
    const Shape v = shape_of(values[k]);
    if (!(v == part))
      return fail(Code::shape_mismatch, format("{} does not stack into {}", to_string(v), to_string(y)));
    moves.copy("values", k, to_ints(part), dense(part), 0, to);
    to.offset += step;
  }
  return {};
}
constexpr Variant kStack[] = {{Opset::ios15, "values:tuple; axis:const int32", ""}};
constexpr OpDef stack =
    moves({.name = "stack", .family = kFamily, .doc = "join along a new axis", .variants = kStack, .infer = stack_type},
          stack_moves);

// More parts than this are no network but an attack on memory.
constexpr int64_t kMaxParts = 65536;

Status split_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  const Dim& n = x.dims()[static_cast<size_t>(axis)];
  Dims sizes;
  const Operand& list = call.in("split_sizes");
  if (const std::optional<Dims> given = call.dims("split_sizes"); !given && call.has("split_sizes")) {
    if (list.rank() != 1 || !list.dims()[0].known() || list.dims()[0].value() > kMaxParts)
      return fail(Code::dynamic_shape,
                  format("split_sizes is {}: how many there are must be known", list.type->to_string()));
    for (int64_t i = 0; i < list.dims()[0].value(); ++i) sizes.push_back(call.fresh({0, n.range().hi}));
  } else if (given) {
    sizes = *given;
    if (call.has("num_splits") && call.i("num_splits") != static_cast<int64_t>(sizes.size()))
      return fail(Code::value_out_of_range, format("num_splits {} with {} sizes", call.i("num_splits"), sizes.size()));
    Dim sum;
    for (const Dim& s : sizes) {
      if (s.range().hi < 0) return fail(Code::value_out_of_range, format("split size {} is negative", s.to_string()));
      sum = sum + s;
    }
    if (ir::never_equal(sum, n))
      return fail(Code::shape_mismatch, format("split sizes {} sum to {}, axis {} has {}", ir::to_string(sizes),
                                               sum.to_string(), axis, n.to_string()));
  } else {
    const int64_t parts = call.i("num_splits");
    if (!call.has("num_splits")) return fail(Code::invalid_model, "split needs num_splits or split_sizes");
    if (parts < 1 || parts > kMaxParts) return fail(Code::value_out_of_range, format("num_splits is {}", parts));
    if (n.known() && n.value() % parts != 0)
      return fail(Code::shape_mismatch,
                  format("axis {} of {} does not split into {} equal parts", axis, n.value(), parts));
    sizes.assign(static_cast<size_t>(parts), ir::floor_div(n, Dim(parts)));
  }
  for (const Dim& s : sizes) {
    Dims dims = x.dims();
    dims[static_cast<size_t>(axis)] = s;
    out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  }
  return {};
}

Status split_moves(const Call& call, Moves& moves) {
  const Shape x = shape_of(call.in("x"));
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.size()));
  Strided from = dense(x);
  const int64_t step = from.steps[axis];
  int64_t along = 0;
  for (int k = 0; k < moves.results(); ++k) {
    Shape part = x;
    part[axis] = moves.shape(k)[axis];
    GRAFT_CHECK(check_result(call, moves.shape(k), part));
    along += part[axis];
    if (along > x[axis]) break;
    moves.copy("x", 0, to_ints(part), from, k, dense(part));
    from.offset += step * part[axis];
  }
  if (along != x[axis])
    return fail(Code::shape_mismatch, format("the parts sum to {}, axis {} has {}", along, axis, x[axis]));
  return {};
}
constexpr Variant kSplit[] = {{Opset::ios15,
                               "x:T; num_splits?:const int32=none; split_sizes?:const int32=none; axis:const int32",
                               "T={fp16,fp32,int32,bool}"}};
constexpr OpDef split = moved({.name = "split",
                               .family = kFamily,
                               .doc = "num_splits equal parts, or parts of split_sizes, along axis",
                               .variants = kSplit,
                               .host = kMovable,
                               .infer = split_type,
                               .range = range_of_inputs},
                              split_moves);

// ---- identity, shape, flatten2d -----------------------------------------------------------------------------------

constexpr Variant kIdentity[] = {{Opset::ios15, "x:list|tensor|dict", ""}};
constexpr OpDef identity = {.name = "identity",
                            .family = kFamily,
                            .doc = "a copy; the way to return an input or a constant as an output",
                            .variants = kIdentity,
                            .infer = infer_like_x,
                            .reference = copy_reference,
                            .symbolic = symbolic_by_moving,
                            .range = range_of_inputs,
                            .lazy = [](const Call& call, const Types&) { return std::vector{call.in("x").shared()}; },
                            .kind = ir::Kind::view};

Status shape_type(const Call& call, Types& out) {
  out.push_back(Type::tensor(DType::i32, Dims{Dim(call.in("x").rank())}));
  return {};
}
Status shape_reference(const Call& call, Outputs& out) {
  const Operand& x = call.in("x");
  GRAFT_CHECK(check_output(call, out[0], Shape{x.rank()}));
  // In a run the type may still be symbolic while the tensor's own shape is not.
  const Shape sizes = x.value.dtype != DType::invalid ? x.value.shape : x.type->shape();
  for (int d = 0; d < x.rank(); ++d) {
    GRAFT_CHECK(check_holds(DType::i32, sizes[d]));
    out[0].as<int32_t>()[d] = static_cast<int32_t>(sizes[d]);
  }
  return {};
}
bool shape_symbolic(const Call& call, Dims& content) {
  content = call.in("x").dims();
  return true;
}
IntRange shape_range(const Call& call) {
  IntRange r{INT64_MAX, 0};
  for (const Dim& d : call.in("x").dims()) r = {std::min(r.lo, d.range().lo), std::max(r.hi, d.range().hi)};
  return r.lo > r.hi ? IntRange{0, 0} : IntRange{std::max<int64_t>(0, r.lo), r.hi};
}
constexpr Variant kShape[] = {{Opset::ios15, "x:T", "T={fp16,fp32,int32,bool}"}};
constexpr OpDef shape = {.name = "shape",
                         .family = kFamily,
                         .doc = "the sizes of x's dims as an int32 list",
                         .variants = kShape,
                         .host = kMovable,
                         .infer = shape_type,
                         .reference = shape_reference,
                         .symbolic = shape_symbolic,
                         .range = shape_range,
                         .reads_type_only = true};

Status flatten2d_type(const Call& call, Types& out) {
  const Dims& x = call.in("x").dims();
  const int rank = static_cast<int>(x.size());
  const int64_t given = call.i("axis");
  if (given < -rank || given > rank)
    return fail(Code::value_out_of_range, format("axis {} is outside -{}..{}", given, rank, rank));
  const auto axis = static_cast<std::ptrdiff_t>(given < 0 ? given + rank : given);
  out.push_back(Type::tensor(call.in("x").dtype(), Dims{ir::product(Dims(x.begin(), x.begin() + axis)),
                                                        ir::product(Dims(x.begin() + axis, x.end()))}));
  return {};
}
constexpr Variant kFlatten2d[] = {{Opset::ios15, "x:T; axis?:const int32=1", "T={fp16,fp32,int32,bool}"}};
constexpr OpDef flatten2d = moves({.name = "flatten2d",
                                   .family = kFamily,
                                   .doc = "reshape to a matrix: the dims before axis, and the rest",
                                   .variants = kFlatten2d,
                                   .infer = flatten2d_type,
                                   .reference = copy_reference,
                                   .lazy = lazy_reshape,
                                   .kind = ir::Kind::view});

constexpr const OpDef* kRows[] = {&concat, &stack, &split, &identity, &shape, &flatten2d};

}  // namespace

Rows tensor_operation_rows() { return kRows; }

}  // namespace graft::ops
