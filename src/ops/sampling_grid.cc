#include "base/format.h"
#include "ops/sampling.h"

namespace graft::ops {

Result<Grid> grid_of(std::string_view name) {
  if (name == "STRICT_ALIGN_CORNERS") return Grid::strict_align_corners;
  if (name == "ALIGN_CORNERS") return Grid::align_corners;
  if (name == "DEFAULT") return Grid::default_;
  if (name == "OFFSET_CORNERS") return Grid::offset_corners;
  if (name == "UNALIGN_CORNERS") return Grid::unalign_corners;
  return fail(Code::invalid_attribute,
              format("sampling_mode '{}', takes STRICT_ALIGN_CORNERS, ALIGN_CORNERS, DEFAULT, OFFSET_CORNERS or "
                     "UNALIGN_CORNERS",
                     name));
}

double place_on(Grid grid, double n, int64_t out, int64_t i) {
  const auto m = static_cast<double>(out), k = static_cast<double>(i);
  double x = 0;
  switch (grid) {
    case Grid::align_corners:
      if (out <= 1) return (n - 1) / 2;
      [[fallthrough]];
    case Grid::strict_align_corners: return i > 0 && i == out - 1 ? n - 1 : out > 1 ? k * ((n - 1) / (m - 1)) : 0;
    case Grid::default_: x = out > 1 ? k * ((n - n / m) / (m - 1)) : 0; break;
    case Grid::offset_corners: x = (k + 0.5) * (std::max(1.0, n - 1) / m); break;
    case Grid::unalign_corners: x = (k + 0.5) * (n / m) - 0.5; break;
  }
  return std::clamp(x, 0.0, std::max(0.0, n - 1));
}

}  // namespace graft::ops
