// conv and conv_transpose, 1-D to 3-D, with constant weights.
#include "base/format.h"
#include "engine/onednn/common.h"
#include "engine/onednn/kernels.h"
#include "engine/onednn/threads.h"
#include "ops/window.h"

namespace graft::engine {
namespace {

using dnnl::memory;

struct Convolution {
  int x = -1, y = -1, weight = -1, bias = -1;  // values; bias -1: none
  memory::dims strides, dilations, before, after;
  int64_t groups = 1;
  // How the constant lies, in oneDNN's order of dims: [groups,] out, in, kernel.
  memory::dims weight_dims, weight_strides;
  std::optional<RowWindow> rows;  // not of conv_transpose
  int64_t flops = 0;

  // Of [begin, end) of the weights' first dim.
  Md weight_from(int64_t begin, int64_t end) const {
    memory::dims dims = weight_dims;
    dims[0] = end - begin;
    return Md(dims, memory::data_type::f32, weight_strides);
  }
};

Result<Convolution> read_convolution(const Selection& s, int n, bool transposed) {
  Convolution p;
  p.x = s.arg(n, "x");
  p.y = s.node(n).results[0];
  p.weight = s.arg(n, "weight");
  p.bias = s.arg(n, "bias");
  const PlanValue &x = s.value(p.x), &y = s.value(p.y), &w = s.value(p.weight);
  if (!f32_or_f16(x.dtype())) return decline(format("{} data", name(x.dtype())));
  if (w.where != PlanValue::Where::constant || !f32_or_f16(w.dtype()))
    return decline("weights are not a float constant");
  if (p.bias >= 0 && (s.value(p.bias).where != PlanValue::Where::constant || !f32_or_f16(s.value(p.bias).dtype())))
    return decline("the bias is not a float constant");
  if (x.shape.product() == 0 || y.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  const int spatial = x.shape.size() - 2;
  const std::span<const int64_t> kernel(w.shape.begin() + 2, static_cast<size_t>(spatial));
  GRAFT_TRY(const ops::Window window, ops::read_window(call, kernel));
  const int64_t groups = call.i("groups");
  if (call.error()) return fail(*call.error());
  for (int d = 0; d < spatial; ++d) {
    const int64_t in = x.shape[d + 2], out = y.shape[d + 2], reach = window.reach(d), stride = window.stride[d];
    p.strides.push_back(stride);
    p.dilations.push_back(window.dilation[d] - 1);
    // What is behind the input follows from the result's size; oneDNN takes negative values there.
    const int64_t before = transposed ? window.transposed_before(d, in, out) : window.before(d, in);
    const int64_t after =
        transposed ? (in - 1) * stride + reach - before - out : (out - 1) * stride + reach - in - before;
    if (before < 0) return decline("negative padding");
    p.before.push_back(before);
    p.after.push_back(after);
  }
  // conv: [groups, out, in, kernel]; conv_transpose's constant has in and out the other way round.
  const int64_t a = w.shape[0] / groups, b = w.shape[1], points = w.shape.product(2, w.shape.size());
  const int64_t out = transposed ? b : a, in = transposed ? a : b;
  memory::dims dims, strides;
  if (groups > 1) {
    dims.push_back(groups);
    strides.push_back(a * b * points);
  }
  dims.insert(dims.end(), {out, in});
  strides.push_back(transposed ? points : b * points);
  strides.push_back(transposed ? b * points : points);
  int64_t step = points;
  for (int64_t k : kernel) {
    step /= k;
    dims.push_back(k);
    strides.push_back(step);
  }
  p.groups = groups;
  p.weight_dims = dims;
  p.weight_strides = strides;
  if (!transposed) p.rows = RowWindow{window.stride[0], window.reach(0), p.before[0]};
  p.flops = 2 * (transposed ? x : y).shape.product() * (transposed ? out : in) * points;
  return p;
}

// What of the result one primitive makes, and from which weights.
struct Share {
  Slice slice;
  Part part;
  int64_t begin, end;  // of the weights' first dim
};

template <class Primitive>
typename Primitive::primitive_desc describe_primitive(const dnnl::engine& engine, const Convolution& p,
                                                      const Share& share, std::optional<Layout> src,
                                                      std::optional<Layout> dst, const Epilogue& epilogue) {
  const Shape &x = share.part.x, &y = share.part.y;
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(post_ops_of(epilogue, any_md(y)));  // the layout is that of the result: oneDNN is told `any`
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  auto algorithm = dnnl::algorithm::convolution_direct;
  if constexpr (std::is_same_v<Primitive, dnnl::deconvolution_forward>)
    algorithm = dnnl::algorithm::deconvolution_direct;
  memory::dims weights = p.weight_dims, before = p.before, after = p.after;
  weights[0] = share.end - share.begin;
  if (share.slice.axis == Slice::Axis::rows) {
    before[0] = share.part.before;
    after[0] = share.part.after;
  }
  return typename Primitive::primitive_desc(
      engine, kKind, algorithm, src ? md_of(x, *src) : any_md(x),
      Md(weights, memory::data_type::f32, memory::format_tag::any), p.bias >= 0 ? md_of(Shape{y[1]}, Layout{}) : Md(),
      dst ? md_of(y, *dst) : any_md(y), p.strides, p.dilations, before, after, attr, true);
}

// Layouts to try, best first.
struct Choice {
  std::optional<Layout> src, dst;  // none: oneDNN's choice
  bool fast_only = true;
};

bool is_slow(std::string_view implementation) {
  return implementation.find("ref") != std::string_view::npos || implementation.find("gemm") != std::string_view::npos;
}

// Without AVX-512 blocks of 8 channels are the fastest layout throughout (depthwise twice as fast as channels-last),
// but oneDNN's own choice mixes three, and would pay for it in reorders. With AVX-512 its choice is good; a layout that
// is there already is kept. An observer is shown plain tensors.
std::vector<Choice> choices(const PlanValue& x, const PlanValue& y, bool observed) {
  if (observed) return {{Layout{}, Layout{}, false}};
  std::vector<Choice> list;
  const bool wide = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  const Layout eight{8};
  if (!wide) {
    if (x.layout.plain() && x.shape[1] < 8) list.push_back({Layout{}, eight});
    list.push_back({eight, eight});
  } else if (x.layout.block == 8 || x.layout.block == 16) {
    list.push_back({x.layout, x.layout});
  } else if (!x.layout.plain()) {
    list.push_back({x.layout, Layout{y.shape[1]}});
  }
  list.push_back({});
  list.push_back({std::nullopt, std::nullopt, false});
  list.push_back({Layout{}, Layout{}, false});
  return list;
}

template <class Primitive>
Result<Prepared> prepare_convolution(const Selection& s, int n, bool transposed) {
  using Desc = typename Primitive::primitive_desc;
  GRAFT_TRY(const Convolution p, read_convolution(s, n, transposed));
  const dnnl::engine& engine = cpu_engine(s.core());
  const OneOpenMpThread alone;
  const PlanValue &x = s.value(p.x), &y = s.value(p.y);
  const int threads = s.core().env->threads();
  const Share whole{{Slice::Axis::all, 0, 0, 0, y.shape[0]}, {x.shape, y.shape}, 0, p.weight_dims[0]};

  Desc pd(nullptr);
  Epilogue epilogue;
  std::optional<Layout> src, dst;
  const auto attempt = [&](const Choice& c, bool fuse, bool by_sum) {
    epilogue = fuse ? absorb(s, n, p.y, {p.x}, by_sum, kOneDnnEpilogue) : only_head(n, p.y);
    pd = describe_primitive<Primitive>(engine, p, whole, c.src, c.dst, epilogue);
    if (!pd || (c.fast_only && is_slow(pd.impl_info_str()))) return false;
    src = layout_of(pd.src_desc(), x.shape);
    dst = layout_of(pd.dst_desc(), y.shape);
    // `sum` needs its operand in the result's layout already.
    return src && dst && !(epilogue.sum && !(s.value(epilogue.added[0]).layout == *dst));
  };
  const std::vector<Choice> list = choices(x, y, !s.fusing());
  const bool found = std::any_of(list.begin(), list.end(), [&](const Choice& c) {
    return attempt(c, true, true) || (epilogue.sum && attempt(c, true, false)) ||
           (!epilogue.parts.empty() && !c.fast_only && attempt(c, false, false));
  });
  if (!found) return decline("oneDNN has no such convolution");

  // The same for each thread's share, where it can be shared out at all.
  std::vector<std::pair<Share, Desc>> shares;
  const int64_t unit = y.shape[1] / p.groups;  // output channels to one entry of the weights' first dim
  const int64_t per_entry = p.groups > 1 ? unit : 1;
  for (const Slice& slice : cut(y.shape, *dst, per_entry, p.flops, threads)) {
    const std::optional<Part> part = part_of(slice, x.shape, *src, y.shape, *dst, p.groups > 1, p.rows);
    if (!part) break;
    Share share{slice, *part, 0, p.weight_dims[0]};
    if (slice.axis == Slice::Axis::channels) {
      share.begin = slice.begin / per_entry;
      share.end = slice.end / per_entry;
    }
    Desc of = slice.axis == Slice::Axis::all ? pd : describe_primitive<Primitive>(engine, p, share, src, dst, epilogue);
    const bool same_weights =
        slice.axis == Slice::Axis::channels || shares.empty() || of.weights_desc() == shares[0].second.weights_desc();
    if (!of || !same_weights || (!is_slow(pd.impl_info_str()) && is_slow(of.impl_info_str()))) break;
    shares.emplace_back(share, std::move(of));
  }
  int64_t made_of_it = 0;
  for (const auto& [share, of] : shares) made_of_it += share.part.y.product();
  if (made_of_it != y.shape.product()) shares = {{whole, pd}};

  auto step = std::make_unique<PrimitiveStep>(s.core());
  Prepared made;
  const int in = step->add_in(pd.src_desc(), x.dtype());
  made.in.push_back({p.x, *src});
  std::vector<int> added;  // tensors of the step; -1: by `sum`
  for (size_t i = 0; i < epilogue.added.size(); ++i) {
    made.in.push_back({epilogue.added[i], *dst});
    const bool by_sum = epilogue.sum && i == 0;
    if (by_sum) step->accumulate_onto(made.in.size() - 1);
    added.push_back(by_sum ? -1 : step->add_in(pd.dst_desc(), y.dtype()));
  }
  const int out = step->add_out(pd.dst_desc(), y.dtype());
  for (const auto& [share, of] : shares) {
    PrimitiveStep::Piece& piece = step->add_piece(Primitive(of), of.scratchpad_desc());
    piece.bind(DNNL_ARG_SRC, of.src_desc(), in, share.part.x_at);
    GRAFT_TRY(auto packed, pack(s, s.value(p.weight).constant, share.begin * p.weight_strides[0],
                                p.weight_from(share.begin, share.end), of.weights_desc()));
    piece.fix(DNNL_ARG_WEIGHTS, of.weights_desc(), std::move(packed));
    if (p.bias >= 0) {
      GRAFT_TRY(auto bias, pack(s, s.value(p.bias).constant, share.begin * per_entry,
                                md_of(Shape{share.part.y[1]}, Layout{}), of.bias_desc()));
      piece.fix(DNNL_ARG_BIAS, of.bias_desc(), std::move(bias));
    }
    for (size_t i = 0; i < added.size(); ++i) {
      if (added[i] >= 0)
        piece.bind(DNNL_ARG_ATTR_MULTIPLE_POST_OP(epilogue.added_at[i]) | DNNL_ARG_SRC_1, of.dst_desc(), added[i],
                   share.part.y_at);
    }
    piece.bind(DNNL_ARG_DST, of.dst_desc(), out, share.part.y_at);
  }
  made.out.push_back({epilogue.result, *dst});
  made.nodes = epilogue.nodes;
  made.step = std::move(step);
  return made;
}

}  // namespace

Result<Prepared> prepare_conv(const Selection& s, int n) {
  return prepare_convolution<dnnl::convolution_forward>(s, n, false);
}
Result<Prepared> prepare_conv_transpose(const Selection& s, int n) {
  return prepare_convolution<dnnl::deconvolution_forward>(s, n, true);
}

}  // namespace graft::engine
