// ir::Builder with the operators' names: lowerings read as b.add(x, y), b.reshape(x, dims). Nothing here decides
// anything that the rows do not; helpers with more than one emission say what they build.
#pragma once

#include <array>
#include <tuple>

#include "ir/builder.h"
#include "ops/table.h"

namespace graft::ops {

using ir::Dim;
using ir::Dims;
using ir::Value;
using ir::Values;

// The shape that MIL's reshape takes for `to` as numbers, -1 for one open dim; nullopt where that would not be exactly
// `to`: a 0 copies a dim, and -1 takes any size that is left, which is the right one only where the counts are equal.
std::optional<std::vector<int64_t>> constant_shape(const Dims& from, const Dims& to);

class OpBuilder : public ir::Builder {
 public:
  OpBuilder(ir::Function& f, ir::Target target, Bounds bounds = {}, const ir::OpTable& table = ops::table())
      : Builder(f, table, target, std::move(bounds)) {}

  Value* add(Value* x, Value* y) { return emit("add", {{"x", x}, {"y", y}}); }
  Value* sub(Value* x, Value* y) { return emit("sub", {{"x", x}, {"y", y}}); }
  Value* mul(Value* x, Value* y) { return emit("mul", {{"x", x}, {"y", y}}); }
  Value* div(Value* x, Value* y) { return emit("real_div", {{"x", x}, {"y", y}}); }
  Value* minimum(Value* x, Value* y) { return emit("minimum", {{"x", x}, {"y", y}}); }
  Value* maximum(Value* x, Value* y) { return emit("maximum", {{"x", x}, {"y", y}}); }
  Value* matmul(Value* x, Value* y, bool transpose_y = false) {
    return emit("matmul", {{"x", x}, {"y", y}, {"transpose_y", transpose_y}});
  }
  Value* unary(std::string_view op, Value* x) { return emit(op, {{"x", x}}); }
  Value* binary(std::string_view op, Value* x, Value* y) { return emit(op, {{"x", x}, {"y", y}}); }
  // x multiplied by a number of its own dtype; x itself for 1.
  Value* scale(Value* x, double factor) { return factor == 1 ? x : mul(x, like(x, factor)); }
  Value* like(const Value* x, double v);  // a rank-0 constant of x's dtype
  Value* cast(Value* x, DType t) { return x->dtype() == t ? x : emit("cast", {{"x", x}, {"dtype", name(t)}}); }
  // Not below lo and not above hi, either of which may be null. On the host infinities end at x's largest numbers then,
  // as ONNX says; for Core ML no bound is made up that fp16 has to change.
  Value* clamp(Value* x, Value* lo, Value* hi);
  Value* identity(Value* x) { return emit("identity", {{"x", x}}); }
  Value* transpose(Value* x, const Ints& perm);  // x itself when perm changes nothing
  Value* squeeze(Value* x, const Ints& axes) { return axes.empty() ? x : emit("squeeze", {{"x", x}, {"axes", axes}}); }
  Value* expand_dims(Value* x, const Ints& axes) {
    return axes.empty() ? x : emit("expand_dims", {{"x", x}, {"axes", axes}});
  }
  Value* reshape(Value* x, Value* shape) { return emit("reshape", {{"x", x}, {"shape", shape}}); }
  // To known or symbolic dims; those that have to be computed are from the dims of `hints`, or of x where none are
  // given.
  Value* reshape(Value* x, const Dims& dims, std::span<Value* const> hints = {});
  Value* concat(const Values& values, int64_t axis) {
    return values.size() == 1 ? values[0] : emit("concat", {{"values", values}, {"axis", axis}});
  }
  Value* gather(Value* x, Value* indices, int64_t axis) {
    return emit("gather", {{"x", x}, {"indices", indices}, {"axis", axis}});
  }
  // The k largest (or smallest) along an axis, and their places.
  std::array<Value*, 2> topk(Value* x, Value* k, int64_t axis, bool ascending) {
    const Values out = emit_all("topk", {{"x", x}, {"k", k}, {"axis", axis}, {"ascending", ascending}});
    return out.size() == 2 ? std::array{out[0], out[1]} : std::array{function().poison(), function().poison()};
  }
  // Of what the target takes no shape of: that of the same as int32.
  Value* shape(Value* x) {
    const auto of_x = [&] { return emit("shape", {{"x", x}}); };
    if (!is_int(x->dtype()) || x->dtype() == DType::i32) return of_x();
    return first_of(of_x, [&] { return emit("shape", {{"x", cast(x, DType::i32)}}); });
  }
  Value* select(Value* cond, Value* a, Value* b) { return emit("select", {{"cond", cond}, {"a", a}, {"b", b}}); }
  Value* reduce(std::string_view op, Value* x, const Ints& axes, bool keep_dims) {
    return emit(op, {{"x", x}, {"axes", axes}, {"keep_dims", keep_dims}});
  }

  // f(xs...), or where the target does not take their dtype: of the xs as `other`, the result cast back. Only for an f
  // that gives the same numbers in `other`, and only where that holds all of the xs' own.
  template <class F, class... Operands>
  Value* through(DType other, F&& f, Value* x, Operands*... xs) {
    const DType own = x->dtype();
    if (own == other || !holds_all(other, own)) return f(x, xs...);
    return first_of([&] { return f(x, xs...); },
                    [&] {
                      const std::array in{cast(x, other), cast(xs, other)...};  // in this order
                      return cast(std::apply(f, in), own);
                    });
  }

 private:
  static bool holds_all(DType wide, DType narrow) {
    if (is_float(wide)) return is_float(narrow) && info(narrow).bits <= info(wide).bits;
    return !is_float(narrow) && int_range(narrow).inside(int_range(wide));
  }
};

}  // namespace graft::ops
