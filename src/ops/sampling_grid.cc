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

Result<Resample> resample_of(const ir::Call& call) {
  Resample r{};
  const std::string_view sampling = call.str("sampling_mode"), padding = call.str("padding_mode"),
                         coordinates = call.str("coordinates_mode");
  r.align_corners = call.flag("align_corners");
  r.padding = call.f("padding_value");
  if (call.error()) return fail(*call.error());
  r.nearest = sampling == "nearest";
  if (!r.nearest && sampling != "bilinear")
    return fail(Code::invalid_attribute, format("sampling_mode '{}', takes nearest or bilinear", sampling));
  if (padding == "constant")
    r.outside = Outside::constant;
  else if (padding == "border")
    r.outside = Outside::border;
  else if (padding == "reflection")
    r.outside = Outside::reflection;
  else if (padding == "symmetric")
    r.outside = Outside::symmetric;
  else
    return fail(Code::invalid_attribute,
                format("padding_mode '{}', takes constant, border, reflection or symmetric", padding));
  if (coordinates == "unnormalized")
    r.coordinates = Coordinates::unnormalized;
  else if (coordinates == "normalized_minus_one_to_one")
    r.coordinates = Coordinates::minus_one_to_one;
  else if (coordinates == "normalized_zero_to_one")
    r.coordinates = Coordinates::zero_to_one;
  else
    return fail(Code::invalid_attribute, format("coordinates_mode '{}', takes unnormalized, "
                                                "normalized_minus_one_to_one or normalized_zero_to_one",
                                                coordinates));
  return r;
}

double pixel(Coordinates coordinates, bool align_corners, double v, int64_t size) {
  const auto n = static_cast<double>(size);
  switch (coordinates) {
    case Coordinates::unnormalized: return v;
    case Coordinates::minus_one_to_one: return align_corners ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
    case Coordinates::zero_to_one: return align_corners ? v * (n - 1) : v * n - 0.5;
  }
  return v;
}

}  // namespace graft::ops
