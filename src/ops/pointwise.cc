#include "ops/pointwise.h"

#include "ir/enclosing.h"
#include "ops/blocks.h"
#include "ops/broadcast.h"

namespace graft::ops {

Status pointwise_reference(const Call& call, Outputs& out, const Pointwise& f) {
  const MutableTensorView& y = out[0];
  Broadcast<3> walk(y.shape);
  std::array<TensorView, 3> in;
  size_t count = 0;
  for (; count < 3 && !f.operands[count].empty(); ++count) {
    in[count] = call.in(f.operands[count]).value;
    walk.add(in[count].shape);
  }
  const ir::WideType wide = ir::wide_of(in[count - 1].dtype);
  const ScalarKernel kernel = wide == ir::WideType::none ? nullptr : f.kernels[static_cast<size_t>(wide)];
  if (kernel == nullptr) return no_kernel(call, in[count - 1].dtype);
  struct alignas(double) Block {
    std::byte bytes[kBlock * sizeof(double)];
  };
  std::array<Block, 4> blocks;
  Pace pace = call.pace();
  walk.each(kBlock, [&](int64_t at, int64_t n, const std::array<int64_t, 3>& from, const std::array<int64_t, 3>& step) {
    if (!pace.go_on(n)) return false;
    for (size_t k = 0; k < count; ++k) load(in[k], from[k], step[k], n, ir::wide_of(in[k].dtype), blocks[k].bytes);
    kernel(blocks[0].bytes, blocks[1].bytes, blocks[2].bytes, blocks[3].bytes, n, f.numbers.data());
    store(y, at, n, f.compares ? ir::WideType::logical : wide, blocks[3].bytes);
    return true;
  });
  return {};
}

Status pointwise_reference(const Call& call, Outputs& out) {
  return pointwise_reference(call, out, ir::pointwise_of(call));
}

IntRange range_at_corners(const Call& call) {
  const ir::Pointwise f = ir::pointwise_of(call);
  const ScalarKernel kernel = f.kernels[static_cast<size_t>(ir::WideType::real)];
  // Beside a pole there is no largest value.
  if (kernel == nullptr || f.compares || call.row().def->fp16.poles) return {};
  std::array<std::array<double, 3>, 3> points{};
  int all = 1;
  for (size_t k = 0; k < f.operands.size() && !f.operands[k].empty(); ++k, all *= 3) {
    if (!call.has(f.operands[k]) || !is_float(call.in(f.operands[k]).dtype())) return {};
    const IntRange r = call.in(f.operands[k]).range;
    const double lo = r.lo == INT64_MIN ? -INFINITY : static_cast<double>(r.lo),
                 hi = r.hi == INT64_MAX ? INFINITY : static_cast<double>(r.hi);
    points[k] = {lo, hi, lo < 0 && hi > 0 ? 0 : lo};
  }
  double lo = INFINITY, hi = -INFINITY;
  for (int corner = 0; corner < all; ++corner) {
    const auto at = static_cast<size_t>(corner);
    const double x = points[0][at % 3], y = points[1][at / 3 % 3], z = points[2][at / 9];
    double v = 0;
    kernel(&x, &y, &z, &v, 1, f.numbers.data());
    if (std::isnan(v)) return {};
    lo = std::min(lo, v);
    hi = std::max(hi, v);
  }
  return ir::enclosing(lo, hi);
}

}  // namespace graft::ops
