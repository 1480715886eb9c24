// What all oneDNN candidates share: descriptors from layouts, packed weights, post-ops, and the step that executes a
// primitive. Primitives compute in fp32; fp16 tensors are converted around them and every result is rounded to fp16.
#pragma once

#include <optional>

#include <dnnl.hpp>

#include "engine/step.h"

namespace graft::engine {

using Md = dnnl::memory::desc;

// One CPU engine for each executable.
const dnnl::engine& cpu_engine(const Core& core);

// What steps convert around their primitives or take as they are.
inline bool f32_or_f16(DType t) { return t == DType::f32 || t == DType::f16; }
dnnl::memory::dims dims_of(const Shape& shape);  // {1} for rank 0
// fp32 in this layout. Shapes of rank 0 are one element.
Md md_of(const Shape& shape, Layout layout);
Md any_md(const Shape& shape);
// The layout of a descriptor that oneDNN chose, where it is one of ours.
std::optional<Layout> layout_of(const Md& md, const Shape& shape);

// A constant's elements as fp32 from element `first` on, packed to `to`; shared by all plans of the executable. `from`
// describes how they lie there.
struct Packed {
  ir::ConstantPtr source;  // keeps the key's address in use
  const void* data = nullptr;
};
Result<std::shared_ptr<const Packed>> pack(const Selection& s, const ir::ConstantPtr& constant, int64_t first,
                                           const Md& from, const Md& to);

// One slice of a result, which a primitive of its own makes on one thread.
struct Slice {
  enum class Axis : uint8_t { all, images, channels, rows };
  Axis axis = Axis::all;
  int64_t begin = 0, end = 0;  // along the axis; rows: of the first spatial dim
  int64_t image = 0, images = 0;
};
// Cuts a result [n, channels, spatial...] into slices that each lie in one stretch of memory, for `threads` threads and
// so that each is worth handing out. `flops`: of the whole; `unit`: channels that cannot be parted.
std::vector<Slice> cut(const Shape& shape, Layout layout, int64_t unit, int64_t flops, int threads);
// What one slice of a window operator (convolution, pooling) reads and writes.
struct Part {
  Shape x, y;                     // of the slice
  int64_t x_at = 0, y_at = 0;     // where they begin, in elements
  int64_t before = 0, after = 0;  // rows: the padding of the first spatial dim
};
// How output rows of the first spatial dim depend on input rows.
struct RowWindow {
  int64_t stride, reach, before;
};
// Nothing where the slice needs elements of x that do not lie in one stretch. grouped: output channels read the input
// channels at the same share of all; else all of them. rows: none where rows cannot be told apart.
std::optional<Part> part_of(const Slice& slice, const Shape& x, Layout x_layout, const Shape& y, Layout y_layout,
                            bool grouped, const std::optional<RowWindow>& rows);

// [0, size) in that many stretches, about equal, each a multiple of `unit`; fewer where there are not so many units.
std::vector<std::pair<int64_t, int64_t>> stretches(int64_t size, int64_t unit, int64_t parts);
// How many pieces are worth handing out.
int64_t pieces_for(int64_t flops, int threads);

// Tensors of a step, and the primitives that work on them: one, or several side by side, each for a slice of the
// result. oneDNN's own threads are never used: a primitive runs on one, and the run's threads share the pieces.
class PrimitiveStep final : public Step {
 public:
  class Piece {
   public:
    // An argument that lies in a tensor of the step, `offset` elements behind its start.
    void bind(int id, const Md& md, int tensor, int64_t offset = 0);
    void fix(int id, const Md& md, std::shared_ptr<const Packed> packed);

   private:
    friend class PrimitiveStep;
    friend struct PrimitiveState;
    struct Arg {
      int id;
      Md md;
      int tensor = -1;    // -1: packed, else scratch
      size_t offset = 0;  // bytes, in the tensor or in scratch
      std::shared_ptr<const Packed> packed;
    };
    explicit Piece(dnnl::primitive primitive) : primitive_(std::move(primitive)) {}
    dnnl::primitive primitive_;
    std::vector<Arg> args_;
  };

  explicit PrimitiveStep(const Core& core);
  // Tensors in the order of in and out, which are numbered by these calls; `md` and `dtype` are the whole value's.
  int add_in(const Md& md, DType dtype);
  int add_out(const Md& md, DType dtype);
  // The reference is good until the next call.
  Piece& add_piece(dnnl::primitive primitive, const Md& scratchpad);
  // The result starts as a copy of this input, in place where the plan allows it (the `sum` post-op).
  void accumulate_onto(size_t input);

  std::unique_ptr<StepState> make_state(const Plan&) const override;
  Status run(const Frame& frame) const override;

 private:
  struct Tensor {
    bool result;
    size_t index;            // in in or out
    size_t bytes;            // as fp32
    size_t half = SIZE_MAX;  // fp16: where in scratch its fp32 form is
  };
  size_t take_scratch(size_t bytes);
  int add(bool result, size_t index, const Md& md, DType dtype);

  const Core& core_;
  std::vector<Tensor> tensors_;
  std::vector<Piece> pieces_;
  size_t ins_ = 0, outs_ = 0;
  std::optional<size_t> onto_;
};

// ---- what follows a convolution or product ----

// An element-wise function that oneDNN can apply to a result before it is stored.
struct Activation {
  dnnl::algorithm algorithm;
  float alpha = 0, beta = 0;
  std::vector<int> nodes;  // operators it stands for, in order
  int result;              // the value that remains
};
// The function applied to `value` by its only use (or by x * sigmoid(x) and the like).
std::optional<Activation> activation_of(const Selection& s, int value);

// One thing done to a result before it is stored.
struct Follower {
  enum class Kind : uint8_t { activation, add, sum };  // sum: of what lies in the result's memory already
  Kind kind;
  dnnl::algorithm algorithm = dnnl::algorithm::undef;
  float alpha = 0, beta = 0;
};

// Operators absorbed behind the head of a step: activations, and additions of values that exist already.
struct Tail {
  std::vector<Follower> followers;
  std::vector<int> nodes;
  std::vector<int> added;     // values added, each one an argument of a binary post-op, or the one of `sum`
  std::vector<int> added_at;  // their places in followers
  int result;
  bool sum = false;  // added[0] by `sum` instead

  // For oneDNN; `addend` describes what is added.
  dnnl::post_ops post_ops(const Md& addend) const;
};
Tail only_head(int head, int result);
// `by_sum`: the first addition may be done in place, if its operand dies there; `head_in` are the head's own inputs.
Tail absorb(const Selection& s, int head, int result, const std::vector<int>& head_in, bool by_sum);

}  // namespace graft::engine
