// What each row that a candidate may serve is tried on. A row of another kind than pointwise or reduction has an entry
// in the table of samples.cc.
#pragma once

#include <vector>

#include "ops/op_builder.h"

namespace graft::engine_test {

// One tensor argument; several of one parameter are a tuple's members.
struct Operand {
  // nibbles: a constant matrix of 4 bits with a scale and an offset for each 32 of a row.
  enum class Is : uint8_t { run_time, constant, index, literal, nibbles };
  std::string_view param;
  Shape shape;
  Is is = Is::run_time;
  int64_t limit = 0;                   // index: run-time integers within -limit..limit-1
  std::vector<int64_t> elements = {};  // literal: an int32 constant with these
  double lo = 0, hi = 0;               // constant: other than the row's domain
  DType dtype = DType::invalid;        // constant: other than the one that is tried
};

struct Sample {
  std::vector<Operand> operands;
  std::vector<ir::Arg> args = {};  // the other ones
  bool blocked = false;            // the first operand comes out of a convolution, whose layout may be another one
  bool declined = false;           // no candidate takes it: what is tried is that the reference kernel then does
};

// Empty where nobody described the row.
std::vector<Sample> samples_of(const ir::OpRow& row, DType dtype);

}  // namespace graft::engine_test
