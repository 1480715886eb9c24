// An operator with its arguments, as inference, reference kernels and fast candidates see it, and where kernels write.
#pragma once

#include "ir/op_def.h"

namespace graft::ir {

// What is known of one argument. `type` is always set; `value` in a run, and for kernels that fold; `source` for
// constants; `content` when the elements are known symbolically (integer tensors of rank 0 or 1).
struct Operand {
  const Type* type = nullptr;
  TensorView value;  // data == nullptr: not known, or nobody has read the constant yet
  const Dims* content = nullptr;
  bool constant = false;  // the value is a constant of the program, not just known in this run
  IntRange range;         // proven bounds, as Value::range
  const Constant* source = nullptr;

  bool known() const { return value.data != nullptr || source != nullptr || (constant && value.count() == 0); }
  // What is known(), at any address. A lazy constant is computed by this: for parameters, not for weights.
  TensorView elements() const { return value.data != nullptr || source == nullptr ? value : source->view(); }
  bool never_negative() const;  // proven
  ConstantPtr shared() const { return source == nullptr ? nullptr : source->shared_from_this(); }
  DType dtype() const { return type->dtype; }
  int rank() const { return type->rank(); }
  const Dims& dims() const { return type->dims; }
};

// What the loops of a kernel count their work with, to hear that they are to stop: the token is asked first, and then
// once in about a million elements. So is the allowance, which the work is taken from: below 0 it is used up.
class Pace {
 public:
  explicit Pace(const CancelToken* cancel, int64_t* allowance = nullptr)
      : cancel_(cancel), allowance_(allowance), left_(unasked() ? INT64_MAX : 0), granted_(left_) {}
  // `work`: elements that the next step reads or makes. False: stop here.
  bool go_on(int64_t work = 1) {
    left_ -= work;
    return left_ > 0 || rest();
  }
  // For loops whose steps are too small to ask in each: how far the next stretch from `at` to `count` goes, `at` itself
  // when nothing is left or it has to stop.
  int64_t until(int64_t at, int64_t count) {
    const int64_t n = std::min(kStretch, count - at);
    return n > 0 && go_on(n) ? at + n : at;
  }

 private:
  static constexpr int64_t kStretch = 1 << 20;
  bool unasked() const { return cancel_ == nullptr && allowance_ == nullptr; }
  bool rest() {
    bool stop = cancel_ != nullptr && cancel_->cancelled();
    if (allowance_ != nullptr) stop |= (*allowance_ -= granted_ - left_) < 0;
    granted_ = left_ = stop ? 0 : unasked() ? INT64_MAX : kStretch;  // loops around this one ask again
    return !stop;
  }
  const CancelToken* cancel_;
  int64_t* allowance_;
  int64_t left_, granted_;
};

// An operator with its arguments, as inference, reference kernels and fast candidates see it. Parameters are read by
// name; one that was left out gives the row's default. Reading a parameter that is not known, or has the wrong size,
// leaves an error in the call (see error()), and gives a harmless value, so that readers stay straight.
class Call {
 public:
  explicit Call(const OpRow& row) : row_(&row), slots_(row.params().size()) {}
  void set(int param, std::vector<Operand> operands);

  const OpRow& row() const { return *row_; }
  bool has(std::string_view param) const { return !all(param).empty(); }
  const Operand& in(std::string_view param) const;             // the argument, or an operand of kind none when left out
  std::span<const Operand> all(std::string_view param) const;  // a tuple's members
  std::span<const std::vector<Operand>> slots() const { return slots_; }
  std::vector<Operand>& slot(int param) { return slots_[static_cast<size_t>(param)]; }

  // Parameters by value.
  int64_t i(std::string_view param) const;
  double f(std::string_view param) const;
  bool flag(std::string_view param) const;
  std::string_view str(std::string_view param) const;
  // A rank-1 (or rank-0) integer or bool parameter of at most Ints::capacity entries; `*S` defaults are expanded with
  // x's rank.
  Ints ints(std::string_view param) const;
  bool known(std::string_view param) const;  // value known, or left out
  // The content of an integer argument as dims, constants included; empty optional when not known even symbolically.
  std::optional<Dims> dims(std::string_view param) const;

  // The same with the values of constants, aligned to their elements: what kernels take. Within bounds, constants that
  // have to be computed for it count.
  Call with_values() const;
  Result<Call> with_values(const Bounds& bounds) const;

  // The first failure to read a parameter. Inference drivers turn it into the operator's error.
  const std::optional<Diag>& error() const { return error_; }

  // Who may wish the kernel to stop; null: nobody. A kernel that stops early leaves its results unfinished: whoever
  // called it asks the token too, and drops them.
  const CancelToken* cancel = nullptr;
  // How much work the kernel may do, by its Pace; null: any. One that used it up stopped early as well.
  int64_t* allowance = nullptr;
  Pace pace() const { return Pace(cancel, allowance); }

  size_t result = 0;  // which of the results OpDef::range is asked about

  // A new symbol for a size that only a run can tell. Inference in the builder gives it a name; while planning a run it
  // stays unknown, which tells the engine to ask the data.
  Dim fresh(IntRange range) const;
  std::function<Dim(IntRange)> make_fresh;

 private:
  void fault(std::string_view param, std::string message) const;

  const OpRow* row_;
  std::vector<std::vector<Operand>> slots_;
  mutable std::optional<Diag> error_;
};

// Where a kernel writes. Sizes that inference knew are allocated already; others are made by allocate().
class Outputs {
 public:
  virtual ~Outputs() = default;
  int size() const { return static_cast<int>(views_.size()); }
  MutableTensorView& operator[](int i) { return views_[static_cast<size_t>(i)]; }
  // For results whose shape depends on data: called once before writing. out_of_memory when it does not fit.
  virtual Status allocate(int i, DType dtype, const Shape& shape) = 0;
  // What the tensors that a list holds are counted against; null: no limit.
  virtual std::shared_ptr<MemoryLimit> limit() const = 0;

 protected:
  std::vector<MutableTensorView> views_;
};

// Outputs on the heap: folding, tests, and reference runs.
class HeapOutputs final : public Outputs {
 public:
  // Static types and lists are allocated at once.
  static Result<HeapOutputs> for_types(const Types& types, std::shared_ptr<MemoryLimit> limit = nullptr);
  Status allocate(int i, DType dtype, const Shape& shape) override;
  std::shared_ptr<MemoryLimit> limit() const override { return limit_; }
  Tensor take(int i) { return std::move(tensors_[static_cast<size_t>(i)]); }

 private:
  std::vector<Tensor> tensors_;
  std::shared_ptr<MemoryLimit> limit_;
};

// Checks presence, constness and element types of the arguments against `signature` (host: also def->host types), then
// runs the row's inference. Every maker of operators goes through here.
Status check_arguments(const Call& call, const Signature& signature, bool host);
Status infer(const Call& call, Types& out);

}  // namespace graft::ir
