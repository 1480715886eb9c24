// Rows of element-by-element operators, each made from one function of single numbers: its reference kernel is made of
// that here, and the engine's executors call the same function.
#pragma once

#include "ops/kernel.h"

namespace graft::ops {

using ir::Kind;
using ir::Pointwise;
using ir::Scalar;
using ir::ScalarKernel;

// In which types a function computes: one that is written for some alone says so.
enum class Takes : uint8_t { numbers, floats, integers, bools, all };

// fn(x), fn(x, y), fn(x, y, z), or with numbers fn(x, p, q), on n elements. A comparison writes bool.
template <class W, auto fn, int kOperands, bool kNumbers>
void stretch(const void* pa, const void* pb, const void* pc, void* py, int64_t n, const double* p) {
  const auto *a = static_cast<const W*>(pa), *b = static_cast<const W*>(pb), *c = static_cast<const W*>(pc);
  const auto one = [&](int64_t i) {
    if constexpr (kNumbers)
      return fn(a[i], static_cast<W>(p[0]), static_cast<W>(p[1]));
    else if constexpr (kOperands == 1)
      return fn(a[i]);
    else if constexpr (kOperands == 2)
      return fn(a[i], b[i]);
    else
      return fn(a[i], b[i], c[i]);
  };
  using To = std::conditional_t<std::is_same_v<decltype(one(0)), bool>, bool, W>;
  To* __restrict y = static_cast<To*>(py);
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<To>(one(i));
}

template <auto fn, Takes which, int kOperands = 1, bool kNumbers = false>
constexpr std::array<ScalarKernel, 4> kernels_of() {
  std::array<ScalarKernel, 4> list{};
  if constexpr (which != Takes::bools && which != Takes::integers) list[0] = stretch<double, fn, kOperands, kNumbers>;
  if constexpr (which == Takes::numbers || which == Takes::integers || which == Takes::all) {
    list[1] = stretch<int64_t, fn, kOperands, kNumbers>;
    list[2] = stretch<uint64_t, fn, kOperands, kNumbers>;
  }
  if constexpr (which == Takes::bools || which == Takes::all) list[3] = stretch<bool, fn, kOperands, kNumbers>;
  return list;
}

// fn(x)
template <auto fn, Takes which = Takes::numbers>
constexpr Pointwise of_one(Scalar function) {
  return {.function = function, .kernels = kernels_of<fn, which>()};
}
// fn(x, p, q); p and q are these parameters.
template <auto fn, Takes which = Takes::numbers>
constexpr Pointwise with_numbers(Scalar function, std::string_view p = {}, std::string_view q = {}) {
  return {.function = function, .kernels = kernels_of<fn, which, 1, true>(), .params = {p, q}};
}
// fn(x, y)
template <auto fn, Takes which = Takes::numbers>
constexpr Pointwise of_two(Scalar function, bool compares = false) {
  return {.function = function, .kernels = kernels_of<fn, which, 2>(), .operands = {"x", "y"}, .compares = compares};
}

// The row's function, or this one, on every element.
Status pointwise_reference(const Call& call, Outputs& out);
Status pointwise_reference(const Call& call, Outputs& out, const Pointwise& function);

constexpr OpDef pointwise(OpDef def, const Pointwise& function) {
  def.kind = Kind::pointwise;
  def.pointwise = function;
  if (def.reference == nullptr) def.reference = pointwise_reference;
  if (def.flops == nullptr) def.flops = flops_of_result<1>;
  return def;
}

// The range of a float result, by the function's values there; of integers rows say it themselves.
IntRange range_at_corners(const Call& call);

// Rows whose ranges follow from their function's values at the corners.
constexpr OpDef with_corners(OpDef def) {
  def.pointwise.corners = true;
  if (def.range == nullptr) def.range = range_at_corners;
  return def;
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

// Of the types that functors compute in.
template <class W>
constexpr bool is_double = std::is_same_v<W, double>;

}  // namespace graft::ops
