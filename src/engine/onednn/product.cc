// matmul and linear. Constant right-hand sides are packed once; transposes are strides.
#include "base/format.h"
#include "engine/onednn/common.h"
#include "engine/onednn/kernels.h"
#include "engine/onednn/threads.h"

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

// Which stretch of the result's dim `axis` one primitive makes.
struct Share {
  int axis;
  int64_t begin, end;
};

// Dims of size 1 are broadcast along batches and stay whole.
Shape shape_of(Shape shape, const Share& share) {
  if (shape[share.axis] != 1) shape[share.axis] = share.end - share.begin;
  return shape;
}
// Of a slice of a tensor that lies as `whole` does.
Md slice_of(const Md& whole, const Shape& shape, const Share& share) {
  return Md(dims_of(shape_of(shape, share)), memory::data_type::f32, whole.get_strides());
}
int64_t offset_of(const Md& whole, const Shape& shape, const Share& share) {
  return shape[share.axis] == 1 ? 0 : share.begin * whole.get_strides()[static_cast<size_t>(share.axis)];
}

// Batches where there are enough, else rows or columns, whichever are more.
std::vector<Share> shares_of(const Product& p, int threads) {
  const int rank = p.c.size(), rows = rank - 2, columns = rank - 1;
  const int64_t parts = pieces_for(2 * p.c.product() * p.a.back(), threads);
  int axis = p.c[columns] > p.c[rows] ? columns : rows;
  for (int d = 0; d < rows; ++d) {
    if (p.c[d] >= parts) {
      axis = d;
      break;
    }
  }
  constexpr int64_t kRows = 8, kColumns = 64;  // what kernels do at once
  std::vector<Share> list;
  for (const auto& [begin, end] : stretches(p.c[axis], axis == columns ? kColumns : axis == rows ? kRows : 1, parts))
    list.push_back({axis, begin, end});
  return list;
}

Result<Prepared> prepare_product(const Selection& s, int n, const Product& p) {
  const PlanValue &x = s.value(p.x), &y = s.value(p.y), &out = s.value(p.out);
  if (!f32_or_f16(x.dtype()) || !f32_or_f16(y.dtype()) || !f32_or_f16(out.dtype()))
    return decline(format("{} by {}", name(x.dtype()), name(y.dtype())));
  if (p.a.product() == 0 || p.b.product() == 0) return decline("no elements");
  using Desc = dnnl::matmul::primitive_desc;
  const bool fixed = y.where == PlanValue::Where::constant && p.b.size() == 2;
  const dnnl::engine& engine = cpu_engine(s.core());
  const OneOpenMpThread alone;
  const int rows = p.c.size() - 2, columns = p.c.size() - 1;
  const Md a = stored(p.a, p.transpose_a), b = stored(p.b, p.transpose_b), c = stored(p.c, false);
  Shape bias_shape(p.c.size() - 1, 1);
  bias_shape.push_back(p.c[columns]);
  const auto bias_of = [&](const Share& share) {
    return p.bias < 0 ? Md() : md_of(share.axis == columns ? shape_of(bias_shape, share) : bias_shape, Layout{});
  };
  // Rows are a's, columns b's; batches are of both.
  const auto a_of = [&](const Share& share) { return share.axis == columns ? a : slice_of(a, p.a, share); };
  const auto b_of = [&](const Share& share) { return share.axis == rows ? b : slice_of(b, p.b, share); };
  Epilogue epilogue;
  const auto describe = [&](const Share& share) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const Md dst = slice_of(c, p.c, share), weights = b_of(share), bias = bias_of(share);
    attr.set_post_ops(post_ops_of(epilogue, dst));  // what is added has the result's own shape and layout
    const Md any(weights.get_dims(), memory::data_type::f32, memory::format_tag::any);
    Desc pd(engine, a_of(share), fixed ? any : weights, bias, dst, attr, true);
    // A kernel that packs while it runs takes the constant as it lies: no copy of it is made.
    if (pd && fixed && std::string_view(pd.impl_info_str()).find("gemm:") != std::string_view::npos &&
        std::string_view(pd.impl_info_str()).find("brg") == std::string_view::npos) {
      const Desc as_stored(engine, a_of(share), weights, bias, dst, attr, true);
      if (as_stored) pd = as_stored;
    }
    return pd;
  };
  const Share whole{rows, 0, p.c[rows]};
  Desc pd(nullptr);
  for (const bool by_sum : {true, false}) {
    epilogue = absorb(s, n, p.out, {p.x, p.y}, by_sum, kOneDnnEpilogue);
    pd = describe(whole);
    if (pd && (!epilogue.sum || s.value(epilogue.added[0]).layout.plain())) break;
  }
  if (!pd) return decline("oneDNN has no such product");
  std::vector<std::pair<Share, Desc>> shares;
  const std::vector<Share> wanted = shares_of(p, s.core().env->threads());
  for (const Share& share : wanted) {
    Desc of = wanted.size() == 1 ? pd : describe(share);
    // All read the same packed constant unless each has columns of its own.
    if (!of ||
        (share.axis != columns && !shares.empty() && of.weights_desc() != shares[0].second.weights_desc() && fixed))
      break;
    shares.emplace_back(share, std::move(of));
  }
  if (shares.size() != wanted.size()) shares = {{whole, pd}};

  auto step = std::make_unique<PrimitiveStep>(s.core());
  Prepared made;
  made.in.push_back({p.x});
  const int a_in = step->add_in(a, x.dtype());
  int b_in = -1;
  if (!fixed) {
    made.in.push_back({p.y});
    b_in = step->add_in(b, y.dtype());
  }
  std::vector<int> added;  // tensors of the step; -1: by `sum`
  for (size_t i = 0; i < epilogue.added.size(); ++i) {
    made.in.push_back({epilogue.added[i]});
    const bool by_sum = epilogue.sum && i == 0;
    if (by_sum) step->accumulate_onto(made.in.size() - 1);
    added.push_back(by_sum ? -1 : step->add_in(c, out.dtype()));
  }
  const int c_out = step->add_out(c, out.dtype());
  for (const auto& [share, of] : shares) {
    PrimitiveStep::Piece& piece = step->add_piece(dnnl::matmul(of), of.scratchpad_desc());
    const int64_t c_at = offset_of(c, p.c, share), b_at = share.axis == rows ? 0 : offset_of(b, p.b, share);
    piece.bind(DNNL_ARG_SRC, of.src_desc(), a_in, share.axis == columns ? 0 : offset_of(a, p.a, share));
    if (fixed) {
      GRAFT_TRY(auto packed, pack(s, y.constant, b_at, b_of(share), of.weights_desc()));
      piece.fix(DNNL_ARG_WEIGHTS, of.weights_desc(), std::move(packed));
    } else {
      piece.bind(DNNL_ARG_WEIGHTS, of.weights_desc(), b_in, b_at);
    }
    if (p.bias >= 0) {
      const int64_t first = share.axis == columns ? share.begin : 0;
      GRAFT_TRY(auto packed, pack(s, s.value(p.bias).constant, first, bias_of(share), of.bias_desc()));
      piece.fix(DNNL_ARG_BIAS, of.bias_desc(), std::move(packed));
    }
    for (size_t i = 0; i < added.size(); ++i) {
      if (added[i] >= 0)
        piece.bind(DNNL_ARG_ATTR_MULTIPLE_POST_OP(epilogue.added_at[i]) | DNNL_ARG_SRC_1, of.dst_desc(), added[i],
                   c_at);
    }
    piece.bind(DNNL_ARG_DST, of.dst_desc(), c_out, c_at);
  }
  made.out.push_back({epilogue.result});
  made.nodes = epilogue.nodes;
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
