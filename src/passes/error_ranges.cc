#include "passes/error_ranges.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/half.h"
#include "passes/constant_facts.h"
#include "passes/match.h"
#include "passes/precision_plan.h"

namespace graft::passes {
namespace {

using ir::Op;
using ir::Value;

constexpr double kRounding = 0x1p-11;  // relative, of one operation in fp16

// A value that was rounded once more.
ErrorRange rounded(ErrorRange r) {
  r.error += std::max(r.largest() * kRounding, kHalfLeast);
  return r;
}

// Tables and weights are not looked into: nothing here is told by what is in them.
ErrorRange of_constant(const ir::Constant& c) {
  constexpr int64_t kMost = 1 << 16;
  ErrorRange r{INFINITY, -INFINITY, 0};
  if (c.dtype() != DType::f32 || c.count() > kMost || c.count() == 0) return {};
  c.read([&](const void* data, size_t bytes) {
    const auto* v = static_cast<const char*>(data);
    for (size_t at = 0; at < bytes; at += sizeof(float)) {
      float f;
      std::memcpy(&f, v + at, sizeof f);
      r.lo = std::min<double>(r.lo, f);
      r.hi = std::max<double>(r.hi, f);
      r.error = std::max<double>(r.error, std::fabs(f - static_cast<float>(Half(f))));
    }
  });
  return std::isnan(r.error) || r.lo > r.hi ? ErrorRange{} : r;
}

ErrorRange joined(const ErrorRange& a, const ErrorRange& b) {
  return {std::min(a.lo, b.lo), std::max(a.hi, b.hi), std::max(a.error, b.error)};
}

}  // namespace

ErrorRanges::ErrorRanges(const ir::Function& function) {
  ir::visit_ops(function.body, [&](Op& op) {
    if (op.results.size() != 1 || op.result()->dtype() != DType::f32) return;
    const ErrorRange r = result_of(op);
    if (std::isfinite(r.largest()) || std::isfinite(r.error)) known_.emplace(op.result(), r);
  });
}

ErrorRange ErrorRanges::of(const Value* v) const {
  if (v == nullptr) return {};
  if (v->is_constant()) return of_constant(*v->constant);
  const auto at = known_.find(v);
  return at == known_.end() ? ErrorRange{} : at->second;
}

ErrorRange ErrorRanges::result_of(const Op& op) const {
  if (op.is(Scalar::cast)) {
    const Value* x = op.arg("x");
    if (x->dtype() == DType::boolean) return {0, 1, 0};
    if (!is_int(x->dtype())) return of(x);
    const ErrorRange r{static_cast<double>(x->range.lo), static_cast<double>(x->range.hi), 0};
    return r.largest() <= 2048 ? r : rounded(r);
  }
  if (op.is(Kind::softmax)) return rounded({0, 1, 0});
  if (only_moves(op)) {
    ErrorRange all{INFINITY, -INFINITY, 0};
    for (const auto& arg : op.args) {
      for (const Value* v : arg) {
        if (v->dtype() == DType::f32) all = joined(all, of(v));
      }
    }
    return all.lo > all.hi ? ErrorRange{} : all;
  }
  return op.is(Kind::pointwise) && op.row->def->pointwise.corners ? at_corners(op) : ErrorRange{};
}

// The function at the corners of the operands' box and at their zeros, and how far it moves when operands are off.
ErrorRange ErrorRanges::at_corners(const Op& op) const {
  const ir::Pointwise how = ir::pointwise_of(ir::call_of(op));
  const ir::ScalarKernel kernel = how.kernels[static_cast<size_t>(ir::WideType::real)];
  if (kernel == nullptr) return {};
  std::array<ErrorRange, 3> operands{};
  size_t n = 0;
  for (const std::string_view name : how.operands) {
    if (name.empty()) break;
    operands[n] = of(op.arg(name));
    if (std::isnan(operands[n].lo) || std::isnan(operands[n].hi)) return {};
    ++n;
  }
  const auto points = [&](size_t k) {
    std::array<double, 3> p{operands[k].lo, operands[k].hi, operands[k].lo};
    if (operands[k].lo < 0 && operands[k].hi > 0) p[2] = 0;
    return p;
  };
  const auto value = [&](const std::array<double, 3>& x) {
    double y = 0;
    kernel(&x[0], &x[1], &x[2], &y, 1, how.numbers.data());
    return y;
  };
  // By which operand is off, and to which side: 3^n moves of 3^n points, 81 at most for two operands.
  int all = 1;
  for (size_t k = 0; k < n; ++k) all *= 3;
  ErrorRange r{INFINITY, -INFINITY, 0};
  for (int point = 0; point < all; ++point) {
    std::array<double, 3> x{};
    for (size_t k = 0, left = static_cast<size_t>(point); k < n; ++k, left /= 3) x[k] = points(k)[left % 3];
    const double y = value(x);
    if (std::isnan(y)) return {};
    r.lo = std::min(r.lo, y);
    r.hi = std::max(r.hi, y);
    for (int move = 0; move < all; ++move) {
      std::array<double, 3> off = x;
      for (size_t k = 0, left = static_cast<size_t>(move); k < n; ++k, left /= 3) {
        const double sign = static_cast<double>(left % 3) - 1;
        if (sign != 0) off[k] += sign * operands[k].error;
      }
      const double moved = std::fabs(value(off) - y);
      r.error = std::isnan(moved) ? INFINITY : std::max(r.error, moved);
    }
  }
  return rounded(r);
}

}  // namespace graft::passes
