// Reductions. Mean, sum, maximum and minimum of floats over neighbouring axes in vectors: the last axes, or space in
// any layout (a global pool). Everything else by the row's accumulators.
#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "engine/native/vector_functions.h"
#include "ops/blocks.h"

namespace graft::engine {
namespace {

using Kind = ir::Reduction;

// x as [outer, reduced, inner]; inner lies behind the reduced elements and stays.
class ReduceStep final : public Step {
 public:
  ReduceStep(Kind kind, DType dtype, int64_t outer, int64_t reduced, int64_t inner)
      : kind_(kind),
        picks_(kind == Kind::max || kind == Kind::min),
        half_(dtype == DType::f16),
        outer_(outer),
        reduced_(reduced),
        inner_(inner) {
    provider = "native";
  }
  Status run(const Frame& frame) const override {
    const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, reduced_ * inner_));
    frame.parallel_for(outer_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        if (half_)
          one<uint16_t>(frame, o, [](const uint16_t* from, float* to, int64_t n) { f16_to_f32(from, to, n); });
        else
          one<float>(frame, o, [](const float* from, float* to, int64_t n) { std::copy_n(from, n, to); });
      }
    });
    return {};
  }

 private:
  float finish(double v) const {
    if (kind_ == Kind::min) return static_cast<float>(-v);
    return static_cast<float>(kind_ == Kind::mean ? v / static_cast<double>(reduced_) : v);
  }
  static void put(float* to, float v) { *to = v; }
  static void put(uint16_t* to, float v) { *to = f16_bits(v); }

  template <class T, class Load>
  void one(const Frame& frame, int64_t o, Load load) const {
    constexpr int64_t kPiece = 512;
    const RowKernels& row = row_kernels();
    alignas(64) float piece[kPiece];
    const T* x = frame.in<T>(0) + o * reduced_ * inner_;
    T* y = frame.out<T>(0) + o * inner_;
    // The smallest is the largest of the negated.
    const auto floats = [&](const T* from, int64_t n) -> const float* {
      if constexpr (std::is_same_v<T, float>) {
        if (kind_ != Kind::min) return from;
      }
      load(from, piece, n);
      for (int64_t i = 0; i < n && kind_ == Kind::min; ++i) piece[i] = -piece[i];
      return piece;
    };
    if (inner_ == 1) {  // pieces are summed in fp32, their sums in double
      double v = picks_ ? -INFINITY : 0;
      for (int64_t i = 0; i < reduced_; i += kPiece) {
        const int64_t n = std::min(kPiece, reduced_ - i);
        const float* at = floats(x + i, n);
        if (picks_) {
          const float m = row.maximum(at, n);
          v = m > v || m != m ? static_cast<double>(m) : v;
        } else {
          v += static_cast<double>(row.sum(at, n));
        }
      }
      return put(y, finish(v));
    }
    alignas(64) float acc[kPiece];
    for (int64_t c = 0; c < inner_; c += kPiece) {
      const int64_t n = std::min(kPiece, inner_ - c);
      std::fill_n(acc, n, picks_ ? -INFINITY : 0.0f);
      // As many whole rows at a time as fit a piece.
      const bool whole = !picks_ && n == inner_;
      const int64_t rows = std::is_same_v<T, float> ? reduced_ : kPiece / n;
      bool done = whole;
      for (int64_t r = 0; r < reduced_ && done; r += rows) {
        const int64_t some = std::min(rows, reduced_ - r);
        done = row.sum_rows(floats(x + r * inner_, some * inner_), some, inner_, acc);
      }
      for (int64_t r = 0; r < reduced_ && !done; ++r) {
        const float* at = floats(x + r * inner_ + c, n);
        if (picks_) {
          for (int64_t i = 0; i < n; ++i) acc[i] = at[i] > acc[i] || at[i] != at[i] ? at[i] : acc[i];
        } else {
          row.accumulate(at, acc, n);
        }
      }
      for (int64_t i = 0; i < n; ++i) put(y + c + i, finish(static_cast<double>(acc[i])));
    }
  }

  Kind kind_;
  bool picks_, half_;
  int64_t outer_, reduced_, inner_;
};

}  // namespace

Result<Prepared> prepare_reduce(const Selection& s, int n) {
  const Kind kind = s.node(n).op->row->def->reduction;
  if (kind == Kind::other) return decline("no kernel for this reduction");
  const int xi = s.arg(n, "x"), yi = s.node(n).results[0];
  const PlanValue& x = s.value(xi);
  if (x.dtype() != DType::f32 && x.dtype() != DType::f16) return decline(format("{} data", name(x.dtype())));
  if (x.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  const int rank = x.shape.size();
  GRAFT_TRY(const Ints axes, ops::reduced_axes(call));
  if (axes.empty()) return decline("no axes");
  for (int i = 1; i < axes.size(); ++i) {
    if (axes[i] != axes[i - 1] + 1) return decline("axes that are not neighbours");
  }
  const int first = static_cast<int>(axes[0]), last = static_cast<int>(axes.back()) + 1;
  Prepared made;
  made.nodes = {n};
  std::unique_ptr<ReduceStep> step;
  const bool over_space = first == 2 && last == rank && !x.layout.plain();
  if (over_space && !x.layout.padded(x.shape)) {
    const int64_t b = x.layout.block;
    step = std::make_unique<ReduceStep>(kind, x.dtype(), x.shape[0] * x.shape[1] / b, x.shape.product(2, rank), b);
    made.in = {{xi, x.layout}};
  } else {
    step = std::make_unique<ReduceStep>(kind, x.dtype(), x.shape.product(0, first), x.shape.product(first, last),
                                        x.shape.product(last, rank));
    made.in = {{xi}};
  }
  made.out = {{yi}};
  made.step = std::move(step);
  return made;
}

// ---- any reduction ----

namespace {

// By the row's own accumulators, in the order of the reference kernel. Results that are neighbours in x are made
// together, so that it is read as it lies.
class AnyReduceStep final : public Step {
 public:
  AnyReduceStep(const ir::ReduceKernel& kernel, DType dtype, Shape x, Ints axes)
      : kernel_(kernel), dtype_(dtype), x_(x), axes_(axes) {
    provider = "native";
    int last = x.size();
    while (last > 0 && std::find(axes.begin(), axes.end(), last - 1) == axes.end()) --last;
    inner_ = x.product(last, x.size());
    lanes_ = inner_ < kFewLanes ? 1 : std::min(inner_, kLanes);
    const Shape strides = strides_of(x);
    for (int d = 0; d < last; ++d) {
      if (std::find(axes.begin(), axes.end(), d) != axes.end()) {
        reduced_ *= x[d];
      } else {
        outer_.push_back(x[d]);
        outer_steps_.push_back(strides[d]);
      }
    }
  }

  Status run(const Frame& frame) const override {
    const int64_t blocks = (inner_ + lanes_ - 1) / lanes_;
    const int64_t grain = std::max<int64_t>(1, 16384 / (reduced_ * lanes_));
    frame.parallel_for(outer_.product() * blocks, grain, [&](int64_t begin, int64_t end) {
      ir::Pace pace(frame.options.cancel);
      const ops::Runs reduced(x_, axes_, pace);
      for (int64_t i = begin; i < end; ++i) one(frame, reduced, i / blocks, i % blocks * lanes_);
    });
    return {};
  }

 private:
  static constexpr int64_t kLanes = 64, kFewLanes = 8;

  void one(const Frame& frame, const ops::Runs& reduced, int64_t outer, int64_t first) const {
    alignas(16) std::byte accumulators[kLanes * ir::ReduceKernel::kBytes];
    alignas(8) std::byte values[ops::kBlock * sizeof(double)];
    const ir::WideType wide = ir::wide_of(dtype_);
    const TensorView x{dtype_, x_, frame.in(0)};
    const int64_t n = std::min(lanes_, inner_ - first);
    int64_t base = first, rest = outer;
    for (int d = outer_.size() - 1; d >= 0; --d) {
      base += rest % outer_[d] * outer_steps_[d];
      rest /= outer_[d];
    }
    kernel_.start(accumulators, n, dtype_);
    if (lanes_ == 1) {
      reduced.each([&](int64_t offset, int64_t stride, int64_t count) {
        ops::load(x, base + offset, stride, count, wide, values);
        kernel_.add_all(accumulators, values, count);
      });
    } else {
      reduced.each_element([&](int64_t offset) {
        ops::load(x, base + offset, 1, n, wide, values);
        kernel_.add_each(accumulators, values, n);
      });
    }
    kernel_.result(accumulators, n, reduced_, values);
    ops::store({dtype_, x_, frame.out(0)}, outer * inner_ + first, n, kernel_.made, values);
  }

  const ir::ReduceKernel& kernel_;
  DType dtype_;
  Shape x_, outer_, outer_steps_;
  Ints axes_;
  int64_t inner_ = 1, reduced_ = 1, lanes_ = 1;
};

}  // namespace

Result<Prepared> prepare_any_reduce(const Selection& s, int n) {
  const int xi = s.arg(n, "x"), yi = s.node(n).results[0];
  const PlanValue& x = s.value(xi);
  const ir::WideType wide = ir::wide_of(x.dtype());
  if (wide == ir::WideType::none || wide == ir::WideType::logical) return decline(format("{} data", name(x.dtype())));
  if (x.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  GRAFT_TRY(const Ints axes, ops::reduced_axes(call));
  if (call.error()) return fail(*call.error());
  Prepared made;
  made.in = {{xi}};
  made.out = {{yi}};
  made.nodes = {n};
  made.step = std::make_unique<AnyReduceStep>(s.node(n).op->row->def->reduce[static_cast<size_t>(wide)], x.dtype(),
                                              x.shape, axes);
  return made;
}

}  // namespace graft::engine
