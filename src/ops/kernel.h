// What reference kernels and inference functions share: dtype dispatch, wide arithmetic, broadcasting, small checks.
// Reference kernels never allocate (they may run in steady state), and compute floats in double, integers in int64:
// a store rounds or wraps once. Their loops go by a Pace, and end early where it says so.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/format.h"
#include "base/half.h"
#include "ir/call.h"

namespace graft::ops {

using ir::Call;
using ir::Dim;
using ir::Dims;
using ir::OpDef;
using ir::Operand;
using ir::Opset;
using ir::Outputs;
using ir::Pace;
using ir::Type;
using ir::Types;
using ir::Variant;

inline constexpr DTypes kFloats{DType::f16, DType::f32, DType::f64, DType::bf16};
inline constexpr DTypes kInts{DType::i8, DType::i16, DType::i32, DType::i64,
                              DType::u8, DType::u16, DType::u32, DType::u64};
inline constexpr DTypes kNumbers = kFloats | kInts;
// Whatever has whole-byte elements: what pure data movement takes on the host.
inline constexpr DTypes kMovable = kNumbers | DTypes{DType::boolean, DType::string, DType::c64, DType::c128};
// What ONNX casts to and quantizes to beside the types above.
inline constexpr DTypes kSmall{DType::i4,         DType::u4,     DType::i2,         DType::u2,     DType::f8e4m3fn,
                               DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz, DType::f4e2m1, DType::f8e8m0};
// Where elements keep their order, it does not matter that some are packed.
inline constexpr DTypes kOrdered = kMovable | kSmall;

// Calls fn(T{}) with the C++ type that stores `t`; false when t is not among the types handled here.
template <class Fn>
bool visit_dtype(DType t, Fn&& fn) {
  switch (t) {
    case DType::f16: fn(Half{}); return true;
    case DType::bf16: fn(BFloat16{}); return true;
    case DType::f32: fn(float{}); return true;
    case DType::f64: fn(double{}); return true;
    case DType::i8: fn(int8_t{}); return true;
    case DType::i16: fn(int16_t{}); return true;
    case DType::i32: fn(int32_t{}); return true;
    case DType::i64: fn(int64_t{}); return true;
    case DType::u8: fn(uint8_t{}); return true;
    case DType::u16: fn(uint16_t{}); return true;
    case DType::u32: fn(uint32_t{}); return true;
    case DType::u64: fn(uint64_t{}); return true;
    case DType::boolean: fn(bool{}); return true;
    default: return false;
  }
}

template <class T>
inline constexpr bool is_float_type =
    std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
// The type to compute in: double for floats, int64 for signed, uint64 for unsigned, bool for bool.
template <class T>
using Wide = std::conditional_t<
    is_float_type<T>, double,
    std::conditional_t<std::is_same_v<T, bool>, bool, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>>;

// Calls fn(W{}) with that type.
template <class Fn>
void visit_wide(ir::WideType wide, Fn&& fn) {
  switch (wide) {
    case ir::WideType::real: return fn(double{});
    case ir::WideType::integer: return fn(int64_t{});
    case ir::WideType::natural: return fn(uint64_t{});
    case ir::WideType::logical: return fn(bool{});
    case ir::WideType::none: return;
  }
}

template <class T>
Wide<T> widen(T v) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return static_cast<float>(v);
  else
    return v;
}

// Of a wide value; no integer is.
template <class W>
bool is_nan(W v) {
  if constexpr (std::is_same_v<W, double>)
    return std::isnan(v);
  else
    return false;
}

// Float to integer is defined here as: NaN gives 0, out of range saturates. (C++ and ONNX leave it open.)
template <class To>
To float_to_int(double v) {
  if (std::isnan(v)) return To{0};
  if (v <= static_cast<double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  if (v >= static_cast<double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
  return static_cast<To>(v);
}

template <class T, class W>
T narrow(W v) {
  if constexpr (is_float_type<T>)
    return T(static_cast<double>(v));
  else if constexpr (std::is_same_v<T, bool>)
    return v != W{};
  else if constexpr (std::is_floating_point_v<W>)
    return float_to_int<T>(v);
  else
    return static_cast<T>(v);  // integers wrap
}

// Wrapping integer arithmetic without undefined behaviour.
inline int64_t wrap_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
inline int64_t wrap_sub(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
inline int64_t wrap_mul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
inline uint64_t wrap_add(uint64_t a, uint64_t b) { return a + b; }
inline uint64_t wrap_sub(uint64_t a, uint64_t b) { return a - b; }
inline uint64_t wrap_mul(uint64_t a, uint64_t b) { return a * b; }
inline double wrap_add(double a, double b) { return a + b; }
inline double wrap_sub(double a, double b) { return a - b; }
inline double wrap_mul(double a, double b) { return a * b; }

// Steps through the elements of `shape` in row-major order, keeping the offsets into several operands that broadcast to
// it.
template <int N>
class Walk {
 public:
  // Operand k has shape in[k]; dims of 1 (and missing leading dims) repeat.
  Walk(const Shape& shape, const std::array<Shape, static_cast<size_t>(N)>& in) : shape_(shape), at_(shape.size(), 0) {
    for (size_t k = 0; k < static_cast<size_t>(N); ++k) {
      const Shape strides = strides_of(in[k]);
      const int lead = shape.size() - in[k].size();
      for (int d = 0; d < shape.size(); ++d) {
        const int j = d - lead;
        step_[k].push_back(j < 0 || in[k][j] == 1 ? 0 : strides[j]);
      }
    }
  }
  int64_t offset(int k) const { return offset_[static_cast<size_t>(k)]; }
  const Shape& index() const { return at_; }
  void next() {
    for (int d = shape_.size() - 1; d >= 0; --d) {
      for (size_t k = 0; k < static_cast<size_t>(N); ++k) offset_[k] += step_[k][d];
      if (++at_[d] < shape_[d]) return;
      for (size_t k = 0; k < static_cast<size_t>(N); ++k) offset_[k] -= step_[k][d] * shape_[d];
      at_[d] = 0;
    }
  }

 private:
  Shape shape_, at_;
  std::array<Shape, static_cast<size_t>(N)> step_;
  std::array<int64_t, static_cast<size_t>(N)> offset_{};
};

// std::sort, which leaves its range in any order when it has to stop.
template <class Range, class Less>
void sort_by(Range& range, Pace& pace, Less less) {
  struct Stopped {};
  try {
    std::sort(range.begin(), range.end(), [&](const auto& a, const auto& b) {
      if (!pace.go_on()) throw Stopped{};
      return less(a, b);
    });
  } catch (const Stopped&) {
  }
}

inline tl::unexpected<Diag> no_kernel(const Call& call, DType t) {
  return fail(Code::dtype_mismatch, format("{} has no reference kernel for {}", call.row().name(), name(t)));
}

// Fails with limit_exceeded where results of this dtype (places, sizes) cannot hold their largest value.
Status check_holds(DType t, int64_t largest);
// Python's axis rule: -rank..rank-1. Fails with value_out_of_range.
Result<int> normal_axis(int64_t axis, int rank);
// A parameter, if given, has this shape.
Status check_shape(const Call& call, std::string_view param, const Dims& want);
// A dim cut out of a shape: `outer` rows before, `inner` after it.
struct AxisView {
  int64_t outer, n, inner;
  AxisView(const Shape& s, int axis) : outer(s.product(0, axis)), n(s[axis]), inner(s.product(axis + 1, s.size())) {}
  // The offset of the first element of line (o, i); its elements are `inner` apart.
  int64_t line(int64_t o, int64_t i) const { return o * n * inner + i; }
};

// The dims two operands broadcast to, numpy's rule. Symbolic dims that cannot be compared give their maximum, which is
// right for every size that broadcasts at all; the run checks the real ones.
Result<Dims> broadcast(const Dims& a, const Dims& b);
Shape broadcast_shapes(const Shape& a, const Shape& b);  // of shapes known to broadcast

// Work of rows that do some operations for each element.
template <int kOperations>
double flops_of_result(const Call&, const Type& result, const ir::SizeOf& size) {
  return kOperations * size(result.dims);
}
double flops_of_x(const Call& call, const Type& result, const ir::SizeOf& size);  // one an element of x

// Inference of parameters that only a run knows. Sizes that hang on one are fresh: a plan then stops for its value, and
// goes on with it as a constant, so that kernels always know it.
//
// How many entries a list has, at most kMaxRank. Fails with dynamic_shape where not even that is known.
Result<int> entries(const Call& call, std::string_view param);
// The type of a result of `rank` dims, each of any size, with the dtype of x. Fails with rank_mismatch below rank 0.
Status infer_any_sizes(const Call& call, int rank, Types& out);

// Inference used by many rows.
Status infer_like_x(const Call& call, Types& out);     // one result, type of x
Status infer_broadcast(const Call& call, Types& out);  // x and y, dtype of x
Status infer_compare(const Call& call, Types& out);    // x and y, bool
// Symbolic content of pure data movement: runs the row's reference kernel on the numbers of the elements instead of the
// elements, so every such row gets it without a line of code.
bool symbolic_by_moving(const Call& call, Dims& content);
// Whether what the operator makes are elements of this operand, among others perhaps, as they are.
bool moves_elements_of(const ir::OpRow& row, size_t param);
IntRange range_of_inputs(const Call& call);  // union of the integer operands that carry data
__extension__ using Int128 = __int128;       // holds what leaves int64
inline int64_t saturated(Int128 v) { return static_cast<int64_t>(std::clamp<Int128>(v, INT64_MIN, INT64_MAX)); }
// Of sums of up to `most` integers of dtype t. What may leave the dtype wraps, and can be anything then.
IntRange range_of_sum(IntRange each, int64_t most, DType t);

}  // namespace graft::ops
