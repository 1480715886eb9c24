// quantize and dequantize, in the reference kernels' arithmetic: runs of elements with one scale at a time.
#include "base/format.h"
#include "base/half.h"
#include "engine/native/code_kernels.h"
#include "engine/native/kernels.h"
#include "ops/blocks.h"

namespace graft::engine {
namespace {

class DequantizeStep final : public Step {
 public:
  // Run r of `inner` elements has scale r % channels.
  DequantizeStep(DType in, DType out, DType scales, int64_t runs, int64_t inner, int64_t channels)
      : in_(in), out_(out), scales_(scales), runs_(runs), inner_(inner), channels_(channels) {
    provider = "native";
  }
  bool with_zero = false;  // the third operand

  Status run(const Frame& frame) const override {
    const int64_t pieces = (inner_ + ops::kBlock - 1) / ops::kBlock;
    const int64_t grain = std::max<int64_t>(1, 16384 / std::min(inner_, ops::kBlock));
    frame.parallel_for(runs_ * pieces, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t run = i / pieces, first = i % pieces * ops::kBlock, at = run * inner_ + first;
        const int64_t n = std::min(ops::kBlock, inner_ - first), c = run % channels_;
        double scale = 0, zero = 0;
        ops::load({scales_, Shape{}, frame.in(1)}, c, 1, 1, &scale);
        if (with_zero) ops::load({in_, Shape{}, frame.in(2)}, c, 1, 1, &zero);
        // In floats the product is rounded once, as it is in the reference.
        float made[ops::kBlock];
        float* y = out_ == DType::f32 ? frame.out<float>(0) + at : made;
        code_kernels().dequantize(frame.in<uint8_t>(0) + at, n, in_ == DType::i8, static_cast<float>(scale),
                                  static_cast<float>(zero), y);
        if (out_ != DType::f32) f32_to_f16(made, frame.out<uint16_t>(0) + at, n);
      }
    });
    return {};
  }

 private:
  DType in_, out_, scales_;
  int64_t runs_, inner_, channels_;
};

// Numbers, or sums of products of codes, to codes.
class QuantizeStep final : public Step {
 public:
  QuantizeStep(DType in, DType out, DType scales, int64_t runs, int64_t inner, int64_t channels)
      : in_(in), out_(out), scales_(scales), runs_(runs), inner_(inner), channels_(channels) {
    provider = "native";
  }
  int64_t zeros = 0;  // of the third operand

  Status run(const Frame& frame) const override {
    const int64_t pieces = (inner_ + kPiece - 1) / kPiece;
    const int64_t grain = std::max<int64_t>(1, 16384 / std::min(inner_, kPiece));
    const IntRange range = int_range(out_);
    const float lo = static_cast<float>(range.lo), hi = static_cast<float>(range.hi);
    const CodeKernels& k = code_kernels();
    frame.parallel_for(runs_ * pieces, grain, [&](int64_t begin, int64_t end) {
      float wide[kPiece];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t run = i / pieces, first = i % pieces * kPiece, at = run * inner_ + first;
        const int64_t n = std::min(kPiece, inner_ - first), c = run % channels_;
        double number = 0, zero_point = 0;
        ops::load({scales_, Shape{}, frame.in(1)}, c, 1, 1, &number);
        if (zeros > 0) ops::load({out_, Shape{}, frame.in(2)}, zeros == 1 ? 0 : c, 1, 1, &zero_point);
        const float scale = static_cast<float>(number), zero = static_cast<float>(zero_point);
        if (in_ == DType::i32) {
          k.requantize(frame.in<int32_t>(0) + at, n, {}, &scale, 0, zero, lo, hi, frame.out<uint8_t>(0) + at);
          continue;
        }
        const float* x = frame.in<float>(0) + at;
        if (in_ == DType::f16) {
          f16_to_f32(frame.in<uint16_t>(0) + at, wide, n);
          x = wide;
        }
        if (item_size(out_) == 1)
          k.quantize(x, n, scale, zero, lo, hi, frame.out<uint8_t>(0) + at);
        else
          k.quantize_wide(x, n, scale, zero, lo, hi, frame.out<uint16_t>(0) + at);
      }
    });
    return {};
  }

 private:
  static constexpr int64_t kPiece = 1024;
  DType in_, out_, scales_;
  int64_t runs_, inner_, channels_;
};

// Runs of elements with one scale; declines scales for blocks.
struct Runs {
  int64_t channels = 1, inner = 1;
};
Result<Runs> runs_of(const Selection& s, int n) {
  const PlanValue &x = s.value(s.arg(n, "input")), &scale = s.value(s.arg(n, "scale"));
  if (x.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  if (s.node(n).op->row->param_index("block_size") >= 0 && call.i("block_size") != 0) return decline("blocks");
  Runs r{scale.shape.product(), x.shape.product()};
  if (r.channels == 1) return r;
  GRAFT_TRY(const int axis, ops::normal_axis(call.i("axis"), x.shape.size()));
  if (call.error()) return fail(*call.error());
  if (x.shape[axis] != r.channels) return decline("scales that do not fit the axis");
  r.inner = x.shape.product(axis + 1, x.shape.size());
  return r;
}

Prepared made_of(const Selection& s, int n, std::unique_ptr<Step> step) {
  const int zero = s.arg(n, "zero_point");
  Prepared made;
  made.in = {{s.arg(n, "input")}, {s.arg(n, "scale")}};
  if (zero >= 0) made.in.push_back({zero});
  made.out = {{s.node(n).results[0]}};
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace

Result<Prepared> prepare_quantize(const Selection& s, int n) {
  const int zero = s.arg(n, "zero_point");
  const PlanValue &x = s.value(s.arg(n, "input")), &y = s.value(s.node(n).results[0]);
  const PlanValue& scale = s.value(s.arg(n, "scale"));
  GRAFT_TRY(const Runs r, runs_of(s, n));
  const bool sums = x.dtype() == DType::i32;
  if (sums && s.node(n).op->row->param_index("block_size") >= 0) return decline("integers to divide");
  if (!sums && !DTypes{DType::f16, DType::f32}.has(x.dtype())) return decline(format("of {}", name(x.dtype())));
  if (!DTypes{DType::i8, DType::u8, DType::i16, DType::u16}.has(y.dtype()))
    return decline(format("to {}", name(y.dtype())));
  const int64_t zeros = zero < 0 ? 0 : s.value(zero).shape.product();
  if (zeros > 1 && zeros != r.channels) return decline("zero points that do not fit the scales");
  auto step = std::make_unique<QuantizeStep>(x.dtype(), y.dtype(), scale.dtype(), x.shape.product() / r.inner, r.inner,
                                             r.channels);
  step->zeros = zeros;
  return made_of(s, n, std::move(step));
}

Result<Prepared> prepare_dequantize(const Selection& s, int n) {
  const int zero = s.arg(n, "zero_point");
  const PlanValue &x = s.value(s.arg(n, "input")), &y = s.value(s.node(n).results[0]);
  const PlanValue& scale = s.value(s.arg(n, "scale"));
  GRAFT_TRY(const Runs r, runs_of(s, n));
  if (!DTypes{DType::i8, DType::u8}.has(x.dtype())) return decline(format("of {}", name(x.dtype())));
  if (!DTypes{DType::f16, DType::f32}.has(y.dtype())) return decline(format("to {}", name(y.dtype())));
  if (zero >= 0 && s.value(zero).shape.product() != r.channels)
    return decline("zero points that do not fit the scales");
  auto step = std::make_unique<DequantizeStep>(x.dtype(), y.dtype(), scale.dtype(), x.shape.product() / r.inner,
                                               r.inner, r.channels);
  step->with_zero = zero >= 0;
  return made_of(s, n, std::move(step));
}

}  // namespace graft::engine
