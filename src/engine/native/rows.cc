// softmax, layer_norm and instance_norm in vectors: along the last axes one row after the other in the first cache,
// other axes (softmax) and long planes (instance_norm) piece by piece.
#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "engine/native/vector_functions.h"
#include "ops/kernel.h"

namespace graft::engine {
namespace {

constexpr int64_t kStackRow = 4096;  // longer rows of fp16 are left to the reference kernel

// `apply(x, y)` on each row of `length` floats; fp16 rows are converted on the way.
template <class Apply>
void each_row(const Frame& frame, bool half, int64_t rows, int64_t length, const Apply& apply) {
  frame.parallel_for(rows, std::max<int64_t>(1, 16384 / length), [&](int64_t begin, int64_t end) {
    alignas(64) float row[kStackRow];
    for (int64_t r = begin; r < end; ++r) {
      if (!half) {
        apply(frame.in<float>(0) + r * length, frame.out<float>(0) + r * length);
        continue;
      }
      f16_to_f32(frame.in<uint16_t>(0) + r * length, row, length);
      apply(row, row);
      f32_to_f16(row, frame.out<uint16_t>(0) + r * length, length);
    }
  });
}

class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(bool half, int64_t rows, int64_t length) : half_(half), rows_(rows), length_(length) {
    provider = "native";
    in_place = {{0, 0}};
  }
  Status run(const Frame& frame) const override {
    const RowKernels& k = row_kernels();
    each_row(frame, half_, rows_, length_, [&](const float* x, float* y) { k.softmax(x, y, length_); });
    return {};
  }

 private:
  bool half_;
  int64_t rows_, length_;
};

class LayerNormStep final : public Step {
 public:
  LayerNormStep(bool half, int64_t rows, int64_t length, float epsilon)
      : half_(half), rows_(rows), length_(length), epsilon_(epsilon) {
    provider = "native";
    in_place = {{0, 0}};
  }
  std::vector<float> gamma, beta;

  Status run(const Frame& frame) const override {
    const RowKernels& k = row_kernels();
    const float *g = gamma.empty() ? nullptr : gamma.data(), *b = beta.empty() ? nullptr : beta.data();
    each_row(frame, half_, rows_, length_,
             [&](const float* x, float* y) { k.normalize(x, g, b, y, length_, epsilon_); });
    return {};
  }

 private:
  bool half_;
  int64_t rows_, length_;
  float epsilon_;
};

// Pieces of a tensor as floats, in blocks that vector kernels take whole: where they lie, or in a buffer.
class Pieces {
 public:
  Pieces(const Frame& frame, bool half) : frame_(frame), half_(half) {}
  const float* read(int64_t at, int64_t n, float* buffer) const {
    if (direct(n)) return frame_.in<float>(0) + at;
    if (half_)
      f16_to_f32(frame_.in<uint16_t>(0) + at, buffer, n);
    else
      std::copy_n(frame_.in<float>(0) + at, n, buffer);
    return buffer;
  }
  // write(to) fills a block.
  template <class Write>
  void write(int64_t at, int64_t n, float* buffer, const Write& write) const {
    if (direct(n)) return write(frame_.out<float>(0) + at);
    write(buffer);
    if (half_)
      f32_to_f16(buffer, frame_.out<uint16_t>(0) + at, n);
    else
      std::copy_n(buffer, n, frame_.out<float>(0) + at);
  }

 private:
  bool direct(int64_t n) const { return !half_ && n == kBlockSize; }
  const Frame& frame_;
  bool half_;
};

// x as [outer, length, inner]: `inner` rows side by side.
class SideBySideSoftmaxStep final : public Step {
 public:
  SideBySideSoftmaxStep(bool half, const ops::AxisView& v) : half_(half), view_(v) { provider = "native"; }
  Status run(const Frame& frame) const override {
    const int64_t bundles = (view_.inner + kBlockSize - 1) / kBlockSize;
    const int64_t grain = std::max<int64_t>(1, 8192 / (view_.n * std::min(view_.inner, kBlockSize)));
    frame.parallel_for(view_.outer * bundles, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % bundles * kBlockSize;
        bundle(frame, view_.line(i / bundles, first), std::min(kBlockSize, view_.inner - first));
      }
    });
    return {};
  }

 private:
  void bundle(const Frame& frame, int64_t base, int64_t n) const {
    static const VectorKernel kMax = vector_kernel(ir::Scalar::maximum), kSub = vector_kernel(ir::Scalar::sub),
                              kExp = vector_kernel(ir::Scalar::exp), kAdd = vector_kernel(ir::Scalar::add),
                              kDiv = vector_kernel(ir::Scalar::real_div);
    const Pieces x(frame, half_);
    alignas(64) float v[kBlockSize] = {}, most[kBlockSize] = {}, sum[kBlockSize] = {};
    const auto exponentials = [&](int64_t k) {
      kSub(x.read(base + k * view_.inner, n, v), most, nullptr, v, kNoParameters);
      kExp(v, nullptr, nullptr, v, kNoParameters);
    };
    std::copy_n(x.read(base, n, v), kBlockSize, most);
    for (int64_t k = 1; k < view_.n && !frame.cancelled(); ++k)
      kMax(most, x.read(base + k * view_.inner, n, v), nullptr, most, kNoParameters);
    for (int64_t k = 0; k < view_.n && !frame.cancelled(); ++k) {
      exponentials(k);
      kAdd(sum, v, nullptr, sum, kNoParameters);
    }
    for (int64_t k = 0; k < view_.n && !frame.cancelled(); ++k) {
      exponentials(k);
      x.write(base + k * view_.inner, n, v, [&](float* y) { kDiv(v, sum, nullptr, y, kNoParameters); });
    }
  }

  bool half_;
  ops::AxisView view_;
};

// Planes of `length` elements; plane p has gamma[p % channels] and beta[p % channels].
class InstanceNormStep final : public Step {
 public:
  InstanceNormStep(bool half, int64_t planes, int64_t length, int64_t channels, float epsilon)
      : half_(half), planes_(planes), length_(length), channels_(channels), epsilon_(epsilon) {
    provider = "native";
    in_place = {{0, 0}};
  }
  TensorView gamma, beta;            // dtype and shape
  size_t gamma_at = 0, beta_at = 0;  // which operands they are; 0: left out

  Status run(const Frame& frame) const override {
    frame.parallel_for(planes_, std::max<int64_t>(1, 16384 / length_), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end && !frame.cancelled(); ++p) plane(frame, p);
    });
    return {};
  }

 private:
  float number(const Frame& frame, TensorView of, size_t at, int64_t channel, float otherwise) const {
    if (at == 0) return otherwise;
    of.data = frame.in(at);
    return static_cast<float>(element_as_double(of, channel));
  }

  void plane(const Frame& frame, int64_t p) const {
    static const VectorKernel kLinear = vector_kernel(ir::Scalar::linear), kSquare = vector_kernel(ir::Scalar::square);
    const Pieces x(frame, half_);
    alignas(64) float v[kBlockSize] = {};
    const auto each = [&](const auto& apply) {
      for (int64_t i = 0; i < length_; i += kBlockSize) {
        const int64_t n = std::min(kBlockSize, length_ - i);
        apply(x.read(p * length_ + i, n, v), i, n);
      }
    };
    double sum = 0, squares = 0;
    each([&](const float* from, int64_t, int64_t n) { sum += static_cast<double>(row_kernels().sum(from, n)); });
    const float centre[] = {1, static_cast<float>(-sum / static_cast<double>(length_))};
    each([&](const float* from, int64_t, int64_t n) {
      kLinear(from, nullptr, nullptr, v, centre);
      kSquare(v, nullptr, nullptr, v, kNoParameters);
      squares += static_cast<double>(row_kernels().sum(v, n));
    });
    const auto deviation = static_cast<float>(std::sqrt(squares / static_cast<double>(length_) + double{epsilon_}));
    const int64_t c = p % channels_;
    const float line[] = {number(frame, gamma, gamma_at, c, 1) / deviation, number(frame, beta, beta_at, c, 0)};
    each([&](const float* from, int64_t i, int64_t n) {
      kLinear(from, nullptr, nullptr, v, centre);
      x.write(p * length_ + i, n, v, [&](float* y) { kLinear(v, nullptr, nullptr, y, line); });
    });
  }

  bool half_;
  int64_t planes_, length_, channels_;
  float epsilon_;
};

Status check(const PlanValue& x, int64_t length) {
  if (x.dtype() != DType::f32 && x.dtype() != DType::f16) return decline(format("{} data", name(x.dtype())));
  if (x.shape.product() == 0) return decline("no elements");
  if (x.dtype() == DType::f16 && length > kStackRow) return decline("fp16 rows too long");
  return {};
}

Prepared plain_step(std::unique_ptr<Step> step, int n, int x, int y) {
  Prepared made;
  made.step = std::move(step);
  made.in = {{x}};
  made.out = {{y}};
  made.nodes = {n};
  return made;
}

}  // namespace

Result<Prepared> prepare_softmax(const Selection& s, int n) {
  const int xi = s.arg(n, "x");
  const PlanValue& x = s.value(xi);
  if (x.shape.empty()) return decline("a scalar");
  const ir::Call call = s.call(n);
  GRAFT_TRY(const int axis, ops::normal_axis(call.i("axis"), x.shape.size()));
  const ops::AxisView view(x.shape, axis);
  if (view.inner != 1) {
    GRAFT_CHECK(check(x, 0));
    return plain_step(std::make_unique<SideBySideSoftmaxStep>(x.dtype() == DType::f16, view), n, xi,
                      s.node(n).results[0]);
  }
  const int64_t length = view.n;
  GRAFT_CHECK(check(x, length));
  return plain_step(std::make_unique<SoftmaxStep>(x.dtype() == DType::f16, x.shape.product() / length, length), n, xi,
                    s.node(n).results[0]);
}

Result<Prepared> prepare_layer_norm(const Selection& s, int n) {
  const int xi = s.arg(n, "x");
  const PlanValue& x = s.value(xi);
  const ir::Call call = s.call(n);
  const int rank = x.shape.size();
  int first = rank;
  if (!call.has("axes")) {
    first = 0;
  } else {
    const Ints axes = call.ints("axes");
    for (int i = 0; i < axes.size(); ++i) {  // gamma's dims are in this order too
      GRAFT_TRY(const int a, ops::normal_axis(axes[i], rank));
      if (a != rank - axes.size() + i) return decline("not over the last axes, in order");
    }
    first = rank - axes.size();
  }
  const int64_t length = x.shape.product(first, rank);
  GRAFT_CHECK(check(x, length));
  auto step = std::make_unique<LayerNormStep>(x.dtype() == DType::f16, x.shape.product() / length, length,
                                              static_cast<float>(call.f("epsilon")));
  for (const auto& [param, to] : {std::pair{"gamma", &step->gamma}, std::pair{"beta", &step->beta}}) {
    if (!call.has(param)) continue;
    const ir::Operand& o = call.in(param);
    const TensorView elements = o.elements();
    if (!o.known() || elements.count() != length) return decline("parameters are not constant");
    for (int64_t i = 0; i < length; ++i) to->push_back(static_cast<float>(element_as_double(elements, i)));
  }
  return plain_step(std::move(step), n, xi, s.node(n).results[0]);
}

Result<Prepared> prepare_instance_norm(const Selection& s, int n) {
  const int xi = s.arg(n, "x");
  const PlanValue& x = s.value(xi);
  GRAFT_CHECK(check(x, 0));
  const ir::Call call = s.call(n);
  const int64_t channels = x.shape[1], length = x.shape.product(2, x.shape.size());
  auto step = std::make_unique<InstanceNormStep>(x.dtype() == DType::f16, x.shape[0] * channels, length, channels,
                                                 static_cast<float>(call.f("epsilon")));
  if (call.error()) return fail(*call.error());
  Prepared made = plain_step(nullptr, n, xi, s.node(n).results[0]);
  const auto operand = [&](std::string_view param, TensorView& type, size_t& at) {
    const int v = s.arg(n, param);
    if (v < 0) return;
    type = {s.value(v).dtype(), s.value(v).shape, nullptr};
    at = made.in.size();
    made.in.push_back({v});
  };
  operand("gamma", step->gamma, step->gamma_at);
  operand("beta", step->beta, step->beta_at);
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine
