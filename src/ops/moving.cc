#include "ops/moving.h"

#include <algorithm>
#include <cstring>

namespace graft::ops {
namespace {

// A row of n elements, steps in elements.
using MoveRow = void (*)(const char* src, int64_t src_step, char* dst, int64_t dst_step, int64_t n);

template <size_t size>
void move_row(const char* src, int64_t src_step, char* dst, int64_t dst_step, int64_t n) {
  constexpr auto kSize = static_cast<int64_t>(size);
  if (src_step == 1 && dst_step == 1) {
    std::memcpy(dst, src, static_cast<size_t>(n) * size);
    return;
  }
  for (int64_t i = 0; i < n; ++i) std::memcpy(dst + i * dst_step * kSize, src + i * src_step * kSize, size);
}

void move_strings(const char* src, int64_t src_step, char* dst, int64_t dst_step, int64_t n) {
  const auto* s = reinterpret_cast<const std::string*>(src);
  auto* d = reinterpret_cast<std::string*>(dst);
  for (int64_t i = 0; i < n; ++i) d[i * dst_step] = s[i * src_step];
}

MoveRow row_mover(DType dtype) {
  if (dtype == DType::string) return move_strings;
  switch (item_size(dtype)) {
    case 1: return move_row<1>;
    case 2: return move_row<2>;
    case 4: return move_row<4>;
    case 8: return move_row<8>;
    default: return move_row<16>;
  }
}

}  // namespace

Ints row_strides(std::span<const int64_t> shape) {
  Ints s(static_cast<int>(shape.size()), 1);
  for (int i = s.size() - 2; i >= 0; --i) s[i] = s[i + 1] * shape[static_cast<size_t>(i) + 1];
  return s;
}

void copy_strided(DType dtype, const Ints& shape, const void* src, const Strided& from, void* dst, const Strided& to,
                  Pace& pace) {
  // Dims of one element say nothing, and neighbours that are contiguous on both sides are one dim: what is left has
  // the longest rows.
  Ints n, a, b;
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] <= 0) return;
    if (shape[d] == 1) continue;
    const int last = n.size() - 1;
    if (last >= 0 && a[last] == from.steps[d] * shape[d] && b[last] == to.steps[d] * shape[d]) {
      n[last] *= shape[d];
      a[last] = from.steps[d];
      b[last] = to.steps[d];
    } else {
      n.push_back(shape[d]);
      a.push_back(from.steps[d]);
      b.push_back(to.steps[d]);
    }
  }
  const MoveRow move = row_mover(dtype);
  const auto size = static_cast<int64_t>(item_size(dtype));
  const char* s = static_cast<const char*>(src) + from.offset * size;
  char* t = static_cast<char*>(dst) + to.offset * size;
  if (n.empty()) return move(s, 1, t, 1, 1);
  constexpr int64_t kLongest = 1 << 20;  // elements at a time
  const int inner = n.size() - 1;
  Ints at(inner, 0);
  while (true) {
    for (int64_t i = 0; i < n[inner]; i += kLongest) {
      const int64_t count = std::min(kLongest, n[inner] - i);
      if (!pace.go_on(count)) return;
      move(s + i * a[inner] * size, a[inner], t + i * b[inner] * size, b[inner], count);
    }
    int d = inner - 1;
    for (; d >= 0; --d) {
      s += a[d] * size;
      t += b[d] * size;
      if (++at[d] < n[d]) break;
      s -= a[d] * n[d] * size;
      t -= b[d] * n[d] * size;
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

void copy_elements(DType dtype, const void* src, int64_t from, void* dst, int64_t to, int64_t count, Pace& pace) {
  if (count > 0) copy_strided(dtype, {count}, src, {from, {1}}, dst, {to, {1}}, pace);
}

void fill_elements(DType dtype, const void* src, int64_t at, void* dst, int64_t count, Pace& pace) {
  if (count > 0) copy_strided(dtype, {count}, src, {at, {0}}, dst, {0, {1}}, pace);
}

Status allocate_outputs(const Call& call, Outputs& out) {
  bool ready = true;
  for (int i = 0; i < out.size(); ++i) ready &= out[i].dtype != DType::invalid;
  if (ready) return {};
  Types types;
  GRAFT_CHECK(ir::infer(call, types));
  for (int i = 0; i < out.size() && i < static_cast<int>(types.size()); ++i) {
    const Type& t = types[static_cast<size_t>(i)];
    if (out[i].dtype != DType::invalid) continue;
    if (!t.is_static())
      return fail(Code::internal, format("{} has a result {} of unknown size", call.row().name(), t.to_string()));
    GRAFT_CHECK(out.allocate(i, t.dtype, t.shape()));
  }
  return {};
}

Status check_result(const Call& call, const Shape& got, const Shape& shape) {
  if (got == shape) return {};
  return fail(Code::shape_mismatch,
              format("{} gives {} where {} was expected", call.row().name(), to_string(shape), to_string(got)));
}
Status check_output(const Call& call, const MutableTensorView& out, const Shape& shape) {
  return check_result(call, out.shape, shape);
}

Shape shape_of(const Operand& operand) {
  return operand.value.dtype != DType::invalid ? operand.value.shape : operand.type->shape();
}

namespace {

// Moves at once.
class Mover final : public Moves {
 public:
  Mover(const Call& call, Outputs& out) : call_(call), out_(out), pace_(call.pace()) {}
  void fill(int result, std::string_view param) override {
    MutableTensorView& y = out_[result];
    if (!param.empty() && call_.has(param))
      fill_elements(y.dtype, call_.in(param).value.data, 0, y.data, y.count(), pace_);
    else if (y.bytes() != 0 && y.dtype != DType::string)
      std::memset(y.data, 0, y.bytes());
  }
  void copy(std::string_view param, size_t member, const Ints& shape, const Strided& from, int result,
            const Strided& to) override {
    const TensorView& x = call_.all(param)[member].value;
    copy_strided(x.dtype, shape, x.data, from, out_[result].data, to, pace_);
  }
  int results() const override { return out_.size(); }
  const Shape& shape(int result) const override { return out_[result].shape; }

 private:
  const Call& call_;
  Outputs& out_;
  Pace pace_;
};

}  // namespace

Status moves_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  Mover mover(call, out);
  return call.row().def->moves(call, mover);
}

Status copy_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value;
  if (x.count() != out[0].count() || x.dtype != out[0].dtype) {
    return fail(Code::shape_mismatch, format("{} cannot turn {} into {}", call.row().name(), describe(x.dtype, x.shape),
                                             describe(out[0].dtype, out[0].shape)));
  }
  if (item_size(x.dtype) == 0) {  // packed below a byte, or a list: order is all that counts
    copy_values(x.dtype, x.data, out[0].data, x.count());
  } else {
    Pace pace = call.pace();
    copy_elements(x.dtype, x.data, 0, out[0].data, 0, x.count(), pace);
  }
  return {};
}

std::vector<ir::ConstantPtr> lazy_reshape(const Call& call, const Types& out) {
  const ir::ConstantPtr x = call.in("x").shared();
  if (x == nullptr || out[0].shape().product() != x->count()) return {};
  return {ir::Constant::reshape(x, out[0].shape())};
}

Result<Dims> with_sizes(const Dims& x, const Dims& sizes) {
  const auto impossible = [&] {
    return fail(Code::shape_mismatch, format("cannot reshape {} into {}", ir::to_string(x), ir::to_string(sizes)));
  };
  Dims out = sizes;
  Dim others(1);
  Dim* open = nullptr;
  for (Dim& d : out) {
    if (d == Dim(-1)) {
      if (open != nullptr)
        return fail(Code::value_out_of_range, format("shape {} has more than one -1", ir::to_string(sizes)));
      open = &d;
    } else if (d.range().hi < 0) {
      return fail(Code::value_out_of_range, format("shape {} has a negative size", ir::to_string(sizes)));
    } else {
      others = others * d;
    }
  }
  if (open != nullptr) {
    if (others == Dim(0)) return impossible();
    *open = ir::floor_div(ir::product(x), others);
  }
  if (ir::never_equal(ir::product(x), ir::product(out))) return impossible();
  return out;
}

Result<Ints> normal_axes(const Ints& axes, int rank) {
  Ints v;
  for (int64_t a : axes) {
    GRAFT_TRY(const int axis, normal_axis(a, rank));
    if (std::find(v.begin(), v.end(), axis) != v.end())
      return fail(Code::value_out_of_range, format("axis {} is listed twice in {}", axis, to_string(axes)));
    v.push_back(axis);
  }
  std::sort(v.begin(), v.end());
  return v;
}

Status check_integers(const Call& call, std::string_view param) {
  if (!call.has(param) || is_int(call.in(param).dtype())) return {};
  return fail(Code::dtype_mismatch, format("'{}' takes integers, got {}", param, call.in(param).type->to_string()));
}

Status check_index_list(const Call& call, std::string_view param) {
  GRAFT_CHECK(check_integers(call, param));
  if (!call.has(param) || call.in(param).rank() == 1) return {};
  return fail(Code::rank_mismatch, format("'{}' must be a list, got {}", param, call.in(param).type->to_string()));
}

Result<Dims> dims_of(const Call& call, std::string_view param) {
  GRAFT_CHECK(check_index_list(call, param));
  if (std::optional<Dims> d = call.dims(param)) {
    for (const Dim& v : *d) {
      if (v.range().hi < 0)
        return fail(Code::value_out_of_range, format("'{}' {} has a negative size", param, ir::to_string(*d)));
    }
    return std::move(*d);
  }
  GRAFT_TRY(const int rank, entries(call, param));
  Dims d;
  for (int i = 0; i < rank; ++i) d.push_back(call.fresh({0, INT64_MAX}));
  return d;
}

Status check_scalar(const Call& call, std::string_view param) {
  const Operand& o = call.in(param);
  if (!call.has(param) || ir::product(o.dims()) == Dim(1)) return {};
  return fail(Code::shape_mismatch, format("'{}' must be one value, got {}", param, o.type->to_string()));
}

Status check_tuple(const Call& call, std::string_view param) {
  const std::span<const Operand> values = call.all(param);
  if (values.empty()) return fail(Code::invalid_model, format("'{}' has no values", param));
  for (const Operand& v : values) {
    if (!v.type->is_tensor() || item_size(v.dtype()) == 0)
      return fail(Code::dtype_mismatch, format("'{}' takes tensors, got {}", param, v.type->to_string()));
    if (v.dtype() != values[0].dtype()) {
      return fail(Code::dtype_mismatch,
                  format("'{}' mixes {} and {}", param, name(values[0].dtype()), name(v.dtype())));
    }
    if (v.rank() != values[0].rank()) {
      return fail(Code::rank_mismatch,
                  format("'{}' mixes {} and {}", param, values[0].type->to_string(), v.type->to_string()));
    }
  }
  return {};
}

}  // namespace graft::ops
