// One element-wise operator on any numbers, by its row's own function: integers, fp64, casts between them. Blocks of
// operands are widened to the type that the function computes in, or read where they lie in it.
#include "base/format.h"
#include "engine/native/kernels.h"
#include "ops/blocks.h"
#include "ops/broadcast.h"

namespace graft::engine {
namespace {

constexpr int64_t kBlock = 512;

bool stored_wide(DType t) { return t == DType::f64 || t == DType::i64 || t == DType::u64; }

class WideStep final : public Step {
 public:
  struct Operand {
    DType dtype = DType::invalid;
    bool full = false;
    Shape strides;
  };
  Shape dims;
  std::array<Operand, 3> operands;
  size_t count = 0;
  ir::ScalarKernel kernel = nullptr;  // null: a cast, which loads and stores do
  std::array<double, 2> numbers{};
  ir::WideType made = ir::WideType::none;  // what the kernel writes
  DType dtype = DType::invalid;            // of the result

  Status run(const Frame& frame) const override {
    const int64_t elements = dims.product(), blocks = (elements + kBlock - 1) / kBlock;
    constexpr int64_t kGrain = 32;
    frame.parallel_for(blocks, kGrain, [&](int64_t begin, int64_t end) {
      alignas(64) std::byte memory[4][kBlock * sizeof(double)];
      const void* in[3] = {};
      for (int64_t b = begin; b < end; ++b) {
        const int64_t at = b * kBlock, n = std::min(kBlock, elements - at);
        for (size_t k = 0; k < count; ++k) in[k] = load(operands[k], frame.in(k), at, n, memory[k]);
        std::byte* y = frame.out<std::byte>(0);
        if (kernel == nullptr) {
          ops::store({dtype, Shape{elements}, y}, at, n, made, in[0]);
        } else if (stored_wide(dtype) && ir::wide_of(dtype) == made) {
          kernel(in[0], in[1], in[2], y + at * int64_t{sizeof(double)}, n, numbers.data());
        } else {
          kernel(in[0], in[1], in[2], memory[3], n, numbers.data());
          ops::store({dtype, Shape{elements}, y}, at, n, made, memory[3]);
        }
      }
    });
    return {};
  }

 private:
  const void* load(const Operand& o, const void* data, int64_t at, int64_t n, std::byte* into) const {
    if (o.full && stored_wide(o.dtype)) return static_cast<const std::byte*>(data) + at * int64_t{sizeof(double)};
    const ir::WideType wide = ir::wide_of(o.dtype);
    const auto run = [&](int64_t from, int64_t stride, int64_t length, std::byte* to) {
      if (wide != ir::WideType::logical) return ops::load({o.dtype, Shape{}, data}, from, stride, length, wide, to);
      for (int64_t i = 0; i < length; ++i)  // whatever is not 0 is true
        reinterpret_cast<bool*>(to)[i] = static_cast<const uint8_t*>(data)[from + i * stride] != 0;
    };
    if (o.full) {
      run(at, 1, n, into);
    } else {
      const int64_t size = wide == ir::WideType::logical ? 1 : int64_t{sizeof(double)};
      std::byte* to = into;
      ops::each_run(dims, o.strides, at, n, [&](int64_t from, int64_t stride, int64_t length) {
        run(from, stride, length, to);
        to += length * size;
      });
    }
    return into;
  }
};

}  // namespace

Result<Prepared> prepare_wide(const Selection& s, int n) {
  const Node& node = s.node(n);
  const ir::Call call = s.call(n);
  const ir::Pointwise f = ir::pointwise_of(call);
  if (call.error()) return fail(*call.error());
  const PlanValue& y = s.value(node.results[0]);
  if (y.shape.product() == 0) return decline("no elements");
  if (f.by_channel != nullptr) return decline("parameters by channel");
  Prepared made;
  auto step = std::make_unique<WideStep>();
  ir::WideType wide = ir::WideType::none;
  for (; step->count < 3 && !f.operands[step->count].empty(); ++step->count) {
    const int v = s.arg(n, f.operands[step->count]);
    if (v < 0) return decline(format("no {}", f.operands[step->count]));
    const PlanValue& p = s.value(v);
    wide = ir::wide_of(p.dtype());
    if (wide == ir::WideType::none) return decline(format("{} operands", name(p.dtype())));
    step->operands[step->count] = {p.dtype(), p.shape == y.shape, ops::broadcast_strides(p.shape, y.shape)};
    made.in.push_back({v});
  }
  step->kernel = f.kernels[static_cast<size_t>(wide)];
  step->made = f.compares ? ir::WideType::logical : wide;
  if (step->kernel == nullptr || ir::wide_of(y.dtype()) == ir::WideType::none)
    return decline("a function of other types");
  if (node.op->is(ir::Scalar::cast)) step->kernel = nullptr;
  step->dtype = y.dtype();
  step->numbers = f.numbers;
  step->dims = y.shape;
  ops::collapse(step->dims, static_cast<int>(step->count),
                [&](int k) -> Shape& { return step->operands[static_cast<size_t>(k)].strides; });
  step->provider = "native";
  made.out = {{node.results[0]}};
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine
