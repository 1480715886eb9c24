// Small questions that patterns ask of a program.
#pragma once

#include <optional>
#include <string_view>

#include "ir/program.h"

namespace graft::passes {

using ir::Kind;
using ir::Reduction;
using ir::Scalar;

// The operator that made v if it is of this kind or computes this, else null. Null in, null out.
ir::Op* made_by(const ir::Value* v, Kind kind);
ir::Op* made_by(const ir::Value* v, Scalar function);
ir::Op* made_by(const ir::Value* v, Reduction how);
// The number in a constant of one element of a real dtype.
std::optional<double> scalar_of(const ir::Value* v);
// Equal within 1e-6 relative: constants that were written with fp32's digits.
bool near(double a, double b);
bool is_scalar(const ir::Value* v, double expected);
// A constant whose elements are all `expected`.
bool is_filled(const ir::Value* v, double expected);

// The operands of a commutative operator as (other, constant), or nullopt when not exactly one is a constant.
struct WithConstant {
  ir::Value* other;
  ir::Value* constant;
};
std::optional<WithConstant> with_constant(const ir::Op& op);
// For a commutative operator, the operand that is not v; null when v is no operand.
ir::Value* other_operand(const ir::Op& op, const ir::Value* v);

// Parameters by name on the operator itself, defaults included; nullopt when not known.
std::optional<Ints> ints_of(const ir::Op& op, std::string_view param);
int64_t int_of(const ir::Op& op, std::string_view param);
bool flag_of(const ir::Op& op, std::string_view param);
double float_of(const ir::Op& op, std::string_view param);
std::string_view text_of(const ir::Op& op, std::string_view param);

// Like an axis list of an operator on rank `rank`, sorted and non-negative; nullopt when out of range or repeated.
std::optional<Ints> sorted_axes(const Ints& axes, int rank);

}  // namespace graft::passes
