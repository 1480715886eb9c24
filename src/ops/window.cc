#include "ops/window.h"

namespace graft::ops {
namespace {

// Sizes are int32 in MIL; larger ones would only make the arithmetic overflow.
constexpr int64_t kMaxEntry = INT32_MAX;

Status check_entries(std::string_view param, const Ints& list, int count, int64_t least) {
  if (list.size() != count) {
    return fail(Code::shape_mismatch, format("parameter '{}' has {} entries, takes {}", param, list.size(), count));
  }
  for (int64_t v : list) {
    if (v < least || v > kMaxEntry) {
      return fail(Code::value_out_of_range,
                  format("parameter '{}' has an entry {}, takes {}..{}", param, v, least, kMaxEntry));
    }
  }
  return {};
}

Result<PadType> read_pad_type(const Call& call) {
  const std::string_view s = call.str("pad_type");
  if (s == "valid") return PadType::valid;
  if (s == "custom") return PadType::custom;
  if (s == "same") return PadType::same;
  if (s == "same_lower") return PadType::same_lower;
  return fail(Code::invalid_attribute, format("pad_type '{}', takes valid, custom, same or same_lower", s));
}

bool is_same(PadType t) { return t == PadType::same || t == PadType::same_lower; }

// `same` puts the odd element of padding at the end, `same_lower` at the start.
int64_t smaller_half(PadType t, int64_t total) { return t == PadType::same ? total / 2 : total - total / 2; }

}  // namespace

Dim Window::out(int d, const Dim& in) const {
  if (is_same(pad_type)) return ir::ceil_div(in, Dim(stride[d]));
  const int64_t pad = custom_before[d] + custom_after[d];
  const Dim room = in + Dim(pad - reach(d));
  if (!ceil_mode) return ir::floor_div(room, Dim(stride[d])) + Dim(1);
  const Dim windows = ir::ceil_div(room, Dim(stride[d])) + Dim(1);
  if (pad == 0) return windows;
  // The last window is left out if it would start behind the input, in the padding. Only padding larger than the window
  // has further ones there, and those stay.
  const Dim starts_inside = ir::floor_div(in + Dim(custom_before[d] - 1), Dim(stride[d])) + Dim(1);
  const Dim kept = ir::dim_min(windows, starts_inside);
  return custom_after[d] <= reach(d) ? kept : ir::dim_max(windows - Dim(1), kept);
}

int64_t Window::before(int d, int64_t in) const {
  if (!is_same(pad_type)) return custom_before[d];
  const int64_t n = (in + stride[d] - 1) / stride[d];
  return smaller_half(pad_type, std::max<int64_t>(0, (n - 1) * stride[d] + reach(d) - in));
}

int64_t Window::after(int d, int64_t in) const {
  if (!is_same(pad_type)) return custom_after[d];
  const int64_t n = (in + stride[d] - 1) / stride[d];
  return std::max<int64_t>(0, (n - 1) * stride[d] + reach(d) - in) - before(d, in);
}

Dim Window::transposed_out(int d, const Dim& in) const {
  if (is_same(pad_type)) return in * Dim(stride[d]);
  return (in - Dim(1)) * Dim(stride[d]) + Dim(reach(d) - custom_before[d] - custom_after[d]);
}

int64_t Window::transposed_before(int d, int64_t in, int64_t out) const {
  if (!is_same(pad_type)) return custom_before[d];
  return smaller_half(pad_type, std::max<int64_t>(0, (in - 1) * stride[d] + reach(d) - out));
}

Result<Window> read_window(const Call& call, std::span<const int64_t> kernel) {
  Window w;
  w.spatial = static_cast<int>(kernel.size());
  w.kernel = Ints(kernel);
  w.stride = call.ints("strides");
  w.dilation = call.row().param_index("dilations") >= 0 ? call.ints("dilations") : Ints(w.spatial, 1);
  w.ceil_mode = call.row().param_index("ceil_mode") >= 0 && call.flag("ceil_mode");
  GRAFT_CHECK(check_entries("kernel", w.kernel, w.spatial, 1));
  GRAFT_CHECK(check_entries("strides", w.stride, w.spatial, 1));
  GRAFT_CHECK(check_entries("dilations", w.dilation, w.spatial, 1));
  GRAFT_TRY(w.pad_type, read_pad_type(call));
  w.custom_before = w.custom_after = Ints(w.spatial, 0);
  if (w.pad_type == PadType::custom) {
    const Ints pad = call.ints("pad");
    GRAFT_CHECK(check_entries("pad", pad, 2 * w.spatial, 0));
    for (int d = 0; d < w.spatial; ++d) {
      w.custom_before[d] = pad[2 * d];
      w.custom_after[d] = pad[2 * d + 1];
    }
  }
  if (w.ceil_mode && is_same(w.pad_type))
    return fail(Code::invalid_attribute, format("ceil_mode does not go with pad_type '{}'", call.str("pad_type")));
  return w;
}

Status check_spatial(const Operand& x) {
  if (x.rank() >= 3 && x.rank() <= 2 + kMaxSpatial) return {};
  return fail(Code::rank_mismatch, format("got x of rank {}, takes rank 3 to {}", x.rank(), 2 + kMaxSpatial));
}

Status append_window_dims(const Window& w, const Dims& x, Dims& dims) {
  for (int d = 0; d < w.spatial; ++d) {
    const Dim& in = x[static_cast<size_t>(d) + 2];
    Dim out = w.out(d, in);
    if (const int64_t most = out.range().hi; most < 0 || (most == 0 && in.range().lo > 0)) {
      return fail(Code::shape_mismatch,
                  format("the window of size {} is larger than spatial dim {}, {} with padding {}", w.reach(d), d,
                         in.to_string(), w.custom_before[d] + w.custom_after[d]));
    }
    dims.push_back(std::move(out));
  }
  return {};
}

Result<Window> pool_window(const Call& call) {
  const Operand& x = call.in("x");
  GRAFT_CHECK(check_spatial(x));
  const Ints kernel = call.ints("kernel_sizes");
  if (kernel.size() != x.rank() - 2)
    return fail(Code::shape_mismatch,
                format("parameter 'kernel_sizes' has {} entries, takes {}", kernel.size(), x.rank() - 2));
  return read_window(call, kernel);
}

}  // namespace graft::ops
