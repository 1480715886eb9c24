// The part of MIL's tensor_operation family that makes elements rather than only moving them: fill, fill_like, tile,
// pad, range_1d.
#include <algorithm>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "tensor_operation";

constexpr std::string_view kAny15 = "T={fp16,fp32,int32,bool}";

// ---- fill ---------------------------------------------------------------------------------------------------------

DType value_dtype(const Call& call) { return call.has("value") ? call.in("value").dtype() : DType::f32; }

Status fill_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_scalar(call, "value"));
  GRAFT_TRY(Dims dims, dims_of(call, "shape"));
  out.push_back(Type::tensor(value_dtype(call), std::move(dims)));
  return {};
}
Status fill_like_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_scalar(call, "value"));
  out.push_back(Type::tensor(value_dtype(call), call.in("ref_tensor").dims()));
  return {};
}

// A left-out value is the number 0.
Status fill_moves(const Call&, Moves& moves) {
  moves.fill(0, "value");
  return {};
}

// Every element is the value; the builder asks for content only where the size is known and small.
bool fill_symbolic_of(const Call& call, const Dims& shape, Dims& content) {
  const std::optional<Dims> value = call.dims("value");
  if (!value || value->size() != 1 || !ir::all_known(shape)) return false;
  const Dim count = ir::product(shape);
  if (count.value() < 0 || count.value() > 4096) return false;
  content.assign(static_cast<size_t>(count.value()), (*value)[0]);
  return true;
}
bool fill_symbolic(const Call& call, Dims& content) {
  const std::optional<Dims> shape = call.dims("shape");
  return shape && fill_symbolic_of(call, *shape, content);
}
bool fill_like_symbolic(const Call& call, Dims& content) {
  return fill_symbolic_of(call, call.in("ref_tensor").dims(), content);
}
IntRange fill_range(const Call& call) { return call.has("value") ? call.in("value").range : IntRange{0, 0}; }

constexpr Variant kFill[] = {{Opset::ios15, "shape:int32; value?:const T=0.0", kAny15}};
constexpr OpDef fill = moved({.name = "fill",
                              .family = kFamily,
                              .doc = "a tensor of one value; the dtype is the value's",
                              .variants = kFill,
                              .host = kMovable,
                              .infer = fill_type,
                              .symbolic = fill_symbolic,
                              .range = fill_range,
                              .fp16 = {.saturates = true}},
                             fill_moves);
constexpr Variant kFillLike[] = {
    {Opset::ios16, "ref_tensor:T; value?:const U=0.0", "T={fp16,fp32,int32,bool}; U={fp16,fp32,int32,bool}"}};
constexpr OpDef fill_like = moved({.name = "fill_like",
                                   .family = kFamily,
                                   .doc = "a tensor of one value with the shape of ref_tensor",
                                   .variants = kFillLike,
                                   .host = kMovable,
                                   .infer = fill_like_type,
                                   .symbolic = fill_like_symbolic,
                                   .range = fill_range,
                                   .fp16 = {.saturates = true},
                                   .reads_type_only = true},
                                  fill_moves);

// ---- tile ---------------------------------------------------------------------------------------------------------

Status tile_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_TRY(const Dims reps, dims_of(call, "reps"));
  if (reps.size() != x.dims().size())
    return fail(Code::rank_mismatch, format("reps {} does not fit {}", ir::to_string(reps), x.type->to_string()));
  Dims dims;
  for (size_t d = 0; d < reps.size(); ++d) dims.push_back(x.dims()[d] * reps[d]);
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

Status tile_moves(const Call& call, Moves& moves) {
  const Shape x = shape_of(call.in("x")), y = moves.shape(0);
  if (y.size() != x.size()) return fail(Code::rank_mismatch, format("tile of {} gives {}", to_string(x), to_string(y)));
  if (y.product() == 0) return {};
  const Ints in = row_strides(x), at = row_strides(y);
  Ints shape;
  Strided from, to;
  for (int d = 0; d < x.size(); ++d) {
    if (x[d] == 0 || y[d] % x[d] != 0)
      return fail(Code::shape_mismatch, format("tile of {} gives {}", to_string(x), to_string(y)));
    shape.push_back(y[d] / x[d]);
    from.steps.push_back(0);
    to.steps.push_back(at[d] * x[d]);
    shape.push_back(x[d]);
    from.steps.push_back(in[d]);
    to.steps.push_back(at[d]);
  }
  moves.copy("x", 0, shape, from, 0, to);
  return {};
}
constexpr Variant kTile[] = {{Opset::ios15, "x:T; reps:int32", kAny15}};
constexpr OpDef tile = moved({.name = "tile",
                              .family = kFamily,
                              .doc = "repeat dim i reps[i] times",
                              .variants = kTile,
                              .host = kMovable,
                              .infer = tile_type,
                              .symbolic = symbolic_by_moving,
                              .range = range_of_inputs},
                             tile_moves);

// ---- pad ----------------------------------------------------------------------------------------------------------

enum class PadMode : uint8_t { constant, reflect, replicate };
Result<PadMode> pad_mode(const Call& call) {
  const std::string_view m = call.str("mode");
  if (m == "constant") return PadMode::constant;
  if (m == "reflect") return PadMode::reflect;
  if (m == "replicate") return PadMode::replicate;
  return fail(Code::invalid_attribute, format("mode '{}', takes constant, reflect or replicate", m));
}

Status pad_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &pad = call.in("pad");
  GRAFT_TRY(const PadMode mode, pad_mode(call));
  GRAFT_CHECK(check_scalar(call, "constant_val"));
  GRAFT_CHECK(check_index_list(call, "pad"));
  const Dims& length = pad.dims();
  if (!length[0].known() || length[0].value() % 2 != 0 || length[0].value() > 2 * x.rank()) {
    return fail(Code::shape_mismatch,
                format("pad is {}, takes a pair for each of up to {} last dims", pad.type->to_string(), x.rank()));
  }
  const auto padded = static_cast<size_t>(length[0].value() / 2), lead = x.dims().size() - padded;
  const std::optional<Dims> content = call.dims("pad");
  Dims dims = x.dims();
  for (size_t k = 0; k < padded; ++k) {
    Dim& n = dims[lead + k];
    if (!content) {
      n = call.fresh({n.range().lo, INT64_MAX});
      continue;
    }
    const Dim &before = (*content)[2 * k], &after = (*content)[2 * k + 1];
    for (const Dim& p : {before, after}) {
      if (p.range().hi < 0) return fail(Code::value_out_of_range, format("pad {} is negative", p.to_string()));
      // The mirror does not repeat the edge, and an edge needs an element.
      const Dim needs = p + Dim(mode == PadMode::reflect ? 1 : 0);
      if (mode == PadMode::reflect && p.range().lo > 0 && (n - needs).range().hi < 0)
        return fail(Code::value_out_of_range,
                    format("a reflecting pad of {} needs a larger dim than {}", p.to_string(), n.to_string()));
    }
    n = n + before + after;
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

// Fills the borders of one dim from inside y. Dims before it still hold only their middle part (lo, n); those behind it
// are complete.
Status pad_borders(MutableTensorView y, int d, const Ints& lo, const Ints& n, PadMode mode, Pace& pace) {
  const int64_t before = lo[d], size = n[d], after = y.shape[d] - before - size;
  if (before == 0 && after == 0) return {};
  const int64_t reach = std::max(before, after);
  if (size == 0 || (mode == PadMode::reflect && reach >= size))
    return fail(Code::value_out_of_range, format("a pad of {} needs a larger dim than {}", reach, size));
  const Ints strides = row_strides(y.shape);
  Ints slab = to_ints(y.shape);
  Strided from{0, strides}, to{0, strides};
  for (int k = 0; k < d; ++k) {
    slab[k] = n[k];
    from.offset += lo[k] * strides[k];
  }
  slab[d] = 1;
  const int64_t base = from.offset;
  const auto copy = [&](int64_t source, int64_t target) {
    from.offset = base + source * strides[d];
    to.offset = base + target * strides[d];
    copy_strided(y.dtype, slab, y.data, from, y.data, to, pace);
  };
  const int64_t last = before + size - 1;
  for (int64_t k = 1; k <= before && pace.go_on(); ++k)
    copy(mode == PadMode::reflect ? before + k : before, before - k);
  for (int64_t k = 1; k <= after && pace.go_on(); ++k) copy(mode == PadMode::reflect ? last - k : last, last + k);
  return {};
}

// The pad before each dim, checked.
Result<Ints> pads_before(const Call& call, const Shape& x, const Shape& y) {
  const Ints pad = call.ints("pad");
  if (call.error()) return fail(*call.error());
  const int lead = x.size() - pad.size() / 2;
  if (lead < 0 || pad.size() % 2 != 0)
    return fail(Code::rank_mismatch, format("pad {} of {}", to_string(pad), to_string(x)));
  Ints lo(x.size(), 0);
  Shape shape = x;
  for (int d = lead; d < x.size(); ++d) {
    const int64_t before = pad[2 * (d - lead)], after = pad[2 * (d - lead) + 1];
    if (before < 0 || after < 0) return fail(Code::value_out_of_range, format("pad {} is negative", to_string(pad)));
    lo[d] = before;
    shape[d] = wrap_add(wrap_add(shape[d], before), after);
  }
  GRAFT_CHECK(check_result(call, y, shape));
  return lo;
}

Strided middle(const Shape& y, const Ints& lo) {
  Strided to = dense(y);
  for (int d = 0; d < y.size(); ++d) to.offset += lo[d] * to.steps[d];
  return to;
}

Status pad_moves(const Call& call, Moves& moves) {
  GRAFT_TRY(const PadMode mode, pad_mode(call));
  if (mode != PadMode::constant)
    return fail(Code::unsupported_attribute, "borders are copied from what is there by then");
  const Shape x = shape_of(call.in("x"));
  GRAFT_TRY(const Ints lo, pads_before(call, x, moves.shape(0)));
  moves.fill(0, "constant_val");
  moves.copy("x", 0, to_ints(x), dense(x), 0, middle(moves.shape(0), lo));
  return {};
}

Status pad_reference(const Call& call, Outputs& out) {
  GRAFT_TRY(const PadMode mode, pad_mode(call));
  if (mode == PadMode::constant) return moves_reference(call, out);
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value;
  const MutableTensorView y = out[0];
  GRAFT_TRY(const Ints lo, pads_before(call, x.shape, y.shape));
  Pace pace = call.pace();
  copy_strided(x.dtype, to_ints(x.shape), x.data, dense(x.shape), y.data, middle(y.shape, lo), pace);
  if (y.count() == 0) return {};
  for (int d = x.rank() - 1; d >= 0; --d) GRAFT_CHECK(pad_borders(y, d, lo, to_ints(x.shape), mode, pace));
  return {};
}

// The default border is a number of its own, not an element that moves.
bool pad_symbolic(const Call& call, Dims& content) {
  return (call.has("constant_val") || call.str("mode") != "constant") && symbolic_by_moving(call, content);
}
IntRange pad_range(const Call& call) {
  IntRange r = range_of_inputs(call);
  if (!call.has("constant_val")) r = {std::min<int64_t>(r.lo, 0), std::max<int64_t>(r.hi, 0)};
  return r;
}
// Apple's inference asks for all pairs where the amounts are only known in a run.
Status pad_limits(const Call& call) {
  if (call.in("pad").constant || call.in("pad").dims()[0] == Dim(2 * call.in("x").rank())) return {};
  return fail(Code::needs_constant, "pad needs a pair for every dim, or to be a constant");
}
constexpr Variant kPad[] = {{Opset::ios15, "x:T; pad:int32; mode?:const string=\"constant\"; constant_val?:const T=0.0",
                             "T={fp16,fp32}", pad_limits}};
constexpr OpDef pad =
    moved({.name = "pad",
           .family = kFamily,
           .doc = "pad the last len(pad)/2 dims by (before, after) pairs: a constant, the mirror image "
                  "(edge not repeated) or the edge",
           .variants = kPad,
           .host = kMovable,
           .infer = pad_type,
           .reference = pad_reference,
           .symbolic = pad_symbolic,
           .range = pad_range,
           .fp16 = {.saturates = true},
           .kind = ir::Kind::pad},
          pad_moves);

// ---- range_1d -----------------------------------------------------------------------------------------------------

constexpr int64_t kMaxRange = int64_t{1} << 40;

// How many numbers there are, when start, end and step are known.
Result<int64_t> range_count(const Call& call) {
  const TensorView start = call.in("start").elements(), end = call.in("end").elements(),
                   step = call.in("step").elements();
  double n;
  if (is_int(start.dtype)) {
    const int64_t a = element_as_int(start, 0), b = element_as_int(end, 0), s = element_as_int(step, 0);
    if (s == 0) return fail(Code::value_out_of_range, "the step is 0");
    if (s > 0 ? a >= b : a <= b) return 0;
    const uint64_t span = s > 0 ? static_cast<uint64_t>(b) - static_cast<uint64_t>(a)
                                : static_cast<uint64_t>(a) - static_cast<uint64_t>(b);
    const uint64_t by = s > 0 ? static_cast<uint64_t>(s) : 0 - static_cast<uint64_t>(s);
    const uint64_t count = (span - 1) / by + 1;
    n = static_cast<double>(count);
    if (count <= static_cast<uint64_t>(kMaxRange)) return static_cast<int64_t>(count);
  } else {
    const double s = element_as_double(step, 0);
    n = std::ceil((element_as_double(end, 0) - element_as_double(start, 0)) / s);
    if (s == 0 || std::isnan(n)) return fail(Code::value_out_of_range, format("no range by steps of {}", s));
    if (n <= 0) return 0;
    if (n <= static_cast<double>(kMaxRange)) return static_cast<int64_t>(n);
  }
  return fail(Code::limit_exceeded, format("a range of {} numbers", n));
}

bool range_known(const Call& call) { return call.known("start") && call.known("end") && call.known("step"); }

Status range_1d_type(const Call& call, Types& out) {
  for (std::string_view p : {"start", "end", "step"}) GRAFT_CHECK(check_scalar(call, p));
  const DType dtype = call.in("end").dtype();
  Dim n;
  const std::optional<Dims> start = call.dims("start"), end = call.dims("end");
  if (range_known(call)) {
    GRAFT_TRY(n, range_count(call));
  } else if (is_int(dtype) && start && end && call.known("step")) {
    const int64_t step = call.i("step");
    if (step == 0) return fail(Code::value_out_of_range, "the step is 0");
    const Dim span = step > 0 ? (*end)[0] - (*start)[0] : (*start)[0] - (*end)[0];
    n = ir::dim_max(Dim(0), ir::ceil_div(span, Dim(step > 0 ? step : wrap_sub(int64_t{0}, step))));
  } else {
    n = call.fresh({0, INT64_MAX});
  }
  out.push_back(Type::tensor(dtype, Dims{n}));
  return {};
}

Status range_1d_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_TRY(const int64_t n, range_count(call));
  GRAFT_CHECK(check_output(call, out[0], Shape{n}));
  const TensorView start = call.in("start").value, step = call.in("step").value;
  Pace pace = call.pace();
  const bool ok = visit_dtype(out[0].dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, bool>) {
      using W = std::conditional_t<is_float_type<T>, double, int64_t>;
      W a, s;
      if constexpr (is_float_type<T>)
        a = element_as_double(start, 0), s = element_as_double(step, 0);
      else
        a = element_as_int(start, 0), s = element_as_int(step, 0);
      for (int64_t i = 0, end; (end = pace.until(i, n)) != i;) {
        for (; i < end; ++i) out[0].as<T>()[i] = narrow<T>(wrap_add(a, wrap_mul(static_cast<W>(i), s)));
      }
    }
  });
  return ok ? Status{} : no_kernel(call, out[0].dtype);
}

bool range_1d_symbolic(const Call& call, Dims& content) {
  const std::optional<Dims> start = call.dims("start"), step = call.dims("step");
  Types type;
  if (!start || !step || !range_1d_type(call, type) || !type[0].is_static() || type[0].dims[0].value() > 4096)
    return false;
  for (int64_t i = 0; i < type[0].dims[0].value(); ++i) content.push_back((*start)[0] + (*step)[0] * Dim(i));
  return true;
}
IntRange range_1d_range(const Call& call) {
  const IntRange a = call.in("start").range, b = call.in("end").range, s = call.in("step").range;
  const int64_t last = is_int(call.in("step").dtype()) ? 1 : 0;  // what keeps the last number from the end
  if (s.lo > 0 && b.hi > INT64_MIN) return {a.lo, std::max(a.lo, b.hi - last)};
  if (s.hi < 0 && b.lo < INT64_MAX) return {std::min(a.hi, b.lo + last), a.hi};
  return {};
}
constexpr Variant kRange1d[] = {{Opset::ios15, "end:T; start:T; step:T", "T={fp16,fp32,int32}"}};
constexpr OpDef range_1d = {.name = "range_1d",
                            .family = kFamily,
                            .doc = "start, start + step, ... up to, not including, end",
                            .variants = kRange1d,
                            .host = kNumbers,
                            .infer = range_1d_type,
                            .reference = range_1d_reference,
                            .symbolic = range_1d_symbolic,
                            .range = range_1d_range};

constexpr const OpDef* kRows[] = {&fill, &fill_like, &tile, &pad, &range_1d};

}  // namespace

Rows filling_rows() { return kRows; }

}  // namespace graft::ops
