// A dim that may be symbolic: constant + sum of coefficient * term, where a term is a named symbol with a range, or a
// floor-division, minimum, maximum or product of dims. Equality is structural, so two dims that are built the same way
// are the same dim. Values, cheap to copy, immutable, safe to share between threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/dtype.h"

namespace graft::ir {

class Dim;
using Dims = std::vector<Dim>;

class Dim {
 public:
  Dim(int64_t value = 0) : constant_(value) {}  // NOLINT: a number is a dim
  // Symbols are equal when their names are; the range is the caller's promise about every value it will have.
  static Dim symbol(std::string_view name, IntRange range = {0, INT64_MAX});

  bool known() const { return terms_.empty(); }
  int64_t value() const { return constant_; }  // only when known()
  IntRange range() const;
  IntRange tight_range() const;  // of a difference: terms that hang on each other are seen together
  // Evaluates with a value for each symbol; nullopt when one is missing or a division by zero comes up.
  std::optional<int64_t> eval(const std::function<std::optional<int64_t>(std::string_view)>& value_of) const;
  // Rebuilds with some symbols replaced; nullopt from the function keeps a symbol.
  Dim substitute(const std::function<std::optional<Dim>(std::string_view)>& dim_of) const;
  void visit_symbols(const std::function<void(std::string_view, IntRange)>& visit) const;
  // The name when the dim is exactly one symbol, else empty.
  std::string_view symbol_name() const;
  // The parts, for code that computes a dim at run time: constant + sum of coefficient * term. A term that is no symbol
  // is an operation on two dims.
  int64_t constant_part() const { return constant_; }
  std::vector<std::pair<Dim, int64_t>> linear_terms() const;
  enum class Operation : uint8_t { symbol, floor_div, min, max, product };
  Operation operation() const;           // of a dim that is exactly one term with coefficient 1
  std::pair<Dim, Dim> operands() const;  // of such a term that is no symbol

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  friend bool operator==(const Dim& a, const Dim& b);
  // "2*height + 1", "((width + 1) floordiv 2)": bracketed such that text_parse.cc reads the same dim again.
  std::string to_string() const;
  std::string to_string(const std::function<std::string(std::string_view)>& name_of) const;

  struct Term;

 private:
  struct Factors;
  Factors factors() const;
  friend Dim floor_div(const Dim& a, const Dim& b);
  friend Dim dim_min(const Dim& a, const Dim& b);
  friend Dim dim_max(const Dim& a, const Dim& b);
  friend int compare(const Dim& a, const Dim& b);
  friend int compare(const Term& a, const Term& b);
  static Dim of_term(Term term);
  static Dim unknown(std::string_view built, IntRange range);
  void add(const std::shared_ptr<const Term>& term, int64_t coefficient);

  int64_t constant_ = 0;
  std::vector<std::pair<std::shared_ptr<const Term>, int64_t>> terms_;  // sorted, coefficients not 0
};

Dim floor_div(const Dim& a, const Dim& b);  // towards minus infinity; b must not be 0
Dim ceil_div(const Dim& a, const Dim& b);
Dim dim_min(const Dim& a, const Dim& b);
Dim dim_max(const Dim& a, const Dim& b);
Dim product(const Dims& dims);
// True only when it holds for every value of the symbols.
bool always_equal(const Dim& a, const Dim& b);
bool never_equal(const Dim& a, const Dim& b);
std::string to_string(const Dims& dims);  // "[1, 3, height, width]"
bool all_known(const Dims& dims);

}  // namespace graft::ir
