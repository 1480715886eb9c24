#include "passes/match.h"

#include <algorithm>
#include <cmath>

namespace graft::passes {

using ir::Op;
using ir::Value;

namespace {

template <class What>
Op* maker_that_is(const Value* v, What what) {
  return v != nullptr && v->producer != nullptr && v->producer->is(what) ? v->producer : nullptr;
}

}  // namespace

Op* made_by(const Value* v, Kind kind) { return maker_that_is(v, kind); }
Op* made_by(const Value* v, Scalar function) { return maker_that_is(v, function); }
Op* made_by(const Value* v, Reduction how) { return maker_that_is(v, how); }

std::optional<double> scalar_of(const Value* v) {
  if (v == nullptr || !v->is_constant() || v->constant->count() != 1) return std::nullopt;
  if (!is_float(v->dtype()) && !is_int(v->dtype()) && v->dtype() != DType::boolean) return std::nullopt;
  return element_as_double(v->constant->view(), 0);
}

bool near(double a, double b) { return a == b || std::fabs(a - b) <= 1e-6 * std::max(std::fabs(a), std::fabs(b)); }

bool is_scalar(const Value* v, double expected) {
  const std::optional<double> got = scalar_of(v);
  return got && near(*got, expected);
}

bool is_filled(const Value* v, double expected) {
  if (v == nullptr || !v->is_constant() || v->dtype() == DType::string) return false;
  // Partition by partition: the first one mostly says no, and a compressed constant stays so.
  constexpr int64_t kPiece = 4096;
  const ir::Constant& c = *v->constant;
  bool filled = true;
  for (int64_t at = 0; at < c.count() && filled; at += kPiece) {
    const int64_t n = std::min(kPiece, c.count() - at);
    c.read(at, n, [&](const void* data, size_t) {
      const TensorView partition{c.dtype(), Shape{n}, data};
      for (int64_t i = 0; i < n && filled; ++i) filled = element_as_double(partition, i) == expected;
    });
  }
  return filled;
}

std::optional<WithConstant> with_constant(const Op& op) {
  Value *x = op.arg("x"), *y = op.arg("y");
  if (x == nullptr || y == nullptr || x->is_constant() == y->is_constant()) return std::nullopt;
  return x->is_constant() ? WithConstant{y, x} : WithConstant{x, y};
}

Value* other_operand(const Op& op, const Value* v) {
  Value *x = op.arg("x"), *y = op.arg("y");
  return x == v ? y : y == v ? x : nullptr;
}

std::optional<Ints> ints_of(const Op& op, std::string_view param) {
  const ir::Call call = ir::call_of(op);
  if (!call.known(param)) return std::nullopt;
  Ints v = call.ints(param);
  if (call.error()) return std::nullopt;
  return v;
}

int64_t int_of(const Op& op, std::string_view param) { return ir::call_of(op).i(param); }
bool flag_of(const Op& op, std::string_view param) { return ir::call_of(op).flag(param); }
double float_of(const Op& op, std::string_view param) { return ir::call_of(op).f(param); }

std::string_view text_of(const Op& op, std::string_view param) {
  // The text lives in the constant or in the row: the call only passes it on.
  return ir::call_of(op).str(param);
}

std::optional<Ints> sorted_axes(const Ints& axes, int rank) {
  Ints v;
  for (int64_t a : axes) {
    if (a < -rank || a >= rank) return std::nullopt;
    v.push_back(a < 0 ? a + rank : a);
  }
  std::sort(v.begin(), v.end());
  if (std::adjacent_find(v.begin(), v.end()) != v.end()) return std::nullopt;
  return v;
}

}  // namespace graft::passes
