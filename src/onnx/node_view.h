// What a lowering sees of its node: typed attributes with defaults, inputs as IR values, bodies. Reading something that
// is missing or of the wrong kind refuses the node and gives something harmless.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "onnx/lower.h"

namespace graft::onnx {

class Lowerer;

class NodeView {
 public:
  NodeView(Lowerer& lowerer, const Node& node, OpBuilder& b) : lowerer_(lowerer), node_(node), b_(b) {}

  const Node& node() const { return node_; }
  int version() const { return node_.version; }

  // Inputs. has() is false for an optional one that was left out.
  int inputs() const { return static_cast<int>(node_.inputs.size()); }
  bool has(int i) const { return i < inputs() && !node_.inputs[static_cast<size_t>(i)].empty(); }
  Value* in(int i);
  Value* optional_in(int i) { return has(i) ? in(i) : nullptr; }
  Values all(int from = 0);  // inputs from..last
  // An int64 input whose consumer gives saturation to int32 the same meaning (a slice's end, a clip bound).
  Value* in_saturated(int i);
  // Input 1 of an operator on two tensors, ready to broadcast by numpy's rule. Before version 7 its dims are those of
  // input 0 from `axis` on (without it: the last ones).
  Value* second();
  // The ONNX dtype of an input: in a Core ML build an int64 input is an int32 value.
  DType onnx_dtype(int i);
  // The integers of a constant input (axes, shapes); nullopt when left out. Refuses with needs_constant when not known.
  std::optional<std::vector<int64_t>> const_ints(int i, std::string_view what);
  std::optional<int64_t> const_int(int i, std::string_view what);  // the same of one element
  // The integers of an input where they are known, else the input itself, a list of known length: where its type does
  // not tell that, `length` does, and a run checks it. nullopt when left out, and after a refusal.
  struct IntList {
    std::vector<int64_t> numbers;
    Value* list = nullptr;  // null: the numbers count
    size_t size() const { return list == nullptr ? numbers.size() : static_cast<size_t>(list->dim(0).value()); }
  };
  std::optional<IntList> int_list(int i, std::string_view what, std::optional<int64_t> length = {});
  std::optional<int64_t> length(int i);  // how many entries an input that is a list has, if that is known
  // The content of a small integer input as dims, if it is known at least symbolically.
  std::optional<Dims> dims(int i);
  // Axes from the attribute 'axes' (node versions before `input_since`) or from input 1 (from it on): normalised to
  // 0..rank-1, sorted, without duplicates; or a list that only a run knows, see int_list. nullopt when neither is
  // given.
  struct Axes {
    Ints known;
    Value* list = nullptr;  // null: the known ones count
  };
  std::optional<Axes> axes(int input_since, int rank, std::optional<int64_t> length = {});
  // An axis attribute, normalised; with allow_rank, `rank` itself is legal too.
  int axis(std::string_view attribute, int64_t fallback, int rank, bool allow_rank = false);

  // Attributes.
  const Attribute* attr(std::string_view name) const;
  bool has_attr(std::string_view name) const { return attr(name) != nullptr; }
  int64_t i(std::string_view name, int64_t fallback);
  int64_t required_i(std::string_view name);
  bool flag(std::string_view name, bool fallback = false) { return i(name, fallback ? 1 : 0) != 0; }
  double f(std::string_view name, double fallback);
  std::string s(std::string_view name, std::string_view fallback);
  std::vector<int64_t> ints(std::string_view name, std::vector<int64_t> fallback = {});
  std::vector<double> floats(std::string_view name, std::vector<double> fallback = {});
  std::vector<std::string> strings(std::string_view name, std::vector<std::string> fallback = {});
  // An attribute that holds an ONNX element type, as inside() has it.
  DType dtype(std::string_view name, DType fallback = DType::invalid);
  // The same where the attribute says it in letters ("FLOAT"): before version 6.
  DType dtype_by_name(std::string_view name);
  // What a value of an ONNX type is in the program being built: int64 is int32 in Core ML.
  DType inside(DType onnx) const { return b_.target().inside(onnx); }

  // Outputs.
  int outputs() const { return static_cast<int>(node_.outputs.size()); }
  bool wants(int i) const { return i < outputs() && !node_.outputs[static_cast<size_t>(i)].empty(); }
  // What of an output's integers is used: those outside may be clipped there. Null: all.
  const IntRange* limit(int i) const;
  // As the file states it, for results whose rank nothing else tells. A run has to check it.
  std::optional<int> stated_rank(int i) const;
  // How many dims fewer than `rank` output 0 has, if the file states its rank.
  std::optional<int64_t> stated_loss(int rank) const;

  // How many bodies the node lies in.
  int nested() const;
  // Bodies of If and Loop: emitted into the current block, or into a new block of their own.
  const Graph* body(std::string_view attribute);
  Values inline_body(const Graph& body, std::span<Value* const> inputs = {});
  std::unique_ptr<ir::Block> block_of(const Graph& body);
  // The same of whatever `emit` emits into it and returns.
  std::unique_ptr<ir::Block> block_of(Values inputs, const std::function<Values()>& emit);

  // A tensor from the model as a value, narrowed as in() does.
  Value* constant(ir::ConstantPtr c, bool saturate = false);

  // Lowers the node again in each run, when the sizes of what it reads are known; null where that is so already, or
  // where the target has no such operator. For results whose rank hangs on sizes.
  std::optional<Values> put_off(ir::Types results);
  // The same for results of these ranks, all of one dtype, whose operators hang on sizes.
  std::optional<Values> put_off_sizes(DType dtype, const std::vector<int>& ranks);
  // The same where the result has as many dims as `shape` has entries, and those are not counted.
  std::optional<Values> put_off_for(const Value* shape, DType result);

  Value* refuse(Code code, std::string message) { return b_.refuse(code, std::move(message)); }
  // Stands for the result after a refusal.
  Value* refused() { return b_.function().poison(); }

 private:
  const Attribute* typed(std::string_view name, Attribute::Type type);

  Lowerer& lowerer_;
  const Node& node_;
  OpBuilder& b_;
};

}  // namespace graft::onnx
