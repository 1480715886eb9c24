// The part of MIL's tensor_operation family that looks along an axis or at every element's place: one_hot, band_part,
// cumsum, argsort, topk, non_zero. Sorting works in the output buffers, so that kernels need no scratch memory.
#include <algorithm>

#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "tensor_operation";
constexpr DTypes kNumbersAndBool = kNumbers | DTypes{DType::boolean};

Status cumsum_type(const Call& call, Types& out) {
  if (!call.known("axis")) return infer_any_sizes(call, call.in("x").rank(), out);
  GRAFT_CHECK(normal_axis(call.i("axis"), call.in("x").rank()));
  return infer_like_x(call, out);
}

// ---- one_hot ------------------------------------------------------------------------------------------------------

DType one_hot_dtype(const Call& call) {
  for (std::string_view p : {"on_value", "off_value"}) {
    if (call.has(p)) return call.in(p).dtype();
  }
  return DType::i32;
}

Status one_hot_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_integers(call, "indices"));
  GRAFT_CHECK(check_integers(call, "one_hot_vector_size"));
  const Operand& indices = call.in("indices");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), indices.rank() + 1));
  const std::optional<Dims> size = call.dims("one_hot_vector_size");
  if (size && size->size() != 1)
    return fail(Code::shape_mismatch, format("one_hot_vector_size has {} values", size->size()));
  if (size && (*size)[0].range().hi < 0)
    return fail(Code::value_out_of_range, format("one_hot_vector_size is {}", (*size)[0].to_string()));
  Dims dims = indices.dims();
  dims.insert(dims.begin() + axis, size ? (*size)[0] : call.fresh({0, INT64_MAX}));
  out.push_back(Type::tensor(one_hot_dtype(call), std::move(dims)));
  return {};
}

Status one_hot_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView indices = call.in("indices").value;
  const MutableTensorView y = out[0];
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), indices.rank() + 1));
  Shape shape = indices.shape;
  shape.insert(axis, y.shape[axis]);
  GRAFT_CHECK(check_output(call, y, shape));
  const AxisView v(y.shape, axis);
  Pace pace = call.pace();
  const bool ok = visit_dtype(y.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto element = [&](std::string_view param, double fallback) {
      const TensorView given = call.in(param).value;
      return given.data != nullptr ? *given.as<T>() : narrow<T>(fallback);
    };
    const T on = element("on_value", 1), off = element("off_value", 0);
    T* dst = y.as<T>();
    for (int64_t o = 0; o < v.outer; ++o) {
      for (int64_t i = 0; i < v.inner && pace.go_on(); ++i) {
        const int64_t hot = element_as_int(indices, o * v.inner + i);
        for (int64_t k = 0, end; (end = pace.until(k, v.n)) != k;) {
          for (; k < end; ++k) dst[v.line(o, i) + k * v.inner] = k == hot ? on : off;
        }
      }
    }
  });
  return ok ? Status{} : no_kernel(call, y.dtype);
}

IntRange one_hot_range(const Call& call) {
  if (!is_int(one_hot_dtype(call))) return {};
  const int64_t on = call.i("on_value"), off = call.i("off_value");
  return {std::min(on, off), std::max(on, off)};
}

constexpr Variant kOneHot[] = {{Opset::ios15,
                                "indices:int32; one_hot_vector_size:int32; axis?:const int32=-1; on_value?:const T=1; "
                                "off_value?:const T=0",
                                "T={fp16,fp32,int32,bool}"}};
constexpr OpDef one_hot = {.name = "one_hot",
                           .family = kFamily,
                           .doc = "a new dim that holds on_value at the index and off_value elsewhere",
                           .variants = kOneHot,
                           .host = kNumbersAndBool,
                           .infer = one_hot_type,
                           .reference = one_hot_reference,
                           .range = one_hot_range};

// ---- band_part ----------------------------------------------------------------------------------------------------

Status band_part_type(const Call& call, Types& out) {
  if (call.in("x").rank() < 2)
    return fail(Code::rank_mismatch, format("needs matrices, got {}", call.in("x").type->to_string()));
  return infer_like_x(call, out);
}

Status band_part_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  const int64_t lower = call.i("lower"), upper = call.i("upper");
  const int64_t rows = x.shape[x.rank() - 2], cols = x.shape[x.rank() - 1], matrices = x.shape.product(0, x.rank() - 2);
  if (out[0].bytes() != 0) std::memset(out[0].data, 0, out[0].bytes());
  Pace pace = call.pace();
  for (int64_t m = 0, at = 0; m < matrices; ++m) {
    for (int64_t r = 0; r < rows && pace.go_on(); ++r, at += cols) {
      const int64_t begin = lower < 0 ? 0 : std::max<int64_t>(0, r - std::min(lower, r));
      const int64_t end = upper < 0 ? cols : std::min(cols, wrap_add(r + 1, std::min(upper, cols)));
      if (begin < end) copy_elements(x.dtype, x.data, at + begin, out[0].data, at + begin, end - begin, pace);
    }
  }
  return {};
}
constexpr Variant kBandPart[] = {
    {Opset::ios15, "x:T; lower?:const int32=-1; upper?:const int32=-1", "T={fp16,fp32,int32,bool}"}};
constexpr OpDef band_part = {.name = "band_part",
                             .family = kFamily,
                             .doc =
                                 "keep `lower` sub- and `upper` superdiagonals of each innermost matrix (negative: "
                                 "all), zero elsewhere",
                             .variants = kBandPart,
                             .host = kNumbersAndBool,
                             .infer = band_part_type,
                             .reference = band_part_reference};

// ---- cumsum -------------------------------------------------------------------------------------------------------

template <bool product>
Status running_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  const AxisView v(x.shape, axis);
  const bool exclusive = call.flag("exclusive"), reverse = call.flag("reverse");
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, bool>) {
      ok = true;
      for (int64_t o = 0; o < v.outer; ++o) {
        for (int64_t i = 0; i < v.inner; ++i) {
          Wide<T> sum = product ? 1 : 0;
          for (int64_t k = 0, end; (end = pace.until(k, v.n)) != k;) {
            for (; k < end; ++k) {
              const int64_t at = v.line(o, i) + (reverse ? v.n - 1 - k : k) * v.inner;
              const Wide<T> before = sum;
              sum = product ? wrap_mul(sum, widen(x.as<T>()[at])) : wrap_add(sum, widen(x.as<T>()[at]));
              out[0].as<T>()[at] = narrow<T>(exclusive ? before : sum);
            }
          }
        }
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}
IntRange cumsum_range(const Call& call) {
  const Operand& x = call.in("x");
  const Result<int> axis = normal_axis(call.i("axis"), x.rank());
  return axis ? range_of_sum(x.range, x.dims()[static_cast<size_t>(*axis)].range().hi, x.dtype()) : IntRange{};
}
constexpr Variant kCumsum[] = {{Opset::ios15,
                                "x:T; axis?:const int32=0; exclusive?:const bool=false; reverse?:const bool=false",
                                "T={fp16,fp32,int32}"}};
constexpr OpDef cumsum = {.name = "cumsum",
                          .family = kFamily,
                          .doc = "running sum; exclusive leaves the element itself out, reverse runs from the end",
                          .variants = kCumsum,
                          .host = kNumbers,
                          .infer = cumsum_type,
                          .reference = running_reference<false>,
                          .range = cumsum_range,
                          .fp16 = {.accumulates = true},
                          .kind = ir::Kind::cumsum};

constexpr Variant kCumProd[] = {{Opset::host,
                                 "x:T; axis?:const int32=0; exclusive?:const bool=false; reverse?:const bool=false",
                                 "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64}"}};
constexpr OpDef host_cum_prod = {.name = "host_cum_prod",
                                 .family = "host",
                                 .doc = "ONNX CumProd: running product, as cumsum otherwise",
                                 .variants = kCumProd,
                                 .host = kNumbers,
                                 .infer = cumsum_type,
                                 .reference = running_reference<true>};

// ---- argsort, topk ------------------------------------------------------------------------------------------------

constexpr int64_t kSift = 32;  // comparisons, about, on the way down a heap

// Heap sort of n slots: before(i, j) says that slot i sorts before slot j, swap(i, j) exchanges them. In place, and
// stable because callers break ties by index.
template <class Before, class Swap>
void sift_down(int64_t root, int64_t n, Before&& before, Swap&& swap) {
  while (true) {
    int64_t last = root;
    for (int64_t child : {2 * root + 1, 2 * root + 2}) {
      if (child < n && before(last, child)) last = child;
    }
    if (last == root) return;
    swap(root, last);
    root = last;
  }
}
template <class Before, class Swap>
void make_heap(int64_t n, Before&& before, Swap&& swap, Pace& pace) {
  for (int64_t i = n / 2; i-- > 0 && pace.go_on(kSift);) sift_down(i, n, before, swap);
}
template <class Before, class Swap>
void sort_heap(int64_t n, Before&& before, Swap&& swap, Pace& pace) {
  for (int64_t end = n - 1; end > 0 && pace.go_on(kSift); --end) {
    swap(0, end);
    sift_down(0, end, before, swap);
  }
}

// NaN is above every number, as numpy sorts.
template <class W>
int compare_values(W a, W b) {
  if constexpr (std::is_same_v<W, double>) {
    if (std::isnan(a) || std::isnan(b)) return static_cast<int>(std::isnan(a)) - static_cast<int>(std::isnan(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

Status argsort_type(const Call& call, Types& out) {
  GRAFT_CHECK(normal_axis(call.i("axis"), call.in("x").rank()));
  out.push_back(Type::tensor(DType::i32, call.in("x").dims()));
  return {};
}

Status argsort_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  GRAFT_CHECK(check_output(call, out[0], x.shape));
  const AxisView v(x.shape, axis);
  GRAFT_CHECK(check_holds(DType::i32, v.n - 1));
  const int sign = call.flag("ascending") ? 1 : -1;
  Pace pace = call.pace();
  const bool ok = visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t o = 0; o < v.outer; ++o) {
      for (int64_t i = 0; i < v.inner; ++i) {
        const T* src = x.as<T>() + v.line(o, i);
        int32_t* dst = out[0].as<int32_t>() + v.line(o, i);
        for (int64_t k = 0; k < v.n; ++k) dst[k * v.inner] = static_cast<int32_t>(k);
        const auto before = [&](int64_t a, int64_t b) {
          const int32_t p = dst[a * v.inner], q = dst[b * v.inner];
          const int c = sign * compare_values(widen(src[p * v.inner]), widen(src[q * v.inner]));
          return c != 0 ? c < 0 : p < q;
        };
        const auto swap = [&](int64_t a, int64_t b) { std::swap(dst[a * v.inner], dst[b * v.inner]); };
        make_heap(v.n, before, swap, pace);
        sort_heap(v.n, before, swap, pace);
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}
IntRange index_range(const Call& call) {
  const Result<int> axis = normal_axis(call.i("axis"), call.in("x").rank());
  if (!axis) return {};
  const int64_t n = call.in("x").dims()[static_cast<size_t>(*axis)].range().hi;
  return {0, std::max<int64_t>(0, n - 1)};
}
constexpr Variant kArgsort[] = {
    {Opset::ios15, "x:T; axis?:const int32=-1; ascending?:const bool=false", "T={fp16,fp32,int32}"}};
constexpr OpDef argsort = {.name = "argsort",
                           .family = kFamily,
                           .doc = "the indices that sort x along axis, ties in order",
                           .variants = kArgsort,
                           .host = kNumbersAndBool,
                           .infer = argsort_type,
                           .reference = argsort_reference,
                           .range = index_range,
                           .fp16 = {.steps = true},
                           .kind = ir::Kind::argsort};

Status topk_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  GRAFT_CHECK(check_integers(call, "k"));
  const Dim n = x.dims()[static_cast<size_t>(axis)];
  Dim k(1);
  if (call.has("k")) {
    const std::optional<Dims> given = call.dims("k");
    if (given && given->size() != 1) return fail(Code::shape_mismatch, format("k has {} values", given->size()));
    k = !given ? call.fresh({0, n.range().hi}) : (*given)[0] == Dim(-1) ? n : (*given)[0];
  }
  if (k.range().hi < 0 || (n - k).range().hi < 0)
    return fail(Code::value_out_of_range, format("k {} is outside 0..{}", k.to_string(), n.to_string()));
  const std::string_view dtype = call.str("output_indices_dtype");
  if (!dtype.empty() && dtype != "none" && dtype != "int32" && dtype != "uint16")
    return fail(Code::invalid_attribute, format("output_indices_dtype '{}', takes int32 or uint16", dtype));
  Dims dims = x.dims();
  dims[static_cast<size_t>(axis)] = k;
  out.push_back(Type::tensor(x.dtype(), dims));
  if (call.flag("return_indices")) out.push_back(Type::tensor(dtype == "uint16" ? DType::u16 : DType::i32, dims));
  return {};
}

// The first k of n in `before` order. The k slots of the outputs hold a heap whose root is the worst kept so far.
template <class T, class I>
void topk_line(const T* src, int64_t n, int64_t step, T* values, I* indices, int64_t k, int sign, Pace& pace) {
  const auto before_value = [&](T a, T b) { return sign * compare_values(widen(a), widen(b)); };
  const auto before = [&](int64_t a, int64_t b) {
    const int c = before_value(values[a * step], values[b * step]);
    return c != 0 || indices == nullptr ? c < 0 : indices[a * step] < indices[b * step];
  };
  const auto swap = [&](int64_t a, int64_t b) {
    std::swap(values[a * step], values[b * step]);
    if (indices != nullptr) std::swap(indices[a * step], indices[b * step]);
  };
  const auto put = [&](int64_t slot, int64_t i) {
    values[slot * step] = src[i * step];
    if (indices != nullptr) indices[slot * step] = static_cast<I>(i);
  };
  for (int64_t i = 0; i < k; ++i) put(i, i);
  make_heap(k, before, swap, pace);
  for (int64_t i = k, end; (end = pace.until(i, n)) != i;) {
    for (; i < end; ++i) {
      // A later element of equal value never replaces an earlier one.
      if (before_value(src[i * step], values[0]) >= 0) continue;
      put(0, i);
      sift_down(0, k, before, swap);
    }
  }
  sort_heap(k, before, swap, pace);
}

Status topk_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  Shape shape = x.shape;
  shape[axis] = out[0].shape[axis];
  for (int i = 0; i < out.size(); ++i) GRAFT_CHECK(check_output(call, out[i], shape));
  const AxisView v(x.shape, axis);
  const int64_t k = shape[axis];
  if (k > v.n) return fail(Code::value_out_of_range, format("k {} is outside 0..{}", k, v.n));
  const bool narrow_index = out.size() == 2 && out[1].dtype == DType::u16;
  GRAFT_CHECK(check_holds(narrow_index ? DType::u16 : DType::i32, v.n - 1));
  if (k == 0) return {};
  const int sign = call.flag("ascending") ? 1 : -1;
  Pace pace = call.pace();
  const bool ok = visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t o = 0; o < v.outer; ++o) {
      for (int64_t i = 0; i < v.inner; ++i) {
        const T* src = x.as<T>() + v.line(o, i);
        const int64_t to = o * k * v.inner + i;
        T* values = out[0].as<T>() + to;
        if (narrow_index)
          topk_line(src, v.n, v.inner, values, out[1].as<uint16_t>() + to, k, sign, pace);
        else
          topk_line(src, v.n, v.inner, values, out.size() == 2 ? out[1].as<int32_t>() + to : nullptr, k, sign, pace);
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}
constexpr Variant kTopk[] = {
    {Opset::ios15, "x:T; k?:const int32=1; axis?:const int32=-1; ascending?:const bool=false", "T={fp16,fp32,int32}"},
    {Opset::ios16,
     "x:T; k?:const int32=1; axis?:const int32=-1; ascending?:const bool=false; sort?:const bool=true; "
     "return_indices?:const bool=true",
     "T={fp16,fp32,int32}"},
    {Opset::ios17,
     "x:T; k?:const K=1; axis?:const int32=-1; ascending?:const bool=false; sort?:const bool=true; "
     "return_indices?:const bool=true; output_indices_dtype?:const string=none",
     "T={fp16,fp32,int8,int16,int32,uint8,uint16}; K={int8,int16,int32}"}};
IntRange topk_range(const Call& call) { return call.result == 0 ? call.in("x").range : index_range(call); }
constexpr OpDef topk = {.name = "topk",
                        .family = kFamily,
                        .doc = "the k largest (ascending: smallest) along axis, in order, ties by index; k -1: all",
                        .variants = kTopk,
                        .host = kNumbers,
                        .infer = topk_type,
                        .reference = topk_reference,
                        .range = topk_range,
                        .fp16 = {.steps = true},
                        .kind = ir::Kind::topk};

// ---- non_zero -----------------------------------------------------------------------------------------------------

Status non_zero_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  out.push_back(Type::tensor(DType::i32, Dims{call.fresh({0, ir::product(x.dims()).range().hi}), Dim(x.rank())}));
  return {};
}

Status non_zero_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  for (int64_t n : x.shape) GRAFT_CHECK(check_holds(DType::i32, n - 1));
  Status status;
  const bool ok = visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* src = x.as<T>();
    const auto set = [](T v) { return widen(v) != Wide<T>{}; };
    const int64_t n = std::count_if(src, src + x.count(), set);
    status = out[0].dtype == DType::invalid ? out.allocate(0, DType::i32, Shape{n, x.rank()})
                                            : check_output(call, out[0], Shape{n, x.rank()});
    if (!status) return;
    int32_t* dst = out[0].as<int32_t>();
    Walk<1> walk(x.shape, {x.shape});
    Pace pace = call.pace();
    for (int64_t i = 0, end; (end = pace.until(i, x.count())) != i;) {
      for (; i < end; ++i, walk.next()) {
        if (!set(src[i])) continue;
        for (int64_t d : walk.index()) *dst++ = static_cast<int32_t>(d);
      }
    }
  });
  return ok ? status : no_kernel(call, x.dtype);
}
IntRange non_zero_range(const Call& call) {
  int64_t hi = 0;
  for (const Dim& d : call.in("x").dims()) hi = std::max(hi, d.range().hi - 1);
  return {0, hi};
}
constexpr Variant kNonZero[] = {{Opset::ios15, "x:T", "T={fp16,fp32,int32,bool}"}};
constexpr OpDef non_zero = {.name = "non_zero",
                            .family = kFamily,
                            .doc = "the places of the elements that are not 0, one row each",
                            .variants = kNonZero,
                            .host = kNumbersAndBool,
                            .infer = non_zero_type,
                            .reference = non_zero_reference,
                            .range = non_zero_range,
                            .kernel_sized = true};

constexpr const OpDef* kRows[] = {&one_hot, &band_part, &cumsum, &host_cum_prod, &argsort, &topk, &non_zero};

}  // namespace

Rows ordering_rows() { return kRows; }

}  // namespace graft::ops
