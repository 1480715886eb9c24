// What an operator is, as far as others than its own kernel have to know. The engine chooses executors by it and the
// passes recognise patterns by it, so that the name of an operator stands in its row and nowhere else.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/diag.h"
#include "ir/type.h"

namespace graft::ir {

class Call;

enum class Kind : uint8_t {
  kernel,     // a kernel of its own, which nobody else asks for
  pointwise,  // each element of the result is a function of those at its place: OpDef::pointwise
  reduction,  // OpDef::reduction
  move,       // elements go to other places: OpDef::moves. So they do in some of the kinds that follow.
  view,       // the elements of the first operand, in their order, under another shape
  sizes,      // those of the first operand's dims, as a list
  transpose,
  slice,
  concat,
  pad,
  gather,   // reads at places that indices name: OpDef::indexing
  scatter,  // combines updates into such places
  convolution,
  transposed_convolution,
  matmul,
  linear,
  integer_convolution,
  integer_matmul,
  max_pool,
  average_pool,
  softmax,
  layer_norm,
  instance_norm,
  resize,
  resample,
  argsort,
  topk,
  arg_max,
  arg_min,
  cumsum,
  quantize,
  dequantize,
  recurrent,  // OpDef::recurrence
  classify,   // makes a classifier's label and dictionary, which are outputs and nothing else
  constant,
  cond,  // these two run their blocks
  loop,
};
constexpr bool has_blocks(Kind k) { return k == Kind::cond || k == Kind::loop; }
// Can be said of tensors of fewer dims: passes/low_rank.h does.
constexpr bool merges_dims(Kind k) {
  return k == Kind::move || k == Kind::view || k == Kind::sizes || k == Kind::transpose || k == Kind::slice ||
         k == Kind::pad || k == Kind::concat || k == Kind::reduction || k == Kind::pointwise;
}
// Sums of products with weights, which engines pack.
constexpr bool is_product(Kind k) {
  return k == Kind::convolution || k == Kind::transposed_convolution || k == Kind::matmul || k == Kind::linear;
}

// What a reduction computes, where others than its row know it.
enum class Reduction : uint8_t { other, sum, mean, max, min };

// Functions of single numbers that others than their row know: those that patterns are made of, or of which the engine
// has a vector version (engine/native/vector_functions.cc). `other` is every function that only its row can compute.
enum class Scalar : uint8_t {
  other,
  // of one number
  copy,
  cast,
  to_half,
  truth,
  abs,
  sign,
  square,
  cube,
  sqrt,
  rsqrt,
  inverse,
  exp,
  exp2,
  log,
  tanh,
  erf,
  floor,
  ceil,
  round,
  relu,
  sigmoid,
  silu,
  softplus,
  softsign,
  gelu,
  gelu_tanh,
  gelu_sigmoid,
  logical_not,
  // and of one or two that are the same for all elements
  clip,
  leaky_relu,
  elu,
  thresholded_relu,
  clamped_relu,
  linear,
  scaled_tanh,
  sigmoid_hard,
  threshold,
  // of two
  add,
  sub,
  mul,
  real_div,
  pow,
  maximum,
  minimum,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  logical_and,
  logical_or,
  logical_xor,
  prelu,
  // of three
  multiply_add,
  select,
  count
};

// The types that functions are computed in, whatever the storage: a load widens, a store rounds or wraps once.
enum class WideType : uint8_t { real, integer, natural, logical, none };  // double, int64_t, uint64_t, bool
WideType wide_of(DType t);

// A function on n elements in one of those types: y[i] = f(a[i], b[i], c[i], p[0], p[1]). y overlaps no operand.
using ScalarKernel = void (*)(const void* a, const void* b, const void* c, void* y, int64_t n, const double* p);

// How a reduction computes in one of those types: accumulators that lie side by side, kBytes each or less.
struct ReduceKernel {
  static constexpr size_t kBytes = 2 * sizeof(double);
  void (*start)(void* accumulators, int64_t n, DType elements);
  void (*add_each)(void* accumulators, const void* x, int64_t n);  // x[i] to the i-th
  void (*add_all)(void* accumulator, const void* x, int64_t n);    // in order, to one
  void (*result)(const void* accumulators, int64_t n, int64_t reduced, void* y);
  WideType made;  // what `y` is in
};

// How a pointwise operator computes.
struct Pointwise {
  Scalar function = Scalar::other;
  // By WideType, that of the last operand; null where the function has no meaning.
  std::array<ScalarKernel, 4> kernels{};
  std::array<std::string_view, 3> operands{"x"};  // they broadcast
  std::array<std::string_view, 2> params{};       // read as numbers; the empty ones are these:
  std::array<double, 2> numbers{};
  bool compares = false;  // the kernels write bool, and not the type that they read
  // Over a box of operands the function is least and greatest at corners of the box, or where operands are zero.
  bool corners = false;
  // Rows whose function hangs on their arguments. What is chosen has to be what `reference` computes.
  void (*choose)(const Call&, Pointwise&) = nullptr;
  // Rows with parameters by channel (dim 1): makes the second and third operand, a vector each, of constant ones.
  Status (*by_channel)(const Call&, std::vector<std::vector<float>>&) = nullptr;
};
// For this call: function and numbers as its arguments choose them.
Pointwise pointwise_of(const Call& call);

// One side of a strided copy, in elements: where it starts and how far one step along each dim goes (0 repeats).
struct Strided {
  int64_t offset = 0;
  Ints steps;
};

// What moves elements, told by a row which ones: copies whose sides lie inside their tensors. No two write to one
// place, but over what fill() wrote.
class Moves {
 public:
  virtual ~Moves() = default;
  // All elements of a result become the one element of this argument, zeros where it is left out. Before all copies.
  virtual void fill(int result, std::string_view param) = 0;
  // `shape` elements of this argument, or of this member of a tuple.
  virtual void copy(std::string_view param, size_t member, const Ints& shape, const Strided& from, int result,
                    const Strided& to) = 0;
  virtual int results() const = 0;
  virtual const Shape& shape(int result) const = 0;
};

// How the places in a tensor are found that indices name. `sizes` are walked in row-major order: at each point lie an
// entry of the indices and `block` neighbours of the other tensor (a gather's result, a scatter's updates), which has
// them in this order. A step along dim d goes data[d] elements further in the indexed tensor and entry[d] entries; each
// entry has an index for every picked dim.
struct Indexing {
  Ints sizes, data, entry;
  Ints picked, steps;  // sizes of the picked dims, and how far one step along each goes
  int64_t block = 1;

  void walk(int64_t size, int64_t data_step, int64_t entry_step) {
    sizes.push_back(size);
    data.push_back(data_step);
    entry.push_back(entry_step);
  }
  void pick(int64_t size, int64_t step) {
    picked.push_back(size);
    steps.push_back(step);
  }
  int64_t count() const { return sizes.product() * block; }  // elements of the other tensor
};

// Elements of dims, symbolic ones as the asker counts them.
using SizeOf = std::function<double(const Dims&)>;

}  // namespace graft::ir
