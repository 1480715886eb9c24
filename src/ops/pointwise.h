// Rows of element-by-element operators, made from one lambda each.
#pragma once

#include "ops/kernel.h"

namespace graft::ops {

// Which storage types a kernel is instantiated for: one that is written for double or bool alone says so.
enum class Takes : uint8_t { numbers, floats, bools, all };
template <class T>
constexpr bool takes(Takes which) {
  constexpr bool boolean = std::is_same_v<T, bool>;
  return which == Takes::all || (which == Takes::bools    ? boolean
                                 : which == Takes::floats ? is_float_type<T>
                                                          : !boolean);
}

template <auto fn, Takes which = Takes::numbers>
Status unary_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (takes<T>(which)) {
      ok = true;
      const T* src = x.as<T>();
      T* dst = out[0].as<T>();
      for (int64_t i = 0, end; (end = pace.until(i, x.count())) != i;) {
        for (; i < end; ++i) dst[i] = narrow<T>(fn(widen(src[i])));
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

// fn(x, p, q) with up to two scalar parameters read once.
template <auto fn, Takes which = Takes::numbers>
Status with_scalars(const Call& call, Outputs& out, double p, double q) {
  const TensorView x = call.in("x").value;
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (takes<T>(which)) {
      ok = true;
      const T* src = x.as<T>();
      T* dst = out[0].as<T>();
      const auto a = static_cast<Wide<T>>(p), b = static_cast<Wide<T>>(q);
      for (int64_t i = 0, end; (end = pace.until(i, x.count())) != i;) {
        for (; i < end; ++i) dst[i] = narrow<T>(fn(widen(src[i]), a, b));
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

// fn(a, b) on wide values; the result is stored as `Out` if given, else as the operands' type.
template <auto fn, Takes which = Takes::numbers, class Out = void>
Status binary_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, y = call.in("y").value;
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    using R = std::conditional_t<std::is_void_v<Out>, T, Out>;
    if constexpr (takes<T>(which)) {
      ok = true;
      const T *a = x.as<T>(), *b = y.as<T>();
      R* dst = out[0].as<R>();
      Walk<2> walk(out[0].shape, {x.shape, y.shape});
      for (int64_t i = 0, end; (end = pace.until(i, out[0].count())) != i;) {
        for (; i < end; ++i, walk.next()) dst[i] = narrow<R>(fn(widen(a[walk.offset(0)]), widen(b[walk.offset(1)])));
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

// Content of integer arithmetic on symbolic dims, element by element; operands of one element repeat.
template <auto fn>
bool symbolic_binary(const Call& call, Dims& content) {
  const std::optional<Dims> a = call.dims("x"), b = call.dims("y");
  if (!a || !b || a->empty() || b->empty()) return false;
  const size_t n = std::max(a->size(), b->size());
  if ((a->size() != n && a->size() != 1) || (b->size() != n && b->size() != 1)) return false;
  for (size_t i = 0; i < n; ++i) {
    const std::optional<Dim> d = fn((*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
    if (!d) return false;
    content.push_back(*d);
  }
  return true;
}

}  // namespace graft::ops
