// reduce_mean, reduce_sum and reduce_max over neighbouring axes: the last ones, or space in any layout (a global pool).
#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "engine/native/vector_functions.h"
#include "ops/moving.h"

namespace graft::engine {
namespace {

using Kind = ir::Reduction;

// x as [outer, reduced, inner]; inner lies behind the reduced elements and stays.
class ReduceStep final : public Step {
 public:
  ReduceStep(Kind kind, DType dtype, int64_t outer, int64_t reduced, int64_t inner)
      : kind_(kind), half_(dtype == DType::f16), outer_(outer), reduced_(reduced), inner_(inner) {
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
    const auto floats = [&](const T* from, int64_t n) -> const float* {
      if constexpr (std::is_same_v<T, float>) {
        return from;
      } else {
        load(from, piece, n);
        return piece;
      }
    };
    if (inner_ == 1) {  // pieces are summed in fp32, their sums in double
      double v = kind_ == Kind::max ? -INFINITY : 0;
      for (int64_t i = 0; i < reduced_; i += kPiece) {
        const int64_t n = std::min(kPiece, reduced_ - i);
        const float* at = floats(x + i, n);
        if (kind_ == Kind::max) {
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
      std::fill_n(acc, n, kind_ == Kind::max ? -INFINITY : 0.0f);
      // As many whole rows at a time as fit a piece.
      const bool whole = kind_ != Kind::max && n == inner_;
      const int64_t rows = std::is_same_v<T, float> ? reduced_ : kPiece / n;
      bool done = whole;
      for (int64_t r = 0; r < reduced_ && done; r += rows) {
        const int64_t some = std::min(rows, reduced_ - r);
        done = row.sum_rows(floats(x + r * inner_, some * inner_), some, inner_, acc);
      }
      for (int64_t r = 0; r < reduced_ && !done; ++r) {
        const float* at = floats(x + r * inner_ + c, n);
        if (kind_ == Kind::max) {
          for (int64_t i = 0; i < n; ++i) acc[i] = at[i] > acc[i] || at[i] != at[i] ? at[i] : acc[i];
        } else {
          row.accumulate(at, acc, n);
        }
      }
      for (int64_t i = 0; i < n; ++i) put(y + c + i, finish(static_cast<double>(acc[i])));
    }
  }

  Kind kind_;
  bool half_;
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
  Ints axes;
  if (call.has("axes")) {
    GRAFT_TRY(axes, ops::normal_axes(call.ints("axes"), rank));
  } else {
    for (int d = 0; d < rank; ++d) axes.push_back(d);
  }
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

}  // namespace graft::engine
