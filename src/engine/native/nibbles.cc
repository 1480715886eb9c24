// linear of few rows with weights of 4 bits in blocks, read as they are stored: that is what such a product waits for.
#include "base/format.h"
#include "base/half.h"
#include "engine/native/code_kernels.h"
#include "engine/native/kernels.h"

namespace graft::engine {
namespace {

constexpr int64_t kTogether = 32;  // codes in a step of the kernel

class NibbleLinearStep final : public Step {
 public:
  int64_t rows = 0, inner = 0, columns = 0, blocks = 0;
  bool half = false, with_bias = false;
  DType bias_type = DType::f32;
  ir::ConstantPtr codes_of;
  const uint8_t* codes = nullptr;
  std::vector<float> scales, zeros;  // [columns, blocks]

  Status run(const Frame& frame) const override {
    auto* apart = reinterpret_cast<float*>(frame.scratch);
    float* sums = apart + rows * inner;
    const int64_t block = inner / blocks;
    for (int64_t r = 0; r < rows; ++r) {
      float* to = apart + r * inner;
      std::array<float, kTogether> x;
      for (int64_t i = 0; i < inner; i += kTogether) {
        if (half)
          f16_to_f32(frame.in<uint16_t>(0) + r * inner + i, x.data(), kTogether);
        else
          std::copy_n(frame.in<float>(0) + r * inner + i, kTogether, x.data());
        float sum = 0;
        for (size_t k = 0; k < kTogether / 2; ++k) {
          to[i + static_cast<int64_t>(k)] = x[2 * k];
          to[i + static_cast<int64_t>(k) + kTogether / 2] = x[2 * k + 1];
          sum += x[2 * k] + x[2 * k + 1];
        }
        float& total = sums[r * blocks + i / block];
        total = i % block == 0 ? sum : total + sum;
      }
    }
    const CodeKernels& k = code_kernels();
    frame.parallel_for(columns, std::max<int64_t>(1, 65536 / inner), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        for (int64_t r = 0; r < rows; ++r) {
          float y = k.dot_of_nibbles(apart + r * inner, sums + r * blocks, codes + c * inner / 2,
                                     scales.data() + c * blocks, zeros.data() + c * blocks, blocks, block);
          if (with_bias) y += bias_type == DType::f16 ? f16_value(frame.in<uint16_t>(1)[c]) : frame.in<float>(1)[c];
          if (half)
            frame.out<uint16_t>(0)[r * columns + c] = f16_bits(y);
          else
            frame.out<float>(0)[r * columns + c] = y;
        }
      }
    });
    return {};
  }
};

// Elements as floats, one for each block.
Status read_floats(const Selection& s, const ir::Constant& c, std::vector<float>& to) {
  GRAFT_TRY(const TensorView view, c.aligned_view({s.cancel(), s.core().memory}));
  for (int64_t i = 0; i < view.count(); ++i) to.push_back(static_cast<float>(element_as_double(view, i)));
  return {};
}

}  // namespace

Result<Prepared> prepare_nibble_linear(const Selection& s, int n) {
  constexpr int64_t kMostRows = 8;  // with more of them, unpacking the weights once is worth it
  const int xi = s.arg(n, "x"), wi = s.arg(n, "weight"), bias = s.arg(n, "bias");
  const PlanValue &x = s.value(xi), &w = s.value(wi), &y = s.value(s.node(n).results[0]);
  const auto* form = w.where == PlanValue::Where::constant ? w.constant->as<ir::form::Blockwise>() : nullptr;
  if (form == nullptr || form->data->dtype() != DType::u4 || form->mask != nullptr)
    return decline("no weights of 4 bits");
  if ((x.dtype() != DType::f32 && x.dtype() != DType::f16) || y.dtype() != x.dtype())
    return decline(format("of {}", name(x.dtype())));
  if (x.shape.empty() || x.shape.product() == 0) return decline("no elements");
  auto step = std::make_unique<NibbleLinearStep>();
  step->inner = x.shape.back();
  step->rows = x.shape.product() / step->inner;
  step->columns = w.shape[0];
  if (step->rows > kMostRows) return decline(format("{} rows", step->rows));
  const Shape& scale = form->scale->shape();
  step->blocks = scale.size() == 2 ? scale[1] : 0;
  if (scale.size() != 2 || scale[0] != w.shape[0] || step->inner % (step->blocks * kTogether) != 0)
    return decline("blocks that the kernel does not take");
  if (bias >= 0 && s.value(bias).dtype() != DType::f32 && s.value(bias).dtype() != DType::f16)
    return decline("the bias is no float");
  GRAFT_TRY(const MemoryShare share,
            MemoryShare::take(s.core().memory, static_cast<size_t>(scale.product()) * 2 * sizeof(float)));
  GRAFT_CHECK(read_floats(s, *form->scale, step->scales));
  if (form->offset != nullptr) GRAFT_CHECK(read_floats(s, *form->offset, step->zeros));
  step->zeros.resize(step->scales.size(), 0);
  GRAFT_TRY(const TensorView codes, form->data->aligned_view({s.cancel(), s.core().memory}));
  step->codes_of = form->data;
  step->codes = codes.as<uint8_t>();
  step->provider = "native";
  step->half = x.dtype() == DType::f16;
  step->scratch = static_cast<size_t>(step->rows * (step->inner + step->blocks)) * sizeof(float);
  Prepared made;
  made.in = {{xi}};
  if (bias >= 0) {
    step->with_bias = true;
    step->bias_type = s.value(bias).dtype();
    made.in.push_back({bias});
  }
  made.out = {{s.node(n).results[0]}};
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine
