// Reductions over axes. Each is an accumulator: what it starts from, how it takes an element, and what it gives. An
// empty reduction gives what the accumulator starts from (a mean: NaN, 0 for integers). Longer than most files: one
// family.
#include "ops/blocks.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

// ---- accumulators: W is double, int64_t or uint64_t ---------------------------------------------------------------

template <class W>
constexpr bool is_real = std::is_same_v<W, double>;

template <class W>
W magnitude(W v) {
  if constexpr (std::is_same_v<W, uint64_t>)
    return v;
  else if constexpr (is_real<W>)
    return std::abs(v);
  else
    return v < 0 ? wrap_sub(W{0}, v) : v;
}

template <class W>
struct Sum {
  W sum{};
  void add(W v) { sum = wrap_add(sum, v); }
  W result(int64_t) const { return sum; }
};
template <class W>
struct SumOfMagnitudes : Sum<W> {
  void add(W v) { Sum<W>::add(magnitude(v)); }
};
template <class W>
struct SumOfSquares : Sum<W> {
  void add(W v) { Sum<W>::add(wrap_mul(v, v)); }
};
template <class W>
struct Product {
  W product{1};
  void add(W v) { product = wrap_mul(product, v); }
  W result(int64_t) const { return product; }
};
template <class W>
struct Mean : Sum<W> {
  W result(int64_t count) const {
    if constexpr (is_real<W>)
      return this->sum / static_cast<double>(count);
    else
      return count == 0 ? W{0} : this->sum / static_cast<W>(count);
  }
};
// These three give a real number also for integers: it is truncated when it is stored.
template <class W>
struct RootOfSquares {
  double sum = 0;
  void add(W v) { sum += static_cast<double>(v) * static_cast<double>(v); }
  double result(int64_t) const { return std::sqrt(sum); }
};
template <class W>
struct LogOfSum : Sum<W> {
  double result(int64_t) const { return std::log(static_cast<double>(this->sum)); }
};
// Kept relative to the largest element so far, so that exp does not overflow.
template <class W>
struct LogOfSumOfExp {
  double largest = -INFINITY, sum = 0;
  void add(W wide) {
    const double v = static_cast<double>(wide);
    if (v > largest) {
      sum = sum * std::exp(largest - v) + 1;
      largest = v;
    } else if (v == largest) {  // also both infinite, whose difference would be NaN
      sum += v == -INFINITY ? 0 : 1;
    } else {
      sum += std::exp(v - largest);
    }
  }
  double result(int64_t) const { return sum == 0 ? -INFINITY : largest + std::log(sum); }
};
// NaN wins. Nothing gives the end of the range of the elements' dtype, which start() tells where W is wider.
template <class W>
struct Max {
  W best = is_real<W> ? W(-INFINITY) : std::numeric_limits<W>::lowest();
  void start(DType t) {
    if (!is_real<W> && bits(t) < 64) best = static_cast<W>(int_range(t).lo);
  }
  void add(W v) {
    if (v > best || is_nan(v)) best = v;
  }
  W result(int64_t) const { return best; }
};
template <class W>
struct Min {
  W best = is_real<W> ? W(INFINITY) : std::numeric_limits<W>::max();
  void start(DType t) {
    if (!is_real<W> && bits(t) < 64) best = static_cast<W>(int_range(t).hi);
  }
  void add(W v) {
    if (v < best || is_nan(v)) best = v;
  }
  W result(int64_t) const { return best; }
};

// The accumulators side by side, for executors.
template <class A, class W>
constexpr ir::ReduceKernel kernel_of(ir::WideType wide) {
  static_assert(sizeof(A) <= ir::ReduceKernel::kBytes && std::is_trivially_copyable_v<A>);
  using Y = decltype(A().result(0));
  return {.start =
              [](void* a, int64_t n, DType t) {
                A fresh;
                if constexpr (requires { fresh.start(t); }) fresh.start(t);
                std::fill_n(static_cast<A*>(a), n, fresh);
              },
          .add_each =
              [](void* a, const void* x, int64_t n) {
                for (int64_t i = 0; i < n; ++i) static_cast<A*>(a)[i].add(static_cast<const W*>(x)[i]);
              },
          .add_all =
              [](void* a, const void* x, int64_t n) {
                A sum = *static_cast<A*>(a);
                for (int64_t i = 0; i < n; ++i) sum.add(static_cast<const W*>(x)[i]);
                *static_cast<A*>(a) = sum;
              },
          .result =
              [](const void* a, int64_t n, int64_t reduced, void* y) {
                for (int64_t i = 0; i < n; ++i) static_cast<Y*>(y)[i] = static_cast<const A*>(a)[i].result(reduced);
              },
          .made = is_real<Y> ? ir::WideType::real : wide};
}
template <template <class> class Accumulator>
constexpr ir::ReduceKernel kKernels[] = {kernel_of<Accumulator<double>, double>(ir::WideType::real),
                                         kernel_of<Accumulator<int64_t>, int64_t>(ir::WideType::integer),
                                         kernel_of<Accumulator<uint64_t>, uint64_t>(ir::WideType::natural)};

// ---- inference and the loop ---------------------------------------------------------------------------------------

Dims reduced_dims(const Dims& x, const Ints& axes, bool keep_dims) {
  Dims dims;
  for (size_t d = 0; d < x.size(); ++d) {
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end())
      dims.push_back(x[d]);
    else if (keep_dims)
      dims.emplace_back(1);
  }
  return dims;
}

Status reduce_type(const Call& call, Types& out) {
  if (!call.known("axes")) {
    GRAFT_TRY(const int count, entries(call, "axes"));
    return infer_any_sizes(call, call.in("x").rank() - (call.flag("keep_dims") ? 0 : count), out);
  }
  GRAFT_TRY(const Ints axes, reduced_axes(call));
  out.push_back(Type::tensor(call.in("x").dtype(), reduced_dims(call.in("x").dims(), axes, call.flag("keep_dims"))));
  return {};
}

template <template <class> class Accumulator, class W>
void reduce(const TensorView& x, const Ints& axes, const MutableTensorView& y, Pace pace) {
  const Runs inner(x.shape, axes, pace);
  std::array<W, kBlock> v;
  int64_t at = 0;
  Runs(x.shape, other_axes(x.rank(), axes), pace).each_element([&](int64_t base) {
    Accumulator<W> a;
    if constexpr (requires { a.start(x.dtype); }) a.start(x.dtype);
    inner.each([&](int64_t offset, int64_t stride, int64_t n) {
      load(x, base + offset, stride, n, v.data());
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) a.add(v[i]);
    });
    const auto r = a.result(inner.count());
    store(y, at++, 1, 1, &r);
  });
}

template <template <class> class Accumulator>
Status reduce_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const Ints axes, reduced_axes(call));
  if (is_float(x.dtype))
    reduce<Accumulator, double>(x, axes, out[0], call.pace());
  else if (info(x.dtype).kind == DTypeKind::signed_int)
    reduce<Accumulator, int64_t>(x, axes, out[0], call.pace());
  else
    reduce<Accumulator, uint64_t>(x, axes, out[0], call.pace());
  return {};
}

// ---- symbolic content and ranges ----------------------------------------------------------------------------------

// Reduces a tensor of dims (rank 0 or 1) to one dim. Nothing to reduce over: left to the kernel.
template <auto fn>
bool reduce_symbolic(const Call& call, Dims& content) {
  const std::optional<Dims> x = call.dims("x");
  const Result<Ints> axes = reduced_axes(call);
  if (!x || x->empty() || !axes) return false;
  if (call.in("x").rank() == 1 && axes->empty()) {
    content = *x;
    return true;
  }
  Dim r = (*x)[0];
  for (size_t i = 1; i < x->size(); ++i) r = fn(r, (*x)[i]);
  content.push_back(std::move(r));
  return true;
}
constexpr auto kDimSum = [](const Dim& a, const Dim& b) { return a + b; };
constexpr auto kDimProduct = [](const Dim& a, const Dim& b) { return a * b; };
constexpr auto kDimMax = [](const Dim& a, const Dim& b) { return ir::dim_max(a, b); };
constexpr auto kDimMin = [](const Dim& a, const Dim& b) { return ir::dim_min(a, b); };

// Of the largest or smallest element: that of the elements, unless there may be none.
IntRange range_of_elements(const Call& call) {
  for (const Dim& d : call.in("x").dims()) {
    if (d.range().lo < 1) return int_range(call.in("x").dtype());
  }
  return call.in("x").range;
}

IntRange range_of_all(const Call& call) {
  const Operand& x = call.in("x");
  const Result<Ints> axes = reduced_axes(call);
  if (!axes) return {};
  Dims over;
  for (const int64_t a : *axes) over.push_back(x.dims()[static_cast<size_t>(a)]);
  return range_of_sum(x.range, ir::product(over).range().hi, x.dtype());
}

// ---- rows ---------------------------------------------------------------------------------------------------------

constexpr Variant kReduce[] = {
    {Opset::ios15, "x:T; axes?:const int32=none; keep_dims?:const bool=false", "T={fp16,fp32,int32}"}};
constexpr ir::Domain kSums{.lo = -2, .hi = 2, .tolerance_f32 = 1e-5, .tolerance_f16 = 4e-3};
constexpr ir::Domain kPositive{.lo = 0.2, .hi = 2, .tolerance_f32 = 1e-5, .tolerance_f16 = 4e-3};

template <template <class> class Accumulator, ir::Reduction how = ir::Reduction::other>
constexpr OpDef reduction(std::string_view name, std::string_view doc, bool (*symbolic)(const Call&, Dims&) = nullptr,
                          IntRange (*range)(const Call&) = nullptr, ir::Domain domain = kSums) {
  return {.name = name,
          .family = "reduction",
          .doc = doc,
          .variants = kReduce,
          .host = kNumbers,
          .infer = reduce_type,
          .reference = reduce_reference<Accumulator>,
          .symbolic = symbolic,
          .range = range,
          .domain = domain,
          .kind = ir::Kind::reduction,
          .reduction = how,
          .reduce = kKernels<Accumulator>,
          .flops = flops_of_x};
}

constexpr OpDef reduce_sum =
    with_fp16(reduction<Sum, ir::Reduction::sum>("reduce_sum", "sum over axes (none: all); of nothing 0",
                                                 reduce_symbolic<kDimSum>, range_of_all),
              {.accumulates = true});
constexpr OpDef reduce_prod = with_fp16(reduction<Product>("reduce_prod", "product over axes (none: all); of nothing 1",
                                                           reduce_symbolic<kDimProduct>, nullptr, kPositive),
                                        {.overflows = true});
constexpr OpDef reduce_mean = reduction<Mean, ir::Reduction::mean>(
    "reduce_mean", "mean over axes (none: all); integers truncate towards zero; of nothing NaN, of no integers 0");
constexpr OpDef reduce_max = reduction<Max, ir::Reduction::max>(
    "reduce_max", "maximum over axes (none: all); NaN wins; of nothing -inf or the smallest integer",
    reduce_symbolic<kDimMax>, range_of_elements);
constexpr OpDef reduce_min = reduction<Min, ir::Reduction::min>(
    "reduce_min", "minimum over axes (none: all); NaN wins; of nothing inf or the largest integer",
    reduce_symbolic<kDimMin>, range_of_elements);
constexpr OpDef reduce_l1_norm = with_fp16(
    reduction<SumOfMagnitudes>("reduce_l1_norm", "sum of magnitudes over axes (none: all)"), {.accumulates = true});
constexpr OpDef reduce_l2_norm =
    with_fp16(reduction<RootOfSquares>("reduce_l2_norm", "square root of the sum of squares over axes (none: all)"),
              {.overflows = true});
constexpr OpDef reduce_log_sum =
    with_fp16(reduction<LogOfSum>("reduce_log_sum", "ln of the sum over axes (none: all)", nullptr, nullptr, kPositive),
              {.accumulates = true});
constexpr OpDef reduce_log_sum_exp =
    with_fp16(reduction<LogOfSumOfExp>("reduce_log_sum_exp", "ln of the sum of exp(x) over axes (none: all)"),
              {.overflows = true});
constexpr OpDef reduce_sum_square = with_fp16(
    reduction<SumOfSquares>("reduce_sum_square", "sum of squares over axes (none: all)"), {.overflows = true});

// ---- argmax, argmin -----------------------------------------------------------------------------------------------

Status arg_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  const DType t = dtype_from_name(call.str("output_dtype"));
  if (t != DType::i32 && t != DType::u16)
    return fail(Code::invalid_attribute, format("output_dtype '{}', takes int32 or uint16", call.str("output_dtype")));
  if (x.dims()[static_cast<size_t>(axis)].range().hi < 1)
    return fail(Code::shape_mismatch, format("axis {} has no elements to choose from", axis));
  out.push_back(Type::tensor(t, reduced_dims(x.dims(), Ints{axis}, call.flag("keep_dims"))));
  return {};
}

IntRange arg_range(const Call& call) {
  const Operand& x = call.in("x");
  const Result<int> axis = normal_axis(call.i("axis"), x.rank());
  if (!axis) return {};
  return {0, std::max<int64_t>(0, x.dims()[static_cast<size_t>(*axis)].range().hi - 1)};
}

// The first of equals; the first NaN wins over numbers.
template <class W, bool largest>
void arg(const TensorView& x, int axis, const MutableTensorView& y, Pace pace) {
  const Runs along(x.shape, Ints{axis}, pace);
  std::array<W, kBlock> v;
  int64_t at = 0;
  Runs(x.shape, other_axes(x.rank(), Ints{axis}), pace).each_element([&](int64_t base) {
    int64_t i = 0, found = 0;
    W best{};
    along.each([&](int64_t offset, int64_t stride, int64_t n) {
      load(x, base + offset, stride, n, v.data());
      for (size_t k = 0; k < static_cast<size_t>(n); ++k, ++i) {
        const bool better = (largest ? v[k] > best : v[k] < best) || (is_nan(v[k]) && !is_nan(best));
        if (i != 0 && !better) continue;
        best = v[k];
        found = i;
      }
    });
    store(y, at++, 1, 1, &found);
  });
}

template <bool largest>
Status arg_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  if (x.shape[axis] == 0 && out[0].count() != 0)
    return fail(Code::shape_mismatch, format("axis {} has no elements to choose from", axis));
  GRAFT_CHECK(check_holds(out[0].dtype, x.shape[axis] - 1));
  if (is_float(x.dtype))
    arg<double, largest>(x, axis, out[0], call.pace());
  else if (info(x.dtype).kind == DTypeKind::signed_int)
    arg<int64_t, largest>(x, axis, out[0], call.pace());
  else
    arg<uint64_t, largest>(x, axis, out[0], call.pace());
  return {};
}

constexpr Variant kArg[] = {
    {Opset::ios15, "x:T; axis?:const int32=-1; keep_dims?:const bool=false", "T={fp16,fp32,int32}"},
    {Opset::ios17, "x:T; axis?:const int32=-1; keep_dims?:const bool=false; output_dtype?:const string=\"int32\"",
     "T={fp16,fp32,int32}"},
};
template <bool largest>
constexpr OpDef arg_row(std::string_view name, std::string_view doc) {
  return {.name = name,
          .family = "reduction",
          .doc = doc,
          .variants = kArg,
          .host = kNumbers,
          .infer = arg_type,
          .reference = arg_reference<largest>,
          .range = arg_range,
          .domain = kSums,
          .kind = largest ? ir::Kind::arg_max : ir::Kind::arg_min,
          .flops = flops_of_x};
}
constexpr OpDef reduce_argmax =
    arg_row<true>("reduce_argmax", "index of the maximum along one axis; the first of equals");
constexpr OpDef reduce_argmin =
    arg_row<false>("reduce_argmin", "index of the minimum along one axis; the first of equals");

constexpr const OpDef* kRows[] = {
    &reduce_sum,     &reduce_prod,    &reduce_mean,        &reduce_max,        &reduce_min,    &reduce_l1_norm,
    &reduce_l2_norm, &reduce_log_sum, &reduce_log_sum_exp, &reduce_sum_square, &reduce_argmax, &reduce_argmin,
};

}  // namespace

Rows reduction_rows() { return kRows; }

}  // namespace graft::ops
