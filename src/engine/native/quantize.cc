// quantize and dequantize, in the reference kernels' arithmetic: runs of elements with one scale at a time.
#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "ops/blocks.h"

namespace graft::engine {
namespace {

class QuantizeStep final : public Step {
 public:
  // Run r of `inner` elements has scale r % channels.
  QuantizeStep(bool quantizes, DType in, DType out, DType scales, int64_t runs, int64_t inner, int64_t channels)
      : quantizes_(quantizes), in_(in), out_(out), scales_(scales), runs_(runs), inner_(inner), channels_(channels) {
    provider = "native";
  }
  bool with_zero = false;  // the third operand

  Status run(const Frame& frame) const override {
    const int64_t pieces = (inner_ + ops::kBlock - 1) / ops::kBlock;
    const int64_t grain = std::max<int64_t>(1, 16384 / std::min(inner_, ops::kBlock));
    const DType zeros = quantizes_ ? out_ : in_;
    frame.parallel_for(runs_ * pieces, grain, [&](int64_t begin, int64_t end) {
      double v[ops::kBlock];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t run = i / pieces, first = i % pieces * ops::kBlock, at = run * inner_ + first;
        const int64_t n = std::min(ops::kBlock, inner_ - first), c = run % channels_;
        double scale = 0, zero = 0;
        ops::load({scales_, Shape{}, frame.in(1)}, c, 1, 1, &scale);
        if (with_zero) ops::load({zeros, Shape{}, frame.in(2)}, c, 1, 1, &zero);
        if (!quantizes_ && in_ == DType::i8) {
          dequantize<int8_t>(frame, at, n, static_cast<float>(scale), static_cast<float>(zero));
        } else if (!quantizes_) {
          dequantize<uint8_t>(frame, at, n, static_cast<float>(scale), static_cast<float>(zero));
        } else {
          ops::load({in_, Shape{}, frame.in(0)}, at, 1, n, v);
          quantize(v, n, scale, zero);
          ops::store({out_, Shape{}, frame.out(0)}, at, 1, n, v);
        }
      }
    });
    return {};
  }

 private:
  // In floats the product is rounded once, as it is in the reference.
  template <class T>
  void dequantize(const Frame& frame, int64_t at, int64_t n, float scale, float zero) const {
    constexpr int64_t kTogether = 16;  // g++ -O2 makes vector code of loops whose length it knows
    const T* __restrict x = frame.in<T>(0) + at;
    float made[ops::kBlock];
    float* __restrict y = out_ == DType::f32 ? frame.out<float>(0) + at : made;
    int64_t i = 0;
    for (; i + kTogether <= n; i += kTogether) {
      for (int64_t k = i; k < i + kTogether; ++k) y[k] = (static_cast<float>(x[k]) - zero) * scale;
    }
    for (; i < n; ++i) y[i] = (static_cast<float>(x[i]) - zero) * scale;
    if (out_ != DType::f32) f32_to_f16(made, frame.out<uint16_t>(0) + at, n);
  }

  void quantize(double* v, int64_t n, double scale, double zero) const {
    // Added and taken away, it leaves a number of a smaller magnitude rounded, halves to even.
    constexpr double kRound = 6755399441055744.0, kFar = 1 << 20;
    const double lo = out_ == DType::i8 ? -128 : 0, hi = out_ == DType::i8 ? 127 : 255;
    for (int64_t k = 0; k < n; ++k) {
      const double q = v[k] / scale;
      const double near = q > kFar ? kFar : q < -kFar ? -kFar : q;  // NaN stays
      const double whole = near + kRound - kRound + zero;
      const double within = whole > hi ? hi : whole < lo ? lo : whole;
      v[k] = within == within ? within : 0;
    }
  }

  bool quantizes_;
  DType in_, out_, scales_;
  int64_t runs_, inner_, channels_;
};

Result<Prepared> prepare(const Selection& s, int n, bool quantizes) {
  const int xi = s.arg(n, "input"), scale = s.arg(n, "scale"), zero = s.arg(n, "zero_point");
  const PlanValue &x = s.value(xi), &y = s.value(s.node(n).results[0]);
  if (x.shape.product() == 0) return decline("no elements");
  const int64_t channels = s.value(scale).shape.product();
  int64_t inner = x.shape.product();
  if (channels != 1) {
    const ir::Call call = s.call(n);
    GRAFT_TRY(const int axis, ops::normal_axis(call.i("axis"), x.shape.size()));
    if (call.error()) return fail(*call.error());
    if (x.shape[axis] != channels) return decline("scales that do not fit the axis");
    inner = x.shape.product(axis + 1, x.shape.size());
  }
  if (zero >= 0 && s.value(zero).shape.product() != channels) return decline("zero points that do not fit the scales");
  auto step = std::make_unique<QuantizeStep>(quantizes, x.dtype(), y.dtype(), s.value(scale).dtype(),
                                             x.shape.product() / inner, inner, channels);
  step->with_zero = zero >= 0;
  Prepared made;
  made.in = {{xi}, {scale}};
  if (zero >= 0) made.in.push_back({zero});
  made.out = {{s.node(n).results[0]}};
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace

Result<Prepared> prepare_quantize(const Selection& s, int n) { return prepare(s, n, true); }
Result<Prepared> prepare_dequantize(const Selection& s, int n) { return prepare(s, n, false); }

}  // namespace graft::engine
