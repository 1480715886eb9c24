// Convolutions and pools: ONNX's windows in MIL's words. ONNX pads all starts first, MIL start and end of each dim.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"
#include "onnx/windows.h"

namespace graft::onnx {
namespace {

// ---- convolutions -------------------------------------------------------------------------------------------------

// f with the bias as its parameter; where the target does not take it there, without one and the bias added.
template <class F>
Value* biased(OpBuilder& b, Value* bias, F&& f) {
  if (bias == nullptr) return f(nullptr);
  return b.first_of([&] { return f(bias); }, [&] { return add_bias(b, f(nullptr), bias); });
}

// How much conv_transpose cuts at the start, and at the end (below zero: how much is missing there), of one dim.
struct Cut {
  int64_t before, after;
};

// One dim of ConvTranspose. The uncut result has stride * (in - 1) + reach elements; output_padding asks for more.
std::optional<Cut> cut_of(NodeView& n, const WindowAttributes& w, int d, const Dim& in, int64_t extra,
                          const std::vector<int64_t>& output_shape) {
  if (output_shape.empty() && !w.same()) return Cut{w.before[d], w.after[d] - extra};
  if (w.kernel[d] == kOpen) {
    n.refuse(Code::dynamic_shape, "output_shape and auto_pad need known kernel sizes of the weight");
    return std::nullopt;
  }
  // SAME_* gives in * stride, so that the difference does not depend on `in`.
  int64_t surplus = w.reach(d) - w.stride[d];
  if (!output_shape.empty()) {
    const size_t skip = output_shape.size() - static_cast<size_t>(w.spatial);  // some exporters list N and C too
    if (!in.known()) {
      n.refuse(Code::dynamic_shape, "output_shape needs known spatial sizes of the input");
      return std::nullopt;
    }
    surplus = w.stride[d] * (in.value() - 1) + w.reach(d) - output_shape[skip + static_cast<size_t>(d)];
  }
  const int64_t total = std::max<int64_t>(0, surplus + extra);
  const int64_t before = w.auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
  return Cut{before, surplus - before};
}

Values conv_transpose(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *w = n.in(1), *bias = n.optional_in(2);
  if (w->rank() != x->rank()) {
    return {n.refuse(Code::rank_mismatch,
                     format("got an input of rank {} and a weight of rank {}, takes the same", x->rank(), w->rank()))};
  }
  const Ints kernel = kernel_of(n, b, w);
  const std::optional<WindowAttributes> window = read_window(n, x, kernel);
  if (!window) return {n.refused()};
  const Ints extra = sizes(n, "output_padding", window->spatial, 0, 0);
  const std::vector<int64_t> output_shape = n.ints("output_shape");
  if (!output_shape.empty() && output_shape.size() != static_cast<size_t>(window->spatial) &&
      output_shape.size() != static_cast<size_t>(window->spatial) + 2) {
    return {n.refuse(Code::invalid_attribute,
                     format("output_shape has {} entries, takes {}", output_shape.size(), window->spatial))};
  }
  bool hangs = false;
  for (int d = 0; d < window->spatial; ++d) {
    hangs |= !output_shape.empty() && !x->dim(d + 2).known();
    hangs |= (!output_shape.empty() || window->same()) && kernel[d] == kOpen;
  }
  if (hangs) {
    if (std::optional<Values> later = n.put_off_sizes(x->dtype(), {x->rank()})) return *later;
  }
  Ints pad, missing;
  bool grows = false;
  for (int d = 0; d < window->spatial; ++d) {
    const std::optional<Cut> c = cut_of(n, *window, d, x->dim(d + 2), extra[d], output_shape);
    if (!c) return {n.refused()};
    pad.push_back(c->before);
    pad.push_back(std::max<int64_t>(0, c->after));
    missing.push_back(0);
    missing.push_back(std::max<int64_t>(0, -c->after));
    grows |= c->after < 0;
  }
  const bool none = std::all_of(pad.begin(), pad.end(), [](int64_t v) { return v == 0; });
  const auto transposed = [&](Value* inside) {
    return b.emit("conv_transpose", {{"x", x},
                                     {"weight", w},
                                     {"bias", inside},
                                     {"pad", pad},
                                     {"pad_type", none ? "valid" : "custom"},
                                     {"strides", window->stride},
                                     {"dilations", window->dilation},
                                     {"groups", n.i("group", 1)}});
  };
  if (!grows) return {biased(b, bias, transposed)};
  // What is missing at the end is zero plus bias.
  Value* y = transposed(nullptr);
  y = b.emit("pad", {{"x", y}, {"pad", missing}, {"mode", "constant"}, {"constant_val", b.like(y, 0)}});
  return {bias == nullptr ? y : add_bias(b, y, bias)};
}

// ---- pools --------------------------------------------------------------------------------------------------------

Ints kernel_shape(NodeView& n, const Value* x) {
  if (!n.has_attr("kernel_shape")) n.refuse(Code::invalid_attribute, "attribute 'kernel_shape' is required");
  return sizes(n, "kernel_shape", std::max(0, x->rank() - 2), 1, 1);
}

// ceil_mode as padding at the end that counts for nothing, for sizes known and open, in one, two and three dims: as
// much as lets the last window in that starts in the input or in the padding before it. (MIL's own ceil_mode keeps one
// that starts behind the input where there is no padding.)
void round_up(WindowAttributes& w, const Value* x) {
  for (int d = 0; d < w.spatial; ++d) {
    const int64_t reach = w.reach(d);
    w.after[d] = std::min(w.after[d], reach - 1);  // what is padded further holds starts of windows only
    w.beyond[d] = std::min(reach, w.after[d] + w.stride[d]) - 1 - w.after[d];
    const Dim& in = x->dims()[static_cast<size_t>(d) + 2];
    if (!in.known()) continue;
    // No more than the windows touch.
    const int64_t padded = in.value() + w.before[d] + w.after[d], room = padded + w.beyond[d] - reach;
    if (room >= 0) w.beyond[d] = std::max<int64_t>(0, room / w.stride[d] * w.stride[d] + reach - padded);
  }
}

// kernel_shape, the padding resolved and ceil_mode made padding; a refusal as the error.
tl::expected<WindowAttributes, Value*> read_pool(NodeView& n, Value* x) {
  std::optional<WindowAttributes> w = read_window(n, x, kernel_shape(n, x));
  if (!w) return tl::unexpected(n.refused());
  if (w->dilated() && !resolve_same(*w, x)) {
    return tl::unexpected(n.refuse(Code::dynamic_shape, "a dilated pool with auto_pad needs known spatial sizes"));
  }
  if (w->same()) return *w;
  if (n.flag("ceil_mode")) round_up(*w, x);
  for (int d = 0; d < w->spatial; ++d) {
    const Dim& in = x->dims()[static_cast<size_t>(d) + 2];
    if (!in.known() || in.value() + w->before[d] + w->after[d] + w->beyond[d] >= w->reach(d)) continue;
    return tl::unexpected(
        n.refuse(Code::shape_mismatch, format("the window is larger than its padded input {}", x->type.to_string())));
  }
  return *w;
}

Value* padded(OpBuilder& b, Value* x, const Ints& by, double with) {
  if (by == Ints(by.size(), 0)) return x;
  return b.emit("pad", {{"x", x}, {"pad", by}, {"mode", "constant"}, {"constant_val", b.like(x, with)}});
}

// A window with gaps has no MIL operator: along one dim after the other, a strided slice of the padded input for each
// place of the window, joined by `combine`. Padding holds `fill`, what lies beyond it `beyond`.
Value* slide(NodeView& n, OpBuilder& b, Value* x, const WindowAttributes& w, double fill, double beyond,
             Value* (OpBuilder::*combine)(Value*, Value*)) {
  constexpr int64_t kMaxTaps = 1024;
  const int64_t taps = std::accumulate(w.kernel.begin(), w.kernel.end(), int64_t{0});
  if (taps > kMaxTaps)
    return n.refuse(
        Code::unsupported_attribute,
        format("a dilated window of {}: dims of {} in all, at most {} are taken", to_string(w.kernel), taps, kMaxTaps));
  x = padded(b, padded(b, x, pairs(w.before, w.after), fill), pairs(Ints(w.spatial, 0), w.beyond), beyond);
  const auto rank = static_cast<size_t>(w.spatial) + 2;
  for (int d = 0; d < w.spatial; ++d) {
    const auto at = static_cast<size_t>(d) + 2;
    std::vector<int64_t> begin(rank, 0), end(rank, 0), stride(rank, 1);
    std::vector<bool> to_the_end(rank, true);
    stride[at] = w.stride[d];
    Value* y = nullptr;
    for (int64_t tap = 0; tap < w.kernel[d]; ++tap) {
      begin[at] = tap * w.dilation[d];
      end[at] = begin[at] - (w.reach(d) - 1);  // counted from the end: room for the rest of the window
      to_the_end[at] = end[at] == 0;
      Value* v = b.emit("slice_by_index",
                        {{"x", x}, {"begin", begin}, {"end", end}, {"stride", stride}, {"end_mask", to_the_end}});
      y = y == nullptr ? v : (b.*combine)(y, v);
    }
    x = y;
  }
  return x;
}

// The values and their places.
Values max_pool_with_indices(NodeView& n, OpBuilder& b, Value* x) {
  tl::expected<WindowAttributes, Value*> w = read_pool(n, x);
  if (!w) return {w.error()};
  w->take_beyond();
  const Padding p = padding_of(*w, x);
  return b.emit_all("host_max_pool_indices", {{"x", x},
                                              {"kernel_sizes", w->kernel},
                                              {"strides", w->stride},
                                              {"pad_type", p.type},
                                              {"pad", p.pad},
                                              {"dilations", w->dilation},
                                              {"columns_first", n.i("storage_order", 0) == 1}});
}

Values max_pool(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  return n.wants(1) ? max_pool_with_indices(n, b, x) : Values{max_pool_of(n, b, x)};
}

// Zeros, of which those at the places given (in the whole tensor) become the values.
Values max_unpool(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *places = n.in(1), *shape = n.optional_in(2);
  const std::optional<WindowAttributes> w = read_window(n, x, kernel_shape(n, x));
  if (!w) return {n.refused()};
  if (places->rank() != x->rank())
    return {n.refuse(Code::shape_mismatch,
                     format("got {} and the places {}", x->type.to_string(), places->type.to_string()))};
  Dims dims{x->dim(0), x->dim(1)};
  for (int d = 0; d < w->spatial; ++d)
    dims.push_back((x->dim(d + 2) - Dim(1)) * Dim(w->stride[d]) + Dim(w->kernel[d] - w->before[d] - w->after[d]));
  if (const std::optional<Dims> asked = shape == nullptr ? std::nullopt : n.dims(2)) dims = *asked;
  if (static_cast<int>(dims.size()) != x->rank())
    return {
        n.refuse(Code::shape_mismatch, format("output_shape has {} sizes for {}", dims.size(), x->type.to_string()))};
  const bool open = shape != nullptr && !n.dims(2);
  Value* hints[] = {x};
  Value* count = open ? b.reduce("reduce_prod", shape, {0}, true) : b.dims_value({ir::product(dims)}, hints);
  Value* zeros = b.emit("fill", {{"shape", count}, {"value", b.like(x, 0)}});
  Value* at = b.reshape(places, Dims{ir::product(places->dims())});
  Value* values = b.reshape(x, Dims{ir::product(x->dims())});
  Value* y =
      b.emit("scatter", {{"data", zeros}, {"indices", at}, {"updates", values}, {"axis", 0}, {"mode", "update"}});
  return {open ? b.reshape(y, of_length(b, shape, x->rank())) : b.reshape(y, dims, hints)};
}

Values col2im(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *image = n.in(1), *block = n.in(2);
  const Dim rank = image->rank() == 1 ? image->dim(0) : Dim(0);
  if (!rank.known()) {
    if (std::optional<Values> later = n.put_off({ir::Type::unranked(x->dtype())})) return *later;
    return {n.refuse(Code::dynamic_shape, "the number of the image's dims must be known")};
  }
  if (rank.value() < 1 || rank.value() > kMaxRank - 2)
    return {n.refuse(Code::unsupported_rank,
                     format("got an image_shape {}, takes 1 to {} sizes", image->type.to_string(), kMaxRank - 2))};
  const auto count = static_cast<int>(rank.value());
  return {b.emit("host_col2im", {{"x", x},
                                 {"image_shape", image},
                                 {"block_shape", block},
                                 {"strides", sizes(n, "strides", count, 1, 1)},
                                 {"dilations", sizes(n, "dilations", count, 1, 1)},
                                 {"pads", sizes(n, "pads", 2 * count, 0, 0)}})};
}

// Sum of each window divided by the number of elements that count, which is the same sum over ones.
Value* dilated_average(NodeView& n, OpBuilder& b, Value* x, const WindowAttributes& w, bool count_padding) {
  Value* sum = slide(n, b, x, w, 0, 0, &OpBuilder::add);
  Dims plane = x->dims();
  plane[0] = plane[1] = Dim(1);
  Value* hints[] = {x};
  Value* ones = b.emit("fill", {{"shape", b.dims_value(plane, hints)}, {"value", b.like(x, 1)}});
  return b.div(sum, slide(n, b, ones, w, count_padding ? 1 : 0, 0, &OpBuilder::add));
}

Values average_pool(NodeView& n, OpBuilder& b) { return {average_pool_of(n, b, n.in(0))}; }

// The p-th root of the sum of |x|^p, which is taken of the powers by `sum`.
template <class Sum>
Value* p_norm(NodeView& n, OpBuilder& b, Value* x, Sum&& sum) {
  const int64_t p = n.i("p", 2);
  if (p < 1) return n.refuse(Code::invalid_attribute, format("p is {}, takes 1 or more", p));
  Value* v = p == 2 ? b.unary("square", x) : b.unary("abs", x);
  if (p > 2) v = b.binary("pow", v, b.like(v, static_cast<double>(p)));
  Value* y = sum(v);
  if (p == 1) return y;
  return p == 2 ? b.unary("sqrt", y) : b.binary("pow", y, b.like(y, 1.0 / static_cast<double>(p)));
}

Values lp_pool(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  tl::expected<WindowAttributes, Value*> w = read_pool(n, x);
  if (!w) return {w.error()};
  return {p_norm(n, b, x, [&](Value* v) {
    if (w->dilated()) return slide(n, b, v, *w, 0, 0, &OpBuilder::add);
    w->take_beyond();
    const Padding p = padding_of(*w, v);
    Value* mean =
        b.emit("avg_pool",
               {{"x", v}, {"kernel_sizes", w->kernel}, {"strides", w->stride}, {"pad_type", p.type}, {"pad", p.pad}});
    return b.scale(mean, static_cast<double>(w->kernel.product()));
  })};
}

Values global_lp_pool(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() < 2)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 2 or more", x->type.to_string()))};
  Ints axes;
  for (int d = 2; d < x->rank(); ++d) axes.push_back(d);
  return {p_norm(n, b, x, [&](Value* v) { return axes.empty() ? v : b.reduce("reduce_sum", v, axes, true); })};
}

template <const char* const& op>
Values global_pool(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() < 2)
    return {n.refuse(Code::rank_mismatch, format("got {}, takes rank 2 or more", x->type.to_string()))};
  Ints axes;
  for (int d = 2; d < x->rank(); ++d) axes.push_back(d);
  return {axes.empty() ? x : b.reduce(op, x, axes, true)};
}
constexpr const char* kMean = "reduce_mean";
constexpr const char* kMax = "reduce_max";

constexpr Lowering kRows[] = {
    {"", "Conv", kSince<1, 11, 22>, "X W B? -> Y; auto_pad dilations group kernel_shape pads strides", conv},
    {"", "ConvTranspose", kSince<1, 11, 22>,
     "X W B? -> Y; auto_pad dilations group kernel_shape output_padding output_shape pads strides", conv_transpose},
    {"", "MaxPool", kSince<1, 8, 10, 11, 12, 22>,
     "X -> Y Indices?@8; auto_pad ceil_mode@10 dilations@10 kernel_shape pads storage_order@8 strides", max_pool,
     "Indices on the host only"},
    {"", "MaxUnpool", kSince<9, 11, 22>, "X I output_shape? -> output; kernel_shape pads strides", max_unpool},
    {"", "Col2Im", kSince<18>, "input image_shape block_shape -> output; dilations pads strides", col2im,
     "on the host only"},
    {"", "AveragePool", kSince<1, 7, 10, 11, 19, 22>,
     "X -> Y; auto_pad ceil_mode@10 count_include_pad@7 dilations@19 kernel_shape pads strides", average_pool},
    {"", "LpPool", kSince<2, 11, 18, 22>, "X -> Y; auto_pad ceil_mode@18 dilations@18 kernel_shape p pads strides",
     lp_pool},
    {"", "GlobalLpPool", kSince<2, 22>, "X -> Y; p", global_lp_pool},
    {"", "GlobalAveragePool", kSince<1, 22>, "X -> Y", global_pool<kMean>},
    {"", "GlobalMaxPool", kSince<1, 22>, "X -> Y", global_pool<kMax>},
};

}  // namespace

Value* emit_conv(NodeView& n, OpBuilder& b, std::string_view op, Value* x, Value* w, ir::Args more) {
  if (w->rank() != x->rank()) {
    return n.refuse(Code::rank_mismatch,
                    format("got an input of rank {} and a weight of rank {}, takes the same", x->rank(), w->rank()));
  }
  const Ints kernel = kernel_of(n, b, w);
  std::optional<WindowAttributes> window = read_window(n, x, kernel);
  if (!window) return n.refused();
  const Padding p = padding_of(*window, x);
  std::vector<ir::Arg> args{{"x", x},
                            {"weight", w},
                            {"strides", window->stride},
                            {"pad_type", p.type},
                            {"pad", p.pad},
                            {"dilations", window->dilation},
                            {"groups", n.i("group", 1)}};
  args.insert(args.end(), more.begin(), more.end());
  const Values y = b.emit_all(op, args);
  return y.size() == 1 ? y[0] : n.refused();
}

Values conv(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *w = n.in(1), *bias = n.optional_in(2);
  return {biased(b, bias, [&](Value* inside) { return emit_conv(n, b, "conv", x, w, {{"bias", inside}}); })};
}

Value* average_pool_of(NodeView& n, OpBuilder& b, Value* x) {
  bool count_padding = n.flag("count_include_pad");
  tl::expected<WindowAttributes, Value*> w = read_pool(n, x);
  if (!w) return w.error();
  if (w->dilated()) return dilated_average(n, b, x, *w, count_padding);
  if (count_padding && w->beyond != Ints(w->spatial, 0)) {
    // Of two kinds of padding the one that counts becomes input.
    x = padded(b, x, pairs(w->before, w->after), 0);
    w->before = w->after = Ints(w->spatial, 0);
    count_padding = false;
  }
  w->take_beyond();
  const Padding p = padding_of(*w, x);
  return b.emit("avg_pool", {{"x", x},
                             {"kernel_sizes", w->kernel},
                             {"strides", w->stride},
                             {"pad_type", p.type},
                             {"pad", p.pad},
                             {"exclude_padding_from_average", !count_padding}});
}

Value* max_pool_of(NodeView& n, OpBuilder& b, Value* x) {
  tl::expected<WindowAttributes, Value*> w = read_pool(n, x);
  if (!w) return w.error();
  const double lowest = is_float(x->dtype()) ? -INFINITY : static_cast<double>(int_range(x->dtype()).lo);
  if (w->dilated()) return slide(n, b, x, *w, lowest, lowest, &OpBuilder::maximum);
  w->take_beyond();
  const Padding p = padding_of(*w, x);
  return b.emit("max_pool",
                {{"x", x}, {"kernel_sizes", w->kernel}, {"strides", w->stride}, {"pad_type", p.type}, {"pad", p.pad}});
}

LoweringRows window_lowerings() { return kRows; }

}  // namespace graft::onnx
