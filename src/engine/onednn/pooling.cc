// max_pool and avg_pool.
#include <algorithm>

#include "base/format.h"
#include "engine/onednn/common.h"
#include "engine/onednn/kernels.h"
#include "engine/onednn/threads.h"
#include "ops/window.h"

namespace graft::engine {
namespace {

using dnnl::memory;

Result<Prepared> prepare_pool(const Selection& s, int n, dnnl::algorithm algorithm, bool counts_padding) {
  const int xi = s.arg(n, "x"), yi = s.node(n).results[0];
  const PlanValue &x = s.value(xi), &y = s.value(yi);
  if (x.dtype() != DType::f32 && x.dtype() != DType::f16) return decline(format("{} data", name(x.dtype())));
  if (x.shape.product() == 0 || y.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  const Ints kernel = call.ints("kernel_sizes");
  if (call.error()) return fail(*call.error());
  GRAFT_TRY(const ops::Window window, ops::read_window(call, kernel));
  memory::dims k, strides, dilations, before, after;
  for (int d = 0; d < window.spatial; ++d) {
    const int64_t in = x.shape[d + 2], out = y.shape[d + 2], lead = window.before(d, in);
    const int64_t behind = (out - 1) * window.stride[d] + window.reach(d) - in - lead;
    if (lead >= kernel[d] || behind >= kernel[d]) return decline("padding as large as the window");
    if (counts_padding && behind > window.after(d, in)) return decline("a window that reaches beyond the padding");
    k.push_back(kernel[d]);
    strides.push_back(window.stride[d]);
    dilations.push_back(0);
    before.push_back(lead);
    after.push_back(behind);
  }
  const dnnl::engine& engine = cpu_engine(s.core());
  const OneOpenMpThread alone;
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const int64_t work = y.shape.product() * Shape(kernel).product();
  const RowWindow rows{window.stride[0], window.reach(0), before[0]};
  struct PieceOf {
    Part part;
    dnnl::pooling_forward::primitive_desc pd;
  };
  const auto describe = [&](Layout layout, const std::vector<Slice>& slices) {
    std::vector<PieceOf> list;
    for (const Slice& slice : slices) {
      const std::optional<Part> p = part_of(slice, x.shape, layout, y.shape, layout, true, rows);
      if (!p) return std::vector<PieceOf>();
      memory::dims lead = before, behind = after;
      if (slice.axis == Slice::Axis::rows) {
        lead[0] = p->before;
        behind[0] = p->after;
      }
      dnnl::pooling_forward::primitive_desc pd(engine, dnnl::prop_kind::forward_inference, algorithm,
                                               md_of(p->x, layout), md_of(p->y, layout), strides, k, dilations, lead,
                                               behind, attr, true);
      if (!pd) return std::vector<PieceOf>();
      list.push_back({*p, pd});
    }
    return list;
  };
  // Cancel is heard between pieces, and an element of a large window may cost nanoseconds: cut as for many threads.
  constexpr int64_t kLongest = 200'000'000;
  const int many = static_cast<int>(std::min<int64_t>(work / kLongest, 1000));
  // The layout of the input, whatever it is, then the plain one.
  for (const Layout layout : {x.layout, Layout{}}) {
    std::vector<PieceOf> pieces =
        describe(layout, cut(y.shape, layout, 1, work, std::max(many, s.core().env->threads())));
    if (pieces.empty()) pieces = describe(layout, cut(y.shape, layout, 1, work, std::max(many, 1)));
    if (pieces.empty()) continue;
    auto step = std::make_unique<PrimitiveStep>(s.core());
    const int in = step->add_in(md_of(x.shape, layout), x.dtype());
    const int out = step->add_out(md_of(y.shape, layout), y.dtype());
    for (const PieceOf& of : pieces) {
      PrimitiveStep::Piece& piece = step->add_piece(dnnl::pooling_forward(of.pd), of.pd.scratchpad_desc());
      piece.bind(DNNL_ARG_SRC, of.pd.src_desc(), in, of.part.x_at);
      piece.bind(DNNL_ARG_DST, of.pd.dst_desc(), out, of.part.y_at);
    }
    Prepared made;
    made.step = std::move(step);
    made.in.push_back({xi, layout});
    made.out.push_back({yi, layout});
    made.nodes = {n};
    return made;
  }
  return decline("oneDNN has no such pooling");
}

}  // namespace

Result<Prepared> prepare_max_pool(const Selection& s, int n) {
  if (!s.may_drop_nan()) return decline("an input holds NaN or infinity: oneDNN's maximum drops NaN");
  return prepare_pool(s, n, dnnl::algorithm::pooling_max, false);
}

Result<Prepared> prepare_avg_pool(const Selection& s, int n) {
  const ir::Call call = s.call(n);
  const bool exclude = call.flag("exclude_padding_from_average");
  return prepare_pool(
      s, n, exclude ? dnnl::algorithm::pooling_avg_exclude_padding : dnnl::algorithm::pooling_avg_include_padding,
      !exclude);
}

}  // namespace graft::engine
