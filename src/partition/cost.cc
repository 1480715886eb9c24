#include "partition/cost.h"

#include <algorithm>

#include "base/format.h"

namespace graft::partition {
namespace {

using Sizes = std::map<std::string, int64_t>;

double count(const ir::Dims& dims, const Sizes& sizes) {
  double n = 1;
  for (const ir::Dim& d : dims) {
    const ir::Dim fixed = d.substitute([&](std::string_view symbol) -> std::optional<ir::Dim> {
      const auto at = sizes.find(std::string(symbol));
      return at == sizes.end() ? std::nullopt : std::optional<ir::Dim>(ir::Dim(at->second));
    });
    n *= static_cast<double>(std::max<int64_t>(fixed.range().lo, 1));
  }
  return n;
}

}  // namespace

std::string CostModel::to_string() const {
  return format("{:.0f} us a crossing, {:.1f} GB/s at the boundary, host {:.0f} GFLOP/s, Core ML {:.0f}x that",
                crossing_us, bytes_per_us / 1000, host_flops_per_us / 1000, speedup);
}

double flops(const ir::Op& op, const Sizes& sizes) {
  double total = 0;
  for (const auto& b : op.blocks) total += flops(*b, sizes);
  if (op.results.empty()) return total;
  const ir::OpDef& def = *op.row->def;
  if (def.flops == nullptr) return total;
  return total +
         def.flops(ir::call_of(op), op.results[0]->type, [&](const ir::Dims& dims) { return count(dims, sizes); });
}

double flops(const ir::Block& block, const Sizes& sizes) {
  double total = 0;
  for (const auto& op : block.ops) total += flops(*op, sizes);
  return total;
}

double gain_us(const ir::Function& partition, const CostModel& m) {
  double bytes = 0;
  const auto border = [&](const ir::Value* v) {
    bytes += count(v->dims(), partition.default_dims) * static_cast<double>(std::max<size_t>(item_size(v->dtype()), 1));
  };
  for (const ir::Value* v : partition.inputs) border(v);
  for (const ir::Value* v : partition.body.outputs) border(v);
  const double saved = flops(partition.body, partition.default_dims) / m.host_flops_per_us * (1 - 1 / m.speedup);
  return saved - m.crossing_us - bytes / m.bytes_per_us;
}

}  // namespace graft::partition
