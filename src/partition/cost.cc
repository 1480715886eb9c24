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

// Elements of everything the operator reads that is data, for operators whose work is their input's size.
double input_count(const ir::Op& op, const Sizes& sizes) {
  const ir::Value* x = op.row->param_index("x") >= 0 ? op.arg("x") : nullptr;
  return x == nullptr ? 0 : count(x->dims(), sizes);
}

}  // namespace

std::string CostModel::to_string() const {
  return format("{:.0f} us a crossing, {:.1f} GB/s at the border, host {:.0f} GFLOP/s, Core ML {:.0f}x that",
                crossing_us, bytes_per_us / 1000, host_flops_per_us / 1000, speedup);
}

double flops(const ir::Op& op, const Sizes& sizes) {
  double total = 0;
  for (const auto& b : op.blocks) total += flops(*b, sizes);
  if (op.results.empty()) return total;
  const double out = count(op.results[0]->dims(), sizes);
  const std::string_view type = op.type();
  if (type == "conv" || type == "linear") {
    const ir::Value* w = op.arg("weight");
    return total + 2 * out * count(w->dims(), sizes) / std::max(1.0, count({w->dim(0)}, sizes));
  }
  if (type == "conv_transpose") {
    const ir::Value* w = op.arg("weight");
    return total + 2 * input_count(op, sizes) * count(w->dims(), sizes) / std::max(1.0, count({w->dim(0)}, sizes));
  }
  if (type == "matmul") {
    const ir::Value *x = op.arg("x"), *t = op.arg("transpose_x");
    const bool transposed = t != nullptr && t->is_constant() && element_as_int(t->constant->view(), 0) != 0;
    return total + 2 * out * count({x->dim(transposed && x->rank() > 1 ? -2 : -1)}, sizes);
  }
  if (op.row->def->family == "pool") {
    double window = 1;
    if (const ir::Value* k = op.arg("kernel_sizes"); k != nullptr && k->is_constant()) {
      for (int64_t i = 0; i < k->constant->count(); ++i)
        window *= static_cast<double>(element_as_int(k->constant->view(), i));
    }
    return total + out * window;
  }
  if (op.row->def->family == "reduction") return total + input_count(op, sizes);
  if (op.row->def->family == "normalization" || type == "softmax") return total + 5 * out;
  // Moving data is no arithmetic.
  const bool arithmetic = op.row->def->family.starts_with("elementwise") || op.row->def->family == "activation";
  return total + (arithmetic && type != "cast" ? out : 0);
}

double flops(const ir::Block& block, const Sizes& sizes) {
  double total = 0;
  for (const auto& op : block.ops) total += flops(*op, sizes);
  return total;
}

double gain_us(const ir::Function& piece, const CostModel& m) {
  double bytes = 0;
  const auto border = [&](const ir::Value* v) {
    bytes += count(v->dims(), piece.default_dims) * static_cast<double>(std::max<size_t>(item_size(v->dtype()), 1));
  };
  for (const ir::Value* v : piece.inputs) border(v);
  for (const ir::Value* v : piece.body.outputs) border(v);
  const double saved = flops(piece.body, piece.default_dims) / m.host_flops_per_us * (1 - 1 / m.speedup);
  return saved - m.crossing_us - bytes / m.bytes_per_us;
}

}  // namespace graft::partition
