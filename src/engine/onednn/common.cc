#include "engine/onednn/common.h"

namespace graft::engine {

using dnnl::memory;

OneDnnState& onednn_state(const Core& core) {
  std::unique_ptr<ProviderState>& slot = core.states["onednn"];
  if (slot == nullptr) slot = std::make_unique<OneDnnState>();
  return static_cast<OneDnnState&>(*slot);
}

memory::dims dims_of(const Shape& shape) {
  return shape.empty() ? memory::dims{1} : memory::dims(shape.begin(), shape.end());
}

Md md_of(const Shape& shape, Layout layout) {
  using tag = memory::format_tag;
  const memory::dims dims = dims_of(shape);
  if (layout.block == 8 || layout.block == 16) {
    const bool eight = layout.block == 8;
    if (shape.size() == 3) return Md(dims, memory::data_type::f32, eight ? tag::nCw8c : tag::nCw16c);
    if (shape.size() == 4) return Md(dims, memory::data_type::f32, eight ? tag::nChw8c : tag::nChw16c);
    if (shape.size() == 5) return Md(dims, memory::data_type::f32, eight ? tag::nCdhw8c : tag::nCdhw16c);
  }
  Shape strides = strides_of(shape);
  if (!layout.plain()) {  // channels-last
    int64_t step = shape[1];
    for (int d = shape.size() - 1; d >= 2; --d) {
      strides[d] = step;
      step *= shape[d];
    }
    strides[1] = 1;
  }
  memory::dims s(strides.begin(), strides.end());
  if (s.empty()) s.push_back(1);
  return Md(dims, memory::data_type::f32, s);
}

Md any_md(const Shape& shape) { return Md(dims_of(shape), memory::data_type::f32, memory::format_tag::any); }

std::optional<Layout> layout_of(const Md& md, const Shape& shape) {
  if (md == md_of(shape, Layout{})) return Layout{};
  if (shape.size() < 3 || shape.size() > 5) return std::nullopt;
  for (const int64_t block : {int64_t{8}, int64_t{16}, shape[1]}) {
    if (block > 1 && md == md_of(shape, Layout{block})) return Layout{block};
  }
  return std::nullopt;
}

}  // namespace graft::engine
