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

// A constant's elements as fp32, packed to `to`; shared by all plans of the executable. `from` describes how the
// constant's elements lie.
struct Packed {
  ir::ConstantPtr source;  // keeps the key's address in use
  const void* data = nullptr;
};
Result<std::shared_ptr<const Packed>> pack(const Core& core, const ir::ConstantPtr& constant, const Md& from,
                                           const Md& to);

class PrimitiveStep final : public Step {
 public:
  struct Arg {
    enum class From : uint8_t { in, out, fixed, scratchpad };
    int id;
    Md md;
    From from;
    size_t index = 0;                      // in, out
    std::shared_ptr<const Packed> packed;  // fixed
    size_t half = SIZE_MAX;                // in, out of fp16: where in scratch its fp32 form is
  };
  PrimitiveStep(const Core& core, dnnl::primitive primitive, std::string_view what);
  // Arguments in the order of in and out; `dtype` is the value's.
  void add_in(int id, const Md& md, DType dtype);
  void add_out(int id, const Md& md, DType dtype);
  void add_fixed(int id, const Md& md, std::shared_ptr<const Packed> packed);
  void add_scratchpad(const Md& md);
  // The result starts as a copy of this input, in place where the plan allows it (the `sum` post-op).
  void accumulate_onto(size_t input);

  std::unique_ptr<StepState> make_state(const Plan&) const override;
  Status run(const Frame& frame) const override;

 private:
  size_t take_scratch(size_t bytes);

  const Core& core_;
  dnnl::primitive primitive_;
  std::vector<Arg> args_;
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
  std::string label;
};
// The function applied to `value` by its only use (or by x * sigmoid(x) and the like).
std::optional<Activation> activation_of(const Selection& s, int value);

// Operators absorbed behind the head of a step: activations, and additions of values that exist already.
struct Tail {
  dnnl::post_ops ops;
  std::vector<int> nodes;
  std::vector<int> added;     // values added, each one an argument of a binary post-op, or the one of `sum`
  std::vector<int> added_at;  // their post-op index
  int result;
  bool sum = false;  // added[0] by `sum` instead
  std::string label;
};
// `by_sum`: the first addition may be done in place, if its operand dies there; `head_in` are the head's own inputs.
Tail absorb(const Selection& s, int head, int result, const std::vector<int>& head_in, bool by_sum);

}  // namespace graft::engine
