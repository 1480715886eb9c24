// What all oneDNN candidates share: descriptors from layouts, packed weights, post-ops, and the step that executes a
// primitive. Primitives compute in fp32; fp16 tensors are converted around them and every result is rounded to fp16.
#pragma once

#include <optional>

#include <dnnl.hpp>

#include "engine/epilogue.h"

namespace graft::engine {

using Md = dnnl::memory::desc;

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

struct OneDnnState final : ProviderState {
  const dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  struct Entry {
    Md from, to;
    std::shared_ptr<const Packed> packed;
  };
  std::map<std::pair<const ir::Constant*, int64_t>, std::vector<Entry>> packed;  // by constant and first element
};
// core.planning is held.
OneDnnState& onednn_state(const Core& core);
inline const dnnl::engine& cpu_engine(const Core& core) { return onednn_state(core).engine; }

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

  const dnnl::engine& engine_;
  std::vector<Tensor> tensors_;
  std::vector<Piece> pieces_;
  size_t ins_ = 0, outs_ = 0;
  std::optional<size_t> onto_;
};

// ---- what follows a convolution or product ----

extern const EpilogueAbilities kOneDnnEpilogue;
// `addend` describes what is added.
dnnl::post_ops post_ops_of(const Epilogue& epilogue, const Md& addend);

}  // namespace graft::engine
