// matmul and linear. Constant right-hand sides are packed once; transposes are strides.
#include "base/format.h"
#include "engine/onednn/common.h"
#include "engine/onednn/kernels.h"

namespace graft::engine {
namespace {

using dnnl::memory;

struct Product {
  int x = -1, y = -1, out = -1, bias = -1;
  Shape a, b, c;  // as oneDNN sees them: equal rank, [batch..., rows, columns]
  bool transpose_a = false, transpose_b = false;
};

// a matrix whose last two dims lie transposed in memory
Md stored(const Shape& shape, bool transposed) {
  Shape strides = strides_of(shape);
  if (transposed) {
    strides[shape.size() - 2] = 1;
    strides[shape.size() - 1] = shape[shape.size() - 2];
  }
  return Md(dims_of(shape), memory::data_type::f32, dims_of(strides));
}

Result<Prepared> prepare_product(const Selection& s, int n, const Product& p) {
  const PlanValue &x = s.value(p.x), &y = s.value(p.y), &out = s.value(p.out);
  if (!f32_or_f16(x.dtype()) || !f32_or_f16(y.dtype()) || !f32_or_f16(out.dtype()))
    return decline(format("{} by {}", name(x.dtype()), name(y.dtype())));
  if (p.a.product() == 0 || p.b.product() == 0) return decline("no elements");
  const bool fixed = y.where == PlanValue::Where::constant && p.b.size() == 2;
  const dnnl::engine& engine = cpu_engine(s.core());
  const Md a = stored(p.a, p.transpose_a), b = stored(p.b, p.transpose_b), c = stored(p.c, false);
  Shape bias_shape(p.c.size() - 1, 1);
  bias_shape.push_back(p.c[p.c.size() - 1]);
  const Md bias = p.bias >= 0 ? md_of(bias_shape, Layout{}) : Md();
  dnnl::matmul::primitive_desc pd(nullptr);
  Tail tail;
  for (const bool by_sum : {true, false}) {
    tail = absorb(s, n, p.out, {p.x, p.y}, by_sum);
    dnnl::post_ops post;  // what is added has the result's own shape and layout, seen through the product's rank
    for (int i = 0; i < tail.ops.len(); ++i) {
      float scale = 0, alpha = 0, beta = 0;
      dnnl::algorithm algorithm;
      Md md;
      switch (tail.ops.kind(i)) {
        case dnnl::primitive::kind::eltwise:
          tail.ops.get_params_eltwise(i, algorithm, alpha, beta);
          post.append_eltwise(algorithm, alpha, beta);
          break;
        case dnnl::primitive::kind::sum:
          tail.ops.get_params_sum(i, scale);
          post.append_sum(scale);
          break;
        default: post.append_binary(dnnl::algorithm::binary_add, c); break;
      }
    }
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attr.set_post_ops(post);
    pd = dnnl::matmul::primitive_desc(
        engine, a, fixed ? Md(dims_of(p.b), memory::data_type::f32, memory::format_tag::any) : b, bias, c, attr, true);
    // A kernel that packs while it runs takes the constant as it lies: no copy of it is made.
    if (pd && fixed && std::string_view(pd.impl_info_str()).find("gemm:") != std::string_view::npos &&
        std::string_view(pd.impl_info_str()).find("brg") == std::string_view::npos) {
      dnnl::matmul::primitive_desc as_stored(engine, a, b, bias, c, attr, true);
      if (as_stored) pd = as_stored;
    }
    if (!pd) continue;
    if (!tail.sum || s.value(tail.added[0]).layout.plain()) break;
  }
  if (!pd) return decline("oneDNN has no such product");
  auto step = std::make_unique<PrimitiveStep>(s.core(), dnnl::matmul(pd), tail.label);
  Prepared made;
  step->add_in(DNNL_ARG_SRC, pd.src_desc(), x.dtype());
  made.in.push_back({p.x});
  if (fixed) {
    GRAFT_TRY(auto packed, pack(s.core(), y.constant, b, pd.weights_desc()));
    step->add_fixed(DNNL_ARG_WEIGHTS, pd.weights_desc(), std::move(packed));
  } else {
    step->add_in(DNNL_ARG_WEIGHTS, pd.weights_desc(), y.dtype());
    made.in.push_back({p.y});
  }
  if (p.bias >= 0) {
    GRAFT_TRY(auto packed, pack(s.core(), s.value(p.bias).constant, bias, pd.bias_desc()));
    step->add_fixed(DNNL_ARG_BIAS, pd.bias_desc(), std::move(packed));
  }
  for (size_t i = 0; i < tail.added.size(); ++i) {
    made.in.push_back({tail.added[i]});
    if (tail.sum && i == 0)
      step->accumulate_onto(made.in.size() - 1);
    else
      step->add_in(DNNL_ARG_ATTR_MULTIPLE_POST_OP(tail.added_at[i]) | DNNL_ARG_SRC_1, c, out.dtype());
  }
  step->add_out(DNNL_ARG_DST, pd.dst_desc(), out.dtype());
  step->add_scratchpad(pd.scratchpad_desc());
  made.out.push_back({tail.result});
  made.nodes = tail.nodes;
  made.step = std::move(step);
  return made;
}

}  // namespace

Result<Prepared> prepare_linear(const Selection& s, int n) {
  Product p;
  p.x = s.arg(n, "x");
  p.y = s.arg(n, "weight");
  p.bias = s.arg(n, "bias");
  p.out = s.node(n).results[0];
  const PlanValue &x = s.value(p.x), &w = s.value(p.y);
  if (x.shape.empty()) return decline("a scalar");
  if (p.bias >= 0 && (s.value(p.bias).where != PlanValue::Where::constant || !f32_or_f16(s.value(p.bias).dtype())))
    return decline("the bias is not a float constant");
  p.a = {x.shape.product(0, x.shape.size() - 1), x.shape.back()};
  p.b = {w.shape[1], w.shape[0]};
  p.c = {p.a[0], w.shape[0]};
  p.transpose_b = true;
  return prepare_product(s, n, p);
}

Result<Prepared> prepare_matmul(const Selection& s, int n) {
  Product p;
  p.x = s.arg(n, "x");
  p.y = s.arg(n, "y");
  p.out = s.node(n).results[0];
  const ir::Call call = s.call(n);
  p.transpose_a = call.flag("transpose_x");
  p.transpose_b = call.flag("transpose_y");
  if (call.error()) return fail(*call.error());
  p.a = s.value(p.x).shape;
  p.b = s.value(p.y).shape;
  if (p.a.size() < 2 || p.b.size() < 2) return decline("a vector");
  const auto swap_last = [](Shape& shape) { std::swap(shape[shape.size() - 2], shape[shape.size() - 1]); };
  if (p.transpose_a) swap_last(p.a);
  if (p.transpose_b) swap_last(p.b);
  if (p.b.size() == 2 && !p.transpose_a) {  // one product of many rows
    p.a = {p.a.product(0, p.a.size() - 1), p.a.back()};
    p.c = {p.a[0], p.b[1]};
    return prepare_product(s, n, p);
  }
  while (p.a.size() < p.b.size()) p.a.insert(0, 1);
  while (p.b.size() < p.a.size()) p.b.insert(0, 1);
  p.c = s.value(p.out).shape;
  if (p.c.size() != p.a.size()) return decline("ranks that oneDNN does not take");
  return prepare_product(s, n, p);
}

}  // namespace graft::engine
