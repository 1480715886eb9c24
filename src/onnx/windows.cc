#include "onnx/windows.h"

#include <algorithm>

#include "base/format.h"

namespace graft::onnx {
namespace {

constexpr int64_t kMaxEntry = INT32_MAX;

}  // namespace

Ints pairs(const Ints& before, const Ints& after) {
  Ints p;
  for (int d = 0; d < before.size(); ++d) {
    p.push_back(before[d]);
    p.push_back(after[d]);
  }
  return p;
}

Ints sizes(NodeView& n, std::string_view attribute, int count, int64_t least, int64_t fallback) {
  const std::vector<int64_t> v = n.ints(attribute, std::vector<int64_t>(static_cast<size_t>(count), fallback));
  if (v.size() != static_cast<size_t>(count)) {
    n.refuse(Code::invalid_attribute, format("attribute '{}' has {} entries, takes {}", attribute, v.size(), count));
    return Ints(count, std::max<int64_t>(least, fallback));
  }
  for (int64_t e : v) {
    if (e >= least && e <= kMaxEntry) continue;
    n.refuse(Code::invalid_attribute,
             format("attribute '{}' has an entry {}, takes {}..{}", attribute, e, least, kMaxEntry));
    return Ints(count, std::max<int64_t>(least, fallback));
  }
  return Ints(v);
}

std::optional<WindowAttributes> read_window(NodeView& n, const Value* x, const Ints& kernel) {
  WindowAttributes w;
  w.spatial = x->rank() - 2;
  if (w.spatial < 1 || w.spatial > 3) {
    n.refuse(Code::unsupported_rank, format("got an input of rank {}, windows are taken on rank 3 to 5", x->rank()));
    return std::nullopt;
  }
  w.auto_pad = n.s("auto_pad", "NOTSET");
  if (!w.same() && w.auto_pad != "NOTSET" && w.auto_pad != "VALID") {
    n.refuse(Code::invalid_attribute,
             format("auto_pad '{}', takes NOTSET, VALID, SAME_UPPER or SAME_LOWER", w.auto_pad));
  }
  w.kernel = kernel;
  w.stride = sizes(n, "strides", w.spatial, 1, 1);
  w.dilation = sizes(n, "dilations", w.spatial, 1, 1);
  const Ints pads = w.auto_pad == "NOTSET" ? sizes(n, "pads", 2 * w.spatial, 0, 0) : Ints(2 * w.spatial, 0);
  for (int d = 0; d < w.spatial; ++d) {
    w.before.push_back(pads[d]);
    w.after.push_back(pads[w.spatial + d]);
    w.beyond.push_back(0);
  }
  if (w.kernel.size() != w.spatial) {
    n.refuse(Code::invalid_attribute, format("the kernel has {} dims, the input {}", w.kernel.size(), w.spatial));
    return std::nullopt;
  }
  return w;
}

bool resolve_same(WindowAttributes& w, const Value* x) {
  if (!w.same()) return true;
  if (w.open()) return false;
  for (int d = 0; d < w.spatial; ++d) {
    const Dim& in = x->dims()[static_cast<size_t>(d) + 2];
    if (!in.known() && w.stride[d] != 1) return false;
    int64_t total = w.reach(d) - 1;
    if (in.known()) {
      const int64_t out = (in.value() + w.stride[d] - 1) / w.stride[d];
      total = std::max<int64_t>(0, (out - 1) * w.stride[d] + w.reach(d) - in.value());
    }
    const int64_t half = total / 2;
    w.before[d] = w.auto_pad == "SAME_UPPER" ? half : total - half;
    w.after[d] = total - w.before[d];
  }
  return true;
}

Padding padding_of(WindowAttributes& w, const Value* x) {
  if (!resolve_same(w, x)) return {w.auto_pad == "SAME_UPPER" ? "same" : "same_lower", Ints(2 * w.spatial, 0)};
  const Ints p = pairs(w.before, w.after);
  const bool none = std::all_of(p.begin(), p.end(), [](int64_t v) { return v == 0; });
  return {none ? "valid" : "custom", p};
}

Ints kernel_of(NodeView& n, OpBuilder& b, Value*& w) {
  Dims dims = w->dims();
  if (n.has_attr("kernel_shape")) {
    const std::vector<int64_t> given = n.ints("kernel_shape");
    bool same = given.size() + 2 == dims.size();
    for (size_t d = 0; same && d < given.size(); ++d) {
      same = given[d] > 0 && !ir::never_equal(dims[d + 2], Dim(given[d]));
      dims[d + 2] = Dim(given[d]);
    }
    if (!same)
      n.refuse(Code::invalid_attribute, format("kernel_shape differs from the weight {}", w->type.to_string()));
    if (b.ok()) w = b.reshape(w, dims);
  }
  Ints kernel;
  for (size_t d = 2; d < dims.size(); ++d) kernel.push_back(dims[d].known() ? dims[d].value() : kOpen);
  return kernel;
}

Value* add_bias(OpBuilder& b, Value* y, Value* bias) {
  Ints axes{0};
  for (int d = 2; d < y->rank(); ++d) axes.push_back(d);
  return b.add(y, b.expand_dims(bias, axes));
}

}  // namespace graft::onnx
