#include "ops/kernel.h"

#include "ops/broadcast.h"

namespace graft::ops {

Status check_holds(DType t, int64_t largest) {
  if (largest <= int_range(t).hi) return {};
  return fail(Code::limit_exceeded, format("{} is more than {} holds", largest, name(t)));
}

Result<int> normal_axis(int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    return fail(Code::value_out_of_range,
                format("axis {} is outside -{}..{} of a rank-{} tensor", axis, rank, rank - 1, rank));
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Status check_shape(const Call& call, std::string_view param, const Dims& want) {
  if (!call.has(param)) return {};
  const Dims& got = call.in(param).dims();
  bool ok = got.size() == want.size();
  for (size_t i = 0; ok && i < want.size(); ++i) ok = !ir::never_equal(got[i], want[i]);
  if (ok) return {};
  return fail(Code::shape_mismatch,
              format("got {} of shape {}, takes {}", param, ir::to_string(got), ir::to_string(want)));
}

Result<Dims> broadcast(const Dims& a, const Dims& b) {
  const Dims& big = a.size() >= b.size() ? a : b;
  const Dims& small = a.size() >= b.size() ? b : a;
  Dims out = big;
  const size_t lead = big.size() - small.size();
  for (size_t i = 0; i < small.size(); ++i) {
    const Dim &x = big[lead + i], &y = small[i];
    Dim& o = out[lead + i];
    if (x == y || y == Dim(1)) continue;
    if (x == Dim(1)) {
      o = y;
    } else if (x.known() && y.known()) {
      return fail(Code::shape_mismatch, format("{} and {} do not broadcast", ir::to_string(a), ir::to_string(b)));
    } else if (x.known() || y.known()) {
      o = x.known() ? x : y;  // the other must be 1 or this size
    } else {
      o = ir::dim_max(x, y);
    }
  }
  return out;
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  const Shape& big = a.size() >= b.size() ? a : b;
  const Shape& small = a.size() >= b.size() ? b : a;
  Shape out = big;
  for (int i = 1; i <= small.size(); ++i) {
    int64_t& o = out[big.size() - i];
    if (o == 1) o = small[small.size() - i];
  }
  return out;
}

Shape broadcast_strides(const Shape& operand, const Shape& result) {
  const Shape own = strides_of(operand);
  const int lead = result.size() - operand.size();
  Shape strides(result.size(), 0);
  for (int d = std::max(lead, 0); d < result.size(); ++d) strides[d] = operand[d - lead] == 1 ? 0 : own[d - lead];
  return strides;
}

double flops_of_x(const Call& call, const Type&, const ir::SizeOf& size) { return size(call.in("x").dims()); }

Result<int> entries(const Call& call, std::string_view param) {
  const Operand& list = call.in(param);
  if (list.rank() == 1 && list.dims()[0].known() && list.dims()[0].value() <= kMaxRank)
    return static_cast<int>(list.dims()[0].value());
  return fail(Code::dynamic_shape, format("the rank of the result cannot be told: '{}' is {}, takes a list of a known "
                                          "length of at most {}",
                                          param, list.type->to_string(), kMaxRank));
}

Status infer_any_sizes(const Call& call, int rank, Types& out) {
  if (rank < 0) return fail(Code::rank_mismatch, format("more axes than {} has dims", call.in("x").type->to_string()));
  Dims dims;
  for (int i = 0; i < rank; ++i) dims.push_back(call.fresh({0, INT64_MAX}));
  out.push_back(Type::tensor(call.in("x").dtype(), std::move(dims)));
  return {};
}

Status infer_like_x(const Call& call, Types& out) {
  out.push_back(*call.in("x").type);
  return {};
}

Status infer_broadcast(const Call& call, Types& out) {
  GRAFT_TRY(Dims dims, broadcast(call.in("x").dims(), call.in("y").dims()));
  out.push_back(Type::tensor(call.in("x").dtype(), std::move(dims)));
  return {};
}

Status infer_compare(const Call& call, Types& out) {
  GRAFT_TRY(Dims dims, broadcast(call.in("x").dims(), call.in("y").dims()));
  out.push_back(Type::tensor(DType::boolean, std::move(dims)));
  return {};
}

namespace {

// The operands that carry data, as opposed to axes, shapes and other parameters: those whose parameter is a tuple or
// has the same type domain as the first input.
bool carries_data(const ir::Param& p, const ir::Param& first) {
  return p.kind == ir::Param::Kind::tuple || &p == &first || (!p.letter.empty() && p.letter == first.letter);
}

}  // namespace

bool symbolic_by_moving(const Call& call, Dims& content) {
  const std::vector<ir::Param>& params = call.row().params();
  Call numbered(call.row());
  Dims table;
  std::vector<Tensor> keep;
  std::vector<std::unique_ptr<Type>> types;
  // Before data is looked at, which may be large.
  for (size_t p = 0; p < params.size(); ++p) {
    if (!carries_data(params[p], params[0]) && !call.known(params[p].name)) return false;
  }
  for (size_t p = 0; p < params.size(); ++p) {
    std::vector<Operand> operands = call.slots()[p];
    for (Operand& o : operands) {
      if (!carries_data(params[p], params[0])) {
        o.value = o.elements();
        continue;
      }
      if (!o.type->is_static() || o.rank() > 1) return false;
      if (!o.known() && o.content == nullptr) return false;
      const TensorView known = o.elements();
      Tensor ids(DType::i64, o.type->shape());
      for (int64_t i = 0; i < ids.count(); ++i) {
        ids.span<int64_t>()[static_cast<size_t>(i)] = static_cast<int64_t>(table.size());
        table.push_back(o.known() ? Dim(element_as_int(known, i)) : (*o.content)[static_cast<size_t>(i)]);
      }
      types.push_back(std::make_unique<Type>(Type::tensor(DType::i64, ids.shape())));
      o.type = types.back().get();
      o.value = ids.view();
      keep.push_back(std::move(ids));
    }
    numbered.set(static_cast<int>(p), std::move(operands));
  }
  Types out;
  if (!call.row().def->infer(numbered, out) || numbered.error() || out.size() != 1 || !out[0].is_static()) return false;
  Result<ir::HeapOutputs> result = ir::HeapOutputs::for_types(out);
  if (!result || !call.row().def->reference(numbered, *result)) return false;
  content.clear();
  for (int64_t id : (*result)[0].span<int64_t>()) {
    if (id < 0 || id >= static_cast<int64_t>(table.size())) return false;
    content.push_back(table[static_cast<size_t>(id)]);
  }
  return true;
}

IntRange range_of_inputs(const Call& call) {
  IntRange r{INT64_MAX, INT64_MIN};
  const std::vector<ir::Param>& params = call.row().params();
  for (size_t p = 0; p < params.size(); ++p) {
    if (!carries_data(params[p], params[0])) continue;
    for (const Operand& o : call.slots()[p]) r = {std::min(r.lo, o.range.lo), std::max(r.hi, o.range.hi)};
  }
  return r.lo > r.hi ? IntRange{} : r;
}

bool moves_elements_of(const ir::OpRow& row, size_t param) {
  const std::vector<ir::Param>& params = row.params();
  return row.def->range == range_of_inputs && carries_data(params[param], params[0]);
}

IntRange range_of_sum(IntRange each, int64_t most, DType t) {
  const IntRange whole = int_range(t);
  if (is_float(t)) {  // rounding adds up, as much as there are steps
    const int digits = significand_digits(t);
    const auto bound = [&](int64_t end, int64_t sign) -> int64_t {
      const Int128 sum = Int128{end} * most;
      if (digits == 0 || sum < whole.lo || sum > whole.hi) return sign < 0 ? whole.lo : whole.hi;
      const Int128 error = (sum < 0 ? -sum : sum) * most >> (digits - 1);
      return saturated(sum + sign * (error + 1));
    };
    return {std::min<int64_t>(0, bound(each.lo, -1)), std::max<int64_t>(0, bound(each.hi, 1))};
  }
  const Int128 lo = std::min<Int128>(0, Int128{each.lo} * most), hi = std::max<Int128>(0, Int128{each.hi} * most);
  if (lo < whole.lo || hi > whole.hi) return whole;
  return {static_cast<int64_t>(lo), static_cast<int64_t>(hi)};
}

}  // namespace graft::ops
