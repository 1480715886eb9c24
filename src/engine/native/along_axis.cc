// What goes along one axis and is not a sum: cumsum, argmax and argmin. Lines that are neighbours in memory are walked
// together.
#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "engine/native/vector_functions.h"
#include "ops/blocks.h"

namespace graft::engine {
namespace {

using ops::AxisView;

// apply(outer, first, n) for n neighbouring lines at a time, at most kBlockSize.
template <class Apply>
void each_bundle(const Frame& frame, const AxisView& v, const Apply& apply) {
  const int64_t bundles = (v.inner + kBlockSize - 1) / kBlockSize;
  const int64_t grain = std::max<int64_t>(1, 16384 / (v.n * std::min(v.inner, kBlockSize)));
  frame.parallel_for(v.outer * bundles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && !frame.cancelled(); ++i) {
      const int64_t first = i % bundles * kBlockSize;
      apply(i / bundles, first, std::min(kBlockSize, v.inner - first));
    }
  });
}

// ---- cumsum ----

class CumsumStep final : public Step {
 public:
  CumsumStep(const AxisView& v, DType dtype, bool exclusive, bool reverse)
      : view_(v), dtype_(dtype), exclusive_(exclusive), reverse_(reverse) {
    provider = "native";
    in_place = {{0, 0}};
  }
  Status run(const Frame& frame) const override {
    ops::visit_dtype(dtype_, [&](auto tag) {
      using T = decltype(tag);
      if constexpr (!std::is_same_v<T, bool>) view_.inner == 1 ? lines<T>(frame) : bundles<T>(frame);
    });
    return {};
  }

 private:
  template <class T>
  void lines(const Frame& frame) const {
    frame.parallel_for(view_.outer, std::max<int64_t>(1, 16384 / view_.n), [&](int64_t begin, int64_t end) {
      for (int64_t l = begin; l < end; ++l) sum(frame, frame.in<T>(0) + l * view_.n, frame.out<T>(0) + l * view_.n);
    });
  }
  template <class T>
  void sum(const Frame& frame, const T* x, T* y) const {
    constexpr int64_t kPiece = 4096;
    const bool exclusive = exclusive_;
    const int64_t n = view_.n, step = reverse_ ? -1 : 1;
    ops::Wide<T> sum{};
    for (int64_t k = 0, at = reverse_ ? n - 1 : 0; k < n && !frame.cancelled(); k += kPiece) {
      for (int64_t i = k; i < std::min(k + kPiece, n); ++i, at += step) {
        const ops::Wide<T> before = sum;
        sum = ops::wrap_add(before, ops::widen(x[at]));
        y[at] = ops::narrow<T>(exclusive ? before : sum);
      }
    }
  }

  template <class T>
  void bundles(const Frame& frame) const {
    each_bundle(frame, view_, [&](int64_t outer, int64_t first, int64_t n) {
      const int64_t base = view_.line(outer, first);
      bundle(frame, frame.in<T>(0) + base, frame.out<T>(0) + base, n);
    });
  }
  template <class T>
  void bundle(const Frame& frame, const T* x, T* y, int64_t n) const {
    ops::Wide<T> sums[kBlockSize] = {};
    const int64_t step = reverse_ ? -view_.inner : view_.inner;
    if (reverse_) {
      x += (view_.n - 1) * view_.inner;
      y += (view_.n - 1) * view_.inner;
    }
    const int64_t ask = std::max<int64_t>(1, 16384 / n);
    for (int64_t k = 0; k < view_.n && !(k % ask == 0 && frame.cancelled()); ++k, x += step, y += step) {
      int64_t i = 0;
      if constexpr (std::is_same_v<T, float>) {
        row_kernels().add_up(x, sums, y, n, !exclusive_);
        continue;
      }
      for (; i + kTogether <= n; i += kTogether) add<T, kTogether>(x + i, sums + i, y + i, exclusive_);
      for (; i < n; ++i) add<T, 1>(x + i, sums + i, y + i, exclusive_);
    }
  }
  // g++ -O2 makes vector code of loops whose length it knows, and whose results do not lie where they read.
  static constexpr int kTogether = 16;
  template <class T, int n>
  static void add(const T* x, ops::Wide<T>* __restrict sums, T* y, bool exclusive) {
    T made[n];
    for (int i = 0; exclusive && i < n; ++i) made[i] = ops::narrow<T>(sums[i]);
    for (int i = 0; i < n; ++i) sums[i] = ops::wrap_add(sums[i], static_cast<ops::Wide<T>>(ops::widen(x[i])));
    for (int i = 0; !exclusive && i < n; ++i) made[i] = ops::narrow<T>(sums[i]);
    for (int i = 0; i < n; ++i) y[i] = made[i];
  }

  AxisView view_;
  DType dtype_;
  bool exclusive_, reverse_;
};

// ---- argmax, argmin ----

// The first of equals, the first NaN before all numbers. fp32 and fp16 in vectors, the others as the reference does.
class ArgStep final : public Step {
 public:
  ArgStep(const AxisView& v, DType dtype, DType places, bool largest)
      : view_(v), dtype_(dtype), places_(places), largest_(largest) {
    provider = "native";
    // Places are counted in floats there.
    floats_ = (dtype == DType::f32 || dtype == DType::f16) && v.n <= 1 << 24;
  }
  Status run(const Frame& frame) const override {
    each_bundle(frame, view_, [&](int64_t outer, int64_t first, int64_t n) {
      int64_t found[kBlockSize];
      const int64_t base = view_.line(outer, first);
      if (!floats_ || (view_.inner != 1 && n < kFewLanes)) {
        ops::visit_wide(ir::wide_of(dtype_), [&](auto tag) {
          using W = decltype(tag);
          if (view_.inner == 1)
            found[0] = line<W>(frame, base);
          else
            bundle<W>(frame, base, n, found);
        });
      } else if (view_.inner == 1) {
        found[0] = float_line(frame, base);
      } else {
        float_bundle(frame, base, n, found);
      }
      ops::store({places_, Shape{}, frame.out(0)}, outer * view_.inner + first, 1, n, found);
    });
    return {};
  }

 private:
  static constexpr int64_t kFewLanes = 64;

  template <class W>
  bool better(W v, W best) const {
    return (largest_ ? v > best : v < best) || (ops::is_nan(v) && !ops::is_nan(best));
  }

  template <class W>
  int64_t line(const Frame& frame, int64_t base) const {
    W best{}, v[ops::kBlock];
    int64_t found = 0;
    for (int64_t k = 0; k < view_.n && !frame.cancelled(); k += ops::kBlock) {
      const int64_t n = std::min(ops::kBlock, view_.n - k);
      ops::load({dtype_, Shape{}, frame.in(0)}, base + k, 1, n, v);
      if (k == 0) best = v[0];
      for (int64_t i = 0; i < n; ++i) {
        if (!better(v[i], best)) continue;
        best = v[i];
        found = k + i;
      }
    }
    return found;
  }

  template <class W>
  void bundle(const Frame& frame, int64_t base, int64_t n, int64_t* found) const {
    W best[kBlockSize], v[kBlockSize];
    std::fill_n(found, n, 0);
    ops::load({dtype_, Shape{}, frame.in(0)}, base, 1, n, best);
    for (int64_t k = 1; k < view_.n && !frame.cancelled(); ++k) {
      ops::load({dtype_, Shape{}, frame.in(0)}, base + k * view_.inner, 1, n, v);
      for (int64_t i = 0; i < n; ++i) {
        if (!better(v[i], best[i])) continue;
        best[i] = v[i];
        found[i] = k;
      }
    }
  }

  // n elements as floats, the largest being sought.
  void floats(const Frame& frame, int64_t at, int64_t n, float* to) const {
    if (dtype_ == DType::f16)
      f16_to_f32(frame.in<uint16_t>(0) + at, to, n);
    else
      std::copy_n(frame.in<float>(0) + at, n, to);
    if (largest_) return;
    for (int64_t i = 0; i < kBlockSize; ++i) to[i] = -to[i];
  }

  int64_t float_line(const Frame& frame, int64_t base) const {
    alignas(64) float piece[kBlockSize] = {};
    float best = 0;
    int64_t found = 0;
    for (int64_t k = 0; k < view_.n && !std::isnan(best) && !frame.cancelled(); k += kBlockSize) {
      const int64_t n = std::min(kBlockSize, view_.n - k);
      floats(frame, base + k, n, piece);
      const float m = row_kernels().maximum(piece, n);
      if (k != 0 && !(m > best) && !std::isnan(m)) continue;
      best = m;
      found = k + (std::find_if(piece, piece + n, [&](float v) { return v == m || std::isnan(v); }) - piece);
    }
    return found;
  }

  void float_bundle(const Frame& frame, int64_t base, int64_t n, int64_t* found) const {
    static const VectorKernel kGreater = vector_kernel(ir::Scalar::greater), kMax = vector_kernel(ir::Scalar::maximum),
                              kSelect = vector_kernel(ir::Scalar::select);
    alignas(64) float best[kBlockSize] = {}, v[kBlockSize] = {}, better[kBlockSize], place[kBlockSize] = {},
                      here[kBlockSize];
    floats(frame, base, n, best);
    for (int64_t k = 1; k < view_.n && !frame.cancelled(); ++k) {
      floats(frame, base + k * view_.inner, n, v);
      std::fill_n(here, kBlockSize, static_cast<float>(k));
      kGreater(v, best, nullptr, better, kNoParameters);
      kMax(best, v, nullptr, best, kNoParameters);
      kSelect(better, here, place, place, kNoParameters);
    }
    for (int64_t i = 0; i < n; ++i) found[i] = static_cast<int64_t>(place[i]);
    for (int64_t i = 0; i < n; ++i) {
      if (!std::isnan(best[i])) continue;
      for (found[i] = 0; !nan_at(frame, base + i + found[i] * view_.inner);) ++found[i];
    }
  }
  bool nan_at(const Frame& frame, int64_t at) const {
    return std::isnan(element_as_double({dtype_, Shape{at + 1}, frame.in(0)}, at));
  }

  AxisView view_;
  DType dtype_, places_;
  bool largest_, floats_;
};

// The axis of x, of whatever numbers.
Result<AxisView> view_of(const Selection& s, int n, Prepared& made) {
  const int xi = s.arg(n, "x");
  const PlanValue& x = s.value(xi);
  const ir::WideType wide = ir::wide_of(x.dtype());
  if (wide == ir::WideType::none || wide == ir::WideType::logical) return decline(format("{} data", name(x.dtype())));
  if (x.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  GRAFT_TRY(const int axis, ops::normal_axis(call.i("axis"), x.shape.size()));
  if (call.error()) return fail(*call.error());
  made.in = {{xi}};
  made.out = {{s.node(n).results[0]}};
  made.nodes = {n};
  return AxisView(x.shape, axis);
}

}  // namespace

Result<Prepared> prepare_cumsum(const Selection& s, int n) {
  Prepared made;
  GRAFT_TRY(const AxisView view, view_of(s, n, made));
  const ir::Call call = s.call(n);
  made.step = std::make_unique<CumsumStep>(view, s.value(made.in[0].value).dtype(), call.flag("exclusive"),
                                           call.flag("reverse"));
  if (call.error()) return fail(*call.error());
  return made;
}

Result<Prepared> prepare_arg(const Selection& s, int n) {
  Prepared made;
  GRAFT_TRY(const AxisView view, view_of(s, n, made));
  const DType places = s.value(made.out[0].value).dtype();
  GRAFT_CHECK(ops::check_holds(places, view.n - 1));
  made.step = std::make_unique<ArgStep>(view, s.value(made.in[0].value).dtype(), places,
                                        s.node(n).op->kind() == ir::Kind::arg_max);
  return made;
}

}  // namespace graft::engine
