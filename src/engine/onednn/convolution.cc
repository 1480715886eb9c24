// conv and conv_transpose, 1-D to 3-D, with constant weights.
#include "base/format.h"
#include "engine/onednn/common.h"
#include "engine/onednn/kernels.h"
#include "ops/window.h"

namespace graft::engine {
namespace {

using dnnl::memory;

struct Convolution {
  int x, y, weight, bias;  // values; bias -1: none
  memory::dims strides, dilations, before, after;
  Md weight_from;  // how the constant lies, in oneDNN's order of dims
  Md weight_any;
};

Result<Convolution> read_convolution(const Selection& s, int n, bool transposed) {
  Convolution p{s.arg(n, "x"), s.node(n).results[0], s.arg(n, "weight"), s.arg(n, "bias"), {}, {}, {}, {}, {}, {}};
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
  p.weight_from = Md(dims, memory::data_type::f32, strides);
  p.weight_any = Md(dims, memory::data_type::f32, memory::format_tag::any);
  return p;
}

template <class Primitive>
typename Primitive::primitive_desc describe_primitive(const dnnl::engine& engine, const Convolution& p, const Md& src,
                                                      const Md& bias, const Md& dst, const dnnl::post_ops& post) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(post);
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  auto algorithm = dnnl::algorithm::convolution_direct;
  if constexpr (std::is_same_v<Primitive, dnnl::deconvolution_forward>)
    algorithm = dnnl::algorithm::deconvolution_direct;
  return typename Primitive::primitive_desc(engine, kKind, algorithm, src, p.weight_any, bias, dst, p.strides,
                                            p.dilations, p.before, p.after, attr, true);
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
  GRAFT_TRY(const Convolution p, read_convolution(s, n, transposed));
  const dnnl::engine& engine = cpu_engine(s.core());
  const PlanValue &x = s.value(p.x), &y = s.value(p.y);
  const Shape bias_shape{y.shape[1]};
  const Md bias = p.bias >= 0 ? md_of(bias_shape, Layout{}) : Md();

  typename Primitive::primitive_desc pd(nullptr);
  Tail tail;
  std::optional<Layout> src, dst;
  const auto attempt = [&](const Choice& c, bool fuse, bool by_sum) {
    tail = Tail{{}, {n}, {}, {}, p.y, false, std::string(s.node(n).op->type())};
    if (fuse) tail = absorb(s, n, p.y, {p.x}, by_sum);
    pd = describe_primitive<Primitive>(engine, p, c.src ? md_of(x.shape, *c.src) : any_md(x.shape), bias,
                                       c.dst ? md_of(y.shape, *c.dst) : any_md(y.shape), tail.ops);
    if (!pd || (c.fast_only && is_slow(pd.impl_info_str()))) return false;
    src = layout_of(pd.src_desc(), x.shape);
    dst = layout_of(pd.dst_desc(), y.shape);
    // `sum` needs its operand in the result's layout already.
    return src && dst && !(tail.sum && !(s.value(tail.added[0]).layout == *dst));
  };
  const std::vector<Choice> list = choices(x, y, !s.fusing());
  const bool found = std::any_of(list.begin(), list.end(), [&](const Choice& c) {
    return attempt(c, true, true) || (tail.sum && attempt(c, true, false)) ||
           (tail.ops.len() != 0 && !c.fast_only && attempt(c, false, false));
  });
  if (!found) return decline("oneDNN has no such convolution");

  auto step = std::make_unique<PrimitiveStep>(s.core(), Primitive(pd), tail.label);
  Prepared made;
  step->add_in(DNNL_ARG_SRC, pd.src_desc(), x.dtype());
  made.in.push_back({p.x, *src});
  GRAFT_TRY(auto packed, pack(s.core(), s.value(p.weight).constant, p.weight_from, pd.weights_desc()));
  step->add_fixed(DNNL_ARG_WEIGHTS, pd.weights_desc(), std::move(packed));
  if (p.bias >= 0) {
    GRAFT_TRY(auto bias_packed, pack(s.core(), s.value(p.bias).constant, bias, pd.bias_desc()));
    step->add_fixed(DNNL_ARG_BIAS, pd.bias_desc(), std::move(bias_packed));
  }
  for (size_t i = 0; i < tail.added.size(); ++i) {
    made.in.push_back({tail.added[i], *dst});
    if (tail.sum && i == 0)
      step->accumulate_onto(made.in.size() - 1);
    else
      step->add_in(DNNL_ARG_ATTR_MULTIPLE_POST_OP(tail.added_at[i]) | DNNL_ARG_SRC_1, pd.dst_desc(), y.dtype());
  }
  step->add_out(DNNL_ARG_DST, pd.dst_desc(), y.dtype());
  step->add_scratchpad(pd.scratchpad_desc());
  made.out.push_back({tail.result, *dst});
  made.nodes = tail.nodes;
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
