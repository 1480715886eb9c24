// softmax and layer_norm along the last axes: one row after the other in the first cache.
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
  if (x.shape.product(axis + 1, x.shape.size()) != 1) return decline("not along the last axis");
  const int64_t length = x.shape[axis];
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

}  // namespace graft::engine
